//! Starting a workflow: what was asked for is resolved, judged, and written down. Nothing is changed on any server.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::connect::Side;
use crate::engine::places::{self, Places};
use crate::failpoint::{Failpoints, Hit};
use crate::model::switch::Direction;
use crate::model::workflow::{Desired, WorkflowKind, WorkflowSpec};
use crate::model::{NameError, TableName, VSchema};
use crate::mysql::Credentials;
use crate::mysql::schema::{TableInfo, read_tables};
use crate::sharding::vschema::KeyspaceSchema;
use crate::topology::records::{Keyspace, Shard, Workflow};
use crate::topology::{Path, Records, Topology, Txn, TxnOutcome, Versioned, paths};

use super::carry::now;
use super::flows::schema;
use super::leftover::is_leftover;
use super::preflight::placement::{self, Schemas};
use super::preflight::shards::{self, Declared};
use super::preflight::{self, Finding, Options};
use super::request::Request;
use super::{WorkflowError, refusals, replace};

/// A workflow that was written down, and what preflight had to say.
#[derive(Debug)]
pub struct Created {
    /// Its record.
    pub workflow: Workflow,
    /// Findings that do not stand in the way.
    pub warnings: Vec<Finding>,
}

/// Resolves and judges `request` and, if nothing stands in the way, writes the workflow down.
pub async fn create(
    topology: &Topology,
    credentials: &Credentials,
    request: &Request,
) -> Result<Created, WorkflowError> {
    let failpoints = Failpoints::from_env().map_err(WorkflowError::Request)?;
    let mut spec = request.spec()?;
    // Held below as they are read here, before anything is judged by them: `super::held`.
    let mut held = Vec::new();
    for keyspace in BTreeSet::from([&spec.source_keyspace, &spec.target_keyspace]) {
        let path = paths::keyspace(keyspace);
        let revision = topology.need::<Keyspace>(&path).await?.revision;
        held.push((path, Some(revision)));
        let path = paths::vschema(keyspace);
        let found = topology.get::<VSchema>(&path).await?;
        held.push((path, found.map(|found| found.revision)));
    }
    let path = paths::workflow(&spec.target_keyspace, &spec.name);
    if topology.get::<Workflow>(&path).await?.is_some() {
        let noun = spec.kind.noun();
        return Err(WorkflowError::Exists { keyspace: spec.target_keyspace, name: spec.name, noun });
    }
    if spec.kind == WorkflowKind::Reshard {
        refuse_any(shards::judge(&spec, &declared(topology, &spec).await?))?;
    }
    let places = places::resolve(topology, credentials, &spec, Direction::Forward).await?;
    spec.source_shards = places.sources.iter().map(|source| source.shard.clone()).collect();
    spec.target_shards = places.targets.iter().map(|target| target.shard.clone()).collect();
    let tables = tables_at(&places).await?;
    let existing = tables.values().filter(|table| table.base_table).map(|table| table.name.parse());
    let existing: Vec<TableName> =
        existing.collect::<Result<_, _>>().map_err(|e: NameError| WorkflowError::Request(e.to_string()))?;
    spec.tables = request.select(&existing)?;
    if spec.kind == WorkflowKind::Reshard {
        spec.tables.retain(|table| !is_leftover(table.as_str(), &existing));
    }
    let schemas = Schemas {
        source: schema(topology, &spec.source_keyspace).await?,
        target: schema(topology, &spec.target_keyspace).await?,
    };
    let others = topology.list::<Workflow>(&paths::all_workflows()).await?;
    let mut findings = placement::judge(&spec, &tables, &schemas);
    let unnumbered = unnumbered(&spec, schemas.target.as_deref());
    let replacement = replace::plan(topology, credentials, &spec, (&tables, &unnumbered), &mut findings).await?;
    let known = Options {
        busy: taken(&spec, &others),
        skip_schema_copy: request.skip_schema_copy,
        other_numbering: unnumbered.union(&numbered(&spec, schemas.source.as_deref())).cloned().collect(),
        ..Options::default()
    };
    findings.extend(preflight::judge(&places, &spec, known).await);
    let warnings = refuse_any(findings)?;
    let mut created_tables = if request.skip_schema_copy { Vec::new() } else { spec.tables.clone() };
    for target in &places.targets {
        let absent = absent(&target.side, &spec.tables).await?;
        created_tables.retain(|table| absent.contains(table));
    }
    let desired = if request.auto_start.unwrap_or(true) { Desired::Running } else { Desired::Paused };
    let workflow = Workflow {
        desired,
        throttle: request.throttle,
        created_tables,
        replaced: replacement.columns.clone(),
        ..Workflow::new(spec, now())
    };
    // Nobody may have started another workflow on these tables since they were judged.
    let mut txn = topology.none_after(topology.absent(Txn::new(), &path), &paths::all_workflows(), others.revision);
    // Nor may it have become another question where their rows belong.
    for (path, revision) in &held {
        txn = match revision {
            Some(revision) => topology.unchanged(txn, path, *revision),
            None => topology.absent(txn, path),
        };
    }
    let txn = replacement.write(topology, topology.put(txn, &path, &workflow)?, &workflow.spec)?;
    // From now on both names of a table lead to where it is.
    let rules = paths::workflow_rules(&workflow.spec.target_keyspace, &workflow.spec.name);
    let txn = match workflow.rules() {
        Some(moved) => topology.put(txn, &rules, &moved)?,
        None => txn,
    };
    failpoints
        .reach("start-judged")
        .await
        .map_err(|Hit(point)| WorkflowError::Request(format!("failpoint {point}")))?;
    match topology.txn(txn).await? {
        TxnOutcome::Committed { .. } => Ok(Created { workflow, warnings }),
        TxnOutcome::Refused { .. } => Err(WorkflowError::Changed),
    }
}

/// The findings that do not stand in the way, or all that do as an error.
fn refuse_any(findings: Vec<Finding>) -> Result<Vec<Finding>, WorkflowError> {
    let (mut refused, warnings): (Vec<_>, Vec<_>) = findings.into_iter().partition(Finding::refuses);
    refused.sort();
    match refused.len() {
        0 => Ok(warnings),
        count => Err(WorkflowError::Refused { findings: refusals(&refused), count }),
    }
}

/// The shards of the keyspace that are declared.
async fn declared(topology: &Topology, spec: &WorkflowSpec) -> Result<Vec<Declared>, WorkflowError> {
    let found = topology.list::<Shard>(&paths::shards(&spec.target_keyspace)).await?;
    let named = |(path, shard): (Path, Versioned<Shard>)| {
        Some(Declared { name: path.name().parse().ok()?, shard: shard.record })
    };
    Ok(found.records.into_iter().filter_map(named).collect())
}

/// The tables of all source shards; that they are alike is judged elsewhere.
async fn tables_at(places: &Places) -> Result<BTreeMap<String, TableInfo>, WorkflowError> {
    let mut tables = BTreeMap::new();
    for source in &places.sources {
        let mut session = source.side.session().await?;
        let found = read_tables(&mut session, source.side.database.as_str(), None).await?;
        session.close().await;
        tables.extend(found.into_iter().map(|table| (table.name.clone(), table)));
    }
    Ok(tables)
}

/// The tables that have no AUTO_INCREMENT on the target, by what was asked for.
fn unnumbered(spec: &WorkflowSpec, target: Option<&KeyspaceSchema>) -> BTreeSet<TableName> {
    let removes = spec.options.sharded_auto_increment.leaves_out();
    let spread = |table: &&TableName| {
        target.is_some_and(|schema| {
            schema.tables.get(table.as_str()).is_some_and(|found| found.primary_vindex().is_some())
        })
    };
    spec.tables.iter().filter(|_| removes).filter(spread).cloned().collect()
}

/// The tables that sequences number on the source.
fn numbered(spec: &WorkflowSpec, source: Option<&KeyspaceSchema>) -> BTreeSet<TableName> {
    let numbered = |table: &&TableName| {
        source
            .is_some_and(|schema| schema.tables.get(table.as_str()).is_some_and(|found| found.auto_increment.is_some()))
    };
    spec.tables.iter().filter(numbered).cloned().collect()
}

/// The tables of `spec` that another live workflow moves, each with that one's name. A Reshard has its keyspace to itself:
/// where other workflows read and write would change under them.
fn taken(spec: &WorkflowSpec, others: &Records<Workflow>) -> Vec<(String, TableName)> {
    let mut taken = Vec::new();
    for (_, other) in &others.records {
        let theirs = &other.record.spec;
        let met = [&theirs.source_keyspace, &theirs.target_keyspace]
            .iter()
            .any(|keyspace| [&spec.source_keyspace, &spec.target_keyspace].contains(keyspace));
        let whole = [spec.kind, theirs.kind].contains(&WorkflowKind::Reshard);
        let tables = spec.tables.iter().filter(|table| met && (whole || theirs.tables.contains(table)));
        taken.extend(tables.map(|table| (format!("{}/{}", theirs.target_keyspace, theirs.name), table.clone())));
    }
    taken
}

/// Which of `tables` do not exist on the target: these the workflow creates, and cancel drops.
async fn absent(target: &Side, tables: &[TableName]) -> Result<Vec<TableName>, WorkflowError> {
    let mut session = target.session().await?;
    let found = read_tables(&mut session, target.database.as_str(), None).await?;
    session.close().await;
    let there = |table: &&TableName| found.iter().any(|info| info.name == table.as_str());
    Ok(tables.iter().filter(|table| !there(table)).cloned().collect())
}
