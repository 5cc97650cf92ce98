//! What the topology stores: one type per kind of record, JSON with a version.
//!
//! Invariant: a record written by a newer release is refused, never half understood.

mod cluster;
mod mixes;
mod pause;
mod presence;
mod rules;
mod schema_change;
mod vschema;
mod workflow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use cluster::{CellRecord, Keyspace, Shard, Tablet};
pub use mixes::{Mix, Mixes};
pub use pause::Pause;
pub use presence::{EnginePresence, GatewayPresence, Owner};
pub use schema_change::{SchemaChange, Sent, ShardProgress};
pub use workflow::{Log, LogLine, Replaced, Status, Stopped, StreamStatus, TableStatus, Workflow};

/// A kind of record. Stored as a JSON object with the field `version` beside the type's own.
pub trait Record: Serialize + DeserializeOwned {
    /// What an operator calls it.
    const KIND: &'static str;
    /// The version written. Raised when an older release could misread what a newer one writes.
    const VERSION: u32;

    /// The stored form.
    fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let invalid = |why: String| RecordError::Invalid { kind: Self::KIND, why };
        let mut value = serde_json::to_value(self).map_err(|e| invalid(e.to_string()))?;
        let object = value.as_object_mut().ok_or_else(|| invalid("it is not an object".into()))?;
        object.insert("version".into(), Self::VERSION.into());
        serde_json::to_vec(&value).map_err(|e| invalid(e.to_string()))
    }

    /// Reads the stored form, of this version or an older one.
    fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let invalid = |why: String| RecordError::Invalid { kind: Self::KIND, why };
        let mut value: Value = serde_json::from_slice(bytes).map_err(|e| invalid(e.to_string()))?;
        let version = value.as_object_mut().and_then(|object| object.remove("version"));
        match version.as_ref().and_then(Value::as_u64) {
            None => Err(invalid("it has no version".into())),
            Some(found) if found > Self::VERSION.into() => {
                Err(RecordError::Newer { kind: Self::KIND, found, known: Self::VERSION })
            }
            Some(_) => serde_json::from_value(value).map_err(|e| invalid(e.to_string())),
        }
    }
}

/// Why a record cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A newer release wrote it.
    #[error("this {kind} was written as version {found}, this program knows {known}; use the newer shardlift release")]
    Newer {
        /// The kind of record.
        kind: &'static str,
        /// Its version.
        found: u64,
        /// The newest version known here.
        known: u32,
    },
    /// It is not a record of its kind.
    #[error("not a valid {kind}: {why}")]
    Invalid {
        /// The kind of record.
        kind: &'static str,
        /// What is wrong.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_and_newer_ones_are_refused() {
        let keyspace = Keyspace { database: "shop".parse().unwrap() };
        let stored = keyspace.encode().unwrap();
        assert_eq!(String::from_utf8_lossy(&stored), r#"{"database":"shop","version":1}"#);
        assert_eq!(Keyspace::decode(&stored).unwrap(), keyspace);
        let newer = Keyspace::decode(br#"{"database":"shop","version":2}"#);
        assert_eq!(newer, Err(RecordError::Newer { kind: "keyspace", found: 2, known: 1 }));
        assert!(Keyspace::decode(br#"{"database":"shop"}"#).is_err());
        assert!(Keyspace::decode(b"[]").is_err());
        assert_eq!(CellRecord::decode(&CellRecord {}.encode().unwrap()), Ok(CellRecord {}));
    }
}
