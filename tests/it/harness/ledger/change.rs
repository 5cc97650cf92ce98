//! What a transaction of a writer does: pure, from the rows it owns.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::{Content, Rows, SPAN};

/// Texts of several lengths in bytes per character, some of which look like others to a collation.
const TEXTS: [&str; 6] = ["plain", "PLAIN", "grün ", "数据", "🦀 crab", "quote ' \\ \" \n"];
const ROWS_PER_INSERT: usize = 500;
const INSERT: &str = "INSERT INTO ledger (id, uniq, val, num, writer) VALUES";

/// What a writer starts with.
pub(super) fn first_rows(writer: u32, count: u32) -> Rows {
    let base = i64::from(writer) * SPAN;
    let content = |n| Content { uniq: (n % 7 != 0).then_some(base + n), val: format!("first {n}"), num: n };
    (0..i64::from(count)).map(|n| (base + n, content(n))).collect()
}

/// The statements that make rows.
pub(super) fn inserts(writer: u32, rows: &Rows) -> Vec<String> {
    let all: Vec<String> = rows.iter().map(|(id, content)| values(writer, *id, content)).collect();
    all.chunks(ROWS_PER_INSERT).map(|some| format!("{INSERT} {}", some.join(", "))).collect()
}

fn values(writer: u32, id: i64, content: &Content) -> String {
    let Content { uniq, val, num } = content;
    format!("({id}, {}, {}, {num}, {writer})", sql(*uniq), text(val))
}

fn sql(uniq: Option<i64>) -> String {
    uniq.map_or("NULL".into(), |n| n.to_string())
}

fn text(val: &str) -> String {
    mysql_async::Value::from(val).as_sql(false)
}

/// One transaction: its statements, and the rows after it.
pub(super) struct Change {
    writer: u32,
    pub(super) statements: Vec<String>,
    pub(super) rows: Rows,
}

impl Change {
    /// One to four random steps on top of `rows`.
    pub(super) fn random(writer: u32, txn: u64, rows: &Rows, random: &mut StdRng) -> Self {
        let mut change = Self { writer, statements: Vec::new(), rows: rows.clone() };
        for step in 0..random.random_range(1..=4u64) {
            let stamp = i64::from(writer) * SPAN + i64::try_from((txn % 1_000_000) * 8 + step).unwrap();
            change.step(stamp, random);
        }
        change
    }

    fn step(&mut self, stamp: i64, random: &mut StdRng) {
        let some = self.some_ids(3, random);
        // High above the ids a writer starts with, and new with each transaction.
        let new_id = stamp + SPAN / 2;
        match (random.random_range(0..10), some.as_slice()) {
            (0 | 1, _) | (_, [] | [_] | [_, _]) => {
                let uniq = random.random_bool(0.8).then_some(new_id);
                self.insert(new_id, Content { uniq, val: random_text(stamp, random), num: stamp });
            }
            (2 | 3, [id, ..]) => self.update(*id, stamp, random),
            (4, [id, ..]) => drop(self.delete(*id)),
            (5, [id, ..]) => self.change_key(*id, new_id),
            // A chain: the second takes the place that the first has just left.
            (6, [first, second, ..]) => {
                self.change_key(*first, new_id);
                self.change_key(*second, *first);
            }
            // Keys change places.
            (7, [first, second, ..]) => {
                self.change_key(*first, new_id);
                self.change_key(*second, *first);
                self.change_key(new_id, *second);
            }
            // Deleted and back under the same key.
            (8, [id, ..]) => {
                let content = self.delete(*id);
                self.insert(*id, Content { val: random_text(stamp, random), ..content });
            }
            // Unique values go round three rows.
            (_, [first, second, third]) => self.rotate_unique([*first, *second, *third]),
            (_, _) => {}
        }
    }

    fn some_ids(&self, count: usize, random: &mut StdRng) -> Vec<i64> {
        let ids: Vec<i64> = self.rows.keys().copied().collect();
        ids.choose_multiple(random, count).copied().collect()
    }

    fn row(&self, id: i64) -> String {
        format!("writer = {} AND id = {id}", self.writer)
    }

    fn insert(&mut self, id: i64, content: Content) {
        self.statements.push(format!("{INSERT} {}", values(self.writer, id, &content)));
        assert!(self.rows.insert(id, content).is_none(), "id {id} was given twice");
    }

    fn delete(&mut self, id: i64) -> Content {
        self.statements.push(format!("DELETE FROM ledger WHERE {}", self.row(id)));
        self.rows.remove(&id).unwrap()
    }

    fn update(&mut self, id: i64, stamp: i64, random: &mut StdRng) {
        let val = random_text(stamp, random);
        self.statements.push(format!("UPDATE ledger SET val = {}, num = {stamp} WHERE {}", text(&val), self.row(id)));
        let content = self.rows.get_mut(&id).unwrap();
        (content.val, content.num) = (val, stamp);
    }

    fn change_key(&mut self, from: i64, to: i64) {
        self.statements.push(format!("UPDATE ledger SET id = {to} WHERE {}", self.row(from)));
        let content = self.rows.remove(&from).unwrap();
        assert!(self.rows.insert(to, content).is_none(), "id {to} was taken");
    }

    /// MySQL checks unique keys row by row, so the first value is laid aside.
    fn rotate_unique(&mut self, [first, second, third]: [i64; 3]) {
        let held = [first, second, third].map(|id| self.rows[&id].uniq);
        self.set_unique(first, None);
        self.set_unique(third, held[0]);
        self.set_unique(second, held[2]);
        self.set_unique(first, held[1]);
    }

    fn set_unique(&mut self, id: i64, uniq: Option<i64>) {
        self.statements.push(format!("UPDATE ledger SET uniq = {} WHERE {}", sql(uniq), self.row(id)));
        self.rows.get_mut(&id).unwrap().uniq = uniq;
    }
}

fn random_text(stamp: i64, random: &mut StdRng) -> String {
    let word = TEXTS.choose(random).unwrap();
    let times = random.random_range(1..=6);
    format!("{stamp} {}", word.repeat(times))
}
