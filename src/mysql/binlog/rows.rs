//! Row events of a moved table, decoded column by column into [`RowChange`]s.
//!
//! Values are found in the event's own bytes and their text is written straight into the row: nothing is allocated per value.
//! Of a before image only the key and the sharding columns are kept. Invariant: an image that lacks a column is an error, never a row with NULLs.
//! Source: mysql-server/libs/mysql/binlog/event/rows_event.h, `Rows_event`.

use crate::model::{Row, RowBuilder, RowChange};

use super::cursor::{Cursor, Malformed};
use super::form::Form;
use super::plan::Plan;

/// Flag of a row event: foreign keys were not looked at (`NO_FOREIGN_KEY_CHECKS_F`).
const NO_FOREIGN_KEY_CHECKS: u16 = 0x2;
/// Flag: they were the server's own business, which logs what they change (`USE_SQL_FOREIGN_KEY_F`, MySQL 9.6 and later).
const SQL_FOREIGN_KEYS: u16 = 0x10;

/// What a row event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// After images only.
    Insert,
    /// Pairs of a before and an after image.
    Update,
    /// Before images only.
    Delete,
}

/// Why rows cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// The bytes are not rows of this table.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The images lack columns.
    #[error("a row image lacks columns")]
    Partial,
}

/// A row event up to its images.
#[derive(Debug, Clone, Copy)]
pub struct RowsHead<'a> {
    /// The table map's id.
    pub table_id: u64,
    /// Whether rows of other tables that a foreign key changed with these were logged, or none were.
    pub cascades_logged: bool,
    rest: Cursor<'a>,
}

impl<'a> RowsHead<'a> {
    /// Reads the head. Version 2 events (MySQL 5.6 and later) have a variable part that version 1 lacks.
    pub fn parse(body: &'a [u8], version: u8) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body);
        let table_id = cursor.uint(6)?;
        let flags = cursor.u16()?;
        if version >= 2 {
            let len = usize::from(cursor.u16()?);
            cursor.take(len.checked_sub(2).ok_or(Malformed("a row event's variable part has no length"))?)?;
        }
        let cascades_logged = flags & (NO_FOREIGN_KEY_CHECKS | SQL_FOREIGN_KEYS) != 0;
        Ok(RowsHead { table_id, cascades_logged, rest: cursor })
    }

    /// Decodes the images and hands each change to `sink`.
    pub fn decode(&self, action: Action, plan: &Plan, mut sink: impl FnMut(RowChange)) -> Result<(), RowsError> {
        let mut cursor = self.rest;
        let count = plan.forms.len();
        if cursor.lenenc()? != count as u64 {
            return Err(Malformed("a row event and its table map differ in columns").into());
        }
        for _ in 0..if action == Action::Update { 2 } else { 1 } {
            if !all_present(cursor.take(count.div_ceil(8))?, count) {
                return Err(RowsError::Partial);
            }
        }
        let mut values = Vec::with_capacity(count);
        while !cursor.is_empty() {
            let mut change = RowChange { table: plan.table.clone(), before: None, was_at: None, after: None };
            if action != Action::Insert {
                image(&mut cursor, &plan.forms, &mut values)?;
                change.before = Some(row(plan, &plan.key, &values)?);
                if !plan.sharding.is_empty() {
                    change.was_at = Some(row(plan, &plan.sharding, &values)?);
                }
            }
            if action != Action::Delete {
                image(&mut cursor, &plan.forms, &mut values)?;
                change.after = Some(row(plan, &plan.stored, &values)?);
            }
            sink(change);
        }
        Ok(())
    }
}

fn all_present(bitmap: &[u8], count: usize) -> bool {
    (0..count).all(|index| bitmap.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1))
}

/// Finds the values of the next image.
#[inline]
fn image<'a>(cursor: &mut Cursor<'a>, forms: &[Form], values: &mut Vec<Option<&'a [u8]>>) -> Result<(), Malformed> {
    let nulls = cursor.take(forms.len().div_ceil(8))?;
    values.clear();
    for (index, form) in forms.iter().enumerate() {
        let null = nulls[index / 8] >> (index % 8) & 1 == 1;
        values.push(if null { None } else { Some(form.value(cursor)?) });
    }
    Ok(())
}

/// Builds the row of the columns at `ordinals`.
#[inline]
fn row(plan: &Plan, ordinals: &[usize], values: &[Option<&[u8]>]) -> Result<Row, Malformed> {
    let room = ordinals.iter().filter_map(|&at| values[at].map(|raw| plan.forms[at].room(raw))).sum();
    let mut row = RowBuilder::with_capacity(ordinals.len(), room);
    for &at in ordinals {
        match values[at] {
            None => row.push_null(),
            Some(raw) => row.push_with(|out| plan.forms[at].render(raw, out))?,
        }
    }
    row.finish().map_err(|_| Malformed("a row is larger than 2 GiB"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, ColumnKind, Key, TableDef, TableName};
    use crate::mysql::binlog::form::types;
    use crate::mysql::binlog::table_map::MapColumn;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// `a TINY, b VARCHAR(20), g generated TINY, c SMALLINT UNSIGNED`, key (c, a).
    fn plan() -> Plan {
        let column =
            |name: &str, kind, ordinal| Column { name: name.into(), kind, nullable: true, zerofill: false, ordinal };
        let text = ColumnKind::Text { charset: "latin1".into(), collation: "latin1_bin".into() };
        let columns = vec![
            column("a", ColumnKind::Int { width: 1, unsigned: false }, 0),
            column("b", text, 1),
            column("c", ColumnKind::Int { width: 2, unsigned: true }, 3),
        ];
        let key = Key { name: "PRIMARY".into(), columns: vec![2, 0] };
        let name = TableName::new("t").unwrap();
        let table =
            TableDef { name, columns, column_count: 4, key, other_unique: false, cascades: false, sharding: vec![] };
        let map = |code, metadata| MapColumn { code, metadata, unsigned: None, collation: None, name: None };
        let maps = [map(types::TINY, 0), map(types::VARCHAR, 20), map(types::TINY, 0), map(types::SHORT, 0)];
        Plan::new(Arc::new(table), &maps).unwrap()
    }

    fn decode(action: Action, images: &[u8]) -> Result<Vec<RowChange>, RowsError> {
        let mut body = vec![9, 0, 0, 0, 0, 0, 1, 0, 2, 0, 4];
        body.extend_from_slice(images);
        let head = RowsHead::parse(&body, 2)?;
        assert_eq!(head.table_id, 9);
        let mut changes = Vec::new();
        head.decode(action, &plan(), |change| changes.push(change))?;
        Ok(changes)
    }

    fn shown(row: &Option<Row>) -> Vec<Option<String>> {
        let text = |value: Option<&[u8]>| value.map(|value| String::from_utf8_lossy(value).into_owned());
        row.iter().flat_map(|row| row.values()).map(text).collect()
    }

    #[test]
    fn an_update_keeps_the_key_before_and_the_row_after() {
        let images = [0x0F, 0x0F, 0x00, 0xFF, 2, b'h', b'i', 5, 7, 1, 0x02, 0xFE, 5, 8, 1];
        let changes = decode(Action::Update, &images).unwrap();
        assert_eq!(changes.len(), 1);
        assert_eq!(shown(&changes[0].before), [Some("263".into()), Some("-1".into())]);
        assert_eq!(shown(&changes[0].after), [Some("-2".into()), None, Some("264".into())]);
    }

    #[test]
    fn missing_columns_and_cut_rows_are_errors() {
        assert_eq!(decode(Action::Insert, &[0x07]).unwrap_err(), RowsError::Partial);
        assert!(matches!(decode(Action::Insert, &[0x0F, 0x00, 1, 9, b'x']), Err(RowsError::Malformed(_))));
        assert!(decode(Action::Delete, &[0x0F]).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(images in prop::collection::vec(any::<u8>(), 0..60)) {
            for action in [Action::Insert, Action::Update, Action::Delete] {
                let mut full = vec![0x0F, 0x0F];
                full.extend_from_slice(&images);
                let _ = decode(action, &full);
            }
        }
    }
}
