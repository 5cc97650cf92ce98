//! Rows that a sequence numbers, which decides the shards they belong to.

use std::collections::BTreeSet;

use mysql_async::Params;
use mysql_async::prelude::Queryable;

use super::world::World;

pub async fn rows_get_numbers_and_go_where_they_lead(world: &World) {
    let mut conn = world.through("wide").await;
    conn.query_drop("INSERT INTO ticket (what) VALUES ('first')").await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(conn.last_insert_id(), Some(1));
    assert_eq!(conn.query_first::<u64, _>("SELECT LAST_INSERT_ID()").await.unwrap(), Some(1));
    conn.query_drop("INSERT INTO ticket (id, what) VALUES (NULL, 'a'), (100500, 'own'), (0, 'b'), (DEFAULT, 'c')")
        .await
        .unwrap();
    assert_eq!((conn.affected_rows(), conn.last_insert_id()), (4, Some(2)));
    let one = Params::Positional(vec!["prepared".into()]);
    conn.exec_drop("INSERT INTO ticket SET what = ?", one).await.unwrap();
    assert_eq!(conn.last_insert_id(), Some(5));
    let several = Params::Positional(vec![mysql_async::Value::NULL, "p".into(), 100_501u64.into(), "q".into()]);
    conn.exec_drop("INSERT INTO ticket VALUES (?, ?), (?, ?)", several).await.unwrap();
    assert_eq!(conn.last_insert_id(), Some(6));
    // Whatever reads as 0 asks for a number, unless the session says that 0 is 0.
    conn.query_drop("INSERT INTO ticket (id, what) VALUES ('0', 't'), (-0, 'u')").await.unwrap();
    assert_eq!(conn.last_insert_id(), Some(7));
    conn.exec_drop("INSERT INTO ticket (id, what) VALUES (?, 'v')", ("0",)).await.unwrap();
    assert_eq!(conn.last_insert_id(), Some(9));
    let refused = conn.query_drop("INSERT INTO counted (id, what) VALUES (5, 'a'), (0, 'b')").await.unwrap_err();
    assert!(refused.to_string().contains("would store a number of its own"), "{refused}");
    conn.query_drop("INSERT INTO counted (id, what) VALUES (5, 'a')").await.unwrap();
    // Two shards would give one number, wherever it does not say where the row belongs.
    for values in ["(customer_id) VALUES (3)", "(customer_id, id) VALUES (1, 7), (3, NULL)", "VALUES (0, 3)"] {
        let refused = conn.query_drop(format!("INSERT INTO entry {values}")).await.unwrap_err();
        assert!(refused.to_string().contains("id of entry is AUTO_INCREMENT"), "{values}: {refused}");
    }
    conn.query_drop("INSERT INTO entry (customer_id, id) VALUES (1, 7), (3, 8)").await.unwrap();
    // Of an expression nobody can tell whether a number is wanted, nor which shard is.
    for values in ["(id, what) VALUES (7 + 1, 'x')", "(id, what) VALUES (NULL, 'x'), (@id, 'y')", "SET id = +8"] {
        let refused = conn.query_drop(format!("INSERT INTO ticket {values}")).await.unwrap_err();
        assert!(refused.to_string().contains("give the value itself"), "{values}: {refused}");
    }
    conn.query_drop("SET sql_mode = 'STRICT_TRANS_TABLES,NO_AUTO_VALUE_ON_ZERO'").await.unwrap();
    conn.query_drop("INSERT INTO ticket (id, what) VALUES (0, 'zero')").await.unwrap();
    // Several sessions at once.
    let insert = async || {
        let mut conn = world.through("wide").await;
        for _ in 0..20 {
            conn.query_drop("INSERT INTO ticket (what) VALUES ('x'), ('y'), ('z')").await.unwrap();
        }
    };
    tokio::join!(insert(), insert(), insert());
    let mut seen = BTreeSet::new();
    for (place, db) in world.shards.iter().enumerate() {
        for row in db.rows("SELECT id FROM ticket").await {
            let id: i64 = row[0].as_ref().unwrap().parse().unwrap();
            assert!(seen.insert(id), "{id} is there twice");
            assert_eq!(super::writes::place_of(id), place, "ticket {id}");
        }
    }
    assert!(seen.contains(&0));
    assert_eq!(seen.len(), 12 + 180);
    let total: Option<(u64, u64)> = conn.query_first("SELECT COUNT(*), MAX(id) FROM ticket").await.unwrap();
    assert_eq!(total, Some((192, 100_501)));
}
