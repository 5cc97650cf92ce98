//! The steps of a switch, one after another, by the owner of its workflow.
//!
//! # Invariants
//! - A step is in the record before it is begun; those from the closing to the commit are there as one, written together
//!   with the pause: whoever finds any of them undoes the same, and until the commit nobody waits for the topology.
//! - A failure before the commit is sent leads to [`super::undo`], and so does an engine's death, by whoever comes next.
//! - Once the commit is sent, nothing is undone before the record has said that it did not happen; asking and making sure
//!   that it never will are one write.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::engine::EngineError;
use crate::failpoint::Hit;
use crate::model::GtidSet;
use crate::model::fence::Epoch;
use crate::model::switch::{Phase, Step, SwitchRequest};
use crate::mysql::admin::gtid_state;
use crate::topology::records::Workflow;
use crate::topology::{TopologyError, Versioned};
use crate::workflow::carry::Streaming;
use crate::workflow::fence::{self, Closing, Guard, Poised};
use crate::workflow::watch::Watcher;

use super::counters::{Counters, When};
use super::drain;
use super::ends::Ends;
use super::kit::{Kit, Tail};
use super::plan::plan;
use super::reopen::Reopen;
use super::tools::Tools;
use super::undo::turn;
use super::way_back::WayBack;
use super::{SwitchError, check, open, pause};

/// The most a pause may take up to the commit; longer, and it is undone (design P1).
pub const PAUSE: Duration = Duration::from_secs(5);
/// How long to wait for a moment in which no transaction would hold up the pause; less than the servers keep idle sessions.
const QUIET: Duration = Duration::from_secs(2);
/// How long those that were open when the pause began may take before it is broken off, to await another such moment. It
/// happens to those that begin between the moment and the announcement, and then everybody would wait for one that is idle.
const SHORT: Duration = Duration::from_millis(40);
/// How long the watch over the side that opens may take to have looked at what is there, before anybody is made to wait.
const SEEN: Duration = Duration::from_secs(10);
/// How long a table may be in use before it is armed.
const ARM: Duration = Duration::from_secs(10);

/// How a switch went on.
#[derive(Debug)]
pub enum Ending {
    /// It was refused before anything was changed; the stream runs on, unless its end was the reason.
    Refused(Option<Streaming>),
    /// It is committed.
    Committed {
        /// How long writes were held, if the new side is open; else [`open::open`] is left to do.
        pause: Option<Duration>,
        /// The stream, if only reads were switched.
        streaming: Option<Streaming>,
    },
    /// It must be undone, for this reason.
    Undo(String),
}

/// Carries out `request` while `streaming` runs. An error means that the record could not be read or written.
pub async fn run(tools: &Tools<'_>, request: &SwitchRequest, mut streaming: Streaming) -> Result<Ending, SwitchError> {
    let record = turn(tools.desk, &Phase::Doing { step: Step::Check }, false).await?.record;
    let checked = async {
        let ends = Ends::resolve(&tools.desk.topology, tools.credentials, &record, request.direction).await?;
        tools.reach("before", Step::Check).await?;
        tokio::select! {
            checked = check::check(tools, &record, request, &mut streaming) => checked?,
            () = tools.shutdown.cancelled() => return Err(stopping()),
        }
        tools.reach("after", Step::Check).await?;
        Ok::<_, SwitchError>(ends)
    };
    let ends = match checked.await {
        Ok(ends) => ends,
        Err(error) => {
            tools.desk.log(&format!("switch refused: {}", check::in_short(&error.to_string()))).await?;
            turn(tools.desk, &Phase::Undone { why: error.to_string() }, false).await?;
            return Ok(Ending::Refused((!streaming.is_over()).then_some(streaming)));
        }
    };
    let epoch = record.epoch;
    let mut course = Course {
        tools,
        request,
        ends,
        epoch,
        streaming: Some(streaming),
        quiet_by: Instant::now(),
        began: None,
        held: None,
        armed: Vec::new(),
        counters: None,
        way_back: None,
        guard: None,
        kit: None,
        tail: None,
        written: None,
        reopen: None,
        fence: Vec::new(),
        watchers: Vec::new(),
        poised: Vec::new(),
    };
    let outcome = course.steps().await;
    let (mut streaming, pause) = (course.streaming.take(), course.held);
    // What was closed in vain opens now, while the streams come to rest.
    drop(course);
    if (outcome.is_err() || request.writes())
        && let Some(streaming) = streaming.take()
    {
        streaming.rest().await;
    }
    match outcome {
        Ok(()) => Ok(Ending::Committed { pause, streaming }),
        Err(Failed::Before(error)) => Ok(Ending::Undo(error.to_string())),
        Err(Failed::After(error)) => {
            tracing::warn!(%error, "the switch is committed and will be brought to its end");
            Ok(Ending::Committed { pause: None, streaming })
        }
        Err(Failed::Lost(error)) => Err(error),
    }
}

/// Which side of the point of no return a failure is on.
pub(super) enum Failed {
    Before(SwitchError),
    After(SwitchError),
    /// It is not known; whoever can read the record will see.
    Lost(SwitchError),
}

impl<E: Into<SwitchError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Before(error.into())
    }
}

/// A switch under way.
pub(super) struct Course<'a> {
    pub(super) tools: &'a Tools<'a>,
    pub(super) request: &'a SwitchRequest,
    pub(super) ends: Ends,
    /// Of this attempt; what opens again comes with a higher one.
    epoch: Epoch,
    streaming: Option<Streaming>,
    /// Until when a quiet moment is waited for.
    quiet_by: Instant,
    /// When the pause was announced.
    pub(super) began: Option<Instant>,
    /// From there to the opened side.
    held: Option<Duration>,
    /// The epochs of the triggers on the closing ends, then on the opening ones.
    armed: Vec<Epoch>,
    counters: Option<Counters>,
    way_back: Option<WayBack>,
    pub(super) guard: Option<Guard>,
    kit: Option<Kit>,
    pub(super) tail: Option<Tail>,
    /// The record as the announcement has written it.
    pub(super) written: Option<Versioned<Workflow>>,
    pub(super) reopen: Option<Reopen>,
    /// F, of each closed fence.
    pub(super) fence: Vec<GtidSet>,
    /// Who looks at the closed ends.
    pub(super) watchers: Vec<Watcher>,
    poised: Vec<Poised>,
}

impl Course<'_> {
    async fn steps(&mut self) -> Result<(), Failed> {
        for step in plan(self.request).into_iter().skip(1) {
            if matches!(step, Step::Arm | Step::Pause) || !self.request.writes() {
                self.write_down(step).await?;
            }
            self.tools.reach("before", step).await.map_err(|error| self.side(step, error))?;
            let began = Instant::now();
            let taken = self.take(step).await;
            let took = began.elapsed();
            tracing::info!(workflow = self.tools.desk.label(), %step, took_ms = took.as_secs_f64() * 1e3, "switch");
            self.tools.standing.counts().step(step.as_str(), took);
            taken?;
            self.tools.reach("after", step).await.map_err(|error| self.side(step, error))?;
        }
        Ok(())
    }

    /// A failure asked for at a step.
    fn side(&self, step: Step, error: SwitchError) -> Failed {
        let committed =
            matches!(step, Step::Open) || (step == Step::Commit && self.reopen.is_none() && self.began.is_some());
        if committed { Failed::After(error) } else { Failed::Before(error) }
    }

    async fn write_down(&self, step: Step) -> Result<(), SwitchError> {
        let doing = Phase::Doing { step };
        let written = self.tools.desk.change(|record| {
            if let Some(switch) = record.switch.as_mut().filter(|switch| matches!(switch.phase, Phase::Doing { .. })) {
                switch.phase = doing.clone();
            }
        });
        match written.await? {
            Some(found) if found.record.switch.as_ref().is_some_and(|switch| switch.phase == doing) => Ok(()),
            _ => Err(SwitchError::Changed { what: "the workflow's record".into() }),
        }
    }

    async fn take(&mut self, step: Step) -> Result<(), Failed> {
        match step {
            Step::Check => Ok(()),
            Step::Arm => Ok(self.arm().await?),
            Step::Pause => Ok(self.pause().await?),
            Step::Close if self.tools.shutdown.is_cancelled() => Err(stopping().into()),
            Step::Close => Ok(self.close().await?),
            Step::Drain => Ok(self.in_time(step, "the stream or a replica").await?),
            Step::Ready => Ok(self.in_time(step, "counters or the way back").await?),
            Step::Commit => self.commit().await,
            Step::Open => self.open().await.map_err(Failed::After),
        }
    }

    /// The record as it stands.
    pub(super) async fn record(&self) -> Result<Versioned<Workflow>, SwitchError> {
        let gone = || TopologyError::Missing { what: format!("workflow {}", self.tools.desk.label()) };
        Ok(self.tools.desk.read().await?.ok_or_else(gone)?)
    }

    async fn arm(&mut self) -> Result<(), SwitchError> {
        let record = self.record().await?;
        let (epoch, fenced) = (self.epoch, record.record.fenced);
        let shut = self.ends.opening.iter().map(|new| fence::shut(&new.fence, epoch, Instant::now() + ARM));
        try_join_all(shut.collect::<Vec<_>>()).await?;
        let armed = self.ends.all().map(|one| async {
            // Once a switch has come about both sides stay armed.
            let armed = if fenced { fence::armed(&one.fence).await? } else { None };
            if armed.is_none() {
                fence::arm(&one.fence, epoch, ARM).await?;
            }
            Ok::<_, SwitchError>(armed.unwrap_or(epoch))
        });
        self.armed = try_join_all(armed.collect::<Vec<_>>()).await?;
        let (topology, direction) = (&self.tools.desk.topology, self.request.direction);
        let mut counters =
            Counters::prepare(topology, self.tools.credentials, &record.record, direction, &self.ends).await?;
        counters.raise(When::Open, Instant::now() + ARM).await?;
        self.counters = Some(counters);
        if self.request.way_back {
            self.way_back = Some(WayBack::prepare(&record.record, self.request.direction, &self.ends).await?);
        }
        // From here on a gateway's locking reads hold the fence, too.
        pause::announce(self.tools.desk, &mut self.record().await?, self.request.direction, self.epoch, None).await?;
        Ok(())
    }

    async fn pause(&mut self) -> Result<(), SwitchError> {
        for new in &self.ends.opening {
            let mut session = new.fence.side.session().await?;
            let executed = gtid_state(&mut session).await.map_err(EngineError::at(&new.fence.side.label))?.executed;
            session.close().await;
            self.tools.seen(new, &executed, Instant::now() + SEEN).await?;
        }
        self.guard = Some(Guard::take(&self.ends.closing_fences()).await?);
        let checks = self.ends.all().zip(&self.armed).map(|(end, armed)| fence::check(&end.fence, *armed));
        let states = try_join_all(checks.collect::<Vec<_>>()).await?;
        for (new, state) in self.ends.opening.iter().zip(&states[self.ends.closing.len()..]) {
            if !state.closed {
                let what = format!("the fence of {}, which somebody has opened", new.fence.side.label);
                return Err(SwitchError::Changed { what });
            }
        }
        let (direction, end) = (self.request.direction, Instant::now() + PAUSE);
        self.quiet_by = Instant::now() + QUIET;
        let mut found = self.record().await?;
        let mut kit = Kit::prepare(&self.ends, &found.record, direction, self.epoch, end).await?;
        self.hold(&mut kit.closing, &mut found).await?;
        self.kit = Some(kit);
        self.written = Some(found);
        Ok(())
    }

    /// Makes gateways hold new writes, in a moment in which nobody would hold up the closing, if there is one.
    async fn hold(&mut self, closing: &mut Closing, found: &mut Versioned<Workflow>) -> Result<(), SwitchError> {
        if !closing.wait_for_quiet(self.quiet_by).await? {
            tracing::info!("there is always a transaction that is idle after a write: the pause will wait for one");
        }
        self.began = Some(Instant::now());
        let (direction, next) = (self.request.direction, Some(Step::Close));
        let deaf = pause::announce(self.tools.desk, found, direction, self.epoch, next).await?;
        if !deaf.is_empty() {
            tracing::warn!(
                gateways = deaf.join(", "),
                "did not hear of the pause; the fence will turn their writes away"
            );
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<(), SwitchError> {
        let (mut closing, lookouts, tail) = self.kit.take().ok_or_else(unprepared)?.split();
        self.tail = Some(tail);
        let mut found = self.written.take().ok_or_else(unprepared)?;
        while Instant::now() < self.quiet_by && !closing.take(Instant::now() + SHORT).await? {
            tracing::info!("a transaction is idle after a write: those that wait for it go on, and are paused again");
            let direction = self.request.direction;
            pause::announce(self.tools.desk, &mut found, direction, self.epoch, None).await?;
            self.hold(&mut closing, &mut found).await?;
        }
        self.written = Some(found);
        self.reopen = Some(self.reopener());
        let closed = closing.close(self.deadline()).await?;
        tracing::info!(tries = closed.tries, took_ms = closed.took.as_millis() as u64, "fences closed");
        self.fence = closed.executed;
        self.watchers = lookouts.into_iter().zip(&self.fence).map(|(look, set)| look.begin(set.clone())).collect();
        Ok(())
    }

    async fn open(&mut self) -> Result<(), SwitchError> {
        let poised = std::mem::take(&mut self.poised);
        let all = poised.len() == self.ends.opening.len();
        match try_join_all(poised.into_iter().map(Poised::open)).await {
            Ok(_) if all => self.held = self.began.map(|began| began.elapsed()),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "a fence was not opened at once"),
        }
        // Whether all is as it should be is looked at in any case, by the topology as it is now.
        let opened = open::open(self.tools.desk, self.tools.credentials, self.tools.failpoints).await?;
        self.held = self.held.or_else(|| self.began.map(|began| opened - began));
        Ok(())
    }

    /// Opens the closed side when dropped; its epoch is above the one with which a closing in vain is taken back.
    pub(super) fn reopener(&self) -> Reopen {
        Reopen::new(self.ends.closing_fences(), Epoch(self.epoch.0 + 3))
    }

    /// When the pause must have come to its commit.
    pub(super) fn deadline(&self) -> Instant {
        self.began.unwrap_or_else(Instant::now) + PAUSE
    }

    /// A step within the pause.
    async fn in_time(&mut self, step: Step, waiting: &str) -> Result<(), SwitchError> {
        let end = self.deadline();
        let work = async {
            match step {
                Step::Drain => self.drain(end).await,
                _ => self.ready(end).await,
            }
        };
        let late = || SwitchError::TooSlow { step, waiting: waiting.to_owned(), limit: PAUSE };
        tokio::time::timeout_at(end, work).await.map_err(|_| late())?
    }

    async fn drain(&mut self, end: Instant) -> Result<(), SwitchError> {
        let streaming = self.streaming.as_mut().ok_or(EngineError::Cancelled)?;
        let tail = self.tail.as_mut().ok_or_else(unprepared)?;
        let passed = drain::passed(&self.ends.closing, &self.fence, streaming, end);
        tokio::try_join!(passed, tail.old_replicated(&self.fence, end))?;
        if let Some(streaming) = self.streaming.take() {
            let shared = streaming.shared();
            streaming.rest().await;
            drain::settle(&shared).await?;
        }
        tail.look(&self.fence).await
    }

    async fn ready(&mut self, end: Instant) -> Result<(), SwitchError> {
        // An engine that was stopped and wakes up here is no owner any more.
        self.tools.desk.guard.lease().check().map_err(TopologyError::from)?;
        let tail = self.tail.as_mut().ok_or_else(unprepared)?;
        for (new, arrived) in self.ends.opening.iter().zip(tail.arrived()) {
            self.tools.seen(new, arrived, end).await?;
        }
        let counters = self.counters.as_mut().ok_or_else(unprepared)?;
        self.poised = tail.ready(counters, self.way_back.as_mut(), &self.fence, end).await?;
        Ok(())
    }
}

/// The steps are not in their order.
fn unprepared() -> SwitchError {
    SwitchError::Changed { what: "the plan of the switch".into() }
}

fn stopping() -> SwitchError {
    SwitchError::Refused("the engine is being stopped: try again when it, or another one, runs".into())
}

pub(super) fn failed(Hit(point): Hit) -> SwitchError {
    SwitchError::Failpoint(point)
}
