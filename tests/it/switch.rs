//! Traffic is switched while applications write: nothing is lost or doubled, one side accepts writes, and there is a way
//! back.

mod armed;
mod completed;
mod hundred;
mod idle;
mod matrix;
mod promoted;
mod repair;
mod watched;

use std::time::Duration;

use mysql_async::prelude::Queryable;

use crate::harness::{Db, Gateway, Ledger, Load, TestCluster, Trace, compare_tables, until};
use crate::scenario::{Move, PATIENCE, WHICH};

const TABLES: &str = "ledger,ledger_writer";
/// The errno of a closed fence.
const FENCED: u16 = 20501;

fn through(gateway: &Gateway, keyspace: &str) -> Db {
    Db::over(gateway.opts(), keyspace, format!("{keyspace} through the gateway"))
}

/// The tables of the ledger, small and without a writer.
async fn small_tables(db: &Db) {
    db.exec(
        "CREATE TABLE ledger (id INT PRIMARY KEY, v INT); CREATE TABLE ledger_writer (id INT PRIMARY KEY); \
         INSERT INTO ledger VALUES (1, 1), (2, 2)",
    )
    .await;
}

/// Waits until both sides are equal, whichever leads.
async fn settled(cluster: &TestCluster) {
    let (source, target) = (cluster.source_db(), cluster.target_db());
    until("both sides are equal", PATIENCE, async || {
        for table in TABLES.split(',') {
            let found = compare_tables(&source, &target, table).await;
            if found.differing != 0 {
                return Err(found.to_string());
            }
        }
        Ok(())
    })
    .await;
}

/// The whole journey through a gateway, with writers on all the time.
#[tokio::test(flavor = "multi_thread")]
async fn traffic_goes_there_and_back_and_there_for_good() {
    let cluster = TestCluster::start().await;
    let shardlift = cluster.shardlift();
    let (source, target) = (cluster.source_db(), cluster.target_db());
    let gateway = cluster.gateway("").await;
    let app = through(&gateway, "commerce");
    let ledger = Ledger::start(&app, Load { writers: 4, rows: 500, rate: Some(120) }).await;
    source.exec("CREATE TABLE numbered (id BIGINT AUTO_INCREMENT PRIMARY KEY, v INT); INSERT INTO numbered (v) VALUES (1), (2), (3)").await;
    // protocol-review C25: the server keeps what it once said of a counter, for a day.
    let kept = "SELECT AUTO_INCREMENT FROM information_schema.tables WHERE table_name = 'numbered'";
    source.rows(kept).await;
    source.exec("INSERT INTO numbered (id, v) VALUES (5000, 4); DELETE FROM numbered WHERE id = 5000").await;
    assert_ne!(source.value(kept).await, "5001");
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, "ledger,ledger_writer,numbered", "").await;
    moved.state("Running").await;

    let steps = shardlift.must(&format!("movetables switch-traffic {WHICH} --dry-run")).await;
    for step in ["check", "arm", "pause", "close", "drain", "ready", "commit", "open"] {
        assert!(steps.contains(step), "{steps}");
    }
    let early = shardlift.refused(&format!("movetables complete {WHICH}")).await;
    assert!(early.contains("switch-traffic"), "{early}");
    let early = shardlift.refused(&format!("movetables reverse-traffic {WHICH}")).await;
    assert!(early.contains("goes to commerce already"), "{early}");

    // C28: one live workflow a table.
    let again = "movetables start -w again --source-keyspace customer -k commerce --tables numbered";
    let refused = shardlift.refused(again).await;
    assert!(refused.contains("customer/move"), "{refused}");

    // Reads first.
    shardlift.must(&format!("movetables switch-traffic {WHICH} --tablet-types REPLICA,RDONLY")).await;
    ledger.wait_for(20, PATIENCE).await;
    let said = shardlift.must(&format!("movetables switch-traffic {WHICH}")).await;
    assert!(said.contains("PRIMARY traffic") && said.contains("held for"), "{said}");
    println!("{said}");
    ledger.wait_for(60, PATIENCE).await;
    assert_eq!(ledger.troubles(), 0, "{}", gateway.log());

    // Whoever goes round the gateway is turned away, and told where to go.
    let mut conn = source.conn().await;
    let refused = conn.query_drop("INSERT INTO ledger_writer VALUES (99, 0)").await.unwrap_err();
    assert!(
        matches!(&refused, mysql_async::Error::Server(error) if error.code == FENCED && error.message.contains("customer")),
        "{refused}"
    );
    // Both sides stay armed: DDL on tables in use breaks off transactions, and a switch back does without.
    let armed = async |db: &Db| {
        db.value("SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = DATABASE()").await
    };
    assert_eq!((armed(&source).await.as_str(), armed(&target).await.as_str()), ("9", "9"));
    // Ids that were given before are not given again, on the new side either.
    through(&gateway, "commerce").exec("INSERT INTO numbered (v) VALUES (5)").await;
    assert!(target.value("SELECT MAX(id) FROM numbered").await.parse::<u64>().unwrap() > 5000);
    let refused = shardlift.refused(&format!("movetables cancel {WHICH}")).await;
    assert!(refused.contains("reverse-traffic"), "{refused}");

    let back = shardlift.must(&format!("movetables reverse-traffic {WHICH}")).await;
    println!("{back}");
    ledger.wait_for(60, PATIENCE).await;
    let mut conn = target.conn().await;
    let refused = conn.query_drop("INSERT INTO ledger_writer VALUES (99, 0)").await.unwrap_err();
    assert!(matches!(&refused, mysql_async::Error::Server(error) if error.code == FENCED), "{refused}");
    println!("{}", shardlift.must(&format!("movetables switch-traffic {WHICH}")).await);
    ledger.wait_for(60, PATIENCE).await;
    let record = ledger.stop().await;
    assert_eq!((record.refused, record.reconnects), (0, 0), "{}", gateway.log());
    settled(&cluster).await;
    record.must_hold(&target).await;
    record.must_hold(&source).await;

    shardlift.must(&format!("movetables complete {WHICH}")).await;
    // By its own name the table is the target's, whether there are rules or not.
    through(&gateway, "customer").exec("INSERT INTO numbered (v) VALUES (6)").await;
    let left = source.value("SELECT GROUP_CONCAT(table_name ORDER BY table_name) FROM information_schema.tables WHERE table_schema IN ('commerce', '_shardlift')").await;
    assert_eq!(left, "_ledger_old,_ledger_writer_old,_numbered_old");
    let triggers = "SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema IN ('commerce', 'customer')";
    assert_eq!((source.value(triggers).await, target.value(triggers).await), ("0".into(), "0".into()));
    assert!(shardlift.must("rules show").await.find("ledger").is_none());
    engine.stop().await;
}

/// Cancel after reads were switched, and after writes went there and back, leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn cancel_leaves_no_trace_of_a_switch() {
    let cluster = TestCluster::start().await;
    let shardlift = cluster.shardlift();
    let source = cluster.source_db();
    small_tables(&source).await;
    let engine = shardlift.engine("one").await;
    let before = Trace::take(&cluster).await;
    let moved = Move::start(&cluster, TABLES, "").await;
    moved.state("Running").await;
    shardlift.must(&format!("movetables switch-traffic {WHICH}")).await;
    cluster.target_db().exec("INSERT INTO ledger VALUES (3, 3)").await;
    settled(&cluster).await;
    shardlift.must(&format!("movetables reverse-traffic {WHICH} --tablet-types PRIMARY")).await;
    source.exec("DELETE FROM ledger WHERE id = 3").await;
    settled(&cluster).await;
    moved.cancel().await;
    assert_eq!(Trace::take(&cluster).await.since(&before), [""; 0]);
    engine.stop().await;
}

/// So does cancel after a switch that failed, at whatever step.
#[tokio::test(flavor = "multi_thread")]
async fn cancel_leaves_no_trace_of_a_failed_switch() {
    let cluster = TestCluster::start().await;
    let shardlift = cluster.shardlift();
    small_tables(&cluster.source_db()).await;
    let before = Trace::take(&cluster).await;
    for step in ["arm", "pause", "close", "drain", "ready", "commit"] {
        let failing = shardlift.with("SHARDLIFT_FAILPOINTS", &format!("after-{step}=error;before-commit=error"));
        let engine = failing.engine(step).await;
        let moved = Move::start(&cluster, TABLES, "").await;
        moved.state("Running").await;
        let refused = shardlift.refused(&format!("movetables switch-traffic {WHICH}")).await;
        let point = if step == "commit" { "before-commit".into() } else { format!("after-{step}") };
        assert!(refused.contains(&point), "{refused}");
        moved.cancel().await;
        assert_eq!(Trace::take(&cluster).await.since(&before), [""; 0], "after a failure at {step}");
        engine.stop().await;
    }
}

/// Whether a server turns a write away with the fence's errno.
async fn is_fenced(db: &Db) -> bool {
    let mut conn = db.conn().await;
    conn.query_drop("BEGIN").await.unwrap();
    match conn.query_drop("INSERT INTO ledger_writer VALUES (99)").await {
        Ok(()) => {
            conn.query_drop("ROLLBACK").await.unwrap();
            false
        }
        Err(mysql_async::Error::Server(error)) if error.code == FENCED => true,
        Err(error) => panic!("{error}"),
    }
}

/// The side that does not take the writes stays closed, whatever becomes of later switches.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_switch_that_fails_opens_nothing() {
    let cluster = TestCluster::start().await;
    let shardlift = cluster.shardlift();
    let (source, target) = (cluster.source_db(), cluster.target_db());
    small_tables(&source).await;
    source.exec("ALTER TABLE ledger ADD twice INT AS (2 * v) STORED").await;
    let failing = shardlift.with("SHARDLIFT_FAILPOINTS", "before-commit=error");
    let engine = shardlift.engine("sound").await;
    let moved = Move::start(&cluster, TABLES, "").await;
    moved.state("Running").await;
    shardlift.must(&format!("movetables switch-traffic {WHICH} --tablet-types PRIMARY")).await;
    assert!(is_fenced(&source).await && !is_fenced(&target).await);
    engine.stop().await;

    // A row that is lost is not made anew as an open one by whoever comes next.
    source.exec("DELETE FROM _shardlift.fence").await;

    // Reads, whose switch concerns no fence.
    let unsent = shardlift.with("SHARDLIFT_FAILPOINTS", "unsent-commit=error");
    let engine = unsent.engine("reads").await;
    moved.state("Running").await;
    let refused = shardlift.refused(&format!("movetables switch-traffic {WHICH}")).await;
    assert!(refused.contains("unsent-commit"), "{refused}");
    // What may be opened again is, within a moment.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(is_fenced(&source).await && !is_fenced(&target).await);
    engine.stop().await;

    let engine = shardlift.engine("back").await;
    moved.state("Running").await;
    shardlift.must(&format!("movetables reverse-traffic {WHICH}")).await;
    assert!(!is_fenced(&source).await && is_fenced(&target).await);
    engine.stop().await;

    // And a second switch of writes, undone.
    let engine = failing.engine("there").await;
    moved.state("Running").await;
    shardlift.refused(&format!("movetables switch-traffic {WHICH}")).await;
    assert!(!is_fenced(&source).await && is_fenced(&target).await);
    source.exec("INSERT INTO ledger (id, v) VALUES (3, 3)").await;
    settled(&cluster).await;
    engine.stop().await;
}

/// A client whose write was refused and that keeps its transaction open does not hold the switch up.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_refused_transaction_holds_nobody_up() {
    let cluster = TestCluster::start().await;
    let shardlift = cluster.shardlift();
    let source = cluster.source_db();
    small_tables(&source).await;
    let dies = shardlift.with("SHARDLIFT_FAILPOINTS", "before-open=kill").engine("dies").await;
    let moved = Move::start(&cluster, TABLES, "").await;
    moved.state("Running").await;
    let asked = shardlift.start("ask", &format!("movetables switch-traffic {WHICH}"));
    let died = dies.ended().await;
    assert!(!died.success());
    let mut refused = source.conn().await;
    refused.query_drop("BEGIN").await.unwrap();
    refused.query_drop("INSERT INTO ledger_writer VALUES (98)").await.unwrap_err();
    let engine = shardlift.engine("next").await;
    assert!(asked.ended().await.success());
    assert!(!is_fenced(&cluster.target_db()).await);
    drop(refused);
    engine.stop().await;
}

/// Nor one on the side that is to be opened: it is ended, for all it can do is to give up.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_refused_transaction_does_not_keep_the_new_side_closed() {
    let cluster = TestCluster::with(|spec| spec.extra_args.push("--performance-schema=ON".into())).await;
    let shardlift = cluster.shardlift();
    let (source, target) = (cluster.source_db(), cluster.target_db());
    small_tables(&source).await;
    source.exec("CREATE TABLE other (id INT PRIMARY KEY)").await;
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, TABLES, "").await;
    moved.state("Running").await;
    shardlift.must(&format!("movetables switch-traffic {WHICH}")).await;
    let mut refused = source.conn().await;
    refused.query_drop("BEGIN").await.unwrap();
    refused.query_drop("INSERT INTO ledger_writer VALUES (98)").await.unwrap_err();
    // One that has nothing to do with the tables lives on.
    let mut stranger = source.conn().await;
    stranger.query_drop("BEGIN").await.unwrap();
    stranger.query_drop("INSERT INTO other VALUES (1)").await.unwrap();
    let said = shardlift.must(&format!("movetables reverse-traffic {WHICH}")).await;
    println!("{said}");
    assert!(!is_fenced(&source).await && is_fenced(&target).await);
    refused.query_drop("SELECT 1").await.unwrap_err();
    stranger.query_drop("COMMIT").await.unwrap();
    assert!(engine.log().contains("kept its transaction open"));
    engine.stop().await;
}

/// A transaction that is open for long holds a switch back, and is named; nothing has changed then.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_transaction_is_named() {
    let cluster = TestCluster::start().await;
    let shardlift = cluster.shardlift();
    let source = cluster.source_db();
    small_tables(&source).await;
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, TABLES, "").await;
    moved.state("Running").await;
    let mut conn = source.conn().await;
    conn.query_drop("BEGIN").await.unwrap();
    conn.query_drop("UPDATE ledger SET v = 2").await.unwrap();
    let id: u64 = conn.query_first("SELECT CONNECTION_ID()").await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let refused = shardlift.refused(&format!("movetables switch-traffic {WHICH} --timeout 2")).await;
    assert!(refused.contains(&format!("KILL {id}")), "{refused}");
    conn.query_drop("COMMIT").await.unwrap();
    shardlift.must(&format!("movetables switch-traffic {WHICH}")).await;
    settled(&cluster).await;
    engine.stop().await;
}
