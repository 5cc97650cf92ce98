//! Which key ranges of a table are still to be copied, from the marks of those that are. Pure.
//!
//! Keys are never compared here (MySQL's collations decide their order): chunks carry a sequence number in key order, and
//! two neighbours touch exactly when one's upper key is the other's lower key, byte for byte.

use crate::model::Row;

/// Distance between the numbers of chunks as they are planned: a chunk that turns out too large is copied in pieces, which
/// take the numbers between.
pub const STRIDE: u64 = 1 << 20;

/// A key range `(lower, upper]`; `None` is unbounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Exclusive.
    pub lower: Option<Row>,
    /// Inclusive.
    pub upper: Option<Row>,
}

/// A copied chunk, as its mark says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Its place in key order.
    pub seq: u64,
    /// What it covers.
    pub range: Range,
}

/// What is left of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Left {
    /// Holes between copied chunks, with the sequence number their copy takes.
    pub holes: Vec<Mark>,
    /// Where chunks go on after the last mark: its upper key and the next number; `None` when the end was reached.
    pub front: Option<(Option<Row>, u64)>,
}

/// Reads the marks of one table, which must be in order of `seq`.
pub fn left(marks: &[Mark]) -> Left {
    let mut at: Option<Row> = None;
    let (mut last, mut next) = (0, STRIDE);
    let mut holes = Vec::new();
    for mark in marks {
        if mark.range.lower != at {
            // The lowest free number, so that the hole can be copied in pieces too.
            holes.push(Mark { seq: last + 1, range: Range { lower: at.clone(), upper: mark.range.lower.clone() } });
        }
        at = mark.range.upper.clone();
        (last, next) = (mark.seq, mark.seq + STRIDE);
        if at.is_none() {
            return Left { holes, front: None };
        }
    }
    Left { holes, front: Some((at, next)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Option<Row> {
        (!text.is_empty()).then(|| [Some(text.as_bytes())].into_iter().collect())
    }

    fn mark(seq: u64, lower: &str, upper: &str) -> Mark {
        Mark { seq, range: Range { lower: key(lower), upper: key(upper) } }
    }

    #[test]
    fn nothing_copied_leaves_everything() {
        assert_eq!(left(&[]), Left { holes: vec![], front: Some((None, STRIDE)) });
    }

    #[test]
    fn holes_are_found_between_and_before_marks() {
        let got = left(&[mark(2, "b", "c"), mark(3, "c", "d"), mark(6, "f", "g")]);
        assert_eq!(got.holes, [mark(1, "", "b"), mark(4, "d", "f")]);
        assert_eq!(got.front, Some((key("g"), 6 + STRIDE)));
    }

    #[test]
    fn the_last_chunk_is_unbounded() {
        assert_eq!(left(&[mark(4, "", "c"), mark(5, "c", "")]), Left { holes: vec![], front: None });
        assert_eq!(left(&[mark(5, "c", "")]).holes, [mark(1, "", "c")]);
    }
}
