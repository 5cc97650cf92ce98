//! Switching traffic between the two sides of a workflow, so that no write is lost or doubled (design §5).
//!
//! # Invariants
//! - Up to the commit, one transaction of the topology, everything can be undone and is undone by whoever finds it: an
//!   engine that takes a workflow over never goes on with another's switch. After the commit it is only ever brought to its
//!   end. Which of the two holds is read from the workflow's record, never guessed.
//! - At every moment at most one side accepts writes: the new side is closed before the old one is armed and is opened only
//!   after the commit, the old one is closed before the commit and opened again only after the record says that it is undone.
//! - Every step is written to the record before it is done (in [`run`] how); every closing and opening has a higher epoch than any before.
//! - What an engine closed that is cut off before it could send the commit, it opens again by itself ([`reopen`]).
//!
//! | module | what it does |
//! |---|---|
//! | [`plan`] | which steps, in words |
//! | [`ask`] | an operator's wish becomes a record |
//! | [`ends`] | the two sides, as the topology says now |
//! | [`run`], [`commit`] | the steps one after another; the point of no return |
//! | [`route`] | what the commit makes of rules and shards |
//! | [`check`], [`pause`], [`drain`], [`counters`], [`sequences`], [`way_back`] | what single steps do |
//! | [`tools`] | what all of them are carried out with |
//! | [`kit`] | what a pause is gone through with, prepared before it |
//! | [`undo`], [`open`] | back, or to the end |

pub mod ask;
mod check;
mod commit;
mod counters;
mod drain;
pub mod ends;
mod error;
mod kit;
pub mod open;
pub mod pause;
pub mod plan;
mod reopen;
pub mod route;
pub mod run;
mod sequences;
pub mod tools;
pub mod undo;
mod way_back;

pub use error::SwitchError;
