//! Replacing the operator's rules.
//!
//! Invariant: what is planned contradicts no workflow. A table that a workflow moves is switched by the workflow only,
//! else the two sets would each send it elsewhere and the table be refused altogether.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::expand::concerns;
use super::{FromTable, Rule, RuleError, expand};
use crate::model::KeyspaceName;
use crate::model::routing::{RuleSet, TableMove};

/// What applying a document comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorPlan {
    /// The operator's rules as they will be.
    pub rules: RuleSet,
    /// Rules that will be new, as `from → to`.
    pub added: Vec<String>,
    /// Rules that will be gone.
    pub removed: Vec<String>,
    /// Rules of the document that a workflow has already; they stay the workflow's.
    pub kept_by_workflows: usize,
}

/// Plans the replacement of the operator's `present` rules by `wanted`. `moves` are the workflows' rules by name.
pub fn plan_operator_rules(
    wanted: RuleSet,
    present: &RuleSet,
    moves: &BTreeMap<String, TableMove>,
    keyspaces: &BTreeSet<KeyspaceName>,
) -> Result<OperatorPlan, RuleError> {
    let owners = owners(moves);
    let (mut seen, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    let (mut rules, mut kept_by_workflows) = (Vec::new(), 0);
    for raw in wanted.rules {
        let rule = Rule::try_from(&raw)?;
        let wrong = |why: String| RuleError::Rule { from_table: raw.from_table.clone(), why };
        if !seen.insert(rule.from.clone()) {
            return Err(wrong("there is more than one rule for it".into()));
        }
        let named = rule.from.keyspace.iter().chain([&rule.to]);
        unknown.extend(named.filter(|name| !keyspaces.contains(*name)).cloned());
        let owner = owners
            .get(rule.from.table.as_str())
            .into_iter()
            .flatten()
            .find(|(_, moved)| concerns(moved, rule.from.keyspace.as_ref().map(KeyspaceName::as_str)));
        match owner {
            None => rules.push(raw),
            Some((_, moved)) if expand(&only(moved, &rule.from)).rules.contains(&raw) => kept_by_workflows += 1,
            Some((name, _)) => {
                return Err(wrong(format!(
                    "workflow {name} moves this table and its rules say otherwise; switch its traffic instead, or \
                     cancel or complete it"
                )));
            }
        }
    }
    if !unknown.is_empty() {
        let names: Vec<&str> = unknown.iter().map(KeyspaceName::as_str).collect();
        return Err(RuleError::UnknownKeyspaces(names.join(", ")));
    }
    let rules = RuleSet { rules };
    let (before, after) = (lines(present), lines(&rules));
    let added = after.difference(&before).cloned().collect();
    let removed = before.difference(&after).cloned().collect();
    Ok(OperatorPlan { rules, added, removed, kept_by_workflows })
}

/// The workflows that move each table.
fn owners(moves: &BTreeMap<String, TableMove>) -> HashMap<&str, Vec<(&str, &TableMove)>> {
    let mut owners: HashMap<&str, Vec<_>> = HashMap::new();
    for (name, moved) in moves {
        for table in &moved.tables {
            owners.entry(table.as_str()).or_default().push((name.as_str(), moved));
        }
    }
    owners
}

/// The move of one table.
fn only(moved: &TableMove, from: &FromTable) -> TableMove {
    TableMove { tables: [from.table.clone()].into(), ..moved.clone() }
}

fn lines(set: &RuleSet) -> BTreeSet<String> {
    set.rules.iter().map(|rule| format!("{} → {}", rule.from_table, rule.to_tables.join(", "))).collect()
}
