//! A stream that is being run for a workflow: started in the direction in which its changes flow, and always joined before
//! anything else is done with its workflow.

use std::time::Duration;

use tokio::sync::watch::Sender;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::engine::EngineError;
use crate::engine::places::Places;
use crate::engine::progress::Progress;
use crate::engine::sidecar::StreamKey;
use crate::engine::stream::{Stream, StreamSpec};
use crate::engine::throttle::{Limits, Valve};
use crate::metrics::RunningStream;
use crate::model::ShardName;
use crate::model::switch::Direction;
use crate::topology::Lease;
use crate::topology::records::Workflow;

use super::replica_lag;

/// How long a cancelled stream may take to end before it is dropped.
const JOIN: Duration = Duration::from_secs(10);

/// A running stream. Dropping it ends it at once, wherever it is; see [`Self::rest`].
#[derive(Debug)]
pub struct Streaming {
    task: AbortOnDropHandle<Result<(), EngineError>>,
    cancel: CancellationToken,
    _watcher: AbortOnDropHandle<()>,
    _counted: RunningStream,
}

impl Streaming {
    /// Starts the stream between `places`, which are in the order of its flow.
    pub fn start(
        record: &Workflow,
        places: Places,
        lease: Lease,
        valve: Valve,
        progress: &Progress,
        limits: &Sender<Limits>,
    ) -> Self {
        let cancel = CancellationToken::new();
        let key = key_of(record, record.flow(), &places.source_shard, &places.target_shard);
        let backward = key.direction == Direction::Backward;
        let spec = StreamSpec {
            key,
            source: places.source,
            target: places.target,
            tables: record.spec.tables.clone(),
            // On the way back every table is there.
            created_tables: if backward { Vec::new() } else { record.created_tables.clone() },
            options: record.spec.options.clone(),
            skip_ddl: record.skip_ddl.clone(),
        };
        let watch = replica_lag::watch(places.target_replicas, limits.clone(), cancel.clone());
        let _watcher = AbortOnDropHandle::new(tokio::spawn(watch));
        let _counted = progress.counts().running();
        let run = Stream::run(spec, lease, valve, progress.clone(), cancel.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(run));
        Self { task, cancel, _watcher, _counted }
    }

    /// Resolves when it ends by itself. May be dropped and called again.
    pub async fn ended(&mut self) -> Result<(), EngineError> {
        let ended = (&mut self.task).await;
        ended.map_err(|error| EngineError::Task(error.to_string())).and_then(|outcome| outcome)
    }

    /// Whether it has ended, by itself or not.
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Brings it to rest.
    pub async fn rest(mut self) {
        self.cancel.cancel();
        if !self.task.is_finished() && timeout(JOIN, &mut self.task).await.is_err() {
            tracing::warn!("the stream did not end in time and is dropped");
            self.task.abort();
            let _ = (&mut self.task).await;
        }
    }
}

/// A workflow's stream from one shard to another; the shards are given in the order of its flow.
pub fn key_of(record: &Workflow, direction: Direction, from: &ShardName, to: &ShardName) -> StreamKey {
    let target_keyspace = match direction {
        Direction::Forward => record.spec.target_keyspace.clone(),
        Direction::Backward => record.spec.source_keyspace.clone(),
    };
    StreamKey {
        uid: record.uid,
        workflow: record.spec.name.clone(),
        direction,
        source_shard: from.clone(),
        target_keyspace,
        target_shard: to.clone(),
    }
}
