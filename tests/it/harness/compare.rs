//! The independent comparison: every byte of every row of a table, on two servers.
//!
//! Rows are read with plain SELECTs as raw bytes and hashed here; nothing of the product is involved. FLOAT is read as
//! DOUBLE, because MySQL prints only 6 of its digits; ENUM and SET also as numbers, because '' may be two values.

use std::collections::HashMap;
use std::fmt;

use mysql_async::prelude::Queryable;
use mysql_async::{Row, Value};
use sha2::{Digest, Sha256};

use super::Db;

/// How many differences are spelled out.
const SHOWN: usize = 10;

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Rows on the left.
    pub left_rows: usize,
    /// Rows on the right.
    pub right_rows: usize,
    /// How many keys differ in any way.
    pub differing: usize,
    /// The first of them, with their keys.
    pub samples: Vec<String>,
}

impl Comparison {
    /// The number of rows, if both sides are equal and not empty; else what differs.
    pub fn equal(self) -> Result<usize, Self> {
        if self.differing == 0 && self.left_rows > 0 { Ok(self.left_rows) } else { Err(self) }
    }

    fn differ(&mut self, what: &str, key: &[Vec<u8>]) {
        self.differing += 1;
        if self.samples.len() < SHOWN {
            let parts: Vec<String> = key.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
            self.samples.push(format!("{what}: key ({})", parts.join(", ")));
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { left_rows, right_rows, differing, samples } = self;
        write!(f, "{left_rows} and {right_rows} rows, {differing} differ\n{}", samples.join("\n"))
    }
}

/// Compares a table of the same name in two databases, or in all shards of one side with all of the other. Nobody may be
/// writing to it.
pub async fn compare_tables(left: impl AsRef<[Db]>, right: impl AsRef<[Db]>, table: &str) -> Comparison {
    let (left, right) = (left.as_ref(), right.as_ref());
    let plan = Plan::read(&left[0], table).await;
    for db in left.iter().chain(right) {
        let other = Plan::read(db, table).await;
        assert_eq!(plan, other, "{table} has other columns or another key in {} than in {}", left[0].name(), db.name());
    }
    let mut rows: HashMap<Vec<Vec<u8>>, Vec<[u8; 32]>> = HashMap::new();
    let mut left_rows = 0;
    plan.each_row(left, |key, hash| {
        left_rows += 1;
        rows.entry(key).or_default().push(hash);
    })
    .await;
    let mut found = Comparison { left_rows, right_rows: 0, differing: 0, samples: Vec::new() };
    plan.each_row(right, |key, hash| {
        found.right_rows += 1;
        let Some(hashes) = rows.get_mut(&key) else { return found.differ("only on the right", &key) };
        match hashes.iter().position(|one| *one == hash) {
            Some(same) => drop(hashes.swap_remove(same)),
            None if hashes.is_empty() => found.differ("more often on the right", &key),
            None => {
                hashes.pop();
                found.differ("other values", &key);
            }
        }
    })
    .await;
    for (key, _) in rows.iter().filter(|(_, hashes)| !hashes.is_empty()) {
        found.differ("only on the left", key);
    }
    found
}

/// How to read a table.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    select: String,
    /// Which of the selected values identify a row: its primary key, else all of them.
    key: Vec<usize>,
}

impl Plan {
    async fn read(db: &Db, table: &str) -> Self {
        let literal = Value::from(table).as_sql(false);
        let columns = db
            .rows(&format!(
                "SELECT column_name, data_type, column_key FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = {literal} ORDER BY ordinal_position"
            ))
            .await;
        assert!(!columns.is_empty(), "there is no table {table} in {}", db.name());
        let (mut selected, mut key) = (Vec::new(), Vec::new());
        for column in &columns {
            let [Some(name), Some(data_type), Some(key_part)] = column.as_slice() else { panic!("{column:?}") };
            let name = format!("`{}`", name.replace('`', "``"));
            if key_part == "PRI" {
                key.push(selected.len());
            }
            match data_type.as_str() {
                "float" => selected.push(format!("CAST({name} AS DOUBLE)")),
                "enum" | "set" => selected.extend([name.clone(), format!("{name} + 0")]),
                _ => selected.push(name),
            }
        }
        if key.is_empty() {
            key = (0..selected.len()).collect();
        }
        Self { select: format!("SELECT {} FROM `{}`", selected.join(", "), table.replace('`', "``")), key }
    }

    /// Gives each row's key and the hash of all its values.
    async fn each_row(&self, shards: &[Db], mut row: impl FnMut(Vec<Vec<u8>>, [u8; 32])) {
        for db in shards {
            self.each_row_of(db, &mut row).await;
        }
    }

    async fn each_row_of(&self, db: &Db, row: &mut impl FnMut(Vec<Vec<u8>>, [u8; 32])) {
        let mut conn = db.conn().await;
        let mut read = async || {
            // Results come as they are stored, whatever their character set.
            conn.query_drop("SET character_set_results = NULL").await?;
            let mut result = conn.query_iter(&self.select).await?;
            result
                .for_each(|one: Row| {
                    let values = one.unwrap();
                    let key = self.key.iter().map(|&index| bytes(&values[index]).unwrap_or(b"NULL").to_vec()).collect();
                    row(key, hash(&values));
                })
                .await
        };
        let done: Result<(), mysql_async::Error> = read().await;
        done.unwrap_or_else(|error| panic!("{}: {error}\nin: {}", db.name(), self.select));
    }
}

/// Lengths are hashed too, so that bytes cannot move from a column to the next.
fn hash(values: &[Value]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for value in values {
        match bytes(value) {
            None => hasher.update([0]),
            Some(bytes) => {
                hasher.update([1]);
                hasher.update((bytes.len() as u64).to_le_bytes());
                hasher.update(bytes);
            }
        }
    }
    hasher.finalize().into()
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(bytes),
        other => panic!("the text protocol sent {other:?}"),
    }
}
