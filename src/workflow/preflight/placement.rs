//! Whether every row of the moved tables has a place: VSchemas, vindexes and columns beside each other. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::conflict::owners::odd_unique;
use crate::mapping::{Flow, FlowError, flows};
use crate::model::switch::Direction;
use crate::model::workflow::{WorkflowKind, WorkflowSpec};
use crate::model::{KeyspaceName, TableName};
use crate::mysql::schema::{TableInfo, define, other_uniques};
use crate::sharding::RowKey;
use crate::sharding::vschema::KeyspaceSchema;

use super::Finding;

/// The VSchemas of the keyspaces that rows come from and go to.
#[derive(Debug, Clone)]
pub struct Schemas {
    /// Of the source.
    pub source: Option<Arc<KeyspaceSchema>>,
    /// Of the target.
    pub target: Option<Arc<KeyspaceSchema>>,
}

/// What is wrong with the placement of the tables of `spec`, which look like this on the source.
pub fn judge(spec: &WorkflowSpec, tables: &BTreeMap<String, TableInfo>, schemas: &Schemas) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Schemas { source, target } = schemas;
    if spec.kind == WorkflowKind::Reshard && !target.as_ref().is_some_and(|schema| schema.sharded) {
        findings.push(unsharded(
            spec.target_keyspace.as_str(),
            "rows are spread by the vindexes of a sharded VSchema".into(),
        ));
        return findings;
    }
    // On the way back rows are placed as the source's VSchema says.
    for (keyspace, schema) in [(&spec.target_keyspace, target), (&spec.source_keyspace, source)] {
        if let Some(schema) = schema.as_ref().filter(|schema| schema.sharded) {
            spec.tables.iter().for_each(|table| placed(keyspace, schema, table, tables, &mut findings));
        }
    }
    for (direction, from, into) in [(Direction::Forward, source, target), (Direction::Backward, target, source)] {
        let (out_of, to) = spec.sides(direction);
        let outcome = flows(spec, direction, out_of.shards, to.shards, from.as_ref(), into.as_ref());
        match outcome {
            Ok(flows) => shared(direction, &flows, tables, &mut findings),
            Err(FlowError::Unsharded { ref keyspace, shards }) => {
                findings.push(unsharded(
                    keyspace,
                    format!("it has {shards} shards, and its VSchema does not say where rows belong"),
                ));
            }
            Err(error) => findings.push(Finding::refuse(
                "shards",
                format!("keyspace {}", to.keyspace),
                error.to_string(),
                format!("see `shardlift shard list {}`", to.keyspace),
            )),
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

/// Names the tables of which rows of several source shards would meet in keys that cannot be looked into.
fn shared(direction: Direction, flows: &[Flow], tables: &BTreeMap<String, TableInfo>, findings: &mut Vec<Finding>) {
    for table in flows.iter().filter(|flow| flow.shared.is_some()).flat_map(|flow| &flow.tables) {
        let Some((info, def)) = tables.get(table.as_str()).and_then(|info| Some((info, define(info).ok()?))) else {
            continue;
        };
        let (_, odd) = other_uniques(info, &def);
        let Some(problem) = odd.first().map(|key| odd_unique(key)) else { continue };
        let subject = format!("table {table}");
        findings.push(match direction {
            Direction::Forward => {
                Finding::refuse("unique-key", subject, problem, "drop that key, or leave the table out")
            }
            Direction::Backward => Finding::warn(
                "unique-key",
                subject,
                format!("{problem}, so that after the switch nothing can be replicated back"),
                "drop that key, or switch with --enable-reverse-replication=false",
            ),
        });
    }
}

fn unsharded(keyspace: &str, problem: String) -> Finding {
    let subject = format!("keyspace {keyspace}");
    Finding::refuse(
        "vschema",
        subject,
        problem,
        format!("`shardlift vschema apply {keyspace} --vschema-file …` with \"sharded\": true and all its tables"),
    )
}

fn placed(
    keyspace: &KeyspaceName,
    schema: &KeyspaceSchema,
    table: &TableName,
    tables: &BTreeMap<String, TableInfo>,
    findings: &mut Vec<Finding>,
) {
    let subject = format!("{table} in keyspace {keyspace}");
    let Some(found) = schema.tables.get(table.as_str()) else {
        findings.push(Finding::refuse(
            "primary-vindex",
            subject,
            "the keyspace's VSchema does not name it: it has no primary vindex, so that nobody can tell where its rows belong",
            "name it there with column_vindexes, or as a reference table (`shardlift vschema apply`); or drop it, or move it elsewhere",
        ));
        return;
    };
    // What cannot be defined at all is told elsewhere.
    let def = tables.get(table.as_str()).and_then(|info| define(info).ok());
    if let (Some(primary), Some(def)) = (found.primary_vindex(), def)
        && let Err(why) = RowKey::of_rows(&def, primary.vindex.clone(), &primary.columns)
    {
        let cure = format!("choose another vindex, or other columns, for {table} (`shardlift vschema apply`)");
        findings.push(Finding::refuse("primary-vindex", subject, format!("vindex {}: {why}", primary.name), cure));
    }
}
