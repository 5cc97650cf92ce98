//! What no engine can finish by itself: it is looked at, two ways out are offered, and the chosen one is taken.
//!
//! # Invariants
//! - Looking changes nothing. Deciding is pure ([`decide`]).
//! - The way out is one transaction on the workflow's record and its rules; engines do the rest with their usual machinery,
//!   epochs and all. A record that has changed since it was looked at is not touched.
//! - A side is opened only after every primary of the other was closed, or was given up by name by the operator.
//! - What a way out loses is said before, by GTID where servers can be asked.
//!
//! | module | what it does |
//! |---|---|
//! | [`survey`] | what record and servers say |
//! | [`decide`] | what a way out amounts to, and what it loses |
//! | [`act`] | takes it |

pub mod act;
pub mod decide;
pub mod survey;

pub use act::act;
pub use decide::{Action, Way, decide};
pub use survey::{Survey, survey};
