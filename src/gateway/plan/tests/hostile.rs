//! Statements as somebody may send them who means harm: any words, trees as deep as they are long, texts without end.

use super::World;

/// Such trees are as deep as they are long: each would overflow a usual stack. A text without end swallows what follows.
#[test]
fn long_rows_of_operators_and_open_quotes_do_no_harm() {
    let world = World::new();
    let long = |head: &str, one: &str, count| format!("{head}{}", one.repeat(count));
    for (head, one) in [
        ("SELECT * FROM customer WHERE id = 1", " AND age <> 2"),
        ("SELECT * FROM customer WHERE id = 1 AND (age = 1", " OR age = 2"),
        ("SELECT * FROM customer WHERE id = 1 AND age < (1", " + 1"),
        ("UPDATE customer SET age = 2 WHERE id = 1 AND (name LIKE 'a'", " OR name = 'b' AND age = 3"),
    ] {
        let end = if head.contains('(') { ")" } else { "" };
        assert_eq!(world.shards(&(long(head, one, 2_000) + end)), [0], "{head}");
        world.refuses("operators in a row", &[&(long(head, one, 30_000) + end)]);
    }
    let union = long("SELECT id FROM customer", " UNION ALL SELECT id FROM customer", 20_000);
    world.refuses("operators in a row", &[&union]);
    world.refuses("has no end", &["SELECT id FROM customer ORDER BY 'a", "SELECT id FROM customer WHERE name = 'a"]);
}

proptest::proptest! {
    /// Whatever a text is, it is planned or refused; and where a key is given, the shard is the key's.
    #[test]
    fn any_text_is_planned_or_refused(words in proptest::collection::vec(proptest::sample::select(vec![
        "SELECT", "*", "FROM", "customer", "orders", "c", "JOIN", "ON", "WHERE", "id", "=", "3", "AND", "OR", "IN", "(", ")", ",",
        "GROUP BY", "ORDER BY", "LIMIT", "COUNT(*)", "UPDATE", "SET", "INSERT INTO", "VALUES", "DELETE", "UNION", "NOT", "'x'", ".",
        "name", "DISTINCT", "HAVING", "?", "-", "AS", "LEFT",
    ]), 0..16)) {
        let world = World::new();
        let _ = world.bind(&words.join(" "), None, &[]);
    }
}
