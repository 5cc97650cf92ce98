//! A cluster as one JSON document, and back.
//!
//! Invariants: a document shows one revision; what lives by a lease is left out; an import is one transaction.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::TopologyError;
use super::records::{CellRecord, Keyspace, Record, RecordError, Shard, Tablet};
use super::store::{Compare, Entry, Txn, TxnOutcome};
use super::{Path, Topology, paths, record_error};
use crate::model::TabletAlias;
use crate::model::routing::{RuleSet, TableMove};

const FORMAT: &str = "shardlift-topology";
const VERSION: u32 = 1;

/// An exported cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    format: String,
    version: u32,
    /// Each lasting record by its path.
    pub records: BTreeMap<String, Value>,
}

impl Document {
    /// Parses an exported document.
    pub fn parse(text: &[u8]) -> Result<Self, TopologyError> {
        let refuse = |why: String| TopologyError::Refused(format!("this is not an exported topology: {why}"));
        let document: Self = serde_json::from_slice(text).map_err(|e| refuse(e.to_string()))?;
        if document.format != FORMAT {
            return Err(refuse(format!("its format is `{}`, expected `{FORMAT}`", document.format)));
        }
        if document.version > VERSION {
            let found = document.version;
            return Err(refuse(format!("its version is {found}, this program knows {VERSION}; use the newer release")));
        }
        Ok(document)
    }

    /// The records in stored form, each checked by itself and against those it names.
    fn checked(&self) -> Result<BTreeMap<Path, Vec<u8>>, TopologyError> {
        let mut records = BTreeMap::new();
        for (text, value) in &self.records {
            let path = Path::parse(text)
                .ok_or_else(|| TopologyError::Refused(format!("`{text}` is not the path of a topology record")))?;
            if matches!(path.segments().next(), Some("engines" | "gateways" | "mixes" | "owners" | "status")) {
                return Err(TopologyError::Refused(format!("{path} lives by a lease and cannot be imported")));
            }
            let bytes = value.to_string().into_bytes();
            check_record(&path, &bytes).map_err(record_error(&path))?;
            records.insert(path, bytes);
        }
        let there: BTreeSet<&Path> = records.keys().collect();
        for (path, bytes) in &records {
            if let Some(absent) =
                named(path, bytes).map_err(record_error(path))?.into_iter().find(|p| !there.contains(p))
            {
                return Err(TopologyError::Refused(format!("{path} names {absent}, which is not in the document")));
            }
        }
        Ok(records)
    }
}

fn check_record(path: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    let segments: Vec<&str> = path.segments().collect();
    match segments.as_slice() {
        ["cells", _] => CellRecord::decode(bytes).map(drop),
        ["keyspaces", _] => Keyspace::decode(bytes).map(drop),
        ["shards", ..] => Shard::decode(bytes).map(drop),
        ["tablets", _] => Tablet::decode(bytes).map(drop),
        ["rules", _] if *path == paths::operator_rules() => RuleSet::decode(bytes).map(drop),
        ["rules", _] => TableMove::decode(bytes).map(drop),
        // Read by modules above this one.
        _ => match serde_json::from_slice(bytes) {
            Ok(Value::Object(_)) => Ok(()),
            _ => Err(RecordError::Invalid { kind: "record", why: "it is not an object".into() }),
        },
    }
}

/// The records a record needs to exist.
fn named(path: &Path, bytes: &[u8]) -> Result<Vec<Path>, RecordError> {
    let invalid = |why: String| RecordError::Invalid { kind: "path", why };
    let segments: Vec<&str> = path.segments().collect();
    Ok(match segments.as_slice() {
        ["shards", keyspace, _] => {
            let keyspace = keyspace.parse().map_err(|e| invalid(format!("{e}")))?;
            let primary = Shard::decode(bytes)?.primary;
            let mut named = vec![paths::keyspace(&keyspace)];
            named.extend(primary.iter().map(paths::tablet));
            named
        }
        ["tablets", alias] => {
            let alias: TabletAlias = alias.parse().map_err(|e| invalid(format!("{e}")))?;
            let tablet = Tablet::decode(bytes)?;
            vec![paths::cell(&alias.cell), paths::shard(&tablet.keyspace, &tablet.shard)]
        }
        _ => Vec::new(),
    })
}

impl Topology {
    /// Everything lasting in the cluster.
    pub async fn export(&self) -> Result<Document, TopologyError> {
        let listing = self.store.list(self.paths.root()).await?;
        let mut records = BTreeMap::new();
        for entry in listing.entries.iter().filter(|entry| entry.lease.is_none()) {
            if let Some(path) = self.paths.path(&entry.key) {
                let invalid = |e: serde_json::Error| RecordError::Invalid { kind: "record", why: e.to_string() };
                let value = serde_json::from_slice(&entry.value).map_err(invalid).map_err(record_error(&path))?;
                records.insert(path.to_string(), value);
            }
        }
        Ok(Document { format: FORMAT.into(), version: VERSION, records })
    }

    /// Makes the cluster hold exactly what `document` says, as one change. Refused if the cluster holds anything lasting,
    /// unless `replace`; refused either way while engines own workflows in it.
    pub async fn import(&self, document: &Document, replace: bool) -> Result<usize, TopologyError> {
        let records = document.checked()?;
        let listing = self.store.list(self.paths.root()).await?;
        let path_of = |entry: &Entry| self.paths.path(&entry.key);
        let owned = listing.entries.iter().filter_map(path_of).find(|path| paths::owners().holds(path));
        if let Some(owner) = owned {
            return Err(TopologyError::Refused(format!("an engine is at work ({owner}); stop the engines first")));
        }
        let lasting: Vec<&Entry> = listing.entries.iter().filter(|entry| entry.lease.is_none()).collect();
        if let (Some(first), false) = (lasting.first().and_then(|entry| path_of(entry)), replace) {
            let count = lasting.len();
            return Err(TopologyError::Refused(format!(
                "the cluster is not empty ({count} records, the first is {first}); import into another --cluster, or say \
                 --force to replace all of it"
            )));
        }
        let mut txn = Txn::new().when(Compare::NoneAfter(self.paths.root().into(), listing.revision));
        for entry in lasting {
            if path_of(entry).is_none_or(|path| !records.contains_key(&path)) {
                txn = txn.delete(&entry.key);
            }
        }
        let count = records.len();
        for (path, bytes) in records {
            txn = txn.put(self.paths.key(&path), bytes);
        }
        match self.txn(txn).await? {
            TxnOutcome::Committed { .. } => Ok(count),
            TxnOutcome::Refused { .. } => Err(TopologyError::Contended { what: "the cluster".into() }),
        }
    }
}
