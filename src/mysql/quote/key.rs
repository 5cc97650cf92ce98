//! Keys in `WHERE`: equality, lists and ranges that the index serves, compared by the server under the column's own rules.
//!
//! Key values come as a [`Row`] with the values of the key's columns, in key order.

use crate::model::{Column, ColumnKind, DatabaseName, Row, TableDef};

use super::{push_double, push_hex, push_ident, push_number, push_quoted};

/// A key value is NULL, where the key was NOT NULL: the table has changed under us. Such a predicate would match nothing
/// and lose rows without a word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "key column {column} of table {table} is NULL in a row; the key was NOT NULL when the workflow began: restart it"
)]
pub struct NullInKey {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
}

/// Appends the literal that compares with a key column of `kind` under that column's own collation, usable by its index.
pub fn push_key_literal(out: &mut Vec<u8>, kind: &ColumnKind, value: &[u8]) {
    match kind {
        ColumnKind::Int { .. } | ColumnKind::Decimal | ColumnKind::Enum | ColumnKind::Set => push_number(out, value),
        ColumnKind::Float | ColumnKind::Double => push_double(out, value),
        ColumnKind::Year | ColumnKind::Date | ColumnKind::Time | ColumnKind::Datetime | ColumnKind::Timestamp => {
            push_quoted(out, value);
        }
        // A string compares with BIT as a number too, but not through the index.
        ColumnKind::Bit if value.len() <= 8 => {
            let number = value.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            out.extend_from_slice(number.to_string().as_bytes());
        }
        ColumnKind::Text { charset, collation } => {
            out.push(b'_');
            push_word(out, charset);
            out.push(b' ');
            push_hex(out, value);
            out.extend_from_slice(b" COLLATE ");
            push_word(out, collation);
        }
        ColumnKind::Binary { .. } | ColumnKind::Bit | ColumnKind::Json | ColumnKind::Geometry | ColumnKind::Vector => {
            push_hex(out, value)
        }
    }
}

/// Character set and collation names are words; nothing else may pass from a server into our SQL.
fn push_word(out: &mut Vec<u8>, word: &str) {
    out.extend(word.bytes().filter(|byte| byte.is_ascii_alphanumeric() || *byte == b'_'));
}

/// Appends `` `a`,`b` ``: the key's columns.
pub fn push_key_columns(out: &mut Vec<u8>, table: &TableDef) {
    for (index, column) in table.key_columns().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_ident(out, &column.name);
    }
}

/// Appends `` `database`.`table` FORCE INDEX (`key`) ``: what a chunk is read from.
pub fn push_keyed_table(out: &mut Vec<u8>, database: &DatabaseName, table: &TableDef) {
    push_ident(out, database.as_str());
    out.push(b'.');
    push_ident(out, table.name.as_str());
    out.extend_from_slice(b" FORCE INDEX (");
    push_ident(out, &table.key.name);
    out.push(b')');
}

/// Appends `` ORDER BY `a`,`b` ``, each column DESC where `descending`.
pub fn push_key_order(out: &mut Vec<u8>, table: &TableDef, descending: bool) {
    out.extend_from_slice(b" ORDER BY ");
    for (index, column) in table.key_columns().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_ident(out, &column.name);
        if descending {
            out.extend_from_slice(b" DESC");
        }
    }
}

/// Appends `` `a`=1 AND `b`=2 ``.
pub fn push_key_equals(out: &mut Vec<u8>, table: &TableDef, key: &Row) -> Result<(), NullInKey> {
    for (index, part) in parts(table, key)?.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b" AND ");
        }
        part.push(out, b"=");
    }
    Ok(())
}

/// Appends `` `a` IN (1,2) ``, `` (`a`,`b`) IN ((1,2),(3,4)) `` or, where that would be wrong, an OR of equalities.
/// Without keys it matches nothing.
pub fn push_key_in<'a>(
    out: &mut Vec<u8>,
    table: &TableDef,
    keys: impl IntoIterator<Item = &'a Row>,
) -> Result<(), NullInKey> {
    // Within a row constructor MySQL compares an ENUM or SET with a number by its label (seen on 9.7).
    let by_label = table.key_columns().any(|column| matches!(column.kind, ColumnKind::Enum | ColumnKind::Set));
    let row = table.key.columns.len() > 1;
    let mut keys = keys.into_iter().peekable();
    if keys.peek().is_none() {
        out.extend_from_slice(b"FALSE");
    } else if row && by_label {
        out.push(b'(');
        for (index, key) in keys.enumerate() {
            out.extend_from_slice(if index > 0 { b" OR (" } else { b"(" });
            push_key_equals(out, table, key)?;
            out.push(b')');
        }
        out.push(b')');
    } else {
        let (open, close): (&[u8], &[u8]) = if row { (b"(", b")") } else { (b"", b"") };
        out.extend_from_slice(open);
        push_key_columns(out, table);
        out.extend_from_slice(close);
        out.extend_from_slice(b" IN (");
        for (index, key) in keys.enumerate() {
            out.extend_from_slice(if index > 0 { b"," } else { b"" });
            out.extend_from_slice(open);
            for (place, part) in parts(table, key)?.iter().enumerate() {
                out.extend_from_slice(if place > 0 { b"," } else { b"" });
                push_key_literal(out, &part.column.kind, part.value);
            }
            out.extend_from_slice(close);
        }
        out.push(b')');
    }
    Ok(())
}

/// Appends the predicate of the keys in `(after, upto]`; either end may be open, both give `TRUE`.
///
/// Written out as `a >= x AND (a > x OR (a = x AND (b > y OR (b = y AND c > z))))`: MySQL reads a row comparison
/// `(a,b,c) > (x,y,z)` without the index's range, this one with it (EXPLAIN on 9.7; needs
/// `range_optimizer_max_mem_size=0` for long keys). An ENUM or SET as first column ranges only between two near ends:
/// there the values are listed, which is all that the optimizer takes; else such an index is scanned from its start.
pub fn push_range_predicate(
    out: &mut Vec<u8>,
    table: &TableDef,
    after: Option<&Row>,
    upto: Option<&Row>,
) -> Result<(), NullInKey> {
    let after = after.map(|key| parts(table, key)).transpose()?;
    let upto = upto.map(|key| parts(table, key)).transpose()?;
    if let (Some(after), Some(upto)) = (&after, &upto) {
        push_value_list(out, &after[0], &upto[0]);
    }
    match (&after, &upto) {
        (None, None) => out.extend_from_slice(b"TRUE"),
        (Some(after), None) => push_side(out, after, b">", b">"),
        (None, Some(upto)) => push_side(out, upto, b"<", b"<="),
        (Some(after), Some(upto)) => {
            push_side(out, after, b">", b">");
            out.extend_from_slice(b" AND ");
            push_side(out, upto, b"<", b"<=");
        }
    }
    Ok(())
}

/// One key column and its value.
struct Part<'a> {
    column: &'a Column,
    value: &'a [u8],
}

impl Part<'_> {
    fn push(&self, out: &mut Vec<u8>, operator: &[u8]) {
        push_ident(out, &self.column.name);
        out.extend_from_slice(operator);
        push_key_literal(out, &self.column.kind, self.value);
    }
}

fn parts<'a>(table: &'a TableDef, key: &'a Row) -> Result<Vec<Part<'a>>, NullInKey> {
    let part = |(column, value): (&'a Column, Option<&'a [u8]>)| match value {
        Some(value) => Ok(Part { column, value }),
        None => Err(NullInKey { table: table.name.to_string(), column: column.name.clone() }),
    };
    table.key_columns().zip(key.values()).map(part).collect()
}

/// `a >= x AND (a > x OR (a = x AND (…)))`, the innermost comparison being `last`.
fn push_side(out: &mut Vec<u8>, parts: &[Part<'_>], strict: &[u8], last: &[u8]) {
    let Some((innermost, outer)) = parts.split_last() else {
        return out.extend_from_slice(b"TRUE");
    };
    if let Some(first) = outer.first() {
        first.push(out, &[strict, b"="].concat());
        out.extend_from_slice(b" AND ");
    }
    for part in outer {
        out.push(b'(');
        part.push(out, strict);
        out.extend_from_slice(b" OR (");
        part.push(out, b"=");
        out.extend_from_slice(b" AND ");
    }
    innermost.push(out, last);
    for _ in outer {
        out.extend_from_slice(b"))");
    }
}

/// `e IN (2,3,4) AND `, where the first key column is an ENUM or SET and the ends are not far apart.
fn push_value_list(out: &mut Vec<u8>, after: &Part<'_>, upto: &Part<'_>) {
    const LISTED: u64 = 4096;
    let number = |part: &Part<'_>| std::str::from_utf8(part.value).ok().and_then(|text| text.parse::<u64>().ok());
    if !matches!(after.column.kind, ColumnKind::Enum | ColumnKind::Set) {
        return;
    }
    if let (Some(low), Some(high)) = (number(after), number(upto))
        && low <= high
        && high - low < LISTED
    {
        let list: Vec<String> = (low..=high).map(|value| value.to_string()).collect();
        push_ident(out, &after.column.name);
        out.extend_from_slice(format!(" IN ({}) AND ", list.join(",")).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Key, TableName};

    fn table(kinds: &[ColumnKind]) -> TableDef {
        let column = |(ordinal, kind): (usize, &ColumnKind)| Column {
            name: ["a", "b", "c"][ordinal].into(),
            kind: kind.clone(),
            nullable: false,
            zerofill: false,
            ordinal,
        };
        TableDef {
            name: TableName::new("t").unwrap(),
            columns: kinds.iter().enumerate().map(column).collect(),
            column_count: kinds.len(),
            key: Key { name: "PRIMARY".into(), columns: (0..kinds.len()).collect() },
            other_unique: false,
            cascades: false,
            sharding: vec![],
        }
    }

    fn row(values: &[&[u8]]) -> Row {
        values.iter().map(|value| Some(*value)).collect()
    }

    fn range(table: &TableDef, after: Option<&Row>, upto: Option<&Row>) -> String {
        let mut out = Vec::new();
        push_range_predicate(&mut out, table, after, upto).unwrap();
        String::from_utf8(out).unwrap()
    }

    const INT: ColumnKind = ColumnKind::Int { width: 8, unsigned: false };

    #[test]
    fn ranges_open_and_closed() {
        let one = table(&[INT]);
        assert_eq!(range(&one, None, None), "TRUE");
        assert_eq!(range(&one, Some(&row(&[b"-1"])), Some(&row(&[b"7"]))), "`a`>-1 AND `a`<=7");
        let two = table(&[INT, INT]);
        assert_eq!(
            range(&two, Some(&row(&[b"1", b"2"])), Some(&row(&[b"3", b"4"]))),
            "`a`>=1 AND (`a`>1 OR (`a`=1 AND `b`>2)) AND `a`<=3 AND (`a`<3 OR (`a`=3 AND `b`<=4))"
        );
        let listed = table(&[ColumnKind::Enum, INT]);
        assert!(
            range(&listed, Some(&row(&[b"1", b"2"])), Some(&row(&[b"3", b"4"]))).starts_with("`a` IN (1,2,3) AND ")
        );
    }

    #[test]
    fn a_null_key_is_an_error() {
        let null: Row = [None].into_iter().collect();
        assert!(push_key_equals(&mut Vec::new(), &table(&[INT]), &null).is_err());
    }

    #[test]
    fn lists_and_literals() {
        let text = ColumnKind::Text { charset: "utf16".into(), collation: "utf16_bin".into() };
        let two = table(&[text, ColumnKind::Bit]);
        let mut out = Vec::new();
        push_key_in(&mut out, &two, &[row(&[b"\0a", b"\x01\x02"]), row(&[b"", b"\0"])]).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "(`a`,`b`) IN ((_utf16 X'0061' COLLATE utf16_bin,258),(_utf16 X'' COLLATE utf16_bin,0))"
        );
    }
}
