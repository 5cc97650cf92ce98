//! One etcd server, durable, on loopback ports.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::cache::private_dir;
use super::process::Slot;
use super::program::last_lines;
use super::{Lifetime, LocalError, Port, Program, Servers};

const START_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(20);
const ASK_DEADLINE: Duration = Duration::from_secs(2);
const READY_POLL: Duration = Duration::from_millis(30);

/// The two ports of an etcd member.
#[derive(Debug, Clone)]
pub struct EtcdPorts {
    /// For clients.
    pub client: Port,
    /// For other members; a single one listens all the same.
    pub peer: Port,
}

/// A local etcd of one member. Dropping it kills the server, unless detached; the data stays.
#[derive(Debug)]
pub struct Etcd {
    program: Program,
    dir: PathBuf,
    ports: EtcdPorts,
    slot: Slot,
}

impl Etcd {
    /// Starts etcd, on the data it finds in `dir` or on none, and waits until it is healthy.
    pub async fn start(
        servers: &Servers,
        dir: &Path,
        ports: EtcdPorts,
        lifetime: Lifetime,
    ) -> Result<Self, LocalError> {
        let dir = std::path::absolute(dir).map_err(LocalError::io("resolve", dir))?;
        private_dir(&dir)?;
        let name = format!("etcd on port {} ({})", ports.client.number(), dir.display());
        let server = Self { program: servers.etcd()?, dir, ports, slot: Slot::new(name, lifetime) };
        server.launch().await?;
        Ok(server)
    }

    async fn launch(&self) -> Result<(), LocalError> {
        self.slot.launch(self.command()?).await?;
        if let Err(error) = self.wait_healthy(Instant::now()).await {
            // It must not linger, holding the data, when the caller may have no handle.
            self.slot.kill9().await?;
            return Err(error);
        }
        Ok(())
    }

    async fn wait_healthy(&self, started: Instant) -> Result<(), LocalError> {
        loop {
            if let Some(status) = self.slot.ended() {
                return Err(self.not_started(format!("it ended with {status}")));
            }
            if self.is_healthy().await {
                return Ok(());
            }
            if started.elapsed() > START_DEADLINE {
                return Err(self.not_started(format!("not healthy after {} s", START_DEADLINE.as_secs())));
            }
            sleep(READY_POLL).await;
        }
    }

    fn command(&self) -> Result<Command, LocalError> {
        let log = self.log();
        let output = File::options().create(true).append(true).open(&log).map_err(LocalError::io("open", &log))?;
        let errors = output.try_clone().map_err(LocalError::io("open", &log))?;
        let peer = format!("http://127.0.0.1:{}", self.ports.peer.number());
        let client = self.endpoint();
        let mut command = self.program.std_command();
        command.current_dir(&self.dir).stdout(output).stderr(errors);
        // etcd takes settings from the environment too, and the user's are for another etcd.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ETCD_")) {
            command.env_remove(name);
        }
        command.arg("--data-dir").arg(self.dir.join("data"));
        command.args(["--name", "local", "--log-level", "warn"]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("local={peer}")]);
        Ok(command)
    }

    /// Asks `/health`, which answers only once there is a leader.
    async fn is_healthy(&self) -> bool {
        let ask = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.ports.client.number())).await?;
            stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").await?;
            let mut answer = Vec::new();
            stream.take(4096).read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).contains(r#""health":"true""#))
        };
        matches!(timeout(ASK_DEADLINE, ask).await, Ok(Ok(true)))
    }

    fn not_started(&self, why: String) -> LocalError {
        let log = self.log();
        let text = fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        LocalError::NotStarted { server: self.slot.server().into(), why, log, tail: last_lines(&text, 15) }
    }

    /// `http://127.0.0.1:port`, for clients.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.client.number())
    }

    /// Stops it in order: SIGTERM, and after 20 s SIGKILL.
    pub async fn stop(&self) -> Result<(), LocalError> {
        self.slot.stop(STOP_DEADLINE).await
    }

    /// Kills it as a power cut would, and returns when it is gone.
    pub async fn kill9(&self) -> Result<(), LocalError> {
        self.slot.kill9().await
    }

    /// Stops it if it runs, and starts it again on the same ports and data.
    pub async fn restart(&self) -> Result<(), LocalError> {
        self.stop().await?;
        self.launch().await
    }

    /// Freezes it (SIGSTOP): connections stay open and hang, as if the network were cut.
    pub fn pause(&self) -> Result<(), LocalError> {
        self.slot.signal_running(Signal::SIGSTOP)
    }

    /// Thaws it (SIGCONT).
    pub fn resume(&self) -> Result<(), LocalError> {
        self.slot.signal_running(Signal::SIGCONT)
    }

    /// Process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.slot.pid()
    }

    /// Its log.
    pub fn log(&self) -> PathBuf {
        self.dir.join("etcd.log")
    }
}
