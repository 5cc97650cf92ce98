//! The columns of sharded tables as servers have them: read when a statement first names a table, and again now and then.
//!
//! A VSchema names the columns rows are sharded by, not their types; and what a value in a statement becomes when it is
//! stored, and how texts compare, is said by the types.
//!
//! Invariant: what is kept is a few hundred bytes for each table of the VSchemas.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::gateway::plan::{Column, TableColumns};
use crate::gateway::view::Tablet;
use crate::model::KeyspaceName;
use crate::mysql::admin::Session;
use crate::mysql::schema::{column_kind, read_tables};
use crate::mysql::{Credentials, MysqlError, quote};
use crate::sharding::KeyType;

/// How long a server has to tell them.
const PATIENCE: Duration = Duration::from_secs(10);
/// After how long they are read again.
const FRESH: Duration = Duration::from_secs(30);

/// What is known.
#[derive(Debug, Default)]
pub struct Columns(Mutex<HashMap<KeyspaceName, HashMap<String, Known>>>);

/// A table's columns; `None`: there is no such table.
#[derive(Debug, Clone)]
struct Known {
    columns: Option<Arc<TableColumns>>,
    read: Instant,
}

impl Columns {
    /// A table's columns, if they were read.
    pub fn get(&self, keyspace: &KeyspaceName, table: &str) -> Option<Arc<TableColumns>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(keyspace)?.get(table)?.columns.clone()
    }

    /// Those among the tables that have to be read, for the first time or again.
    pub fn stale<'t>(&self, keyspace: &KeyspaceName, tables: impl Iterator<Item = &'t str>) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get(keyspace);
        // One that was not there may be made at any moment.
        let fresh = |table: &str| {
            known
                .and_then(|known| known.get(table))
                .is_some_and(|one| one.columns.is_some() && one.read.elapsed() < FRESH)
        };
        let mut stale: Vec<String> = tables.filter(|table| !fresh(table)).map(str::to_owned).collect();
        stale.sort();
        stale.dedup();
        stale
    }

    /// Reads tables of a keyspace on one of its shards' primaries.
    pub async fn read(
        &self,
        keyspace: &KeyspaceName,
        tables: &[String],
        tablet: &Tablet,
        credentials: &Credentials,
    ) -> Result<(), MysqlError> {
        let record = &tablet.record;
        let login = credentials.resolve(record.credential.as_str())?.login(record.endpoint.clone(), None);
        let mut session = Session::open(&login, PATIENCE).await?;
        let found = read(&mut session, record.database.as_str(), tables).await;
        session.close().await;
        let found = found?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(keyspace.clone()).or_default();
        for table in tables {
            let columns = found.get(table).cloned();
            // The same as before stay the same, and plans that rest on them are still good.
            let before = known.get(table).and_then(|known| known.columns.clone());
            let columns = match (before, columns) {
                (Some(before), Some(now)) if *before == now => Some(before),
                (_, now) => now.map(Arc::new),
            };
            known.insert(table.clone(), Known { columns, read: Instant::now() });
        }
        Ok(())
    }
}

async fn read(
    session: &mut Session,
    database: &str,
    tables: &[String],
) -> Result<HashMap<String, TableColumns>, MysqlError> {
    let found = read_tables(session, database, Some(tables)).await?;
    let names = quote::text_list(tables.iter().map(String::as_str));
    let sql = format!(
        "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME IN {names} AND EXTRA \
         LIKE '%INVISIBLE%'",
        quote::text(database)
    );
    let hidden = session.rows(&sql).await?;
    let is_hidden = |table: &str, column: &str| {
        hidden.iter().any(|row| row.text(0).as_deref() == Some(table) && row.text(1).as_deref() == Some(column))
    };
    let lengths = session
        .rows(&format!(
            "SELECT TABLE_NAME, COLUMN_NAME, CHARACTER_MAXIMUM_LENGTH FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND \
             TABLE_NAME IN {names} AND CHARACTER_SET_NAME IS NOT NULL",
            quote::text(database)
        ))
        .await?;
    let most_chars = |table: &str, column: &str| {
        let row =
            lengths.iter().find(|row| row.text(0).as_deref() == Some(table) && row.text(1).as_deref() == Some(column));
        row.and_then(|row| row.number(2)).unwrap_or_default()
    };
    let mut blanks: HashMap<String, Option<Vec<u8>>> = HashMap::new();
    let mut all = HashMap::new();
    for table in found {
        let mut columns = Vec::new();
        for info in &table.columns {
            let kind = column_kind(info);
            let key = kind.as_ref().and_then(|kind| KeyType::of(kind).ok());
            let key = key.map(|key| key.declared(&info.data_type, most_chars(&table.name, &info.name)));
            let blank = match (&info.charset, &info.collation) {
                (Some(charset), Some(collation)) => match blanks.get(collation) {
                    Some(known) => known.clone(),
                    None => {
                        let blank = weight_of_blank(session, charset, collation).await?;
                        blanks.insert(collation.clone(), blank.clone());
                        blank
                    }
                },
                _ => None,
            };
            columns.push(Column {
                name: info.name.to_lowercase(),
                kind,
                key,
                blank,
                generated: info.generated,
                invisible: is_hidden(&table.name, &info.name),
                counts: info.auto_increment,
            });
        }
        all.insert(table.name.clone(), TableColumns { columns });
    }
    Ok(all)
}

/// The weight of a blank in a collation that takes no heed of blanks at the end.
async fn weight_of_blank(session: &mut Session, charset: &str, collation: &str) -> Result<Option<Vec<u8>>, MysqlError> {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !plain(charset) || !plain(collation) {
        return Ok(None);
    }
    // Equal to one blank more only where blanks at the end do not count.
    let sql = format!(
        "SELECT HEX(WEIGHT_STRING(CONVERT(' ' USING {charset}) COLLATE {collation})) FROM DUAL WHERE CONVERT('a' USING {charset}) COLLATE \
         {collation} = CONVERT('a ' USING {charset}) COLLATE {collation}"
    );
    let hex = session.row(&sql).await?.and_then(|row| row.text(0));
    Ok(hex.and_then(|hex| {
        let digits = hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
        digits.collect()
    }))
}
