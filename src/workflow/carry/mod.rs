//! Carrying workflows: an engine process claims those nobody carries and brings about what their records want.
//!
//! | module | what it does |
//! |---|---|
//! | [`supervisor`] | one lease, the workflows claimed under it |
//! | [`runner`] | one workflow: looks at its record, does what it wants |
//! | [`desk`] | what an owner reads and writes in the topology |
//! | [`streaming`] | runs the stream of the present direction, watching the record |
//! | [`cleanup`] | undoing a workflow on a server |
//! | [`report`], [`replica_lag`], [`strikes`] | its status, its throttle, its patience |

mod cleanup;
mod desk;
mod replica_lag;
pub mod report;
mod runner;
mod streaming;
mod strikes;
pub mod supervisor;

pub use report::now;
