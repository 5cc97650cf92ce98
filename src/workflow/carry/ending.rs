//! A runner's part in a workflow's end: undone, or its tables the target's for good.

use crate::engine::EngineError;
use crate::model::workflow::StreamState;
use crate::topology::records::Workflow;

use super::runner::Runner;
use super::settle;

impl Runner {
    /// Undoes the workflow and forgets it; whether that is done.
    pub(super) async fn cancel(&mut self, record: &Workflow) -> Result<bool, EngineError> {
        self.hands_off().await;
        self.rest(StreamState::Stopped, "cancelling").await?;
        match settle::cancel(&self.desk, &self.credentials, record).await {
            Ok(()) => self.desk.forget(false).await.map(|()| true),
            Err(error) => self.trouble(format!("cancelling: {error}")).await.map(|()| false),
        }
    }

    /// Lets the workflow end with its tables at the target; whether that is done.
    pub(super) async fn complete(&mut self, record: &Workflow) -> Result<bool, EngineError> {
        self.hands_off().await;
        self.rest(StreamState::Stopped, "completing").await?;
        match settle::complete(&self.desk, &self.credentials, record).await {
            Ok(()) => {
                let keep = record.completion.is_some_and(|completion| completion.keep_routing_rules);
                self.desk.forget(keep).await.map(|()| true)
            }
            Err(error) => self.trouble(format!("completing: {error}")).await.map(|()| false),
        }
    }
}
