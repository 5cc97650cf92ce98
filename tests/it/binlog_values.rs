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

const LIMIT: Duration = Duration::from_secs(60);

/// A column type and the SQL of values to store in it; NULL is added to each.
type Case = (&'static str, &'static [&'static str]);

const NUMBERS: &[Case] = &[
    ("TINYINT", &["-128", "-1", "0", "127"]),
    ("TINYINT UNSIGNED", &["0", "128", "255"]),
    ("SMALLINT", &["-32768", "-1", "0", "32767"]),
    ("SMALLINT UNSIGNED", &["0", "32768", "65535"]),
    ("MEDIUMINT", &["-8388608", "-1", "0", "8388607"]),
    ("MEDIUMINT UNSIGNED", &["0", "8388608", "16777215"]),
    ("INT", &["-2147483648", "-1", "0", "2147483647"]),
    ("INT UNSIGNED", &["0", "2147483648", "4294967295"]),
    ("BIGINT", &["-9223372036854775808", "-1", "0", "9223372036854775807"]),
    ("BIGINT UNSIGNED", &["0", "9223372036854775808", "18446744073709551615"]),
    ("INT(8) ZEROFILL", &["0", "42", "4294967295"]),
    ("DECIMAL(8,2) ZEROFILL", &["0", "1.5", "999999.99"]),
    ("DECIMAL(1,0)", &["0", "9", "-9"]),
    ("DECIMAL(5,2)", &["0", "-0.00", "-0.001", "0.5", "-0.50", "999.99", "-999.99"]),
    ("DECIMAL(5,5)", &["0", "0.00001", "-0.99999"]),
    ("DECIMAL(9,9)", &["0.000000001", "-0.999999999"]),
    ("DECIMAL(10,0)", &["1000000000", "-1", "9999999999"]),
    ("DECIMAL(18,9)", &["100000000.000000001", "-0.000000001", "1.1"]),
    ("DECIMAL(20,10)", &["1234567890.1234567890", "-0.0000000001", "1000000000"]),
    ("DECIMAL(30,30)", &["0.123456789012345678901234567890", "-0.000000000000000000000000000001"]),
    ("DECIMAL(65,0)", &["99999999999999999999999999999999999999999999999999999999999999999", "-1000000000"]),
    ("DECIMAL(65,30)", &["12345678901234567890123456789012345.123456789012345678901234567890", "-1", "0"]),
    ("FLOAT", &["0", "-0e0", "1", "0.1", "-1.5", "3.402823466e38", "1.401298464e-45", "16777217", "1e10", "1234567.8"]),
    ("FLOAT UNSIGNED", &["0.25"]),
    (
        "DOUBLE",
        &[
            "0", "-0e0", "1", "0.1", "-1.5", "1e14", "1e15", "123456789012345678", "1e-15", "1e-16", "5e-324",
            "2.2250738585072014e-308", "1.7976931348623157e308", "-1.7976931348623157e308", "5.684341886080802e-14",
            "9007199254740993", "0.3", "1e22", "1e23", "4.35", "2e-44",
        ],
    ),
    ("DOUBLE(10,3)", &["1", "1.5", "-1234567.891"]),
    ("FLOAT(10,3)", &["1", "1.5", "-1234.5"]),
    ("BIT(1)", &["b'0'", "b'1'"]),
    ("BIT(7)", &["b'1010101'"]),
    ("BIT(8)", &["b'11111111'"]),
    ("BIT(9)", &["b'100000001'"]),
    ("BIT(33)", &["0", "8589934591"]),
    ("BIT(64)", &["0", "~0"]),
];

const TEMPORALS: &[Case] = &[
    ("YEAR", &["0", "1901", "1970", "2155", "'0000'"]),
    ("DATE", &["'0000-00-00'", "'2024-00-00'", "'2024-02-00'", "'0001-01-01'", "'2024-02-29'", "'9999-12-31'", "'2023-02-31'"]),
    ("TIME", &["0", "'-838:59:59'", "'838:59:59'", "'-00:00:01'", "'100:00:00'"]),
    ("TIME(1)", &["'-00:00:00.1'", "'-838:59:58.9'", "'12:34:56.7'", "'-12:34:56.9'", "0"]),
    ("TIME(2)", &["'-00:00:00.01'", "'-00:00:01.99'", "'12:34:56.78'", "'-12:00:00'"]),
    ("TIME(3)", &["'-00:00:00.001'", "'838:59:59'", "'-12:34:56.789'"]),
    ("TIME(4)", &["'-00:00:00.0001'", "'-12:34:56.7891'", "'00:00:00.9999'"]),
    ("TIME(5)", &["'-00:00:00.00001'", "'-12:34:56.78912'"]),
    ("TIME(6)", &["'-00:00:00.000001'", "'-12:34:56.789123'", "'838:59:58.999999'", "'-838:59:59'"]),
    ("DATETIME", &["'0000-00-00'", "'2024-00-00 01:02:03'", "'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'"]),
    ("DATETIME(1)", &["'2024-02-29 23:59:59.9'", "'0000-00-00'"]),
    ("DATETIME(2)", &["'2024-02-29 23:59:59.01'"]),
    ("DATETIME(3)", &["'2024-02-29 23:59:59.001'"]),
    ("DATETIME(4)", &["'2024-02-29 23:59:59.9999'"]),
    ("DATETIME(5)", &["'2024-02-29 23:59:59.00001'"]),
    ("DATETIME(6)", &["'0000-00-00'", "'9999-12-31 23:59:59.999999'", "'0001-01-01 00:00:00.000001'"]),
    ("TIMESTAMP NULL", &["'0000-00-00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'2000-02-29 12:00:00'"]),
    ("TIMESTAMP(1) NULL", &["'0000-00-00'", "'2024-12-31 23:59:59.9'"]),
    ("TIMESTAMP(3) NULL", &["'0000-00-00'", "'2100-01-01' - INTERVAL 70 YEAR", "'1970-01-01 00:00:01.001'"]),
    ("TIMESTAMP(6) NULL", &["'0000-00-00'", "'2038-01-19 03:14:07.999999'", "'1999-03-01 00:00:00.000001'"]),
];

const STRINGS: &[Case] = &[
    ("ENUM('a','b','')", &["'a'", "''", "3", "CAST(0 AS UNSIGNED)"]),
    ("SET('a','b')", &["''", "'a,b'", "'b'"]),
    ("SET('1','2','3','4','5','6','7','8')", &["255", "128"]),
    ("SET('1','2','3','4','5','6','7','8','9')", &["256", "511"]),
    ("CHAR(0)", &["''"]),
    ("CHAR(10)", &["''", "'a'", "'a  '", "' a'", "'é😀'", "'0123456789'"]),
    ("CHAR(63)", &["REPEAT('😀',63)", "'a'"]),
    ("CHAR(64)", &["REPEAT('😀',64)", "'a'"]),
    ("CHAR(255)", &["REPEAT('😀',255)", "'a'", "''"]),
    ("CHAR(255) CHARACTER SET latin1", &["REPEAT('é',255)", "'a '"]),
    ("CHAR(10) CHARACTER SET utf16", &["'é😀'", "'a '"]),
    ("CHAR(10) CHARACTER SET ucs2", &["'é'", "'a '"]),
    ("CHAR(10) CHARACTER SET utf32", &["'é😀'", "'a '"]),
    ("CHAR(10) CHARACTER SET gbk", &["'中文'", "'a '"]),
    ("CHAR(10) CHARACTER SET sjis", &["'表ソ'", "'a '"]),
    ("CHAR(10) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", &["'a '", "'A'"]),
    ("VARCHAR(63)", &["REPEAT('😀',63)", "'a '", "''"]),
    ("VARCHAR(64)", &["REPEAT('😀',64)", "'a'"]),
    ("VARCHAR(255) CHARACTER SET latin1", &["REPEAT('é',255)", "''"]),
    ("VARCHAR(256) CHARACTER SET latin1", &["REPEAT('é',256)", "'x'"]),
    ("VARCHAR(20) CHARACTER SET utf16", &["'é😀'"]),
    ("VARCHAR(20) CHARACTER SET euckr", &["'한국'"]),
    ("VARCHAR(20) CHARACTER SET utf8mb3", &["'é'"]),
    ("VARCHAR(8000)", &["REPEAT('x',8000)", "'\\'\\\\\\0\\n'"]),
    ("TINYTEXT", &["''", "REPEAT('é',127)"]),
    ("TEXT", &["''", "REPEAT('é',30000)"]),
    ("TEXT CHARACTER SET latin1", &["'é'"]),
    ("MEDIUMTEXT", &["REPEAT('x',70000)"]),
    ("LONGTEXT", &["REPEAT('x',17000000)", "''"]),
    ("BINARY(0)", &["''"]),
    ("BINARY(1)", &["''", "x'00'", "x'20'", "x'FF'"]),
    ("BINARY(16)", &["''", "x'00'", "x'0100'", "x'2020'", "REPEAT(x'00',16)", "REPEAT(x'FF',16)"]),
    ("BINARY(255)", &["''", "REPEAT(x'AB',255)"]),
    ("VARBINARY(255)", &["''", "x'00'", "x'4100'", "REPEAT(x'00',255)"]),
    ("VARBINARY(300)", &["''", "REPEAT(x'FE',300)"]),
    ("TINYBLOB", &["''", "x'00FF'"]),
    ("BLOB", &["''", "REPEAT(x'00',65535)"]),
    ("MEDIUMBLOB", &["REPEAT(x'FD',70000)"]),
    ("LONGBLOB", &["REPEAT(x'FB',20000000)"]),
];

const OTHERS: &[Case] = &[
    (
        "JSON",
        &[
            "'null'", "'true'", "'false'", "'0'", "'-1'", "'32767'", "'32768'", "'-32769'", "'65536'", "'2147483648'",
            "'9223372036854775807'", "'18446744073709551615'", "'1.0'", "'-0.0'", "'0.1'", "'1e100'", "'1e15'", "'1e14'",
            "'\"\"'", "'[]'", "'{}'", "'[[], {}, [1]]'",
            r#"'{"a": 1, "bb": [true, null, 1.5, -7, 70000, 5000000000], "": {"x": "é😀"}}'"#,
            r#"JSON_QUOTE(CONCAT('"/\\', CHAR(1,8,9,10,12,13,31,127 USING utf8mb4)))"#,
            "JSON_ARRAY(CAST(1.50 AS DECIMAL(5,2)), CAST(-0.5 AS DECIMAL(65,30)), 0.00)",
            "CAST(CAST(12.300 AS DECIMAL(10,3)) AS JSON)",
            "JSON_ARRAY(CAST('2015-01-15 23:24:25.12' AS DATETIME(2)), CAST('0000-00-00' AS DATETIME))",
            "JSON_ARRAY(CAST('2015-01-15' AS DATE), TIMESTAMP'2020-01-01 00:00:00.000123')",
            "JSON_ARRAY(CAST('-838:59:59' AS TIME), CAST('-10:11:12.5' AS TIME(1)), CAST('00:00:00' AS TIME), '100:00:00')",
            "JSON_ARRAY(x'00FF10', CAST(2020 AS YEAR), b'101', CAST('x' AS BINARY))",
            "JSON_ARRAY(CAST(REPEAT('a',56) AS BINARY), CAST(REPEAT('a',57) AS BINARY), CAST(REPEAT('a',58) AS BINARY))",
            "JSON_ARRAY(CAST(REPEAT('a',114) AS BINARY), CAST(REPEAT('a',1000) AS BINARY), CAST('' AS BINARY))",
            "JSON_ARRAY(ST_GeomFromText('POINT(1 2)'), ST_GeomFromText('LINESTRING(0 0,1 1)'))",
            "JSON_OBJECT('k', REPEAT('x',127), 'l', REPEAT('x',128), 'm', REPEAT('x',16384))",
            "JSON_OBJECT('big', REPEAT('x',70000), 'n', 70000, 'u', 40000, 's', 5, 'b', TRUE, 'd', 1e0)",
            "JSON_ARRAY(REPEAT('x',70000), 70000, -70000, 4000000000, 18446744073709551615, NULL)",
            "CONCAT(REPEAT('[',100), REPEAT(']',100))",
            "CONCAT('[', REPEAT('1,',40000), '1]')",
        ],
    ),
    ("GEOMETRY", &["ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('POINT(1 2)',4326)"]),
    ("POINT SRID 4326", &["ST_GeomFromText('POINT(1 2)',4326)"]),
    ("GEOMETRYCOLLECTION", &["ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))')"]),
    ("VECTOR(3)", &["STRING_TO_VECTOR('[1,-2.5,0]')"]),
    ("VECTOR", &["STRING_TO_VECTOR('[1e38]')"]),
];

/// Tables whose point is more than one type: the order of metadata, generated columns, keys, wide rows.
const TABLES: &[(&str, &str)] = &[
    (
        "CREATE TABLE mixed (y YEAR, u INT UNSIGNED, d DECIMAL(6,3), f FLOAT UNSIGNED, t TINYINT UNSIGNED, v VECTOR(2), \
         g GEOMETRY, l VARCHAR(9) CHARACTER SET latin1, j JSON, b VARBINARY(9), e ENUM('é') CHARACTER SET latin1, \
         s SET('x') CHARACTER SET ucs2, c CHAR(3) CHARACTER SET gbk, x TEXT, bb BIT(3), m MEDIUMINT UNSIGNED, \
         k BIGINT UNSIGNED, PRIMARY KEY (k))",
        "(2000, 4000000000, -1.5, 0.5, 200, NULL, NULL, 'é', '{\"a\": 1}', x'00', 'é', 'x', '中', 'é', 5, 16000000, \
         18446744073709551615)",
    ),
    (
        "CREATE TABLE computed (a INT, v INT AS (a + 1) VIRTUAL, s VARCHAR(20) AS (CONCAT('x', a)) STORED, \
         h INT INVISIBLE DEFAULT 9, b VARCHAR(10), c BINARY(4), PRIMARY KEY (c, b), KEY functional ((a * 2)), KEY (v))",
        "(7, DEFAULT, DEFAULT, 'k', x'01')",
    ),
    ("CREATE TABLE hidden_key (a INT, b JSON, c VARCHAR(5) UNIQUE NOT NULL)", "(1, '[2]', 'c')"),
];

fn enum_of(members: usize) -> String {
    let members: Vec<String> = (1..=members).map(|n| format!("'m{n}'")).collect();
    members.join(",")
}

struct Moved(String, HashMap<String, Arc<TableDef>>);

impl Tables for Moved {
    fn table(&self, database: &str, table: &str) -> Option<Arc<TableDef>> {
        if database == self.0 { self.1.get(table).cloned() } else { None }
    }
}

/// Writes every case into a new database `name` and compares the copy's rows with the binlog's, for inserts, updates and
/// deletes. Returns how many values were compared.
pub async fn every_type_reads_the_same_both_ways(login: &Login, name: &str) -> usize {
    let mut session = Session::open(login, LIMIT).await.unwrap();
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
    // A column added in place, so that rows of two shapes exist.
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
    for (table, def) in &tables {
        let column = def.columns.iter().find(|c| def.key.columns.iter().all(|&k| def.columns[k].name != c.name));
        let column = quote::ident(&column.unwrap().name);
        session.execute(&format!("UPDATE {table} SET {column} = {column}")).await.unwrap();
        if table.starts_with('t') {
            session.execute(&format!("UPDATE {table} SET id = id + 1000")).await.unwrap();
        }
        session.execute(&format!("DELETE FROM {table}")).await.unwrap();
    }
    let changes = read(login, &database, &tables, from, &mut session).await;
    for (table, rows) in &selected {
        let def = &tables[table];
        let keys: Vec<Row> = rows.iter().map(|row| key(def, row)).collect();
        let of_table: Vec<_> = changes.iter().filter(|change| change.table.name.as_str() == table).collect();
        let updated = of_table.iter().filter(|change| change.after.is_some());
        let befores: Vec<Row> = updated.map(|change| change.before.clone().unwrap()).collect();
        if table.starts_with('t') {
            assert_eq!(sorted(befores), sorted(keys.clone()), "{table}: keys before the update");
            let afters: Vec<Row> = of_table.iter().filter_map(|change| change.after.clone()).collect();
            for (after, row) in afters.iter().zip(rows) {
                let (after, row): (Vec<_>, Vec<_>) = (after.values().collect(), row.values().collect());
                assert_eq!(after[1], row[1], "{table}: value after the update");
            }
        }
        let deleted: Vec<Row> =
            of_table.iter().filter(|c| c.after.is_none()).map(|c| c.before.clone().unwrap()).collect();
        assert_eq!(deleted.len(), rows.len(), "{table}: deletes");
        if !table.starts_with('t') {
            assert_eq!(sorted(deleted), sorted(keys), "{table}: keys before the delete");
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

async fn executed(session: &mut Session) -> GtidSet {
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
async fn read(
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
