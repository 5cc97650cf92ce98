//! Two servers and a topology in a folder that vanishes, and the ways to talk to them.

use std::fmt::Display;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mysql_async::prelude::Queryable;
use shardlift::local::cluster::{Cluster, ClusterSpec};
use shardlift::local::{Mysqld, MysqldSpec, Ports, Servers};
use shardlift::mysql::wire::{ConnectOptions, Wire};
use shardlift::mysql::{Endpoint, Login, Secret};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(1800);
/// Some pages are written all the time.
const CLEAN_PAGES: u64 = 500;

/// Keyspace `commerce` on one server, `customer` on another.
#[derive(Debug)]
pub struct Stage {
    cluster: Cluster,
    folder: TempDir,
}

impl Stage {
    /// Starts them; `settings` are further arguments of both servers.
    pub async fn up(servers: &Servers, settings: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("shardlift-bench-").tempdir()?;
        let mut spec = ClusterSpec::commerce_and_customer(folder.path().join("cluster"))?;
        spec.extra_args = settings.iter().map(ToString::to_string).collect();
        Ok(Self { cluster: Cluster::up(spec, servers, &()).await?, folder })
    }

    /// A replica of the source with the same settings and these.
    pub async fn replica(&self, servers: &Servers, settings: &[&str]) -> Result<Mysqld> {
        let port = Ports::open(&servers.cache)?.lease()?;
        let mut spec = MysqldSpec::new(self.folder().join("replica"), port, 900, self.cluster.engine().clone());
        spec.extra_args = self.cluster.spec().extra_args.clone();
        spec.extra_args.extend(settings.iter().map(ToString::to_string));
        let replica = Mysqld::start(servers, spec).await?;
        replica.start_replica_of(self.source()?).await?;
        Ok(replica)
    }

    /// The server of `commerce`.
    pub fn source(&self) -> Result<&Mysqld> {
        self.server("commerce")
    }

    /// The server of `customer`.
    pub fn target(&self) -> Result<&Mysqld> {
        self.server("customer")
    }

    fn server(&self, keyspace: &str) -> Result<&Mysqld> {
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

/// A statement's last column of its first row, as text.
pub async fn value(server: &Mysqld, sql: &str) -> Result<String> {
    let mut conn = server.admin_conn().await?;
    let row: Option<mysql_async::Row> = within(sql, conn.query_first(sql)).await?;
    conn.disconnect().await?;
    let last = row.and_then(|row| row.unwrap().pop());
    let text = last.and_then(|value| mysql_async::from_value_opt::<String>(value).ok());
    text.with_context(|| format!("no answer to {sql}"))
}

/// Waits until `server` has written out what an earlier contestant left in its buffer pool.
pub async fn settle(server: &Mysqld) -> Result<()> {
    run(server, &["SET GLOBAL innodb_max_dirty_pages_pct = 0"]).await?;
    until("dirty pages are written", Duration::from_millis(100), async || {
        let dirty: u64 = value(server, "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'").await?.parse()?;
        Ok((dirty < CLEAN_PAGES).then_some(()))
    })
    .await?;
    run(server, &["SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT"]).await
}

/// Everything executed by `server` so far.
pub async fn executed(server: &Mysqld) -> Result<String> {
    Ok(value(server, "SELECT @@global.gtid_executed").await?.replace('\n', ""))
}

/// Fails unless two tables hold the same rows: a fast wrong copy is not fast.
pub async fn same(left: (&Mysqld, &str), right: (&Mysqld, &str)) -> Result<()> {
    let sum = |table: &str| format!("CHECKSUM TABLE {table}");
    let (a, b) = (value(left.0, &sum(left.1)).await?, value(right.0, &sum(right.1)).await?);
    if a != b {
        bail!("{} and {} differ: checksums {a} and {b}", left.1, right.1);
    }
    Ok(())
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
