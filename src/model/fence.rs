//! The fence's names: its error number, the epoch of an attempt to switch, and what its triggers are called.
//!
//! # Invariants
//! - Epochs of one workflow only grow: whoever acts on a fence with a lower one comes too late (design §5.1).
//! - A trigger's name tells its epoch, its event and, by a hash, its table, in at most 64 characters whatever the table is
//!   called. Nothing else is called so: a name of this form in a binlog is the fence's.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::names::NameError;

/// The error number by which a closed fence refuses a write; its SQLSTATE is 45000.
pub const FENCE_ERRNO: u16 = 20501;

/// In front of every name of a fence's trigger.
const PREFIX: &str = "shardlift_fence_";

/// The number of an attempt to open or close a workflow's fences. Whoever tries again takes a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The one after this.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What a trigger fires on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FenceEvent {
    /// INSERT, and the like of REPLACE and LOAD DATA.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
}

impl FenceEvent {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Insert, Self::Update, Self::Delete];

    /// As SQL has it.
    pub fn as_sql(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "ins",
            Self::Update => "upd",
            Self::Delete => "del",
        }
    }
}

/// The name of one of the fence's triggers: `shardlift_fence_<epoch>_<ins|upd|del>_<hash of the table>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FenceTrigger {
    /// The attempt that made it.
    pub epoch: Epoch,
    /// What it fires on.
    pub event: FenceEvent,
    /// The first 64 bits of the SHA-256 of the table's name.
    pub table: u64,
}

impl FenceTrigger {
    /// The name of the trigger on `table`.
    pub fn new(epoch: Epoch, event: FenceEvent, table: &str) -> Self {
        Self { epoch, event, table: hash(table) }
    }

    /// Whether it is a name for a trigger on `table`.
    pub fn is_on(&self, table: &str) -> bool {
        self.table == hash(table)
    }
}

fn hash(table: &str) -> u64 {
    Sha256::digest(table.as_bytes()).iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

impl fmt::Display for FenceTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_{}_{:016x}", self.epoch, self.event.as_str(), self.table)
    }
}

impl FromStr for FenceTrigger {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let parse = || {
            let mut parts = text.strip_prefix(PREFIX)?.split('_');
            let epoch = Epoch(parts.next()?.parse().ok()?);
            let event = parts.next()?;
            let event = FenceEvent::ALL.into_iter().find(|known| known.as_str() == event)?;
            let table = u64::from_str_radix(parts.next()?, 16).ok()?;
            let trigger = Self { epoch, event, table };
            // Signs and leading zeros parse too.
            (trigger.to_string() == text).then_some(trigger)
        };
        parse().ok_or_else(|| {
            NameError::new("fence trigger", text, "expected shardlift_fence_<epoch>_<ins|upd|del>_<hash>")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_enough_and_round_trip() {
        for event in FenceEvent::ALL {
            let trigger = FenceTrigger::new(Epoch(u64::MAX), event, &"ü".repeat(64));
            let text = trigger.to_string();
            assert!(text.len() <= 64, "{text}");
            assert_eq!(text.parse(), Ok(trigger));
        }
        let trigger = FenceTrigger::new(Epoch(7), FenceEvent::Update, "product");
        assert!(trigger.is_on("product") && !trigger.is_on("Product"));
    }

    #[test]
    fn nothing_else_is_called_so() {
        for text in [
            "shardlift_fence_7_upd_",
            "shardlift_fence_7_upd_12",
            "shardlift_fence_+7_upd_00000000000000ff",
            "shardlift_fence_07_upd_00000000000000ff",
            "shardlift_fence_7_UPD_00000000000000ff",
            "shardlift_fence_7_upd_00000000000000FF",
            "shardlift_fence_7_upd_00000000000000ff_x",
            "shardlift_fence_x_upd_00000000000000ff",
            "my_shardlift_fence_7_upd_00000000000000ff",
        ] {
            assert!(text.parse::<FenceTrigger>().is_err(), "{text}");
        }
    }
}
