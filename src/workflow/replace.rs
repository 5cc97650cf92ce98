//! AUTO_INCREMENT columns that sequences number from the switch on (`--sharded-auto-increment-handling REPLACE`): as in
//! Vitess `<table>_seq` in the global keyspace, with an entry in both VSchemas.
//!
//! Invariants:
//! - The VSchemas' entries are written with the workflow, all or nothing. What was there already is used as it is.
//! - [`undo`] takes back what the workflow has made, and only that; it is safe to repeat.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::EngineError;
use crate::model::vschema::{AutoIncrementSpec, TableSpec};
use crate::model::workflow::{AutoIncrementHandling, WorkflowSpec};
use crate::model::{KeyspaceName, TableName, VSchema};
use crate::mysql::Credentials;
use crate::mysql::schema::{TableInfo, read_tables};
use crate::topology::records::{Keyspace, Replaced, Workflow};
use crate::topology::{OwnerGuard, Topology, TopologyError, Txn, TxnOutcome, Versioned, paths};

use super::preflight::Finding;
use super::sequences::primary;
use super::switch::SwitchError;

/// A VSchema with the revision that wrote it; `None`: there is none yet.
type Found = Option<Versioned<VSchema>>;

/// What replaces AUTO_INCREMENT columns, and the VSchemas it was decided by.
#[derive(Debug, Default)]
pub struct Replacement {
    /// Column by column.
    pub columns: Vec<Replaced>,
    /// Of the target and of the global keyspace, as they were read.
    schemas: Option<(Found, Found)>,
}

/// What makes a table's name that of its sequence, as in Vitess.
const SUFFIX: &str = "_seq";

/// What `spec` asks to replace in those of `spread` tables that count by themselves; what stands against it goes to
/// `findings`.
pub async fn plan(
    topology: &Topology,
    credentials: &Credentials,
    spec: &WorkflowSpec,
    (tables, spread): (&BTreeMap<String, TableInfo>, &BTreeSet<TableName>),
    findings: &mut Vec<Finding>,
) -> Result<Replacement, EngineError> {
    let asked = spec.options.sharded_auto_increment == AutoIncrementHandling::Replace;
    let Some(global) = spec.options.global_keyspace.as_ref().filter(|_| asked) else {
        return Ok(Replacement::default());
    };
    topology.need::<Keyspace>(&paths::keyspace(global)).await?;
    let target = topology.get::<VSchema>(&paths::vschema(&spec.target_keyspace)).await?;
    let there = topology.get::<VSchema>(&paths::vschema(global)).await?;
    let mut refuse = |problem: String, cure: &str| {
        findings.push(Finding::refuse("global-keyspace", format!("keyspace {global}"), problem, cure));
    };
    if there.as_ref().is_some_and(|found| found.record.sharded) {
        refuse("it is sharded, and a sequence is one row".into(), "name an unsharded keyspace with --global-keyspace");
        return Ok(Replacement::default());
    }
    let side = primary(topology, credentials, global).await?;
    let mut session = side.session().await?;
    let present =
        read_tables(&mut session, side.database.as_str(), None).await.map_err(EngineError::at(&side.label))?;
    session.close().await;
    let numbered = |table: &TableName| {
        let found = target.as_ref().and_then(|found| found.record.tables.get(table.as_str()));
        found.is_some_and(|spec| spec.auto_increment.is_some())
    };
    let mut columns = Vec::new();
    for table in spread.iter().filter(|table| !numbered(table)) {
        let counting = |info: &TableInfo| info.columns.iter().find(|column| column.auto_increment).cloned();
        let Some(column) = tables.get(table.as_str()).and_then(counting) else { continue };
        let name = format!("{table}{SUFFIX}");
        let Ok(sequence) = name.parse::<TableName>() else {
            refuse(format!("{name} cannot be the name of a table"), "name a sequence for the table in the VSchema");
            continue;
        };
        let entry = there.as_ref().and_then(|found| found.record.tables.get(&name));
        if entry.is_some_and(|entry| entry.table_type != "sequence") {
            refuse(format!("its VSchema has a table {name} that is no sequence"), "name a sequence in the VSchema");
        }
        let stands = present.iter().find(|info| info.name == name);
        let has = |info: &TableInfo, wanted: &str| info.columns.iter().any(|column| column.name == wanted);
        if stands.is_some_and(|info| !["id", "next_id", "cache"].iter().all(|column| has(info, column))) {
            refuse(format!("it has a table {name} that is no sequence"), "name a sequence in the VSchema");
        }
        let (declared, created) = (entry.is_none(), stands.is_none());
        columns.push(Replaced { table: table.clone(), column: column.name, sequence, declared, created });
    }
    Ok(Replacement { columns, schemas: Some((target, there)) })
}

impl Replacement {
    /// `txn` with the VSchemas' entries, on the condition that nobody has changed these since.
    pub fn write(&self, topology: &Topology, mut txn: Txn, spec: &WorkflowSpec) -> Result<Txn, TopologyError> {
        let (Some(global), Some((target, there))) = (&spec.options.global_keyspace, &self.schemas) else {
            return Ok(txn);
        };
        let mut entries = BTreeMap::new();
        for (keyspace, found) in [(&spec.target_keyspace, target), (global, there)] {
            entries.insert(keyspace, (found, found.as_ref().map(|found| found.record.clone()).unwrap_or_default()));
        }
        for one in &self.columns {
            if let Some((_, vschema)) = entries.get_mut(&spec.target_keyspace) {
                let table = vschema.tables.entry(one.table.to_string()).or_default();
                table.auto_increment = Some(numbers(global, one));
            }
            if let Some((_, vschema)) = entries.get_mut(global).filter(|_| one.declared) {
                let table_type = "sequence".to_owned();
                vschema.tables.insert(one.sequence.to_string(), TableSpec { table_type, ..TableSpec::default() });
            }
        }
        for (keyspace, (found, vschema)) in entries {
            let path = paths::vschema(keyspace);
            txn = match found {
                Some(found) => topology.unchanged(txn, &path, found.revision),
                None => topology.absent(txn, &path),
            };
            if !self.columns.is_empty() {
                txn = topology.put(txn, &path, &vschema)?;
            }
        }
        Ok(txn)
    }
}

fn numbers(global: &KeyspaceName, one: &Replaced) -> AutoIncrementSpec {
    AutoIncrementSpec { column: one.column.clone(), sequence: format!("{global}.{}", one.sequence) }
}

/// Takes back what a cancelled workflow has made: entries that still are as it wrote them, then its sequences' tables.
pub async fn undo(
    topology: &Topology,
    guard: &OwnerGuard,
    credentials: &Credentials,
    workflow: &Workflow,
) -> Result<(), SwitchError> {
    let spec = &workflow.spec;
    let Some(global) = spec.options.global_keyspace.as_ref().filter(|_| !workflow.replaced.is_empty()) else {
        return Ok(());
    };
    let target = |vschema: &mut VSchema| {
        for one in &workflow.replaced {
            let table = vschema.tables.get_mut(one.table.as_str());
            if let Some(table) = table.filter(|table| table.auto_increment.as_ref() == Some(&numbers(global, one))) {
                table.auto_increment = None;
            }
        }
    };
    change(topology, guard, &spec.target_keyspace, target).await?;
    let sequences = |vschema: &mut VSchema| {
        for one in workflow.replaced.iter().filter(|one| one.declared) {
            vschema.tables.remove(one.sequence.as_str());
        }
    };
    change(topology, guard, global, sequences).await?;
    let side = primary(topology, credentials, global).await?;
    let mut session = side.session().await?;
    for one in workflow.replaced.iter().filter(|one| one.created) {
        let name = crate::mysql::quote::table_name(&side.database, &one.sequence);
        let drop = format!("DROP TABLE IF EXISTS {name}");
        session.execute(&drop).await.map_err(EngineError::at(&side.label))?;
    }
    session.close().await;
    Ok(())
}

/// Changes a VSchema; one that says nothing any more goes.
async fn change(
    topology: &Topology,
    guard: &OwnerGuard,
    keyspace: &KeyspaceName,
    change: impl Fn(&mut VSchema),
) -> Result<(), TopologyError> {
    let path = paths::vschema(keyspace);
    loop {
        let Some(Versioned { mut record, revision }) = topology.get::<VSchema>(&path).await? else { return Ok(()) };
        let before = record.clone();
        change(&mut record);
        if record == before {
            return Ok(());
        }
        let txn = topology.unchanged(Txn::new(), &path, revision);
        let txn = match record == VSchema::default() {
            true => topology.delete(txn, &path),
            false => topology.put(txn, &path, &record)?,
        };
        if let TxnOutcome::Committed { .. } = topology.txn_as_owner(guard, txn).await? {
            return Ok(());
        }
    }
}
