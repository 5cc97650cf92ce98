//! Where a session stands between BEGIN and COMMIT. Pure.
//!
//! Invariant: a transaction is on one tablet. Which one, its first statement's tables decide; so BEGIN is answered at once and
//! sent with that statement.

use crate::model::TabletAlias;

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
