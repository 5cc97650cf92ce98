//! What a statement leaves for the next one of its session, and for nobody else's.

use mysql_async::Conn;

use super::transactions::{number, refused, say};
use super::world::World;

/// LAST_INSERT_ID() is the session's, wherever it is asked for; counts of several shards are not one shard's.
pub async fn are_the_sessions_own(world: &World) {
    let mut one = world.through("wide").await;
    say(&mut one, "DELETE FROM customer").await;
    say(&mut one, "INSERT INTO customer (id, age) VALUES (1, 10), (3, 30), (4, 40)").await;
    world.cluster.source_db().exec("CREATE TABLE made (id INT AUTO_INCREMENT PRIMARY KEY, n INT)").await;
    say(&mut one, "INSERT INTO ticket (what) VALUES ('parent')").await;
    let parent = i64::try_from(one.last_insert_id().unwrap()).unwrap();
    for between in
        ["SELECT age FROM customer WHERE id = 4", "SELECT age FROM customer", "SELECT COUNT(*) FROM customer"]
    {
        say(&mut one, "UPDATE customer SET age = 0 WHERE id = 4").await;
        say(&mut one, between).await;
        say(&mut one, "UPDATE customer SET age = LAST_INSERT_ID() WHERE id = 4").await;
        assert_eq!(number(&mut one, "SELECT age FROM customer WHERE id = 4").await, parent, "after {between}");
        assert_eq!(number(&mut one, "SELECT LAST_INSERT_ID()").await, parent, "after {between}");
    }

    say(&mut one, "UPDATE customer SET age = age + 1").await;
    let (code, why) = refused(&mut one, "SELECT ROW_COUNT()").await;
    assert!(code == 1105 && why.contains("several shards"), "{why}");
    say(&mut one, "UPDATE customer SET age = age + 1 WHERE id = 3").await;
    assert_eq!(number(&mut one, "SELECT ROW_COUNT()").await, 1);

    for value in 1..=4 {
        let mut first = world.through("commerce").await;
        say(&mut first, "INSERT INTO made (n) VALUES (7)").await;
        assert_eq!(number(&mut first, "SELECT LAST_INSERT_ID()").await, value);
        first.disconnect().await.unwrap();
        let mut second = world.through("commerce").await;
        say(&mut second, "SELECT n FROM made").await;
        assert_eq!(number(&mut second, "SELECT LAST_INSERT_ID()").await, 0, "another session's");
        second.disconnect().await.unwrap();
    }
}

/// Characteristics of the next transaction end with their session, if no transaction has used them up.
pub async fn go_with_it(world: &World) {
    world.cluster.source_db().exec("CREATE TABLE plain (id INT AUTO_INCREMENT PRIMARY KEY)").await;
    for _ in 0..4 {
        let mut first = world.through("commerce").await;
        say(&mut first, "SET TRANSACTION READ ONLY").await;
        assert_eq!(refused(&mut first, "SELECT * FROM no_such_table").await.0, 1146);
        first.disconnect().await.unwrap();
        let mut second: Conn = world.through("commerce").await;
        say(&mut second, "INSERT INTO plain VALUES ()").await;
        second.disconnect().await.unwrap();
    }
}

/// A transaction that was answered BEGIN is still one when its first statement got no connection.
pub async fn a_begin_outlives_a_full_pool(world: &World) {
    let gateway = world.cluster.gateway("--pool-size 1").await;
    let (mut holder, mut one) = (gateway.try_conn("wide").await.unwrap(), gateway.try_conn("wide").await.unwrap());
    say(&mut one, "DELETE FROM customer").await;
    say(&mut one, "INSERT INTO customer (id, age) VALUES (1, 10), (3, 30), (4, 40)").await;
    say(&mut holder, "BEGIN").await;
    say(&mut holder, "UPDATE customer SET age = 11 WHERE id = 1").await;
    say(&mut one, "BEGIN").await;
    let (code, why) = refused(&mut one, "UPDATE customer SET age = age + 1").await;
    assert_eq!(code, 1105, "{why}");
    say(&mut one, "INSERT INTO customer (id, age) VALUES (5, 50)").await;
    say(&mut one, "ROLLBACK").await;
    say(&mut holder, "ROLLBACK").await;
    assert_eq!(number(&mut one, "SELECT COUNT(*) FROM customer").await, 3, "a write outside of its transaction");
    assert!(gateway.stop().await.success());
}
