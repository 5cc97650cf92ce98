//! Several sources that feed one target table (design §4.2): merges, re-cuts, and the way back of a split.
//!
//! Streams run unequally, so what one of them writes may meet a row that another has written: of the same primary key, or
//! with the same value in a unique key. Which of the two is newer neither of them can know.
//!
//! # Invariants
//! - A row belongs to the source shard that its keyspace id says ([`owners`]). A stream changes and removes rows of its own
//!   source only: rows that it has read, and locked, in the transaction that changes them ([`write`]).
//! - A write that meets a row of another source decides nothing: it is left out, and its keys are noted in
//!   `_shardlift.conflict` in the same transaction ([`notes`]).
//! - Noted keys are read again from *all* sources, behind the barrier of each, while every stream to that target rests
//!   ([`settle`]): what is found is written, what is not is gone. What meets again is noted again.
//! - Once the sources are closed and their streams have passed everything, reading again is final: what two sources still
//!   hold is a duplicate, named ([`duplicates`]), and the target cannot take over.
//!
//! tests/it/model/collide.rs looks at every order of events in small scope.

pub mod duplicates;
pub mod notes;
pub mod owners;
mod present;
pub mod settle;
pub mod write;

pub use duplicates::{Duplicate, settle_final};
pub use owners::{Owners, Ownership, SourceShard};
