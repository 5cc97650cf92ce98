//! The side that a switch has closed stays closed, and nobody goes round its fence unseen (design §5.1 "Roads round it",
//! protocol-review A6, A13).
//!
//! # Invariants
//! - From the closing of the fence on, every transaction in the binlog of each closed primary is looked at, over deaths of
//!   engines and changes of primaries: from F on, by GTID. One that changes a moved table and is not the streams' own undoes
//!   the switch as long as it is not committed; afterwards the record says that the way to that side is
//!   [`Broken`](crate::model::Broken), and no switch goes there.
//! - What cannot be looked at any more, because the server has purged it, counts as such a change.
//! - A primary that has come since is closed and armed before anything else is done there, and must have F.
//! - Posts act on a fence only while the owner lets them, and with the epoch the record has: what a switch does comes with a
//!   higher one.
//! - Nothing is written to the topology here: the owner of the workflow does that ([`Watch::news`]), and saves how far each
//!   shard was looked through. Reading something twice is harmless.
//!
//! | module | what it does |
//! |---|---|
//! | [`judge`] | whether a transaction is a stranger's; pure |
//! | [`lookout`] | from the closing to the commit |
//! | [`seal`] | makes sure that a primary is closed |
//! | [`post`] | one closed shard, for as long as its primary is the same |
//! | [`findings`] | what posts have found, for the owner to write down |

mod findings;
mod judge;
mod lookout;
mod post;
mod seal;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::model::workflow::Desired;
use crate::model::{ClosedSide, GtidSet, ShardName};
use crate::mysql::Credentials;
use crate::topology::Topology;
use crate::topology::records::Workflow;
use crate::workflow::switch::ends::Ends;

use findings::Findings;
pub use lookout::{Lookout, Watcher};
use post::Post;
pub use post::lacking;
pub use seal::{lacks, seal};

/// How often the topology is asked which the primaries are.
const LOOK: Duration = Duration::from_secs(1);
/// And how often, whether something was looked at by now.
const AGAIN: Duration = Duration::from_millis(2);

/// Watches the closed side of one workflow while it lives.
#[derive(Debug)]
pub struct Watch {
    record: watch::Sender<Option<Arc<Workflow>>>,
    findings: Arc<Findings>,
    hands: Arc<Mutex<()>>,
    _task: AbortOnDropHandle<()>,
}

impl Watch {
    /// Watches nothing before it is [shown](Self::show) a record.
    pub fn start(topology: Topology, credentials: Credentials) -> Self {
        let (record, seen) = watch::channel(None);
        let (findings, hands) = (Arc::<Findings>::default(), Arc::<Mutex<()>>::default());
        let posts = Posts { topology, credentials, record: seen, findings: findings.clone(), hands: hands.clone() };
        let _task = AbortOnDropHandle::new(tokio::spawn(posts.run()));
        Self { record, findings, hands, _task }
    }

    /// Says what the workflow is now. One that ends is not watched any more.
    pub fn show(&self, record: &Workflow) {
        let watched = record.closed.is_some() && matches!(record.desired, Desired::Running | Desired::Paused);
        if let Some(closed) = record.closed.as_ref().filter(|_| watched) {
            self.findings.begin(closed);
        }
        let same = |old: &Option<Arc<Workflow>>| match (old, watched) {
            (None, false) => true,
            (Some(old), true) => old.epoch == record.epoch && by(old) == by(record) && old.spec == record.spec,
            _ => false,
        };
        self.record.send_if_modified(|old| {
            let changed = !same(old);
            if changed {
                *old = watched.then(|| Arc::new(record.clone()));
            }
            changed
        });
    }

    /// Keeps the posts' hands off fences for as long as this is held; returns when what is under way has ended.
    pub async fn still(&self) -> OwnedMutexGuard<()> {
        self.hands.clone().lock_owned().await
    }

    /// Why traffic must not go to the closed side, if anything was found.
    pub fn broken(&self) -> Option<String> {
        self.findings.why()
    }

    /// Waits until all that the closed side's `shard` had `executed` was looked at; whether it was before `until`.
    pub async fn has_seen(&self, shard: &ShardName, executed: &GtidSet, until: Instant) -> bool {
        while !self.findings.have_seen(shard, executed) {
            if Instant::now() >= until {
                return false;
            }
            sleep(AGAIN).await;
        }
        true
    }

    /// What should be written to the record now, of which `old` is there.
    pub fn news(&self, old: &ClosedSide, last: bool) -> Option<ClosedSide> {
        self.findings.news(old, last)
    }

    /// They were written.
    pub fn written(&self, news: &ClosedSide) {
        self.findings.written(news);
    }

    /// Lines for the workflow's log.
    pub fn notes(&self) -> Vec<String> {
        self.findings.notes()
    }
}

fn by(record: &Workflow) -> Option<uuid::Uuid> {
    record.closed.as_ref().map(|closed| closed.by)
}

/// All posts of a workflow.
#[derive(Debug)]
struct Posts {
    topology: Topology,
    credentials: Credentials,
    record: watch::Receiver<Option<Arc<Workflow>>>,
    findings: Arc<Findings>,
    hands: Arc<Mutex<()>>,
}

impl Posts {
    async fn run(mut self) {
        let mut posts: BTreeMap<ShardName, Post> = BTreeMap::new();
        loop {
            let record = self.record.borrow_and_update().clone();
            match record.as_ref().and_then(|record| Some((record, record.closed.clone()?))) {
                None => posts.clear(),
                Some((record, closed)) => {
                    match Ends::resolve(&self.topology, &self.credentials, record, closed.direction).await {
                        Ok(ends) => self.man(&mut posts, &closed, ends),
                        Err(error) => self.findings.note(format!("the closed side cannot be found: {error}")),
                    }
                }
            }
            tokio::select! {
                changed = self.record.changed() => if changed.is_err() { return },
                () = sleep(LOOK) => {}
            }
        }
    }

    /// One post for each shard with the primary it has now.
    fn man(&self, posts: &mut BTreeMap<ShardName, Post>, closed: &ClosedSide, ends: Ends) {
        posts.retain(|shard, post| {
            post.by() == closed.by
                && ends.closing.iter().any(|end| end.fence.key.shard == *shard && post.is_at(&end.primary, &end.fence))
        });
        for end in ends.closing {
            let shard = end.fence.key.shard.clone();
            if !posts.contains_key(&shard) && closed.shards.contains_key(&shard) {
                let (record, findings, hands) = (self.record.clone(), self.findings.clone(), self.hands.clone());
                posts.insert(shard, Post::start(closed.by, end, record, findings, hands));
            }
        }
    }
}
