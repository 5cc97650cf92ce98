//! What of a VSchema is held by the workflows over its keyspace. Pure.
//!
//! Streams begin anew whenever an engine does, and go by the VSchema as it is then; the rows that were copied before were
//! placed by the one before. So as long as a workflow is there, both keyspaces' VSchemas place its tables as they did.
//!
//! Invariant: who changes a VSchema and who starts a workflow do so only if nobody has done the other since they looked: the
//! one in a transaction that holds the list of workflows, the other in one that holds the VSchemas.

use crate::model::{KeyspaceName, VSchema};
use crate::sharding::vschema::moves;
use crate::topology::records::Workflow;

/// Tables that are named; of more, how many.
const NAMED: usize = 5;

/// What stands against changing the VSchema of `keyspace` from `old` to `new`, one line a workflow. What numbers rows may
/// change, for a switch goes by the sequences of that time; only not during one, which has looked already.
pub fn held<'a>(
    keyspace: &KeyspaceName,
    (old, new): (&VSchema, &VSchema),
    workflows: impl IntoIterator<Item = &'a Workflow>,
) -> Vec<String> {
    let mut against = Vec::new();
    for workflow in workflows {
        let spec = &workflow.spec;
        if ![&spec.source_keyspace, &spec.target_keyspace].contains(&keyspace) {
            continue;
        }
        let (name, target, noun) = (&spec.name, &spec.target_keyspace, spec.kind.noun());
        let flags = format!("-w {name} -k {target}");
        let moved = listed(spec.tables.iter().map(|table| table.as_str()).filter(|table| moves(old, new, table)));
        if let Some(tables) = moved {
            against.push(format!(
                "workflow {target}/{name} has placed rows by it, and it would place those of {tables} otherwise: complete or \
                 cancel that first (`shardlift {noun} complete {flags}`, `shardlift {noun} cancel {flags}`)"
            ));
        }
        let numbers = |vschema: &VSchema, table: &str| vschema.tables.get(table).and_then(|t| t.auto_increment.clone());
        let renumbered = spec.tables.iter().map(|table| table.as_str());
        let renumbered = listed(renumbered.filter(|table| numbers(old, table) != numbers(new, table)));
        if let Some(tables) = renumbered.filter(|_| workflow.open_switch().is_some()) {
            against.push(format!(
                "workflow {target}/{name} is being switched, and has looked already what numbers the rows of {tables}: wait \
                 until that is done (`shardlift {noun} status {flags}`)"
            ));
        }
    }
    against
}

/// Tables for a message, if there are any.
fn listed<'a>(tables: impl Iterator<Item = &'a str>) -> Option<String> {
    let tables: Vec<&str> = tables.collect();
    let noun = if tables.len() == 1 { "table" } else { "tables" };
    match tables.len().saturating_sub(NAMED) {
        0 if tables.is_empty() => None,
        0 => Some(format!("{noun} {}", tables.join(", "))),
        more => Some(format!(
            "{noun} {} and {more} more",
            tables.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::switch::{Direction, Phase, Step, Switch, SwitchRequest};
    use crate::model::workflow::{TabletType, WorkflowKind, WorkflowOptions, WorkflowSpec};
    use crate::sharding::vschema::parse;

    const NOW: &str = r#"{"sharded": true, "vindexes": {"hash": {"type": "hash"}, "other": {"type": "hash"}}, "tables": {
        "corder": {"column_vindexes": [{"column": "customer_id", "name": "hash"}]},
        "country": {"type": "reference"}, "settings": {"pinned": "c0"},
        "elsewhere": {"column_vindexes": [{"column": "id", "name": "other"}]}}}"#;

    fn workflow(source: &str, target: &str) -> Workflow {
        let spec = WorkflowSpec {
            kind: if source == target { WorkflowKind::Reshard } else { WorkflowKind::MoveTables },
            source_keyspace: source.parse().unwrap(),
            target_keyspace: target.parse().unwrap(),
            source_shards: vec![],
            target_shards: vec![],
            name: "w".parse().unwrap(),
            tables: ["corder", "country", "settings"].map(|name| name.parse().unwrap()).to_vec(),
            options: WorkflowOptions::default(),
        };
        Workflow::new(spec, 0)
    }

    fn told(old: &str, new: &str, workflow: &Workflow) -> String {
        held(&"customer".parse().unwrap(), (&parse(old).unwrap(), &parse(new).unwrap()), [workflow]).join("\n")
    }

    #[test]
    fn tables_of_a_workflow_stay_where_they_are() {
        let reshard = workflow("customer", "customer");
        for (from, to, tables) in [
            (r#""hash": {"type": "hash"}"#, r#""hash": {"type": "xxhash"}"#, "table corder otherwise"),
            (r#""column": "customer_id""#, r#""column": "order_id""#, "table corder otherwise"),
            (r#""customer_id", "name": "hash""#, r#""customer_id", "name": "other""#, ""),
            (r#""column": "customer_id""#, r#""columns": ["customer_id"]"#, ""),
            (r#""type": "reference""#, r#""pinned": "80""#, "table country otherwise"),
            (r#""country": {"type": "reference"}, "#, "", "table country otherwise"),
            (r#""pinned": "c0""#, r#""pinned": "40""#, "table settings otherwise"),
            (r#""sharded": true"#, r#""sharded": false"#, "tables corder, country, settings otherwise"),
            (r#""column": "id""#, r#""column": "name""#, ""),
            (r#""settings": {"#, r#""more": {"pinned": "c0"}, "settings": {"#, ""),
        ] {
            assert!(NOW.contains(from), "{from}");
            let said = told(NOW, &NOW.replace(from, to), &reshard);
            assert_eq!(said.is_empty(), tables.is_empty(), "{from} to {to}: {said}");
            assert!(said.contains(tables), "{from} to {to}: {said}");
        }
        let new = NOW.replace("customer_id", "order_id");
        for (source, target, noun) in [("commerce", "customer", "movetables"), ("customer", "customer", "reshard")] {
            let said = told(NOW, &new, &workflow(source, target));
            assert!(said.contains(&format!("shardlift {noun} cancel -w w -k customer")), "{said}");
        }
        assert!(told(NOW, &new, &workflow("customer", "wide")).contains("workflow wide/w"));
        assert_eq!(told(NOW, &new, &workflow("commerce", "wide")), "");
        // All of an unsharded keyspace's tables are on its one shard.
        assert_eq!(told("{}", r#"{"tables": {"corder": {}}}"#, &workflow("customer", "wide")), "");
        assert!(told("{}", NOW, &workflow("customer", "wide")).contains("corder"));
    }

    #[test]
    fn what_numbers_rows_changes_between_switches_only() {
        let new = NOW.replace(
            r#""corder": {"#,
            r#""corder": {"auto_increment": {"column": "order_id", "sequence": "commerce.seq"}, "#,
        );
        let mut reshard = workflow("customer", "customer");
        assert_eq!(told(NOW, &new, &reshard), "");
        let request = SwitchRequest {
            uid: uuid::Uuid::nil(),
            direction: Direction::Forward,
            types: [TabletType::Primary].into(),
            timeout_ms: 0,
            max_lag_ms: 0,
            way_back: true,
            allow_cross_keyspace: false,
        };
        let phase = Phase::Doing { step: Step::Check };
        reshard.switch = Some(Switch { request, phase, at: 0, drained: vec![], pause_ms: None, warning: None });
        assert!(told(NOW, &new, &reshard).contains("being switched"));
        reshard.switch = reshard.switch.map(|switch| Switch { phase: Phase::Done, ..switch });
        assert_eq!(told(NOW, &new, &reshard), "");
    }
}
