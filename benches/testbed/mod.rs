//! What benchmarks share: two servers and a topology in a folder that vanishes, the ways to talk to them, shardlift's own
//! processes, a table to read and write, and the printed table of results.

pub mod process;
pub mod sysbench;
pub mod table;

use std::fmt::Display;
use std::future::Future;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mysql_async::prelude::Queryable;
use shardlift::daemon::cancel_on_signal;
use shardlift::local::cluster::{Cluster, ClusterSpec};
use shardlift::local::{Mysqld, Servers};
use shardlift::mysql::wire::{ConnectOptions, Wire};
use shardlift::mysql::{Endpoint, Login, Secret};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(1800);

/// Has a benchmark run to its end, and prints its results; a failure where they have `failed`. When it is interrupted what runs
/// is dropped where it stands: servers are killed, their folder is removed.
pub async fn conclude<T: Display>(run: impl Future<Output = Result<T>>, failed: impl FnOnce(&T) -> bool) -> ExitCode {
    let interrupted = CancellationToken::new();
    let outcome = match cancel_on_signal(interrupted.clone()) {
        Err(error) => Err(error.into()),
        Ok(_signals) => tokio::select! {
            outcome = run => outcome,
            () = interrupted.cancelled() => Err(anyhow::anyhow!("interrupted")),
        },
    };
    match outcome {
        Ok(results) => {
            println!("{results}");
            if failed(&results) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Keyspace `commerce` on one server, `customer` on another.
#[derive(Debug)]
pub struct Stage {
    cluster: Cluster,
    folder: TempDir,
}

impl Stage {
    /// Starts them; `settings` are further arguments of both servers.
    pub async fn up(servers: &Servers, settings: &[&str]) -> Result<Self> {
        Self::altered(servers, settings, |_| Ok(())).await
    }

    /// Starts a cluster that `alter` has made another one.
    pub async fn altered(
        servers: &Servers,
        settings: &[&str],
        alter: impl FnOnce(&mut ClusterSpec) -> Result<()>,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("shardlift-bench-").tempdir()?;
        let mut spec = ClusterSpec::commerce_and_customer(folder.path().join("cluster"))?;
        spec.extra_args = settings.iter().map(ToString::to_string).collect();
        alter(&mut spec)?;
        Ok(Self { cluster: Cluster::up(spec, servers, &()).await?, folder })
    }

    /// The server of `commerce`.
    pub fn source(&self) -> Result<&Mysqld> {
        self.server("commerce")
    }

    /// The server of a keyspace.
    pub fn server(&self, keyspace: &str) -> Result<&Mysqld> {
        let found = self.cluster.members().iter().find(|member| member.keyspace.name.as_str() == keyspace);
        Ok(&found.with_context(|| format!("keyspace {keyspace} has no server"))?.server)
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends the servers; the folder vanishes.
    pub async fn down(self) -> Result<()> {
        Ok(self.cluster.stop().await?)
    }
}

/// A connection of ours to `server`, set up by `session`.
pub async fn wire(server: &Mysqld, session: &str) -> Result<Wire> {
    let admin = &server.spec().admin;
    let login = Login {
        endpoint: Endpoint::unix(server.socket()),
        user: admin.user.clone(),
        password: Secret::new(admin.password.clone()),
        database: None,
    };
    let options = ConnectOptions { read_timeout: PATIENCE, session: vec![session.into()], ..ConnectOptions::default() };
    Ok(Wire::connect(&login, &options).await?)
}

/// Runs statements one after another on one connection.
pub async fn run(server: &Mysqld, statements: &[&str]) -> Result<()> {
    let mut conn = server.admin_conn().await?;
    for statement in statements {
        within(statement, conn.query_drop(*statement)).await?;
    }
    Ok(conn.disconnect().await?)
}

/// Awaits a request, but not for ever.
pub async fn within<T, E>(what: &str, request: impl Future<Output = Result<T, E>>) -> Result<T>
where
    Result<T, E>: anyhow::Context<T, E>,
{
    let what: String = what.chars().take(120).collect();
    timeout(PATIENCE, request).await.with_context(|| format!("too long: {what}"))?.context(what)
}

/// Asks every `pause` until the answer is `Some`.
pub async fn until<T>(
    what: impl Display,
    pause: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if Instant::now() > end {
            bail!("{what}: not within {} s", PATIENCE.as_secs());
        }
        sleep(pause).await;
    }
}

/// Tells whoever waits.
pub fn say(what: &str) {
    eprintln!("{what}");
}
