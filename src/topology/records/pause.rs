//! A pause in writes while a workflow's traffic is switched.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Record;
use crate::model::{KeyspaceName, TableName};

/// An announced pause, at [`crate::topology::paths::pause`] of its workflow. Gateways hold what would open a transaction
/// that writes or locks in one of its tables until it is withdrawn, and then plan it again.
///
/// A gateway knows of it when [`super::GatewayPresence::revision`] has reached the revision that wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The switch's epoch; of two pauses of a workflow the later one has the higher.
    pub epoch: u64,
    /// The workflow's source.
    pub source: KeyspaceName,
    /// The workflow's target.
    pub target: KeyspaceName,
    /// The tables whose writes are held.
    pub tables: BTreeSet<TableName>,
    /// The keyspace in which writes are being stopped: the source, or the target when traffic goes back.
    pub closing: KeyspaceName,
    /// The workflow's identity, which the fences' rows have as their key.
    pub uid: Uuid,
    /// False: the fences are armed, but nothing is held yet; a transaction's first locking read takes the fence's row
    /// first, so that the fence waits for the transaction instead of breaking it off.
    pub holds: bool,
}

impl Record for Pause {
    const KIND: &'static str = "pause";
    const VERSION: u32 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_one_small_record() {
        let stored = br#"{"closing":"commerce","epoch":3,"holds":true,"source":"commerce","tables":["corder"],"target":"customer","uid":"67e55044-10b1-426f-9247-bb680e5fe0c8","version":1}"#;
        let pause = Pause::decode(stored).unwrap();
        assert_eq!(pause.encode().unwrap(), stored);
    }
}
