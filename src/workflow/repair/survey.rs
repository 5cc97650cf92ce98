//! What is so: the record, and fences, triggers and positions on every server of both sides that can be reached.

use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::timeout;

use crate::engine::EngineError;
use crate::engine::connect::Side;
use crate::model::fence::Epoch;
use crate::model::switch::Direction;
use crate::model::{GtidSet, KeyspaceName, ShardName, TabletAlias};
use crate::mysql::Credentials;
use crate::mysql::admin::gtid_state;
use crate::topology::records::Workflow;
use crate::topology::{Topology, TopologyError, Versioned, paths};
use crate::workflow::WorkflowError;
use crate::workflow::fence::{self, Fence};
use crate::workflow::switch::SwitchError;
use crate::workflow::switch::ends::{End, Ends};

/// How long one server may take to say how it is.
const ONE: Duration = Duration::from_secs(8);

/// Everything that was found.
#[derive(Debug)]
pub struct Survey {
    /// The record, and its revision: what is done later rests on it.
    pub found: Versioned<Workflow>,
    /// The primaries of both sides, the source's first, then the replicas.
    pub servers: Vec<Server>,
    /// Both sides, as for a switch forward.
    pub ends: Ends,
}

/// A server.
#[derive(Debug, Clone, Serialize)]
pub struct Server {
    /// Which.
    pub alias: TabletAlias,
    /// As messages name it.
    pub label: String,
    /// Of which keyspace.
    pub keyspace: KeyspaceName,
    /// And shard.
    pub shard: ShardName,
    /// Whether it is on the source's side.
    pub at_source: bool,
    /// Whether the topology has it as the shard's primary.
    pub primary: bool,
    /// What it says, or why it says nothing.
    #[serde(flatten)]
    pub state: State,
}

/// What a server says.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It was reached.
    Reached(Facts),
    /// It was not.
    Unreachable(String),
}

/// How it is.
#[derive(Debug, Clone, Serialize)]
pub struct Facts {
    /// Whether its fence is closed, and since which epoch; `None` where there is no row.
    pub fence: Option<(bool, Epoch)>,
    /// The epoch of its triggers, if they are whole.
    pub armed: Option<Epoch>,
    /// What it has executed.
    pub executed: GtidSet,
    /// Up to where each stream of the workflow has brought what: the direction it flows in, the shard it comes from.
    pub streams: Vec<(String, String, GtidSet)>,
}

impl Server {
    /// What it says, if it was reached.
    pub fn facts(&self) -> Option<&Facts> {
        match &self.state {
            State::Reached(facts) => Some(facts),
            State::Unreachable(_) => None,
        }
    }
}

/// Looks at everything.
pub async fn survey(
    topology: &Topology,
    credentials: &Credentials,
    keyspace: &KeyspaceName,
    name: &crate::model::WorkflowName,
) -> Result<Survey, WorkflowError> {
    let found = topology.need::<Workflow>(&paths::workflow(keyspace, name)).await?;
    let ends = Ends::resolve(topology, credentials, &found.record, Direction::Forward).await.map_err(of_switch)?;
    let record = &found.record;
    let sides = ends.closing.iter().map(|end| (end, true)).chain(ends.opening.iter().map(|end| (end, false)));
    let looks = sides.flat_map(|(end, at_source)| {
        let primary = Some((end.primary.clone(), end.fence.side.clone(), true));
        let replicas = end.replicas.iter().filter_map(|side| Some((alias(side)?, side.clone(), false)));
        primary.into_iter().chain(replicas).map(move |(alias, side, primary)| async move {
            Server { at_source, ..server(record, end, alias, side, primary).await }
        })
    });
    let mut servers = join_all(looks.collect::<Vec<_>>()).await;
    servers.sort_by_key(|server| !server.primary);
    Ok(Survey { found, servers, ends })
}

fn of_switch(error: SwitchError) -> WorkflowError {
    match error {
        SwitchError::Topology(error) => error.into(),
        SwitchError::Engine(error) => error.into(),
        other => TopologyError::Refused(other.to_string()).into(),
    }
}

/// A side's label ends with its alias: `replica commerce/0 (zone1-0000000101)`.
fn alias(side: &Side) -> Option<TabletAlias> {
    side.label.rsplit_once('(')?.1.trim_end_matches(')').parse().ok()
}

async fn server(record: &Workflow, end: &End, alias: TabletAlias, side: Side, primary: bool) -> Server {
    let key = &end.fence.key;
    let fence = Fence { side: side.clone(), ..end.fence.clone() };
    let state = match timeout(ONE, look(record, &fence)).await {
        Ok(Ok(facts)) => State::Reached(facts),
        Ok(Err(error)) => State::Unreachable(error.to_string()),
        Err(_) => State::Unreachable(format!("no answer within {} s", ONE.as_secs())),
    };
    let (label, keyspace, shard) = (side.label, key.keyspace.clone(), key.shard.clone());
    Server { alias, label, keyspace, shard, at_source: true, primary, state }
}

async fn look(record: &Workflow, fence: &Fence) -> Result<Facts, SwitchError> {
    let at = EngineError::at(&fence.side.label);
    let mut session = fence.side.session().await?;
    let executed = gtid_state(&mut session).await.map_err(&at)?.executed;
    let select = format!(
        "SELECT direction, source_shard, position FROM _shardlift.stream WHERE workflow_uid = '{}' ORDER BY 1, 2",
        record.uid
    );
    let streams = match session.rows(&select).await {
        Ok(rows) => rows,
        // No such table, no such schema.
        Err(error) if matches!(error.code(), Some(1146 | 1049)) => Vec::new(),
        Err(error) => return Err(at(error).into()),
    };
    session.close().await;
    let text = |row: &crate::mysql::admin::Record, index| row.text(index).unwrap_or_default();
    let streams = streams.iter().map(|row| (text(row, 0), text(row, 1), text(row, 2).parse().unwrap_or_default()));
    let state = fence::state(fence).await?;
    Ok(Facts {
        fence: state.map(|state| (state.closed, state.epoch)),
        armed: fence::armed(fence).await?,
        executed,
        streams: streams.collect(),
    })
}
