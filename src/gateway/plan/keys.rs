//! By which values a statement finds rows, and on which shards these are.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::catalog::Key;
use super::value::{Slot, Value, Values};
use crate::sharding::column::Purpose;
use crate::sharding::{KeyValue, ShardMap};

/// Tables whose rows are joined on their own shard only, and by what these are found.
#[derive(Debug, Clone)]
pub struct Group {
    /// The tables, for messages.
    pub tables: String,
    /// Where they are found.
    pub found: Found,
    /// Whether it is the statement's own FROM that has them, not a query within.
    pub root: bool,
}

/// Where rows are found.
#[derive(Debug, Clone)]
pub enum Found {
    /// On any shard.
    Anywhere,
    /// On the shard of this keyspace id.
    Pinned(Vec<u8>),
    /// By values of their keys.
    By(Finder),
}

/// Values of a table's key.
#[derive(Debug, Clone)]
pub struct Finder {
    /// The key.
    pub key: Arc<Key>,
    /// Each row's values in the key's order: all of its columns, or the first ones.
    pub rows: Vec<Vec<Slot>>,
    /// The list in the text that these rows are, if they are one: it may be cut to a shard's own.
    pub list: Option<List>,
}

/// A list in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Its items, one for each row.
    pub items: Vec<Range<usize>>,
}

/// Shards, and which rows of a list concern each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// All of them.
    All,
    /// These, by their places in the map, each with the rows for it. None where nothing can be found.
    These(Vec<(usize, Vec<usize>)>),
}

impl Finder {
    /// Where rows with these values are looked for. Where one cannot be told they may be anywhere.
    pub fn compare(&self, values: &Values<'_>, map: &ShardMap) -> Option<Where> {
        let mut shards: Vec<(usize, Vec<usize>)> = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            let read = row.iter().map(|slot| values.read(*slot)).collect::<Option<Vec<_>>>()?;
            if read.contains(&Value::Null) {
                // NULL equals nothing.
                continue;
            }
            let places = match self.key.places(&read, Purpose::Compare, map) {
                Ok(places) => places,
                Err(Unknown::Anywhere(_)) => return Some(Where::All),
                Err(Unknown::Nowhere(_)) => continue,
            };
            for place in places {
                match shards.iter_mut().find(|(shard, _)| *shard == place) {
                    Some((_, rows)) => rows.push(number),
                    None => shards.push((place, vec![number])),
                }
            }
        }
        shards.sort_by_key(|(shard, _)| *shard);
        Some(Where::These(shards))
    }

    /// The keyspace ids of the rows as they are stored; `None` where one cannot be told.
    pub fn ids(&self, values: &Values<'_>) -> Option<BTreeSet<Vec<u8>>> {
        let mut ids = BTreeSet::new();
        for row in &self.rows {
            let read = row.iter().map(|slot| values.read(*slot)).collect::<Option<Vec<_>>>()?;
            let keys = self.key.values(&read, Purpose::Store).ok()?;
            ids.insert(self.key.vindex.keyspace_id(&keys).ok()?);
        }
        Some(ids)
    }
}

impl Key {
    fn values<'v>(&self, values: &'v [Value<'_>], purpose: Purpose) -> Result<Vec<KeyValue<'v>>, Unknown> {
        let read = values.iter().zip(&self.types).map(|(value, key_type)| {
            let Some(key_type) = key_type else { return Ok(KeyValue::Null) };
            let literal = value.literal().ok_or_else(|| Unknown::Anywhere("it is no plain value".into()))?;
            key_type.literal(literal, purpose).map_err(|why| Unknown::Anywhere(why.to_string()))
        });
        read.collect()
    }

    fn places(&self, values: &[Value<'_>], purpose: Purpose, map: &ShardMap) -> Result<Range<usize>, Unknown> {
        let keys = self.values(values, purpose)?;
        self.vindex.shards(&keys, map).map_err(|why| Unknown::Nowhere(why.to_string()))
    }

    /// The shard of a row that is stored with these values.
    pub fn place(&self, values: &[Value<'_>], purpose: Purpose, map: &ShardMap) -> Result<usize, String> {
        match self.places(values, purpose, map) {
            Ok(places) if places.len() == 1 => Ok(places.start),
            Ok(_) => Err("its keyspace id is on no serving shard".into()),
            Err(Unknown::Anywhere(why) | Unknown::Nowhere(why)) => Err(why),
        }
    }
}

enum Unknown {
    /// Rows that compare as equal may be anywhere.
    Anywhere(String),
    /// There is no such row.
    Nowhere(String),
}

impl Found {
    /// Where rows are found. `None`: a parameter is not bound.
    pub fn place(&self, values: &Values<'_>, map: &ShardMap) -> Option<Where> {
        match self {
            Self::Anywhere => Some(Where::All),
            Self::Pinned(id) => Some(Where::These(map.find(id).map(|place| (place, Vec::new())).into_iter().collect())),
            Self::By(finder) => finder.compare(values, map),
        }
    }
}
