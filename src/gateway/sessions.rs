//! The sessions of this gateway by connection id: who is there, and how KILL reaches them.
//!
//! Invariants: an id belongs to one session from its greeting to its end, and is not given out again while it lives; while a
//! KILL is on its way the session keeps the connection it runs on, so that no other session's statement is hit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::backend::Running;

/// All sessions.
#[derive(Debug, Clone, Default)]
pub struct Sessions(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    last: u32,
    by_id: HashMap<u32, Entry>,
}

#[derive(Debug)]
struct Entry {
    user: Option<String>,
    running: Arc<tokio::sync::Mutex<Option<Running>>>,
    waits: Arc<Notify>,
    killed: CancellationToken,
}

/// What KILL found.
#[derive(Debug)]
pub enum Target {
    /// No session of that id here.
    Unknown,
    /// It belongs to another user.
    Denied,
    /// It is there. What it runs is to be looked at under the lock, and ended before that is let go.
    Found(Arc<tokio::sync::Mutex<Option<Running>>>),
}

/// A place in the table; leaving it frees the id.
#[derive(Debug)]
pub struct Seat {
    id: u32,
    sessions: Sessions,
    running: Arc<tokio::sync::Mutex<Option<Running>>>,
    waits: Arc<Notify>,
    killed: CancellationToken,
}

impl Sessions {
    /// Ids begin at `first`: several gateways behind one address should not give out the same.
    pub fn starting_at(first: u32) -> Self {
        Self(Arc::new(Mutex::new(Table { last: first, by_id: HashMap::new() })))
    }

    /// A place for a new session; `None` when `most` are taken.
    pub fn enter(&self, most: usize) -> Option<Seat> {
        let mut table = self.table();
        if table.by_id.len() >= most {
            return None;
        }
        let id = loop {
            table.last = table.last.wrapping_add(1);
            if table.last != 0 && !table.by_id.contains_key(&table.last) {
                break table.last;
            }
        };
        let (killed, running, waits) = (CancellationToken::new(), Arc::default(), Arc::<Notify>::default());
        let entry = Entry { user: None, running: Arc::clone(&running), waits: waits.clone(), killed: killed.clone() };
        table.by_id.insert(id, entry);
        Some(Seat { id, sessions: self.clone(), running, waits, killed })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.table().by_id.len()
    }

    /// Looks up session `id` for `user`; ends it too unless only its statement is meant.
    pub fn kill(&self, id: u64, user: &str, query_only: bool) -> Target {
        let table = self.table();
        let Some(entry) = u32::try_from(id).ok().and_then(|id| table.by_id.get(&id)) else { return Target::Unknown };
        if entry.user.as_deref() != Some(user) {
            return Target::Denied;
        }
        if !query_only {
            entry.killed.cancel();
        }
        entry.waits.notify_waiters();
        Target::Found(entry.running.clone())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The connection id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What it runs, as KILL sees it.
    pub fn place(&self) -> &Arc<tokio::sync::Mutex<Option<Running>>> {
        &self.running
    }

    /// Resolves when KILL meets the session while this is awaited, because its statement waits in the gateway.
    pub async fn interrupted(&self) {
        self.waits.notified().await;
    }

    /// Cancelled when the session is to end.
    pub fn killed(&self) -> &CancellationToken {
        &self.killed
    }

    /// Notes whose session it is.
    pub fn belongs_to(&self, user: &str) {
        if let Some(entry) = self.sessions.table().by_id.get_mut(&self.id) {
            entry.user = Some(user.into());
        }
    }

    /// Notes what the session runs at the moment, and where. Waits for a KILL that is on its way.
    pub async fn runs(&self, running: Option<Running>) {
        match self.running.try_lock() {
            Ok(mut place) => *place = running,
            Err(_) => *self.running.lock().await = running,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.sessions.table().by_id.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_free_again_only_when_their_session_is_gone() {
        let sessions = Sessions::starting_at(u32::MAX - 1);
        let (one, two) = (sessions.enter(2).unwrap(), sessions.enter(2).unwrap());
        assert_eq!((one.id(), two.id()), (u32::MAX, 1));
        assert!(sessions.enter(2).is_none());
        one.belongs_to("app");
        assert!(matches!(sessions.kill(u64::from(u32::MAX), "other", false), Target::Denied));
        assert!(matches!(sessions.kill(u64::from(u32::MAX), "app", true), Target::Found(_)));
        assert!(!one.killed().is_cancelled());
        drop(one);
        assert!(matches!(sessions.kill(u64::from(u32::MAX), "app", false), Target::Unknown));
        assert_eq!(sessions.count(), 1);
    }
}
