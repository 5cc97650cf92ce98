//! A second opinion on every value: `mysql-binlog-connector-rust`, which shares no code with us, reads the same binlog file.
//!
//! What it is known to get wrong is listed by name in [`KNOWN_WRONG`]; there the two must differ, so that the list cannot
//! outlive its reasons. Everything else must agree, value by value, in the order of the binlog.

use std::collections::HashMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mysql_binlog_connector_rust::binlog_parser::BinlogParser;
use mysql_binlog_connector_rust::column::column_value::ColumnValue;
use mysql_binlog_connector_rust::column::json::json_binary::JsonBinary;
use mysql_binlog_connector_rust::event::event_data::EventData;
use mysql_binlog_connector_rust::event::row_event::RowEvent;
use shardlift::model::{ColumnKind, DatabaseName, RowChange, TableDef, TableName};
use shardlift::mysql::admin::Session;
use shardlift::mysql::schema::read_source_tables;

use crate::binlog_values::cases::{NUMBERS, OTHERS, STRINGS, TEMPORALS};
use crate::binlog_values::{enum_of, executed, read};
use crate::harness::TestCluster;

const LIMIT: Duration = Duration::from_secs(60);
const DATABASE: &str = "decoders";
/// Every value of a type.
const ALL: &str = "*";

/// Type, the beginning of the value's SQL, and what the other decoder (0.3.3) makes of it.
const KNOWN_WRONG: &[(&str, &str, &str)] = &[
    ("VECTOR", ALL, "it does not know the type, and panics"),
    ("ENUM(200 members)", "200", "read as a signed byte: 4294967240"),
    ("SET('1','2','3','4','5','6','7','8')", ALL, "read as a signed byte: 0xff..80"),
    ("JSON", "'1.0'", "a whole DOUBLE becomes an integer"),
    ("JSON", "'1e14'", "a whole DOUBLE becomes an integer"),
    ("JSON", "'1e15'", "a whole DOUBLE becomes an integer"),
    ("JSON", "JSON_OBJECT('big'", "a whole DOUBLE becomes an integer"),
    ("JSON", "JSON_ARRAY(CAST('2015-01-15 23:24", "a zero DATETIME"),
    ("JSON", "JSON_ARRAY(CAST('-838:59:59'", "a negative TIME: 13:0-35:0-57.00000-5"),
    ("JSON", "JSON_ARRAY(CAST(REPEAT(", "an opaque value loses its type"),
    ("JSON", "JSON_ARRAY(x'", "an opaque value loses its type"),
    ("JSON", "JSON_ARRAY(ST_", "an opaque value loses its type"),
];

fn known_wrong(kind: &str, value: &str) -> bool {
    let wrong = |(of, from, _): &&(&str, &str, &str)| {
        (*of == kind || (*of == "VECTOR" && kind.starts_with(of))) && (*from == ALL || value.starts_with(from))
    };
    value != "NULL" && KNOWN_WRONG.iter().any(|entry| wrong(&entry))
}

/// Types by name, the SQL of each, and of its values.
fn cases() -> Vec<(String, String, Vec<String>)> {
    let fixed = [NUMBERS, TEMPORALS, STRINGS, OTHERS].concat();
    let fixed = fixed.into_iter().map(|(kind, values)| (kind.to_owned(), kind.to_owned(), values.to_vec()));
    let wide = |what: &str, members: usize, values: &[&'static str]| {
        (format!("{what}({members} members)"), format!("{what}({})", enum_of(members)), values.to_vec())
    };
    let wide = [
        wide("ENUM", 100, &["1", "100"]),
        wide("ENUM", 200, &["1", "200"]),
        wide("ENUM", 300, &["1", "255", "256", "300"]),
        wide("SET", 54, &["18014398509481983"]),
        wide("SET", 64, &["1", "18446744073709551615"]),
    ];
    let owned = |values: Vec<&str>| values.into_iter().chain(["NULL"]).map(str::to_owned).collect();
    let all = fixed.chain(wide).map(|(name, kind, values)| (name, kind, owned(values)));
    all.filter(|(name, ..)| !known_wrong(name, "any value")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_decoders_read_the_same() {
    let cluster = TestCluster::start().await;
    let login = cluster.login(cluster.source());
    let mut session = Session::open(&login, LIMIT).await.unwrap();
    let mut compared = 0;
    for (metadata, compression) in [("MINIMAL", "OFF"), ("FULL", "ON")] {
        let settings = format!(
            "SET GLOBAL binlog_row_metadata = {metadata}, SESSION binlog_transaction_compression = {compression}, \
             SESSION sql_mode = 'ALLOW_INVALID_DATES'"
        );
        session.execute(&settings).await.unwrap();
        session.execute(&format!("DROP DATABASE IF EXISTS {DATABASE}")).await.unwrap();
        session.execute(&format!("CREATE DATABASE {DATABASE} DEFAULT CHARACTER SET utf8mb4")).await.unwrap();
        session.execute(&format!("USE {DATABASE}")).await.unwrap();
        let cases = cases();
        let name = |index: usize| TableName::new(format!("t{index}")).unwrap();
        for (index, (_, kind, _)) in cases.iter().enumerate() {
            session.execute(&format!("CREATE TABLE t{index} (id INT PRIMARY KEY, v {kind})")).await.unwrap();
        }
        session.execute("FLUSH BINARY LOGS").await.unwrap();
        let from = executed(&mut session).await;
        for (index, (_, _, values)) in cases.iter().enumerate() {
            let rows: Vec<_> = values.iter().enumerate().map(|(id, value)| format!("({id}, {value})")).collect();
            // In one statement, and one by one: rows that share an event, and rows that do not.
            session.execute(&format!("INSERT INTO t{index} VALUES {}", rows.join(", "))).await.unwrap();
            session.execute(&format!("UPDATE t{index} SET id = id + 1000 WHERE id = 0")).await.unwrap();
            session.execute(&format!("DELETE FROM t{index}")).await.unwrap();
        }
        let database = DatabaseName::new(DATABASE).unwrap();
        let names: Vec<_> = (0..cases.len()).map(name).collect();
        let sources = read_source_tables(&mut session, &database, &names).await.unwrap();
        let tables: HashMap<_, _> = sources.into_iter().map(|s| (s.def.name.to_string(), Arc::new(s.def))).collect();
        let ours = read(&login, &database, &tables, from, &mut session).await;
        let place = session.row("SHOW BINARY LOG STATUS").await.unwrap().and_then(|row| row.text(0)).unwrap();
        let base = session.value("SELECT @@global.log_bin_basename").await.unwrap().unwrap();
        let theirs = theirs(&Path::new(&base).with_file_name(place));
        compared += agree(&cases, &ours, &theirs);
    }
    println!("{compared} values: two decoders agree");
    assert!(compared > 2_000, "only {compared} values were compared");
}

/// A change as the other decoder tells it: the table, and the whole row before and after.
#[derive(Debug)]
struct Told {
    table: String,
    before: Option<RowEvent>,
    after: Option<RowEvent>,
}

/// Everything in a binlog file that happened to our tables.
fn theirs(file: &Path) -> Vec<Told> {
    let bytes = fs::read(file).unwrap();
    let (end, mut stream) = (bytes.len() as u64, Cursor::new(bytes));
    let mut parser = BinlogParser { checksum_length: 0, table_map_event_by_table_id: HashMap::new() };
    parser.check_magic(&mut stream).unwrap();
    let (mut names, mut told) = (HashMap::new(), Vec::new());
    while stream.position() < end {
        let (_, event) = parser.next(&mut stream).unwrap();
        match event {
            EventData::TransactionPayload(payload) => {
                for (_, event) in payload.uncompressed_events {
                    tell(event, &mut names, &mut told);
                }
            }
            event => tell(event, &mut names, &mut told),
        }
    }
    told
}

fn tell(event: EventData, names: &mut HashMap<u64, String>, told: &mut Vec<Told>) {
    let mut add = |id: u64, before, after| {
        if let Some(table) = names.get(&id) {
            told.push(Told { table: table.clone(), before, after });
        }
    };
    match event {
        EventData::TableMap(map) if map.database_name == DATABASE => drop(names.insert(map.table_id, map.table_name)),
        EventData::TableMap(map) => drop(names.remove(&map.table_id)),
        EventData::WriteRows(rows) => rows.rows.into_iter().for_each(|row| add(rows.table_id, None, Some(row))),
        EventData::DeleteRows(rows) => rows.rows.into_iter().for_each(|row| add(rows.table_id, Some(row), None)),
        EventData::UpdateRows(rows) => {
            rows.rows.into_iter().for_each(|(before, after)| add(rows.table_id, Some(before), Some(after)));
        }
        _ => {}
    }
}

/// Compares change by change; how many values were compared.
fn agree(cases: &[(String, String, Vec<String>)], ours: &[RowChange], theirs: &[Told]) -> usize {
    let (mut compared, mut wrong) = (0, Vec::new());
    assert_eq!(ours.len(), theirs.len(), "changes");
    for (ours, theirs) in ours.iter().zip(theirs) {
        let table: &TableDef = &ours.table;
        assert_eq!((table.name.as_str(), ours.after.is_some()), (theirs.table.as_str(), theirs.after.is_some()));
        let (name, _, values) = &cases[theirs.table[1..].parse::<usize>().unwrap()];
        if let Some(key) = &ours.before {
            let told = &theirs.before.as_ref().unwrap().column_values[0];
            assert_eq!(Some(canonical(&table.columns[0].kind, told)), key.get(0).map(<[u8]>::to_vec), "{name}: key");
            compared += 1;
        }
        let (Some(row), Some(told)) = (&ours.after, &theirs.after) else { continue };
        let [ColumnValue::Long(id), told] = told.column_values.as_slice() else { panic!("{name}: {told:?}") };
        assert_eq!(row.get(0), Some(id.to_string().as_bytes()), "{name}: id");
        let (kind, value) = (&table.columns[1].kind, &values[*id as usize % 1000]);
        let told = (!matches!(told, ColumnValue::None)).then(|| canonical(kind, told));
        let ours = row.get(1).map(|bytes| normal(kind, bytes));
        match (ours == told, known_wrong(name, value)) {
            (true, true) => wrong.push(format!("{name} {value}: equal, take it from the list")),
            (false, false) => {
                wrong.push(format!("{name} {}:\n ours   {}\n theirs {}", cut(value), shown(&ours), shown(&told)));
            }
            _ => compared += 2,
        }
    }
    assert!(wrong.is_empty(), "{} values differ:\n{}", wrong.len(), wrong.join("\n"));
    compared
}

fn shown(value: &Option<Vec<u8>>) -> String {
    value.as_ref().map_or("NULL".into(), |bytes| format!("{:?}", cut(&String::from_utf8_lossy(bytes))))
}

fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

/// Our canonical text, in a form that the other decoder's value can be brought into as well.
fn normal(kind: &ColumnKind, bytes: &[u8]) -> Vec<u8> {
    let text = || std::str::from_utf8(bytes).unwrap();
    match kind {
        ColumnKind::Float | ColumnKind::Double => text().parse::<f64>().unwrap().to_bits().to_be_bytes().to_vec(),
        ColumnKind::Bit => bytes.iter().fold(0, |bits: u64, byte| bits << 8 | u64::from(*byte)).to_be_bytes().to_vec(),
        ColumnKind::Time | ColumnKind::Datetime => micros(text()).into_bytes(),
        ColumnKind::Timestamp => epoch(text()).to_string().into_bytes(),
        ColumnKind::Json => json(text()),
        _ => bytes.to_vec(),
    }
}

/// The other decoder's value in the same form.
fn canonical(kind: &ColumnKind, value: &ColumnValue) -> Vec<u8> {
    let unsigned = matches!(kind, ColumnKind::Int { unsigned: true, .. });
    let text = match (kind, value) {
        (ColumnKind::Int { .. }, ColumnValue::Tiny(n)) if unsigned => n.cast_unsigned().to_string(),
        (ColumnKind::Int { .. }, ColumnValue::Short(n)) if unsigned => n.cast_unsigned().to_string(),
        (ColumnKind::Int { width: 3, .. }, ColumnValue::Long(n)) if unsigned => (n & 0xff_ffff).to_string(),
        (ColumnKind::Int { .. }, ColumnValue::Long(n)) if unsigned => n.cast_unsigned().to_string(),
        (ColumnKind::Int { .. }, ColumnValue::LongLong(n)) if unsigned => n.cast_unsigned().to_string(),
        (ColumnKind::Int { .. }, ColumnValue::Tiny(n)) => n.to_string(),
        (ColumnKind::Int { .. }, ColumnValue::Short(n)) => n.to_string(),
        (ColumnKind::Int { .. }, ColumnValue::Long(n)) => n.to_string(),
        (ColumnKind::Int { .. }, ColumnValue::LongLong(n)) => n.to_string(),
        (ColumnKind::Decimal, ColumnValue::Decimal(text)) => text.clone(),
        (ColumnKind::Float, ColumnValue::Float(n)) => return f64::from(*n).to_bits().to_be_bytes().to_vec(),
        (ColumnKind::Double, ColumnValue::Double(n)) => return n.to_bits().to_be_bytes().to_vec(),
        (ColumnKind::Bit, ColumnValue::Bit(n)) => return n.to_be_bytes().to_vec(),
        // 0 is stored as 0, and it adds 1900.
        (ColumnKind::Year, ColumnValue::Year(1900)) => "0000".into(),
        (ColumnKind::Year, ColumnValue::Year(n)) => n.to_string(),
        // It does not pad years.
        (ColumnKind::Date, ColumnValue::Date(text)) => format!("{text:0>10}"),
        (ColumnKind::Time, ColumnValue::Time(text)) => text.clone(),
        (ColumnKind::Datetime, ColumnValue::DateTime(text)) => format!("{text:0>26}"),
        (ColumnKind::Timestamp, ColumnValue::Timestamp(micros)) => micros.to_string(),
        (ColumnKind::Enum, ColumnValue::Enum(n)) => n.to_string(),
        (ColumnKind::Set, ColumnValue::Set(n)) => n.to_string(),
        (ColumnKind::Json, ColumnValue::Json(bytes)) => return json(&JsonBinary::parse_as_string(bytes).unwrap()),
        // The zeros that pad a BINARY(n) are not in the binlog.
        (ColumnKind::Binary { fixed: Some(length) }, ColumnValue::String(bytes)) => {
            let mut bytes = bytes.clone();
            bytes.resize(*length as usize, 0);
            return bytes;
        }
        (_, ColumnValue::String(bytes) | ColumnValue::Blob(bytes)) => return bytes.clone(),
        other => panic!("{other:?}"),
    };
    text.into_bytes()
}

/// With six digits behind the point, whatever the column's precision.
fn micros(text: &str) -> String {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}.{fraction:0<6}")
}

/// Microseconds since 1970 UTC; 0 for the zero date.
fn epoch(text: &str) -> i64 {
    let text = micros(text);
    let parts: Vec<i64> = text.split(['-', ' ', ':', '.']).map(|part| part.parse().unwrap()).collect();
    let [year, month, day, hour, minute, second, fraction] = parts[..] else { panic!("{text}") };
    if year == 0 {
        return 0;
    }
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let months = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum::<i64>()
        + months[..month as usize - 1].iter().sum::<i64>()
        + day
        - 1;
    (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + fraction
}

/// The document, whatever blanks it was printed with.
fn json(text: &str) -> Vec<u8> {
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    serde_json::to_vec(&value).unwrap()
}
