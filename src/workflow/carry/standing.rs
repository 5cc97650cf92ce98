//! How a workflow stands: what its streams say of themselves, taken together, and what is to be said while none runs.
//!
//! # Invariants
//! - Together they are where the one that is furthest behind is: the lag is the greatest, a table is done when it is for all.
//! - What a stream has said outlives it: at rest the lag goes on growing from there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::engine::progress::{Progress, Snapshot, TableCounts};
use crate::metrics::WorkflowCounts;
use crate::model::ShardName;
use crate::model::workflow::StreamState;

/// One workflow's. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    now: Arc<Mutex<Now>>,
    counts: Arc<WorkflowCounts>,
}

#[derive(Debug, Default)]
struct Now {
    /// By source shard.
    streams: Vec<(ShardName, Progress)>,
    /// What it is while no stream runs.
    rest: Option<StreamState>,
    /// What is to be said besides what the streams say.
    word: String,
}

impl Standing {
    /// Streams from these shards begin or go on: where each says how it is, in their order.
    pub fn begin(&self, sources: impl Iterator<Item = ShardName>) -> Vec<Progress> {
        let mut now = self.lock();
        let known = std::mem::take(&mut now.streams);
        let stream = |shard: ShardName| {
            let progress = known.iter().find(|(name, _)| *name == shard).map(|(_, progress)| progress.clone());
            (shard, progress.unwrap_or_else(|| Progress::new(self.counts.clone())))
        };
        now.streams = sources.map(stream).collect();
        now.rest = None;
        now.streams.iter().map(|(_, progress)| progress.clone()).collect()
    }

    /// Forgets the streams: others begin, in the other direction.
    pub fn begin_anew(&self) {
        self.lock().streams.clear();
    }

    /// Something is to be said, or nothing any more.
    pub fn say(&self, word: impl Into<String>) {
        self.lock().word = word.into();
    }

    /// No stream runs, for this reason.
    pub fn rest(&self, state: StreamState, word: &str) {
        let mut now = self.lock();
        (now.rest, now.word) = (Some(state), word.to_owned());
    }

    /// All together.
    pub fn snapshot(&self) -> Snapshot {
        let now = self.lock();
        let mut all = together(&now.each());
        all.state = now.rest.unwrap_or(all.state);
        if !now.word.is_empty() {
            all.message.clone_from(&now.word);
        }
        all
    }

    /// Each stream by the shard it reads.
    pub fn streams(&self) -> Vec<(ShardName, Snapshot)> {
        self.lock().each()
    }

    /// What is counted of the workflow since this engine took over.
    pub fn counts(&self) -> &Arc<WorkflowCounts> {
        &self.counts
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    fn each(&self) -> Vec<(ShardName, Snapshot)> {
        self.streams.iter().map(|(shard, progress)| (shard.clone(), progress.snapshot())).collect()
    }
}

/// How far states are from where a switch can begin; the greatest is the workflow's.
fn behind(state: StreamState) -> u8 {
    match state {
        StreamState::Running => 0,
        StreamState::Lagging => 1,
        StreamState::Copying => 2,
        StreamState::Init => 3,
        StreamState::Stopped => 4,
        StreamState::Error => 5,
    }
}

/// What several streams come to.
fn together(streams: &[(ShardName, Snapshot)]) -> Snapshot {
    if let [(_, only)] = streams {
        return only.clone();
    }
    let mut all = Snapshot::default();
    let each = || streams.iter().map(|(_, snapshot)| snapshot);
    all.state = each().map(|one| one.state).max_by_key(|state| behind(*state)).unwrap_or(StreamState::Init);
    let told = |text: fn(&Snapshot) -> Option<&str>| {
        let said = streams.iter().filter_map(|(shard, one)| Some(format!("{shard}: {}", text(one)?)));
        said.collect::<Vec<_>>().join("; ")
    };
    all.message = told(|one| Some(one.message.as_str()).filter(|message| !message.is_empty()));
    all.position = told(|one| Some(&one.position));
    all.warning = Some(told(|one| one.warning.as_deref())).filter(|warning| !warning.is_empty());
    all.txns = each().map(|one| one.txns).sum();
    all.changes = each().map(|one| one.changes).sum();
    all.retention = each().filter_map(|one| one.retention).min();
    // Nothing is known of the whole before something is of each.
    if each().all(|one| one.as_of_us.is_some())
        && let Some(worst) = each().max_by_key(|one| one.lag())
    {
        (all.as_of_us, all.clock_offset_us) = (worst.as_of_us, worst.clock_offset_us);
    }
    let mut tables = BTreeMap::new();
    let unheard = each().any(|one| one.state == StreamState::Init && one.tables.is_empty());
    for (name, counts) in each().flat_map(|one| &one.tables) {
        let sum: &mut TableCounts = tables.entry(name.clone()).or_default();
        sum.rows += counts.rows;
        sum.bytes += counts.bytes;
        sum.rows_expected += counts.rows_expected;
        // `copying` comes before `copied`, and that before `done`.
        let least =
            [sum.state, counts.state].into_iter().filter(|state| !state.is_empty()).min_by_key(|state| place(state));
        sum.state = if unheard { "copying" } else { least.unwrap_or_default() };
    }
    all.tables = tables;
    all
}

fn place(state: &str) -> usize {
    ["copying", "copied", "done"].iter().position(|known| *known == state).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn together_they_are_where_the_last_one_is() {
        let standing = Standing::default();
        let shards = || ["-80", "80-"].into_iter().map(|name| name.parse().unwrap());
        let each = standing.begin(shards());
        assert_eq!(standing.snapshot().lag(), None);
        let table = |rows, state| TableCounts { rows, bytes: rows, rows_expected: 10, state };
        each[0].update(|one| {
            (one.state, one.as_of_us, one.position) = (StreamState::Running, Some(2_000_000), "a:1".into());
            one.tables.insert("t".parse().unwrap(), table(4, "done"));
        });
        assert_eq!((standing.snapshot().state, standing.snapshot().lag()), (StreamState::Init, None));
        each[1].update(|one| {
            (one.state, one.as_of_us, one.position) = (StreamState::Copying, Some(1_000_000), "b:7".into());
            one.message = "full".into();
            one.tables.insert("t".parse().unwrap(), table(3, "copying"));
        });
        let all = standing.snapshot();
        assert_eq!(
            (all.state, all.as_of_us, all.message.as_str()),
            (StreamState::Copying, Some(1_000_000), "80-: full")
        );
        assert_eq!(all.position, "-80: a:1; 80-: b:7");
        let counts = &all.tables[&"t".parse().unwrap()];
        assert_eq!((counts.rows, counts.rows_expected, counts.state), (7, 20, "copying"));
        standing.rest(StreamState::Stopped, "paused");
        let rests = standing.snapshot();
        assert_eq!(
            (rests.state, rests.message.as_str(), rests.as_of_us),
            (StreamState::Stopped, "paused", Some(1_000_000))
        );
        standing.begin(shards());
        assert_eq!(standing.snapshot().state, StreamState::Copying);
    }
}
