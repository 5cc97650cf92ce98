//! One workflow, carried by its owner: brings about what its record wants.
//!
//! # Invariants
//! - Everything written to the topology compares the owner's fencing token.
//! - A stream is always joined before its workflow is paused, cancelled or given up.
//! - An error that waiting may cure is retried with growing pauses; one that repeats without progress, or that waiting
//!   cannot cure, ends in the record's `stopped`, with the first cause, and rests there until the operator resumes.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::metrics::{EngineMetrics, Registered, WorkflowGauges};
use crate::model::workflow::{Desired, StreamState, TabletType};
use crate::model::{InstanceId, ShardName};
use crate::mysql::Credentials;
use crate::topology::records::{Log, Stopped, Workflow};
use crate::topology::{OwnerGuard, Path, Topology, Txn, TxnOutcome, Versioned, paths};

use super::cleanup;
use super::connect::Side;
use super::error::{Class, EngineError};
use super::places;
use super::progress::{Progress, Snapshot};
use super::replica_lag;
use super::report::{Reporter, note, now};
use super::sidecar::StreamKey;
use super::stream::{Stream, StreamSpec};
use super::throttle::{Limits, Valve};

/// How often the record is looked at.
const LOOK: Duration = Duration::from_millis(300);
/// How often a report is written.
const REPORT: Duration = Duration::from_secs(1);
/// And how often at rest, where only the lag grows.
const REST_REPORT: Duration = Duration::from_secs(2);
/// How long a cancelled stream may take to end before it is dropped.
const JOIN: Duration = Duration::from_secs(10);
/// Equal errors in a row, without progress between them, that end in state Error.
const STRIKES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Carries one workflow.
#[derive(Debug)]
pub struct Runner {
    topology: Topology,
    credentials: Credentials,
    guard: OwnerGuard,
    path: Path,
    reporter: Reporter,
    reported: Instant,
    progress: Progress,
    limits: watch::Sender<Limits>,
    valve: Valve,
    shutdown: CancellationToken,
    _shown: Option<Registered>,
}

/// What ended a stream's run.
enum Ended {
    /// By itself.
    Stream(Result<(), EngineError>),
    /// The record wants something else now.
    Wish,
    /// The engine stops.
    Shutdown,
}

impl Runner {
    /// For the workflow at `path`, claimed by `guard`.
    pub fn new(
        topology: Topology,
        credentials: Credentials,
        guard: OwnerGuard,
        path: Path,
        engine: InstanceId,
        shutdown: CancellationToken,
        metrics: &EngineMetrics,
    ) -> Self {
        let (limits, receiver) = watch::channel(Limits::default());
        let (reporter, progress, valve) = (Reporter::new(engine), Progress::default(), Valve::new(receiver));
        let reported = Instant::now();
        let _shown = show(metrics, &path, &progress, &valve);
        Self { topology, credentials, guard, path, reporter, reported, progress, limits, valve, shutdown, _shown }
    }

    /// Carries the workflow until it is gone, the engine stops, or it is ours no longer.
    pub async fn run(mut self) -> Result<(), EngineError> {
        let lost = self.guard.lease().lost().clone();
        let outcome = tokio::select! {
            outcome = self.carry() => outcome,
            // Dropping what runs ends its tasks and closes their connections; the target refuses what is still under way.
            () = lost.cancelled() => Err(EngineError::NotOwner),
        };
        if outcome.is_ok() {
            self.topology.release_owner(self.guard).await?;
        }
        outcome
    }

    async fn carry(&mut self) -> Result<(), EngineError> {
        let mut strikes = Strikes::default();
        while !self.shutdown.is_cancelled() {
            let Some(Versioned { record, .. }) = self.topology.get::<Workflow>(&self.path).await? else {
                return Ok(());
            };
            self.limits.send_modify(|limits| limits.throttle = record.throttle);
            match (record.desired, &record.stopped) {
                (Desired::Cancelled, _) => return self.cancel(&record).await,
                (Desired::Paused, _) => self.rest(StreamState::Stopped, "paused").await?,
                (Desired::Running, Some(stopped)) => self.rest(stopped.state, &stopped.message.clone()).await?,
                (Desired::Running, None) => match self.stream(&record).await {
                    Ended::Wish => strikes = Strikes::default(),
                    Ended::Shutdown => return Ok(()),
                    Ended::Stream(Ok(())) => self.stop(StreamState::Stopped, "the copy is complete").await?,
                    Ended::Stream(Err(error)) => self.failed(error, &mut strikes).await?,
                },
            }
        }
        Ok(())
    }

    async fn failed(&mut self, error: EngineError, strikes: &mut Strikes) -> Result<(), EngineError> {
        if error.class() == Class::Again {
            return Ok(());
        }
        let message = error.to_string();
        self.progress.counts().failed(error.class().as_str());
        tracing::warn!(workflow = %self.path, %error, "stream ended");
        let snapshot = self.progress.snapshot();
        let rows: u64 = snapshot.tables.values().map(|table| table.rows).sum();
        let count = strikes.count(&error.kind(), &message, (snapshot.position, rows));
        match error.class() {
            Class::Again | Class::Cancelled => Ok(()),
            Class::Fatal => self.stop(StreamState::Error, &message).await,
            Class::Retry if count >= STRIKES => {
                let message = format!("{} (tried {count} times)", strikes.first);
                self.stop(StreamState::Error, &message).await
            }
            // While our lease holds, nobody else should own the stream: taken again, but not in a race without end.
            Class::Retry | Class::Unavailable | Class::NotOwner => {
                self.log(&message).await?;
                self.progress.update(|snapshot| snapshot.message = format!("trying again: {message}"));
                self.report().await?;
                self.wait((FIRST_PAUSE * 2u32.saturating_pow(count.min(10) - 1)).min(LONGEST_PAUSE)).await
            }
        }
    }

    /// Waits before another try, reporting meanwhile; not as long if the engine stops or the record wants something else.
    async fn wait(&mut self, pause: Duration) -> Result<(), EngineError> {
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.shutdown.is_cancelled() {
            let _ = timeout(LOOK.min(until - Instant::now()), self.shutdown.cancelled()).await;
            if self.reported.elapsed() >= REPORT {
                self.report().await?;
            }
            let found = self.topology.get::<Workflow>(&self.path).await?;
            if found.is_none_or(|found| found.record.desired != Desired::Running) {
                break;
            }
        }
        Ok(())
    }

    /// Runs the stream until it ends or the record wants something else.
    async fn stream(&mut self, record: &Workflow) -> Ended {
        let places = match places::resolve(&self.topology, &self.credentials, &record.spec).await {
            Ok(places) => places,
            Err(error) => return Ended::Stream(Err(error)),
        };
        let cancel = CancellationToken::new();
        let spec = StreamSpec {
            key: key(record, places.source_shard, places.target_shard),
            source: places.source,
            target: places.target,
            tables: record.spec.tables.clone(),
            created_tables: record.created_tables.clone(),
            options: record.spec.options.clone(),
            skip_ddl: record.skip_ddl.clone(),
        };
        let _watcher = AbortOnDropHandle::new(tokio::spawn(replica_lag::watch(
            places.target_replicas,
            self.limits.clone(),
            cancel.clone(),
        )));
        let lease = self.guard.lease().clone();
        let _running = self.progress.counts().running();
        let run = Stream::run(spec, lease, self.valve.clone(), self.progress.clone(), cancel.clone());
        let mut task = AbortOnDropHandle::new(tokio::spawn(run));
        let ended = self.attend(record, &mut task).await;
        cancel.cancel();
        if !matches!(ended, Ended::Stream(_)) && timeout(JOIN, &mut task).await.is_err() {
            tracing::warn!(workflow = %self.path, "the stream did not end in time and is dropped");
            task.abort();
            let _ = task.await;
        }
        ended
    }

    /// Reports, and watches the record, while the stream runs.
    async fn attend(&mut self, record: &Workflow, task: &mut AbortOnDropHandle<Result<(), EngineError>>) -> Ended {
        let mut next_report = Instant::now();
        let stuck = self.progress.snapshot().mark();
        loop {
            tokio::select! {
                ended = &mut *task => {
                    let ended = ended.map_err(|error| EngineError::Task(error.to_string()));
                    return Ended::Stream(ended.and_then(|outcome| outcome));
                }
                () = self.shutdown.cancelled() => return Ended::Shutdown,
                () = tokio::time::sleep(LOOK) => {}
            }
            // An unreachable topology does not stop the data path while our lease may hold; losing that does.
            match self.topology.get::<Workflow>(&self.path).await {
                Ok(Some(Versioned { record: new, .. })) => {
                    if new.throttle != self.limits.borrow().throttle {
                        self.limits.send_modify(|limits| limits.throttle = new.throttle);
                    }
                    if new.desired != record.desired || new.spec != record.spec || new.skip_ddl != record.skip_ddl {
                        return Ended::Wish;
                    }
                }
                Ok(None) => return Ended::Wish,
                Err(error) => tracing::warn!(%error, "the topology cannot be read"),
            }
            if Instant::now() >= next_report {
                next_report = Instant::now() + REPORT;
                let snapshot = self.progress.snapshot();
                if snapshot.message.starts_with("trying again") && snapshot.mark() != stuck {
                    self.progress.update(|snapshot| snapshot.message.clear());
                }
                if let Err(error) = self.report().await {
                    tracing::warn!(%error, "the status cannot be written");
                }
            }
        }
    }

    /// Reports a state of rest and waits a little.
    async fn rest(&mut self, state: StreamState, message: &str) -> Result<(), EngineError> {
        let snapshot = self.progress.snapshot();
        if snapshot.state != state || snapshot.message != message {
            self.progress.update(|snapshot| {
                snapshot.state = state;
                snapshot.message = message.to_string();
            });
            self.report().await?;
        } else if self.reported.elapsed() >= REST_REPORT {
            self.report().await?;
        }
        let _ = timeout(LOOK, self.shutdown.cancelled()).await;
        Ok(())
    }

    /// Notes in the record that the workflow rests by itself.
    async fn stop(&mut self, state: StreamState, message: &str) -> Result<(), EngineError> {
        self.log(&format!("{state}: {message}")).await?;
        let stopped = Stopped { state, message: message.to_string(), at: now() };
        loop {
            let Some(Versioned { mut record, revision }) = self.topology.get::<Workflow>(&self.path).await? else {
                return Ok(());
            };
            record.stopped = Some(stopped.clone());
            let txn =
                self.topology.put(self.topology.unchanged(Txn::new(), &self.path, revision), &self.path, &record)?;
            if let TxnOutcome::Committed { .. } = self.topology.txn_as_owner(&self.guard, txn).await? {
                return Ok(());
            }
        }
    }

    async fn report(&mut self) -> Result<(), EngineError> {
        self.reported = Instant::now();
        let status = self.reporter.status(&self.progress, &self.valve);
        let Some((keyspace, name)) = paths::workflow_names(&self.path) else { return Ok(()) };
        let path = paths::status(&keyspace, &name);
        let txn = self.topology.put_leased(Txn::new(), &path, &status, self.guard.lease())?;
        self.topology.txn_as_owner(&self.guard, txn).await?;
        Ok(())
    }

    async fn log(&mut self, message: &str) -> Result<(), EngineError> {
        let Some((keyspace, name)) = paths::workflow_names(&self.path) else { return Ok(()) };
        let path = paths::log(&keyspace, &name);
        let mut log = self.topology.get::<Log>(&path).await?.map(|found| found.record).unwrap_or_default();
        note(&mut log, message);
        let txn = self.topology.put(Txn::new(), &path, &log)?;
        self.topology.txn_as_owner(&self.guard, txn).await?;
        Ok(())
    }

    /// Where a workflow writes, and its stream's identity.
    async fn target_of(&self, record: &Workflow) -> Result<(Side, StreamKey), EngineError> {
        let spec = &record.spec;
        let from = places::only_shard(&self.topology, &spec.source_keyspace).await?;
        let to = places::only_shard(&self.topology, &spec.target_keyspace).await?;
        let primary = to.pick(&spec.target_keyspace, &[TabletType::Primary])?;
        let target = places::side("target", &self.credentials, primary)?;
        Ok((target, key(record, from.name, to.name)))
    }

    /// Undoes the workflow and forgets it.
    async fn cancel(&mut self, record: &Workflow) -> Result<(), EngineError> {
        self.progress.update(|snapshot| {
            snapshot.state = StreamState::Stopped;
            snapshot.message = "cancelling".into();
        });
        self.report().await?;
        let undone = async {
            // The source may be gone for good; it was never touched.
            let (target, key) = self.target_of(record).await?;
            cleanup::undo(&target, &key, &record.created_tables).await
        };
        if let Err(error) = undone.await {
            self.progress.counts().failed(error.class().as_str());
            let message = format!("cancelling: {error}; trying again");
            self.log(&message).await?;
            self.progress.update(|snapshot| snapshot.message = message);
            self.report().await?;
            let _ = timeout(LONGEST_PAUSE, self.shutdown.cancelled()).await;
            return Ok(());
        }
        let Some((keyspace, name)) = paths::workflow_names(&self.path) else { return Ok(()) };
        let mut txn = self.topology.delete(Txn::new(), &self.path);
        txn = self.topology.delete(txn, &paths::status(&keyspace, &name));
        txn = self.topology.delete(txn, &paths::log(&keyspace, &name));
        self.topology.txn_as_owner(&self.guard, txn).await?;
        Ok(())
    }
}

/// Shows the workflow in `metrics`.
fn show(metrics: &EngineMetrics, path: &Path, progress: &Progress, valve: &Valve) -> Option<Registered> {
    let (keyspace, name) = paths::workflow_names(path)?;
    let (counts, progress, valve) = (progress.counts().clone(), progress.clone(), valve.clone());
    let look = move || {
        let throttled = valve.held();
        progress.look(|snapshot| gauges(snapshot, throttled))
    };
    Some(metrics.workflow(keyspace.as_str(), name.as_str(), counts, look))
}

fn gauges(snapshot: &Snapshot, throttled: Vec<(&'static str, Duration)>) -> WorkflowGauges {
    let lag = snapshot.lag();
    WorkflowGauges {
        state: snapshot.state.as_str(),
        lag,
        copy_rows: snapshot.tables.values().map(|table| table.rows).sum(),
        copy_expected_rows: snapshot.tables.values().map(|table| table.rows_expected).sum(),
        purge_margin_seconds: snapshot.retention.zip(lag).map(|(kept, lag)| kept.as_secs_f64() - lag.as_secs_f64()),
        throttled,
    }
}

fn key(record: &Workflow, source_shard: ShardName, target_shard: ShardName) -> StreamKey {
    StreamKey {
        uid: record.uid,
        workflow: record.spec.name.clone(),
        source_shard,
        target_keyspace: record.spec.target_keyspace.clone(),
        target_shard,
    }
}

/// Errors of one kind in a row.
#[derive(Debug, Default)]
struct Strikes {
    kind: String,
    first: String,
    count: u32,
    mark: (String, u64),
}

impl Strikes {
    /// How often an error of this kind has come in a row with the progress at `mark`.
    fn count(&mut self, kind: &str, message: &str, mark: (String, u64)) -> u32 {
        if self.kind != kind || self.mark != mark {
            *self = Self { kind: kind.to_string(), first: message.to_string(), count: 0, mark };
        }
        self.count += 1;
        self.count
    }
}
