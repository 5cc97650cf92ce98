//! Writes to several shards while traffic is switched.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params};
use shardlift::model::KeyspaceName;
use shardlift::model::routing::TableMove;
use shardlift::model::workflow::TabletType;
use shardlift::topology::records::Pause;
use shardlift::topology::{Revision, Txn, TxnOutcome, paths};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use uuid::Uuid;

use super::world::{VSCHEMA, World};
use super::writes::place_of;

/// Long enough for a statement that nothing holds.
const A_WHILE: Duration = Duration::from_millis(300);

async fn say(conn: &mut Conn, sql: &str) {
    conn.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Says these one after another and does not wait.
async fn begin(world: &World, target: &str, all: &[&str]) -> JoinHandle<()> {
    let mut conn = world.through(target).await;
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    tokio::spawn(async move {
        for sql in &all {
            say(&mut conn, sql).await;
        }
    })
}

/// A fence on the last shard refuses its part of a write: nothing of it stays anywhere while it waits (protocol-review A9).
// hash: 1 and 2 are on the first shard, 3 and 5 on the second, 4 and 6 on the fourth.
pub async fn a_write_is_undone_before_it_is_held(world: &World) {
    let mut conn = world.through("wide").await;
    say(&mut conn, "DELETE FROM customer").await;
    say(&mut conn, "INSERT INTO customer (id, age) VALUES (1, 10), (3, 30), (4, 40)").await;
    let fence = |event: &str| {
        format!(
            "CREATE TRIGGER fence_{event} BEFORE {event} ON customer FOR EACH ROW IF (SELECT COUNT(*) FROM shut) > 0 THEN \
             SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 20501, MESSAGE_TEXT = 'customer has a new home'; END IF;"
        )
    };
    let last = &world.shards[3];
    last.exec("CREATE TABLE shut (a INT PRIMARY KEY); INSERT INTO shut VALUES (1)").await;
    last.exec(&[fence("INSERT"), fence("UPDATE")].concat()).await;
    let update = "UPDATE customer SET age = age + 1 WHERE id IN (1, 3, 4)";
    let said = [
        begin(world, "wide", &[update]).await,
        begin(world, "wide", &["INSERT INTO customer (id, age) VALUES (2, 1), (5, 1), (6, 1)"]).await,
        begin(world, "wide", &["BEGIN", "SELECT COUNT(*) FROM customer", update, "COMMIT"]).await,
        begin(world, "wide", &["SET autocommit = 0", update, "COMMIT"]).await,
    ];
    // One that has done something before is told to begin again.
    say(&mut conn, "BEGIN").await;
    say(&mut conn, "UPDATE customer SET age = 0 WHERE id = 5").await;
    match conn.query_drop(update).await {
        Err(mysql_async::Error::Server(error)) => assert_eq!(error.code, 1213, "{error}"),
        other => panic!("{other:?}"),
    }
    sleep(A_WHILE).await;
    assert!(said.iter().all(|one| !one.is_finished()), "one was not held");
    let rows = "SELECT id, age FROM customer ORDER BY id";
    let found: Vec<(i64, i64)> = conn.query(rows).await.unwrap();
    assert_eq!(found, [(1, 10), (3, 30), (4, 40)], "a part of a refused write stays");
    last.exec("DELETE FROM shut").await;
    for one in said {
        one.await.unwrap();
    }
    let found: Vec<(i64, i64)> = conn.query(rows).await.unwrap();
    assert_eq!(found, [(1, 13), (2, 1), (3, 33), (4, 43), (5, 1), (6, 1)]);
    last.exec("DROP TRIGGER fence_INSERT; DROP TRIGGER fence_UPDATE; DROP TABLE shut").await;
}

/// Statements held while their table moves into this keyspace find their shards, and numbers, by what holds then. That the
/// keyspace knows the table, the gateway hears while it runs.
pub async fn what_is_held_is_placed_anew(world: &World) {
    let table = "CREATE TABLE moving (id BIGINT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(20))";
    world.cluster.source_db().exec(table).await;
    world.cluster.source_db().exec("UPDATE ticket_seq SET next_id = 100").await;
    for db in &world.shards {
        db.exec(&table.replace(" AUTO_INCREMENT", "")).await;
    }
    let added = r#""tables":{"moving":{"column_vindexes":[{"column":"id","name":"hash"}],
        "auto_increment":{"column":"id","sequence":"ticket_seq"}},"#;
    world.apply(&VSCHEMA.replacen(r#""tables":{"#, added, 1)).await;
    let mut conn = world.through("wide").await;
    say(&mut conn, "INSERT INTO moving VALUES (900, 'known')").await;

    let [commerce, wide]: [KeyspaceName; 2] = ["commerce", "wide"].map(|name| name.parse().unwrap());
    let workflow = "move".parse().unwrap();
    let (rules, pause) = (paths::workflow_rules(&wide, &workflow), paths::pause(&wide, &workflow));
    let moved = |switched: &[TabletType]| TableMove {
        source: commerce.clone(),
        target: wide.clone(),
        tables: ["moving".parse().unwrap()].into(),
        switched: switched.iter().copied().collect(),
    };
    let told = Pause {
        epoch: 1,
        source: commerce.clone(),
        target: wide.clone(),
        tables: ["moving".parse().unwrap()].into(),
        closing: commerce.clone(),
        uid: Uuid::new_v4(),
        holds: true,
    };
    let topology = world.cluster.topology();
    let txn = topology.put(Txn::new(), &rules, &moved(&[])).and_then(|txn| topology.put(txn, &pause, &told)).unwrap();
    world.acknowledged(committed(topology.txn(txn).await.unwrap())).await;

    let mut said = vec![
        begin(world, "commerce", &["INSERT INTO moving VALUES (1, 'one')"]).await,
        begin(world, "commerce", &["INSERT INTO moving VALUES (2, 'x'), (3, 'y'), (4, 'z')"]).await,
        begin(world, "commerce", &["INSERT INTO moving (v) VALUES ('numbered')"]).await,
        begin(world, "commerce", &["BEGIN", "INSERT INTO commerce.moving VALUES (5, 'begun')", "COMMIT"]).await,
    ];
    let mut prepared = world.through("commerce").await;
    let insert = prepared.prep("INSERT INTO moving VALUES (?, ?)").await.unwrap();
    said.push(tokio::spawn(async move {
        prepared.exec_drop(insert, Params::Positional(vec![6.into(), "prepared".into()])).await.unwrap();
    }));
    sleep(A_WHILE).await;
    assert!(said.iter().all(|one| !one.is_finished()), "one was not held");
    let txn = topology.put(Txn::new(), &rules, &moved(TabletType::ALL)).unwrap();
    committed(topology.txn(topology.delete(txn, &pause)).await.unwrap());
    for one in said {
        one.await.unwrap_or_else(|error| panic!("{error}\n{}", world.gateway.log()));
    }
    let mut found = Vec::new();
    for (place, db) in world.shards.iter().enumerate() {
        for row in db.rows("SELECT id, v FROM moving").await {
            let id: i64 = row[0].as_ref().unwrap().parse().unwrap();
            assert_eq!(place_of(id), place, "{row:?}");
            found.push(row[1].clone().unwrap());
        }
    }
    found.sort();
    assert_eq!(found, ["begun", "known", "numbered", "one", "prepared", "x", "y", "z"]);
    assert_eq!(world.cluster.source_db().value("SELECT COUNT(*) FROM moving").await, "0");
}

fn committed(outcome: TxnOutcome) -> Revision {
    match outcome {
        TxnOutcome::Committed { revision } => revision,
        refused @ TxnOutcome::Refused { .. } => panic!("{refused:?}"),
    }
}
