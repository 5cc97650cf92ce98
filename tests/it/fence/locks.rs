//! Whom closing waits for, who waits for it, and that no writer pays for a deadlock (protocol-review B18, B19, B20).

use std::slice::from_ref;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use shardlift::model::FENCE_ERRNO;
use shardlift::workflow::fence::{self, FenceError};
use tokio::time::{Instant, sleep};

use super::{Fenced, SOON, code, epoch, refused, soon, taken};
use crate::harness::Db;

const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY, v INT NOT NULL); INSERT INTO t VALUES (1, 0), (2, 0)";

#[tokio::test(flavor = "multi_thread")]
async fn closing_waits_for_writers_and_they_hardly_for_it() {
    let fenced = Fenced::start(TABLE, &["t"]).await;
    who_holds_it_is_named_and_others_hardly_wait(&fenced).await;
    fenced.source_db().exec("UPDATE t SET v = 0").await;
    in_a_cycle_the_fence_gives_way(&fenced, 5).await;
    // B20: where the server does not look for cycles, short tries end them.
    let root = fenced.source_db();
    root.exec("SET GLOBAL innodb_deadlock_detect = OFF; UPDATE t SET v = 0").await;
    in_a_cycle_the_fence_gives_way(&fenced, 10).await;
    what_cannot_be_shown_hides_nobody(&fenced).await;
}

async fn who_holds_it_is_named_and_others_hardly_wait(fenced: &Fenced) {
    let source = &fenced.source;
    // Arming waits for a transaction that uses the table, in short tries, and names it.
    let mut holder = fenced.app().await;
    let id = holder.id();
    taken(&mut holder, "BEGIN").await;
    taken(&mut holder, "UPDATE t SET v = 1 WHERE id = 1").await;
    let load =
        tokio::spawn(worst_write(fenced.cluster.db(fenced.cluster.source(), "commerce"), Duration::from_millis(1200)));
    let briefly = Duration::from_millis(600);
    match fence::arm(source, epoch(1), briefly).await {
        Err(error @ FenceError::Blocked { .. }) => {
            assert!(error.to_string().contains(&format!("connection {id} of")), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let stalled = load.await.unwrap();
    println!("arming behind an open transaction: another writer waited {stalled:?} at worst");
    assert!(stalled < Duration::from_millis(700), "{stalled:?}");
    taken(&mut holder, "COMMIT").await;
    fence::arm(source, epoch(1), SOON).await.unwrap();

    // LOCK TABLES: the wait is for metadata, which innodb_lock_wait_timeout does not bound.
    taken(&mut holder, "LOCK TABLES t WRITE").await;
    let began = Instant::now();
    let held = fence::close(from_ref(source), epoch(2), began + Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(held, FenceError::Held { .. }) && began.elapsed() < Duration::from_millis(1500), "{held}");
    taken(&mut holder, "UNLOCK TABLES").await;

    // An idle transaction: everybody else goes on between the tries.
    taken(&mut holder, "BEGIN").await;
    taken(&mut holder, "UPDATE t SET v = 2 WHERE id = 1").await;
    let load =
        tokio::spawn(worst_write(fenced.cluster.db(fenced.cluster.source(), "commerce"), Duration::from_millis(600)));
    let held = fence::close(from_ref(source), epoch(2), Instant::now() + Duration::from_millis(300)).await.unwrap_err();
    assert!(held.to_string().contains(&format!("connection {id} of")), "{held}");
    let stalled = load.await.unwrap();
    println!("closing behind an idle transaction: another writer waited {stalled:?} at worst");
    assert!(stalled < Duration::from_millis(400), "{stalled:?}");
    // It ends after 200 ms, and the fence is closed soon after.
    let close = async {
        let began = Instant::now();
        fence::close(from_ref(source), epoch(2), soon()).await.unwrap();
        began.elapsed()
    };
    let end = async {
        sleep(Duration::from_millis(200)).await;
        taken(&mut holder, "COMMIT").await;
    };
    let (took, ()) = tokio::join!(close, end);
    println!("closed {took:?} after it began, behind a transaction of 200 ms");
    assert!(took < Duration::from_millis(800), "{took:?}");
    // One that was refused and has not ended holds the row too; opening waits for it and says so.
    taken(&mut holder, "BEGIN").await;
    refused(&mut holder, "UPDATE t SET v = 3 WHERE id = 1").await;
    let held = fence::open(source, epoch(3), Instant::now() + Duration::from_millis(200)).await.unwrap_err();
    assert!(held.to_string().contains(&format!("connection {id} of")), "{held}");
    taken(&mut holder, "ROLLBACK").await;
    fence::open(source, epoch(3), soon()).await.unwrap();
}

/// Writes for so long; the longest a write took.
async fn worst_write(db: Db, how_long: Duration) -> Duration {
    let mut conn = db.conn().await;
    let (began, mut worst) = (Instant::now(), Duration::ZERO);
    while began.elapsed() < how_long {
        let asked = Instant::now();
        conn.query_drop("UPDATE t SET v = v + 1 WHERE id = 2").await.unwrap();
        worst = worst.max(asked.elapsed());
        sleep(Duration::from_millis(2)).await;
    }
    worst
}

/// B18: one writer waits for a row of another, who has not met the fence yet.
async fn in_a_cycle_the_fence_gives_way(fenced: &Fenced, from: u64) {
    let source = &fenced.source;
    let (mut one, mut two) = (fenced.app().await, fenced.app().await);
    for at in from..from + 5 {
        taken(&mut two, "BEGIN").await;
        taken(&mut two, "SELECT v FROM t WHERE id = 1 FOR UPDATE").await;
        taken(&mut one, "BEGIN").await;
        taken(&mut one, "UPDATE t SET v = v + 1 WHERE id = 2").await;
        let first = async {
            taken(&mut one, "UPDATE t SET v = v + 1 WHERE id = 1").await;
            taken(&mut one, "COMMIT").await;
        };
        let second = async {
            sleep(Duration::from_millis(30)).await;
            taken(&mut two, "UPDATE t SET v = v + 1 WHERE id = 1").await;
            taken(&mut two, "COMMIT").await;
        };
        let close = async {
            sleep(Duration::from_millis(10)).await;
            fence::close(from_ref(source), epoch(2 * at + 2), soon()).await.unwrap()
        };
        let ((), (), closed) = tokio::join!(first, second, close);
        assert!(closed.took < Duration::from_millis(600), "{closed:?}");
        fence::open(source, epoch(2 * at + 3), soon()).await.unwrap();
    }
    assert_eq!(fenced.source_db().value("SELECT GROUP_CONCAT(v ORDER BY id) FROM t").await, "10,5");
}

/// INNODB_TRX gives no row while anybody runs a statement that is no utf8mb3; who holds the fence is named all the same.
async fn what_cannot_be_shown_hides_nobody(fenced: &Fenced) {
    let mut holder = fenced.app().await;
    let id = holder.id();
    taken(&mut holder, "BEGIN").await;
    taken(&mut holder, "UPDATE t SET v = 1 WHERE id = 1").await;
    let mut strange = fenced.app().await;
    taken(&mut strange, "SET NAMES binary").await;
    let asks = tokio::spawn(async move { strange.query_drop("SELECT '\u{1f98a}', SLEEP(3), v FROM t LIMIT 1").await });
    sleep(Duration::from_millis(300)).await;
    let deadline = Instant::now() + Duration::from_millis(600);
    match fence::close(from_ref(&fenced.source), epoch(100), deadline).await {
        Err(error @ FenceError::Held { .. }) => {
            assert!(error.to_string().contains(&format!("connection {id} of")), "{error}");
        }
        other => panic!("{other:?}"),
    }
    taken(&mut holder, "ROLLBACK").await;
    asks.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_over_two_servers_is_let_through_or_refused_at_its_first_write() {
    // B19: whoever has written on one server is not turned away on the other.
    let (fenced, target) = Fenced::with_target(TABLE, &["t"]).await;
    let mut both = [fenced.source.clone(), target];
    for fence in &both {
        fence::arm(fence, epoch(1), SOON).await.unwrap();
    }
    let writers = (0..6).map(|number| {
        let (source, target) = (fenced.source_db(), fenced.cluster.target_db());
        let until = Instant::now() + Duration::from_millis(2500);
        tokio::spawn(async move {
            let mut conns = [source.conn().await, target.conn().await];
            let (mut done, mut turned_away) = (0, 0);
            while Instant::now() < until {
                for conn in &mut conns {
                    taken(conn, "BEGIN").await;
                }
                // Rows of its own: two servers' row locks could deadlock without anybody noticing.
                let write = format!("INSERT INTO t VALUES ({}, 1) ON DUPLICATE KEY UPDATE v = v + 1", 10 + number);
                match conns[0].query_drop(&write).await {
                    Ok(()) => {
                        taken(&mut conns[1], &write).await;
                        done += 1;
                    }
                    Err(error) => {
                        assert_eq!(code(&error), Some(FENCE_ERRNO), "{error}");
                        turned_away += 1;
                        sleep(Duration::from_millis(2)).await;
                    }
                }
                for conn in &mut conns {
                    taken(conn, "COMMIT").await;
                }
            }
            (done, turned_away)
        })
    });
    let writers: Vec<_> = writers.collect();
    let mut at = 2;
    while writers.iter().any(|writer| !writer.is_finished()) {
        fence::close(&both, epoch(at), soon()).await.unwrap();
        // Opening is not for both at once: the one that is written last is opened first.
        both.sort_by(|a, b| b.key.keyspace.cmp(&a.key.keyspace));
        for fence in &both {
            fence::open(fence, epoch(at + 1), soon()).await.unwrap();
        }
        if at % 4 == 0 {
            both.reverse();
        }
        at += 2;
        sleep(Duration::from_millis(10)).await;
    }
    let mut sum = (0, 0);
    for writer in writers {
        let (done, turned_away) = writer.await.unwrap();
        sum = (sum.0 + done, sum.1 + turned_away);
    }
    println!("{} closes over two servers: {} transactions over both, {} refused", at / 2 - 1, sum.0, sum.1);
    assert!(sum.0 > 50 && sum.1 > 0, "{sum:?}");
    let rows = "SELECT SUM(v) FROM t WHERE id >= 10";
    assert_eq!(fenced.source_db().value(rows).await, sum.0.to_string());
    assert_eq!(fenced.cluster.target_db().value(rows).await, sum.0.to_string());
}
