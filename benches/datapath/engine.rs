//! An engine process, as an operator runs it, and its memory.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use shardlift::topology::paths;
use shardlift::topology::records::EnginePresence;

use super::stage::{Stage, until};
use super::testbed::process::Process;

const POLL: Duration = Duration::from_millis(50);

/// An engine. Dropping it kills it.
#[derive(Debug)]
pub struct Engine {
    process: Process,
}

impl Engine {
    /// Starts one and waits until the topology knows it.
    pub async fn start(stage: &Stage) -> Result<Self> {
        let mut process = Process::start(stage, "engine", &["engine", "run"])?;
        until("the engine registers", POLL, async || {
            process.check()?;
            let seen = stage.cluster().topology().list::<EnginePresence>(&paths::engines()).await?;
            Ok((!seen.records.is_empty()).then_some(()))
        })
        .await?;
        Ok(Self { process })
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
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)).with_context(|| format!("no {field}"))?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    /// Counts the peak from here on.
    pub fn forget_peak(&self) -> Result<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.process.pid()), "5")?)
    }

    /// Ends it.
    pub async fn kill(self) -> Result<()> {
        self.process.kill().await
    }
}
