//! A gateway process in front of the stage's servers.

use std::time::Duration;

use anyhow::{Context as _, Result};
use shardlift::gateway::client::users;
use shardlift::topology::paths;
use shardlift::topology::records::GatewayPresence;

use super::testbed::process::Process;
use super::testbed::{Stage, until};

const POLL: Duration = Duration::from_millis(50);

/// A gateway. Dropping it kills it.
#[derive(Debug)]
pub struct Front {
    process: Process,
    listen: String,
}

impl Front {
    /// Starts one, with the applications' account as its user, and waits until the topology knows it.
    pub async fn start(stage: &Stage) -> Result<Self> {
        let cluster = stage.cluster();
        let (users, app) = (cluster.spec().users_file(), cluster.app());
        users::create(&users, &app.user, &app.password, cluster.app_credential())?;
        let users = users.to_str().context("a folder whose name is no text")?;
        let arguments = ["gateway", "run", "--listen", "127.0.0.1:0", "--users", users];
        let mut process = Process::start(stage, "gateway", &arguments)?;
        let listen = until("the gateway registers", POLL, async || {
            process.check()?;
            let seen = stage.cluster().topology().list::<GatewayPresence>(&paths::gateways()).await?;
            Ok(seen.records.into_iter().next().map(|(_, found)| found.record.listen))
        })
        .await?;
        Ok(Self { process, listen })
    }

    /// Where it listens, as host:port.
    pub fn listen(&self) -> &str {
        &self.listen
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it.
    pub async fn kill(self) -> Result<()> {
        self.process.kill().await
    }
}
