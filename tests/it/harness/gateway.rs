//! A gateway of a test's own, in front of a cluster.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use mysql_async::{Conn, Opts, OptsBuilder};
use serde_json::json;
use shardlift::local::Mysqld;

use super::program::Running;
use super::{TestCluster, until};

const START_DEADLINE: Duration = Duration::from_secs(30);

/// A running `shardlift gateway run`. Dropping it kills it.
#[derive(Debug)]
pub struct Gateway {
    running: Running,
    port: u16,
    http: u16,
    opts: OptsBuilder,
}

impl TestCluster {
    /// A gateway with these flags besides the ports; its user and password are those of the cluster's `app`.
    pub async fn gateway(&self, flags: &str) -> Gateway {
        let shardlift = self.shardlift();
        let hash = shardlift.must_with("gateway hash-password", &self.app().password).await;
        let users = self.folder().join("users.json");
        let text = json!({ &self.app().user: { "hash": hash.trim(), "credential": "app" } });
        fs::write(&users, text.to_string()).unwrap();
        fs::set_permissions(&users, PermissionsExt::from_mode(0o600)).unwrap();
        let listen = "--listen 127.0.0.1:0 --http-listen 127.0.0.1:0";
        // A log of its own, where another one's ports cannot be read by mistake.
        let name = format!("gateway-{}", fs::read_dir(self.folder().join("logs")).unwrap().count());
        let mut running = shardlift.start(&name, &format!("gateway run {listen} --users {} {flags}", users.display()));
        let (port, http) = until("the gateway listens", START_DEADLINE, async || {
            assert!(!running.has_ended(), "the gateway ended: {}", running.log());
            ports(&running.said()).ok_or_else(|| running.log())
        })
        .await;
        let app = self.app();
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(port)
            .prefer_socket(false)
            .user(Some(&app.user))
            .pass(Some(&app.password));
        Gateway { running, port, http, opts }
    }

    /// The certificate authority, certificate and key that a server of the cluster made for itself.
    pub fn certificates(&self, server: &Mysqld) -> [PathBuf; 3] {
        let data = server.spec().dir.join("data");
        ["ca.pem", "server-cert.pem", "server-key.pem"].map(|name| data.join(name))
    }
}

/// From the line `gateway <id> listens on 127.0.0.1:PORT, metrics on http://127.0.0.1:PORT`.
fn ports(said: &str) -> Option<(u16, u16)> {
    let line = said.lines().find(|line| line.starts_with("gateway ") && line.contains(" listens on "))?;
    let mut numbers = line.split("127.0.0.1:").skip(1).map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    Some((numbers.next()??, numbers.next()??))
}

impl Gateway {
    /// Where clients connect, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How to connect, without a database.
    pub fn opts(&self) -> OptsBuilder {
        self.opts.clone()
    }

    /// A connection in `target` that may be refused.
    pub async fn try_conn(&self, target: &str) -> Result<Conn, mysql_async::Error> {
        Conn::new(Opts::from(self.opts.clone().db_name(Some(target)))).await
    }

    /// The most memory it ever had, in MiB (VmHWM).
    pub fn peak_mib(&self) -> u64 {
        self.status("VmHWM:") / 1024
    }

    /// The memory it has, in MiB (VmRSS).
    pub fn memory_mib(&self) -> u64 {
        self.status("VmRSS:") / 1024
    }

    /// How many files it has open, connections among them.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.running.pid())).unwrap().count()
    }

    /// Where its metrics and health can be asked for.
    pub fn http_address(&self) -> String {
        format!("127.0.0.1:{}", self.http)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Asks it to drain and end (SIGTERM), without waiting.
    pub fn ask_to_stop(&self) {
        self.running.terminate();
    }

    /// Asks it to end and waits until it has.
    pub async fn stop(self) -> ExitStatus {
        self.running.stop().await
    }

    /// Waits until it has ended after [`Gateway::ask_to_stop`].
    pub async fn ended(self) -> ExitStatus {
        self.running.ended().await
    }

    /// Whether it runs.
    pub fn is_alive(&mut self) -> bool {
        !self.running.has_ended()
    }

    /// The end of what it said.
    pub fn log(&self) -> String {
        self.running.log()
    }

    fn status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|number| number.parse().ok());
        number.unwrap_or_else(|| panic!("no {name} in {status}"))
    }
}
