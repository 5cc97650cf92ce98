//! What the data path's measurements need of the stage beside what all do: a target, a replica, and looks at what is there.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mysql_async::prelude::Queryable;
use shardlift::local::{Mysqld, MysqldSpec, Ports, Servers};

pub use super::testbed::{Stage, run, until, wire, within};

/// Some pages are written all the time.
const CLEAN_PAGES: u64 = 500;

impl Stage {
    /// A replica of the source with the same settings and these.
    pub async fn replica(&self, servers: &Servers, settings: &[&str]) -> Result<Mysqld> {
        let port = Ports::open(&servers.cache)?.lease()?;
        let mut spec = MysqldSpec::new(self.folder().join("replica"), port, 900, self.cluster().engine().clone());
        spec.extra_args = self.cluster().spec().extra_args.clone();
        spec.extra_args.extend(settings.iter().map(ToString::to_string));
        let replica = Mysqld::start(servers, spec).await?;
        replica.start_replica_of(self.source()?).await?;
        Ok(replica)
    }

    /// The server of `customer`.
    pub fn target(&self) -> Result<&Mysqld> {
        self.server("customer")
    }
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
