//! The one place where SQL text is made from names and values.
//!
//! Invariants:
//! - A value goes in as the canonical bytes of [`crate::model::ColumnKind`] and is stored as exactly that value, whatever
//!   the session's character set: byte strings carry the introducer `_binary`, JSON `_utf8mb4`.
//! - No byte of a name or value can leave its literal. What should be a number and is not one is quoted, so that the
//!   server refuses it.
//! - Statements run in a session set up by [`WRITER_SESSION`] or [`READER_SESSION`]: backslash escapes on (no
//!   `NO_BACKSLASH_ESCAPES`), time zone UTC.

mod json;
mod key;
mod load;
mod session;
mod value;

pub use json::holds_decimal;
pub use key::{
    NullInKey, push_key_columns, push_key_equals, push_key_in, push_key_literal, push_key_order, push_keyed_table,
    push_range_predicate,
};
pub use load::{OnDuplicate, load_data, push_load_field, push_load_row};
pub use session::{LENIENT_SQL_MODE, READER_SESSION, SQL_MODE, WRITER_SESSION};
pub use value::{insert_hint, is_enum_error, push_column_list, push_row, push_value, select_expr, select_list};

use crate::model::{DatabaseName, TableName};

/// Appends `name` as a quoted identifier.
pub fn push_ident(out: &mut Vec<u8>, name: &str) {
    out.push(b'`');
    for &byte in name.as_bytes() {
        if byte == b'`' {
            out.push(b'`');
        }
        out.push(byte);
    }
    out.push(b'`');
}

/// `name` as a quoted identifier.
pub fn ident(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// `` `database`.`table` ``.
pub fn table_name(database: &DatabaseName, table: &TableName) -> String {
    qualified(database.as_str(), table.as_str())
}

/// `` `schema`.`object` ``, for objects that are not tables of ours.
pub fn qualified(schema: &str, object: &str) -> String {
    format!("{}.{}", ident(schema), ident(object))
}

/// A text literal that means the same under every sql_mode and connection character set.
pub fn text(value: &str) -> String {
    let mut out = b"_utf8mb4 ".to_vec();
    push_hex(&mut out, value.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

/// `(a, b, c)` of text literals, for `IN`. Empty input gives a list that matches nothing.
pub fn text_list<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let list: Vec<String> = values.into_iter().map(text).collect();
    if list.is_empty() { "(NULL)".to_owned() } else { format!("({})", list.join(",")) }
}

/// Appends `X'…'`.
fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(2 * bytes.len() + 3);
    out.extend_from_slice(b"X'");
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
    out.push(b'\'');
}

/// Appends `'…'`, escaping quote and backslash: shorter than hexadecimal for all but the oddest bytes.
fn push_quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 2);
    out.push(b'\'');
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\'' | b'\\')) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', rest[at]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'\'');
}

/// Appends a number as it is; anything else quoted, for the server to refuse.
fn push_number(out: &mut Vec<u8>, bytes: &[u8]) {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let number = digits.first().is_some_and(u8::is_ascii_digit)
        && digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    if number { out.extend_from_slice(bytes) } else { push_quoted(out, bytes) }
}

/// Appends a floating-point literal: with an exponent, so that MySQL reads a double and not a decimal.
fn push_double(out: &mut Vec<u8>, bytes: &[u8]) {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let number = digits.first().is_some_and(u8::is_ascii_digit)
        && digits.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !number {
        return push_quoted(out, bytes);
    }
    out.extend_from_slice(bytes);
    if !digits.iter().any(|byte| matches!(byte, b'e' | b'E')) {
        out.extend_from_slice(b"e0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_leaves_its_literal() {
        assert_eq!(ident("a`b"), "`a``b`");
        assert_eq!(pushed(|o| push_ident(o, "a`b")), "`a``b`");
        assert_eq!(text("'"), "_utf8mb4 X'27'");
        assert_eq!(text_list([]), "(NULL)");
        assert_eq!(pushed(|o| push_quoted(o, b"a'b\\")), r"'a\'b\\'");
        assert_eq!(pushed(|o| push_number(o, b"-12.30")), "-12.30");
        assert_eq!(pushed(|o| push_number(o, b"1);drop")), "'1);drop'");
        assert_eq!(pushed(|o| push_number(o, b"--1")), "'--1'");
        assert_eq!(pushed(|o| push_number(o, b"")), "''");
        assert_eq!(pushed(|o| push_double(o, b"-0")), "-0e0");
        assert_eq!(pushed(|o| push_double(o, b"5e-324")), "5e-324");
    }
}
