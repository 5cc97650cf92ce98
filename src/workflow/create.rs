//! Starting a workflow: what was asked for is resolved, judged, and written down. Nothing is changed on any server.

use crate::engine::connect::Side;
use crate::engine::places;
use crate::model::switch::Direction;
use crate::model::workflow::{Desired, WorkflowKind, WorkflowSpec};
use crate::model::{NameError, TableName};
use crate::mysql::Credentials;
use crate::mysql::schema::read_tables;
use crate::topology::records::{Keyspace, Workflow};
use crate::topology::{Topology, Txn, TxnOutcome, paths};

use super::carry::now;
use super::preflight::{self, Finding};
use super::request::Request;
use super::{WorkflowError, refusals};

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
    let (name, source_keyspace, target_keyspace) = request.names()?;
    let options = request.options()?;
    for keyspace in [&source_keyspace, &target_keyspace] {
        topology.need::<Keyspace>(&paths::keyspace(keyspace)).await?;
    }
    let path = paths::workflow(&target_keyspace, &name);
    if topology.get::<Workflow>(&path).await?.is_some() {
        return Err(WorkflowError::Exists { keyspace: target_keyspace, name });
    }
    let mut spec = WorkflowSpec {
        kind: WorkflowKind::MoveTables,
        source_keyspace,
        target_keyspace,
        name,
        tables: Vec::new(),
        options,
    };
    let places = places::resolve(topology, credentials, &spec, Direction::Forward).await?;
    let mut source = places.source.session().await?;
    let existing = read_tables(&mut source, places.source.database.as_str(), None).await?;
    source.close().await;
    let existing = existing.iter().filter(|table| table.base_table).map(|table| table.name.parse());
    let existing: Vec<TableName> =
        existing.collect::<Result<_, _>>().map_err(|e: NameError| WorkflowError::Request(e.to_string()))?;
    spec.tables = request.select(&existing)?;

    let others = topology.list::<Workflow>(&paths::all_workflows()).await?;
    let taken = others.records.iter().flat_map(|(_, other)| {
        let (theirs, ours) = (&other.record.spec, &spec);
        let met = theirs.source_keyspace == ours.source_keyspace
            || theirs.target_keyspace == ours.target_keyspace
            || theirs.source_keyspace == ours.target_keyspace
            || theirs.target_keyspace == ours.source_keyspace;
        let tables = theirs.tables.iter().filter(move |table| met && ours.tables.contains(table));
        tables.map(|table| (format!("{}/{}", theirs.target_keyspace, theirs.name), table.clone()))
    });
    let taken: Vec<_> = taken.collect();
    let findings = preflight::judge(&places, &spec, &taken).await;
    let (refused, warnings): (Vec<_>, Vec<_>) = findings.into_iter().partition(Finding::refuses);
    if !refused.is_empty() {
        return Err(WorkflowError::Refused { findings: refusals(&refused), count: refused.len() });
    }
    let created_tables = absent(&places.target, &spec.tables).await?;
    let desired = if request.auto_start.unwrap_or(true) { Desired::Running } else { Desired::Paused };
    let workflow = Workflow { desired, throttle: request.throttle, created_tables, ..Workflow::new(spec, now()) };
    // Nobody may have started another workflow on these tables since they were judged.
    let txn = topology.none_after(topology.absent(Txn::new(), &path), &paths::all_workflows(), others.revision);
    let txn = topology.put(txn, &path, &workflow)?;
    // From now on both names of a table lead to where it is.
    let rules = paths::workflow_rules(&workflow.spec.target_keyspace, &workflow.spec.name);
    match topology.txn(topology.put(txn, &rules, &workflow.rules())?).await? {
        TxnOutcome::Committed { .. } => Ok(Created { workflow, warnings }),
        TxnOutcome::Refused { .. } => Err(WorkflowError::Changed),
    }
}

/// Which of `tables` do not exist on the target: these the workflow creates, and cancel drops.
async fn absent(target: &Side, tables: &[TableName]) -> Result<Vec<TableName>, WorkflowError> {
    let mut session = target.session().await?;
    let found = read_tables(&mut session, target.database.as_str(), None).await?;
    session.close().await;
    let there = |table: &&TableName| found.iter().any(|info| info.name == table.as_str());
    Ok(tables.iter().filter(|table| !there(table)).cloned().collect())
}
