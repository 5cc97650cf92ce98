//! Who may have how many connections to a tablet, and who gets which: the bookkeeping of the pools, free of I/O.
//!
//! Invariants:
//! - At a site there are never more connections, being made, lent and idle together, than the most allowed; each is stood for
//!   by a [`Place`] or an idle entry. A place that is dropped is free at once.
//! - Whoever waits is served in order of arrival; while anybody waits, nothing is idle and no place is free.
//! - Nothing that could take the lock again is dropped under it.

use std::{
    collections::{HashMap, VecDeque},
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::oneshot, time::Instant};

use crate::{model::TabletAlias, mysql::Endpoint};

/// A tablet at its present address. One that moves is another site.
#[derive(Debug, PartialEq, Eq)]
pub struct SiteKey {
    /// The tablet.
    pub alias: TabletAlias,
    /// Its server.
    pub endpoint: Endpoint,
}

/// A site is looked up twice per statement; numbers of tablets tell nearly all of them apart.
impl Hash for SiteKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.alias.uid.hash(state);
    }
}

/// A connection at rest. `G` groups those that can stand in for each other.
#[derive(Debug)]
pub struct Idle<T, G> {
    /// The connection.
    pub item: T,
    /// What it is good for.
    pub group: Arc<G>,
    /// The session that had it last, until that session ends.
    pub session: Option<u64>,
    /// Since when it rests.
    pub since: Instant,
}

/// What was done at a site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections made.
    pub created: u64,
    /// Connections reset for another session.
    pub reset: u64,
    /// Connections taken while the session that had them last still lived.
    pub stolen: u64,
    /// Sessions that waited in vain.
    pub timed_out: u64,
}

/// How a site stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// Connections, being made ones included.
    pub open: usize,
    /// Those at rest.
    pub idle: usize,
    /// Sessions that wait for one.
    pub waiting: usize,
    /// What was done so far.
    pub tally: Tally,
}

#[derive(Debug)]
struct Site<T, G> {
    open: usize,
    /// Those that rest longest first.
    idle: Vec<Idle<T, G>>,
    waiting: VecDeque<oneshot::Sender<Grant<T, G>>>,
    tally: Tally,
    closing: bool,
}

/// What one who waited gets: a place, and perhaps a connection in it.
#[derive(Debug)]
pub struct Grant<T, G> {
    /// The connection that holds the place; without one there is to be made one.
    pub idle: Option<Idle<T, G>>,
    /// The place.
    pub place: Place<T, G>,
}

/// What there is for a session.
#[derive(Debug)]
pub enum Pick<T, G> {
    /// The one that it had last.
    Continued(Grant<T, G>),
    /// One in the right state, room for a new one, or one that has to be changed or replaced.
    Now(Grant<T, G>),
    /// Nothing yet.
    Later(oneshot::Receiver<Grant<T, G>>),
}

/// The right to have a connection at a site.
#[derive(Debug)]
pub struct Place<T, G> {
    places: Places<T, G>,
    site: Arc<SiteKey>,
    held: bool,
}

/// All sites.
#[derive(Debug)]
pub struct Places<T, G>(Arc<Mutex<Sites<T, G>>>);

type Sites<T, G> = HashMap<Arc<SiteKey>, Site<T, G>>;

impl<T, G> Clone for Places<T, G> {
    fn clone(&self) -> Self {
        Places(self.0.clone())
    }
}

impl<T, G> Default for Places<T, G> {
    fn default() -> Self {
        Places(Arc::default())
    }
}

impl<T, G: Eq> Places<T, G> {
    /// What `session` gets at `site`, where at most `most` connections may be. `fits` says which are in the right state.
    pub fn pick(
        &self,
        site: &Arc<SiteKey>,
        most: usize,
        group: &G,
        session: u64,
        fits: impl Fn(&T) -> bool,
    ) -> Pick<T, G> {
        let mut sites = self.lock();
        let here = sites.entry(site.clone()).or_default();
        let same = |idle: &Idle<T, G>| *idle.group == *group;
        let own = here.idle.iter().position(|idle| idle.session == Some(session) && same(idle));
        // Of those that nobody expects back the one used last, so that the others may end; else the one resting longest.
        let fit = |idle: &Idle<T, G>| same(idle) && fits(&idle.item);
        let fitting = || {
            let free = here.idle.iter().rposition(|idle| idle.session.is_none() && fit(idle));
            free.or_else(|| here.idle.iter().position(fit))
        };
        let any = || here.idle.iter().position(same).or((!here.idle.is_empty()).then_some(0));
        let at = match own.or_else(fitting) {
            None if here.open < most => {
                here.open += 1;
                return Pick::Now(Grant { idle: None, place: self.place(site) });
            }
            chosen => chosen.or_else(any),
        };
        let Some(at) = at else {
            let (sender, receiver) = oneshot::channel();
            here.waiting.retain(|waiter| !waiter.is_closed());
            here.waiting.push_back(sender);
            return Pick::Later(receiver);
        };
        let idle = here.idle.remove(at);
        if own.is_none() && idle.session.is_some() {
            here.tally.stolen += 1;
        }
        let grant = Grant { idle: Some(idle), place: self.place(site) };
        if own.is_some() { Pick::Continued(grant) } else { Pick::Now(grant) }
    }
}

impl<T, G> Places<T, G> {
    /// Notes what was done at a site.
    pub fn note(&self, site: &SiteKey, note: impl FnOnce(&mut Tally)) {
        if let Some(here) = self.lock().get_mut(site) {
            note(&mut here.tally);
        }
    }

    /// A session has ended: nobody expects its connections back.
    pub fn forget(&self, session: u64) {
        for here in self.lock().values_mut() {
            for idle in here.idle.iter_mut().filter(|idle| idle.session == Some(session)) {
                idle.session = None;
            }
        }
    }

    /// Takes out what rests since before `then`.
    pub fn expire(&self, then: Instant) -> Vec<T> {
        let mut expired = Vec::new();
        for here in self.lock().values_mut() {
            let old = here.idle.iter().take_while(|idle| idle.since < then).count();
            expired.extend(here.idle.drain(..old).map(|idle| idle.item));
            here.open -= old;
        }
        expired
    }

    /// Closes the sites that are not `live`: what rests there is taken out, what is lent is not taken back. Those who wait
    /// go on waiting for what is lent.
    pub fn retain(&self, live: impl Fn(&SiteKey) -> bool) -> Vec<T> {
        let mut gone = Vec::new();
        self.lock().retain(|site, here| {
            here.closing = !live(site);
            if here.closing {
                here.open -= here.idle.len();
                gone.extend(here.idle.drain(..).map(|idle| idle.item));
            }
            !here.closing || here.open > 0
        });
        gone
    }

    /// How each site stands.
    pub fn census(&self) -> Vec<(Arc<SiteKey>, Census)> {
        let count = |here: &Site<T, G>| Census {
            open: here.open,
            idle: here.idle.len(),
            waiting: here.waiting.iter().filter(|waiter| !waiter.is_closed()).count(),
            tally: here.tally,
        };
        self.lock().iter().map(|(site, here)| (site.clone(), count(here))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Sites<T, G>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, site: &Arc<SiteKey>) -> Place<T, G> {
        Place { places: self.clone(), site: site.clone(), held: true }
    }

    /// Gives a place, and perhaps a connection in it, to whoever waits longest, or leaves it. What cannot be kept.
    fn pass_on(&self, site: &Arc<SiteKey>, mut idle: Option<Idle<T, G>>) -> Option<Idle<T, G>> {
        let mut sites = self.lock();
        let Some(here) = sites.get_mut(site) else { return idle };
        while let Some(waiter) = here.waiting.pop_front() {
            match waiter.send(Grant { idle, place: self.place(site) }) {
                Ok(()) => return None,
                Err(Grant { idle: back, mut place }) => {
                    place.held = false;
                    idle = back;
                }
            }
        }
        match idle {
            Some(idle) if !here.closing => {
                here.idle.push(idle);
                None
            }
            idle => {
                here.open -= 1;
                if here.closing && here.open == 0 {
                    sites.remove(site);
                }
                idle
            }
        }
    }
}

impl<T, G> Place<T, G> {
    /// Leaves a connection here to rest. What cannot stay is handed back, to be closed.
    pub fn leave(mut self, idle: Idle<T, G>) -> Option<Idle<T, G>> {
        self.held = false;
        self.places.pass_on(&self.site, Some(idle))
    }
}

impl<T, G> Drop for Place<T, G> {
    fn drop(&mut self) {
        if self.held {
            // Nothing is handed in, so nothing comes back.
            self.places.pass_on(&self.site, None);
        }
    }
}

impl<T, G> Default for Site<T, G> {
    fn default() -> Self {
        Site { open: 0, idle: Vec::new(), waiting: VecDeque::new(), tally: Tally::default(), closing: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Numbers = Places<u32, char>;

    fn site() -> Arc<SiteKey> {
        let (alias, endpoint) = ("zone1-0000000100".parse().unwrap(), Endpoint::new("db1:3306".parse().unwrap()));
        Arc::new(SiteKey { alias, endpoint })
    }

    /// Picks for `session` in group `a`, where only `fit` is in the right state: (continued, what, place).
    fn now(places: &Numbers, most: usize, session: u64, fit: u32) -> Option<(bool, Option<u32>, Place<u32, char>)> {
        match places.pick(&site(), most, &'a', session, |item| *item == fit) {
            Pick::Continued(Grant { idle, place }) => Some((true, idle.map(|idle| idle.item), place)),
            Pick::Now(Grant { idle, place }) => Some((false, idle.map(|idle| idle.item), place)),
            Pick::Later(_) => None,
        }
    }

    fn leave(place: Place<u32, char>, item: u32, group: char, session: u64) -> bool {
        let idle = Idle { item, group: Arc::new(group), session: Some(session), since: Instant::now() };
        place.leave(idle).is_none()
    }

    #[test]
    fn order_of_preference() {
        let places = Numbers::default();
        let mut taken: Vec<_> = (1..=4).map(|session| now(&places, 4, session, 0).unwrap()).collect();
        assert!(taken.iter().all(|(continued, item, _)| !continued && item.is_none()));
        assert!(now(&places, 4, 9, 0).is_none(), "the site is full");
        for (item, group) in [(1, 'b'), (2, 'a'), (3, 'a'), (4, 'a')] {
            assert!(leave(taken.remove(0).2, item, group, u64::from(item)));
        }
        places.forget(4);
        let (continued, item, own) = now(&places, 4, 3, 2).unwrap();
        assert_eq!((continued, item), (true, Some(3)), "its own before one that fits");
        let (continued, item, fit) = now(&places, 4, 9, 2).unwrap();
        assert_eq!((continued, item), (false, Some(2)), "one that fits, though another expects it back");
        assert_eq!(now(&places, 5, 9, 0).unwrap().1, None, "a new one before one that does not fit");
        assert!(leave(own, 3, 'a', 3) && leave(fit, 4, 'a', 2));
        let (_, item, _same) = now(&places, 4, 9, 0).unwrap();
        assert_eq!(item, Some(4), "one of the same group");
        let rest: Vec<_> = (0..3).map(|_| now(&places, 4, 9, 0).unwrap()).collect();
        assert_eq!(rest.iter().map(|(_, item, _)| *item).collect::<Vec<_>>(), [Some(3), Some(4), Some(1)]);
        let (_, census) = places.census().remove(0);
        assert_eq!((census.open, census.idle, census.tally.stolen), (4, 0, 4));
        drop(rest);
        assert_eq!(places.census().remove(0).1.open, 1);
    }

    #[test]
    fn waiters_are_served_in_order_and_lost_ones_skipped() {
        let places = Numbers::default();
        let (_, _, first) = now(&places, 1, 1, 0).unwrap();
        let wait = || match places.pick(&site(), 1, &'a', 2, |_| true) {
            Pick::Later(receiver) => receiver,
            other => panic!("{other:?}"),
        };
        let (one, mut two, mut three) = (wait(), wait(), wait());
        drop(one);
        assert!(leave(first, 7, 'a', 1));
        let Grant { idle, place } = two.try_recv().unwrap();
        assert_eq!(idle.unwrap().item, 7);
        assert!(three.try_recv().is_err());
        drop(place);
        let granted = three.try_recv().unwrap();
        assert!(granted.idle.is_none());
        // One who gave up after having been served loses nothing.
        let four = wait();
        drop(granted);
        drop(four);
        assert_eq!(places.census().remove(0).1, Census { open: 0, idle: 0, waiting: 0, tally: Tally::default() });
    }

    #[test]
    fn what_left_the_view_is_closed() {
        let places = Numbers::default();
        let (one, two) = (now(&places, 3, 1, 0).unwrap(), now(&places, 3, 2, 0).unwrap());
        assert!(leave(one.2, 5, 'a', 1));
        assert_eq!(places.retain(|_| false), [5]);
        assert!(!leave(two.2, 6, 'a', 2), "what was lent is not taken back");
        assert!(places.census().is_empty());
        let (_, _, place) = now(&places, 3, 1, 0).unwrap();
        assert!(leave(place, 8, 'a', 1));
        assert_eq!(places.expire(Instant::now() + std::time::Duration::from_secs(1)), [8]);
        assert_eq!(places.census().remove(0).1.open, 0);
    }
}
