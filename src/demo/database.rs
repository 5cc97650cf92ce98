//! A database on one of the demo's servers, reached with `mysql_async` through the server's socket or the gateway.
//!
//! Nothing of the engine's own ways to MySQL is used here: who proves must not stand on what is to be proven.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use tokio::time::timeout;

use super::DemoError;
use crate::local::Account;
use crate::local::cluster::{Cluster, Member};

/// One statement; a sort of a table of millions is the longest.
const DEADLINE: Duration = Duration::from_secs(300);

/// A keyspace's database, and who asks.
#[derive(Clone)]
pub(super) struct Database {
    /// The keyspace.
    pub(super) name: &'static str,
    opts: Opts,
}

impl Database {
    /// The database of an unsharded keyspace; its name is the keyspace's.
    pub(super) fn new(cluster: &Cluster, name: &'static str, account: &Account) -> Result<Self, DemoError> {
        let member = cluster.members().iter().find(|member| member.keyspace.name.as_str() == name);
        let missing = || DemoError::Unexpected { database: name, what: "it has no server".into() };
        Ok(Self::on(member.ok_or_else(missing)?, name, name, account))
    }

    /// The database `schema` on one of the servers; errors call it `name`.
    pub(super) fn on(member: &Member, name: &'static str, schema: &str, account: &Account) -> Self {
        let opts = OptsBuilder::default()
            .socket(Some(member.server.socket().to_string_lossy()))
            .user(Some(&account.user))
            .pass(Some(&account.password))
            .db_name(Some(schema));
        Self { name, opts: opts.into() }
    }

    /// The same, through the gateway that listens at `port` of this machine.
    pub(super) fn through(port: u16, name: &'static str, account: &Account) -> Self {
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(port)
            // Or it would look for the server behind the gateway and connect past it.
            .prefer_socket(false)
            .user(Some(&account.user))
            .pass(Some(&account.password))
            .db_name(Some(name));
        Self { name, opts: opts.into() }
    }

    pub(super) async fn connect(&self) -> Result<Conn, DemoError> {
        self.within("connecting", Conn::new(self.opts.clone())).await
    }

    pub(super) async fn execute(&self, conn: &mut Conn, doing: &'static str, sql: &str) -> Result<(), DemoError> {
        self.within(doing, conn.query_drop(sql)).await
    }

    /// The first value of the first row, as text.
    pub(super) async fn value(&self, conn: &mut Conn, doing: &'static str, sql: &str) -> Result<String, DemoError> {
        let value: Option<String> = self.within(doing, conn.query_first(sql)).await?;
        value.ok_or_else(|| DemoError::Unexpected { database: self.name, what: format!("{doing}: no answer") })
    }

    /// Gives a request its deadline and its place in the error.
    pub(super) async fn within<T>(
        &self,
        doing: &'static str,
        request: impl Future<Output = Result<T, mysql_async::Error>>,
    ) -> Result<T, DemoError> {
        match timeout(DEADLINE, request).await {
            Ok(answer) => answer.map_err(|source| DemoError::Sql { database: self.name, doing, source }),
            Err(_) => Err(DemoError::Timeout { database: self.name, doing, after: DEADLINE }),
        }
    }
}
