//! A range of keyspace ids: `[start, end)` over byte strings; an empty end is unbounded.
//!
//! Invariant: `start < end` unless the end is unbounded. Bounds are compared as Vitess does: as byte strings with
//! trailing zero bytes insignificant (`80` and `8000` are the same bound).

use std::fmt;
use std::str::FromStr;

use super::names::NameError;

/// `[start, end)`; empty bounds are open.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyRange {
    start: Vec<u8>,
    end: Vec<u8>,
}

impl KeyRange {
    /// Every keyspace id.
    pub fn full() -> Self {
        Self { start: Vec::new(), end: Vec::new() }
    }

    /// The lowest id within; empty for no lower bound.
    pub fn start(&self) -> &[u8] {
        &self.start
    }

    /// The lowest id above; empty for no upper bound.
    pub fn end(&self) -> &[u8] {
        &self.end
    }

    /// Whether this range covers every id.
    pub fn is_full(&self) -> bool {
        self.start.is_empty() && self.end.is_empty()
    }

    /// Whether `id` lies within.
    pub fn contains(&self, id: &[u8]) -> bool {
        self.start.as_slice() <= id && (self.end.is_empty() || id < self.end.as_slice())
    }

    /// The ids that begin with `prefix`.
    pub fn with_prefix(prefix: &[u8]) -> Self {
        // The next prefix of this length is the one with its last byte below 0xFF raised.
        let raised = prefix.iter().rposition(|byte| *byte != u8::MAX).map_or(0, |last| last + 1);
        let mut end = prefix.get(..raised).unwrap_or_default().to_vec();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self { start: trimmed(prefix.to_vec()), end }
    }

    /// The ids from `start` up to `end`, an empty `end` being no bound; `None` where there are none.
    pub fn between(start: &[u8], end: &[u8]) -> Option<Self> {
        (end.is_empty() || start < end).then(|| Self { start: start.to_vec(), end: end.to_vec() })
    }

    /// The ids both ranges have.
    pub fn intersection(&self, other: &KeyRange) -> Option<Self> {
        let start = Ord::max(&self.start, &other.start);
        let end = match (self.end.as_slice(), other.end.as_slice()) {
            ([], end) | (end, []) => end,
            (one, two) => Ord::min(one, two),
        };
        Self::between(start, end)
    }

    /// From this range's start to another's end.
    pub fn up_to(&self, last: &KeyRange) -> Self {
        Self { start: self.start.clone(), end: last.end.clone() }
    }

    /// Whether the two ranges share an id.
    pub fn intersects(&self, other: &KeyRange) -> bool {
        (other.end.is_empty() || self.start < other.end) && (self.end.is_empty() || other.start < self.end)
    }
}

fn bound(text: &str, hex: &str) -> Result<Vec<u8>, NameError> {
    let bad = |why| NameError::new("key range", text, why);
    if !hex.len().is_multiple_of(2) {
        return Err(bad("a bound must have an even number of hexadecimal digits"));
    }
    let mut bytes = Vec::with_capacity(hex.len() / 2);
    for pair in hex.as_bytes().chunks_exact(2) {
        let digit = |b: u8| (b as char).to_digit(16).ok_or_else(|| bad("a bound must be hexadecimal"));
        bytes.push((digit(pair[0])? * 16 + digit(pair[1])?) as u8);
    }
    Ok(trimmed(bytes))
}

/// A bound without the trailing zeros that make no difference.
fn trimmed(mut bound: Vec<u8>) -> Vec<u8> {
    while bound.last() == Some(&0) {
        bound.pop();
    }
    bound
}

impl FromStr for KeyRange {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = |why| NameError::new("key range", text, why);
        let (start, end) = text.split_once('-').ok_or_else(|| bad("expected <start>-<end>, e.g. -80 or 80-"))?;
        let range = Self { start: bound(text, start)?, end: bound(text, end)? };
        if !range.end.is_empty() && range.start >= range.end {
            return Err(bad("the start must be below the end"));
        }
        if !end.is_empty() && range.end.is_empty() {
            return Err(bad("the end must be above zero"));
        }
        Ok(range)
    }
}

impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.start {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("-")?;
        for byte in &self.end {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_membership() {
        let low: KeyRange = "-80".parse().unwrap();
        let high: KeyRange = "8000-".parse().unwrap();
        assert_eq!(high.to_string(), "80-");
        assert!(low.contains(&[0x7f, 0xff]) && !low.contains(&[0x80]));
        assert!(high.contains(&[0x80]) && high.contains(&[0xff; 8]));
        assert!(!low.intersects(&high) && low.intersects(&"40-c0".parse().unwrap()));
        for bad in ["80-40", "8-", "zz-", "80", "-00"] {
            assert!(bad.parse::<KeyRange>().is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_and_intersections() {
        for (prefix, range) in
            [(&[][..], "-"), (&[0], "-01"), (&[0x80], "80-81"), (&[0x7f, 0xff], "7fff-80"), (&[0xff, 0xff], "ffff-")]
        {
            assert_eq!(KeyRange::with_prefix(prefix).to_string(), range);
        }
        let range = |text: &str| text.parse::<KeyRange>().unwrap();
        assert_eq!(range("-80").intersection(&range("40-")), Some(range("40-80")));
        assert_eq!(range("-80").intersection(&range("80-")), None);
        assert_eq!(range("-").intersection(&range("-")), Some(KeyRange::full()));
    }
}
