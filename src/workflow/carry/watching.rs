//! A runner's part in the watch over the closed side: shows it the record, and writes down what it has found. And whether the
//! streams are still between the servers they belong between.
//!
//! Invariant: while anything is done to the fences here, the watch does nothing to them; it goes on only when it has been
//! shown the record as that has left it.

use crate::engine::EngineError;
use crate::engine::places::{self, Places};
use crate::model::ClosedSide;
use crate::topology::records::Workflow;

use super::runner::Runner;

impl Runner {
    /// Shows the record to the watch, and writes what is new.
    pub(super) async fn look(&mut self, record: &Workflow) -> Result<(), EngineError> {
        self.watch.show(record);
        self.hands = None;
        for note in self.watch.notes() {
            self.desk.log(&note).await?;
        }
        match record.closed.as_ref().and_then(|closed| self.watch.news(closed, false)) {
            Some(news) => self.write_down(news).await,
            None => Ok(()),
        }
    }

    /// Saves how far was looked, so that the next owner goes on there.
    pub(super) async fn last_look(&self) {
        let saved = async {
            let Some(record) = self.desk.read().await?.map(|found| found.record) else { return Ok(()) };
            match record.closed.as_ref().and_then(|closed| self.watch.news(closed, true)) {
                Some(news) => self.write_down(news).await,
                None => Ok(()),
            }
        };
        if let Err(error) = saved.await {
            tracing::warn!(%error, "the next owner looks again at some of the closed side's binlog");
        }
    }

    /// Until the next [`look`](Self::look) the watch keeps its hands off the fences.
    pub(super) async fn hands_off(&mut self) {
        if self.hands.is_none() {
            self.hands = Some(self.watch.still().await);
        }
    }

    /// Whether the streams belong between other servers than these by now: a former primary takes what is streamed to it, and
    /// says nothing new, for as long as it likes.
    pub(super) async fn have_moved(&self, record: &Workflow, places: &Places) -> bool {
        let (topology, credentials) = (&self.desk.topology, &self.credentials);
        match places::resolve(topology, credentials, &record.spec, record.flow()).await {
            Ok(now) => !now.same_servers(places),
            Err(error) => {
                tracing::warn!(workflow = self.desk.label(), %error, "whether the primaries are the same cannot be asked");
                false
            }
        }
    }

    async fn write_down(&self, news: ClosedSide) -> Result<(), EngineError> {
        let mut broken = None;
        self.desk
            .change(|record| {
                broken = None;
                if let Some(closed) = record.closed.as_mut().filter(|closed| closed.by == news.by) {
                    if closed.broken.is_none() {
                        broken.clone_from(&news.broken);
                    }
                    *closed = news.clone();
                }
            })
            .await?;
        self.watch.written(&news);
        match broken {
            Some(broken) => self.desk.log(&format!("the way back is broken: {}", broken.why)).await,
            None => Ok(()),
        }
    }
}
