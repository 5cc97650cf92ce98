//! A binlog of any bytes: GTIDs, statements, table maps, rows of whatever columns the maps announce, compressed transactions.
//!
//! An event is its type, two bytes of length and its body; what stands around these on the wire has no secrets.

#![no_main]

use std::sync::{Arc, Mutex};

use libfuzzer_sys::fuzz_target;
use mysql_common::collations::{Collation, CollationId};
use shardlift::model::{Column, ColumnKind, Key, Row, TableDef, TableName};
use shardlift::mysql::binlog::assemble::Assembler;
use shardlift::mysql::binlog::event::{Event, kind};
use shardlift::mysql::binlog::form::{Form, char_len, types};
use shardlift::mysql::binlog::payload::Unpacker;
use shardlift::mysql::binlog::table_map::{MapColumn, TableMap};
use shardlift::mysql::binlog::{Assemble, SourceEvent, Tables};

/// Unpacked bytes of one input: compression makes any number of them.
const UNPACKED: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let _ = Event::checked(input);
    let table = Arc::new(Announced::default());
    let mut assembler = Assembler::new(table.clone(), 1 << 12);
    let mut rest = input;
    while let Some((&[kind, low, high], tail)) = rest.split_first_chunk() {
        let (body, after) = tail.split_at(tail.len().min(usize::from(u16::from_le_bytes([low, high]))));
        rest = after;
        let fed = match kind {
            kind::TRANSACTION_PAYLOAD => payload(body, &mut assembler, &table),
            kind => feed(&Event { kind, ignorable: false, body }, &mut assembler, &table),
        };
        if fed.is_none() {
            return;
        }
    }
});

fn payload(body: &[u8], assembler: &mut Assembler, table: &Announced) -> Option<()> {
    let mut unpacker = Unpacker::new(body).ok()?;
    let mut unpacked = 0;
    while let Some(event) = unpacker.next(body).ok()? {
        unpacked += event.body.len();
        feed(&event, assembler, table)?;
        if unpacked > UNPACKED {
            return None;
        }
    }
    Some(())
}

fn feed(event: &Event<'_>, assembler: &mut Assembler, table: &Announced) -> Option<()> {
    if event.kind == kind::TABLE_MAP {
        table.announce(event.body);
    }
    let fed = assembler.feed(event);
    while let Some(event) = assembler.take() {
        let SourceEvent::Txn(txn) = event else { continue };
        for change in txn.changes {
            assert!(change.before.is_some() || change.after.is_some());
            check(&change.after, change.table.columns.len());
            check(&change.before, change.table.key.columns.len());
            check(&change.was_at, change.table.sharding.len());
        }
    }
    // A reader is spent by an error.
    fed.ok()
}

fn check(row: &Option<Row>, columns: usize) {
    let Some(row) = row else { return };
    assert_eq!(row.values().count(), columns);
    let again = Row::decode(&row.encode());
    assert_eq!(again.as_ref().map(|row| row.values().collect::<Vec<_>>()), Some(row.values().collect()));
}

/// A moved table as the last map describes it, so that both agree and its rows are decoded.
#[derive(Default)]
struct Announced(Mutex<Option<(Vec<u8>, Arc<TableDef>)>>);

impl Tables for Announced {
    fn table(&self, _: &str, table: &str) -> Option<Arc<TableDef>> {
        let known = self.0.lock().unwrap();
        known.as_ref().filter(|_| table != "foreign").map(|(_, def)| def.clone())
    }
}

impl Announced {
    fn announce(&self, body: &[u8]) {
        let mut known = self.0.lock().unwrap();
        if known.as_ref().is_some_and(|(raw, _)| raw == body) {
            return;
        }
        *known = TableMap::parse(body).and_then(|map| Ok(define(&map.columns()?))).ok().map(|def| (body.to_vec(), def));
    }
}

fn define(map: &[MapColumn<'_>]) -> Arc<TableDef> {
    // Every fifth column is a generated one.
    let stored = map.iter().enumerate().filter(|(at, _)| at % 5 != 4);
    let columns: Vec<_> = stored
        .map(|(ordinal, column)| Column {
            name: column.name.unwrap_or("c").into(),
            kind: kind_of(column),
            nullable: true,
            zerofill: false,
            ordinal,
        })
        .collect();
    Arc::new(TableDef {
        name: TableName::new("t").unwrap(),
        sharding: (0..columns.len()).skip(1).take(1).collect(),
        columns,
        column_count: map.len(),
        key: Key { name: "PRIMARY".into(), columns: vec![0] },
        other_unique: false,
        cascades: map.len() % 2 == 1,
    })
}

fn kind_of(column: &MapColumn<'_>) -> ColumnKind {
    match Form::of(column.code, column.metadata) {
        Some(Form::Int { width, .. }) => ColumnKind::Int { width, unsigned: column.unsigned.unwrap_or(true) },
        Some(Form::Float) => ColumnKind::Float,
        Some(Form::Double) => ColumnKind::Double,
        Some(Form::Decimal { .. }) => ColumnKind::Decimal,
        Some(Form::Year) => ColumnKind::Year,
        Some(Form::Date) => ColumnKind::Date,
        Some(Form::Time(_)) => ColumnKind::Time,
        Some(Form::Datetime(_)) => ColumnKind::Datetime,
        Some(Form::Timestamp(_)) => ColumnKind::Timestamp,
        Some(Form::Bit(_)) => ColumnKind::Bit,
        Some(Form::Enum(_)) => ColumnKind::Enum,
        Some(Form::Set(_)) => ColumnKind::Set,
        Some(Form::Json(_)) => ColumnKind::Json,
        Some(Form::Bytes { .. }) | None => match (column.code, column.collation) {
            (types::GEOMETRY, _) => ColumnKind::Geometry,
            (types::VECTOR, _) => ColumnKind::Vector,
            (types::STRING, Some(63)) => ColumnKind::Binary { fixed: Some(char_len(column.metadata).into()) },
            (_, Some(63)) => ColumnKind::Binary { fixed: None },
            (_, collation) => {
                let known = Collation::from(CollationId::from(collation.unwrap_or(255)));
                ColumnKind::Text { charset: known.charset().into(), collation: known.collation().into() }
            }
        },
    }
}
