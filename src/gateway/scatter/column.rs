//! Column definitions as servers send them.

use mysql_common::constants::{ColumnFlags, ColumnType};

use crate::mysql::wire::reply::lenenc;

/// The collation of bytes.
const BINARY: u16 = 63;

/// What of a column decides how its values are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnKind {
    /// Its type.
    pub column_type: ColumnType,
    /// Whether it is text, not bytes.
    pub text: bool,
    /// Whether it is a number without a sign.
    pub unsigned: bool,
    /// Digits behind the point.
    pub decimals: u8,
    /// Whether it is an ENUM or SET, whatever type is told.
    pub listed: bool,
}

/// Reads a column definition; `None` if it is none.
pub fn parse(packet: &[u8]) -> Option<ColumnKind> {
    let mut rest = packet;
    // Catalog, schema, table, original table, name, original name.
    for _ in 0..6 {
        let (length, after) = lenenc(rest)?;
        rest = after.get(usize::try_from(length).ok()?..)?;
    }
    let (_, fixed) = lenenc(rest)?;
    let (&[a, b], fixed) = fixed.split_first_chunk()?;
    let &[kind, low, high, decimals] = fixed.get(4..)?.first_chunk()?;
    let flags = ColumnFlags::from_bits_truncate(u16::from_le_bytes([low, high]));
    let column_type = ColumnType::try_from(kind).ok()?;
    use ColumnType as T;
    let string = matches!(
        column_type,
        T::MYSQL_TYPE_VARCHAR
            | T::MYSQL_TYPE_VAR_STRING
            | T::MYSQL_TYPE_STRING
            | T::MYSQL_TYPE_TINY_BLOB
            | T::MYSQL_TYPE_MEDIUM_BLOB
            | T::MYSQL_TYPE_LONG_BLOB
            | T::MYSQL_TYPE_BLOB
            | T::MYSQL_TYPE_ENUM
            | T::MYSQL_TYPE_SET
    );
    Some(ColumnKind {
        column_type,
        text: string && u16::from_le_bytes([a, b]) != BINARY,
        unsigned: flags.contains(ColumnFlags::UNSIGNED_FLAG),
        decimals,
        listed: flags.intersects(ColumnFlags::ENUM_FLAG | ColumnFlags::SET_FLAG),
    })
}
