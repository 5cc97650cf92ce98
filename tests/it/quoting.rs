//! SQL made by `mysql::quote` on a real server: every type's edge values go in by INSERT and by LOAD DATA and come back as
//! the same canonical bytes; keys of every type are found by equality, in lists and in ranges, through the index.

mod cases;

use std::time::Duration;

use futures_util::{StreamExt, stream};
use mysql_async::prelude::{AsQuery, Queryable};
use mysql_async::{Conn, Value};
use shardlift::local::{Account, Mysqld, MysqldSpec, Ports};
use shardlift::model::{DatabaseName, Row, TableDef};
use shardlift::mysql::admin::Session;
use shardlift::mysql::conn::connect;
use shardlift::mysql::{Endpoint, Login, Secret, quote, schema};

use crate::harness::servers;
use cases::{WIDEST, cases};

const LIMIT: Duration = Duration::from_secs(60);
const DATABASE: &str = "quoting";

/// A statement that is not UTF-8.
struct Raw(Vec<u8>);

impl AsQuery for Raw {
    fn as_query(&self) -> std::borrow::Cow<'_, [u8]> {
        std::borrow::Cow::Borrowed(&self.0)
    }
}

struct Fixture {
    session: Session,
    reader: Conn,
    writer: Conn,
    database: DatabaseName,
}

impl Fixture {
    async fn new(login: &Login) -> Self {
        let mut session = Session::open(login, LIMIT).await.unwrap();
        session.execute(&format!("CREATE DATABASE {DATABASE}")).await.unwrap();
        let mut reader = connect(login, &[], LIMIT).await.unwrap();
        reader.query_drop(quote::READER_SESSION).await.unwrap();
        let mut writer = connect(login, &[], LIMIT).await.unwrap();
        writer.query_drop(quote::WRITER_SESSION).await.unwrap();
        Self { session, reader, writer, database: DatabaseName::new(DATABASE).unwrap() }
    }

    async fn table(&mut self, name: &str, columns: &str) -> TableDef {
        let members: Vec<String> = (0..64).map(|i| format!("'m{i}'")).collect();
        let columns = columns.replace(WIDEST, &format!("set({})", members.join(",")));
        let sql = format!("CREATE TABLE {DATABASE}.{name} ({columns})");
        self.session.execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let found = schema::read_tables(&mut self.session, DATABASE, Some(&[name.to_owned()])).await.unwrap();
        schema::define(&found[0]).unwrap()
    }

    async fn insert(&mut self, table: &TableDef, rows: &[Row]) {
        let error = |row: &&Row| {
            table.columns.iter().zip(row.values()).any(|(column, value)| quote::is_enum_error(&column.kind, value))
        };
        let (lenient, strict): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(error);
        for (hint, rows) in [(String::new(), strict), (quote::insert_hint(), lenient)] {
            if rows.is_empty() {
                continue;
            }
            let mut sql =
                format!("INSERT {hint} INTO {} (", quote::table_name(&self.database, &table.name)).into_bytes();
            quote::push_column_list(&mut sql, table);
            sql.extend_from_slice(b") VALUES ");
            for (index, row) in rows.iter().enumerate() {
                sql.extend_from_slice(if index > 0 { b"," } else { b"" });
                quote::push_row(&mut sql, table, row);
            }
            self.writer.query_drop(Raw(sql)).await.unwrap();
            let expected = if hint.is_empty() { 0 } else { rows.len() };
            assert_eq!(usize::from(self.writer.get_warnings()), expected);
        }
    }

    async fn load(&mut self, table: &TableDef, rows: &[Row]) {
        let mut data = Vec::new();
        for row in rows {
            quote::push_load_row(&mut data, row);
        }
        let data = bytes::Bytes::from(data);
        self.writer.set_infile_handler(async move { Ok(stream::iter([Ok(data)]).boxed()) });
        self.writer.query_drop(quote::load_data(&self.database, table, quote::OnDuplicate::Skip)).await.unwrap();
        let errors = rows.iter().filter(|row| quote::is_enum_error(&table.columns[1].kind, row.get(1))).count();
        assert_eq!(self.writer.affected_rows(), rows.len() as u64);
        assert_eq!(usize::from(self.writer.get_warnings()), errors);
    }

    async fn read(&mut self, sql: impl Into<Vec<u8>>) -> Vec<Row> {
        let rows: Vec<mysql_async::Row> = self.reader.query(Raw(sql.into())).await.unwrap();
        let value = |value| match value {
            Value::NULL => None,
            Value::Bytes(bytes) => Some(bytes),
            other => panic!("{other:?}"),
        };
        let rows = rows.into_iter().map(|row| row.unwrap().into_iter().map(value).collect::<Vec<_>>());
        rows.map(|row| row.iter().map(Option::as_deref).collect()).collect()
    }

    /// The keys that satisfy a predicate, in key order, and how the server gets at them.
    async fn keys(&mut self, table: &TableDef, predicate: &[u8]) -> (Vec<Row>, String) {
        let mut sql = format!("SELECT {} FROM ", quote::select_list(table.key_columns())).into_bytes();
        quote::push_keyed_table(&mut sql, &self.database, table);
        sql.extend_from_slice(b" WHERE ");
        sql.extend_from_slice(predicate);
        quote::push_key_order(&mut sql, table, false);
        let explain = [b"EXPLAIN FORMAT=TRADITIONAL ".to_vec(), sql.clone()].concat();
        let plan = self.read(explain).await;
        let access = plan.first().and_then(|row| row.get(4)).unwrap_or(b"none");
        let access = String::from_utf8_lossy(access).into_owned();
        (self.read(sql).await, access)
    }
}

fn row(id: usize, value: Option<&[u8]>) -> Row {
    [Some(id.to_string().as_bytes()), value].into_iter().collect()
}

/// One server for both parts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_and_keys_survive_quoting() {
    let folder = tempfile::Builder::new().prefix("shardlift-test-").tempdir().unwrap();
    let port = Ports::open(&servers().await.cache).unwrap().lease().unwrap();
    let spec = MysqldSpec::new(folder.path().join("server"), port, 1, Account::engine("engine", "engine-1"));
    let server = Mysqld::start(servers().await, spec).await.unwrap();
    let endpoint = Endpoint::unix(server.socket());
    let login = Login { endpoint, user: "engine".into(), password: Secret::new("engine-1"), database: None };
    let mut fixture = Fixture::new(&login).await;
    values(&mut fixture).await;
    keys(&mut fixture).await;
}

async fn values(fixture: &mut Fixture) {
    for (number, (kind, rest, values)) in cases().into_iter().enumerate() {
        let canonical: Vec<Row> = values.iter().enumerate().map(|(id, value)| row(id, *value)).collect();
        for way in ["inserted", "loaded"] {
            let columns = format!("id INT AUTO_INCREMENT PRIMARY KEY, g INT AS (7) VIRTUAL, v {kind} NULL {rest}");
            let table = fixture.table(&format!("{way}_{number}"), &columns).await;
            match way {
                "inserted" => fixture.insert(&table, &canonical).await,
                _ => fixture.load(&table, &canonical).await,
            }
            let list = quote::select_list(&table.columns);
            let from = quote::table_name(&fixture.database, &table.name);
            let read = fixture.read(format!("SELECT {list} FROM {from} ORDER BY id")).await;
            for (wrote, read) in canonical.iter().zip(&read) {
                let shown = |row: &Row| row.get(1).map(|bytes| bytes.escape_ascii().to_string());
                assert_eq!(shown(read), shown(wrote), "{kind} {way}");
            }
            assert_eq!(read, canonical, "{kind} {way}");
        }
    }
}

async fn keys(fixture: &mut Fixture) {
    const UNKEYED: [&str; 8] = ["json", "geometry", "point", "vector", "longblob", "text", "tinytext", WIDEST];
    for (number, (kind, _, values)) in cases().into_iter().enumerate() {
        if UNKEYED.iter().any(|name| kind.starts_with(name)) {
            continue;
        }
        for (key, copies) in [("v", 1), ("v, id", 200)] {
            let columns = format!("id INT NOT NULL, v {kind} NOT NULL, PRIMARY KEY ({key})");
            let table = fixture.table(&format!("key_{number}_{copies}"), &columns).await;
            // −0.0 would be the same key as 0.0.
            let values = values.iter().filter(|value| value.is_some_and(|value| value != b"-0"));
            let rows: Vec<Row> = values.flat_map(|value| (0..copies).map(|id| row(id, *value))).collect();
            fixture.insert(&table, &rows).await;
            fixture.session.rows(&format!("ANALYZE TABLE {DATABASE}.{}", table.name)).await.unwrap();
            let all = fixture.keys(&table, b"TRUE").await.0;
            assert_eq!(all.len(), rows.len(), "{kind}");
            check_predicates(fixture, &table, &all, kind).await;
        }
    }
}

async fn check_predicates(fixture: &mut Fixture, table: &TableDef, all: &[Row], kind: &str) {
    // The optimizer takes no range of these but from lists: see push_range_predicate.
    let listed = kind.starts_with("enum") || kind.starts_with("set");
    let mut predicate = Vec::new();
    quote::push_key_in(&mut predicate, table, all).unwrap();
    assert_eq!(fixture.keys(table, &predicate).await.0, all, "{kind} IN");
    for (from, key) in all.iter().enumerate().step_by(all.len().div_ceil(7)) {
        let mut predicate = Vec::new();
        quote::push_key_equals(&mut predicate, table, key).unwrap();
        let (found, access) = fixture.keys(table, &predicate).await;
        assert_eq!((found, access.as_str()), (vec![key.clone()], "const"), "{kind}");
        for upto in (from..all.len()).step_by(all.len().div_ceil(5)).map(Some).chain([None]) {
            let mut predicate = Vec::new();
            quote::push_range_predicate(&mut predicate, table, Some(key), upto.map(|at| &all[at])).unwrap();
            let (found, access) = fixture.keys(table, &predicate).await;
            let shown = String::from_utf8_lossy(&predicate).into_owned();
            assert_eq!(found, all[from + 1..upto.map_or(all.len(), |at| at + 1)], "{kind} {shown}");
            // So few rows are not worth a range.
            assert!(listed || all.len() < 200 || access != "index" && access != "ALL", "{kind} {shown}: {access}");
        }
    }
}
