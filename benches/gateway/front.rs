//! A gateway process in front of the stage's servers.

use std::time::Duration;

use anyhow::{Context as _, Result};
use shardlift::gateway::client::users;
use shardlift::topology::paths;
use shardlift::topology::records::GatewayPresence;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

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

    /// In its place a relay that looks at no byte: what is lost with it, no gateway can win back.
    pub async fn bare(stage: &Stage) -> Result<Self> {
        let server = format!("127.0.0.1:{}", stage.source()?.port());
        let mut process = Process::of(&std::env::current_exe()?, stage, "relay", &["--bench", "--relay", &server])?;
        let listen = until("the relay listens", POLL, async || {
            process.check()?;
            Ok(process.said()?.split_once('\n').map(|(address, _)| address.to_owned()))
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

/// The relay: prints where it listens, and serves until it is killed.
pub async fn relay(server: &str) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (mut client, _) = listener.accept().await?;
        let mut server = TcpStream::connect(server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        // How a conversation ends is its two ends' business.
        tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await.ok() });
    }
}
