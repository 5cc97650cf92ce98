//! The streams that are being run for a workflow, one a source shard: started in the direction in which its changes flow,
//! and always joined before anything else is done with their workflow.

use std::time::Duration;

use futures_util::future::{join_all, select_all};
use tokio::sync::watch::Sender;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::engine::EngineError;
use crate::engine::conflict::{Owners, SourceShard};
use crate::engine::places::{Places, SourcePlace};
use crate::engine::progress::Progress;
use crate::engine::sidecar::StreamKey;
use crate::engine::stream::{Begins, Stream, StreamSpec, TargetSpec};
use crate::engine::throttle::{Limits, Valve};
use crate::mapping::{Flow, Shared};
use crate::metrics::RunningStream;
use crate::model::ShardName;
use crate::model::switch::Direction;
use crate::topology::Lease;
use crate::topology::records::Workflow;

use super::replica_lag;
use super::standing::Standing;

/// How long a cancelled stream may take to end before it is dropped.
const JOIN: Duration = Duration::from_secs(10);

/// Running streams. Dropping them ends them at once, wherever they are; see [`Self::rest`].
#[derive(Debug)]
pub struct Streaming {
    streams: Vec<Running>,
    places: Places,
    cancel: CancellationToken,
    _watcher: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Running {
    source: ShardName,
    /// What it is made of, where others feed the same targets and it is the first of them.
    shared: Option<StreamSpec>,
    progress: Progress,
    /// `None` once it has ended well.
    task: Option<AbortOnDropHandle<Result<(), EngineError>>>,
    _counted: RunningStream,
}

impl Streaming {
    /// Starts the streams of `flows` between `places`, which are in the order of their flow.
    pub fn start(
        record: &Workflow,
        places: Places,
        flows: Vec<Flow>,
        lease: &Lease,
        valve: &Valve,
        standing: &Standing,
        limits: &Sender<Limits>,
    ) -> Self {
        let cancel = CancellationToken::new();
        let direction = record.flow();
        let sources = flows.iter().filter_map(|flow| places.sources.get(flow.source));
        let told = standing.begin(sources.map(|source| source.shard.clone()));
        let mut streams = Vec::new();
        for (flow, progress) in flows.into_iter().zip(told) {
            let Some(source) = places.sources.get(flow.source) else { continue };
            let targets = flow.targets.iter().filter_map(|place| places.targets.get(*place));
            let spec = StreamSpec {
                source: source.side.clone(),
                targets: targets
                    .map(|target| TargetSpec {
                        key: key_of(record, direction, &source.shard, &target.shard),
                        side: target.side.clone(),
                    })
                    .collect(),
                mapping: flow.mapping,
                owners: flow.shared.as_ref().map(|shared| owners(shared, &places)),
                begins: begins(record, &source.shard),
                tables: flow.tables,
                // On the way back every table is there.
                created_tables: match direction {
                    Direction::Forward => record.created_tables.clone(),
                    Direction::Backward => Vec::new(),
                },
                options: record.spec.options.clone(),
                skip_ddl: record.skip_ddl.clone(),
            };
            let shared = flow.shared.filter(|shared| shared.own == 0).map(|_| spec.clone());
            let _counted = standing.counts().running();
            let run = Stream::run(spec, lease.clone(), valve.clone(), progress.clone(), cancel.clone());
            let task = Some(AbortOnDropHandle::new(tokio::spawn(run)));
            streams.push(Running { source: source.shard.clone(), shared, progress, task, _counted });
        }
        let replicas = places.targets.iter().flat_map(|target| target.replicas.clone()).collect();
        let watch = replica_lag::watch(replicas, limits.clone(), cancel.clone());
        let _watcher = AbortOnDropHandle::new(tokio::spawn(watch));
        Self { streams, places, cancel, _watcher }
    }

    /// Resolves when one fails, with what it has said; or when all have ended well. May be dropped and called again.
    pub async fn ended(&mut self) -> Result<(), (Progress, EngineError)> {
        loop {
            let running = self.streams.iter_mut().enumerate();
            let tasks = running.filter_map(|(place, stream)| {
                let task = stream.task.as_mut()?;
                Some(Box::pin(async move { (place, task.await) }))
            });
            let tasks: Vec<_> = tasks.collect();
            if tasks.is_empty() {
                return Ok(());
            }
            let ((place, ended), ..) = select_all(tasks).await;
            let ended = ended.map_err(|error| EngineError::Task(error.to_string())).and_then(|outcome| outcome);
            if let Some(stream) = self.streams.get_mut(place) {
                // A task that has ended must not be asked again.
                stream.task = None;
                ended.map_err(|error| (stream.progress.clone(), error))?;
            }
        }
    }

    /// Whether any has ended, by itself or not.
    pub fn is_over(&self) -> bool {
        self.streams.iter().any(|stream| stream.task.as_ref().is_none_or(|task| task.is_finished()))
    }

    /// Between which servers they were started.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// What the stream from this shard says of itself.
    pub fn progress(&self, source: &ShardName) -> Option<Progress> {
        self.streams.iter().find(|stream| stream.source == *source).map(|stream| stream.progress.clone())
    }

    /// One stream of each group of sources that feed the same targets.
    pub fn shared(&self) -> Vec<StreamSpec> {
        self.streams.iter().filter_map(|stream| stream.shared.clone()).collect()
    }

    /// Brings them to rest.
    pub async fn rest(mut self) {
        self.cancel.cancel();
        let tasks = self.streams.iter_mut().filter_map(|stream| stream.task.take());
        let ends = tasks.map(|mut task| async move {
            if !task.is_finished() && timeout(JOIN, &mut task).await.is_err() {
                tracing::warn!("the stream did not end in time and is dropped");
                task.abort();
                let _ = (&mut task).await;
            }
        });
        join_all(ends.collect::<Vec<_>>()).await;
    }
}

/// What the stream from this shard begins with: after a switch of writes, level where its shard was opened.
fn begins(record: &Workflow, from: &ShardName) -> Begins {
    match &record.closed {
        None => Begins::Copying,
        Some(closed) => Begins::Level(closed.opened.get(from).cloned()),
    }
}

/// The sources of a flow that others share targets with, each where it is read.
fn owners(shared: &Shared, places: &Places) -> Owners {
    let sources = shared.sources.iter().filter_map(|place| places.sources.get(*place));
    let source = |source: &SourcePlace| SourceShard { name: source.shard.clone(), side: source.side.clone() };
    Owners { sources: sources.map(source).collect(), own: shared.own, mapping: shared.mapping.clone() }
}

/// A workflow's stream from one shard to another; the shards are given in the order of its flow.
pub fn key_of(record: &Workflow, direction: Direction, from: &ShardName, to: &ShardName) -> StreamKey {
    let (_, into) = record.spec.sides(direction);
    StreamKey {
        uid: record.uid,
        workflow: record.spec.name.clone(),
        direction,
        source_shard: from.clone(),
        target_keyspace: into.keyspace.clone(),
        target_shard: to.clone(),
    }
}
