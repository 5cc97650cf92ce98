//! What stands in the way of a switch: all of it named at once, with its cure, by a dry run and by the engine.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use shardlift::topology::records::GatewayPresence;
use shardlift::topology::{Txn, paths};

use crate::harness::{Db, Gateway, Shardlift, TestCluster, until};
use crate::scenario::{Move, PATIENCE, WHICH};

const SWITCH: &str = "movetables switch-traffic --workflow move --target-keyspace customer";
const PROGRAMS: [(&str, &str); 4] = [
    ("view commerce.mixed", "CREATE VIEW mixed AS SELECT moving.id FROM moving JOIN product USING (id)"),
    ("procedure commerce.tidy", "CREATE PROCEDURE tidy() DELETE FROM moving WHERE id = 0"),
    (
        "trigger commerce.follows",
        "CREATE TRIGGER follows AFTER DELETE ON product FOR EACH ROW DELETE FROM moving WHERE id = OLD.id",
    ),
    ("event commerce.nightly", "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM moving WHERE id = 0"),
];

fn through(gateway: &Gateway) -> Db {
    Db::over(gateway.opts(), "commerce", "commerce through the gateway".into())
}

/// What a dry run says against it; it must take less than half a minute, change nothing, and say so by its exit code.
async fn dry(shardlift: &Shardlift, flags: &str) -> String {
    let began = Instant::now();
    let ran = shardlift.run(&format!("{SWITCH} --dry-run {flags}")).await;
    assert!(began.elapsed() < Duration::from_secs(30), "{ran}");
    let said = ran.to_string();
    assert_eq!(ran.code, Some(i32::from(said.contains("refused ["))), "{said}");
    said
}

/// A gateway that lives and hears nothing.
async fn deaf(cluster: &TestCluster) -> shardlift::topology::Path {
    let path = paths::gateway(&"deaf-1".parse().unwrap());
    let presence = GatewayPresence {
        listen: "10.0.0.9:3306".into(),
        address: String::new(),
        started: 1,
        pid: 4711,
        host: "elsewhere".into(),
        revision: 1,
    };
    let txn = cluster.topology().put(Txn::new(), &path, &presence).unwrap();
    cluster.topology().txn(txn).await.unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_against_a_switch_is_named_at_once() {
    let cluster = TestCluster::start().await;
    let shardlift = cluster.shardlift();
    let (source, target) = (cluster.source_db(), cluster.target_db());
    source
        .exec(
            "CREATE TABLE moving (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(40)); CREATE TABLE product (id INT PRIMARY KEY, v INT); \
             INSERT INTO moving VALUES (1, 'a'), (2, 'b'); INSERT INTO product VALUES (1, 1), (2, 2)",
        )
        .await;
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, "moving", "").await;
    moved.state("Running").await;
    let gateways = [cluster.gateway("").await, cluster.gateway("").await];
    assert!(!dry(&shardlift, "").await.contains("refused ["));

    for gateway in &gateways {
        let mut conn = through(gateway).conn().await;
        for id in 1..=3 {
            let join = format!(
                "SELECT m.v FROM moving m JOIN product p USING (id) WHERE m.v = 'secret{id}' AND p.id IN ({id}, 4711)"
            );
            conn.query_drop(join).await.unwrap();
        }
        conn.query_drop("BEGIN").await.unwrap();
        conn.query_drop("UPDATE moving SET v = 'secret' WHERE id = 1").await.unwrap();
        conn.query_drop("UPDATE product SET v = 4711 WHERE id = 1").await.unwrap();
        conn.query_drop("COMMIT").await.unwrap();
        // Neither parts anything.
        conn.query_drop("SELECT * FROM moving a JOIN moving b USING (id)").await.unwrap();
        conn.query_drop("SELECT * FROM product a JOIN product b USING (id)").await.unwrap();
    }
    let seen = until("the gateways have told what they saw", PATIENCE, async || {
        let said = dry(&shardlift, "").await;
        if said.contains("6 times") && said.contains("2 times") { Ok(said) } else { Err(said) }
    })
    .await;
    for said in [
        "`SELECT m.v FROM moving m JOIN product p USING (id) WHERE m.v = ? AND p.id IN (?, …)` (6 times, last",
        "by app through 2 gateways) names moving, which move(s), together with product",
        "`UPDATE moving SET v = ? WHERE id = ?; …; UPDATE product SET v = ? WHERE id = ?` (2 times",
        "--allow-cross-keyspace",
    ] {
        assert!(seen.contains(said), "{said}: {seen}");
    }
    assert!(!seen.contains("secret") && !seen.contains("4711"), "{seen}");
    assert_eq!(seen.matches("refused [").count(), 2, "{seen}");
    assert!(!dry(&shardlift, "--allow-cross-keyspace").await.contains("refused ["));

    // Made since the start.
    for (_, sql) in PROGRAMS {
        source.exec(sql).await;
    }
    target.exec("ALTER TABLE moving MODIFY id INT NOT NULL").await;
    let deaf = deaf(&cluster).await;
    let mut long = source.conn().await;
    long.query_drop("BEGIN; UPDATE product SET v = 7 WHERE id = 2").await.unwrap();
    let id: u64 = long.query_first("SELECT CONNECTION_ID()").await.unwrap().unwrap();
    let sleeps = tokio::spawn(async move { long.query_drop("SELECT SLEEP(1000)").await });
    let mut xa = source.conn().await;
    for sql in ["XA START 'held'", "INSERT INTO product VALUES (9, 9)", "XA END 'held'", "XA PREPARE 'held'"] {
        xa.query_drop(sql).await.unwrap();
    }
    let mut locks = source.conn().await;
    locks.query_drop("LOCK TABLES moving READ").await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;

    let record = shardlift.json(&format!("workflow show {WHICH}")).await["workflow"].clone();
    let all = dry(&shardlift, "").await;
    let after = shardlift.json(&format!("workflow show {WHICH}")).await["workflow"].clone();
    assert_eq!(record, after);
    let asked = shardlift.refused(SWITCH).await;
    let kill = format!("KILL {id}");
    let mut named = vec![
        "[cross-keyspace] a statement: `SELECT m.v",
        "[cross-keyspace] a transaction: `UPDATE moving",
        kill.as_str(),
        " s old, running `SELECT SLEEP(1000)`",
        "XA ROLLBACK X'68656C64',X'',1",
        "is prepared and undecided for ",
        "[counter] moving on target",
        "[gateway-silent] gateway deaf-1 (10.0.0.9:3306, process 4711 on elsewhere)",
        "[table-in-use] moving on source",
        "DROP PROCEDURE `commerce`.`tidy`",
    ];
    named.extend(PROGRAMS.iter().map(|(name, _)| *name));
    for said in [&all, &asked] {
        for name in &named {
            assert!(said.contains(name), "{name}: {said}");
        }
        assert_eq!(said.matches("refused [").count(), said.matches("    cure: ").count(), "{said}");
    }

    // All that may pass does, and what may not is seen to.
    source.exec(&format!("KILL {id}")).await;
    assert!(sleeps.await.unwrap().is_err());
    xa.query_drop("XA ROLLBACK 'held'").await.unwrap();
    locks.query_drop("UNLOCK TABLES").await.unwrap();
    cluster.topology().txn(cluster.topology().delete(Txn::new(), &deaf)).await.unwrap();
    target.exec("ALTER TABLE moving MODIFY id INT NOT NULL AUTO_INCREMENT").await;
    let left = shardlift.refused(SWITCH).await;
    assert_eq!(left.matches("refused [").count(), 2 + PROGRAMS.len(), "{left}");
    source.exec("DROP VIEW mixed; DROP PROCEDURE tidy; DROP TRIGGER follows; DROP EVENT nightly").await;
    shardlift.must(&format!("{SWITCH} --allow-cross-keyspace")).await;
    let logged = shardlift.must(&format!("workflow logs {WHICH}")).await;
    assert!(logged.contains("warning [cross-keyspace] a statement"), "{logged}");
    // As was said.
    let mut conn = through(&gateways[0]).conn().await;
    let refused = conn.query_drop("SELECT m.v FROM moving m JOIN product p USING (id)").await.unwrap_err().to_string();
    assert!(refused.contains("across keyspaces"), "{refused}");
    engine.stop().await;
}
