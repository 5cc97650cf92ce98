//! Validated names. Each kind is a type of its own; all parse from and print as plain text, and serialise as strings.
//!
//! Invariant: a value of one of these types is safe to use as a topology path segment (no `/`, not empty, no control
//! characters). It is *not* safe to paste into SQL: only `mysql::quote` does that.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::keyrange::KeyRange;

/// A text that is not a valid name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{text}` is not valid: {why}")]
pub struct NameError {
    /// The kind of name ("keyspace", "tablet alias", …).
    pub what: &'static str,
    /// What was given.
    pub text: String,
    /// The rule it breaks.
    pub why: &'static str,
}

impl NameError {
    pub(crate) fn new(what: &'static str, text: &str, why: &'static str) -> Self {
        Self { what, text: text.into(), why }
    }
}

/// Letters, digits, `_` and `-`, as Vitess allows for what the operator names.
fn check_plain(what: &'static str, text: &str) -> Result<(), NameError> {
    if text.is_empty() || text.len() > 63 {
        return Err(NameError::new(what, text, "it must have 1 to 63 characters"));
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Err(NameError::new(what, text, "only letters, digits, `_` and `-` are allowed"));
    }
    Ok(())
}

/// What MySQL accepts as an identifier, less `/`, NUL and other control characters.
fn check_identifier(what: &'static str, text: &str) -> Result<(), NameError> {
    if text.is_empty() || text.chars().count() > 64 {
        return Err(NameError::new(what, text, "it must have 1 to 64 characters"));
    }
    if text.chars().any(|c| c.is_control() || c == '/') {
        return Err(NameError::new(what, text, "`/` and control characters are not allowed"));
    }
    if text.ends_with(' ') {
        return Err(NameError::new(what, text, "it must not end with a space"));
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Checks and wraps `text`.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                $check($what, &text)?;
                Ok(Self(text))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }
    };
}

name!(/// A failure domain of the topology, e.g. `zone1`.
    Cell, "cell", check_plain);
name!(/// A logical database, e.g. `commerce`.
    KeyspaceName, "keyspace", check_plain);
name!(/// A workflow within its target keyspace, e.g. `commerce2customer`.
    WorkflowName, "workflow", check_plain);
name!(/// A name under which a user and password are looked up outside the topology.
    CredentialName, "credential name", check_plain);
name!(/// One shardlift installation within a topology store, e.g. `main`.
    ClusterName, "cluster", check_plain);
name!(/// A running engine or gateway, unique within its cluster.
    InstanceId, "instance id", check_plain);
name!(/// A MySQL schema on one server.
    DatabaseName, "database", check_identifier);
name!(/// A MySQL table.
    TableName, "table", check_identifier);

/// A shard of a keyspace: its key range, printed as Vitess prints it. `0` and `-` both cover every keyspace id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShardName {
    text: String,
    range: KeyRange,
}

impl ShardName {
    /// The single shard of an unsharded keyspace.
    pub fn unsharded() -> Self {
        Self { text: "0".into(), range: KeyRange::full() }
    }

    /// The keyspace ids that live here.
    pub fn range(&self) -> &KeyRange {
        &self.range
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for ShardName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text == "0" {
            return Ok(Self::unsharded());
        }
        let range: KeyRange = text.parse()?;
        Ok(Self { text: range.to_string(), range })
    }
}

impl fmt::Display for ShardName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl TryFrom<String> for ShardName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ShardName> for String {
    fn from(name: ShardName) -> String {
        name.text
    }
}

/// A tablet's name: its cell and a number, printed `zone1-0000000100`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TabletAlias {
    /// The cell the tablet lives in.
    pub cell: Cell,
    /// Its number, unique within the cell.
    pub uid: u32,
}

impl FromStr for TabletAlias {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let bad = |why| NameError::new("tablet alias", text, why);
        let (cell, uid) = text.rsplit_once('-').ok_or_else(|| bad("expected <cell>-<number>"))?;
        if !uid.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad("what follows the last `-` must be a number"));
        }
        let uid = uid.parse().map_err(|_| bad("the number must fit 32 bits"))?;
        Ok(Self { cell: cell.parse()?, uid })
    }
}

impl fmt::Display for TabletAlias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{:010}", self.cell, self.uid))
    }
}

impl TryFrom<String> for TabletAlias {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<TabletAlias> for String {
    fn from(alias: TabletAlias) -> String {
        alias.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_could_leave_their_path_segment() {
        assert!(KeyspaceName::new("com/merce").is_err());
        assert!(KeyspaceName::new("").is_err());
        assert!(TableName::new("a/b").is_err());
        assert!(TableName::new("weird `name` ü").is_ok());
        assert!(TableName::new("trailing ").is_err());
    }

    #[test]
    fn alias_round_trips_with_a_dash_in_the_cell() {
        let alias: TabletAlias = "us-east1-0000000100".parse().unwrap();
        assert_eq!((alias.cell.as_str(), alias.uid), ("us-east1", 100));
        assert_eq!(alias.to_string(), "us-east1-0000000100");
        assert!("zone1".parse::<TabletAlias>().is_err());
        assert!("zone1-x".parse::<TabletAlias>().is_err());
        assert!("zone1-99999999999".parse::<TabletAlias>().is_err());
    }

    #[test]
    fn shard_names_are_ranges() {
        assert_eq!("-80".parse::<ShardName>().unwrap().to_string(), "-80");
        assert_eq!("0".parse::<ShardName>().unwrap().range(), &KeyRange::full());
        assert!("80-40".parse::<ShardName>().is_err());
        assert!("xyz".parse::<ShardName>().is_err());
    }
}
