//! How values of rows compare.

use std::cmp::Ordering;

use mysql_common::constants::ColumnType;

use super::MergeError;
use super::column::ColumnKind;
use super::decimal::Decimal;
use super::row::{Form, Values};
use crate::gateway::plan::spread::{Key, Order, Place};

/// A value that can be compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL, before everything else.
    Null,
    /// A whole number, and moments counted in microseconds.
    Int(i128),
    /// A decimal number.
    Decimal(Decimal),
    /// A number that is not exact.
    Double(f64),
    /// Bytes, dates and moments as they are written.
    Bytes(Vec<u8>),
    /// A text's weight, with the weight of a blank if blanks at the end do not count.
    Weight(Vec<u8>, Option<Vec<u8>>),
}

/// What rows are compared by, found in the columns of an answer.
#[derive(Debug, Clone)]
pub struct Comparer {
    keys: Vec<(usize, ColumnKind, Key, bool)>,
    form: Form,
}

impl Comparer {
    /// For these keys among these columns, of which the last `hidden` were asked for besides.
    pub fn new<'k>(
        keys: impl Iterator<Item = (&'k Key, bool)>,
        columns: &[ColumnKind],
        hidden: usize,
        form: Form,
    ) -> Result<Self, MergeError> {
        let mut found = Vec::new();
        for (key, descending) in keys {
            let index = index(key.place, columns.len(), hidden);
            let column =
                index.and_then(|index| columns.get(index)).ok_or(MergeError::Malformed("a column is missing"))?;
            if !key.weight {
                check(column)?;
            }
            found.push((index.unwrap_or_default(), *column, key.clone(), descending));
        }
        Ok(Self { keys: found, form })
    }

    /// The same for ORDER BY.
    pub fn ordering(order: &[Order], columns: &[ColumnKind], hidden: usize, form: Form) -> Result<Self, MergeError> {
        Self::new(order.iter().map(|order| (&order.key, order.descending)), columns, hidden, form)
    }

    /// Whether there is nothing to compare by.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The values of a row that count.
    pub fn values(&self, packet: &[u8], values: &Values) -> Result<Vec<Value>, MergeError> {
        self.keys.iter().map(|(index, column, key, _)| read(packet, values, *index, column, key, self.form)).collect()
    }

    /// How two rows' values compare.
    pub fn compare(&self, one: &[Value], other: &[Value]) -> Ordering {
        for ((one, other), (.., descending)) in one.iter().zip(other).zip(&self.keys) {
            let ordering = one.order(other);
            if ordering != Ordering::Equal {
                return if *descending { ordering.reverse() } else { ordering };
            }
        }
        Ordering::Equal
    }

    /// The same bytes for all rows that compare as equal.
    pub fn group(&self, packet: &[u8], values: &Values) -> Result<Vec<u8>, MergeError> {
        let mut bytes = Vec::new();
        for value in self.values(packet, values)? {
            value.hash_into(&mut bytes);
        }
        Ok(bytes)
    }
}

/// Where a column is.
pub fn index(place: Place, columns: usize, hidden: usize) -> Option<usize> {
    match place {
        Place::Shown(index) => Some(index).filter(|index| *index < columns.saturating_sub(hidden)),
        Place::Hidden(index) => columns.checked_sub(hidden).map(|first| first + index).filter(|index| *index < columns),
    }
}

/// Refuses what cannot be compared without the server.
fn check(column: &ColumnKind) -> Result<(), MergeError> {
    use ColumnType as T;
    let refuse = |what: &str| {
        Err(MergeError::Incomparable(format!("rows of several shards cannot be sorted or compared by {what}")))
    };
    match column.column_type {
        _ if column.listed => refuse("an expression of type ENUM or SET; take the column itself"),
        _ if column.text => {
            refuse("a text that is no column of a table, whose collation is not known; take the column itself")
        }
        T::MYSQL_TYPE_JSON => refuse("JSON"),
        T::MYSQL_TYPE_GEOMETRY => refuse("a spatial value"),
        T::MYSQL_TYPE_VECTOR => refuse("a vector"),
        _ => Ok(()),
    }
}

/// Reads a value for comparing.
pub fn read(
    packet: &[u8],
    values: &Values,
    index: usize,
    column: &ColumnKind,
    key: &Key,
    form: Form,
) -> Result<Value, MergeError> {
    let malformed = MergeError::Malformed("a value is not of its column's type");
    let Some(range) = values.get(index).cloned().ok_or(malformed.clone())? else { return Ok(Value::Null) };
    let bytes = packet.get(range).ok_or(malformed.clone())?;
    if key.weight {
        return Ok(Value::Weight(bytes.to_vec(), key.blank.clone()));
    }
    number(bytes, column, form).ok_or(malformed)
}

/// A value by its column's type.
pub fn number(bytes: &[u8], column: &ColumnKind, form: Form) -> Option<Value> {
    use ColumnType as T;
    let whole = matches!(
        column.column_type,
        T::MYSQL_TYPE_TINY
            | T::MYSQL_TYPE_SHORT
            | T::MYSQL_TYPE_INT24
            | T::MYSQL_TYPE_LONG
            | T::MYSQL_TYPE_LONGLONG
            | T::MYSQL_TYPE_YEAR
    );
    Some(match (column.column_type, form) {
        (T::MYSQL_TYPE_FLOAT, Form::Binary) => Value::Double(f64::from(f32::from_le_bytes(bytes.try_into().ok()?))),
        (T::MYSQL_TYPE_DOUBLE, Form::Binary) => Value::Double(f64::from_le_bytes(bytes.try_into().ok()?)),
        (T::MYSQL_TYPE_FLOAT | T::MYSQL_TYPE_DOUBLE, Form::Text) => {
            Value::Double(str::from_utf8(bytes).ok()?.parse().ok()?)
        }
        (T::MYSQL_TYPE_DECIMAL | T::MYSQL_TYPE_NEWDECIMAL, _) => Value::Decimal(Decimal::parse(bytes)?),
        (_, Form::Text) if whole => Value::Int(str::from_utf8(bytes).ok()?.parse().ok()?),
        (_, Form::Binary) if whole => {
            let mut wide = [0u8; 8];
            wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
            let negative = !column.unsigned && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
            if negative {
                wide.iter_mut().skip(bytes.len()).for_each(|byte| *byte = 0xFF);
                Value::Int(i64::from_le_bytes(wide).into())
            } else {
                Value::Int(u64::from_le_bytes(wide).into())
            }
        }
        (T::MYSQL_TYPE_TIME, Form::Text) => Value::Int(time_text(bytes)?),
        (T::MYSQL_TYPE_TIME, Form::Binary) => Value::Int(time_binary(bytes)?),
        (T::MYSQL_TYPE_DATE | T::MYSQL_TYPE_DATETIME | T::MYSQL_TYPE_TIMESTAMP, Form::Binary) => {
            // Years have their low byte first.
            let mut whole = [0u8; 11];
            whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
            whole.swap(0, 1);
            if let Some(micros) = whole.get_mut(7..) {
                micros.reverse();
            }
            Value::Bytes(whole.to_vec())
        }
        _ => Value::Bytes(bytes.to_vec()),
    })
}

/// `-838:59:59.000000` in microseconds.
fn time_text(bytes: &[u8]) -> Option<i128> {
    let text = str::from_utf8(bytes).ok()?;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut micros = 0i128;
    for part in clock.split(':') {
        micros = micros * 60 + part.parse::<i128>().ok()?;
    }
    let fraction: i128 = format!("{fraction:0<6}").parse().ok()?;
    let micros = micros * 1_000_000 + fraction;
    Some(if negative { -micros } else { micros })
}

fn time_binary(bytes: &[u8]) -> Option<i128> {
    let Some((&negative, rest)) = bytes.split_first() else { return Some(0) };
    let (days, rest) = rest.split_first_chunk::<4>()?;
    let (&[hours, minutes, seconds], rest) = rest.split_first_chunk()?;
    let micros = rest.first_chunk::<4>().map_or(0, |micros| u32::from_le_bytes(*micros));
    let seconds = ((i128::from(u32::from_le_bytes(*days)) * 24 + i128::from(hours)) * 60 + i128::from(minutes)) * 60
        + i128::from(seconds);
    let micros = seconds * 1_000_000 + i128::from(micros);
    Some(if negative == 1 { -micros } else { micros })
}

impl Value {
    /// How it compares to another of the same column.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Less,
            (_, Self::Null) => Ordering::Greater,
            (Self::Int(one), Self::Int(other)) => one.cmp(other),
            (Self::Decimal(one), Self::Decimal(other)) => one.cmp(other),
            (Self::Double(one), Self::Double(other)) => one.partial_cmp(other).unwrap_or(Ordering::Equal),
            (Self::Bytes(one), Self::Bytes(other)) => one.cmp(other),
            (Self::Weight(one, blank), Self::Weight(other, _)) => weights(one, other, blank.as_deref()),
            _ => Ordering::Equal,
        }
    }

    /// Appends bytes that are the same for all values that compare as equal.
    fn hash_into(&self, out: &mut Vec<u8>) {
        let mut put = |tag: u8, bytes: &[u8]| {
            out.push(tag);
            out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(bytes);
        };
        match self {
            Self::Null => put(0, b""),
            Self::Int(number) => put(1, &number.to_le_bytes()),
            Self::Decimal(number) => put(2, &number.write()),
            // There are two zeros.
            Self::Double(number) => put(3, &(if *number == 0.0 { 0.0 } else { *number }).to_le_bytes()),
            Self::Bytes(bytes) => put(4, bytes),
            Self::Weight(bytes, None) => put(5, bytes),
            Self::Weight(bytes, Some(blank)) => {
                let mut rest = bytes.as_slice();
                while let Some(shorter) = rest.strip_suffix(blank.as_slice()).filter(|_| !blank.is_empty()) {
                    rest = shorter;
                }
                put(5, rest);
            }
        }
    }
}

/// Weights, the shorter one as if blanks followed it where they do not count.
fn weights(one: &[u8], other: &[u8], blank: Option<&[u8]>) -> Ordering {
    let Some(blank) = blank.filter(|blank| !blank.is_empty()) else { return one.cmp(other) };
    let length = one.len().max(other.len());
    let padded = |bytes: &'_ [u8]| -> Vec<u8> {
        bytes.iter().copied().chain(blank.iter().copied().cycle()).take(length).collect()
    };
    padded(one).cmp(&padded(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(column_type: ColumnType) -> ColumnKind {
        ColumnKind { column_type, text: false, unsigned: false, decimals: 0, listed: false }
    }

    #[test]
    fn numbers_and_times_compare_as_such() {
        use ColumnType as T;
        let order = |column_type, one: &str, other: &str| {
            let read = |text: &str| number(text.as_bytes(), &kind(column_type), Form::Text).unwrap();
            read(one).order(&read(other))
        };
        assert_eq!(order(T::MYSQL_TYPE_LONG, "-5", "10"), Ordering::Less);
        assert_eq!(order(T::MYSQL_TYPE_NEWDECIMAL, "9.5", "10.25"), Ordering::Less);
        assert_eq!(order(T::MYSQL_TYPE_TIME, "-01:00:00", "00:00:01"), Ordering::Less);
        assert_eq!(order(T::MYSQL_TYPE_TIME, "100:00:00", "99:59:59.5"), Ordering::Greater);
        assert_eq!(order(T::MYSQL_TYPE_DOUBLE, "1e3", "999.5"), Ordering::Greater);
        let wide = number(&[0xFE], &kind(T::MYSQL_TYPE_TINY), Form::Binary);
        assert_eq!(wide, Some(Value::Int(-2)));
    }

    #[test]
    fn blanks_at_the_end_do_not_count_where_they_do_not() {
        let blank = Some(vec![0x20]);
        let of = |text: &str| Value::Weight(text.into(), blank.clone());
        assert_eq!(of("a").order(&of("a  ")), Ordering::Equal);
        assert_eq!(of("a").order(&of("a\t")), Ordering::Greater);
        let hash = |value: Value| {
            let mut out = Vec::new();
            value.hash_into(&mut out);
            out
        };
        assert_eq!(hash(of("a")), hash(of("a  ")));
        assert_ne!(hash(of("a")), hash(Value::Null));
    }
}
