//! Rows as servers send them, text or binary: where their values are, and rows with fewer of them.

use std::ops::Range;

use mysql_common::constants::ColumnType;

use super::column::ColumnKind;
use crate::mysql::wire::reply::lenenc;

/// Which protocol rows are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// COM_QUERY's.
    Text,
    /// COM_STMT_EXECUTE's.
    Binary,
}

/// Where a row's values are; `None` is NULL. Of a text they leave out the length before it.
pub type Values = Vec<Option<Range<usize>>>;

/// Finds a row's values.
pub fn values(packet: &[u8], columns: &[ColumnKind], form: Form) -> Option<Values> {
    let mut found = Vec::with_capacity(columns.len());
    let mut at = 0;
    if form == Form::Binary {
        at = 1 + (columns.len() + 2).div_ceil(8);
    }
    for (index, column) in columns.iter().enumerate() {
        match form {
            Form::Text if packet.get(at) == Some(&0xFB) => {
                found.push(None);
                at += 1;
            }
            Form::Binary if is_null(packet, index) => found.push(None),
            _ => {
                let range = value(packet, at, column, form)?;
                at = range.end;
                found.push(Some(range));
            }
        }
    }
    (at == packet.len()).then_some(found)
}

fn is_null(packet: &[u8], index: usize) -> bool {
    let bit = index + 2;
    packet.get(1 + bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
}

fn value(packet: &[u8], at: usize, column: &ColumnKind, form: Form) -> Option<Range<usize>> {
    use ColumnType as T;
    let fixed = match (form, column.column_type) {
        (Form::Text, _) => None,
        (_, T::MYSQL_TYPE_TINY) => Some(1),
        (_, T::MYSQL_TYPE_SHORT | T::MYSQL_TYPE_YEAR) => Some(2),
        (_, T::MYSQL_TYPE_LONG | T::MYSQL_TYPE_INT24 | T::MYSQL_TYPE_FLOAT) => Some(4),
        (_, T::MYSQL_TYPE_LONGLONG | T::MYSQL_TYPE_DOUBLE) => Some(8),
        _ => None,
    };
    let (start, length) = match fixed {
        Some(length) => (at, length),
        None => {
            let rest = packet.get(at..)?;
            let (length, after) = lenenc(rest)?;
            (at + rest.len() - after.len(), usize::try_from(length).ok()?)
        }
    };
    let range = start..start.checked_add(length)?;
    (range.end <= packet.len()).then_some(range)
}

/// A row with its first `shown` values only.
pub fn cut(packet: &[u8], values: &Values, shown: usize, form: Form, out: &mut Vec<u8>) {
    let end = values.iter().take(shown).flatten().next_back().map(|range| range.end);
    match form {
        Form::Text => {
            // NULLs behind the last value are a byte each.
            let nulls = values.iter().take(shown).rev().take_while(|value| value.is_none()).count();
            let end = end.unwrap_or(0) + nulls;
            out.extend_from_slice(packet.get(..end).unwrap_or_default());
        }
        Form::Binary => {
            let (all, fewer) = ((values.len() + 2).div_ceil(8), (shown + 2).div_ceil(8));
            out.push(0);
            let bitmap = packet.get(1..1 + fewer).unwrap_or_default();
            out.extend_from_slice(bitmap);
            // Bits of those that are left out are not to be seen.
            let used = shown + 2;
            if let (Some(last), true) = (out.last_mut(), !used.is_multiple_of(8)) {
                *last &= (1u8 << (used % 8)) - 1;
            }
            out.extend_from_slice(packet.get(1 + all..end.unwrap_or(1 + all)).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(column_type: ColumnType) -> ColumnKind {
        ColumnKind { column_type, text: false, unsigned: false, decimals: 0, listed: false }
    }

    #[test]
    fn text_rows_lose_their_last_values() {
        let columns = [kind(ColumnType::MYSQL_TYPE_LONG); 4];
        let packet = b"\x011\xfb\xfb\x02xy";
        let found = values(packet, &columns, Form::Text).unwrap();
        assert_eq!(found, [Some(1..2), None, None, Some(5..7)]);
        for (shown, left) in [(4, &packet[..]), (3, b"\x011\xfb\xfb"), (2, b"\x011\xfb"), (1, b"\x011")] {
            let mut out = Vec::new();
            cut(packet, &found, shown, Form::Text, &mut out);
            assert_eq!(out, left);
        }
        assert_eq!(values(b"\x011", &columns, Form::Text), None);
    }

    #[test]
    fn binary_rows_lose_their_last_values() {
        use ColumnType as T;
        let columns = [
            kind(T::MYSQL_TYPE_LONG),
            kind(T::MYSQL_TYPE_VAR_STRING),
            kind(T::MYSQL_TYPE_TINY),
            kind(T::MYSQL_TYPE_STRING),
        ];
        // The second is NULL.
        let packet = b"\x00\x08\x01\x00\x00\x00\x07\x01w";
        let found = values(packet, &columns, Form::Binary).unwrap();
        assert_eq!(found, [Some(2..6), None, Some(6..7), Some(8..9)]);
        let mut out = Vec::new();
        cut(packet, &found, 2, Form::Binary, &mut out);
        assert_eq!(out, b"\x00\x08\x01\x00\x00\x00");
        out.clear();
        cut(packet, &found, 1, Form::Binary, &mut out);
        assert_eq!(out, b"\x00\x00\x01\x00\x00\x00");
    }
}
