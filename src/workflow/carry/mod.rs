//! Carrying workflows: an engine process claims those nobody carries and brings about what their records want.
//!
//! | module | what it does |
//! |---|---|
//! | [`supervisor`] | one lease, the workflows claimed under it |
//! | [`runner`] | one workflow: looks at its record, does what it wants |
//! | [`desk`] | what an owner reads and writes in the topology |
//! | [`streaming`] | runs the streams of the present direction |
//! | [`standing`] | what they say of themselves, taken together |
//! | [`switching`], [`watching`] | its part in a switch of traffic, and in watching the side that is closed |
//! | [`ending`], [`settle`], [`cleanup`], [`complete`] | the workflow's end: undone, or its tables the target's for good |
//! | [`report`], [`replica_lag`], [`strikes`] | its status, its throttle, its patience |

mod cleanup;
mod complete;
mod desk;
mod ending;
mod replica_lag;
pub mod report;
mod runner;
mod settle;
mod standing;
mod streaming;
mod strikes;
pub mod supervisor;
mod switching;
mod watching;

pub use desk::Desk;
pub use report::now;
pub use standing::Standing;
pub use streaming::{Streaming, key_of};
