//! The binlog reader against a real server: transaction boundaries, pieces, DDL, XA, resuming, and each thing that must stop
//! the stream rather than pass unseen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shardlift::local::Mysqld;
use shardlift::model::{DatabaseName, GtidSet, RowChange, TableDef, TableName, Txn};
use shardlift::mysql::admin::Session;
use shardlift::mysql::binlog::{BinlogError, BinlogOptions, BinlogReader, Ddl, Retry, Scope, SourceEvent, Tables};
use shardlift::mysql::schema::read_source_tables;
use shardlift::mysql::{Login, MysqlError};

const LIMIT: Duration = Duration::from_secs(60);
const DATABASE: &str = "binlog_stream";

struct OneTable(Arc<TableDef>);

impl Tables for OneTable {
    fn table(&self, database: &str, table: &str) -> Option<Arc<TableDef>> {
        (database == DATABASE && table == "moved").then(|| self.0.clone())
    }

    fn is_moved(&self, database: &str, table: &str) -> bool {
        database == DATABASE && ["moved", "not_read_yet"].contains(&table)
    }
}

struct Source {
    login: Login,
    session: Session,
    moved: Arc<OneTable>,
}

impl Source {
    async fn new(login: &Login) -> Self {
        let mut session = Session::open(login, LIMIT).await.unwrap();
        for sql in [
            &format!("DROP DATABASE IF EXISTS {DATABASE}"),
            &format!("CREATE DATABASE {DATABASE}"),
            &format!("USE {DATABASE}"),
            "CREATE TABLE moved (id INT PRIMARY KEY, v LONGTEXT, j JSON)",
            "CREATE TABLE foreign_to_us (id INT PRIMARY KEY, v LONGTEXT)",
            "CREATE TABLE not_read_yet (id INT PRIMARY KEY, v LONGTEXT)",
        ] {
            session.execute(sql).await.unwrap();
        }
        let names = [TableName::new("moved").unwrap()];
        let mut found = read_source_tables(&mut session, &DatabaseName::new(DATABASE).unwrap(), &names).await.unwrap();
        let moved = Arc::new(OneTable(Arc::new(found.remove(0).def)));
        Source { login: login.clone(), session, moved }
    }

    async fn executed(&mut self) -> GtidSet {
        let row = self.session.row("SELECT @@GLOBAL.gtid_executed").await.unwrap();
        row.and_then(|row| row.text(0)).unwrap().parse().unwrap()
    }

    fn options(&self, from: GtidSet) -> BinlogOptions {
        BinlogOptions { heartbeat: Duration::from_millis(200), ..BinlogOptions::new(from, self.moved.clone()) }
    }

    async fn run(&self, statements: &[&str]) {
        let mut session = Session::open(&self.login, LIMIT).await.unwrap();
        session.execute(&format!("USE {DATABASE}")).await.unwrap();
        for sql in statements {
            session.execute(sql).await.unwrap_or_else(|error| panic!("{}: {error}", &sql[..sql.len().min(100)]));
        }
        session.close().await;
    }

    /// Runs `statements` in a session of their own and reads what they did.
    async fn after(&mut self, statements: &[&str]) -> Result<Vec<SourceEvent>, BinlogError> {
        let from = self.executed().await;
        self.run(statements).await;
        self.read(self.options(from)).await
    }

    /// Reads until everything executed has been seen.
    async fn read(&mut self, options: BinlogOptions) -> Result<Vec<SourceEvent>, BinlogError> {
        let target = self.executed().await;
        let mut position = options.from.clone();
        let mut reader = BinlogReader::connect(&self.login, options).await?;
        let mut events = Vec::new();
        while !target.is_subset(&position) {
            let event = tokio::time::timeout(LIMIT, reader.next()).await.expect("events in time")?;
            match &event {
                SourceEvent::Txn(txn) if txn.last => position.add(&txn.gtid),
                SourceEvent::Ddl(ddl) if ddl.last => position.add(&ddl.gtid),
                SourceEvent::Heartbeat => continue,
                SourceEvent::Txn(_) | SourceEvent::Ddl(_) => {}
            }
            events.push(event);
        }
        reader.close().await;
        Ok(events)
    }
}

fn txns(events: &[SourceEvent]) -> Vec<&Txn> {
    events.iter().filter_map(|event| if let SourceEvent::Txn(txn) = event { Some(txn) } else { None }).collect()
}

fn ddls(events: &[SourceEvent]) -> Vec<&Ddl> {
    events.iter().filter_map(|event| if let SourceEvent::Ddl(ddl) = event { Some(ddl) } else { None }).collect()
}

/// `+id` for an insert, `-id` for a delete, `old>new` for an update.
fn shown(changes: &[RowChange]) -> String {
    let id = |row: &shardlift::model::Row| String::from_utf8_lossy(row.get(0).unwrap_or(b"NULL")).into_owned();
    let one = |change: &RowChange| match (&change.before, &change.after) {
        (None, Some(after)) => format!("+{}", id(after)),
        (Some(before), None) => format!("-{}", id(before)),
        (Some(before), Some(after)) => format!("{}>{}", id(before), id(after)),
        (None, None) => "?".into(),
    };
    changes.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Transactions of every kind arrive once each, in order, with their rows.
pub async fn transactions_and_ddl(login: &Login) {
    let mut source = Source::new(login).await;
    let events = source
        .after(&[
            "INSERT INTO moved (id) VALUES (1), (2)",
            "INSERT INTO foreign_to_us (id) VALUES (1)",
            "BEGIN",
            "UPDATE moved SET id = 3 WHERE id = 1",
            "INSERT INTO foreign_to_us (id) VALUES (2)",
            "SAVEPOINT a",
            "INSERT INTO moved (id) VALUES (9)",
            "ROLLBACK TO a",
            "DELETE FROM moved WHERE id = 2",
            "COMMIT",
            "FLUSH BINARY LOGS",
            "CREATE TABLE other AS SELECT * FROM moved",
            "SET gtid_next = 'AUTOMATIC:blue'",
            "DELETE FROM moved",
            "SET gtid_next = 'AUTOMATIC'",
            "RENAME TABLE other TO other2",
            "DROP TABLE other2",
            "CREATE TRIGGER shardlift_fence_1_ins_5edd1832df25e2f1 BEFORE INSERT ON moved FOR EACH ROW SET @a = 1",
            "DROP TRIGGER shardlift_fence_1_ins_5edd1832df25e2f1",
            "GRANT SELECT ON *.* TO CURRENT_USER",
        ])
        .await
        .unwrap();
    let seen: Vec<String> = txns(&events).iter().map(|txn| shown(&txn.changes)).collect();
    assert_eq!(seen, ["+1 +2", "", "1>3 -2", "", "-3"]);
    assert!(txns(&events).iter().all(|txn| txn.last && txn.committed_us > 1_700_000_000_000_000 && txn.length > 0));
    assert_eq!(txns(&events)[4].gtid.source.tag, "blue");
    let touched: Vec<_> = ddls(&events).iter().map(|ddl| (ddl.scope.clone(), ddl.last)).collect();
    let tables =
        |names: &[&str]| Scope::Tables(names.iter().map(|name| (DATABASE.to_owned(), (*name).to_owned())).collect());
    let expected = [
        (tables(&["other"]), false),
        (tables(&["other", "other2"]), true),
        (tables(&["other2"]), true),
        (Scope::Nothing, true),
        (Scope::Nothing, true),
        (Scope::Nothing, true),
    ];
    assert_eq!(touched, expected, "{:?}", ddls(&events));
    assert_eq!(ddls(&events)[0].gtid, txns(&events)[3].gtid, "CREATE … SELECT commits with its rows");
}

/// A transaction larger than a piece comes in pieces that lose nothing, compressed or not.
pub async fn large_transactions_come_in_pieces(login: &Login) {
    let mut source = Source::new(login).await;
    for compression in ["OFF", "ON"] {
        let from = source.executed().await;
        let rows: Vec<String> = (0..200).map(|id| format!("({id}, REPEAT('x', 100000), NULL)")).collect();
        let insert = format!("INSERT INTO moved VALUES {}", rows.join(","));
        let compression = format!("SET binlog_transaction_compression = {compression}");
        source.run(&[&compression, "DELETE FROM moved", &insert]).await;
        let options = BinlogOptions { piece_bytes: 1 << 20, ..source.options(from) };
        let events = source.read(options).await.unwrap();
        let pieces: Vec<_> = txns(&events)
            .into_iter()
            .filter(|txn| !txn.changes.is_empty() && txn.changes[0].before.is_none())
            .collect();
        assert!(pieces.len() > 15, "{} pieces", pieces.len());
        let rows: Vec<_> = pieces.iter().map(|txn| shown(&txn.changes)).collect();
        assert_eq!(rows.join(" "), (0..200).map(|id| format!("+{id}")).collect::<Vec<_>>().join(" "));
        assert_eq!(
            txns(&events).iter().filter(|txn| txn.last).count(),
            if compression.ends_with("ON") { 2 } else { 1 }
        );
    }
}

/// XA that touches no moved table passes, also for a reader that begins between its prepare and its end; XA that touches
/// one stops the stream before its transaction.
pub async fn xa_stops_by_name(login: &Login) {
    let mut source = Source::new(login).await;
    let harmless = ["XA START 'a'", "INSERT INTO foreign_to_us (id) VALUES (7)", "XA END 'a'", "XA PREPARE 'a'"];
    let from = source.executed().await;
    source.run(&harmless).await;
    let between = source.executed().await;
    source.run(&["XA COMMIT 'a'"]).await;
    for (from, ends) in [(from, 2), (between, 1)] {
        let events = source.read(source.options(from)).await.unwrap();
        assert_eq!(txns(&events).len(), ends);
        assert!(txns(&events).iter().all(|txn| txn.changes.is_empty() && txn.last));
    }

    let plain = source.after(&["INSERT INTO not_read_yet (id) VALUES (7)"]).await.unwrap();
    assert!(txns(&plain).iter().all(|txn| txn.changes.is_empty() && txn.last));

    for (table, insert, end) in [
        ("moved", 77, "XA PREPARE 'b'"),
        ("moved", 78, "XA COMMIT 'b' ONE PHASE"),
        ("not_read_yet", 79, "XA PREPARE 'b'"),
    ] {
        let insert = format!("INSERT INTO {table} (id) VALUES ({insert})");
        let touching = source.after(&["XA START 'b'", &insert, "XA END 'b'", end]).await;
        if end.starts_with("XA PREPARE") {
            source.run(&["XA ROLLBACK 'b'"]).await;
        }
        let error = touching.unwrap_err();
        assert!(matches!(&error, BinlogError::Xa { what, .. } if what.contains(table)), "{error}");
    }
}

/// Each of these stops the stream at its transaction, named.
pub async fn what_cannot_be_honoured_stops(login: &Login) {
    let mut source = Source::new(login).await;
    source.run(&["INSERT INTO moved VALUES (1, 'x', '{\"a\": \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"}')"]).await;
    let before = source.executed().await;
    type Expected = fn(&BinlogError) -> bool;
    let cases: [(&[&str], Expected); 6] = [
        (
            &["SET binlog_format = STATEMENT", "INSERT INTO foreign_to_us (id) VALUES (50)"],
            |e| matches!(e, BinlogError::StatementDml { statement, .. } if statement.contains("foreign_to_us")),
        ),
        (&["SET binlog_format = STATEMENT", "CREATE TABLE copy1 SELECT 1 AS a"], |e| {
            matches!(e, BinlogError::StatementDml { .. })
        }),
        (
            &["SET binlog_row_image = MINIMAL", "UPDATE moved SET v = 'y'"],
            |e| matches!(e, BinlogError::PartialImage { table, .. } if table == "moved"),
        ),
        (&["SET binlog_row_image = NOBLOB", "DELETE FROM moved WHERE id = 1"], |e| {
            matches!(e, BinlogError::PartialImage { .. })
        }),
        (
            &[
                "SET binlog_row_value_options = PARTIAL_JSON",
                "INSERT INTO moved VALUES (2, 'x', '{\"a\": \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"}')",
                "UPDATE moved SET j = JSON_SET(j, '$.a', 'c') WHERE id = 2",
            ],
            |e| matches!(e, BinlogError::PartialImage { .. }),
        ),
        (
            &["ALTER TABLE moved MODIFY id BIGINT", "INSERT INTO moved (id) VALUES (5)"],
            |e| matches!(e, BinlogError::SchemaDrift { why, .. } if why.contains("column id")),
        ),
    ];
    for (statements, expected) in cases {
        let error = source.after(statements).await.unwrap_err();
        assert!(expected(&error) && error.retry() == Retry::Never, "{statements:?}: {error}");
        assert!(!error.to_string().contains("before the first"), "{error}");
    }
    source.session.execute("FLUSH BINARY LOGS").await.unwrap();
    let file = source.session.row("SHOW BINARY LOG STATUS").await.unwrap().and_then(|row| row.text(0)).unwrap();
    source.session.execute(&format!("PURGE BINARY LOGS TO '{file}'")).await.unwrap();
    let purged = source.read(source.options(before)).await.unwrap_err();
    assert!(matches!(&purged, BinlogError::MissingGtids { message } if message.contains("purged")), "{purged}");
    let foreign = "00000000-0000-0000-0000-00000000000f:1-5".parse::<GtidSet>().unwrap();
    let mut ours = source.executed().await;
    let uuid = source.session.row("SELECT @@server_uuid").await.unwrap().and_then(|row| row.text(0)).unwrap();
    ours.union(&foreign);
    ours.union(&format!("{uuid}:1-999999").parse().unwrap());
    let ahead = source.read(source.options(ours)).await;
    assert!(ahead.is_ok(), "nothing is outstanding: the reader does not wait to be refused");
    let mut ours = source.executed().await;
    ours.union(&format!("{uuid}:1-999999").parse().unwrap());
    let mut reader = BinlogReader::connect(login, source.options(ours)).await.unwrap();
    let ahead = reader.next().await.unwrap_err();
    assert!(matches!(ahead, BinlogError::MissingGtids { .. }), "{ahead}");
    assert!(matches!(reader.next().await, Err(BinlogError::Spent)));
}

/// Silence, a killed connection and a server that stops are told apart, in time, and may be retried.
pub async fn a_dead_source_is_noticed(server: &Mysqld, login: &Login) {
    let mut source = Source::new(login).await;
    let from = source.executed().await;
    let mut reader = BinlogReader::connect(login, source.options(from.clone())).await.unwrap();
    assert!(matches!(reader.next().await.unwrap(), SourceEvent::Heartbeat));
    server.pause().unwrap();
    let paused = Instant::now();
    let silent = loop {
        match reader.next().await {
            Ok(SourceEvent::Heartbeat) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    server.resume().unwrap();
    assert!(matches!(silent, BinlogError::Silent { .. }) && silent.retry() == Retry::Reconnect, "{silent}");
    assert!(paused.elapsed() < Duration::from_secs(2));

    let mut reader = BinlogReader::connect(login, source.options(from)).await.unwrap();
    assert!(matches!(reader.next().await.unwrap(), SourceEvent::Heartbeat));
    let dump =
        "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%' ORDER BY ID DESC LIMIT 1";
    let id = source.session.row(dump).await.unwrap().and_then(|row| row.text(0)).unwrap();
    source.session.execute(&format!("KILL {id}")).await.unwrap();
    let killed = loop {
        match reader.next().await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(killed.retry(), Retry::Reconnect, "{killed}");
    assert!(
        matches!(
            killed,
            BinlogError::Ended { .. }
                | BinlogError::Mysql(MysqlError::Closed { .. } | MysqlError::Server { .. } | MysqlError::Io { .. })
        ),
        "{killed}"
    );
}

/// A row of 64 MiB passes, in both of its images, plain and compressed.
pub async fn a_huge_row_passes(login: &Login) {
    const SIZE: usize = 64 << 20;
    let mut source = Source::new(login).await;
    for compression in ["OFF", "ON"] {
        let events = source
            .after(&[
                &format!("SET binlog_transaction_compression = {compression}"),
                "DELETE FROM moved",
                "INSERT INTO moved (id) VALUES (1)",
                &format!("UPDATE moved SET v = REPEAT('x', {SIZE})"),
                "UPDATE moved SET id = 2",
            ])
            .await
            .unwrap();
        let last = txns(&events).into_iter().rfind(|txn| !txn.changes.is_empty()).unwrap();
        assert_eq!(shown(&last.changes), "1>2");
        let after = last.changes[0].after.as_ref().unwrap();
        assert!(after.get(1).is_some_and(|v| v.len() == SIZE && v.iter().all(|b| *b == b'x')));
        assert!(last.changes[0].before.as_ref().unwrap().size() < 100);
    }
}
