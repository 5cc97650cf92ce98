//! Writers of every kind, at every isolation level, against many closings: not one row after a closing, no error but the
//! fence's, nothing that was acknowledged missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use shardlift::model::FENCE_ERRNO;
use shardlift::workflow::fence;
use tokio::time::sleep;

use super::{Fenced, SOON, code, epoch, soon, taken};
use crate::harness::Db;

const TABLES: &str = "
    CREATE TABLE t (w INT, n INT, v INT NOT NULL DEFAULT 0, PRIMARY KEY (w, n));
    CREATE TABLE hot (id INT PRIMARY KEY, v INT NOT NULL DEFAULT 0);
    INSERT INTO hot (id) VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9),(10),(11),(12),(13),(14),(15),(16),(17);
    CREATE TABLE parted (w INT, n INT, PRIMARY KEY (w, n)) PARTITION BY HASH (w) PARTITIONS 3;
    CREATE VIEW seen AS SELECT w, n FROM t;
    CREATE PROCEDURE put(w_ INT, n_ INT) INSERT INTO t (w, n) VALUES (w_, n_)";
const CLOSINGS: u64 = 60;
const LEVELS: [&str; 4] = ["READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

/// Each puts row (w, n) into `t`, in one transaction. `{w}` and `{n}` are filled in; `load` is LOAD DATA LOCAL.
const KINDS: &[&[&str]] = &[
    &["INSERT INTO t (w, n) VALUES ({w}, {n})"],
    &["BEGIN", "INSERT INTO t (w, n) VALUES ({w}, {n})", "UPDATE t SET v = v + 1 WHERE w = {w} AND n = {n}", "COMMIT"],
    &[
        "BEGIN",
        "SELECT v FROM hot WHERE id = {w} FOR UPDATE",
        "UPDATE hot SET v = v + 1 WHERE id = {w}",
        "INSERT INTO t (w, n) VALUES ({w}, {n})",
        "COMMIT",
    ],
    &[
        "BEGIN",
        "SAVEPOINT a",
        "INSERT INTO t (w, n) VALUES ({w}, -{n})",
        "ROLLBACK TO a",
        "INSERT INTO t (w, n) VALUES ({w}, {n})",
        "COMMIT",
    ],
    &["load"],
    &[
        "BEGIN",
        "INSERT INTO t (w, n) VALUES ({w}, {n})",
        "UPDATE t JOIN hot ON hot.id = t.w SET t.v = 1, hot.v = hot.v + 1 WHERE t.w = {w} AND t.n = {n}",
        "COMMIT",
    ],
    &["REPLACE t (w, n) VALUES ({w}, {n})"],
    &["INSERT INTO t (w, n) VALUES ({w}, {n}) ON DUPLICATE KEY UPDATE v = v + 1"],
    &["INSERT INTO seen (w, n) VALUES ({w}, {n})"],
    &["CALL put({w}, {n})"],
    &["INSERT INTO t (w, n) SELECT {w}, {n}"],
    &[
        "BEGIN",
        "INSERT INTO t (w, n) VALUES ({w}, {n})",
        "DELETE FROM t WHERE w = {w} AND n = {n}",
        "INSERT INTO t (w, n) VALUES ({w}, {n})",
        "COMMIT",
    ],
    // Rows that others wait for.
    &["BEGIN", "UPDATE hot SET v = v + 1 WHERE id = 0", "INSERT INTO t (w, n) VALUES ({w}, {n})", "COMMIT"],
    &["BEGIN", "UPDATE hot SET v = v + 1 WHERE id = 0", "INSERT INTO t (w, n) VALUES ({w}, {n})", "COMMIT"],
    &["BEGIN", "INSERT INTO parted VALUES ({w}, {n})", "INSERT IGNORE INTO t (w, n) VALUES ({w}, {n})", "COMMIT"],
    // One that thinks.
    &["BEGIN", "INSERT INTO t (w, n) VALUES ({w}, {n})", "DO SLEEP(0.005)", "COMMIT"],
];

struct Writer {
    conn: Conn,
    kind: usize,
    acknowledged: u32,
    refused: u32,
}

impl Writer {
    async fn write(mut self, stop: Arc<AtomicBool>) -> Self {
        while !stop.load(Ordering::Relaxed) {
            if self.acknowledged.is_multiple_of(16) {
                let level = LEVELS[(self.kind + self.acknowledged as usize / 16) % LEVELS.len()];
                taken(&mut self.conn, &format!("SET SESSION TRANSACTION ISOLATION LEVEL {level}")).await;
            }
            match self.once().await {
                Ok(()) => self.acknowledged += 1,
                Err(error) => {
                    assert_eq!(code(&error), Some(FENCE_ERRNO), "writer {}: {error}", self.kind);
                    self.refused += 1;
                    taken(&mut self.conn, "ROLLBACK").await;
                    sleep(Duration::from_millis(2)).await;
                }
            }
        }
        self
    }

    async fn once(&mut self) -> Result<(), Error> {
        let (w, n) = (self.kind, self.acknowledged + 1);
        for sql in KINDS[w] {
            if *sql == "load" {
                let line = Bytes::from(format!("{w}\t{n}\n"));
                self.conn.set_infile_handler(async move { Ok(futures_util::stream::iter([Ok(line)]).boxed()) });
                self.conn.query_drop("LOAD DATA LOCAL INFILE 'x' INTO TABLE t (w, n)").await?;
            } else {
                let sql = sql.replace("{w}", &w.to_string()).replace("{n}", &n.to_string());
                self.conn.query_drop(sql).await?;
            }
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn not_a_row_after_a_closing() {
    let (fenced, target) = Fenced::with_target(TABLES, &["t", "hot", "parted"]).await;
    let both = [fenced.source.clone(), target];
    for fence in &both {
        fence::arm(fence, epoch(1), SOON).await.unwrap();
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for kind in 0..KINDS.len() {
        let writer = Writer { conn: fenced.app().await, kind, acknowledged: 0, refused: 0 };
        writers.push(tokio::spawn(writer.write(stop.clone())));
    }
    let db = fenced.source_db();
    let mut eye = db.conn().await;
    let (mut took, mut tries) = (Vec::new(), 0);
    for at in 1..=CLOSINGS {
        sleep(Duration::from_millis(25)).await;
        let closed = fence::close(&both, epoch(2 * at), soon()).await.unwrap();
        took.push(closed.took);
        tries += closed.tries;
        let first = look(&mut eye).await;
        sleep(Duration::from_millis(8)).await;
        assert_eq!(look(&mut eye).await, first, "somebody wrote through a closed fence");
        for fence in &both {
            fence::open(fence, epoch(2 * at + 1), soon()).await.unwrap();
        }
        assert!(writers.iter().all(|writer| !writer.is_finished()), "a writer has given up");
    }
    stop.store(true, Ordering::Relaxed);
    let (mut acknowledged, mut refused) = (0, 0);
    for writer in writers {
        let writer = writer.await.unwrap();
        let rows = format!("SELECT COUNT(*) FROM t WHERE w = {} AND n > 0", writer.kind);
        assert_eq!(db.value(&rows).await, writer.acknowledged.to_string(), "rows of writer {}", writer.kind);
        assert!(writer.acknowledged > 0 && writer.refused > 0, "writer {} hardly wrote", writer.kind);
        acknowledged += writer.acknowledged;
        refused += writer.refused;
    }
    took.sort();
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "{CLOSINGS} closings on two servers: median {median:?}, worst {worst:?}, {tries} tries; \
         {acknowledged} transactions acknowledged, {refused} refused"
    );
    assert_eq!(
        rows_while_closed(&db).await,
        (CLOSINGS, 0),
        "closings in the binlog, and rows between closing and opening"
    );
}

/// What is in the fenced tables now.
async fn look(conn: &mut Conn) -> Vec<Option<String>> {
    let sql = "SELECT COUNT(*), SUM(v), MAX(n) FROM t UNION ALL SELECT COUNT(*), SUM(v), 0 FROM hot
        UNION ALL SELECT COUNT(*), SUM(n), 0 FROM parted";
    let rows: Vec<(Option<String>, Option<String>, Option<String>)> = conn.query(sql).await.unwrap();
    rows.into_iter().flat_map(|(a, b, c)| [a, b, c]).collect()
}

/// Reads the source's binlog: how often the fence was closed, and how many changes of fenced tables stand between a closing
/// and the opening after it.
async fn rows_while_closed(db: &Db) -> (u64, usize) {
    let (mut updates, mut between) = (0_u64, 0);
    let mut about_fence = false;
    for log in db.rows("SHOW BINARY LOGS").await {
        for event in db.rows(&format!("SHOW BINLOG EVENTS IN '{}'", log[0].as_deref().unwrap())).await {
            let (kind, info) = (event[2].as_deref().unwrap(), event[5].as_deref().unwrap_or_default());
            match kind {
                "Table_map" => {
                    about_fence = info.contains("(_shardlift.fence)");
                    let fenced =
                        ["t", "hot", "parted"].iter().any(|table| info.contains(&format!("(commerce.{table})")));
                    // After an odd number of updates it is closed.
                    between += usize::from(fenced && updates % 2 == 1);
                }
                "Update_rows" if about_fence => updates += 1,
                _ => {}
            }
        }
    }
    assert_eq!(updates % 2, 0);
    (updates / 2, between)
}
