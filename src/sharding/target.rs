//! What a session is aimed at: `use customer`, `use customer@replica`, `use customer:-80`, `use customer/-80@rdonly`.
//!
//! The spelling is that of Vitess's `topoproto.ParseDestination`: the type follows the last `@`, in any case; the shard
//! follows the last `/` or `:` before it; what is left is the keyspace. Targets by keyspace id (`customer[80]`) are not
//! taken: they fan out.

use std::fmt;
use std::str::FromStr;

use crate::model::workflow::TabletType;
use crate::model::{KeyspaceName, NameError, ShardName};

/// A session's target. The default, which no text stands for, is no keyspace and PRIMARY.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The keyspace, if one was chosen.
    pub keyspace: Option<KeyspaceName>,
    /// The one shard that shall be used; routing rules do not count then. Never without a keyspace.
    pub shard: Option<ShardName>,
    /// The type of tablet.
    pub tablet_type: TabletType,
}

/// A text that is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// One of its names is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A shard without its keyspace.
    #[error("target `{0}` names a shard but no keyspace; expected <keyspace>:<shard>, e.g. customer:-80")]
    ShardAlone(String),
    /// A target by keyspace id.
    #[error("target `{0}` selects by keyspace id, which is not supported; name a shard, e.g. customer:-80")]
    KeyspaceId(String),
    /// Nothing at all.
    #[error("the target is empty; expected e.g. customer, customer@replica or customer:-80")]
    Empty,
}

impl Default for Target {
    fn default() -> Self {
        Self { keyspace: None, shard: None, tablet_type: TabletType::Primary }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text.is_empty() {
            return Err(TargetError::Empty);
        }
        let (place, tablet_type) = match text.rsplit_once('@') {
            Some((place, word)) => (place, word.parse()?),
            None => (text, TabletType::Primary),
        };
        if place.contains(['[', ']']) {
            return Err(TargetError::KeyspaceId(text.into()));
        }
        let (keyspace, shard) = match place.rsplit_once(['/', ':']) {
            Some((keyspace, shard)) => (keyspace, Some(shard.parse()?)),
            None => (place, None),
        };
        let keyspace = match (keyspace, &shard) {
            ("", Some(_)) => return Err(TargetError::ShardAlone(text.into())),
            ("", None) => None,
            (name, _) => Some(name.parse()?),
        };
        Ok(Self { keyspace, shard, tablet_type })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(keyspace) = &self.keyspace {
            write!(f, "{keyspace}")?;
        }
        if let Some(shard) = &self.shard {
            write!(f, ":{shard}")?;
        }
        match self.tablet_type {
            TabletType::Primary => Ok(()),
            TabletType::Replica => f.write_str("@replica"),
            TabletType::Rdonly => f.write_str("@rdonly"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_spellings_are_read_and_one_is_written() {
        for (text, written) in [
            ("customer", "customer"),
            ("customer@primary", "customer"),
            ("customer@REPLICA", "customer@replica"),
            ("customer:-80", "customer:-80"),
            ("customer/-80", "customer:-80"),
            ("customer:80-C0@RdOnly", "customer:80-c0@rdonly"),
            ("customer:0", "customer:0"),
            ("customer:-", "customer:-"),
            ("@replica", "@replica"),
            ("@primary", ""),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), written, "{text}");
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "empty"),
            (":-80", "no keyspace"),
            ("customer:", "key range"),
            ("customer:8", "key range"),
            ("customer@", "tablet type"),
            ("customer@master", "PRIMARY REPLICA RDONLY"),
            ("customer[80]", "keyspace id"),
            ("cust omer", "keyspace"),
            ("a/b/c", "key range"),
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = text.parse::<Target>();
        }

        #[test]
        fn what_is_written_reads_back(keyspace in "[a-zA-Z0-9_-]{1,20}", shard in 0..4usize, kind in 0..3usize) {
            let shard = ["", ":0", ":-80", ":80-c0"][shard];
            let target: Target = format!("{keyspace}{shard}@{}", TabletType::ALL[kind]).parse().unwrap();
            prop_assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        }
    }
}
