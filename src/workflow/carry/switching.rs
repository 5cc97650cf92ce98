//! A runner's part in a switch: when it is begun, and what is done with one that was left half done.
//!
//! Invariant: a switch that another engine, or an earlier life of this one, was at before its commit is undone, never gone on
//! with; one that is committed is only ever brought to its end.

use crate::engine::EngineError;
use crate::model::switch::{Phase, Switch, SwitchRequest};
use crate::model::workflow::{Desired, StreamState};
use crate::topology::records::Workflow;
use crate::workflow::switch::run::{Ending, run};
use crate::workflow::switch::tools::Tools;
use crate::workflow::switch::undo::{self, turn};
use crate::workflow::switch::{SwitchError, open};

use super::report::now;
use super::runner::{Opened, Runner};
use super::streaming::Streaming;

/// How long the end of a switch waits for the way back, seconds.
const PATIENCE: u64 = 60;

impl Runner {
    /// Carries out a switch while the stream runs; the stream, if it still does.
    pub(super) async fn switch(&mut self, request: &SwitchRequest, streaming: Streaming) -> Option<Streaming> {
        self.hands_off().await;
        let tools = Tools {
            desk: &self.desk,
            credentials: &self.credentials,
            standing: &self.standing,
            watch: &self.watch,
            shutdown: &self.shutdown,
            failpoints: &self.failpoints,
        };
        match run(&tools, request, streaming).await {
            Ok(Ending::Refused(streaming)) => {
                self.standing.counts().switched("refused");
                streaming
            }
            Ok(Ending::Committed { pause, streaming }) => {
                if request.writes() {
                    self.standing.begin_anew();
                }
                if let Some(pause) = pause {
                    self.standing.counts().paused(pause);
                }
                if pause.is_some() || !request.writes() {
                    self.opened = Some(Opened { request: request.uid, pause });
                }
                streaming
            }
            Ok(Ending::Undo(why)) => {
                if let Err(error) = self.undo(&why).await {
                    tracing::warn!(%error, why, "the switch cannot be undone yet");
                }
                None
            }
            Err(error) => {
                tracing::warn!(%error, "the switch is left to whoever can read its record");
                None
            }
        }
    }

    /// Sees to a switch found in the record while no stream runs; whether anything else may be done then.
    pub(super) async fn go_on_with(&mut self, record: &Workflow, switch: &Switch) -> Result<bool, EngineError> {
        self.hands_off().await;
        let done = match &switch.phase {
            Phase::Asked => return self.still_waiting(record, switch).await,
            Phase::Doing { step } => {
                let why = format!("the engine that carried it out came no further than step {step}");
                self.undo(&why).await
            }
            Phase::Undoing { why } => self.undo(why).await,
            Phase::Finishing => return self.bring_to_its_end(record, switch).await,
            Phase::Done | Phase::Undone { .. } => return Ok(true),
        };
        match done {
            Ok(()) => Ok(false),
            Err(error) => self.trouble(format!("undoing the switch: {error}")).await.map(|()| false),
        }
    }

    /// An outcome is counted by the engine that writes it down, whichever began the switch.
    async fn undo(&self, why: &str) -> Result<(), SwitchError> {
        if undo::undo(&self.desk, &self.credentials, &self.failpoints, why).await? {
            self.standing.counts().switched("undone");
        }
        Ok(())
    }

    /// A wish needs a running stream; it does not wait for one for ever.
    async fn still_waiting(&mut self, record: &Workflow, switch: &Switch) -> Result<bool, EngineError> {
        let waited = now().saturating_sub(switch.at).saturating_mul(1_000);
        let resting = record.desired != Desired::Running || record.stopped.is_some();
        if !resting && waited < switch.request.timeout_ms {
            return Ok(true);
        }
        let message = self.standing.snapshot().message;
        let why = format!(
            "the stream did not run: {}",
            if message.is_empty() { "it was not started in time" } else { &message }
        );
        match turn(&self.desk, &Phase::Undone { why }, false).await {
            Ok(_) => {
                self.standing.counts().switched("refused");
                Ok(false)
            }
            Err(error) => self.trouble(format!("refusing the switch: {error}")).await.map(|()| false),
        }
    }

    /// Whether the new side of a committed switch is open.
    pub(super) fn has_opened(&self, switch: &Switch) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.request == switch.request.uid)
    }

    async fn bring_to_its_end(&mut self, record: &Workflow, switch: &Switch) -> Result<bool, EngineError> {
        if !self.has_opened(switch) {
            if let Err(error) = open::open(&self.desk, &self.credentials, &self.failpoints).await {
                return self.trouble(format!("opening the new side: {error}")).await.map(|()| false);
            }
            self.opened = Some(Opened { request: switch.request.uid, pause: None });
        }
        let warning = match &record.stopped {
            Some(stopped) => Some(format!("the way back does not run: {}: {}", stopped.state, stopped.message)),
            // The stream that is started next is the way back, and says when it moves.
            None if switch.request.writes() && switch.request.way_back => {
                if now().saturating_sub(switch.at) < PATIENCE {
                    return Ok(true);
                }
                Some(format!("the way back does not run yet: {}", self.standing.snapshot().message))
            }
            None => None,
        };
        match self.finish(warning).await {
            Ok(()) => Ok(false),
            Err(error) => self.trouble(format!("ending the switch: {error}")).await.map(|()| false),
        }
    }

    /// Writes down that the switch is done.
    pub(super) async fn finish(&self, warning: Option<String>) -> Result<(), SwitchError> {
        let opened = self.opened.as_ref();
        let pause = opened.and_then(|opened| opened.pause);
        let mut ended = false;
        self.desk
            .change(|record| {
                let stays = record.flow();
                let switch = record.switch.as_mut().filter(|switch| switch.phase == Phase::Finishing);
                ended = switch.is_some();
                if let Some(switch) = switch {
                    switch.phase = Phase::Done;
                    switch.at = now();
                    switch.pause_ms = pause.map(|pause| pause.as_millis() as u64);
                    switch.warning = warning.clone();
                    if switch.request.writes() && !switch.request.way_back {
                        let message = format!("nothing is replicated back ({stays}), as was asked for with the switch");
                        record.stopped =
                            Some(crate::topology::records::Stopped { state: StreamState::Stopped, message, at: now() });
                    }
                }
            })
            .await?;
        if ended {
            self.standing.counts().switched("done");
        }
        self.desk
            .log(&match pause {
                Some(pause) => format!("switch done; writes were held for {} ms", pause.as_millis()),
                None => "switch done".into(),
            })
            .await?;
        Ok(())
    }
}
