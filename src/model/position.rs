//! GTIDs and GTID sets, tags included (MySQL 8.3+: `uuid:tag:1-5`).
//!
//! A set maps each source (server uuid, optional tag) to disjoint, ascending, inclusive intervals. Set algebra is the
//! only way positions are compared: numbers are never compared across sources, and never as text.
//! Syntax and meaning: MySQL Reference Manual, "GTID Format and Storage".

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not a GTID or GTID set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a GTID set: {why}")]
pub struct GtidError {
    text: String,
    why: &'static str,
}

/// Who issued a GTID: a server uuid and, if used, a tag (lower case; empty for none).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GtidSource {
    /// `@@server_uuid` of the issuer.
    pub uuid: Uuid,
    /// The tag, or empty.
    pub tag: String,
}

/// One transaction's identifier.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Gtid {
    /// Who issued it.
    pub source: GtidSource,
    /// Its number there, from 1.
    pub number: u64,
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source.tag.is_empty() {
            write!(f, "{}:{}", self.source.uuid, self.number)
        } else {
            write!(f, "{}:{}:{}", self.source.uuid, self.source.tag, self.number)
        }
    }
}

impl FromStr for Gtid {
    type Err = GtidError;

    /// One `uuid:number` or `uuid:tag:number`.
    fn from_str(text: &str) -> Result<Self, GtidError> {
        let set: GtidSet = text.parse()?;
        match set.iter().next() {
            Some((source, [only])) if set.count() == 1 => Ok(Self { source: source.clone(), number: only.first }),
            _ => Err(GtidError { text: text.chars().take(200).collect(), why: "exactly one transaction is expected" }),
        }
    }
}

impl TryFrom<String> for Gtid {
    type Error = GtidError;
    fn try_from(text: String) -> Result<Self, GtidError> {
        text.parse()
    }
}

impl From<Gtid> for String {
    fn from(gtid: Gtid) -> String {
        gtid.to_string()
    }
}

/// An inclusive interval of transaction numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// First number.
    pub first: u64,
    /// Last number, ≥ `first`.
    pub last: u64,
}

/// A set of GTIDs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GtidSet {
    sources: BTreeMap<GtidSource, Vec<Interval>>,
}

impl GtidSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// The intervals of each source, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&GtidSource, &[Interval])> {
        self.sources.iter().map(|(source, intervals)| (source, intervals.as_slice()))
    }

    /// How many transactions are in it.
    pub fn count(&self) -> u64 {
        self.sources.values().flatten().map(|i| i.last - i.first + 1).sum()
    }

    /// Adds one transaction.
    pub fn add(&mut self, gtid: &Gtid) {
        match self.sources.get_mut(&gtid.source) {
            Some(intervals) => insert(intervals, Interval { first: gtid.number, last: gtid.number }),
            None => {
                let only = Interval { first: gtid.number, last: gtid.number };
                self.sources.insert(gtid.source.clone(), vec![only]);
            }
        }
    }

    /// Adds everything in `other`.
    pub fn union(&mut self, other: &GtidSet) {
        for (source, intervals) in &other.sources {
            let mine = self.sources.entry(source.clone()).or_default();
            for interval in intervals {
                insert(mine, *interval);
            }
        }
    }

    /// Whether the transaction is in the set.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        self.sources.get(&gtid.source).is_some_and(|intervals| {
            let at = intervals.partition_point(|i| i.last < gtid.number);
            intervals.get(at).is_some_and(|i| i.first <= gtid.number)
        })
    }

    /// Whether everything here is also in `other`.
    pub fn is_subset(&self, other: &GtidSet) -> bool {
        self.sources.iter().all(|(source, mine)| {
            let theirs = other.sources.get(source).map(Vec::as_slice).unwrap_or_default();
            mine.iter().all(|i| {
                let at = theirs.partition_point(|t| t.last < i.first);
                theirs.get(at).is_some_and(|t| t.first <= i.first && i.last <= t.last)
            })
        })
    }

    /// What is here and not in `other`.
    pub fn minus(&self, other: &GtidSet) -> GtidSet {
        let mut left = GtidSet::new();
        for (source, mine) in &self.sources {
            let theirs = other.sources.get(source).map(Vec::as_slice).unwrap_or_default();
            let rest = subtract(mine, theirs);
            if !rest.is_empty() {
                left.sources.insert(source.clone(), rest);
            }
        }
        left
    }
}

/// Merges `new` into sorted, disjoint, non-adjacent `intervals`; appending at the end costs O(1).
fn insert(intervals: &mut Vec<Interval>, new: Interval) {
    let start = intervals.partition_point(|i| i.last.saturating_add(1) < new.first);
    let end = intervals.partition_point(|i| i.first <= new.last.saturating_add(1));
    if start == end {
        intervals.insert(start, new);
        return;
    }
    let merged = Interval { first: intervals[start].first.min(new.first), last: intervals[end - 1].last.max(new.last) };
    intervals[start] = merged;
    intervals.drain(start + 1..end);
}

fn subtract(mine: &[Interval], theirs: &[Interval]) -> Vec<Interval> {
    let mut rest = Vec::new();
    for i in mine {
        let mut first = Some(i.first);
        for t in &theirs[theirs.partition_point(|t| t.last < i.first)..] {
            let Some(from) = first else { break };
            if t.first > i.last {
                break;
            }
            if t.first > from {
                rest.push(Interval { first: from, last: t.first - 1 });
            }
            first = t.last.checked_add(1).filter(|next| *next <= i.last);
        }
        if let Some(from) = first {
            rest.push(Interval { first: from, last: i.last });
        }
    }
    rest
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One uuid's untagged intervals come first, its tags after it: `uuid:1-5:tag:1-2`.
        let mut last: Option<&Uuid> = None;
        for (source, intervals) in &self.sources {
            if last != Some(&source.uuid) {
                if last.is_some() {
                    f.write_str(",")?;
                }
                write!(f, "{}", source.uuid)?;
                last = Some(&source.uuid);
            }
            if !source.tag.is_empty() {
                write!(f, ":{}", source.tag)?;
            }
            for i in intervals {
                if i.first == i.last {
                    write!(f, ":{}", i.first)?;
                } else {
                    write!(f, ":{}-{}", i.first, i.last)?;
                }
            }
        }
        Ok(())
    }
}

fn interval(text: &str) -> Option<Interval> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (first.trim().parse().ok()?, last.trim().parse().ok()?),
        None => {
            let number = text.parse().ok()?;
            (number, number)
        }
    };
    (first >= 1 && last < i64::MAX as u64).then_some(Interval { first, last })
}

fn is_tag(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.len() <= 32
}

impl FromStr for GtidSet {
    type Err = GtidError;

    /// Accepts what `@@gtid_executed` prints: white space and empty members are skipped, tags fold to lower case.
    fn from_str(text: &str) -> Result<Self, GtidError> {
        let bad = |why| GtidError { text: text.chars().take(200).collect(), why };
        let mut set = GtidSet::new();
        for member in text.split(',').map(str::trim).filter(|m| !m.is_empty()) {
            let mut parts = member.split(':').map(str::trim);
            let uuid = parts.next().and_then(|p| Uuid::try_parse(p).ok()).ok_or_else(|| bad("a uuid is expected"))?;
            let mut source = GtidSource { uuid, tag: String::new() };
            for part in parts {
                if is_tag(part) {
                    source.tag = part.to_ascii_lowercase();
                    continue;
                }
                let range = interval(part).ok_or_else(|| bad("an interval such as 1-5 or a tag is expected"))?;
                // MySQL reads an interval whose end is below its start as empty.
                if range.first <= range.last {
                    insert(set.sources.entry(source.clone()).or_default(), range);
                }
            }
        }
        Ok(set)
    }
}

impl TryFrom<String> for GtidSet {
    type Error = GtidError;
    fn try_from(text: String) -> Result<Self, GtidError> {
        text.parse()
    }
}

impl From<GtidSet> for String {
    fn from(set: GtidSet) -> String {
        set.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429563";

    fn set(text: &str) -> GtidSet {
        text.parse().unwrap()
    }

    #[test]
    fn parses_what_servers_print() {
        let text = format!("{A}:1-3:5:\nblue:1-2:7,\n{B}:1-9");
        assert_eq!(set(&text).to_string(), format!("{A}:1-3:5:blue:1-2:7,{B}:1-9"));
        assert_eq!(set(&format!("{A}:BLUE:1")), set(&format!("{A}:blue:1")));
        assert_eq!(set(&format!("{A}:1-3:2-6:7")).to_string(), format!("{A}:1-7"));
        assert!(set("").is_empty());
        for bad in ["x", &format!("{A}:0"), &format!("{A}:1-x"), "1-5"] {
            assert!(bad.parse::<GtidSet>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_tag_is_a_source_of_its_own() {
        assert!(!set(&format!("{A}:t:1")).is_subset(&set(&format!("{A}:1-9"))));
        assert_eq!(set(&format!("{A}:1-9:t:4")).minus(&set(&format!("{A}:1-5"))), set(&format!("{A}:6-9:t:4")));
    }

    fn numbers() -> impl Strategy<Value = std::collections::BTreeSet<u64>> {
        prop::collection::btree_set(1u64..40, 0..30)
    }

    fn of(numbers: &std::collections::BTreeSet<u64>) -> GtidSet {
        let mut set = GtidSet::new();
        for number in numbers {
            set.add(&Gtid { source: GtidSource { uuid: A.parse().unwrap(), tag: String::new() }, number: *number });
        }
        set
    }

    proptest! {
        #[test]
        fn algebra_is_that_of_sets(a in numbers(), b in numbers()) {
            let mut union = of(&a);
            union.union(&of(&b));
            prop_assert_eq!(&union, &of(&a.union(&b).copied().collect()));
            prop_assert_eq!(of(&a).minus(&of(&b)), of(&a.difference(&b).copied().collect()));
            prop_assert_eq!(of(&a).is_subset(&of(&b)), a.is_subset(&b));
            prop_assert_eq!(of(&a).count(), a.len() as u64);
            prop_assert_eq!(set(&union.to_string()), union);
        }
    }
}
