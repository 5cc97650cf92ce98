//! A connection for ordinary statements, each under a deadline.

use std::time::Duration;

use mysql_async::{Conn, Row, Value, prelude::Queryable};

use crate::mysql::{
    MysqlError,
    conn::{connect, driver_error, query_rows, within},
    endpoint::{Address, Login},
    quote,
};

/// One session. After a [`MysqlError::Timeout`] the answer is still to come: drop it.
#[derive(Debug)]
pub struct Session {
    conn: Conn,
    address: Address,
    limit: Duration,
}

impl Session {
    /// Connects; `limit` holds for that and for each statement. The session speaks utf8mb4, UTC and the data path's
    /// sql_mode, so that `SHOW CREATE TABLE` and defaults read the same everywhere.
    pub async fn open(login: &Login, limit: Duration) -> Result<Self, MysqlError> {
        let conn = connect(login, &[], limit).await?;
        let mut session = Self { conn, address: login.endpoint.address.clone(), limit };
        let mode = quote::SQL_MODE;
        session
            .execute(&format!(
                "SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = '{mode}', sql_quote_show_create = 1, autocommit = 1, \
                 max_execution_time = 0, sql_select_limit = DEFAULT, sql_safe_updates = 0, group_concat_max_len = 1048576, \
                 wait_timeout = 86400, net_read_timeout = 600, net_write_timeout = 600"
            ))
            .await?;
        Ok(session)
    }

    /// Where it leads.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Changes the deadline of the following statements.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// All rows of a statement.
    pub async fn rows(&mut self, sql: &str) -> Result<Vec<Record>, MysqlError> {
        let rows = query_rows(&mut self.conn, sql, &self.address, self.limit).await?;
        Ok(rows.into_iter().map(Record).collect())
    }

    /// The first row of a statement.
    pub async fn row(&mut self, sql: &str) -> Result<Option<Record>, MysqlError> {
        Ok(self.rows(sql).await?.into_iter().next())
    }

    /// The first value of a statement, as text; `None` for no row or NULL.
    pub async fn value(&mut self, sql: &str) -> Result<Option<String>, MysqlError> {
        Ok(self.row(sql).await?.and_then(|record| record.text(0)))
    }

    /// Runs a statement and gives the rows it affected (found, for UPDATE).
    pub async fn execute(&mut self, sql: &str) -> Result<u64, MysqlError> {
        let address = self.address.to_string();
        let conn = &mut self.conn;
        let work = async {
            let result = conn.query_iter(sql).await.map_err(|error| driver_error(&address, error))?;
            let affected = result.affected_rows();
            result.drop_result().await.map_err(|error| driver_error(&address, error))?;
            Ok(affected)
        };
        within(&address, "a statement", self.limit, work).await
    }

    /// Says goodbye. Dropping a session does the same in the background.
    pub async fn close(self) {
        // The server ends the session either way; there is nothing left to lose in it.
        let _ = tokio::time::timeout(self.limit, self.conn.disconnect()).await;
    }
}

/// One row of a metadata answer.
#[derive(Debug)]
pub struct Record(Row);

impl Record {
    /// The value at `index` as text; `None` for NULL or no such column.
    pub fn text(&self, index: usize) -> Option<String> {
        match self.0.as_ref(index)? {
            Value::NULL => None,
            Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            other => Some(other.as_sql(true).trim_matches('\'').to_owned()),
        }
    }

    /// The value of the column called `name` (any case).
    pub fn named(&self, name: &str) -> Option<String> {
        let index = self.0.columns_ref().iter().position(|column| column.name_str().eq_ignore_ascii_case(name))?;
        self.text(index)
    }

    /// The value at `index` as an unsigned number; `None` for NULL, anything else than a number, or no such column.
    pub fn number(&self, index: usize) -> Option<u64> {
        self.text(index)?.parse().ok()
    }
}
