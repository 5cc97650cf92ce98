//! Questions of the kinds that shards can answer together, made at random, and some that they cannot.

use mysql_async::Value;
use rand::Rng;
use rand::rngs::StdRng;

/// A question.
pub struct Question {
    pub sql: String,
    pub values: Vec<Value>,
    /// Its rows have an order.
    pub ordered: bool,
}

fn pick<'a>(random: &mut StdRng, from: &[&'a str]) -> &'a str {
    from[random.random_range(0..from.len())]
}

/// A condition on the customer's own columns.
fn condition(random: &mut StdRng, alias: &str) -> String {
    let number = random.random_range(-5..160i64);
    match random.random_range(0..12) {
        0 => format!("{alias}age > {}", number % 20),
        1 => format!("{alias}age IS NULL"),
        2 => format!("{alias}balance BETWEEN {} AND {}", number - 100, number + 300),
        3 => format!("{alias}name = 'ANNA'"),
        4 => format!("{alias}name LIKE 'z%'"),
        5 => format!("{alias}kind <> 'new'"),
        6 => format!("{alias}code = 'ab'"),
        7 => format!("({alias}id = {number} OR {alias}age = {})", number % 20),
        8 => format!("NOT {alias}id = {number}"),
        9 => format!("{alias}born < '1970-01-01' AND {alias}score > {}.5", number / 4),
        10 => format!("{alias}id > {number}"),
        _ => format!("{alias}id % 7 = {}", number.rem_euclid(7)),
    }
}

/// A condition that finds rows by their key.
fn by_key(random: &mut StdRng, alias: &str, values: &mut Vec<Value>) -> String {
    let number = random.random_range(-2..155i64);
    let several = |random: &mut StdRng| -> Vec<i64> {
        (0..random.random_range(1..7)).map(|_| random.random_range(-2..155)).collect()
    };
    match random.random_range(0..8) {
        0 => format!("{alias}id = {number}"),
        1 => format!("{number} = {alias}id AND {alias}age IS NOT NULL"),
        2 => {
            values.push(Value::Int(number));
            format!("{alias}id = ?")
        }
        3 => {
            values.push(Value::Bytes(number.to_string().into()));
            format!("{alias}id = ?")
        }
        4 => {
            let list = several(random);
            values.extend(list.iter().map(|number| Value::Int(*number)));
            format!("{alias}id IN ({})", vec!["?"; list.len()].join(", "))
        }
        5 => format!("{alias}id = '{number}'"),
        6 => format!("({alias}id, 1) IN (({number}, 1), ({}, 1))", number + 1),
        _ => {
            let list: Vec<String> = several(random).iter().map(ToString::to_string).collect();
            format!("{alias}id IN ({})", list.join(", "))
        }
    }
}

/// The question of a number.
pub fn question(random: &mut StdRng, number: usize) -> Question {
    let mut values = Vec::new();
    let direction = pick(random, &["", " DESC", " ASC"]);
    let column = pick(
        random,
        &["age", "name", "code", "balance", "score", "ratio", "born", "kind", "at", "raw", "country", "id"],
    );
    let limit = match random.random_range(0..4) {
        0 => format!(" LIMIT {}", random.random_range(0..30)),
        1 => format!(" LIMIT {} OFFSET {}", random.random_range(1..20), random.random_range(0..40)),
        2 => format!(" LIMIT {}, {}", random.random_range(0..40), random.random_range(1..20)),
        _ => String::new(),
    };
    let (sql, ordered) = match number % 12 {
        0 | 1 => {
            let key = by_key(random, "", &mut values);
            let what = pick(random, &["*", "id, name", "COUNT(*), MAX(name)", "id, balance * 2 AS twice, UPPER(code)"]);
            (format!("SELECT {what} FROM customer WHERE {key}"), false)
        }
        2 => (format!("SELECT * FROM customer WHERE {}", condition(random, "")), false),
        3 => (
            format!(
                "SELECT id, {column} FROM customer WHERE {} ORDER BY {column}{direction}, id{limit}",
                condition(random, "")
            ),
            true,
        ),
        4 => match random.random_range(0..4) {
            0 => (format!("SELECT id, name AS n FROM customer ORDER BY n{direction}, id DESC{limit}"), true),
            1 => (format!("SELECT {column}, id FROM customer c ORDER BY 1{direction}, c.id{limit}"), true),
            2 => (format!("SELECT id FROM customer ORDER BY age + id % 5{direction}, id{limit}"), true),
            _ => {
                let (count, skip) = (random.random_range(0..20i64), random.random_range(0..20i64));
                values.extend([Value::Int(skip), Value::Int(count)]);
                (format!("SELECT * FROM customer ORDER BY {column}{direction}, id LIMIT ?, ?"), true)
            }
        },
        5 => {
            let columns = pick(
                random,
                &["age", "kind, country", "country", "age, born", "id, name", "ratio", "at", "balance, kind"],
            );
            (format!("SELECT DISTINCT {columns} FROM customer WHERE {}", condition(random, "")), false)
        }
        6 => {
            let what = pick(
                random,
                &[
                    "COUNT(*)",
                    "COUNT(age), SUM(age), AVG(age)",
                    "SUM(balance), AVG(balance) AS mean, MIN(balance), MAX(balance)",
                    "SUM(score), MAX(score), MIN(born), MAX(at)",
                    "MAX(raw), MIN(id), COUNT(kind)",
                    "AVG(score), COUNT(DISTINCT id)",
                    "MAX(born) AS last, MIN(at) first",
                ],
            );
            (format!("SELECT {what} FROM customer WHERE {}", condition(random, "")), false)
        }
        7 => match random.random_range(0..4) {
            0 => (
                format!(
                    "SELECT country, COUNT(*) AS n, SUM(balance) FROM customer GROUP BY country ORDER BY n DESC, country{limit}"
                ),
                true,
            ),
            1 => (
                format!(
                    "SELECT kind, age, AVG(balance), MAX(id) FROM customer WHERE {} GROUP BY kind, age",
                    condition(random, "")
                ),
                false,
            ),
            2 => (
                format!(
                    "SELECT customer_id, COUNT(*), GROUP_CONCAT(sku ORDER BY id) FROM orders GROUP BY customer_id HAVING COUNT(*) > {} ORDER BY customer_id",
                    random.random_range(0..4)
                ),
                true,
            ),
            _ => (format!("SELECT SUM(price), qty FROM orders GROUP BY qty ORDER BY qty{direction}{limit}"), true),
        },
        8 => {
            let key = if random.random_bool(0.5) { by_key(random, "c.", &mut values) } else { condition(random, "c.") };
            let join = pick(
                random,
                &[
                    "JOIN orders o ON o.customer_id = c.id",
                    "LEFT JOIN orders o ON c.id = o.customer_id AND o.price > 20",
                ],
            );
            (format!("SELECT c.id, c.name, o.id, o.sku, o.price FROM customer c {join} WHERE {key}"), false)
        }
        9 => {
            let key = condition(random, "c.");
            match random.random_range(0..4) {
                0 => (
                    format!(
                        "SELECT c.id FROM customer c WHERE {key} AND EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id AND o.qty > 5)"
                    ),
                    false,
                ),
                1 => (
                    format!(
                        "SELECT c.id, (SELECT SUM(price) FROM orders o WHERE o.customer_id = c.id) FROM customer c WHERE {key}"
                    ),
                    false,
                ),
                2 => (
                    format!(
                        "SELECT c.id, c.name FROM customer c WHERE c.id IN (SELECT customer_id FROM orders WHERE price > 50) AND {key}"
                    ),
                    false,
                ),
                _ => (
                    format!("SELECT c.id, k.label FROM customer c JOIN country k ON k.code = c.country WHERE {key}"),
                    false,
                ),
            }
        }
        10 => match random.random_range(0..3) {
            0 => (
                format!(
                    "SELECT id, age FROM customer WHERE {} UNION ALL SELECT customer_id, qty FROM orders WHERE qty > 30",
                    condition(random, "")
                ),
                false,
            ),
            1 => (
                "SELECT id, age FROM customer UNION SELECT customer_id, qty FROM orders ORDER BY 1, 2 LIMIT 40".into(),
                true,
            ),
            _ => {
                let title = 3 * random.random_range(0..50);
                (format!("SELECT * FROM note WHERE title IN ('note {title}', 'note {}', 'Note 3')", title + 3), false)
            }
        },
        _ => {
            // Some of these are refused.
            let sql = match random.random_range(0..8) {
                0 => "SELECT name, COUNT(*) FROM customer GROUP BY name HAVING COUNT(*) > 2".to_owned(),
                1 => "SELECT COUNT(DISTINCT age) FROM customer".to_owned(),
                2 => "SELECT c.id FROM customer c JOIN orders o ON o.id = c.age".to_owned(),
                3 => "SELECT id FROM customer ORDER BY UPPER(name), id LIMIT 5".to_owned(),
                4 => format!(
                    "SELECT COUNT(*), MIN(name), MAX(body) FROM customer c JOIN note n ON n.weight = c.age WHERE c.id = {}",
                    random.random_range(1..100)
                ),
                5 => "SELECT id, ROW_NUMBER() OVER (ORDER BY id) FROM customer".to_owned(),
                6 => format!("SELECT * FROM (SELECT * FROM customer WHERE id = {}) x", random.random_range(1..150)),
                _ => {
                    format!("SELECT title, body FROM note WHERE weight = {} ORDER BY title", random.random_range(0..10))
                }
            };
            let ordered = sql.contains("ORDER BY title");
            (sql, ordered)
        }
    };
    Question { sql, values, ordered }
}
