//! One workflow, carried by its owner: brings about what its record wants.
//!
//! # Invariants
//! - Everything written to the topology compares the owner's fencing token.
//! - A stream is always joined before its workflow is paused, cancelled or given up.
//! - An error that waiting may cure is retried with growing pauses; one that repeats without progress, or that waiting
//!   cannot cure, ends in the record's `stopped`, with the first cause, and rests there until the operator resumes.

use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::engine::EngineError;
use crate::engine::error::Class;
use crate::engine::places::{self, Places};
use crate::engine::progress::{Progress, Snapshot};
use crate::engine::throttle::{Limits, Valve};
use crate::failpoint::Failpoints;
use crate::mapping::Flow;
use crate::metrics::{EngineMetrics, Registered, WorkflowGauges};
use crate::model::switch::{Phase, SwitchRequest};
use crate::model::workflow::{Desired, StreamState};
use crate::mysql::Credentials;
use crate::topology::records::Workflow;
use crate::topology::{OwnerGuard, Path, paths};
use crate::workflow::watch::Watch;

use super::desk::Desk;
use super::settle;
use super::standing::Standing;
use super::streaming::Streaming;
use super::strikes::Strikes;
use super::supervisor::Supervisor;
use crate::workflow::flows::flows;

/// How often the record is looked at.
const LOOK: Duration = Duration::from_millis(300);
/// How often a report is written.
const REPORT: Duration = Duration::from_secs(1);
/// And how often at rest, where only the lag grows.
const REST_REPORT: Duration = Duration::from_secs(2);
/// How often is asked whether the streams are still between the right servers.
const SERVERS: Duration = Duration::from_secs(1);
/// A stream with less lag than this is moving.
const MOVING: Duration = Duration::from_secs(5);
/// Equal errors in a row, without progress between them, that end in state Error.
const STRIKES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_TROUBLE: Duration = Duration::from_secs(1);

/// Carries one workflow.
#[derive(Debug)]
pub struct Runner {
    pub(super) desk: Desk,
    pub(super) credentials: Credentials,
    pub(super) standing: Standing,
    limits: watch::Sender<Limits>,
    valve: Valve,
    pub(super) failpoints: Failpoints,
    pub(super) shutdown: CancellationToken,
    /// Whether the fences' rows are known to be there.
    fenced: bool,
    /// How often the same thing could not be done, one time after the other.
    troubles: u32,
    /// Who watches the closed side.
    pub(super) watch: Watch,
    /// Held while something is done to fences here.
    pub(super) hands: Option<OwnedMutexGuard<()>>,
    /// The committed switch whose new side is open.
    pub(super) opened: Option<Opened>,
    _shown: Option<Registered>,
}

/// A switch that only lacks its way back.
#[derive(Debug)]
pub(super) struct Opened {
    /// Which.
    pub request: Uuid,
    /// How long writes were held; unknown where another engine began it.
    pub pause: Option<Duration>,
}

/// What ended a stream's run.
enum Ended {
    /// By itself: every one of them well, or one of them not.
    Stream(Result<(), Failure>),
    /// The record wants something else now.
    Wish,
    /// The record wants traffic switched.
    Asked(SwitchRequest),
    /// The engine stops.
    Shutdown,
}

/// What a stream ended with, and what it had said of itself; where none was begun, nothing.
struct Failure {
    error: EngineError,
    progress: Option<Progress>,
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self { error, progress: None }
    }
}

impl Runner {
    /// For the workflow at `path`, claimed by `guard` for `engine`; `None` if that is no workflow's path.
    pub fn new(engine: &Supervisor, guard: OwnerGuard, path: &Path) -> Option<Self> {
        let (limits, receiver) = watch::channel(Limits::default());
        let (standing, valve) = (Standing::default(), Valve::new(receiver));
        let topology = engine.topology.clone();
        let watch = Watch::start(topology.clone(), engine.credentials.clone());
        let desk = Desk::new(topology, guard, path, engine.id.clone(), standing.clone(), valve.clone())?;
        Some(Self {
            desk,
            credentials: engine.credentials.clone(),
            limits,
            failpoints: engine.failpoints.clone(),
            shutdown: engine.shutdown.clone(),
            fenced: false,
            troubles: 0,
            watch,
            hands: None,
            opened: None,
            _shown: show(&engine.metrics, path, &standing, &valve),
            standing,
            valve,
        })
    }

    /// Carries the workflow until it is gone, the engine stops, or it is ours no longer.
    pub async fn run(mut self) -> Result<(), EngineError> {
        let lost = self.desk.guard.lease().lost().clone();
        let outcome = tokio::select! {
            outcome = self.carry() => outcome,
            // Dropping what runs ends its tasks and closes their connections; the target refuses what is still under way.
            () = lost.cancelled() => Err(EngineError::NotOwner),
        };
        if outcome.is_ok() {
            self.last_look().await;
            self.desk.topology.release_owner(self.desk.guard).await?;
        }
        outcome
    }

    async fn carry(&mut self) -> Result<(), EngineError> {
        let mut strikes = Strikes::default();
        while !self.shutdown.is_cancelled() {
            let Some(record) = self.desk.read().await?.map(|found| found.record) else { return Ok(()) };
            self.limits.send_modify(|limits| limits.throttle = record.throttle);
            self.look(&record).await?;
            if let Some(switch) = record.open_switch().cloned()
                && !self.go_on_with(&record, &switch).await?
            {
                continue;
            }
            match (record.desired, &record.stopped) {
                (Desired::Cancelled, _) => match self.cancel(&record).await? {
                    true => return Ok(()),
                    false => continue,
                },
                (Desired::Completed, _) => match self.complete(&record).await? {
                    true => return Ok(()),
                    false => continue,
                },
                (Desired::Paused, _) => {
                    // Whoever resumes it finds the fences' rows anew.
                    self.fenced = false;
                    self.rest(StreamState::Stopped, "paused").await?;
                }
                (Desired::Running, Some(stopped)) => self.rest(stopped.state, &stopped.message.clone()).await?,
                (Desired::Running, None) => match self.stream(&record).await {
                    Ended::Wish | Ended::Asked(_) => strikes = Strikes::default(),
                    Ended::Shutdown => return Ok(()),
                    Ended::Stream(Ok(())) => self.desk.stop(StreamState::Stopped, "the copy is complete").await?,
                    Ended::Stream(Err(failure)) => self.failed(failure, &mut strikes).await?,
                },
            }
        }
        Ok(())
    }

    async fn failed(&mut self, failure: Failure, strikes: &mut Strikes) -> Result<(), EngineError> {
        let Failure { error, progress } = failure;
        if error.class() == Class::Again {
            return Ok(());
        }
        let message = error.to_string();
        self.standing.counts().failed(error.class().as_str());
        tracing::warn!(workflow = self.desk.label(), %error, "stream ended");
        // Its own: that others get on does not mean that it does.
        let snapshot = progress.map_or_else(|| self.standing.snapshot(), |progress| progress.snapshot());
        let rows: u64 = snapshot.tables.values().map(|table| table.rows).sum();
        let count = strikes.count(&error.kind(), &message, (snapshot.position, rows));
        match error.class() {
            Class::Again | Class::Cancelled => Ok(()),
            Class::Fatal => self.desk.stop(StreamState::Error, &message).await,
            Class::Retry if count >= STRIKES => {
                let message = format!("{} (tried {count} times)", strikes.first);
                self.desk.stop(StreamState::Error, &message).await
            }
            // While our lease holds, nobody else should own the stream: taken again, but not in a race without end.
            Class::Retry | Class::Unavailable | Class::NotOwner => {
                self.desk.log(&message).await?;
                self.standing.say(format!("trying again: {message}"));
                self.desk.report().await?;
                self.wait((FIRST_PAUSE * 2u32.saturating_pow(count.min(10) - 1)).min(LONGEST_PAUSE)).await
            }
        }
    }

    /// Waits before another try, reporting meanwhile; not as long if the engine stops or the record wants something else.
    async fn wait(&mut self, pause: Duration) -> Result<(), EngineError> {
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.shutdown.is_cancelled() {
            let _ = timeout(LOOK.min(until - Instant::now()), self.shutdown.cancelled()).await;
            if self.desk.silent_for() >= REPORT {
                self.desk.report().await?;
            }
            if self.desk.read().await?.is_none_or(|found| found.record.desired != Desired::Running) {
                break;
            }
        }
        Ok(())
    }

    /// Both ends of the streams of the present flow, and what flows between them; the fences' rows are there then.
    async fn places(&mut self, record: &Workflow) -> Result<(Places, Vec<Flow>), EngineError> {
        let topology = &self.desk.topology;
        let places = places::resolve(topology, &self.credentials, &record.spec, record.flow()).await?;
        let flows = flows(topology, &record.spec, record.flow(), &places).await?;
        if !self.fenced {
            settle::fence_in(topology, &self.credentials, record).await?;
            self.fenced = true;
        }
        Ok((places, flows))
    }

    /// Runs the streams until they end or the record wants something else.
    async fn stream(&mut self, record: &Workflow) -> Ended {
        let (places, flows) = match self.places(record).await {
            Ok(found) => found,
            Err(error) => return Ended::Stream(Err(error.into())),
        };
        let lease = self.desk.guard.lease();
        let mut streaming = Streaming::start(record, places, flows, lease, &self.valve, &self.standing, &self.limits);
        loop {
            let ended = self.attend(record, &mut streaming).await;
            let Ended::Asked(request) = ended else {
                streaming.rest().await;
                return ended;
            };
            match self.switch(&request, streaming).await {
                Some(running) => streaming = running,
                None => return Ended::Wish,
            }
        }
    }

    /// Reports, and watches the record, while the streams run.
    async fn attend(&mut self, record: &Workflow, streaming: &mut Streaming) -> Ended {
        let mut next_report = Instant::now();
        let stuck = self.standing.snapshot().mark();
        let mut next_look_at_servers = Instant::now() + SERVERS;
        loop {
            tokio::select! {
                ended = streaming.ended() => {
                    let failure = |(progress, error)| Failure { error, progress: Some(progress) };
                    return Ended::Stream(ended.map_err(failure));
                }
                () = self.shutdown.cancelled() => return Ended::Shutdown,
                () = tokio::time::sleep(LOOK) => {}
            }
            // An unreachable topology does not stop the data path while our lease may hold; losing that does.
            match self.desk.read().await {
                Ok(Some(found)) => {
                    let new = found.record;
                    // Before a switch begins: what the operator has settled since must not stand in its way.
                    self.watch.show(&new);
                    if let Some(switch) = new.open_switch() {
                        match &switch.phase {
                            Phase::Asked => return Ended::Asked(switch.request.clone()),
                            // One that an operator has committed by force.
                            Phase::Finishing if !self.has_opened(switch) => return Ended::Wish,
                            Phase::Finishing if self.is_moving() => {
                                if let Err(error) = self.finish(None).await {
                                    tracing::warn!(%error, "the end of the switch cannot be written yet");
                                }
                            }
                            _ => {}
                        }
                    }
                    if let Err(error) = self.look(&new).await {
                        tracing::warn!(%error, "what the closed side's watch has found cannot be written yet");
                    }
                    if new.throttle != self.limits.borrow().throttle {
                        self.limits.send_modify(|limits| limits.throttle = new.throttle);
                    }
                    if new.desired != record.desired
                        || new.stopped.is_some()
                        || new.spec != record.spec
                        || new.skip_ddl != record.skip_ddl
                    {
                        return Ended::Wish;
                    }
                }
                Ok(None) => return Ended::Wish,
                Err(error) => tracing::warn!(%error, "the topology cannot be read"),
            }
            if Instant::now() >= next_look_at_servers {
                next_look_at_servers = Instant::now() + SERVERS;
                if self.have_moved(record, streaming.places()).await {
                    // The fence's row of a new primary may be older than the former one's.
                    self.fenced = false;
                    return Ended::Wish;
                }
            }
            if Instant::now() >= next_report {
                next_report = Instant::now() + REPORT;
                if self.standing.snapshot().mark() != stuck {
                    self.standing.say("");
                }
                if let Err(error) = self.desk.report().await {
                    tracing::warn!(%error, "the status cannot be written");
                }
            }
        }
    }

    /// Reports a state of rest and waits a little.
    pub(super) async fn rest(&mut self, state: StreamState, message: &str) -> Result<(), EngineError> {
        let snapshot = self.standing.snapshot();
        if snapshot.state != state || snapshot.message != message {
            self.standing.rest(state, message);
            self.desk.report().await?;
        } else if self.desk.silent_for() >= REST_REPORT {
            self.desk.report().await?;
        }
        let _ = timeout(LOOK, self.shutdown.cancelled()).await;
        Ok(())
    }

    /// Whether the streams follow their sources closely.
    fn is_moving(&self) -> bool {
        let snapshot = self.standing.snapshot();
        snapshot.state == StreamState::Running && snapshot.lag().is_some_and(|lag| lag < MOVING)
    }

    /// Says why something cannot be done yet that must be done, and waits; longer each time the reason is the same, but
    /// never so long that writers wait noticeably longer for it than for its cure.
    pub(super) async fn trouble(&mut self, what: String) -> Result<(), EngineError> {
        let message = format!("{what}; trying again");
        tracing::warn!(workflow = self.desk.label(), message);
        let again = self.standing.snapshot().message == message;
        self.troubles = if again { self.troubles + 1 } else { 0 };
        // The log keeps its last lines only: a reason stands there once.
        if !again {
            self.desk.log(&message).await?;
        }
        self.standing.say(message);
        self.desk.report().await?;
        let pause = (FIRST_PAUSE * 2u32.saturating_pow(self.troubles.min(10))).min(LONGEST_TROUBLE);
        let _ = timeout(pause, self.shutdown.cancelled()).await;
        Ok(())
    }
}

/// Shows the workflow in `metrics`.
fn show(metrics: &EngineMetrics, path: &Path, standing: &Standing, valve: &Valve) -> Option<Registered> {
    let (keyspace, name) = paths::workflow_names(path)?;
    let (counts, standing, valve) = (standing.counts().clone(), standing.clone(), valve.clone());
    let look = move || gauges(&standing.snapshot(), valve.held());
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
