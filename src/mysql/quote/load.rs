//! `LOAD DATA LOCAL INFILE … CHARACTER SET binary`: the statement and the encoding of its fields.
//!
//! Fields end with a tab, lines with a newline, a backslash escapes, NULL is `\N`. With LOCAL the server turns errors in
//! data into warnings: whoever loads compares the affected rows and the warnings with what was sent.
//!
//! A field is a text and never an expression, so a JSON document that [`super::holds_decimal`] must not come this way.

use crate::model::{ColumnKind, DatabaseName, Row, TableDef};

use super::{ident, table_name};

/// What `LOAD DATA` does with a row whose key is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDuplicate {
    /// The new row wins. It also removes rows that hold one of its other unique values, without a warning: only for
    /// tables without another unique key on the target.
    Replace,
    /// The new row is skipped with a warning (LOCAL knows no error here): for tables known to be empty.
    Skip,
}

/// The statement that loads rows encoded by [`push_load_row`]. The file name is one that no server-side file can have.
pub fn load_data(database: &DatabaseName, table: &TableDef, on_duplicate: OnDuplicate) -> String {
    let target = table_name(database, &table.name);
    let duplicates = match on_duplicate {
        OnDuplicate::Replace => "REPLACE",
        OnDuplicate::Skip => "IGNORE",
    };
    let mut columns = Vec::with_capacity(table.columns.len());
    let mut sets = Vec::new();
    for (index, column) in table.columns.iter().enumerate() {
        let name = ident(&column.name);
        match set_expression(&column.kind, index) {
            Some(expression) => {
                columns.push(format!("@v{index}"));
                sets.push(format!("{name}={expression}"));
            }
            None => columns.push(name),
        }
    }
    let set = if sets.is_empty() { String::new() } else { format!(" SET {}", sets.join(",")) };
    format!(
        "LOAD DATA LOCAL INFILE 'shardlift' {duplicates} INTO TABLE {target} CHARACTER SET binary \
         FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' ({}){set}",
        columns.join(",")
    )
}

/// Kinds whose field goes through a variable: JSON is refused as a binary string, and a number in a text field would be
/// looked up among the labels of an ENUM or SET first (`ENUM('2','1')`).
fn set_expression(kind: &ColumnKind, index: usize) -> Option<String> {
    match kind {
        ColumnKind::Json => Some(format!("CONVERT(@v{index} USING utf8mb4)")),
        ColumnKind::Enum | ColumnKind::Set => Some(format!("CAST(@v{index} AS UNSIGNED)")),
        _ => None,
    }
}

/// Appends one field: the canonical bytes, escaped. The same for every kind.
pub fn push_load_field(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(value) = value else {
        return out.extend_from_slice(b"\\N");
    };
    let mut rest = value;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\t' | b'\n')) {
        out.extend_from_slice(&rest[..at]);
        // A backslash before any byte but 0 b n r t Z N means that byte itself, a real tab or newline included.
        out.extend_from_slice(&[b'\\', rest[at]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Appends one line.
pub fn push_load_row(out: &mut Vec<u8>, row: &Row) {
    for (index, value) in row.values().enumerate() {
        if index > 0 {
            out.push(b'\t');
        }
        push_load_field(out, value);
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_escaped_and_null_is_apart() {
        let row: Row = [Some(&b"a\tb\nc\\"[..]), None, Some(b"\\N"), Some(b"")].into_iter().collect();
        let mut out = Vec::new();
        push_load_row(&mut out, &row);
        assert_eq!(out, b"a\\\tb\\\nc\\\\\t\\N\t\\\\N\t\n");
    }
}
