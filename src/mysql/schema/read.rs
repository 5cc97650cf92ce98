//! The queries: a handful for any number of tables.

use std::collections::HashMap;

use crate::mysql::{MysqlError, admin::Session, quote};

use super::{ColumnInfo, ForeignKey, KeyInfo, KeyPart, TableInfo};

/// More names than this are not listed in the statement: the whole schema is read and sifted here.
const LISTED: usize = 500;

/// Describes the tables and views of `database`: all of them, or those in `names`, in the server's order of names. What
/// does not exist is not in the answer. Rows and sizes are as fresh as InnoDB has them.
pub async fn read_tables(
    session: &mut Session,
    database: &str,
    names: Option<&[String]>,
) -> Result<Vec<TableInfo>, MysqlError> {
    // Cached statistics may be a day old, or NULL. A GIPK must show even where the server hides it.
    session.execute("SET SESSION information_schema_stats_expiry = 0").await?;
    if session.row("SHOW VARIABLES LIKE 'show_gipk_in_create_table_and_information_schema'").await?.is_some() {
        session.execute("SET SESSION show_gipk_in_create_table_and_information_schema = ON").await?;
    }
    let schema = quote::text(database);
    let only = match names {
        Some(names) if names.len() <= LISTED => {
            format!(" AND TABLE_NAME IN {}", quote::text_list(names.iter().map(String::as_str)))
        }
        _ => String::new(),
    };
    let wanted: Option<std::collections::HashSet<&str>> = names.map(|names| names.iter().map(String::as_str).collect());
    let tables = format!(
        "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_COLLATION, TABLE_ROWS, AVG_ROW_LENGTH, DATA_LENGTH \
         FROM information_schema.TABLES WHERE TABLE_SCHEMA = {schema}{only} ORDER BY TABLE_NAME"
    );
    let mut found = Vec::new();
    let mut index = HashMap::new();
    for row in session.rows(&tables).await? {
        let name = row.text(0).unwrap_or_default();
        if wanted.as_ref().is_some_and(|wanted| !wanted.contains(name.as_str())) {
            continue;
        }
        index.insert(name.clone(), found.len());
        found.push(TableInfo {
            name,
            base_table: row.text(1).as_deref() == Some("BASE TABLE"),
            engine: row.text(2).unwrap_or_default(),
            collation: row.text(3).unwrap_or_default(),
            approx_rows: row.number(4).unwrap_or_default(),
            avg_row_bytes: row.number(5).unwrap_or_default(),
            data_bytes: row.number(6).unwrap_or_default(),
            ..TableInfo::default()
        });
    }
    read_columns(session, &schema, &only, &index, &mut found).await?;
    read_keys(session, &schema, &only, &index, &mut found).await?;
    Ok(found)
}

async fn read_columns(
    session: &mut Session,
    schema: &str,
    only: &str,
    index: &HashMap<String, usize>,
    found: &mut [TableInfo],
) -> Result<(), MysqlError> {
    let columns = format!(
        "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, \
         CHARACTER_OCTET_LENGTH, IS_NULLABLE, GENERATION_EXPRESSION, EXTRA \
         FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {schema}{only} ORDER BY TABLE_NAME, ORDINAL_POSITION"
    );
    for row in session.rows(&columns).await? {
        let Some(&at) = row.text(0).as_ref().and_then(|name| index.get(name)) else { continue };
        let extra = row.text(9).unwrap_or_default();
        found[at].columns.push(ColumnInfo {
            name: row.text(1).unwrap_or_default(),
            data_type: row.text(2).unwrap_or_default(),
            column_type: row.text(3).unwrap_or_default(),
            charset: row.text(4),
            collation: row.text(5),
            octets: row.number(6),
            nullable: row.text(7).as_deref() == Some("YES"),
            // DEFAULT_GENERATED in EXTRA is a mere default expression.
            generated: row.text(8).is_some_and(|expression| !expression.is_empty()),
            expression: row.text(8).unwrap_or_default(),
            stored: extra.contains("STORED GENERATED"),
            auto_increment: extra.contains("auto_increment"),
        });
    }
    Ok(())
}

async fn read_keys(
    session: &mut Session,
    schema: &str,
    only: &str,
    index: &HashMap<String, usize>,
    found: &mut [TableInfo],
) -> Result<(), MysqlError> {
    let keys = format!(
        "SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART, INDEX_TYPE, IS_VISIBLE \
         FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {schema}{only} \
         ORDER BY TABLE_NAME, INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX"
    );
    for row in session.rows(&keys).await? {
        let Some(&at) = row.text(0).as_ref().and_then(|name| index.get(name)) else { continue };
        let name = row.text(1).unwrap_or_default();
        let keys = &mut found[at].keys;
        let part = KeyPart { column: row.text(3), prefix: row.number(4) };
        match keys.last_mut() {
            Some(last) if last.name == name => last.parts.push(part),
            _ => keys.push(KeyInfo {
                name,
                unique: row.text(2).as_deref() == Some("0"),
                visible: row.text(6).as_deref() != Some("NO"),
                method: row.text(5).unwrap_or_default(),
                parts: vec![part],
            }),
        }
    }
    Ok(())
}

/// All foreign keys that belong to or refer to a table of `database`. Only those on tables the session may see.
pub async fn read_foreign_keys(session: &mut Session, database: &str) -> Result<Vec<ForeignKey>, MysqlError> {
    let schema = quote::text(database);
    let sql = format!(
        "SELECT c.CONSTRAINT_NAME, k.TABLE_SCHEMA, k.TABLE_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME, \
         c.UPDATE_RULE, c.DELETE_RULE, k.COLUMN_NAME, k.REFERENCED_COLUMN_NAME \
         FROM information_schema.REFERENTIAL_CONSTRAINTS c JOIN information_schema.KEY_COLUMN_USAGE k \
         ON k.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA AND k.CONSTRAINT_NAME = c.CONSTRAINT_NAME \
         AND k.TABLE_NAME = c.TABLE_NAME \
         WHERE c.CONSTRAINT_SCHEMA = {schema} OR c.UNIQUE_CONSTRAINT_SCHEMA = {schema} \
         ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, c.CONSTRAINT_NAME, k.ORDINAL_POSITION"
    );
    let mut found: Vec<ForeignKey> = Vec::new();
    for row in session.rows(&sql).await? {
        let get = |index| row.text(index).unwrap_or_default();
        let (name, child, parent) = (get(0), (get(1), get(2)), (get(3), get(4)));
        match found.last_mut() {
            Some(last) if last.name == name && last.child == child => {
                last.child_columns.push(get(7));
                last.parent_columns.push(get(8));
            }
            _ => found.push(ForeignKey {
                name,
                child,
                child_columns: vec![get(7)],
                parent,
                parent_columns: vec![get(8)],
                on_update: get(5),
                on_delete: get(6),
            }),
        }
    }
    Ok(found)
}
