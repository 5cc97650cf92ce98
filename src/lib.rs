//! shardlift moves tables between MySQL keyspaces and splits or merges shards while applications keep writing.
//!
//! # Map
//! Uses go downward; `tests/it/layers.rs` checks the edges.
//!
//! | layer | modules |
//! |---|---|
//! | commands | `cli` |
//! | long-lived or whole-story programs | `daemon`, `demo` |
//! | how workflows get on, drawn | `progress` |
//! | decisions about workflows | `workflow` |
//! | the copying and following engine | `engine` |
//! | one source row → the target rows it becomes | `mapping` |
//! | session targets and routing rules | `sharding` |
//! | servers and state | `mysql`, `topology`; `local` stands beside |
//! | what is counted, and how it is shown | `metrics` |
//! | nouns without I/O; failures on demand | `model`; `failpoint` |
#![forbid(unsafe_op_in_unsafe_fn)]
#![warn(missing_debug_implementations)]

pub mod cli;
pub mod daemon;
pub mod demo;
pub mod engine;
pub mod failpoint;
pub mod gateway;
pub mod local;
pub mod mapping;
pub mod metrics;
pub mod model;
pub mod mysql;
pub mod progress;
pub mod sharding;
pub mod topology;
pub mod workflow;
