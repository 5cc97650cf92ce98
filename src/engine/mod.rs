//! The engine: copies table snapshots, follows the binlog, and keeps both crash-safe.
//!
//! A *stream* takes rows from one source shard to one target shard for one workflow ([`stream`]). The [`supervisor`] claims
//! workflows by lease and runs their streams; it is the only part that knows the topology.

pub mod apply;
pub mod checkpoint;
mod cleanup;
pub mod connect;
pub mod copy;
mod ddl_text;
pub mod error;
mod fields;
pub mod follow;
mod indexes;
mod known;
mod memory;
pub mod places;
mod prepare;
pub mod progress;
mod replica_lag;
pub mod report;
mod runner;
pub mod sidecar;
pub mod source;
pub mod stream;
pub mod supervisor;
pub mod throttle;

pub use error::EngineError;
