//! SHOW TABLES where the schema's name is not the keyspace's: its heading, which conditions may use too, tells the name, and
//! no rewriting of database names changes it. So the same is asked of `information_schema`.

use super::super::sql::{Edit, Filter};
use crate::mysql::quote::{ident, text};

/// The statement in other words: tables of `schema` under the name of `shown`.
pub(super) fn rewrite(sql: &[u8], full: bool, shown: &str, schema: &str, filter: Option<&Filter>) -> Edit {
    let pattern = match filter {
        Some(Filter::Like(pattern)) => format!(" ({pattern})"),
        _ => String::new(),
    };
    let heading = ident(&format!("Tables_in_{shown}{pattern}"));
    let (kind, shown_kind) = if full { (", TABLE_TYPE AS `Table_type`", ", `Table_type`") } else { ("", "") };
    let mut with = format!(
        "SELECT {heading}{shown_kind} FROM (SELECT TABLE_NAME AS {heading}{kind} FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = {}",
        text(schema)
    )
    .into_bytes();
    if let Some(Filter::Like(pattern)) = filter {
        // Whatever the sql_mode: as a hexadecimal literal, with the escape named.
        with.extend_from_slice(format!(" AND TABLE_NAME LIKE {} ESCAPE 0x5C", text(pattern)).as_bytes());
    }
    with.extend_from_slice(b") AS `tables`");
    if let Some(Filter::Where(range)) = filter {
        with.extend_from_slice(b" WHERE (");
        with.extend_from_slice(sql.get(range.clone()).unwrap_or_default());
        with.extend_from_slice(b")");
    }
    with.extend_from_slice(format!(" ORDER BY {heading}").as_bytes());
    Edit { span: 0..sql.len(), with }
}
