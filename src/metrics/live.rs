//! Things that have series for as long as they live: workflows, pools.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The values of the two labels of a thing, e.g. keyspace and workflow.
pub(super) type Labels = [String; 2];

/// The things that live now. Clones are the same.
pub(super) struct Live<T>(Arc<Mutex<Things<T>>>);

struct Things<T> {
    next: u64,
    all: BTreeMap<u64, (Labels, Arc<T>)>,
}

impl<T: Send + Sync + 'static> Live<T> {
    /// Adds one, for as long as the answer is kept.
    pub(super) fn add(&self, labels: Labels, thing: T) -> Registered {
        let mut things = lock(&self.0);
        let id = things.next;
        things.next += 1;
        things.all.insert(id, (labels, Arc::new(thing)));
        Registered { things: self.0.clone(), id }
    }

    /// What lives now, one thing per labels: the younger one where an older one of the same name is still ending.
    pub(super) fn now(&self) -> BTreeMap<Labels, Arc<T>> {
        lock(&self.0).all.values().cloned().collect()
    }
}

/// Keeps a thing's series alive; dropping it removes them.
pub struct Registered {
    things: Arc<dyn Forget>,
    id: u64,
}

trait Forget: Send + Sync {
    fn forget(&self, id: u64);
}

impl<T: Send + Sync> Forget for Mutex<Things<T>> {
    fn forget(&self, id: u64) {
        // Dropped behind the lock: what it takes along may be anything.
        let _gone = lock(self).all.remove(&id);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.things.forget(self.id);
    }
}

fn lock<T>(things: &Mutex<Things<T>>) -> MutexGuard<'_, Things<T>> {
    things.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Default for Live<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Things { next: 0, all: BTreeMap::new() })))
    }
}

impl<T> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(lock(&self.0).all.values().map(|(labels, _)| labels)).finish()
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registered").field(&self.id).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Labels {
        ["ks".into(), name.into()]
    }

    #[test]
    fn the_younger_one_is_seen_and_outlives_the_older() {
        let live = Live::default();
        let old = live.add(name("a"), 1);
        let young = live.add(name("a"), 2);
        let other = live.add(name("b"), 3);
        let seen = || live.now().into_values().map(|thing| *thing).collect::<Vec<_>>();
        assert_eq!(seen(), [2, 3]);
        drop(old);
        assert_eq!(seen(), [2, 3]);
        drop((young, other));
        assert_eq!(seen(), [0; 0]);
    }
}
