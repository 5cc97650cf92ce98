//! Where a session stands between BEGIN and COMMIT. Pure.
//!
//! Invariant: a transaction is on one tablet of a shard, and on several shards only if these are of one keyspace. Which ones, its
//! statements' rows decide; so BEGIN is answered at once and sent with the first statement to each.

use std::sync::Arc;

use mysql_common::constants::StatusFlags;

use crate::gateway::client::StateChange;
use crate::gateway::mixes::Touched;
use crate::model::TabletAlias;
use crate::sharding::RoutingRules;

/// A session's transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Txn {
    /// None: each statement commits by itself, or opens one where autocommit is off.
    #[default]
    None,
    /// Begun by this statement, which no server has seen yet.
    Begun {
        /// The statement.
        text: Vec<u8>,
        /// Whether it may not write.
        read_only: bool,
    },
    /// Under way on these tablets, at least one, in the order in which they were touched.
    Open(Vec<TabletAlias>),
}

impl Txn {
    /// Whether the client has to be told that it is in a transaction.
    pub fn is_active(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// What statuses have for a transaction that no server has seen; nothing for others.
    pub fn flags_of_begun(&self) -> StatusFlags {
        match self {
            Self::Begun { read_only: true, .. } => {
                StatusFlags::SERVER_STATUS_IN_TRANS | StatusFlags::SERVER_STATUS_IN_TRANS_READONLY
            }
            Self::Begun { .. } => StatusFlags::SERVER_STATUS_IN_TRANS,
            Self::None | Self::Open(_) => StatusFlags::empty(),
        }
    }

    /// What follows it with AND CHAIN: another of its kind; `read_only` where there is none.
    pub fn chained(&self, read_only: bool) -> Self {
        match self {
            Self::Begun { .. } => self.clone(),
            Self::None | Self::Open(_) => Self::Begun { text: b"BEGIN".to_vec(), read_only },
        }
    }

    /// Becomes `next` without a server; what a client that tracks its session is told, just as MySQL 9.7 tells it.
    pub fn becomes(&mut self, next: Self) -> Vec<StateChange> {
        let before = std::mem::replace(self, next);
        match (before.is_active(), self.is_active()) {
            (false, false) => Vec::new(),
            (true, true) => vec![StateChange::Untold],
            (_, begun) => vec![StateChange::Transaction(begun)],
        }
    }

    /// The tablets it is on.
    pub fn tablets(&self) -> &[TabletAlias] {
        match self {
            Self::Open(tablets) => tablets,
            Self::None | Self::Begun { .. } => &[],
        }
    }

    /// The first tablet it is on.
    pub fn tablet(&self) -> Option<&TabletAlias> {
        self.tablets().first()
    }

    /// Whether it is on this tablet.
    pub fn is_on(&self, tablet: &TabletAlias) -> bool {
        self.tablets().contains(tablet)
    }

    /// After a statement on `tablet` that ended with the server saying whether it is in a transaction.
    pub fn after(&mut self, tablet: &TabletAlias, in_transaction: bool) {
        match (&mut *self, in_transaction) {
            (Self::Open(tablets), true) if tablets.contains(tablet) => {}
            (Self::Open(tablets), true) => tablets.push(tablet.clone()),
            (_, true) => *self = Self::Open(vec![tablet.clone()]),
            (Self::Open(tablets), false) => {
                tablets.retain(|other| other != tablet);
                if tablets.is_empty() {
                    *self = Self::None;
                }
            }
            (_, false) => *self = Self::None,
        }
    }
}

/// How the open transaction came to be, for as long as it may be begun anew elsewhere.
#[derive(Debug, Default)]
pub struct Origin {
    /// SET TRANSACTION before it, as it was sent.
    pub characteristics: Vec<Vec<u8>>,
    /// The statement that began it, as it was sent, and whether it may not write; `None` where autocommit is off.
    pub begun: Option<(Vec<u8>, bool)>,
    /// The savepoints, as they were set, for shards that are touched later.
    pub savepoints: Vec<Vec<u8>>,
    /// It has done nothing but read snapshots.
    pub only_read: bool,
    /// It is on shards of a keyspace that has several.
    pub spread: bool,
    /// The tablets on which it has taken the row of a fence for a locking read.
    pub fences_taken: Vec<TabletAlias>,
    /// Which workflows' tables it has touched.
    pub touched: Touched,
    /// The rules under which its first statement was planned.
    pub rules: Option<Arc<RoutingRules>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_and_ends_are_told_as_by_a_server() {
        let begun = || Txn::Begun { text: b"BEGIN".to_vec(), read_only: true };
        let mut txn = Txn::None;
        assert_eq!(txn.becomes(Txn::None), []);
        assert_eq!(txn.becomes(begun()), [StateChange::Transaction(true)]);
        assert!(txn.flags_of_begun().contains(StatusFlags::SERVER_STATUS_IN_TRANS_READONLY));
        assert_eq!(txn.chained(false), begun());
        assert_eq!(txn.becomes(begun()), [StateChange::Untold]);
        assert_eq!(txn.becomes(Txn::None), [StateChange::Transaction(false)]);
        assert_eq!(txn.flags_of_begun(), StatusFlags::empty());
    }

    #[test]
    fn it_is_over_when_it_is_over_everywhere() {
        let [one, two]: [TabletAlias; 2] = ["zone1-100", "zone1-200"].map(|alias| alias.parse().unwrap());
        let mut txn = Txn::None;
        txn.after(&one, true);
        txn.after(&two, true);
        txn.after(&one, true);
        assert_eq!((txn.tablets(), txn.is_on(&two)), (&[one.clone(), two.clone()][..], true));
        txn.after(&one, false);
        assert_eq!(txn.tablets(), std::slice::from_ref(&two));
        txn.after(&two, false);
        assert_eq!(txn, Txn::None);
    }
}
