//! Answers that are easily made wrong of several shards', each beside that of one server.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::world::{self, Outcome, World};

pub async fn of_several_shards(world: &World) {
    let mut through = world.through("wide").await;
    for sql in ["SELECT f(5)", "DO f(5)", "SET @x = f(5)"] {
        match world::ask(&mut through, sql, &[], false, false).await {
            Outcome::Error(1235, why) if why.contains("what a stored function does") => {}
            other => panic!("{sql}: {other}"),
        }
    }
    through.query_drop("SET @x = CONCAT('f(5)', NOW())").await.unwrap();
    outer_joins(world).await;
    empty_shards(world).await;
    limited_sessions(world).await;
}

/// Asks both, as text and prepared.
async fn alike(conns: &mut [Conn; 2], questions: &[&str]) {
    let [direct, through] = conns;
    for sql in questions {
        for prepared in [false, true] {
            let expected = world::ask(direct, sql, &[], prepared, sql.contains("ORDER BY")).await;
            let found = world::ask(through, sql, &[], prepared, sql.contains("ORDER BY")).await;
            assert_eq!(found, expected, "{sql}");
        }
    }
}

/// The rows that have none on the other side are one group, and are kept whatever the other side's equal.
async fn outer_joins(world: &World) {
    let mut conns = [world.direct().await, world.through("wide").await];
    let questions = [
        "SELECT o.customer_id, COUNT(*) FROM customer c LEFT JOIN orders o ON o.customer_id = c.id GROUP BY o.customer_id",
        "SELECT o.customer_id, COUNT(*) FROM orders o RIGHT JOIN customer c ON o.customer_id = c.id GROUP BY o.customer_id ORDER BY 1",
        "SELECT DISTINCT o.customer_id FROM customer c LEFT JOIN orders o ON o.customer_id = c.id",
        "SELECT COUNT(DISTINCT o.customer_id) FROM customer c LEFT JOIN orders o ON o.customer_id = c.id",
        "SELECT c.id, o.id FROM customer c LEFT JOIN orders o ON o.customer_id = c.id AND o.customer_id = c.age WHERE c.age = 5",
        "SELECT c.id, o.id FROM orders o RIGHT JOIN customer c ON o.customer_id = c.id AND o.customer_id = c.age WHERE c.age = 5",
        "SELECT c.id, k.code, o.id FROM customer c JOIN country k LEFT JOIN orders o ON o.customer_id = c.id AND o.id = k.code WHERE k.code = 3",
        // One is equal to a text in another case, and the other is not.
        "SELECT n.title, k.code FROM note n JOIN country k ON n.title = k.label WHERE k.label = 'LAND 1'",
    ];
    alike(&mut conns, &questions).await;
}

/// Columns beside aggregates are those of a shard that has rows.
async fn empty_shards(world: &World) {
    let mut conns = [world.direct().await, world.through("wide").await];
    let questions = [
        // hash: 4 and 6 are on the last shard.
        "SELECT ANY_VALUE(name), COUNT(*), AVG(age) FROM customer WHERE id > 3 AND id < 5",
        "SELECT 'text', ANY_VALUE(born), MAX(id), ANY_VALUE(raw) FROM customer WHERE id > 5 AND id < 7",
        "SELECT country, COUNT(*) FROM customer WHERE country = 5",
        "SELECT country, COUNT(*) FROM customer WHERE country = 5 AND id > 5 AND id < 7",
        "SELECT 'none', ANY_VALUE(name), SUM(age), COUNT(*) FROM customer WHERE age = 1000",
    ];
    alike(&mut conns, &questions).await;
}

/// What sql_select_limit leaves out it leaves out of the whole answer, not of each shard's part.
async fn limited_sessions(world: &World) {
    let mut conns = [world.direct().await, world.through("wide").await];
    for most in ["3", "0", "DEFAULT"] {
        for conn in &mut conns {
            conn.query_drop(format!("SET sql_select_limit = {most}")).await.unwrap();
        }
        let questions = [
            "SELECT country, COUNT(*), AVG(age) FROM customer GROUP BY country ORDER BY country",
            "SELECT country, COUNT(*) FROM customer GROUP BY country ORDER BY country LIMIT 4",
            "SELECT COUNT(*), SUM(balance) FROM customer",
            "SELECT id FROM customer ORDER BY id",
            "SELECT id FROM customer ORDER BY id LIMIT 5 OFFSET 2",
            "SELECT DISTINCT country FROM customer ORDER BY country",
            "SELECT id FROM customer UNION SELECT customer_id FROM orders ORDER BY 1",
            "SELECT id FROM customer WHERE id = 3",
        ];
        alike(&mut conns, &questions).await;
    }
}
