//! One thread per open file that notices what other processes commit and ends leases that have run out.
//!
//! `PRAGMA data_version` reads shared memory and costs microseconds, so it is asked often: a pause is announced to the
//! gateways through a watch, and held writes wait for it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use super::super::store::{DEADLINE, Revision, StoreError};
use super::{Effect, apply, schema, write};

const TICK: Duration = Duration::from_millis(2);

/// Tells watches the newest revision. Its thread starts with the first watch and ends soon after this is dropped.
#[derive(Debug)]
pub(super) struct Poller {
    path: PathBuf,
    latest: Arc<watch::Sender<Revision>>,
    started: Mutex<bool>,
}

impl Poller {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, latest: Arc::new(watch::Sender::new(0)), started: Mutex::new(false) }
    }

    /// Tells this process's watches of its own commit, sooner than polling would.
    pub(super) fn announce(&self, revision: Revision) {
        advance(&self.latest, revision);
    }

    /// The newest revision, from now on kept up to date.
    pub(super) fn start(&self) -> Result<watch::Receiver<Revision>, StoreError> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if !*started {
            let (path, latest) = (self.path.clone(), Arc::downgrade(&self.latest));
            std::thread::Builder::new()
                .name("topology-poll".into())
                .spawn(move || poll(path, latest))
                .map_err(|e| StoreError::Unavailable { what: "watch".into(), why: e.to_string() })?;
            *started = true;
        }
        Ok(self.latest.subscribe())
    }
}

fn advance(latest: &watch::Sender<Revision>, revision: Revision) {
    latest.send_if_modified(|latest| {
        let newer = revision > *latest;
        *latest = revision.max(*latest);
        newer
    });
}

fn poll(path: PathBuf, latest: Weak<watch::Sender<Revision>>) {
    let mut state = None;
    while let Some(latest) = latest.upgrade() {
        match tick(&path, &mut state) {
            Ok(revision) => advance(&latest, revision),
            Err(error) => {
                tracing::warn!(%error, "topology file cannot be polled; trying again");
                state = None;
                std::thread::sleep(Duration::from_millis(250));
            }
        }
        drop(latest);
        std::thread::sleep(TICK);
    }
}

struct State {
    db: Connection,
    version: i64,
    revision: Revision,
    next_expiry: Option<i64>,
}

fn tick(path: &std::path::Path, state: &mut Option<State>) -> Result<Revision, StoreError> {
    let state = match state {
        Some(state) => state,
        None => state.insert(State { db: schema::open(path)?, version: -1, revision: 0, next_expiry: None }),
    };
    let version = state.db.prepare_cached("PRAGMA data_version").and_then(|mut s| s.query_row([], |row| row.get(0)));
    let version: i64 = version.map_err(|e| schema::classify(e, "data_version"))?;
    let now = apply::now_ms()?;
    let due = state.next_expiry.is_some_and(|expiry| expiry <= now);
    if due {
        write(&mut state.db, "lease expiry", DEADLINE, &Effect::default(), |_, _| Ok(()))?;
    }
    if due || version != state.version {
        state.version = version;
        state.revision = apply::revision(&state.db)?;
        state.next_expiry = apply::next_expiry(&state.db)?;
    }
    Ok(state.revision)
}
