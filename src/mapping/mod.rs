//! Mapping: to which of a stream's targets a row belongs. Pure.
//!
//! # Invariants
//! - Where a row belongs depends on the canonical text of its sharding columns alone, so a row that came by copy and the
//!   same row that came by binlog have one home (promise P3).
//! - A row has exactly one home, or all of them (reference tables). One that belongs to no target is an error, never left out.

mod flows;
mod homes;

pub use flows::{Flow, FlowError, Shared, flows};
pub use homes::{Home, Mapping, MappingError};
