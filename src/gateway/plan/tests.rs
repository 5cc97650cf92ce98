mod everywhere;
mod groups;
mod hostile;
mod joins;
mod numbers;

use std::collections::HashMap;
use std::sync::Arc;

use super::bind::{Answer, Parts, edits};
use super::spread::Merge;
use super::*;
use crate::gateway::sql::{SqlMode, analyze, splice};
use crate::model::{ColumnKind, ShardName};
use crate::sharding::vschema::KeyspaceSchema;
use crate::sharding::{KeyType, ShardMap};

const VSCHEMA: &str = r#"{"sharded": true,
  "vindexes": {"hash": {"type": "hash"}, "xx": {"type": "xxhash"}, "bin": {"type": "binary"},
    "multi": {"type": "multicol", "params": {"column_count": "2", "column_bytes": "1,7"}}},
  "tables": {
    "customer": {"column_vindexes": [{"column": "id", "name": "hash"}], "auto_increment": {"column": "id", "sequence": "seq"}},
    "orders": {"column_vindexes": [{"column": "customer_id", "name": "hash"}]},
    "note": {"column_vindexes": [{"column": "name", "name": "xx"}]},
    "place": {"column_vindexes": [{"columns": ["region", "id"], "name": "multi"}]},
    "own": {"column_vindexes": [{"column": "serial", "name": "hash"}]},
    "both": {"column_vindexes": [{"column": "serial", "name": "hash"}], "auto_increment": {"column": "n", "sequence": "seq"}},
    "word": {"column_vindexes": [{"column": "word", "name": "xx"}], "auto_increment": {"column": "word", "sequence": "seq"}},
    "entry": {"column_vindexes": [{"column": "of", "name": "hash"}]},
    "drawn": {"column_vindexes": [{"column": "of", "name": "hash"}], "auto_increment": {"column": "serial", "sequence": "seq"}},
    "copied": {"type": "reference"},
    "calendar": {"type": "reference"},
    "country": {"type": "reference"},
    "fixed": {"pinned": "c0"}}}"#;

struct World {
    schema: KeyspaceSchema,
    columns: HashMap<String, Arc<TableColumns>>,
    map: ShardMap,
}

impl World {
    fn new() -> Self {
        let schema = KeyspaceSchema::new(&crate::sharding::vschema::parse(VSCHEMA).unwrap()).unwrap();
        let int = || ColumnKind::Int { width: 8, unsigned: false };
        let text = || ColumnKind::Text { charset: "utf8mb4".into(), collation: "utf8mb4_0900_ai_ci".into() };
        let exact = || ColumnKind::Text { charset: "utf8mb4".into(), collation: "utf8mb4_0900_bin".into() };
        let tables: [(&str, Vec<(&str, ColumnKind)>); 13] = [
            ("customer", vec![("id", int()), ("name", text()), ("age", int()), ("kind", ColumnKind::Enum)]),
            ("orders", vec![("id", int()), ("customer_id", int()), ("price", ColumnKind::Decimal), ("sku", text())]),
            ("note", vec![("name", exact()), ("body", text())]),
            ("place", vec![("region", int()), ("id", int()), ("x", int())]),
            ("country", vec![("code", int()), ("label", text())]),
            (
                "calendar",
                vec![("y", ColumnKind::Year), ("code", text()), ("price", ColumnKind::Decimal), ("title", exact())],
            ),
            ("word", vec![("word", int()), ("name", text())]),
            ("entry", vec![("of", int()), ("serial", int())]),
            ("drawn", vec![("of", int()), ("serial", int())]),
            ("fixed", vec![("a", int())]),
            ("own", vec![("serial", int()), ("name", text())]),
            ("both", vec![("serial", int()), ("n", int())]),
            ("copied", vec![("serial", int()), ("name", text())]),
        ];
        let column = |(name, kind): (&str, ColumnKind)| Column {
            name: name.into(),
            key: KeyType::of(&kind).ok().map(|key| key.declared("varchar", 100)),
            kind: Some(kind),
            blank: None,
            generated: false,
            invisible: false,
            counts: name == "serial",
        };
        let columns = tables
            .into_iter()
            .map(|(name, columns)| {
                (name.to_owned(), Arc::new(TableColumns { columns: columns.into_iter().map(column).collect() }))
            })
            .collect();
        let shards: Vec<ShardName> =
            ["-40", "40-80", "80-c0", "c0-"].iter().map(|name| name.parse().unwrap()).collect();
        Self { schema, columns, map: ShardMap::complete(shards).unwrap() }
    }

    fn plan(&self, sql: &str) -> Result<Plan, String> {
        let catalog = Catalog { keyspace: "ks", schema: &self.schema, columns: &self.columns };
        let text = Text::new(sql.as_bytes(), SqlMode::default());
        plan(&analyze(sql.as_bytes(), SqlMode::default()), &text, &catalog)
    }

    fn bind(&self, sql: &str, bound: Option<Bound<'_>>, given: &[Option<i128>]) -> Result<Option<Parts>, String> {
        let text = Text::new(sql.as_bytes(), SqlMode::default());
        self.plan(sql)?.bind(&Values { text: &text, bound, utf8: true }, &self.map, given)
    }

    /// Each shard with its text.
    fn texts(&self, sql: &str) -> Vec<(usize, String)> {
        let text = Text::new(sql.as_bytes(), SqlMode::default());
        let render = |changes: &[bind::Change]| {
            let (mut all, _) = edits(&text, changes, Vec::new());
            String::from_utf8(splice(sql.as_bytes(), &mut all)).unwrap()
        };
        match self.bind(sql, None, &[]).unwrap_or_else(|why| panic!("{sql}: {why}")) {
            Some(Parts::One(shard, changes)) => vec![(shard.unwrap_or(9), render(&changes))],
            Some(Parts::Several(parts, _)) => parts.iter().map(|part| (part.shard, render(&part.changes))).collect(),
            None => vec![],
        }
    }

    /// The shards' places; 9 is any.
    fn shards(&self, sql: &str) -> Vec<usize> {
        self.texts(sql).into_iter().map(|(shard, _)| shard).collect()
    }

    fn refuses(&self, words: &str, statements: &[&str]) {
        for sql in statements {
            match self.bind(sql, None, &[]) {
                Err(why) if why.contains(words) => {}
                other => panic!("{sql}: {other:?}, expected `{words}`"),
            }
        }
    }
}

// hash: 1 is 16…, 2 is 06…, 3 is 4e…, 4 is d2…, 5 is 70…, 6 is f0….
#[test]
fn equal_keys_lead_to_one_shard() {
    let world = World::new();
    for (sql, shard) in [
        ("SELECT * FROM customer WHERE id = 1", 0),
        ("SELECT * FROM customer WHERE id = 3", 1),
        ("SELECT * FROM customer c WHERE name = 'x' AND (c.id = 4) ORDER BY name LIMIT 3", 3),
        ("SELECT * FROM customer WHERE 6 = id AND age > 3 FOR UPDATE", 3),
        ("SELECT * FROM customer WHERE id = '5' LOCK IN SHARE MODE", 1),
        ("SELECT c.*, o.* FROM customer c JOIN orders o ON o.customer_id = c.id WHERE c.id = 3", 1),
        ("SELECT * FROM customer c, orders o WHERE o.customer_id = c.id AND o.customer_id = 4", 3),
        ("SELECT * FROM customer c LEFT JOIN orders o ON o.customer_id = c.id WHERE c.id = 1", 0),
        ("SELECT * FROM customer WHERE id = 1 AND id IN (1, 2, 3)", 0),
        ("SELECT * FROM customer WHERE id IN (1, 2)", 0),
        (
            "SELECT COUNT(DISTINCT name), GROUP_CONCAT(name) FROM customer WHERE id IN (2, 1) GROUP BY age HAVING COUNT(*) > 1",
            0,
        ),
        ("SELECT * FROM note WHERE name = 'test1'", 3),
        ("SELECT * FROM place WHERE region = 1 AND id = 7", 0),
        ("SELECT * FROM place WHERE (region, id) IN ((1, 7), (1, 8))", 0),
        ("SELECT * FROM fixed WHERE a = 1", 3),
        ("SELECT (SELECT COUNT(*) FROM orders o WHERE o.customer_id = c.id) FROM customer c WHERE c.id = 3", 1),
        ("SELECT * FROM (SELECT * FROM customer WHERE id = 3) x WHERE x.age > 3", 1),
        (
            "SELECT id FROM customer WHERE id = 3 UNION SELECT id FROM orders WHERE customer_id = 3 ORDER BY 1 LIMIT 2",
            1,
        ),
        ("WITH x AS (SELECT * FROM customer WHERE id = 3) SELECT * FROM x", 1),
        ("UPDATE customer SET name = 'y' WHERE id = 3", 1),
        ("UPDATE IGNORE customer SET id = 3, name = 'y' WHERE id = 3 LIMIT 1", 1),
        ("DELETE FROM customer WHERE id = 4 ORDER BY name LIMIT 1", 3),
        ("INSERT INTO customer (id, name) VALUES (3, 'x'), (5, 'y')", 1),
        ("REPLACE customer SET name = 'x', id = 4", 3),
        (
            "INSERT INTO customer (id, name) VALUES (1, 'a') ON DUPLICATE KEY UPDATE id = VALUES(id), name = VALUES(name)",
            0,
        ),
    ] {
        assert_eq!(world.texts(sql), [(shard, sql.to_owned())], "{sql}");
    }
    assert_eq!(world.shards("SELECT * FROM country"), [9]);
    assert_eq!(world.shards("SELECT * FROM customer WHERE id = NULL"), [9]);
    assert_eq!(world.shards("EXPLAIN SELECT * FROM customer"), [9]);
}

#[test]
fn others_are_asked_of_all_that_may_have_rows() {
    let world = World::new();
    let all = [0, 1, 2, 3];
    for sql in [
        "SELECT * FROM customer",
        "SELECT id FROM customer WHERE id = 1 OR age = 2",
        "SELECT id FROM customer WHERE NOT id = 1",
        "SELECT id FROM customer WHERE id = 1.5",
        "SELECT id FROM customer WHERE id = '1x'",
        "SELECT id FROM customer WHERE id > 1 AND id BETWEEN 1 AND 3",
        "SELECT id FROM customer WHERE id = age",
        "SELECT id FROM customer WHERE id = 1 + 1",
        "SELECT id FROM customer WHERE age XOR name AND id = 1",
        "SELECT id FROM customer WHERE age || name AND id = 1",
        "SELECT id FROM customer WHERE id = '1' '2'",
        "SELECT c.id FROM customer c JOIN orders o ON o.customer_id = c.id AND o.price > 3",
        "SELECT c.id FROM customer c LEFT JOIN orders o ON o.customer_id = c.id AND c.id = 1",
        "SELECT c.id FROM orders o RIGHT JOIN customer c ON o.customer_id = c.id AND o.customer_id = 1",
        "SELECT c.id FROM customer c LEFT JOIN (orders o JOIN country k ON o.customer_id = 1) ON o.customer_id = c.id",
        "SELECT c.id FROM customer c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.customer_id = 1)",
        "SELECT c.id FROM customer c WHERE c.id IN (SELECT customer_id FROM orders WHERE price > 3)",
        "SELECT c.id, k.label FROM customer c JOIN country k ON k.code = c.age",
        "SELECT id FROM customer UNION ALL SELECT customer_id FROM orders WHERE customer_id = 3",
        "DELETE FROM customer WHERE age = 3",
        "UPDATE customer SET age = age + 1",
        "UPDATE country SET label = 'x'",
        "INSERT INTO country VALUES (1, 'x')",
    ] {
        assert_eq!(world.shards(sql), all, "{sql}");
    }
    assert_eq!(world.shards("SELECT * FROM place WHERE region = 65"), [1]);
}

#[test]
fn lists_are_cut_to_each_shards_own() {
    let world = World::new();
    let cut = |shard, text: &str| (shard, text.to_owned());
    assert_eq!(
        world.texts("SELECT id FROM customer WHERE id IN (1, 3,2 , -1, 4) AND age = 1"),
        [
            cut(0, "SELECT id FROM customer WHERE id IN (1, 2, -1) AND age = 1"),
            cut(1, "SELECT id FROM customer WHERE id IN (3) AND age = 1"),
            cut(3, "SELECT id FROM customer WHERE id IN (4) AND age = 1"),
        ]
    );
    assert_eq!(
        world.texts("DELETE FROM place WHERE (region, id) IN ((1, 7), (3, 7))"),
        [
            cut(0, "DELETE FROM place WHERE (region, id) IN ((1, 7))"),
            cut(1, "DELETE FROM place WHERE (region, id) IN ((3, 7))")
        ]
    );
    assert_eq!(
        world.texts("INSERT INTO customer (name, id) VALUES ('a, (1)', 1), (CONCAT('b', (2)), 3),('c',4) ON DUPLICATE KEY UPDATE age = 1"),
        [
            cut(0, "INSERT INTO customer (name, id) VALUES ('a, (1)', 1) ON DUPLICATE KEY UPDATE age = 1"),
            cut(1, "INSERT INTO customer (name, id) VALUES (CONCAT('b', (2)), 3) ON DUPLICATE KEY UPDATE age = 1"),
            cut(3, "INSERT INTO customer (name, id) VALUES ('c',4) ON DUPLICATE KEY UPDATE age = 1"),
        ]
    );
}

#[test]
fn limits_and_keys_are_put_into_the_shards_texts() {
    let world = World::new();
    for (sql, text) in [
        ("SELECT id FROM customer LIMIT 3", "SELECT id FROM customer LIMIT 3"),
        (
            "SELECT id FROM customer ORDER BY id LIMIT 5 OFFSET 2 FOR UPDATE",
            "SELECT id FROM customer ORDER BY id LIMIT 7 FOR UPDATE",
        ),
        ("SELECT id FROM customer LIMIT 2, 5", "SELECT id FROM customer LIMIT 7"),
        (
            "SELECT id FROM customer ORDER BY name DESC",
            "SELECT id, WEIGHT_STRING(name) FROM customer ORDER BY name DESC",
        ),
        ("SELECT id FROM customer ORDER BY age + 1", "SELECT id, age + 1 FROM customer ORDER BY age + 1"),
        ("SELECT * FROM customer ORDER BY age", "SELECT * FROM customer ORDER BY age"),
        (
            "SELECT DISTINCT name AS n, age FROM customer ORDER BY n",
            "SELECT DISTINCT name AS n, age, WEIGHT_STRING(name) FROM customer ORDER BY n",
        ),
        ("SELECT kind FROM customer ORDER BY kind", "SELECT kind, (kind) + 0 FROM customer ORDER BY kind"),
        (
            "SELECT AVG(age) a FROM customer",
            "SELECT AVG(age) a, SUM(age), COUNT(age) FROM customer LIMIT 18446744073709551615",
        ),
        (
            "SELECT MAX(name) FROM customer",
            "SELECT MAX(name), WEIGHT_STRING(MAX(name)) FROM customer LIMIT 18446744073709551615",
        ),
        (
            "SELECT name, COUNT(*) FROM customer GROUP BY name ORDER BY COUNT(*) DESC LIMIT 3",
            "SELECT name, COUNT(*), WEIGHT_STRING(name) FROM customer GROUP BY name ORDER BY COUNT(*) DESC LIMIT 18446744073709551615",
        ),
        (
            "SELECT COUNT(*) FROM customer GROUP BY age",
            "SELECT COUNT(*), age FROM customer GROUP BY age LIMIT 18446744073709551615",
        ),
        (
            "SELECT id, GROUP_CONCAT(name) FROM customer GROUP BY id HAVING COUNT(*) > 1",
            "SELECT id, GROUP_CONCAT(name) FROM customer GROUP BY id HAVING COUNT(*) > 1",
        ),
        (
            "SELECT COUNT(DISTINCT id) FROM customer",
            "SELECT COUNT(DISTINCT id) FROM customer LIMIT 18446744073709551615",
        ),
    ] {
        let texts = world.texts(sql);
        assert_eq!((texts.len(), texts[0].1.as_str()), (4, text), "{sql}");
    }
    let Ok(Some(Parts::Several(_, Answer::Rows { merge: Merge::Rows { order, .. }, hidden, limit }))) =
        world.bind("SELECT id FROM customer ORDER BY name DESC, 1 LIMIT 5 OFFSET 2", None, &[])
    else {
        panic!("no rows");
    };
    assert_eq!(
        (order.len(), order[0].descending, order[0].key.weight, hidden, limit),
        (2, true, true, 1, Some((2, 5)))
    );
    assert!(!world.plan("SELECT id FROM customer ORDER BY 1").unwrap().cacheable);
    assert!(world.plan("SELECT id FROM customer ORDER BY id").unwrap().cacheable);
}

#[test]
fn parameters_are_looked_at_when_they_are_bound() {
    let world = World::new();
    let sql = "SELECT id FROM customer WHERE id IN (?, ?) AND age = ? LIMIT ?";
    assert!(world.bind(sql, None, &[]).unwrap().is_none());
    let bound = [Value::Int(1), Value::Int(3), Value::Int(7), Value::Int(2)];
    let Ok(Some(Parts::Several(parts, _))) = world.bind(sql, Some(&bound), &[]) else { panic!("one shard") };
    let text = Text::new(sql.as_bytes(), SqlMode::default());
    let (mut changed, kept) = edits(&text, &parts[1].changes, Vec::new());
    let text = String::from_utf8(splice(sql.as_bytes(), &mut changed)).unwrap();
    assert_eq!(
        (text.as_str(), kept),
        ("SELECT id FROM customer WHERE id IN (?) AND age = ? LIMIT 2", Some(vec![1, 2]))
    );
    let one = world.bind("SELECT * FROM customer WHERE id = ?", Some(&[Value::Text("3".into())]), &[]);
    assert!(matches!(one, Ok(Some(Parts::One(Some(1), _)))), "{one:?}");
}

#[test]
fn numbers_of_sequences_decide_too() {
    let world = World::new();
    let insert = |sql: &str, given: &[Option<i128>]| -> Vec<(usize, String)> {
        let text = Text::new(sql.as_bytes(), SqlMode::default());
        let render = |changes: &[bind::Change]| {
            String::from_utf8(splice(sql.as_bytes(), &mut edits(&text, changes, Vec::new()).0)).unwrap()
        };
        match world.bind(sql, None, given).unwrap().unwrap() {
            Parts::One(shard, changes) => vec![(shard.unwrap(), render(&changes))],
            Parts::Several(parts, _) => parts.iter().map(|part| (part.shard, render(&part.changes))).collect(),
        }
    };
    let lacking = |sql: &str| {
        let text = Text::new(sql.as_bytes(), SqlMode::default());
        let Work::Insert(insert) = world.plan(sql).unwrap().work else { panic!("no insert") };
        insert.lacking(&Values { text: &text, bound: None, utf8: true }).unwrap()
    };
    let sql = "INSERT INTO customer (id, name) VALUES (NULL, 'a'), (3, 'b'), (0, 'c')";
    assert_eq!(lacking(sql), [true, false, true]);
    assert_eq!(
        insert(sql, &[Some(1), None, Some(4)]),
        [
            (0, "INSERT INTO customer (id, name) VALUES ( 1 , 'a')".into()),
            (1, "INSERT INTO customer (id, name) VALUES (3, 'b')".into()),
            (3, "INSERT INTO customer (id, name) VALUES ( 4 , 'c')".into()),
        ]
    );
    let sql = "INSERT INTO customer (name) VALUES ('a')";
    assert_eq!(lacking(sql), [true]);
    assert_eq!(insert(sql, &[Some(3)]), [(1, "INSERT INTO customer (name, `id`) VALUES ('a', 3)".into())]);
    assert_eq!(
        insert("INSERT customer SET name = 'a'", &[Some(3)]),
        [(1, "INSERT customer SET name = 'a', `id` = 3".into())]
    );
}

#[test]
fn what_cannot_be_done_right_is_refused_with_the_reason() {
    let world = World::new();
    world.refuses("not in the VSchema", &["SELECT * FROM nowhere", "INSERT INTO nowhere VALUES (1)"]);
    world.refuses(
        "make their sharding columns equal",
        &[
            "SELECT c.id FROM customer c JOIN orders o ON o.id = c.id",
            "SELECT c.id FROM customer c, orders o",
            "SELECT c.id FROM customer c LEFT JOIN orders o ON o.customer_id = 1",
            "SELECT c.id FROM customer c WHERE c.id IN (SELECT id FROM orders)",
            "SELECT c.id FROM customer c JOIN orders o WHERE c.id = 1 AND o.customer_id = 3",
            "SELECT c.id FROM customer c JOIN customer d ON c.name = d.name",
            "DELETE c FROM customer c JOIN orders o ON o.id = c.id",
        ],
    );
    world.refuses(
        "sharding column of customer",
        &[
            "UPDATE customer SET id = id + 1",
            "UPDATE customer SET id = 3",
            "INSERT INTO customer VALUES (1, 'a', 2, 'b') ON DUPLICATE KEY UPDATE id = 3",
        ],
    );
    world.refuses("would change the sharding column", &["UPDATE customer SET id = 4 WHERE id = 3"]);
    world.refuses(
        "LIMIT says how many",
        &["DELETE FROM customer LIMIT 3", "UPDATE customer SET age = 1 WHERE name = 'x' LIMIT 1"],
    );
    world.refuses("must be a plain value", &["INSERT INTO orders (customer_id) VALUES (1 + 1)"]);
    world.refuses("name that column", &["INSERT INTO orders (id) VALUES (1)"]);
    world.refuses("from a query", &["INSERT INTO orders SELECT * FROM orders"]);
    world.refuses(
        "cannot be told",
        &["INSERT INTO orders (customer_id) VALUES ('x')", "INSERT INTO orders (customer_id) VALUES (NULL)"],
    );
    world.refuses("HAVING", &["SELECT name, COUNT(*) FROM customer GROUP BY name HAVING COUNT(*) > 1"]);
    world.refuses("DISTINCT", &["SELECT COUNT(DISTINCT name) FROM customer"]);
    world.refuses("expression over aggregates", &["SELECT SUM(age) / COUNT(*) FROM customer"]);
    world.refuses("GROUP_CONCAT()", &["SELECT GROUP_CONCAT(name) FROM customer"]);
    world.refuses("window functions", &["SELECT ROW_NUMBER() OVER (ORDER BY age) FROM customer"]);
    world.refuses("user variables", &["SELECT id FROM customer WHERE age > @x"]);
    world.refuses("what a stored function does", &["SELECT f(5)", "SELECT f(code) FROM country"]);
    world.refuses("WITH", &["WITH x AS (SELECT 1) SELECT id FROM customer"]);
    world.refuses("outer join keeps rows", &["SELECT * FROM country k LEFT JOIN customer c ON c.age = k.code"]);
    world.refuses("LOAD DATA", &["LOAD DATA INFILE 'x' INTO TABLE customer"]);
    world.refuses("schema apply", &["ALTER TABLE customer ADD x INT", "TRUNCATE customer"]);
}
