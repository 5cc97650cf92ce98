//! `shardlift gateway`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use serde::Serialize;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::clock::clock;
use super::{Context, Listed, Outcome};
use crate::daemon;
use crate::daemon::gateway::Service;
use crate::daemon::http::HttpListen;
use crate::gateway::Limits;
use crate::gateway::backend::PoolOptions;
use crate::gateway::buffer::BufferLimits;
use crate::gateway::client::password::PasswordHash;
use crate::gateway::client::prompt::read_password;
use crate::gateway::client::tls::{self, Certificate};
use crate::gateway::client::{Budget, Offer, RsaKeys, Users};
use crate::gateway::serve::Doors;
use crate::model::InstanceId;
use crate::mysql::wire::ConnectOptions;
use crate::topology::records::GatewayPresence;
use crate::topology::{Versioned, paths};

/// The port clients find a gateway at, unless told otherwise.
pub(super) const PORT: u16 = 15306;
/// How long a login may take.
const LOGIN: Duration = Duration::from_secs(10);

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run a gateway until SIGTERM or Ctrl-C; any number may run behind a TCP load balancer
    Run(Box<Flags>),
    /// Make a users file's hash of a password, read from standard input
    HashPassword,
    /// List the gateways that are alive
    List,
}

#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Its name, unique among gateways [default: made of host and process id]
    #[arg(long, env = "SHARDLIFT_GATEWAY_ID")]
    id: Option<InstanceId>,
    /// Where MySQL clients connect
    #[arg(long, default_value_t = format!("127.0.0.1:{PORT}"), env = "SHARDLIFT_GATEWAY_LISTEN", value_name = "HOST:PORT")]
    listen: String,
    /// A Unix socket for clients on this host
    #[arg(long, env = "SHARDLIFT_GATEWAY_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Who may log in: a JSON file, { "app": { "hash": "$A$005$…", "credential": "app" } }, mode 0600
    #[arg(long, env = "SHARDLIFT_GATEWAY_USERS", value_name = "FILE")]
    users: PathBuf,
    /// The certificate shown to clients, PEM [default: one made at the start, which nobody can verify]
    #[arg(long, env = "SHARDLIFT_GATEWAY_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, env = "SHARDLIFT_GATEWAY_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Refuse clients that do not use TLS
    #[arg(long, env = "SHARDLIFT_GATEWAY_REQUIRE_TLS")]
    require_tls: bool,
    /// Do not offer TLS
    #[arg(long, env = "SHARDLIFT_GATEWAY_NO_TLS", conflicts_with_all = ["tls_cert", "require_tls"])]
    no_tls: bool,
    /// Most connections to each tablet
    #[arg(long, env = "SHARDLIFT_GATEWAY_POOL_SIZE", default_value_t = 100, value_name = "N")]
    pool_size: usize,
    /// Most clients
    #[arg(long, env = "SHARDLIFT_GATEWAY_MAX_CONNECTIONS", default_value_t = 1_000, value_name = "N")]
    max_connections: usize,
    /// How far behind a replica may be that gets reads
    #[arg(long, env = "SHARDLIFT_GATEWAY_MAX_REPLICA_LAG", default_value = "30s", value_parser = humantime::parse_duration, value_name = "TIME")]
    max_replica_lag: Duration,
    /// How long a client may be silent
    #[arg(long, env = "SHARDLIFT_GATEWAY_IDLE_TIMEOUT", default_value = "8h", value_parser = humantime::parse_duration, value_name = "TIME")]
    idle_timeout: Duration,
    /// How long clients may go on with a transaction when the gateway is to end
    #[arg(long, env = "SHARDLIFT_GATEWAY_DRAIN_TIMEOUT", default_value = "30s", value_parser = humantime::parse_duration, value_name = "TIME")]
    drain_timeout: Duration,
    /// How long a server may be silent over a statement
    #[arg(long, env = "SHARDLIFT_GATEWAY_STATEMENT_TIMEOUT", default_value = "8h", value_parser = humantime::parse_duration, value_name = "TIME")]
    statement_timeout: Duration,
    /// The longest statement taken from a client, in bytes
    #[arg(long, env = "SHARDLIFT_GATEWAY_MAX_ALLOWED_PACKET", default_value_t = 64 << 20, value_name = "BYTES")]
    max_allowed_packet: usize,
    /// What statements over 1 MiB of all clients may take together, in bytes; those that find no room wait
    #[arg(long, env = "SHARDLIFT_GATEWAY_PACKET_MEMORY", default_value_t = 128 << 20, value_name = "BYTES")]
    packet_memory: usize,
    /// Most statements held while the traffic of their tables is switched
    #[arg(long, env = "SHARDLIFT_GATEWAY_BUFFER_SIZE", default_value_t = BufferLimits::default().statements, value_name = "N")]
    buffer_size: usize,
    /// Most bytes that they have together
    #[arg(long, env = "SHARDLIFT_GATEWAY_BUFFER_BYTES", default_value_t = BufferLimits::default().bytes, value_name = "BYTES")]
    buffer_bytes: usize,
    /// The longest that one is held
    #[arg(long, env = "SHARDLIFT_GATEWAY_BUFFER_WINDOW", default_value = "10s", value_parser = humantime::parse_duration, value_name = "TIME")]
    buffer_window: Duration,
    /// The version told to clients [default: that of a server it finds]
    #[arg(long, env = "SHARDLIFT_GATEWAY_SERVER_VERSION", value_name = "TEXT")]
    server_version: Option<String>,
    /// Where /metrics and /healthz are served, or `none`
    #[arg(long, env = "SHARDLIFT_GATEWAY_HTTP_LISTEN", default_value = "127.0.0.1:0", value_name = "IP:PORT|none")]
    http_listen: HttpListen,
    /// A YAML file of these flags, by their names; the command line and the environment win over it
    #[arg(long, env = "SHARDLIFT_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Verb {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        match self {
            Self::Run(flags) => flags.run(context).await,
            Self::HashPassword => {
                let password = read_password("password: ").context("standard input")?;
                println!("{}", PasswordHash::new(password.expose().as_bytes()).to_hex());
                Ok(Outcome::Done)
            }
            Self::List => list(context).await,
        }
    }
}

impl Flags {
    async fn run(self, context: &Context) -> Result<Outcome> {
        tracing::debug!(config = ?self.config, "the flags are complete");
        let id = match self.id {
            Some(id) => id,
            None => daemon::instance_id().context("no name can be made for this gateway; give one with --id")?,
        };
        let certificate = match (self.tls_cert, self.tls_key) {
            _ if self.no_tls => None,
            (Some(certificate), Some(key)) => Some(Arc::new(Certificate::load(certificate, key)?)),
            _ => Some(Arc::new(Certificate::self_signed(&daemon::host_name())?)),
        };
        let tls = certificate.clone().map(tls::server_config).transpose()?;
        let users = Arc::new(Users::load(&self.users)?);
        let tcp = TcpListener::bind(&self.listen)
            .await
            .with_context(|| format!("--listen {}; give another address, or port 0 for any free one", self.listen))?;
        let unix = match &self.socket {
            None => None,
            Some(path) => Some(UnixListener::bind(path).with_context(|| {
                format!("--socket {}; if no gateway uses it any more, remove the file", path.display())
            })?),
        };
        let connect = ConnectOptions { read_timeout: self.statement_timeout, ..ConnectOptions::default() };
        let service = Service {
            id: id.clone(),
            topology: context.topology().await?,
            credentials: context.credentials(),
            doors: Doors { tcp, unix },
            offer: Offer {
                version: self.server_version.unwrap_or_default(),
                tls,
                keys: RsaKeys::new(),
                users: users.clone(),
                max_packet: self.max_allowed_packet,
                budget: Budget::new(self.packet_memory),
                login_timeout: LOGIN,
                require_tls: self.require_tls,
            },
            limits: Limits {
                clients: self.max_connections,
                idle: self.idle_timeout,
                replica_lag: self.max_replica_lag,
                drain: self.drain_timeout,
            },
            pools: PoolOptions { most_per_tablet: self.pool_size, connect, ..PoolOptions::default() },
            buffer: BufferLimits { statements: self.buffer_size, bytes: self.buffer_bytes, window: self.buffer_window },
            http: self.http_listen,
        };
        let drain = CancellationToken::new();
        let signals = daemon::cancel_on_signal(drain.clone())?;
        let reload = tokio::spawn(reload(users, certificate));
        let outcome = service
            .run(drain, |listen, http| {
                let metrics =
                    if http.is_empty() { String::new() } else { format!(", metrics on http://{http}/metrics") };
                println!("gateway {id} listens on {listen}{metrics}");
            })
            .await;
        reload.abort();
        signals.abort();
        if let Some(path) = &self.socket {
            // It may be gone already; then that is as it should be.
            let _ = std::fs::remove_file(path);
        }
        outcome?;
        Ok(Outcome::Done)
    }
}

/// Reads the users file and the certificate again at each SIGHUP.
async fn reload(users: Arc<Users>, certificate: Option<Arc<Certificate>>) -> std::io::Result<()> {
    let mut hangups = signal(SignalKind::hangup())?;
    while hangups.recv().await.is_some() {
        match users.reload() {
            Ok(count) => tracing::info!(count, "the users file was read again"),
            Err(error) => tracing::error!(%error, "the users file is not taken; the last one stays in force"),
        }
        match certificate.as_ref().map_or(Ok(false), |certificate| certificate.reload()) {
            Ok(true) => tracing::info!("the certificate was read again"),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the certificate is not taken; the last one stays in force"),
        }
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct Line {
    gateway: String,
    host: String,
    pid: u32,
    listen: String,
    http: String,
    started: u64,
}

impl Listed for Line {
    const COLUMNS: &'static [&'static str] = &["GATEWAY", "HOST", "PID", "LISTEN", "HTTP", "STARTED"];

    fn cells(&self) -> Vec<String> {
        let http = if self.http.is_empty() { "-".into() } else { self.http.clone() };
        vec![
            self.gateway.clone(),
            self.host.clone(),
            self.pid.to_string(),
            self.listen.clone(),
            http,
            clock(self.started),
        ]
    }
}

async fn list(context: &Context) -> Result<Outcome> {
    let found = context.topology().await?.list::<GatewayPresence>(&paths::gateways()).await?;
    let line = |(path, Versioned { record, .. }): (crate::topology::Path, Versioned<GatewayPresence>)| Line {
        gateway: path.name().to_string(),
        host: record.host,
        pid: record.pid,
        listen: record.listen,
        http: record.address,
        started: record.started,
    };
    context.output.list(&found.records.into_iter().map(line).collect::<Vec<_>>())?;
    Ok(Outcome::Done)
}
