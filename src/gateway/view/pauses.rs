//! Announced pauses, ready to be asked about a statement. Pure.
//!
//! Invariant: nothing rests on a pause being heeded. One that cannot be read holds nothing, and the fence, which is closed
//! on the servers, refuses what should have been held.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::model::KeyspaceName;
use crate::topology::store::Entry;
use crate::topology::{Path, Record, paths, records};

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Its workflow's path below the folder of pauses, e.g. `customer/move`.
    pub workflow: String,
    /// The workflow's identity.
    pub uid: Uuid,
    /// The workflow's source and target.
    pub sides: [KeyspaceName; 2],
    /// Whether anything is held yet; else the fences are only armed.
    pub holds: bool,
    /// In lower case: a name that differs in case may be the same table.
    tables: HashSet<String>,
}

impl Pause {
    /// Whether a table of this name in this keyspace is one of those switched.
    pub fn has(&self, keyspace: &KeyspaceName, table: &str) -> bool {
        self.is_on(keyspace) && self.tables.contains(&table.to_lowercase())
    }

    /// Whether the keyspace is one of its sides.
    pub fn is_on(&self, keyspace: &KeyspaceName) -> bool {
        self.sides.contains(keyspace)
    }
}

/// Those among the records, in the order of their paths; what cannot be read goes to `wrong`.
pub(super) fn read(entries: &BTreeMap<Path, Entry>, mut wrong: impl FnMut(&Path, String)) -> Vec<Arc<Pause>> {
    let mut pauses = Vec::new();
    for (path, entry) in entries.iter().filter(|(path, _)| paths::pauses().holds(path)) {
        match records::Pause::decode(&entry.value) {
            Ok(record) => pauses.push(Arc::new(Pause {
                workflow: path.as_str().trim_start_matches(paths::pauses().as_str()).to_owned(),
                uid: record.uid,
                sides: [record.source, record.target],
                holds: record.holds,
                tables: record.tables.iter().map(|table| table.as_str().to_lowercase()).collect(),
            })),
            Err(error) => wrong(path, error.to_string()),
        }
    }
    pauses
}
