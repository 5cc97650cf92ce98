//! Whether every row of the moved tables has a place: VSchemas, vindexes and columns beside each other. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::conflict::owners::odd_unique;
use crate::mapping::{Flow, FlowError, flows};
use crate::model::switch::Direction;
use crate::model::workflow::{OnDdl, WorkflowKind, WorkflowSpec};
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
    if let Some(schema) = target.as_ref().filter(|schema| schema.sharded) {
        findings.extend(spec.tables.iter().filter_map(|table| counts_apart(spec, schema, tables.get(table.as_str())?)));
    }
    for (direction, from, into) in [(Direction::Forward, source, target), (Direction::Backward, target, source)] {
        let (out_of, to) = spec.sides(direction);
        let outcome = flows(spec, direction, out_of.shards, to.shards, from.as_ref(), into.as_ref());
        match outcome {
            Ok(flows) => {
                shared(direction, &flows, tables, &mut findings);
                findings.extend(executes(direction, spec.options.on_ddl, &flows));
            }
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

/// Refuses to run one source's DDL where rows of others are. On the way back the streams stop at it all the same.
fn executes(direction: Direction, on_ddl: OnDdl, flows: &[Flow]) -> Option<Finding> {
    let runs = matches!(on_ddl, OnDdl::Exec | OnDdl::ExecIgnore) && direction == Direction::Forward;
    (runs && flows.iter().any(|flow| flow.shared.is_some())).then(|| {
        Finding::refuse(
            "on-ddl",
            format!("--on-ddl {on_ddl}"),
            "several source shards flow into one target: DDL of one of them, a TRUNCATE for example, would be run on the \
             rows of all",
            "use --on-ddl STOP (the default), and make a change by hand on all shards where a stream stops at it",
        )
    })
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

/// Warns of a column that each of several target shards would number for itself.
fn counts_apart(spec: &WorkflowSpec, schema: &KeyspaceSchema, info: &TableInfo) -> Option<Finding> {
    let shards = spec.target_shards.len();
    let found = schema.tables.get(&info.name).filter(|found| found.primary_vindex().is_some())?;
    let column = &info.columns.iter().find(|column| column.auto_increment)?.name;
    let numbered = found.auto_increment.as_ref().is_some_and(|given| given.column.eq_ignore_ascii_case(column));
    let keyspace = &spec.target_keyspace;
    (shards > 1 && !numbered && !spec.options.sharded_auto_increment.leaves_out()).then(|| {
        Finding::warn(
            "auto-increment",
            format!("table {} in keyspace {keyspace}", info.name),
            format!(
                "its column {column} is AUTO_INCREMENT and no sequence numbers it: each of {shards} shards would count for \
                 itself, and rows of different shards get the same number"
            ),
            format!(
                "before traffic is switched, declare a sequence for it in the VSchema: \"auto_increment\": {{\"column\": \
                 \"{column}\", \"sequence\": …}} (`shardlift vschema apply {keyspace}`)"
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ShardName;
    use crate::model::workflow::{AutoIncrementHandling, WorkflowOptions};
    use crate::mysql::schema::ColumnInfo;
    use crate::sharding::vschema;

    const VSCHEMA: &str = r#"{"sharded": true, "vindexes": {"hash": {"type": "hash"}}, "tables": {
        "corder": {"column_vindexes": [{"column": "customer_id", "name": "hash"}]}}}"#;

    fn spec(sources: &str, targets: &str, options: WorkflowOptions) -> WorkflowSpec {
        let shards = |text: &str| text.split(' ').map(|name| name.parse().unwrap()).collect::<Vec<ShardName>>();
        WorkflowSpec {
            kind: WorkflowKind::Reshard,
            source_keyspace: "customer".parse().unwrap(),
            target_keyspace: "customer".parse().unwrap(),
            source_shards: shards(sources),
            target_shards: shards(targets),
            name: "w".parse().unwrap(),
            tables: vec!["corder".parse().unwrap()],
            options,
        }
    }

    fn found(spec: &WorkflowSpec, tables: &BTreeMap<String, TableInfo>, text: &str) -> Vec<Finding> {
        let schema = Some(Arc::new(KeyspaceSchema::new(&vschema::parse(text).unwrap()).unwrap()));
        judge(spec, tables, &Schemas { source: schema.clone(), target: schema })
    }

    fn refused(on_ddl: OnDdl, sources: &str, targets: &str) -> bool {
        let spec = spec(sources, targets, WorkflowOptions { on_ddl, ..WorkflowOptions::default() });
        let found = found(&spec, &BTreeMap::new(), VSCHEMA);
        found.iter().any(|finding| finding.refuses() && finding.check == "on-ddl")
    }

    #[test]
    fn ddl_is_not_run_where_several_sources_flow_into_one_target() {
        for on_ddl in OnDdl::ALL.iter().copied() {
            let runs = matches!(on_ddl, OnDdl::Exec | OnDdl::ExecIgnore);
            assert_eq!(refused(on_ddl, "-80 80-", "0"), runs, "{on_ddl}");
            assert_eq!(refused(on_ddl, "-55 55-", "-80 80-"), runs, "{on_ddl}");
            assert!(!refused(on_ddl, "0", "-80 80-") && !refused(on_ddl, "-80 80-", "-40 40-80 80-c0 c0-"), "{on_ddl}");
        }
    }

    #[test]
    fn columns_that_shards_would_number_apart_are_told() {
        let column = |name: &str, auto_increment| ColumnInfo {
            name: name.into(),
            data_type: "bigint".into(),
            column_type: "bigint".into(),
            auto_increment,
            ..ColumnInfo::default()
        };
        let info = |counts| TableInfo {
            name: "corder".into(),
            columns: vec![column("order_id", counts), column("customer_id", false)],
            ..TableInfo::default()
        };
        let told = |counts, targets: &str, handling, text: &str| {
            let options = WorkflowOptions { sharded_auto_increment: handling, ..WorkflowOptions::default() };
            let tables = BTreeMap::from([("corder".to_owned(), info(counts))]);
            let found = found(&spec("0", targets, options), &tables, text);
            found.into_iter().find(|finding| finding.check == "auto-increment")
        };
        let leave = AutoIncrementHandling::Leave;
        let found = told(true, "-80 80-", leave, VSCHEMA).unwrap();
        assert!(
            !found.refuses() && found.to_string().contains("table corder in keyspace customer: its column order_id")
        );
        assert!(found.cure.contains(r#""auto_increment": {"column": "order_id""#), "{found}");
        let numbered = |column: &str| {
            let given = format!(r#"{{"auto_increment": {{"column": "{column}", "sequence": "s"}}, "column_vindexes""#);
            VSCHEMA.replace(r#"{"column_vindexes""#, &given)
        };
        assert!(told(true, "-80 80-", leave, &numbered("customer_id")).is_some());
        for (counts, targets, handling, text) in [
            (false, "-80 80-", leave, VSCHEMA),
            (true, "-", leave, VSCHEMA),
            (true, "-80 80-", AutoIncrementHandling::Remove, VSCHEMA),
            (true, "-80 80-", leave, numbered("ORDER_ID").as_str()),
        ] {
            assert_eq!(told(counts, targets, handling, text), None, "{counts} {targets} {handling} {text}");
        }
    }
}
