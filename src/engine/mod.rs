//! The engine: copies table snapshots, follows the binlog, and keeps both crash-safe.
//!
//! A *stream* takes rows from one source shard to its target shards for one workflow ([`stream`]). Who runs which stream, and
//! in which direction, is decided by `workflow::carry`.

pub mod apply;
pub mod begin_level;
pub mod checkpoint;
mod claim;
pub mod conflict;
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
pub mod sidecar;
pub mod source;
pub mod stream;
mod targets;
pub mod throttle;

pub use error::EngineError;
