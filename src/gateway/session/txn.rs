//! Where a session stands between BEGIN and COMMIT. Pure.
//!
//! Invariant: a transaction is on one tablet. Which one, its first statement's tables decide; so BEGIN is answered at once and
//! sent with that statement.

use std::sync::Arc;

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
    /// Under way on this tablet.
    Open(TabletAlias),
}

impl Txn {
    /// Whether the client has to be told that it is in a transaction.
    pub fn is_active(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// The tablet it is on.
    pub fn tablet(&self) -> Option<&TabletAlias> {
        match self {
            Self::Open(tablet) => Some(tablet),
            Self::None | Self::Begun { .. } => None,
        }
    }

    /// After a statement on `tablet` that ended with the server saying whether it is in a transaction.
    pub fn after(&mut self, tablet: &TabletAlias, in_transaction: bool) {
        *self = if in_transaction { Self::Open(tablet.clone()) } else { Self::None };
    }
}

/// How the open transaction came to be, for as long as it may be begun anew elsewhere.
#[derive(Debug, Default)]
pub struct Origin {
    /// SET TRANSACTION before it, as it was sent.
    pub characteristics: Option<Vec<u8>>,
    /// The statement that began it, as it was sent, and whether it may not write; `None` where autocommit is off.
    pub begun: Option<(Vec<u8>, bool)>,
    /// It has done nothing but read snapshots.
    pub only_read: bool,
    /// The rules under which its first statement was planned.
    pub rules: Option<Arc<RoutingRules>>,
}
