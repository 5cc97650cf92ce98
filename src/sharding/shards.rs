//! Which shard has which keyspace ids.
//!
//! Invariant: a [`ShardMap`]'s shards stand in order and each begins where the one before it ends: no keyspace id of its
//! span is in none or in two of them.

use std::ops::Range;

use crate::model::{KeyRange, ShardName};

/// Shards side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardMap {
    /// At least one, in the order of their ranges.
    shards: Vec<ShardName>,
}

/// Why shards do not make a map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardMapError {
    /// There are none.
    #[error("there are no shards")]
    Empty,
    /// Ids that no shard has.
    #[error("no shard has the keyspace ids {gap}; there are {shards}")]
    Gap {
        /// The range of those ids.
        gap: String,
        /// The shards.
        shards: String,
    },
    /// Ids that two shards have.
    #[error("shards {first} and {second} both have the keyspace ids {overlap}")]
    Overlap {
        /// The one.
        first: String,
        /// The other.
        second: String,
        /// What they share.
        overlap: String,
    },
    /// Sources and targets that do not cover the same ids.
    #[error(
        "the source shards ({sources}) cover {source_span} and the target shards ({targets}) {target_span}: rows would be lost or missing"
    )]
    Spans {
        /// The sources.
        sources: String,
        /// What they cover.
        source_span: String,
        /// The targets.
        targets: String,
        /// What they cover.
        target_span: String,
    },
    /// Shards that are both source and target.
    #[error("shard {0} is both a source and a target")]
    Both(String),
}

/// Which target shards take rows of a source shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// The source.
    pub source: ShardName,
    /// The targets whose ranges intersect its own, in order.
    pub targets: Vec<ShardName>,
}

impl ShardMap {
    /// Shards that cover a span of ids without gaps and overlaps, in any order.
    pub fn span(shards: impl IntoIterator<Item = ShardName>) -> Result<Self, ShardMapError> {
        let mut shards: Vec<ShardName> = shards.into_iter().collect();
        shards.sort_by(|a, b| a.range().cmp(b.range()));
        if shards.is_empty() {
            return Err(ShardMapError::Empty);
        }
        for pair in shards.windows(2) {
            let [one, two] = pair else { continue };
            if let Some(overlap) = one.range().intersection(two.range()) {
                let (first, second) = (one.to_string(), two.to_string());
                return Err(ShardMapError::Overlap { first, second, overlap: overlap.to_string() });
            }
            if let Some(gap) = KeyRange::between(one.range().end(), two.range().start()) {
                return Err(ShardMapError::Gap { gap: gap.to_string(), shards: names(&shards) });
            }
        }
        Ok(Self { shards })
    }

    /// Shards that cover every id, in any order.
    pub fn complete(shards: impl IntoIterator<Item = ShardName>) -> Result<Self, ShardMapError> {
        let map = Self::span(shards)?;
        let covered = map.range();
        let before = Some(covered.start()).filter(|start| !start.is_empty()).and_then(|s| KeyRange::between(&[], s));
        let after = (!covered.end().is_empty()).then(|| KeyRange::between(covered.end(), &[])).flatten();
        match before.or(after) {
            Some(gap) => Err(ShardMapError::Gap { gap: gap.to_string(), shards: map.names() }),
            None => Ok(map),
        }
    }

    /// The shards in order.
    pub fn shards(&self) -> &[ShardName] {
        &self.shards
    }

    /// The ids they cover together.
    pub fn range(&self) -> KeyRange {
        match (self.shards.first(), self.shards.last()) {
            (Some(first), Some(last)) => first.range().up_to(last.range()),
            _ => KeyRange::full(),
        }
    }

    /// The place among [`Self::shards`] of the one that has a keyspace id; `None` only outside their span.
    pub fn find(&self, keyspace_id: &[u8]) -> Option<usize> {
        let above = self.shards.partition_point(|shard| shard.range().start() <= keyspace_id);
        let place = above.checked_sub(1)?;
        self.shards.get(place)?.range().contains(keyspace_id).then_some(place)
    }

    /// The places of those that have ids of a range.
    pub fn within(&self, range: &KeyRange) -> Range<usize> {
        let from = self.shards.partition_point(|shard| !shard.range().intersects(range) && shard.range() < range);
        let count = self.shards.iter().skip(from).take_while(|shard| shard.range().intersects(range)).count();
        from..from + count
    }

    /// From where to where rows go when the shards `self` become the shards `targets`. Both cover the same ids.
    pub fn flows(&self, targets: &ShardMap) -> Result<Vec<Flow>, ShardMapError> {
        if let Some(both) = self.shards.iter().find(|source| targets.shards.contains(source)) {
            return Err(ShardMapError::Both(both.to_string()));
        }
        if self.range() != targets.range() {
            return Err(ShardMapError::Spans {
                sources: self.names(),
                source_span: self.range().to_string(),
                targets: targets.names(),
                target_span: targets.range().to_string(),
            });
        }
        let flow = |source: &ShardName| {
            let places = targets.within(source.range());
            Flow { source: source.clone(), targets: targets.shards.get(places).unwrap_or_default().to_vec() }
        };
        Ok(self.shards.iter().map(flow).collect())
    }

    fn names(&self) -> String {
        names(&self.shards)
    }
}

fn names(shards: &[ShardName]) -> String {
    shards.iter().map(ShardName::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shards(text: &str) -> Vec<ShardName> {
        text.split_whitespace().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn gaps_and_overlaps_are_named() {
        for good in ["0", "-", "-80 80-", "c0- -40 40-80 80-c0", "-10 10-1080 1080-"] {
            ShardMap::complete(shards(good)).unwrap();
        }
        for (bad, why) in [
            ("", "there are no shards"),
            ("-80", "no shard has the keyspace ids 80-; there are -80"),
            ("80-", "keyspace ids -80; there are 80-"),
            ("-40 80-", "no shard has the keyspace ids 40-80; there are -40, 80-"),
            ("-80 40-", "shards -80 and 40- both have the keyspace ids 40-80"),
            ("-80 -80 80-", "shards -80 and -80 both have the keyspace ids -80"),
            ("0 -80", "shards 0 and -80 both have the keyspace ids -80"),
            ("- 80-", "shards - and 80- both have the keyspace ids 80-"),
        ] {
            let error = ShardMap::complete(shards(bad)).unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
        assert_eq!(ShardMap::span(shards("60-80 40-60")).unwrap().range().to_string(), "40-80");
    }

    #[test]
    fn flows_follow_the_ranges() {
        let flows = |from: &str, to: &str| {
            let (from, to) = (ShardMap::span(shards(from)).unwrap(), ShardMap::span(shards(to)).unwrap());
            let flows = from.flows(&to).map_err(|error| error.to_string())?;
            let told = flows.iter().map(|flow| format!("{}>{}", flow.source, names(&flow.targets)));
            Ok::<_, String>(told.collect::<Vec<_>>().join(" "))
        };
        assert_eq!(flows("0", "-80 80-"), Ok("0>-80, 80-".into()));
        assert_eq!(flows("-80 80-", "0"), Ok("-80>0 80->0".into()));
        assert_eq!(flows("-40 40-80", "-20 20-60 60-80"), Ok("-40>-20, 20-60 40-80>20-60, 60-80".into()));
        assert!(flows("-80", "-40").unwrap_err().contains("cover -80 and the target shards (-40) -40"));
        assert!(flows("-80 80-", "-80 80-c0 c0-").unwrap_err().contains("shard -80 is both"));
    }

    proptest! {
        #[test]
        fn every_id_is_in_one_shard(
            cuts in prop::collection::btree_set(prop::collection::vec(any::<u8>(), 1..4), 0..6),
            ids in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 20),
        ) {
            let hex = |cut: &Vec<u8>| cut.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            let bounds: Vec<String> = cuts.iter().filter(|cut| cut.iter().any(|byte| *byte != 0)).map(hex).collect();
            let from = std::iter::once(String::new()).chain(bounds.iter().cloned());
            let to = bounds.iter().cloned().chain([String::new()]);
            let names: Vec<String> = from.zip(to).map(|(from, to)| format!("{from}-{to}")).collect();
            let Ok(shards) = names.iter().map(|name| name.parse()).collect::<Result<Vec<ShardName>, _>>() else {
                return Ok(()); // two cuts that are the same bound
            };
            let map = ShardMap::complete(shards).unwrap();
            for id in ids.iter().chain(&cuts) {
                let place = map.find(id).unwrap();
                let having: Vec<usize> =
                    (0..map.shards().len()).filter(|at| map.shards()[*at].range().contains(id)).collect();
                prop_assert_eq!(having, vec![place]);
                let prefix = KeyRange::with_prefix(id);
                prop_assert!(map.within(&prefix).contains(&place) || id.is_empty());
                let touched: Vec<usize> =
                    (0..map.shards().len()).filter(|at| map.shards()[*at].range().intersects(&prefix)).collect();
                prop_assert_eq!(map.within(&prefix).collect::<Vec<_>>(), touched);
            }
        }
    }
}
