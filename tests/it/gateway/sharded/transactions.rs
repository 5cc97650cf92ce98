//! Transactions over several shards, and what one shard's refusal does to the others.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::world::World;

async fn number(conn: &mut Conn, sql: &str) -> i64 {
    conn.query_first(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")).unwrap()
}

async fn refused(conn: &mut Conn, sql: &str) -> (u16, String) {
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
