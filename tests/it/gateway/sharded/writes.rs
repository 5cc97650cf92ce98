//! Writes made at random on both sides; then all rows are compared, and each is where its keyspace id says.

use std::time::{Duration, Instant};

use des::Des;
use des::cipher::{BlockEncrypt, KeyInit};
use mysql_async::Value;
use mysql_async::prelude::Queryable;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::sleep;

use super::world::{self, Outcome, SHARDS, World};

const SEED: u64 = 4_711;
const WRITES: usize = 240;
/// Long enough for a statement that nothing holds up.
const A_WHILE: Duration = Duration::from_millis(300);

pub async fn rows_are_where_they_belong(world: &World) {
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut direct, mut through) = (world.direct().await, world.through("wide").await);
    let mut refused = 0;
    for number in 0..WRITES {
        let (sql, values) = write(&mut random, number);
        let found = world::ask(&mut through, &sql, &values, !values.is_empty(), false).await;
        if let Outcome::Error(1235, why) = &found {
            refused += 1;
            assert!(number % 12 == 11, "{sql}: {why}");
            continue;
        }
        let expected = world::ask(&mut direct, &sql, &values, !values.is_empty(), false).await;
        assert_eq!(found, expected, "{number}: {sql} {values:?}\n{}", world.gateway.log());
    }
    println!("{} writes did the same, {refused} were refused", WRITES - refused);
    assert!(refused >= WRITES / 12);
    for (table, key) in [("customer", "id"), ("orders", "customer_id, id"), ("country", "code")] {
        let sql = format!("SELECT * FROM {table} ORDER BY {key}");
        let expected = world::ask(&mut direct, &sql, &[], false, true).await;
        let mut found = Vec::new();
        for (place, db) in world.shards.iter().enumerate() {
            let mut conn = db.conn().await;
            let Outcome::Rows(columns, rows) = world::ask(&mut conn, &sql, &[], false, true).await else {
                panic!("no rows of {table}")
            };
            if table == "country" {
                assert_eq!(Outcome::Rows(columns, rows), expected, "{table} on {}", SHARDS[place]);
                continue;
            }
            for row in &rows {
                let id: i64 = row[0].trim_matches('\'').parse().unwrap();
                assert_eq!(place_of(id), place, "row {row:?} of {table} is on shard {}", SHARDS[place]);
            }
            found.extend(rows);
        }
        if let Outcome::Rows(_, expected) = expected {
            found.sort();
            let mut expected = expected;
            expected.sort();
            assert!(table == "country" || found == expected, "{table} differs");
        }
    }
}

/// Two writes to the same shards that would meet in opposite orders if each asked them all at once.
// hash: 1 is on the first shard, 4 and 6 are on the fourth, on another server.
pub async fn meet_in_one_order(world: &World) {
    let (mut one, mut two) = (world.through("wide").await, world.through("wide").await);
    one.query_drop("DELETE FROM customer").await.unwrap();
    one.query_drop("INSERT INTO customer (id, age) VALUES (1, 0), (4, 0), (6, 0)").await.unwrap();
    let mut holder = world.shards[3].conn().await;
    holder.query_drop("BEGIN").await.unwrap();
    holder.query_drop("UPDATE customer SET age = 0 WHERE id = 4").await.unwrap();
    let began = Instant::now();
    let first =
        tokio::spawn(async move { one.query_drop("UPDATE customer SET age = age + 1 WHERE id IN (1, 4, 6)").await });
    sleep(A_WHILE).await;
    let second =
        tokio::spawn(async move { two.query_drop("UPDATE customer SET age = age + 1 WHERE id IN (1, 6)").await });
    sleep(A_WHILE).await;
    holder.query_drop("ROLLBACK").await.unwrap();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "each waited for the other, {:?}", began.elapsed());
    let sum: Option<i64> = world.through("wide").await.query_first("SELECT SUM(age) FROM customer").await.unwrap();
    assert_eq!(sum, Some(5));
}

/// The place of the shard of a row, computed apart from the code under test.
pub fn place_of(id: i64) -> usize {
    let mut block = id.to_be_bytes().into();
    Des::new(&[0u8; 8].into()).encrypt_block(&mut block);
    usize::from(block[0] >> 6)
}

fn write(random: &mut StdRng, number: usize) -> (String, Vec<Value>) {
    let id = random.random_range(1..400i64);
    let many: Vec<i64> = {
        let mut ids: Vec<i64> = (0..random.random_range(1..9)).map(|_| random.random_range(150..400)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    let rows = |text: &dyn Fn(&i64) -> String| many.iter().map(text).collect::<Vec<_>>().join(", ");
    let sql = match number % 12 {
        0 => format!(
            "INSERT IGNORE INTO customer (id, name, age) VALUES {}",
            rows(&|id| format!("({id}, 'n{id}', {})", id % 30))
        ),
        1 => format!(
            "INSERT INTO customer (name, id, country) VALUES {} AS given ON DUPLICATE KEY UPDATE age = 5, country = given.country",
            rows(&|id| format!("('it''s {id}', {id}, {})", id % 9))
        ),
        2 => format!(
            "REPLACE INTO customer (id, name, code) VALUES {}",
            rows(&|id| format!("({id}, CONCAT('r', {id}), 'c')"))
        ),
        3 => {
            let values = many.iter().flat_map(|id| [Value::Int(*id), Value::Int(number as i64), Value::NULL]).collect();
            let sql = format!(
                "INSERT IGNORE INTO orders (customer_id, id, sku) VALUES {}",
                vec!["(?, ?, ?)"; many.len()].join(", ")
            );
            return (sql, values);
        }
        4 => format!("UPDATE customer SET age = age + 1, name = 'u' WHERE id = {id}"),
        5 => format!("UPDATE customer SET balance = 1.5 WHERE age > {}", id % 25),
        6 => format!("UPDATE customer SET id = {id}, name = 'same' WHERE id = {id}"),
        7 => format!(
            "DELETE FROM customer WHERE id IN ({})",
            many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ),
        8 => format!("DELETE FROM orders WHERE qty = {}", id % 40),
        9 => format!(
            "UPDATE customer c JOIN orders o ON o.customer_id = c.id SET c.age = 7, o.qty = 3 WHERE c.id = {id}"
        ),
        10 => format!("UPDATE country SET label = 'w{number}' WHERE code = {}", id % 8),
        _ => match random.random_range(0..8) {
            4 => "UPDATE customer c JOIN country k ON k.code = c.country SET k.label = 'one' WHERE c.id = 3".into(),
            5 => "UPDATE country SET label = 'first' LIMIT 1".into(),
            6 => "UPDATE country SET label = LEFT(UUID(), 20)".into(),
            7 => "INSERT INTO country VALUES (1000, LEFT(UUID(), 20))".into(),
            0 => "DELETE FROM customer ORDER BY id LIMIT 3".into(),
            1 => format!("UPDATE customer SET id = id + 1000 WHERE id = {id}"),
            2 => "INSERT INTO customer SELECT * FROM customer".into(),
            _ => "INSERT INTO orders (id) VALUES (3)".into(),
        },
    };
    (sql, Vec::new())
}
