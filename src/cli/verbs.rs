//! What can be done with a workflow, whatever it moves: the verbs of `movetables` and `reshard`.

use anyhow::Result;
use clap::{Args, Subcommand};

use super::start::{Start, StartFlags};
use super::status::StatusFlags;
use super::traffic::{Complete, Traffic};
use super::workflow::{Resume, Which, cancel, pause, show};
use super::{Context, Outcome};
use crate::model::switch::Direction;

#[derive(Debug, Subcommand)]
pub(super) enum Verb<S: Args> {
    /// Check everything, then start copying rows and following their changes
    #[command(alias = "create")]
    Start(Box<StartFlags<S>>),
    /// Show how far a workflow is
    #[command(visible_alias = "progress")]
    Status(StatusFlags),
    /// Show a workflow's record and its owner's report as JSON
    Show(Which),
    /// Let a workflow rest where it is
    #[command(alias = "stop")]
    Pause(Which),
    /// Let a workflow go on, also after an error
    Resume(Resume),
    /// Undo a workflow: what it made on the target is dropped, and only that
    Cancel(Which),
    /// Send traffic to the target: reads, writes, or both
    #[command(alias = "switchtraffic")]
    SwitchTraffic(Traffic),
    /// Send traffic back to the source
    #[command(alias = "reversetraffic")]
    ReverseTraffic(Traffic),
    /// End a workflow whose traffic is switched: its tables are the target's for good
    Complete(Complete),
}

impl<S: Start> Verb<S> {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        let topology = context.topology().await?;
        match self {
            Self::Start(start) => start.run(context, &topology).await,
            Self::Status(flags) => flags.run(context, &topology).await,
            Self::Show(which) => show(context, &topology, &which).await,
            Self::Pause(which) => pause(context, &topology, &which).await,
            Self::Resume(resume) => resume.run(context, &topology).await,
            Self::Cancel(which) => cancel(context, &topology, &which).await,
            Self::SwitchTraffic(traffic) => traffic.run(context, &topology, Direction::Forward).await,
            Self::ReverseTraffic(traffic) => traffic.run(context, &topology, Direction::Backward).await,
            Self::Complete(complete) => complete.run(context, &topology).await,
        }
    }
}
