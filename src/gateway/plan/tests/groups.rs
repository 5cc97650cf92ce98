//! Groups that are one shard's, and such as several have parts of.

use super::spread::Fold;
use super::*;

fn merge(sql: &str) -> Merge {
    match World::new().bind(sql, None, &[]) {
        Ok(Some(Parts::Several(_, Answer::Rows { merge, .. }))) => merge,
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn what_an_outer_join_leaves_out_is_one_group_of_all_shards() {
    for (join, column, whole) in [
        ("customer c JOIN orders o", "o.customer_id", true),
        ("customer c LEFT JOIN orders o", "o.customer_id", false),
        ("customer c LEFT JOIN orders o", "c.id", true),
        ("orders o RIGHT JOIN customer c", "o.customer_id", false),
        ("orders o RIGHT JOIN customer c", "c.id", true),
    ] {
        let sql = format!("SELECT {column}, COUNT(*) FROM {join} ON o.customer_id = c.id GROUP BY {column}");
        assert_eq!(matches!(merge(&sql), Merge::Rows { .. }), whole, "{sql}");
        let sql = format!("SELECT DISTINCT {column} FROM {join} ON o.customer_id = c.id");
        assert_eq!(matches!(merge(&sql), Merge::Rows { distinct: None, .. }), whole, "{sql}");
    }
    // NULL is not counted.
    merge("SELECT COUNT(DISTINCT o.customer_id) FROM customer c LEFT JOIN orders o ON o.customer_id = c.id");
}

#[test]
fn shards_without_rows_have_no_say_in_what_is_no_aggregate() {
    let world = World::new();
    let sql = "SELECT age, ANY_VALUE(name), COUNT(*) FROM customer WHERE age = 5";
    let text = "SELECT age, ANY_VALUE(name), COUNT(*), COUNT(*) FROM customer WHERE age = 5";
    assert!(world.texts(sql)[0].1.starts_with(text), "{:?}", world.texts(sql));
    let Merge::Groups { folds, .. } = merge(sql) else { panic!("no groups") };
    let some = Fold::Some(super::spread::Place::Hidden(0));
    assert_eq!(folds, [some.clone(), some, Fold::Sum, Fold::Sum]);
    let Merge::Groups { folds, .. } = merge("SELECT age, COUNT(*) FROM customer GROUP BY age") else {
        panic!("no groups")
    };
    assert_eq!(folds, [Fold::First, Fold::Sum]);
}

#[test]
fn shards_leave_out_no_part_of_a_group() {
    let world = World::new();
    for (sql, text) in [
        (
            "SELECT age, COUNT(*) FROM customer USE INDEX FOR GROUP BY (a) GROUP BY age ORDER BY age FOR UPDATE",
            "SELECT age, COUNT(*) FROM customer USE INDEX FOR GROUP BY (a) GROUP BY age ORDER BY age LIMIT 18446744073709551615 FOR UPDATE",
        ),
        (
            "SELECT COUNT(*) FROM customer LOCK IN SHARE MODE",
            "SELECT COUNT(*) FROM customer LIMIT 18446744073709551615 LOCK IN SHARE MODE",
        ),
        ("SELECT COUNT(*) FROM customer LIMIT 2, 3;", "SELECT COUNT(*) FROM customer LIMIT 18446744073709551615;"),
        ("SELECT id FROM customer ORDER BY id", "SELECT id FROM customer ORDER BY id"),
    ] {
        assert_eq!(world.texts(sql)[0].1, text, "{sql}");
    }
}
