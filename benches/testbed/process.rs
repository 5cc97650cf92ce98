//! A shardlift process, as an operator runs it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

use super::Stage;

/// The process. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: u32,
    log: PathBuf,
}

impl Process {
    /// Starts `shardlift` with these arguments; it says what it says into `<name>.log` in the stage's folder.
    pub fn start(stage: &Stage, name: &str, arguments: &[&str]) -> Result<Self> {
        Self::of(Path::new(env!("CARGO_BIN_EXE_shardlift")), stage, name, arguments)
    }

    /// Starts another program in the same way.
    pub fn of(program: &Path, stage: &Stage, name: &str, arguments: &[&str]) -> Result<Self> {
        let log = stage.folder().join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
        command.env("SHARDLIFT_TOPO", stage.cluster().topology_address());
        command.env("SHARDLIFT_CREDENTIALS", stage.cluster().credentials_file());
        command.env_remove("SHARDLIFT_CLUSTER");
        command.env("SHARDLIFT_LOG", std::env::var("SHARDLIFT_LOG").unwrap_or_else(|_| "info".into()));
        // SAFETY: between fork and exec only prctl runs, which is async-signal-safe.
        unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
        let child = command.spawn()?;
        let pid = child.id().context("the process has ended")?;
        Ok(Self { child, pid, log })
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What it said so far.
    pub fn said(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    /// Fails, with what it said, if it has ended.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it ended with {status}: {}", self.said()?);
        }
        Ok(())
    }

    /// Ends it.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}
