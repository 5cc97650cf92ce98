//! What posts have found, until the owner of the workflow has written it to the record.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::model::{Broken, ClosedSide, Gtid, GtidSet, ShardName};
use crate::workflow::carry::now;

/// How often the record is written for no more than how far was looked, or for further strangers.
const SAVE: Duration = Duration::from_secs(20);
const MORE: Duration = Duration::from_secs(5);
/// Lines that wait for the log; more are dropped.
const NOTES: usize = 16;

/// Shared by the posts of a workflow and its owner.
#[derive(Debug, Default)]
pub struct Findings(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// As the record has it, and further.
    closed: Option<ClosedSide>,
    /// When the record was last given something to write.
    told: Option<Instant>,
    /// Whether the record had a cause: if it has none any more, the operator has settled it.
    had_cause: bool,
    notes: Vec<String>,
    last_note: String,
}

impl Findings {
    /// What the record has. Findings about another switch are forgotten, and those that the operator has settled.
    pub fn begin(&self, record: &ClosedSide) {
        let mut state = self.lock();
        let settled = state.had_cause && record.broken.is_none();
        match &mut state.closed {
            Some(closed) if closed.by == record.by => {
                if settled {
                    closed.broken = None;
                } else if closed.broken.is_none() {
                    closed.broken.clone_from(&record.broken);
                }
            }
            _ => *state = State { closed: Some(record.clone()), ..State::default() },
        }
        state.had_cause = record.broken.is_some();
    }

    /// Up to where `shard` was looked through; `None` if that is not asked any more.
    pub fn watched(&self, by: Uuid, shard: &ShardName) -> Option<GtidSet> {
        let state = self.lock();
        state.closed.as_ref().filter(|closed| closed.by == by)?.shards.get(shard).map(|shard| shard.watched.clone())
    }

    /// Whether all of `executed` was looked at in `shard`; where that is not closed, there is nothing to look at.
    pub fn have_seen(&self, shard: &ShardName, executed: &GtidSet) -> bool {
        let state = self.lock();
        let shard = state.closed.as_ref().and_then(|closed| closed.shards.get(shard));
        shard.is_none_or(|shard| shard.given_up || executed.is_subset(&shard.watched))
    }

    /// Goes on from another place: what is not on the present server is nothing to it.
    pub fn resume_at(&self, by: Uuid, shard: &ShardName, at: &GtidSet) {
        self.change(by, |closed| {
            if let Some(shard) = closed.shards.get_mut(shard) {
                shard.watched = at.clone();
            }
        });
    }

    /// A transaction was looked at.
    pub fn passed(&self, by: Uuid, shard: &ShardName, gtid: &Gtid) {
        self.change(by, |closed| {
            if let Some(shard) = closed.shards.get_mut(shard) {
                shard.watched.add(gtid);
            }
        });
    }

    /// Something happened that must not; by `gtid` where a transaction did it.
    pub fn stranger(&self, by: Uuid, gtid: Option<&Gtid>, why: &str) {
        self.change(by, |closed| {
            let new = || Broken { why: why.to_owned(), strangers: GtidSet::new(), at: now() };
            let broken = closed.broken.get_or_insert_with(new);
            if let Some(gtid) = gtid {
                broken.strangers.add(gtid);
            }
        });
    }

    /// Why the way to the closed side is broken, if it is.
    pub fn why(&self) -> Option<String> {
        self.lock().closed.as_ref()?.broken.as_ref().map(|broken| broken.why.clone())
    }

    /// A line for the log, unless it is the last one again.
    pub fn note(&self, text: String) {
        let mut state = self.lock();
        if state.last_note != text {
            tracing::warn!("{text}");
            state.last_note.clone_from(&text);
            if state.notes.len() < NOTES {
                state.notes.push(text);
            }
        }
    }

    pub fn notes(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().notes)
    }

    /// What is to be written to the record, of which `old` is there: causes at once, the rest now and then, all at the
    /// `last` time.
    pub fn news(&self, old: &ClosedSide, last: bool) -> Option<ClosedSide> {
        let state = self.lock();
        let found = state.closed.as_ref().filter(|closed| closed.by == old.by && *closed != old)?.clone();
        let since = state.told.map_or(Duration::MAX, |told| told.elapsed());
        let due = match (&old.broken, &found.broken) {
            (None, Some(_)) => true,
            (Some(old), Some(found)) if old.strangers != found.strangers => since >= MORE,
            _ => since >= SAVE,
        };
        if !due && !last {
            return None;
        }
        Some(found)
    }

    /// The record has it now.
    pub fn written(&self, news: &ClosedSide) {
        let mut state = self.lock();
        state.told = Some(Instant::now());
        state.had_cause = news.broken.is_some();
    }

    fn change(&self, by: Uuid, change: impl FnOnce(&mut ClosedSide)) {
        if let Some(closed) = self.lock().closed.as_mut().filter(|closed| closed.by == by) {
            change(closed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What was written by a panicking thread is whole: nothing in here panics halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
