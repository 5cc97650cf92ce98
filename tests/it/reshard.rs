//! Shards of a keyspace split, merge and are cut anew while applications write: nothing is lost or doubled, every row is on
//! the shard its vindex says, and there is a way back.
//!
//! Where a row belongs is computed here by an xxHash of the tests' own (`place`).

mod cost;
mod crash;
mod held;
mod journey;
pub mod place;
mod refusals;
mod stage;
mod writers;
