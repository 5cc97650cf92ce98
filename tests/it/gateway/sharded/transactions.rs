//! Transactions over several shards, and what one shard's refusal does to the others.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::world::World;

pub async fn number(conn: &mut Conn, sql: &str) -> i64 {
    conn.query_first(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")).unwrap()
}

pub async fn refused(conn: &mut Conn, sql: &str) -> (u16, String) {
    match conn.query_drop(sql).await {
        Err(mysql_async::Error::Server(error)) => (error.code, error.message),
        other => panic!("{sql}: {other:?}"),
    }
}

// hash: 1 and 2 are on the first shard, 3 and 5 on the second, 4 and 6 on the fourth.
pub async fn over_several_shards(world: &World) {
    let (mut one, mut other) = (world.through("wide").await, world.through("wide").await);
    let sum = "SELECT SUM(age) FROM customer";
    one.query_drop("DELETE FROM customer").await.unwrap_or_else(|error| panic!("{error}"));
    one.query_drop("INSERT INTO customer (id, age) VALUES (1, 10), (3, 30), (4, 40)").await.unwrap();

    // Nobody else sees it before it is committed, and a savepoint is one on all shards.
    one.query_drop("BEGIN").await.unwrap();
    one.query_drop("UPDATE customer SET age = 11 WHERE id = 1").await.unwrap();
    one.query_drop("SAVEPOINT a").await.unwrap();
    one.query_drop("UPDATE customer SET age = 31 WHERE id = 3").await.unwrap();
    assert_eq!((number(&mut one, sum).await, number(&mut other, sum).await), (82, 80));
    one.query_drop("ROLLBACK TO SAVEPOINT a").await.unwrap();
    assert_eq!(number(&mut one, sum).await, 81);
    one.query_drop("UPDATE customer SET age = age + 100").await.unwrap();
    assert_eq!((number(&mut one, sum).await, number(&mut other, sum).await), (381, 80));
    one.query_drop("ROLLBACK").await.unwrap();
    assert_eq!(number(&mut one, sum).await, 80);
    one.query_drop("START TRANSACTION").await.unwrap();
    one.query_drop("UPDATE customer SET age = age + 1").await.unwrap();
    one.query_drop("COMMIT").await.unwrap();
    assert_eq!(number(&mut other, sum).await, 83);

    // Where autocommit is off as well.
    one.query_drop("SET autocommit = 0").await.unwrap();
    one.query_drop("UPDATE customer SET age = 0 WHERE id = 4").await.unwrap();
    one.query_drop("UPDATE customer SET age = 0 WHERE id = 1").await.unwrap();
    assert_eq!(number(&mut other, sum).await, 83);
    one.query_drop("SET autocommit = 1").await.unwrap();
    assert_eq!(number(&mut other, sum).await, 31);

    // A write that one shard refuses is done on none: 5 is not there, 3 is.
    let (code, _) = refused(&mut one, "INSERT INTO customer (id, age) VALUES (2, 5), (3, 5), (6, 5)").await;
    assert_eq!((code, number(&mut other, "SELECT COUNT(*) FROM customer").await), (1062, 3));
    one.query_drop("BEGIN").await.unwrap();
    one.query_drop("UPDATE customer SET age = 9 WHERE id = 4").await.unwrap();
    let (code, _) = refused(&mut one, "INSERT INTO customer (id, age) VALUES (2, 5), (3, 5), (6, 5)").await;
    assert_eq!((code, number(&mut one, sum).await), (1062, 40));
    one.query_drop("COMMIT").await.unwrap();
    assert_eq!((number(&mut other, sum).await, number(&mut other, "SELECT COUNT(*) FROM customer").await), (40, 3));

    // `single` refuses the second shard, and a write to several.
    one.query_drop("SET transaction_mode = 'single'").await.unwrap();
    one.query_drop("BEGIN").await.unwrap();
    one.query_drop("UPDATE customer SET age = 1 WHERE id = 1").await.unwrap();
    let (code, why) = refused(&mut one, "UPDATE customer SET age = 1 WHERE id = 3").await;
    assert!(code == 1235 && why.contains("transaction_mode is single"), "{why}");
    one.query_drop("ROLLBACK").await.unwrap();
    let (code, why) = refused(&mut one, "UPDATE customer SET age = 1").await;
    assert!(code == 1235 && why.contains("transaction_mode"), "{why}");
    one.query_drop("SET transaction_mode = 'multi'").await.unwrap();

    // A connection that a server ends takes the transaction along on all shards.
    one.query_drop("BEGIN").await.unwrap();
    one.query_drop("UPDATE customer SET age = 70").await.unwrap();
    let kill = "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = 'wide_3' AND USER = 'app'";
    for row in world.shards[3].rows(kill).await {
        let id = row[0].clone().unwrap();
        // Its session may be gone by then.
        let _ = world.shards[3].try_exec(&format!("KILL {id}")).await;
    }
    assert!(one.query_drop("COMMIT").await.is_err());
    assert_eq!(number(&mut other, "SELECT COUNT(*) FROM customer WHERE age = 70 AND id IN (4, 6)").await, 0);
}

/// The ages of customers 1, 3 and 4, on three shards.
async fn ages(conn: &mut Conn) -> Vec<i64> {
    let sql = "SELECT age FROM customer WHERE id IN (1, 3, 4) ORDER BY id";
    conn.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

pub async fn say(conn: &mut Conn, sql: &str) {
    conn.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn afresh(conn: &mut Conn) {
    say(conn, "DELETE FROM customer").await;
    say(conn, "INSERT INTO customer (id, age) VALUES (1, 10), (3, 30), (4, 40), (5, 50)").await;
}

/// What ends a transaction on one of its shards, or seems to, ends it on all or on none.
pub async fn end_on_all_shards_alike(world: &World) {
    let (mut one, mut other) = (world.through("wide").await, world.through("wide").await);

    // What opens nothing, or fails, on a shard that is not in it yet.
    for between in [
        "DESCRIBE customer",
        "SHOW CREATE TABLE customer",
        "EXPLAIN SELECT * FROM customer WHERE id = 1",
        "SELECT DATABASE(), COUNT(*) FROM information_schema.TABLES",
        "SELECT * FROM customer LIMIT 0",
        "SELECT * FROM customer WHERE id = 1 AND 1 = 0",
        "UPDATE customer SET nowhere = 1 WHERE id = 1",
        "UPDATE customer SET nowhere = 1",
        "INSERT INTO customer (id, age) VALUES (1, 0)",
    ] {
        afresh(&mut other).await;
        for begin in ["SET autocommit = 0", "BEGIN"] {
            say(&mut one, begin).await;
            say(&mut one, "UPDATE customer SET age = age + 1 WHERE id = 4").await;
            let _ = one.query_drop(between).await;
            say(&mut one, "UPDATE customer SET age = age + 1 WHERE id = 3").await;
            say(&mut one, "COMMIT").await;
            say(&mut one, "SET autocommit = 1").await;
        }
        assert_eq!(ages(&mut other).await, [10, 32, 42], "{between}");
    }

    // SET autocommit commits where it switches it on, and nowhere else.
    for (begin, set, committed) in [
        ("SET autocommit = 0", "SET autocommit = 0", false),
        ("BEGIN", "SET autocommit = 0", false),
        ("BEGIN", "SET autocommit = 1", false),
        ("SET autocommit = 0", "SET @@session.autocommit = ON", true),
    ] {
        afresh(&mut other).await;
        say(&mut one, begin).await;
        say(&mut one, "UPDATE customer SET age = 0 WHERE id = 1").await;
        say(&mut one, "UPDATE customer SET age = 0 WHERE id = 4").await;
        say(&mut one, set).await;
        say(&mut one, "ROLLBACK").await;
        say(&mut one, "SET autocommit = 1").await;
        assert_eq!(ages(&mut other).await, if committed { [0, 30, 0] } else { [10, 30, 40] }, "{begin}, {set}");
    }
    say(&mut one, "SET autocommit = 0").await;
    say(&mut one, "UPDATE customer SET age = 1").await;
    let (code, why) = refused(&mut one, "SET autocommit = @on").await;
    assert!(code == 1235 && why.contains("write 0 or 1"), "{why}");
    say(&mut one, "ROLLBACK").await;
    say(&mut one, "SET autocommit = 1").await;

    // One follows the other.
    afresh(&mut other).await;
    say(&mut one, "BEGIN").await;
    say(&mut one, "UPDATE customer SET age = age + 1").await;
    say(&mut one, "COMMIT AND CHAIN").await;
    say(&mut one, "UPDATE customer SET age = 0").await;
    say(&mut one, "BEGIN").await;
    say(&mut one, "UPDATE customer SET age = 7 WHERE id = 1").await;
    say(&mut one, "ROLLBACK AND CHAIN").await;
    say(&mut one, "UPDATE customer SET age = 8 WHERE id = 3").await;
    assert_eq!(ages(&mut other).await, [0, 0, 0]);
    say(&mut one, "COMMIT").await;
    assert_eq!(ages(&mut other).await, [0, 8, 0]);

    // A statement with an implicit commit on a shard that is not in it, and on one of two that are.
    for shards in ["WHERE id = 1", ""] {
        afresh(&mut other).await;
        say(&mut one, "BEGIN").await;
        say(&mut one, &format!("UPDATE customer SET age = 5 {shards}")).await;
        say(&mut one, "USE `wide:c0-`").await;
        say(&mut one, "CREATE TABLE beside (id INT)").await;
        say(&mut one, "ROLLBACK").await;
        say(&mut one, "DROP TABLE beside").await;
        say(&mut one, "USE wide").await;
        assert_eq!(ages(&mut other).await[0], 5, "what a CREATE TABLE elsewhere has committed {shards}");
    }

    // A deadlock on one shard rolls it back on all, whichever answers are looked at first.
    afresh(&mut other).await;
    let mut holder = world.shards[1].conn().await;
    say(&mut one, "BEGIN").await;
    say(&mut one, "UPDATE customer SET age = 0 WHERE id IN (1, 3, 4)").await;
    say(&mut holder, "BEGIN").await;
    let heavy: Vec<String> = (0..200).map(|number| format!("('heavy {number}')")).collect();
    say(&mut holder, &format!("INSERT INTO note (title) VALUES {}", heavy.join(", "))).await;
    say(&mut holder, "UPDATE customer SET age = 0 WHERE id = 5").await;
    let waiting = tokio::spawn(async move {
        let refused = refused(&mut one, "SELECT id FROM customer WHERE age >= 0 ORDER BY id FOR UPDATE").await;
        (one, refused)
    });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    say(&mut holder, "UPDATE customer SET age = 0 WHERE id = 3").await;
    let (mut one, (code, why)) = waiting.await.unwrap();
    assert_eq!(code, 1213, "{why}");
    say(&mut holder, "ROLLBACK").await;
    say(&mut one, "UPDATE customer SET age = age + 1 WHERE id = 4").await;
    say(&mut one, "COMMIT").await;
    assert_eq!(ages(&mut other).await, [10, 30, 41], "a part of it went on");
}

/// A session that starts over, or is killed, takes its transaction along on all shards.
pub async fn go_with_their_session(world: &World) {
    let mut other = world.through("wide").await;
    afresh(&mut other).await;
    for how in ["reset", "change user", "KILL"] {
        let mut one = world.through("wide").await;
        say(&mut one, "SET autocommit = 0").await;
        say(&mut one, "UPDATE customer SET age = 0 WHERE id IN (1, 3, 4)").await;
        match how {
            "reset" => assert!(one.reset().await.unwrap()),
            "change user" => one.change_user(mysql_async::ChangeUserOpts::default()).await.unwrap(),
            _ => say(&mut other, &format!("KILL {}", one.id())).await,
        }
        // Their locks are gone as well.
        say(&mut other, "UPDATE customer SET age = age + 1").await;
        if how != "KILL" {
            say(&mut one, "COMMIT").await;
        }
    }
    assert_eq!(ages(&mut other).await, [13, 33, 43]);
}
