//! Which workflows part the tables of a statement, or of a transaction. Pure.

use crate::gateway::sql::{SqlMode, Statement, cut, normalised};
use crate::gateway::view::is_system_schema;
use crate::model::KeyspaceName;
use crate::sharding::RoutingRules;

/// Names told of each side.
const NAMED: usize = 8;
/// Sorts of statements of one transaction that are remembered.
const SORTS: usize = 4;
/// How much of a statement is remembered until its transaction is over, bytes.
const TEXT: usize = 4096;

/// Tables on both sides of a workflow's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parted {
    /// The workflow's set of rules.
    pub set: String,
    /// Its tables.
    pub moved: Vec<String>,
    /// Others.
    pub staying: Vec<String>,
}

/// What a statement's tables in `keyspace` are parted by.
pub fn parted(rules: &RoutingRules, keyspace: &KeyspaceName, statement: &Statement) -> Vec<Parted> {
    let tables = names(statement);
    if !rules.moving() || !statement.certain || tables.len() < 2 {
        return Vec::new();
    }
    let moved = |table: &&str| rules.movers(table, keyspace).collect::<Vec<_>>();
    let movers: Vec<Vec<&str>> = tables.iter().map(moved).collect();
    let mut sets: Vec<&str> = movers.concat();
    sets.sort_unstable();
    sets.dedup();
    let part = |set: &str| {
        let side = |moved: bool| {
            let named = tables.iter().zip(&movers).filter(move |(_, movers)| movers.contains(&set) == moved);
            named.map(|(table, _)| (*table).to_owned()).take(NAMED).collect::<Vec<_>>()
        };
        Parted { set: set.to_owned(), moved: side(true), staying: side(false) }
    };
    sets.into_iter().map(part).filter(|parted| !parted.staying.is_empty()).collect()
}

/// The tables a statement names, each once.
fn names(statement: &Statement) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for table in &statement.tables {
        let system = table.database.as_ref().is_some_and(|name| is_system_schema(&name.text));
        if !system && !names.contains(&table.table.text.as_str()) {
            names.push(&table.table.text);
        }
    }
    names
}

/// What a transaction has touched so far: for each sort of tables the first statement.
#[derive(Debug, Default)]
pub struct Touched {
    sorts: Vec<Sort>,
}

#[derive(Debug)]
struct Sort {
    /// The workflows that move its tables.
    sets: Vec<String>,
    table: String,
    text: Vec<u8>,
}

impl Touched {
    /// A statement of the transaction, whose tables are not parted by themselves; the two texts, and what they are parted by,
    /// if this is the first on the other side of a workflow's line.
    pub fn by(
        &mut self,
        rules: &RoutingRules,
        keyspace: &KeyspaceName,
        statement: &Statement,
        sql: &[u8],
        mode: SqlMode,
    ) -> Option<(String, Vec<Parted>)> {
        let names = names(statement);
        let table = *names.first().filter(|_| rules.moving() && statement.certain)?;
        let known = |sort: &Sort| rules.movers(table, keyspace).eq(sort.sets.iter().map(String::as_str));
        if self.sorts.iter().any(known) || self.sorts.len() >= SORTS {
            return None;
        }
        let sets: Vec<String> = rules.movers(table, keyspace).map(str::to_owned).collect();
        let text = sql.get(..TEXT).unwrap_or(sql).to_vec();
        let this = Sort { sets, table: table.to_owned(), text };
        let parted = |first: &Sort| {
            let one = |set: &String, moved: &Sort, staying: &Sort| Parted {
                set: set.clone(),
                moved: vec![moved.table.clone()],
                staying: vec![staying.table.clone()],
            };
            let here = this.sets.iter().filter(|set| !first.sets.contains(set)).map(|set| one(set, &this, first));
            let there = first.sets.iter().filter(|set| !this.sets.contains(set)).map(|set| one(set, first, &this));
            here.chain(there).collect::<Vec<_>>()
        };
        let found = self.sorts.first().map(|first| {
            // Half of the room for each.
            let [before, after] = [&first.text, &this.text].map(|text| {
                let text = normalised(text, mode);
                if text.len() > 500 { text.chars().take(200).chain(['…']).collect() } else { text }
            });
            (cut(format!("{before}; …; {after}")), parted(first))
        });
        self.sorts.push(this);
        found.filter(|(_, parted)| !parted.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::sql::analyze;
    use crate::gateway::view::testing::{Cluster, view};

    #[test]
    fn what_a_switch_would_part_is_told() {
        let rules = view(Cluster::default().moved(&["corder", "item"], &[])).rules;
        let of = |sql: &str, keyspace: &str| {
            let statement = analyze(sql.as_bytes(), SqlMode::default());
            let found = parted(&rules, &keyspace.parse().unwrap(), &statement);
            found
                .iter()
                .map(|one| format!("{} {} | {}", one.set, one.moved.join(","), one.staying.join(",")))
                .collect::<Vec<_>>()
        };
        let mixed = ["legacy.move corder | product"];
        for sql in [
            "SELECT * FROM corder JOIN product",
            "INSERT INTO product SELECT * FROM commerce.CORDER".to_lowercase().as_str(),
        ] {
            assert_eq!(of(sql, "commerce"), mixed, "{sql}");
            assert_eq!(of(sql, "legacy"), mixed, "{sql}");
            assert!(of(sql, "customer").is_empty(), "{sql}");
        }
        for sql in [
            "SELECT * FROM corder JOIN item",
            "SELECT * FROM a JOIN b",
            "SELECT * FROM corder c JOIN corder d",
            "SELECT * FROM corder, information_schema.tables",
        ] {
            assert!(of(sql, "commerce").is_empty(), "{sql}");
        }
    }

    #[test]
    fn a_transaction_is_told_once() {
        let rules = view(Cluster::default().moved(&["corder"], &[])).rules;
        let keyspace = "commerce".parse().unwrap();
        let mut touched = Touched::default();
        let mut by = |sql: &str| {
            touched.by(
                &rules,
                &keyspace,
                &analyze(sql.as_bytes(), SqlMode::default()),
                sql.as_bytes(),
                SqlMode::default(),
            )
        };
        assert_eq!(by("SELECT 1"), None);
        assert_eq!(by("UPDATE corder SET a = 1"), None);
        assert_eq!(by("UPDATE corder SET a = 2"), None);
        let (text, parted) = by("DELETE FROM product WHERE id = 7").unwrap();
        assert_eq!(text, "UPDATE corder SET a = ?; …; DELETE FROM product WHERE id = ?");
        assert_eq!((parted[0].moved[0].as_str(), parted[0].staying[0].as_str()), ("corder", "product"));
        assert_eq!(by("DELETE FROM product WHERE id = 8"), None);
    }
}
