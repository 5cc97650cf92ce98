//! Decisions about workflows: whether one may start, what it does next, how it is undone.

pub mod preflight;
