//! SQL by `mysql_async` alone, panicking with the statement and the server's answer.

use std::collections::BTreeMap;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder, Row, Value};
use shardlift::local::{Account, Mysqld};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(120);

/// A database on a server, and the account to use it with.
#[derive(Debug, Clone)]
pub struct Db {
    opts: Opts,
    /// As failures name it: database and port.
    name: String,
}

/// Where many shards are taken, one database is one too.
impl AsRef<[Db]> for Db {
    fn as_ref(&self) -> &[Db] {
        std::slice::from_ref(self)
    }
}

impl Db {
    /// `database` on `server` as `account`, over TCP; it need not exist before it is used.
    pub fn new(server: &Mysqld, account: &Account, database: &str) -> Self {
        let opts = OptsBuilder::from_opts(server.opts(account));
        Self::over(opts, database, format!("{database} on port {}", server.port()))
    }

    /// `database` over connections made so; `name` is how failures name it.
    pub fn over(opts: OptsBuilder, database: &str, name: String) -> Self {
        // Without a default schema in the handshake, which would fail for one that is yet to be made.
        let setup = vec!["SET time_zone = '+00:00'".to_owned(), format!("USE `{database}`")];
        Self { opts: opts.setup(setup).into(), name }
    }

    /// A connection.
    pub async fn conn(&self) -> Conn {
        self.try_conn().await.unwrap_or_else(|error| panic!("connecting to {}: {error}", self.name))
    }

    /// A connection, where none is an answer too.
    pub async fn try_conn(&self) -> Result<Conn, Error> {
        match timeout(DEADLINE, Conn::new(self.opts.clone())).await {
            Ok(connected) => connected,
            Err(_) => panic!("connecting to {} took more than {} s", self.name, DEADLINE.as_secs()),
        }
    }

    /// Runs statements, separated by `;`.
    pub async fn exec(&self, sql: &str) {
        let mut conn = self.conn().await;
        self.within(sql, conn.query_drop(sql)).await;
        self.within("disconnecting", conn.disconnect()).await;
    }

    /// The same where an error is an answer too.
    pub async fn try_exec(&self, sql: &str) -> Result<(), Error> {
        let mut conn = self.try_conn().await?;
        match timeout(DEADLINE, conn.query_drop(sql)).await {
            Ok(done) => done,
            Err(_) => panic!("{}: no answer within {} s\nto: {sql}", self.name, DEADLINE.as_secs()),
        }
    }

    /// The first row of an answer by the names of its columns, without those that are NULL.
    pub async fn named(&self, sql: &str) -> BTreeMap<String, String> {
        let mut conn = self.conn().await;
        let row: Option<Row> = self.within(sql, conn.query_first(sql)).await;
        self.within("disconnecting", conn.disconnect()).await;
        let row = row.unwrap_or_else(|| panic!("{}: no row from {sql}", self.name));
        let names: Vec<String> = row.columns_ref().iter().map(|column| column.name_str().into_owned()).collect();
        names.into_iter().zip(row.unwrap()).filter_map(|(name, value)| Some((name, text(value)?))).collect()
    }

    /// A query's rows as text; `None` is NULL.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let mut conn = self.conn().await;
        let rows: Vec<Row> = self.within(sql, conn.query(sql)).await;
        self.within("disconnecting", conn.disconnect()).await;
        rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect()
    }

    /// The first column of the first row; it must be there and not NULL.
    pub async fn value(&self, sql: &str) -> String {
        let first = self.rows(sql).await.into_iter().next().and_then(|row| row.into_iter().next().flatten());
        first.unwrap_or_else(|| panic!("{}: no value from {sql}", self.name))
    }

    /// How failures name it.
    pub fn name(&self) -> &str {
        &self.name
    }

    async fn within<T>(&self, sql: &str, work: impl Future<Output = Result<T, Error>>) -> T {
        let short: String = sql.chars().take(300).collect();
        match timeout(DEADLINE, work).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => panic!("{}: {error}\nin: {short}", self.name),
            Err(_) => panic!("{}: no answer within {} s\nto: {short}", self.name, DEADLINE.as_secs()),
        }
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true)),
    }
}
