//! Every type, both ways: what the binlog decoder makes of a row is byte for byte what the copy reader's SELECT sends
//! (promise P3). Values are chosen at the edges of types, widths, lengths and formats.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use shardlift::model::{ColumnKind, DatabaseName, GtidSet, Row, RowBuilder, RowChange, TableDef, TableName};
use shardlift::mysql::admin::Session;
use shardlift::mysql::binlog::{BinlogOptions, BinlogReader, SourceEvent, Tables};
use shardlift::mysql::schema::read_source_tables;
use shardlift::mysql::wire::{ConnectOptions, Wire};
use shardlift::mysql::{Login, quote};

pub mod cases;

use cases::{NUMBERS, OTHERS, STRINGS, TABLES, TEMPORALS};

const LIMIT: Duration = Duration::from_secs(60);

/// The members of an ENUM or SET, as SQL.
pub fn enum_of(members: usize) -> String {
    let members: Vec<String> = (1..=members).map(|n| format!("'m{n}'")).collect();
    members.join(",")
}

struct Moved(String, HashMap<String, Arc<TableDef>>);

impl Tables for Moved {
    fn table(&self, database: &str, table: &str) -> Option<Arc<TableDef>> {
        if database == self.0 { self.1.get(table).cloned() } else { None }
    }
}

/// Writes every case into a new database and compares the copy's rows with the binlog's, for inserts, updates and deletes,
/// under both kinds of row metadata, plain and compressed. Changes `binlog_row_metadata` of the server meanwhile. Returns
/// how many values were compared.
pub async fn every_type_reads_the_same_both_ways(login: &Login) -> usize {
    let mut session = Session::open(login, LIMIT).await.unwrap();
    let metadata =
        session.row("SELECT @@GLOBAL.binlog_row_metadata").await.unwrap().and_then(|row| row.text(0)).unwrap();
    let mut compared = 0;
    for (kind, compression) in [("FULL", "OFF"), ("MINIMAL", "OFF"), ("MINIMAL", "ON"), ("FULL", "ON")] {
        session.execute(&format!("SET GLOBAL binlog_row_metadata = {kind}")).await.unwrap();
        compared += both_ways(login, compression).await;
    }
    session.execute(&format!("SET GLOBAL binlog_row_metadata = {metadata}")).await.unwrap();
    compared
}

async fn both_ways(login: &Login, compression: &str) -> usize {
    let name = "binlog_values";
    let mut session = Session::open(login, LIMIT).await.unwrap();
    session.execute(&format!("SET binlog_transaction_compression = {compression}")).await.unwrap();
    session.execute(&format!("DROP DATABASE IF EXISTS {name}")).await.unwrap();
    session.execute(&format!("CREATE DATABASE {name} DEFAULT CHARACTER SET utf8mb4")).await.unwrap();
    session.execute(&format!("USE {name}")).await.unwrap();
    session.execute("SET sql_mode = 'ALLOW_INVALID_DATES', sql_generate_invisible_primary_key = ON").await.unwrap();
    let (mut names, mut inserts) = (Vec::new(), Vec::new());
    let wide = [
        (format!("ENUM({})", enum_of(200)), vec!["200", "1"]),
        (format!("ENUM({})", enum_of(300)), vec!["300", "255", "256"]),
        (format!("SET({})", enum_of(64)), vec!["18446744073709551615", "1"]),
        (format!("SET({})", enum_of(54)), vec!["18014398509481983"]),
    ];
    let fixed = [NUMBERS, TEMPORALS, STRINGS, OTHERS].concat();
    let cases = fixed.iter().map(|(kind, values)| ((*kind).to_owned(), values.to_vec())).chain(wide);
    for (index, (kind, values)) in cases.enumerate() {
        let table = format!("t{index}");
        session.execute(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, v {kind})")).await.unwrap();
        for (id, value) in values.iter().chain(&["NULL"]).enumerate() {
            inserts.push(format!("INSERT INTO {table} VALUES ({id}, {value})"));
        }
        names.push(TableName::new(table).unwrap());
    }
    for (create, row) in TABLES {
        session.execute(create).await.unwrap();
        let table = create.split_whitespace().nth(2).unwrap();
        inserts.push(format!("INSERT INTO {table} VALUES {row}"));
        names.push(TableName::new(table).unwrap());
    }
    let from = executed(&mut session).await;
    for insert in &inserts {
        session.execute(insert).await.unwrap_or_else(|error| panic!("{}: {error}", &insert[..insert.len().min(200)]));
    }
    let database = DatabaseName::new(name).unwrap();
    let sources = read_source_tables(&mut session, &database, &names).await.unwrap();
    let tables: HashMap<_, _> = sources.into_iter().map(|s| (s.def.name.to_string(), Arc::new(s.def))).collect();
    let selected = select(login, &database, &tables).await;
    let inserted = read(login, &database, &tables, from, &mut session).await;
    let mut compared = 0;
    for (table, rows) in &selected {
        let changes: Vec<_> = inserted.iter().filter(|change| change.table.name.as_str() == table).collect();
        let images: Vec<_> = changes.iter().map(|change| change.after.clone().unwrap()).collect();
        assert!(changes.iter().all(|change| change.before.is_none()));
        compared += same(table, &tables[table], &images, rows);
    }

    let from = executed(&mut session).await;
    for table in tables.keys() {
        if table.starts_with('t') {
            session.execute(&format!("UPDATE {table} SET id = id + 1000")).await.unwrap();
        }
        session.execute(&format!("DELETE FROM {table}")).await.unwrap();
    }
    let changes = read(login, &database, &tables, from, &mut session).await;
    for (table, def) in &tables {
        let of_table = |change: &&RowChange| change.table.name == def.name;
        let images: Vec<&Row> = inserted.iter().filter(of_table).filter_map(|change| change.after.as_ref()).collect();
        let keys = sorted(images.iter().map(|row| key(def, row)).collect());
        let (updates, deletes): (Vec<_>, Vec<_>) = changes.iter().filter(of_table).partition(|c| c.after.is_some());
        let befores = |of: &[&RowChange]| sorted(of.iter().filter_map(|change| change.before.clone()).collect());
        if !table.starts_with('t') {
            assert_eq!(befores(&deletes), keys, "{table}: keys before the delete");
            continue;
        }
        assert_eq!(befores(&updates), keys, "{table}: keys before the update");
        let afters: Vec<Row> = updates.iter().filter_map(|change| change.after.clone()).collect();
        assert_eq!(
            befores(&deletes),
            sorted(afters.iter().map(|row| key(def, row)).collect()),
            "{table}: deleted keys"
        );
        for (after, image) in afters.iter().zip(images) {
            assert!(after.get(1) == image.get(1), "{table}: value after the update");
        }
    }
    session.execute(&format!("DROP DATABASE {name}")).await.unwrap();
    compared
}

fn sorted(mut rows: Vec<Row>) -> Vec<Vec<Option<Vec<u8>>>> {
    let mut rows: Vec<Vec<Option<Vec<u8>>>> =
        rows.drain(..).map(|row| row.values().map(|value| value.map(<[u8]>::to_vec)).collect()).collect();
    rows.sort();
    rows
}

fn key(def: &TableDef, row: &Row) -> Row {
    def.key.columns.iter().map(|&index| row.get(index)).collect()
}

fn same(table: &str, def: &TableDef, images: &[Row], rows: &[Row]) -> usize {
    let (images, rows) = (sorted(images.to_vec()), sorted(rows.to_vec()));
    assert_eq!(images.len(), rows.len(), "{table}: rows");
    let show = |value: &Option<Vec<u8>>| match value {
        Some(bytes) => format!("{} bytes {:?}", bytes.len(), String::from_utf8_lossy(&bytes[..bytes.len().min(300)])),
        None => "NULL".into(),
    };
    for (image, row) in images.iter().zip(&rows) {
        for (index, column) in def.columns.iter().enumerate() {
            let (image, row) = (&image[index], &row[index]);
            // DOUBLE(m,d) prints with d places.
            let same = match column.kind {
                ColumnKind::Double => bits(image) == bits(row),
                _ => image == row,
            };
            assert!(same, "{table}.{} {:?}\n binlog {}\n select {}", column.name, column.kind, show(image), show(row));
        }
    }
    rows.len() * def.columns.len()
}

fn bits(value: &Option<Vec<u8>>) -> Option<u64> {
    value.as_ref().map(|text| std::str::from_utf8(text).unwrap().parse::<f64>().unwrap().to_bits())
}

/// What the server has executed.
pub async fn executed(session: &mut Session) -> GtidSet {
    session.row("SELECT @@GLOBAL.gtid_executed").await.unwrap().and_then(|row| row.text(0)).unwrap().parse().unwrap()
}

async fn select(
    login: &Login,
    database: &DatabaseName,
    tables: &HashMap<String, Arc<TableDef>>,
) -> HashMap<String, Vec<Row>> {
    let session = vec![quote::READER_SESSION.to_owned()];
    let mut wire = Wire::connect(login, &ConnectOptions { session, ..ConnectOptions::default() }).await.unwrap();
    let mut found = HashMap::new();
    for (name, def) in tables {
        let (list, from) = (quote::select_list(&def.columns), quote::table_name(database, &def.name));
        let sql = format!("SELECT {list} FROM {from} ORDER BY 1");
        let mut rows = wire.query(sql.as_bytes()).await.unwrap();
        let mut images = Vec::new();
        while let Some(row) = rows.next().await.unwrap() {
            let mut builder = RowBuilder::default();
            for value in row.values() {
                match value {
                    Some(value) => builder.push(value),
                    None => builder.push_null(),
                }
            }
            images.push(builder.finish().unwrap());
        }
        found.insert(name.clone(), images);
    }
    found
}

/// All changes after `from` up to what is executed now.
pub async fn read(
    login: &Login,
    database: &DatabaseName,
    tables: &HashMap<String, Arc<TableDef>>,
    from: GtidSet,
    session: &mut Session,
) -> Vec<RowChange> {
    let target = executed(session).await;
    let mut position = from.clone();
    let moved = Arc::new(Moved(database.to_string(), tables.clone()));
    let options = BinlogOptions { piece_bytes: 1 << 20, ..BinlogOptions::new(from, moved) };
    let mut reader = BinlogReader::connect(login, options).await.unwrap();
    let mut changes = Vec::new();
    while !target.is_subset(&position) {
        match tokio::time::timeout(LIMIT, reader.next()).await.unwrap().unwrap() {
            SourceEvent::Txn(txn) => {
                changes.extend(txn.changes);
                if txn.last {
                    position.add(&txn.gtid);
                }
            }
            SourceEvent::Ddl(ddl) => position.add(&ddl.gtid),
            SourceEvent::Heartbeat => {}
        }
    }
    reader.close().await;
    changes
}
