//! What outer joins and equal columns say of rows, and what they do not.

use super::*;

const ALL: [usize; 4] = [0, 1, 2, 3];
const APART: &str = "make their sharding columns equal";

/// A customer is kept though no order's id is her age.
#[test]
fn what_an_outer_join_says_of_rows_it_may_leave_out_is_no_news_of_those_it_keeps() {
    let world = World::new();
    for sql in [
        "SELECT c.id FROM customer c LEFT JOIN orders o ON o.customer_id = c.id AND o.customer_id = c.age WHERE c.age = 5",
        "SELECT c.id FROM orders o RIGHT JOIN customer c ON o.customer_id = c.id AND o.customer_id = c.age WHERE c.age = 5",
        "SELECT c.id FROM customer c LEFT JOIN orders p ON p.customer_id = c.id AND c.id = c.age WHERE c.age = 5",
        "SELECT c.id FROM customer c JOIN country k LEFT JOIN orders o ON o.customer_id = c.id AND o.customer_id = k.code WHERE k.code = 5",
        "SELECT c.id FROM customer c LEFT JOIN country k ON k.code = c.id WHERE k.code = 5 OR k.code IS NULL",
        "SELECT c.id FROM customer c LEFT JOIN (orders o JOIN orders p ON p.customer_id = o.customer_id) ON o.customer_id = c.id",
        "SELECT c.id FROM customer c LEFT JOIN orders o ON o.customer_id = c.id LEFT JOIN orders p ON p.customer_id = o.customer_id",
    ] {
        match world.bind(sql, None, &[]) {
            Ok(Some(Parts::Several(parts, _))) => assert_eq!(parts.len(), 4, "{sql}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
    world.refuses(
        APART,
        &[
            "SELECT c.id FROM customer c JOIN customer d LEFT JOIN orders o ON o.customer_id = c.id AND o.customer_id = d.id",
            "SELECT c.id FROM orders o RIGHT JOIN (customer c JOIN customer d) ON o.customer_id = c.id AND o.customer_id = d.id",
            "SELECT c.id FROM customer c LEFT JOIN customer d ON c.id = c.age AND d.id = c.age",
            "SELECT c.id FROM place p LEFT JOIN place q ON p.region = q.region LEFT JOIN country k ON p.id = k.code AND q.id = k.code",
        ],
    );
    world.refuses(
        "say CROSS JOIN",
        &["SELECT c.id FROM customer c JOIN country k RIGHT JOIN country o ON o.code = c.age"],
    );
    world.refuses(
        "keeps rows of a reference table",
        &["SELECT c.id FROM customer c CROSS JOIN country k RIGHT JOIN country o ON o.code = c.age"],
    );
    world.refuses(
        "",
        &[
            "SELECT c.id FROM customer c WHERE EXISTS (SELECT 1 FROM orders o LEFT JOIN country k ON o.customer_id = c.id)",
            "SELECT c.id FROM customer c WHERE EXISTS (SELECT 1 FROM customer s LEFT JOIN (orders o JOIN country k ON o.customer_id = c.id) \
             ON o.customer_id = s.id)",
        ],
    );
}

#[test]
fn rows_that_an_outer_join_may_leave_out_are_found_by_those_it_keeps() {
    let world = World::new();
    for sql in [
        "SELECT * FROM customer c LEFT JOIN orders o ON o.customer_id = c.id WHERE c.id = 3",
        "SELECT * FROM customer c LEFT JOIN orders o ON o.customer_id = c.id WHERE o.customer_id = 3",
        "SELECT * FROM orders o RIGHT JOIN customer c ON o.customer_id = c.id WHERE c.id = 3",
        "SELECT * FROM country k LEFT JOIN customer c ON c.id = k.code WHERE k.code = 3",
        "SELECT * FROM customer c RIGHT JOIN country k ON c.id = k.code WHERE k.code = 3",
        "SELECT * FROM customer c LEFT JOIN (orders o JOIN country k ON k.code = o.customer_id) ON o.customer_id = c.id WHERE k.code = 3",
        "SELECT * FROM customer c JOIN customer d LEFT JOIN orders o ON o.customer_id = c.id AND o.customer_id = d.id WHERE c.id = 3 AND d.id = 3",
        "SELECT (SELECT COUNT(*) FROM country k LEFT JOIN orders o ON o.customer_id = c.id) FROM customer c WHERE c.id = 3",
        "DELETE o FROM customer c LEFT JOIN orders o ON o.customer_id = c.id WHERE c.id = 3",
    ] {
        assert_eq!(world.shards(sql), [1], "{sql}");
    }
    let both = "SELECT p.x FROM place p LEFT JOIN place q ON p.region = q.region AND p.id = q.id";
    assert_eq!(world.shards(both), ALL);
    let lists = "SELECT c.id FROM customer c LEFT JOIN orders o ON o.customer_id = c.id WHERE o.customer_id IN (1, 3)";
    assert_eq!(world.shards(lists), [0, 1]);
}

/// `'a' = 'A'` as one column has it, and not as the other does; and 70 is 1970 to one of them.
#[test]
fn values_go_from_column_to_column_only_where_both_compare_alike() {
    let world = World::new();
    for sql in [
        "SELECT n.body FROM note n JOIN country k ON n.name = k.label WHERE k.label = 'test1'",
        "SELECT n.body FROM note n, country k WHERE n.name = k.label AND k.label IN ('test1', 'x')",
        "SELECT c.id FROM customer c JOIN calendar k ON c.id = k.y WHERE k.y = 70",
        "SELECT c.id FROM customer c JOIN calendar k ON c.id = k.code WHERE k.code = '70'",
        "SELECT c.id FROM customer c JOIN calendar k ON k.code = c.name WHERE c.id = k.price AND k.price = 5",
    ] {
        assert_eq!(world.shards(sql), ALL, "{sql}");
    }
    for sql in [
        "SELECT n.body FROM note n JOIN calendar k ON n.name = k.title WHERE k.title = 'test1'",
        "SELECT n.body FROM note n JOIN note m ON n.name = m.name WHERE m.name = 'test1'",
        "SELECT c.id FROM customer c JOIN country k ON c.id = k.code WHERE k.code = 4",
    ] {
        assert_eq!(world.shards(sql), [3], "{sql}");
    }
    world.refuses(
        APART,
        &[
            "SELECT n.body FROM note n JOIN country k ON n.name = k.label JOIN note m ON m.name = k.label",
            "SELECT n.body FROM note n WHERE EXISTS (SELECT 1 FROM note m JOIN country k ON m.name = k.label WHERE k.label = n.name)",
        ],
    );
    assert_eq!(world.shards("SELECT n.body FROM note n JOIN note m ON n.name = m.name"), ALL);
}

#[test]
fn a_stored_function_is_not_asked_of_each_shard() {
    let world = World::new();
    world.refuses(
        "would see each shard's own rows only",
        &[
            "SELECT id, orders_total() FROM customer",
            "SELECT id FROM customer WHERE shop.rated(id) > 3",
            "UPDATE customer SET age = f(age)",
            "DELETE FROM customer WHERE f(age) = 3",
        ],
    );
    world.refuses("what function f does", &["INSERT INTO orders (customer_id, id) VALUES (1, f(1)), (3, 2)"]);
    for (sql, shards) in [
        ("SELECT id, orders_total() FROM customer WHERE id = 3", &[1][..]),
        ("INSERT INTO orders (customer_id, id) VALUES (3, f(1))", &[1]),
        ("INSERT INTO orders (customer_id, id) VALUES (1, ABS(1)), (3, IF(1, 2, 3))", &[0, 1]),
        (
            "SELECT COUNT(*), MAX(age) FROM customer c STRAIGHT_JOIN (orders o JOIN country k ON (k.code = o.id)) ON (o.customer_id = c.id) \
             WHERE TRIM(LEADING (c.name) FROM c.name) = CAST(c.age AS DECIMAL(10, 2)) AND c.age IN (1) AND NOT (c.age = 2)",
            &ALL,
        ),
        ("SELECT (age), COALESCE(name, 'x') FROM customer USE INDEX (a) WHERE (age) BETWEEN (1) AND (2)", &ALL),
    ] {
        assert_eq!(world.shards(sql), shards, "{sql}");
    }
}
