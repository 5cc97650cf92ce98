//! Looking at a workflow through the topology until it gets somewhere.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Bars, ProgressError, state_of};
use crate::model::workflow::StreamState;
use crate::model::{KeyspaceName, WorkflowName};
use crate::topology::records::{Status, Workflow};
use crate::topology::{Topology, paths};

const POLL: Duration = Duration::from_millis(250);

/// A workflow as the topology shows it.
#[derive(Debug)]
pub struct Watching<'a> {
    topology: &'a Topology,
    keyspace: KeyspaceName,
    name: WorkflowName,
}

/// A workflow at one moment.
#[derive(Debug, Clone)]
pub struct Sight {
    /// Its state in one word.
    pub state: String,
    /// What there is to say.
    pub message: String,
    /// Its owner's report, while it has an owner.
    pub status: Option<Status>,
}

impl<'a> Watching<'a> {
    /// The workflow `keyspace`/`name`.
    pub fn new(topology: &'a Topology, keyspace: &KeyspaceName, name: &WorkflowName) -> Self {
        Self { topology, keyspace: keyspace.clone(), name: name.clone() }
    }

    /// How it is now, error states included.
    pub async fn look(&self) -> Result<Sight, ProgressError> {
        let Self { topology, keyspace, name } = self;
        let record = topology.need::<Workflow>(&paths::workflow(keyspace, name)).await?.record;
        let status = topology.get::<Status>(&paths::status(keyspace, name)).await?.map(|found| found.record);
        let (state, message) = state_of(&record, status.as_ref());
        Ok(Sight { state, message, status })
    }

    /// Waits until `reached` says so of the state and the report. An error state or the time's end is an error.
    pub async fn until(
        &self,
        reached: impl Fn(&str, Option<&Status>) -> bool,
        limit: Duration,
    ) -> Result<(), ProgressError> {
        let deadline = Instant::now() + limit;
        loop {
            let sight = self.look().await?;
            if reached(&sight.state, sight.status.as_ref()) {
                return Ok(());
            }
            self.refuse_error(&sight)?;
            if Instant::now() > deadline {
                let (state, message) = (sight.state, sight.message);
                return Err(ProgressError::TooSlow { state, seconds: limit.as_secs(), message });
            }
            sleep(POLL).await;
        }
    }

    /// Draws until `reached` says so. An error state is an error.
    pub async fn draw(
        &self,
        bars: &mut Bars,
        mut reached: impl FnMut(&str, Option<&Status>) -> bool,
    ) -> Result<(), ProgressError> {
        loop {
            let sight = self.look().await?;
            bars.show(&sight);
            if reached(&sight.state, sight.status.as_ref()) {
                return Ok(());
            }
            self.refuse_error(&sight)?;
            sleep(POLL).await;
        }
    }

    /// An error if it rests in state Error.
    pub fn refuse_error(&self, sight: &Sight) -> Result<(), ProgressError> {
        if sight.state != StreamState::Error.as_str() {
            return Ok(());
        }
        let (keyspace, name, message) = (self.keyspace.clone(), self.name.clone(), sight.message.clone());
        Err(ProgressError::Stopped { keyspace, name, message })
    }
}
