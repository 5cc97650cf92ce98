//! Groups whose rows are on several shards: each shard's part of a group is a row, and these become one.

use std::collections::HashMap;

use mysql_common::constants::ColumnType;

use super::column::ColumnKind;
use super::compare::{Comparer, Value, index, number, read};
use super::decimal::Decimal;
use super::row::{Form, Values};
use super::{Held, MergeError};
use crate::gateway::client::packets::{lenenc_bytes, text_row};
use crate::gateway::plan::spread::{Fold, Key, Place};

/// What a group takes besides its values.
const OVERHEAD: usize = 96;
const MALFORMED: MergeError = MergeError::Malformed("an aggregate is not of the type it should be");

/// The groups so far.
#[derive(Debug)]
pub struct Groups {
    by: Comparer,
    folds: Vec<Fold>,
    columns: Vec<ColumnKind>,
    hidden: usize,
    form: Form,
    places: HashMap<Vec<u8>, usize>,
    groups: Vec<Vec<Option<Vec<u8>>>>,
    held: Held,
}

impl Groups {
    /// None yet.
    pub fn new(
        keys: &[Key],
        folds: &[Fold],
        columns: &[ColumnKind],
        hidden: usize,
        form: Form,
        held: Held,
    ) -> Result<Self, MergeError> {
        if folds.len() != columns.len() {
            return Err(MergeError::Malformed("there are more columns than were asked for"));
        }
        let by = Comparer::new(keys.iter().map(|key| (key, false)), columns, hidden, form)?;
        for (at, fold) in folds.iter().enumerate() {
            if let Fold::Least(key) | Fold::Greatest(key) = fold {
                // Says whether it can be compared.
                Comparer::new(std::iter::once((key, false)), columns, hidden, form)?;
            }
            if *fold == Fold::Sum && columns.get(at).is_some_and(|column| column.text) {
                return Err(MALFORMED);
            }
        }
        let (folds, columns) = (folds.to_vec(), columns.to_vec());
        Ok(Self { by, folds, columns, hidden, form, places: HashMap::new(), groups: Vec::new(), held })
    }

    /// Takes in a shard's part of a group.
    pub fn add(&mut self, packet: &[u8], values: &Values) -> Result<(), MergeError> {
        let key = self.by.group(packet, values)?;
        let Some(&place) = self.places.get(&key) else {
            self.held.add(packet.len() + key.len() + OVERHEAD + 32 * self.columns.len())?;
            self.places.insert(key, self.groups.len());
            let owned =
                values.iter().map(|range| range.clone().and_then(|range| packet.get(range).map(<[u8]>::to_vec)));
            self.groups.push(owned.collect());
            return Ok(());
        };
        let Some(group) = self.groups.get(place) else { return Ok(()) };
        let mut next: Vec<Option<Option<Vec<u8>>>> = Vec::with_capacity(self.folds.len());
        for (at, fold) in self.folds.iter().enumerate() {
            let raw = || values.get(at).cloned().flatten().and_then(|range| packet.get(range).map(<[u8]>::to_vec));
            next.push(match fold {
                Fold::First | Fold::Average { .. } => None,
                Fold::Some(count) => {
                    let index = index(*count, self.columns.len(), self.hidden).ok_or(MALFORMED)?;
                    let column = self.columns.get(index).ok_or(MALFORMED)?;
                    let before = group.get(index).and_then(Option::as_deref);
                    let none =
                        before.and_then(|bytes| number(bytes, column, self.form)).ok_or(MALFORMED)? == Value::Int(0);
                    none.then(raw)
                }
                Fold::Sum => Some(self.sum(at, group.get(at).and_then(Option::as_deref), raw().as_deref())?),
                Fold::Least(key) | Fold::Greatest(key) => {
                    let index = index(key.place, self.columns.len(), self.hidden).ok_or(MALFORMED)?;
                    let column = self.columns.get(index).ok_or(MALFORMED)?;
                    let new = read(packet, values, index, column, key, self.form)?;
                    let old = match group.get(index).and_then(Option::as_deref) {
                        None => Value::Null,
                        Some(bytes) if key.weight => Value::Weight(bytes.to_vec(), key.blank.clone()),
                        Some(bytes) => number(bytes, column, self.form).ok_or(MALFORMED)?,
                    };
                    let least = matches!(fold, Fold::Least(_));
                    let better = match (&old, &new) {
                        (_, Value::Null) => false,
                        (Value::Null, _) => true,
                        _ if least => new.order(&old).is_lt(),
                        _ => new.order(&old).is_gt(),
                    };
                    better.then(raw)
                }
            });
        }
        if let Some(group) = self.groups.get_mut(place) {
            for (value, next) in group.iter_mut().zip(next) {
                if let Some(next) = next {
                    *value = next;
                }
            }
        }
        Ok(())
    }

    fn sum(&self, at: usize, one: Option<&[u8]>, other: Option<&[u8]>) -> Result<Option<Vec<u8>>, MergeError> {
        let (Some(one), Some(other)) = (one, other) else { return Ok(one.or(other).map(<[u8]>::to_vec)) };
        let column = self.columns.get(at).ok_or(MALFORMED)?;
        let of = |bytes| number(bytes, column, self.form).ok_or(MALFORMED);
        let sum = match (of(one)?, of(other)?) {
            (Value::Int(one), Value::Int(other)) => Value::Int(one + other),
            (Value::Decimal(one), Value::Decimal(other)) => Value::Decimal(one.add(&other)),
            (Value::Double(one), Value::Double(other)) => Value::Double(one + other),
            _ => return Err(MALFORMED),
        };
        self.write(sum).map(Some)
    }

    fn write(&self, value: Value) -> Result<Vec<u8>, MergeError> {
        Ok(match (value, self.form) {
            (Value::Int(number), Form::Text) => number.to_string().into_bytes(),
            (Value::Int(number), Form::Binary) => (number as u64).to_le_bytes().to_vec(),
            (Value::Decimal(number), _) => number.write(),
            (Value::Double(number), Form::Text) => double(number).into_bytes(),
            (Value::Double(number), Form::Binary) => number.to_le_bytes().to_vec(),
            _ => return Err(MALFORMED),
        })
    }

    /// The groups as rows, each with all its columns.
    pub fn finish(mut self) -> Result<Vec<Vec<u8>>, MergeError> {
        let mut rows = Vec::with_capacity(self.groups.len());
        for mut group in std::mem::take(&mut self.groups) {
            for (at, fold) in self.folds.iter().enumerate() {
                if let Fold::Average { sum, count } = fold {
                    let average = self.average(at, &group, *sum, *count)?;
                    if let Some(value) = group.get_mut(at) {
                        *value = average;
                    }
                }
            }
            rows.push(self.encode(&group));
        }
        Ok(rows)
    }

    fn average(
        &self,
        at: usize,
        group: &[Option<Vec<u8>>],
        sum: Place,
        count: Place,
    ) -> Result<Option<Vec<u8>>, MergeError> {
        let found = |place| -> Result<Option<Value>, MergeError> {
            let index = index(place, self.columns.len(), self.hidden).ok_or(MALFORMED)?;
            let column = self.columns.get(index).ok_or(MALFORMED)?;
            group
                .get(index)
                .and_then(Option::as_deref)
                .map(|bytes| number(bytes, column, self.form).ok_or(MALFORMED))
                .transpose()
        };
        let (Some(sum), Some(Value::Int(count))) = (found(sum)?, found(count)?) else { return Ok(None) };
        let count = u128::try_from(count).ok().filter(|count| *count > 0).ok_or(MALFORMED)?;
        let scale = self.columns.get(at).map_or(0, |column| column.decimals);
        let average = match sum {
            Value::Decimal(sum) => Value::Decimal(sum.divide(count, usize::from(scale)).ok_or(MALFORMED)?),
            Value::Int(sum) => {
                let sum = Decimal::parse(sum.to_string().as_bytes()).ok_or(MALFORMED)?;
                Value::Decimal(sum.divide(count, usize::from(scale)).ok_or(MALFORMED)?)
            }
            Value::Double(sum) => Value::Double(sum / count as f64),
            _ => return Err(MALFORMED),
        };
        self.write(average).map(Some)
    }

    fn encode(&self, group: &[Option<Vec<u8>>]) -> Vec<u8> {
        let mut out = Vec::new();
        if self.form == Form::Text {
            text_row(&mut out, group.iter().map(Option::as_deref));
            return out;
        }
        out.resize(1 + (group.len() + 2).div_ceil(8), 0);
        for (at, (value, column)) in group.iter().zip(&self.columns).enumerate() {
            match value {
                None => {
                    let bit = at + 2;
                    if let Some(byte) = out.get_mut(1 + bit / 8) {
                        *byte |= 1 << (bit % 8);
                    }
                }
                Some(bytes) if is_fixed(column.column_type) => out.extend_from_slice(bytes),
                Some(bytes) => lenenc_bytes(&mut out, bytes),
            }
        }
        out
    }
}

fn is_fixed(column_type: ColumnType) -> bool {
    use ColumnType as T;
    matches!(
        column_type,
        T::MYSQL_TYPE_TINY
            | T::MYSQL_TYPE_SHORT
            | T::MYSQL_TYPE_YEAR
            | T::MYSQL_TYPE_LONG
            | T::MYSQL_TYPE_INT24
            | T::MYSQL_TYPE_FLOAT
            | T::MYSQL_TYPE_LONGLONG
            | T::MYSQL_TYPE_DOUBLE
    )
}

/// A double as MySQL writes it: the shortest digits that read back, with an exponent beyond 15 places.
fn double(number: f64) -> String {
    let magnitude = number.abs();
    if magnitude == 0.0 || (1e-15..1e15).contains(&magnitude) {
        return format!("{number}");
    }
    // Rust writes `1.5e20`, as MySQL does.
    format!("{number:e}")
}

#[cfg(test)]
mod tests {
    use super::super::row;
    use super::*;

    fn kind(column_type: ColumnType, decimals: u8) -> ColumnKind {
        ColumnKind { column_type, text: false, unsigned: false, decimals, listed: false }
    }

    #[test]
    fn parts_of_groups_become_one() {
        use ColumnType as T;
        let columns = [
            kind(T::MYSQL_TYPE_LONG, 0),
            kind(T::MYSQL_TYPE_LONGLONG, 0),
            kind(T::MYSQL_TYPE_NEWDECIMAL, 6),
            kind(T::MYSQL_TYPE_LONG, 0),
            kind(T::MYSQL_TYPE_NEWDECIMAL, 2),
            kind(T::MYSQL_TYPE_LONGLONG, 0),
        ];
        let (sum, count) = (Place::Hidden(0), Place::Hidden(1));
        let least = Fold::Least(Key { place: Place::Shown(3), weight: false, blank: None });
        let folds = [Fold::First, Fold::Sum, Fold::Average { sum, count }, least, Fold::Sum, Fold::Sum];
        let keys = [Key { place: Place::Shown(0), weight: false, blank: None }];
        let mut groups = Groups::new(&keys, &folds, &columns, 2, Form::Text, Held::new(1 << 20)).unwrap();
        let rows: [[Option<&str>; 6]; 3] = [
            [Some("1"), Some("2"), Some("1.500000"), Some("9"), Some("3.00"), Some("2")],
            [Some("2"), Some("1"), None, None, None, Some("0")],
            [Some("1"), Some("1"), Some("7.000000"), Some("-4"), Some("7.00"), Some("1")],
        ];
        for row in rows {
            let mut packet = Vec::new();
            text_row(&mut packet, row);
            let values = row::values(&packet, &columns, Form::Text).unwrap();
            groups.add(&packet, &values).unwrap();
        }
        let rows = groups.finish().unwrap();
        let shown = |packet: &[u8]| {
            let values = row::values(packet, &columns, Form::Text).unwrap();
            let text = |range: &Option<std::ops::Range<usize>>| match range {
                Some(range) => String::from_utf8(packet[range.clone()].to_vec()).unwrap(),
                None => "NULL".into(),
            };
            values.iter().map(text).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            rows.iter().map(|row| shown(row)).collect::<Vec<_>>(),
            ["1 3 3.333333 -4 10.00 3", "2 1 NULL NULL NULL 0"]
        );
        let mut small = Groups::new(&keys, &folds, &columns, 2, Form::Text, Held::new(100)).unwrap();
        let mut packet = Vec::new();
        text_row(&mut packet, [Some("1"), Some("2"), Some("1.5"), Some("9"), Some("3.00"), Some("2")]);
        let values = row::values(&packet, &columns, Form::Text).unwrap();
        assert!(matches!(small.add(&packet, &values), Err(MergeError::TooMuch { .. })));
    }

    #[test]
    fn what_has_no_rows_says_nothing() {
        let columns = [kind(ColumnType::MYSQL_TYPE_LONG, 0), kind(ColumnType::MYSQL_TYPE_LONGLONG, 0)];
        let folds = [Fold::Some(Place::Hidden(0)), Fold::Sum];
        for (parts, expected) in [
            ([(None, "0"), (Some("7"), "2"), (Some("8"), "1")], [Some("7"), Some("3")]),
            ([(None, "0"), (None, "0"), (Some("8"), "1")], [Some("8"), Some("1")]),
            ([(Some("6"), "1"), (None, "0"), (Some("8"), "1")], [Some("6"), Some("2")]),
            ([(None, "0"), (None, "0"), (None, "0")], [None, Some("0")]),
        ] {
            let mut groups = Groups::new(&[], &folds, &columns, 1, Form::Text, Held::new(1 << 20)).unwrap();
            for (value, count) in parts {
                let mut packet = Vec::new();
                text_row(&mut packet, [value, Some(count)]);
                groups.add(&packet, &row::values(&packet, &columns, Form::Text).unwrap()).unwrap();
            }
            let mut wanted = Vec::new();
            text_row(&mut wanted, expected);
            assert_eq!(groups.finish().unwrap(), [wanted], "{parts:?}");
        }
    }

    #[test]
    fn doubles_are_written_as_mysql_writes_them() {
        for (number, text) in
            [(0.1, "0.1"), (1e20, "1e20"), (-2.5, "-2.5"), (3.0, "3"), (123456789012.5, "123456789012.5")]
        {
            assert_eq!(double(number), text);
        }
    }
}
