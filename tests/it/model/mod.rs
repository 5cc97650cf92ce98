//! The protocol, checked exhaustively in small scope (design §4.1, §4.2, §5).
//!
//! Each submodel has the protocol's guards as flags, named as the code that keeps them. With all guards every reachable state
//! is looked at and none may break a promise; with any one of them taken out, a way to break one must be found, or the guard
//! is not what holds the promise up, or the model does not see it.
//!
//! Small scope is no proof for large: what is enumerated are the orders of events, among few transactions, keys and servers.

mod collide;
mod fence;
mod seam;
mod switch;

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

/// Looks at every state: none may break a promise, everything that must be possible is, and there are at least `least`
/// states, for a model in which nothing happens proves nothing.
fn holds<M>(name: &str, model: M, least: usize)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + PartialEq + Hash + Debug + Send + Sync + 'static,
    M::Action: Clone + PartialEq + Debug + Send + Sync + 'static,
{
    let began = Instant::now();
    let checker = model.checker().threads(2).spawn_bfs().join();
    let (states, depth, took) = (checker.unique_state_count(), checker.max_depth(), began.elapsed());
    println!("model {name}: {states} states, longest way {depth}, {took:.1?}");
    assert!(checker.is_done(), "{name}: not all of it was looked at");
    checker.assert_properties();
    assert!(states >= least, "{name}: only {states} states, {least} expected: something cannot happen any more");
}

/// Finds the shortest way to break `promise` when `guard` is taken out.
fn breaks<M>(guard: &str, promise: &'static str, model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + PartialEq + Hash + Debug + Send + Sync + 'static,
    M::Action: Clone + PartialEq + Debug + Send + Sync + 'static,
{
    let found = HasDiscoveries::AnyOf([promise].into());
    let checker = model.checker().finish_when(found).spawn_bfs().join();
    let Some(path) = checker.discovery(promise) else {
        let states = checker.unique_state_count();
        panic!("without {guard} `{promise}` holds in all {states} states: the model does not show what it is for");
    };
    let actions = path.into_actions();
    println!("without {guard}: `{promise}` is broken in {} steps: {actions:?}", actions.len());
}
