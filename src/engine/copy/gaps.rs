//! Which key ranges of a table are still to be copied, from the marks of those that are. Pure.
//!
//! Keys are never compared here (MySQL's collations decide their order): chunks carry a sequence number in key order, and
//! two neighbours touch exactly when one's upper key is the other's lower key, byte for byte.
//!
//! A chunk goes to all targets of a stream under one number and range, but a crash may leave its mark on some of them only.
//! What counts is what all have ([`common`]); before anything more is copied, marks beyond that are taken away. So a number
//! never stands for two ranges.

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
        if at.is_none() {
            return Left { holes, front: None };
        }
        (last, next) = (mark.seq, mark.seq + STRIDE);
    }
    Left { holes, front: Some((at, next)) }
}

impl Mark {
    /// The mark of a table that is copied whole.
    pub fn whole() -> Self {
        Self { seq: u64::MAX, range: Range { lower: None, upper: None } }
    }
}

/// The marks that all of `targets` have, each of which is in order of `seq`; the chunks up to the first hole as one.
pub fn common(targets: &[Vec<Mark>]) -> Vec<Mark> {
    let split: Vec<_> = targets.iter().map(|marks| split(marks)).collect();
    let Some((front, rest)) = split.iter().min_by_key(|(front, _)| front.as_ref().map(|mark| mark.seq)) else {
        return Vec::new();
    };
    let has = |(front, rest): &(Option<Mark>, &[Mark]), mark: &Mark| {
        front.as_ref().is_some_and(|front| mark.seq <= front.seq) || rest.contains(mark)
    };
    let everywhere = |mark: &&Mark| split.iter().all(|target| has(target, mark));
    front.iter().chain(rest.iter().filter(everywhere)).cloned().collect()
}

/// The chunks up to the first hole as one mark, and the marks behind that hole. One that reaches the end of the table is
/// the highest of all.
fn split(marks: &[Mark]) -> (Option<Mark>, &[Mark]) {
    let mut front: Option<Mark> = None;
    for (index, mark) in marks.iter().enumerate() {
        let at = front.as_ref().and_then(|front| front.range.upper.as_ref());
        if mark.range.lower.as_ref() != at {
            return (front, &marks[index..]);
        }
        if mark.range.upper.is_none() {
            return (Some(Mark::whole()), &[]);
        }
        front = Some(Mark { seq: mark.seq, range: Range { lower: None, upper: mark.range.upper.clone() } });
    }
    (front, &[])
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
    fn what_one_target_lacks_is_left() {
        let both = [mark(1, "", "b"), mark(2, "b", "c")];
        assert_eq!(common(&[both.to_vec(), both.to_vec()]), [mark(2, "", "c")]);
        assert_eq!(common(&[both.to_vec(), vec![]]), []);
        // One has merged its marks, the other has not, and has one more behind a hole.
        let ahead = [&both[..], &[mark(5, "e", "f")]].concat();
        assert_eq!(common(&[vec![mark(2, "", "c")], ahead.clone()]), [mark(2, "", "c")]);
        // A mark behind a hole counts where every other target has it, or has passed it.
        assert_eq!(common(&[vec![mark(6, "", "g")], ahead.clone()]), [mark(2, "", "c"), mark(5, "e", "f")]);
        assert_eq!(common(&[vec![Mark::whole()], ahead.clone()]), [mark(2, "", "c"), mark(5, "e", "f")]);
        assert_eq!(common(&[vec![mark(5, "e", "g")], ahead]), []);
        assert_eq!(common(&[vec![Mark::whole()], vec![mark(3, "", "")]]), [Mark::whole()]);
    }

    #[test]
    fn the_last_chunk_is_unbounded() {
        assert_eq!(left(&[mark(4, "", "c"), mark(5, "c", "")]), Left { holes: vec![], front: None });
        assert_eq!(left(&[mark(5, "c", "")]).holes, [mark(1, "", "c")]);
    }
}
