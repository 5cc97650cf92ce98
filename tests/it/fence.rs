//! The fence on real servers (design §5.1): what it lets through, what it refuses, how long it makes anybody wait.
//!
//! Judged by what the servers say: rows, errors that writers got, the order of events in the binlog.

mod epochs;
mod locks;
mod roads;
mod rules;
mod storm;
mod streams;
mod xa;

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use shardlift::engine::connect::Side;
use shardlift::local::Mysqld;
use shardlift::model::{Epoch, FENCE_ERRNO};
use shardlift::workflow::fence::{self, Fence, FenceKey};
use tokio::time::Instant;
use uuid::Uuid;

use crate::harness::{Db, TestCluster};

/// Tables in keyspace `commerce` and their fence.
struct Fenced {
    cluster: TestCluster,
    source: Fence,
}

impl Fenced {
    /// One server with these tables, and their fence, open and not armed.
    async fn start(ddl: &str, tables: &[&str]) -> Self {
        Self::on(TestCluster::with(|spec| spec.keyspaces.truncate(1)).await, ddl, tables).await
    }

    /// Two servers, and the fence of keyspace `customer` on the other.
    async fn with_target(ddl: &str, tables: &[&str]) -> (Self, Fence) {
        let fenced = Self::on(TestCluster::start().await, ddl, tables).await;
        let Self { cluster, source } = &fenced;
        cluster.target_db().exec(ddl).await;
        let target = fence_of(cluster, cluster.target(), "customer", source.key.uid, tables);
        fence::ensure(&target).await.unwrap();
        (fenced, target)
    }

    async fn on(cluster: TestCluster, ddl: &str, tables: &[&str]) -> Self {
        cluster.source_db().exec(ddl).await;
        let source = fence_of(&cluster, cluster.source(), "commerce", Uuid::new_v4(), tables);
        fence::ensure(&source).await.unwrap();
        Self { cluster, source }
    }

    fn source_db(&self) -> Db {
        self.cluster.source_db()
    }

    /// An application's connection to the source.
    async fn app(&self) -> Conn {
        self.app_on(self.cluster.source(), "commerce").await
    }

    async fn app_on(&self, server: &Mysqld, database: &str) -> Conn {
        Db::new(server, self.cluster.app(), database).conn().await
    }
}

/// The fence round `tables` of a keyspace and database of this name.
fn fence_of(cluster: &TestCluster, server: &Mysqld, keyspace: &str, uid: Uuid, tables: &[&str]) -> Fence {
    let login = cluster.login(server);
    let side = Side { label: format!("{keyspace}/0"), login, database: keyspace.parse().unwrap() };
    let home = if keyspace == "commerce" { "customer" } else { "commerce" };
    Fence {
        key: FenceKey { uid, keyspace: keyspace.parse().unwrap(), shard: "0".parse().unwrap() },
        side,
        workflow: "move".parse().unwrap(),
        tables: tables.iter().map(|table| table.parse().unwrap()).collect(),
        home: home.into(),
    }
}

/// Long enough for anything that is not held up.
const SOON: Duration = Duration::from_secs(5);

fn soon() -> Instant {
    Instant::now() + SOON
}

fn epoch(number: u64) -> Epoch {
    Epoch(number)
}

/// The server's error number, if that is what it was.
fn code(error: &Error) -> Option<u16> {
    match error {
        Error::Server(error) => Some(error.code),
        _ => None,
    }
}

/// Asserts that the fence turns the statement away; what it says.
async fn refused(conn: &mut Conn, sql: &str) -> String {
    match conn.query_drop(sql).await {
        Err(Error::Server(error)) if error.code == FENCE_ERRNO && error.state == "45000" => error.message,
        other => panic!("{sql} was not refused by the fence: {other:?}"),
    }
}

/// Asserts that the statement is taken.
async fn taken(conn: &mut Conn, sql: &str) {
    conn.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}
