//! An engine process, as an operator runs it, and its memory.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use shardlift::topology::paths;
use shardlift::topology::records::EnginePresence;
use tokio::process::{Child, Command};

use super::stage::{Stage, until};

const POLL: Duration = Duration::from_millis(50);

/// An engine. Dropping it kills it.
#[derive(Debug)]
pub struct Engine {
    child: Child,
    pid: u32,
}

impl Engine {
    /// Starts one and waits until the topology knows it.
    pub async fn start(stage: &Stage) -> Result<Self> {
        let log = stage.folder().join("engine.log");
        let file = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_shardlift"));
        command.args(["engine", "run"]).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
        command.env("SHARDLIFT_TOPO", stage.cluster().topology_address());
        command.env("SHARDLIFT_CREDENTIALS", stage.cluster().credentials_file());
        command.env_remove("SHARDLIFT_CLUSTER");
        // SAFETY: between fork and exec only prctl runs, which is async-signal-safe.
        unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
        let mut child = command.spawn()?;
        until("the engine registers", POLL, async || {
            if let Some(status) = child.try_wait()? {
                bail!("the engine ended with {status}: {}", fs::read_to_string(&log)?);
            }
            let seen = stage.cluster().topology().list::<EnginePresence>(&paths::engines()).await?;
            Ok((!seen.records.is_empty()).then_some(()))
        })
        .await?;
        let pid = child.id().context("the engine has ended")?;
        Ok(Self { child, pid })
    }

    /// The most memory it had resident since it began or [`Self::forget_peak`], MiB.
    pub fn peak(&self) -> Result<f64> {
        self.status("VmHWM:")
    }

    /// What it has resident now, MiB.
    pub fn resident(&self) -> Result<f64> {
        self.status("VmRSS:")
    }

    fn status(&self, field: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)).with_context(|| format!("no {field}"))?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    /// Counts the peak from here on.
    pub fn forget_peak(&self) -> Result<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.pid), "5")?)
    }

    /// Ends it.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}
