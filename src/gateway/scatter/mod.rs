//! One answer made of several shards'. Pure, but for [`source`], which reads them.
//!
//! Rows stay in the form the server gave them: they are taken apart only as far as they are compared, and what clients do not
//! get is cut off.
//!
//! Invariants:
//! - What is held of the answers is bounded in bytes ([`Held`]); rows that are only passed on are not held.
//! - Values are compared as the server compares them: texts by the weights it gave, numbers as numbers. What cannot be
//!   compared so is refused before the first row is answered.

pub mod column;
pub mod compare;
pub mod decimal;
pub mod fold;
pub mod row;
pub mod source;

use std::fmt;

/// Bytes that are held, up to a limit.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    bytes: usize,
    most: usize,
}

/// Why rows cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeError {
    /// They take more than the gateway holds.
    TooMuch {
        /// The limit.
        most: usize,
    },
    /// They cannot be compared.
    Incomparable(String),
    /// They are not what was asked for.
    Malformed(&'static str),
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMuch { most } => write!(
                f,
                "the distinct rows or groups of several shards take more than the {} MiB that the gateway holds for them; find them \
                 by their sharding column, or ask for fewer",
                most >> 20
            ),
            Self::Incomparable(why) => f.write_str(why),
            Self::Malformed(what) => write!(f, "the shards' answers cannot be merged: {what}"),
        }
    }
}

impl Held {
    /// Nothing yet.
    pub fn new(most: usize) -> Self {
        Self { bytes: 0, most }
    }

    /// Takes so much more.
    pub fn add(&mut self, bytes: usize) -> Result<(), MergeError> {
        self.bytes += bytes;
        if self.bytes > self.most { Err(MergeError::TooMuch { most: self.most }) } else { Ok(()) }
    }
}
