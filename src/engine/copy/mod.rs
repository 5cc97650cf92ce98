//! Copying in rounds (design §4.1): chunks of each table in key order, side by side, each with its mark in the same
//! transaction as its rows.

pub mod chunk;
pub mod gaps;
pub mod marks;
pub mod planner;
pub mod reading;
pub mod round;
