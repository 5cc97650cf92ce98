//! Secondary keys that may be left off while rows are copied and added afterwards.
//!
//! Each is taken as the line of `SHOW CREATE TABLE` that declares it, which is exactly what `ADD` accepts, comments,
//! parsers and visibility included. A key whose line is not found exactly once is simply not left off.

use crate::mysql::quote::ident;

use super::{ForeignKey, TableInfo};

/// A key to be left off and added later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondaryKey {
    /// Its name.
    pub name: String,
    /// Whether it forbids duplicates.
    pub unique: bool,
    /// What follows `ALTER TABLE t ` to add it: ``ADD KEY `k` (`a`)``.
    pub add: String,
}

/// The keys of a table that may be left off. Kept are: the key that rows are found by (`key`), any that an AUTO_INCREMENT
/// column or a foreign key (of the table or on it) may need, FULLTEXT and SPATIAL ones, and those over expressions, which
/// MySQL cannot add in place.
pub fn deferrable_keys(
    info: &TableInfo,
    create: &str,
    key: &str,
    foreign_keys: &[ForeignKey],
    database: &str,
) -> Vec<SecondaryKey> {
    let own = (database.to_owned(), info.name.clone());
    let needed_first = |column: &str| {
        let counts = info.columns.iter().any(|c| c.auto_increment && c.name == column);
        counts
            || foreign_keys.iter().any(|foreign| {
                foreign.child == own && foreign.child_columns.iter().any(|c| c == column)
                    || foreign.parent == own && foreign.parent_columns.iter().any(|c| c == column)
            })
    };
    info.keys
        .iter()
        .filter(|candidate| candidate.name != "PRIMARY" && candidate.name != key && candidate.method == "BTREE")
        .filter(|candidate| candidate.parts.iter().all(|part| part.column.is_some()))
        .filter(|candidate| {
            let first = candidate.parts.first().and_then(|part| part.column.as_deref());
            first.is_some_and(|column| !needed_first(column))
        })
        .filter_map(|candidate| {
            let kind = if candidate.unique { "UNIQUE KEY" } else { "KEY" };
            let start = format!("  {kind} {} (", ident(&candidate.name));
            let mut lines = create.lines().filter(|line| line.starts_with(&start));
            let (line, None) = (lines.next()?, lines.next()) else { return None };
            let declaration = line.trim_start().strip_suffix(',').unwrap_or(line.trim_start());
            Some(SecondaryKey {
                name: candidate.name.clone(),
                unique: candidate.unique,
                add: format!("ADD {declaration}"),
            })
        })
        .collect()
}

/// The statement that takes the keys off `table` (quoted, qualified), which was just created as the source has it; `None`
/// without keys.
pub fn drop_keys_statement(table: &str, keys: &[SecondaryKey]) -> Option<String> {
    let drops: Vec<String> = keys.iter().map(|key| format!("DROP KEY {}", ident(&key.name))).collect();
    (!drops.is_empty()).then(|| format!("ALTER TABLE {table} {}", drops.join(", ")))
}
