//! Numbers from sequence tables, handed out in blocks (Vitess keeps them so in `vttablet`, `execNextval` of
//! `go/vt/vttablet/tabletserver/query_executor.go`; here each gateway has blocks of its own).
//!
//! Invariants:
//! - A number is given out after the UPDATE that reserved it was acknowledged, and once. What was reserved and is not used,
//!   because a gateway ends or a statement fails, is a gap, never a double.
//! - A block holds for one View. Whatever is switched or applied in between, a sequence that a workflow has raised past
//!   the rows of its table included, no number reserved before is given out after (promise P12).
//! - The numbers of one statement follow each other.
//! - Of a gateway's sessions one at a time asks the server for a sequence's next block; the others wait for it.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{KeyspaceName, TableName};
use crate::topology::store::Revision;

/// The most numbers one statement may ask for: a block is reserved by adding to a BIGINT.
pub const MOST: u64 = 1 << 32;

/// A sequence table: the keyspace whose VSchema has it, and its name there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SequenceName {
    /// The keyspace.
    pub keyspace: KeyspaceName,
    /// The table.
    pub table: TableName,
}

impl std::fmt::Display for SequenceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.keyspace, self.table)
    }
}

/// What is left of a sequence's last block.
#[derive(Debug, Default)]
pub struct Block {
    next: u64,
    /// Behind the last one.
    end: u64,
    /// The View it was reserved under.
    revision: Revision,
    /// How many numbers the table wants reserved at a time, once that is known.
    pub size: Option<NonZeroU64>,
}

/// A gateway's blocks.
#[derive(Debug, Default)]
pub struct Sequences {
    blocks: Mutex<BTreeMap<SequenceName, Arc<tokio::sync::Mutex<Block>>>>,
}

impl Sequences {
    /// A sequence's block; to be locked for as long as numbers are taken and another is reserved.
    pub fn block(&self, name: &SequenceName) -> Arc<tokio::sync::Mutex<Block>> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        match blocks.get(name) {
            Some(block) => block.clone(),
            None => blocks.entry(name.clone()).or_default().clone(),
        }
    }
}

impl Block {
    /// The first of `count` numbers in a row, if there are so many left that hold for this View.
    pub fn take(&mut self, count: NonZeroU64, revision: Revision) -> Option<u64> {
        let first = self.next;
        let next = first.checked_add(count.get())?;
        (self.revision == revision && next <= self.end).then(|| {
            self.next = next;
            first
        })
    }

    /// Puts in the numbers from `first` to before `end`, reserved under the View of `revision`.
    pub fn refill(&mut self, first: u64, end: u64, revision: Revision) {
        (self.next, self.end, self.revision) = (first, end, revision);
    }

    /// How many to reserve for `count` that are wanted now: whole sizes of what the table says.
    pub fn step(&self, count: NonZeroU64) -> u64 {
        let size = self.size.map_or(1, NonZeroU64::get);
        count.get().div_ceil(size).saturating_mul(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(number: u64) -> NonZeroU64 {
        NonZeroU64::new(number).unwrap()
    }

    #[test]
    fn numbers_are_given_out_once_and_in_a_row() {
        let mut block = Block::default();
        assert_eq!(block.take(count(1), 0), None, "nothing is reserved at first");
        block.refill(10, 15, 7);
        assert_eq!(block.take(count(2), 7), Some(10));
        assert_eq!(block.take(count(4), 7), None, "three are left");
        assert_eq!(block.take(count(3), 7), Some(12));
        assert_eq!(block.take(count(1), 7), None);
        block.refill(20, 30, 7);
        assert_eq!(block.take(count(1), 8), None, "the View has changed");
        assert_eq!(block.take(count(u64::MAX), 7), None);
    }

    #[test]
    fn whole_sizes_are_reserved() {
        let mut block = Block::default();
        assert_eq!(block.step(count(3)), 3);
        block.size = NonZeroU64::new(100);
        assert_eq!([1, 100, 101].map(|wanted| block.step(count(wanted))), [100, 100, 200]);
    }
}
