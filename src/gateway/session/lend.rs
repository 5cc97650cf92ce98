//! Connections of a session: which one a statement gets, and whether the session keeps it afterwards.

use std::sync::Arc;

use crate::gateway::backend::{Checkout, CheckoutError, PoolKey, Settings};
use crate::gateway::client::SqlError;
use crate::gateway::route::Route;
use crate::gateway::sql::Statement;
use crate::gateway::view::Tablet;
use crate::metrics::Refusal as Reason;
use crate::model::TabletAlias;
use crate::model::workflow::TabletType;
use crate::mysql::MysqlError;

use super::Session;

/// Pool keys a session remembers.
const KEYS: usize = 16;
/// On tablets that are no primaries.
const READ_ONLY: &str = "transaction_read_only";

impl Session {
    /// A connection for a statement that is routed to `route`.
    pub(super) async fn obtain(&mut self, route: &Route, statement: &Statement) -> Result<Checkout, SqlError> {
        let anywhere = statement.tables.is_empty() && statement.qualifiers.is_empty();
        let named =
            |alias: &TabletAlias| route.tablet.alias == *alias || route.others.iter().any(|other| other.alias == *alias);
        if let Some(alias) = self.txn.tablet() {
            if !anywhere && !named(alias) {
                return Err(self.other_transaction(&alias.clone(), route));
            }
            if let Some(at) = self.held.iter().position(|held| held.key().tablet() == alias) {
                return Ok(self.held.swap_remove(at));
            }
        }
        let here = self.held.iter().rposition(|held| named(held.key().tablet()));
        if let Some(at) = here.or_else(|| self.held.len().checked_sub(1).filter(|_| anywhere)) {
            return Ok(self.held.remove(at));
        }
        let wanted = self.wanted();
        let mut failed = None;
        for tablet in std::iter::once(&route.tablet).chain(&route.others) {
            let key = self.key(tablet);
            match self.gateway.pools.checkout(&key, self.number, &wanted).await {
                Ok(checkout) => return Ok(checkout),
                // Another tablet of the type may do.
                Err(error) => failed = Some(error),
            }
        }
        Err(match failed {
            Some(CheckoutError::Server { tablet, error: error @ MysqlError::Server { .. } }) => {
                self.gateway.metrics.refused(Reason::NoTablet);
                SqlError::new(1105, b"HY000", format!("tablet {tablet} refuses the session: {error}"))
            }
            Some(error) => {
                let full = matches!(error, CheckoutError::Full { .. });
                self.gateway.metrics.refused(if full { Reason::PoolExhausted } else { Reason::NoTablet });
                SqlError::new(1105, b"HY000", error.to_string())
            }
            None => SqlError::new(1105, b"HY000", "no tablet to ask"),
        })
    }

    fn other_transaction(&self, open: &TabletAlias, route: &Route) -> SqlError {
        self.gateway.metrics.refused(Reason::OtherTransaction);
        let record = &route.tablet.record;
        SqlError::new(
            1235,
            b"42000",
            format!(
                "the transaction is open on tablet {open}, and this statement's tables are on tablet {} (shard {}/{}): a \
                 transaction stays on one tablet; COMMIT or ROLLBACK first",
                route.tablet.alias, record.keyspace, record.shard
            ),
        )
    }

    /// The variables a connection for the present target must have.
    pub(super) fn wanted(&self) -> Settings {
        let mut wanted = self.settings.clone();
        if self.target.tablet_type != TabletType::Primary {
            // Stored programs are not looked into; the server refuses what they write.
            wanted.absorb(&[(READ_ONLY.into(), "ON".into())]);
        }
        wanted
    }

    /// Which connections to a tablet are this session's kind.
    fn key(&mut self, tablet: &Arc<Tablet>) -> Arc<PoolKey> {
        if let Some((_, key)) = self.keys.iter().find(|(known, _)| Arc::ptr_eq(known, tablet)) {
            return key.clone();
        }
        let identity = self.client.identity();
        let key = PoolKey::new(tablet, identity.credential.clone(), identity.capabilities, identity.collation);
        let key = Arc::new(key);
        if self.keys.len() == KEYS {
            self.keys.remove(0);
        }
        self.keys.push((tablet.clone(), key.clone()));
        key
    }

    /// Keeps a connection or gives it back, whichever is right.
    pub(super) fn settle(&mut self, mut checkout: Checkout) {
        if !checkout.backend.is_usable() {
            self.lost(checkout.key().tablet());
            return;
        }
        self.settings = checkout.backend.settings().clone();
        if self.target.tablet_type != TabletType::Primary {
            self.settings.forget(READ_ONLY);
        }
        let open = self.txn.tablet() == Some(checkout.key().tablet());
        if open || self.keep.any() || checkout.backend.is_unread() {
            if self.keep.any() {
                checkout.backend.soil();
            }
            self.held.push(checkout);
            return;
        }
        checkout.checkin();
        for held in self.held.drain(..) {
            held.checkin();
        }
    }

    /// Gives everything back, to be reset before others get it.
    pub(super) fn let_go(&mut self) {
        for held in self.held.drain(..) {
            held.checkin();
        }
        self.keep = super::Keep::default();
    }

    /// A connection is gone, and what was on it.
    pub(super) fn lost(&mut self, tablet: &TabletAlias) {
        if self.txn.tablet() == Some(tablet) {
            self.txn = super::Txn::None;
        }
        if !self.held.iter().any(|held| held.key().tablet() != tablet) {
            self.keep = super::Keep::default();
            self.statements.disown();
        }
    }
}
