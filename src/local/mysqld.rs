//! One MySQL server with production-honest settings: durable, GTIDs, row-based binlog with full images.
//!
//! Invariants: the data directory belongs to this handle alone; on a first start accounts exist before the server
//! listens; a server that came up has answered a query as its admin.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use super::account::init_file;
use super::cache::{private_dir, write_private};
use super::process::Slot;
use super::program::last_lines;
use super::replica::end_dumps;
use super::spec::place_socket;
use super::template::{create_data_dir, user_arg};
use super::{Account, LocalError, MysqldSpec, Role, Servers};

const START_DEADLINE: Duration = Duration::from_secs(120);
const STOP_DEADLINE: Duration = Duration::from_secs(60);
pub(super) const QUERY_DEADLINE: Duration = Duration::from_secs(30);
const READY_POLL: Duration = Duration::from_millis(30);
/// A local MySQL server. Dropping it kills the server, unless detached; the data stays.
#[derive(Debug)]
pub struct Mysqld {
    servers: Servers,
    spec: MysqldSpec,
    socket: PathBuf,
    /// Keeps the socket's own folder, when the server's path is too long for a socket.
    _socket_dir: Option<TempDir>,
    slot: Slot,
    read_only: AtomicBool,
}

impl Mysqld {
    /// Starts a server, on the data it finds in its folder or on new data, and waits until it answers.
    pub async fn start(servers: &Servers, mut spec: MysqldSpec) -> Result<Self, LocalError> {
        spec.dir = std::path::absolute(&spec.dir).map_err(LocalError::io("resolve", &spec.dir))?;
        private_dir(&spec.dir)?;
        let (socket, socket_dir) = place_socket(&spec.dir, spec.lifetime)?;
        let server = format!("mysqld on port {} ({})", spec.port.number(), spec.dir.display());
        let slot = Slot::new(server, spec.lifetime);
        let read_only = AtomicBool::new(spec.role == Role::Replica);
        let server = Self { servers: servers.clone(), spec, socket, _socket_dir: socket_dir, slot, read_only };
        server.prepare_dir().await?;
        server.launch().await?;
        Ok(server)
    }

    /// New data gets its `init.sql` first: as long as that file exists, the accounts are still to be made.
    async fn prepare_dir(&self) -> Result<(), LocalError> {
        let (data, settings) = (self.data_dir(), self.spec.dir.join("my.cnf"));
        if !settings.exists() {
            write_private(
                &settings,
                "# Settings of your own. What shardlift gives on the command line wins.\n[mysqld]\n",
            )?;
        }
        if data.exists() {
            return Ok(());
        }
        let statements = init_file(&self.spec.admin, &self.spec.accounts, self.is_read_only());
        write_private(&self.init_file(), &statements)?;
        create_data_dir(&self.servers, &self.spec.extra_args, &data).await
    }

    async fn launch(&self) -> Result<(), LocalError> {
        let started = Instant::now();
        self.slot.launch(self.command()?).await?;
        if let Err(error) = self.wait_ready(started).await {
            // It must not linger, holding the data directory, when the caller may have no handle.
            self.slot.kill9().await?;
            return Err(error);
        }
        let init_file = self.init_file();
        if init_file.exists() {
            fs::remove_file(&init_file).map_err(LocalError::io("remove", &init_file))?;
        }
        tracing::debug!(server = self.slot.server(), "ready after {} ms", started.elapsed().as_millis());
        Ok(())
    }

    /// The accounts exist before the server listens, so a refused password stays refused.
    async fn wait_ready(&self, started: Instant) -> Result<(), LocalError> {
        loop {
            if let Some(status) = self.slot.ended() {
                return Err(self.not_started(format!("it ended with {status}")));
            }
            match self.query_drop("checking that it answers", "DO 1").await {
                Ok(()) => return Ok(()),
                Err(error) if is_access_denied(&error) => return Err(self.not_started(error.to_string())),
                Err(error) if started.elapsed() > START_DEADLINE => {
                    return Err(self.not_started(format!("not ready after {} s: {error}", START_DEADLINE.as_secs())));
                }
                Err(_) => sleep(READY_POLL).await,
            }
        }
    }

    fn not_started(&self, why: String) -> LocalError {
        let log = self.error_log();
        let text = fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        LocalError::NotStarted { server: self.slot.server().into(), why, log, tail: last_lines(&text, 20) }
    }

    fn command(&self) -> Result<Command, LocalError> {
        let dir = &self.spec.dir;
        let path = |name: &str, path: &Path| {
            let mut option = std::ffi::OsString::from(format!("--{name}="));
            option.push(path);
            option
        };
        let output = dir.join("output.log");
        let file = File::options().create(true).append(true).open(&output).map_err(LocalError::io("open", &output))?;
        let errors = file.try_clone().map_err(LocalError::io("open", &output))?;
        let mut command = self.servers.mysqld.std_command();
        command.current_dir(dir).stdout(file).stderr(errors);
        // mysqld accepts this one only in first place.
        command.arg(path("defaults-file", &dir.join("my.cnf"))).args(self.servers.mysqld_layout());
        command.args(user_arg());
        command.args([
            path("datadir", &self.data_dir()),
            path("socket", &self.socket),
            path("pid-file", &dir.join("mysqld.pid")),
            path("log-error", &self.error_log()),
        ]);
        command.args(self.spec.settings(self.is_read_only()));
        if self.init_file().exists() {
            command.arg(path("init-file", &self.init_file()));
        } else if self.is_read_only() {
            command.arg("--super-read-only=ON");
        }
        command.args(&self.spec.extra_args);
        Ok(command)
    }

    /// Shuts the server down in order: SIGTERM, and after 60 s SIGKILL.
    ///
    /// Takes 1 s, but 10 s if someone starts to read its binlog at that moment (MySQL waits for that): stop replicas first.
    pub async fn stop(&self) -> Result<(), LocalError> {
        if self.pid().is_some() {
            end_dumps(&self.socket, &self.spec.admin).await;
        }
        self.slot.stop(STOP_DEADLINE).await
    }

    /// Kills the server as a power cut would, and returns when it is gone.
    pub async fn kill9(&self) -> Result<(), LocalError> {
        self.slot.kill9().await
    }

    /// Stops the server if it runs, and starts it again on the same data, port and role.
    pub async fn restart(&self) -> Result<(), LocalError> {
        self.stop().await?;
        // A killed server leaves its socket lock, whose process id may be someone else's by now; ours is gone for sure.
        let mut lock = self.socket.clone().into_os_string();
        lock.push(".lock");
        for leftover in [self.socket.clone(), lock.into()] {
            if leftover.symlink_metadata().is_ok() {
                fs::remove_file(&leftover).map_err(LocalError::io("remove", &leftover))?;
            }
        }
        self.launch().await
    }

    /// Freezes the server (SIGSTOP): connections stay open and hang.
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

    /// TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.spec.port.number()
    }

    /// Unix socket; not always inside the server's folder, whose path may be too long for one.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What it was started from.
    pub fn spec(&self) -> &MysqldSpec {
        &self.spec
    }

    /// Its error log.
    pub fn error_log(&self) -> PathBuf {
        self.spec.dir.join("error.log")
    }

    /// The server's own `server_uuid`.
    pub async fn uuid(&self) -> Result<String, LocalError> {
        self.query_first("asking its uuid", "SELECT @@server_uuid").await
    }

    /// How to reach it over TCP as this account.
    pub fn opts(&self, account: &Account) -> Opts {
        OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port())
            .prefer_socket(false)
            .user(Some(&account.user))
            .pass(Some(&account.password))
            .into()
    }

    /// A connection as the admin through the socket, which needs no TLS to keep the password to itself.
    pub async fn admin_conn(&self) -> Result<Conn, LocalError> {
        let opts = OptsBuilder::default()
            .socket(Some(self.socket.to_string_lossy()))
            .user(Some(&self.spec.admin.user))
            .pass(Some(&self.spec.admin.password));
        self.within("connecting", Conn::new(opts)).await
    }

    pub(super) async fn query_drop(&self, doing: &'static str, sql: &str) -> Result<(), LocalError> {
        let mut conn = self.admin_conn().await?;
        self.within(doing, conn.query_drop(sql)).await?;
        self.within("disconnecting", conn.disconnect()).await
    }

    async fn query_first(&self, doing: &'static str, sql: &str) -> Result<String, LocalError> {
        let mut conn = self.admin_conn().await?;
        let value: Option<String> = self.within(doing, conn.query_first(sql)).await?;
        self.within("disconnecting", conn.disconnect()).await?;
        Ok(value.unwrap_or_default())
    }

    /// Gives a request its deadline and its place in the error.
    pub(super) async fn within<T>(
        &self,
        doing: &'static str,
        request: impl Future<Output = Result<T, mysql_async::Error>>,
    ) -> Result<T, LocalError> {
        match timeout(QUERY_DEADLINE, request).await {
            Ok(answer) => answer.map_err(|source| LocalError::Sql { server: self.server_name(), doing, source }),
            Err(_) => {
                Err(LocalError::Timeout { doing: format!("{doing} ({})", self.slot.server()), after: QUERY_DEADLINE })
            }
        }
    }

    pub(super) fn server_name(&self) -> String {
        self.slot.server().into()
    }

    fn is_read_only(&self) -> bool {
        self.read_only.load(Ordering::Relaxed)
    }

    /// Remembered for restarts.
    pub(super) fn set_read_only(&self, yes: bool) {
        self.read_only.store(yes, Ordering::Relaxed);
    }

    fn data_dir(&self) -> PathBuf {
        self.spec.dir.join("data")
    }

    fn init_file(&self) -> PathBuf {
        self.spec.dir.join("init.sql")
    }
}

fn is_access_denied(error: &LocalError) -> bool {
    const ER_ACCESS_DENIED_ERROR: u16 = 1045;
    matches!(error, LocalError::Sql { source: mysql_async::Error::Server(e), .. } if e.code == ER_ACCESS_DENIED_ERROR)
}
