//! What a transaction has to do with fences and switches while it goes on: their rows, taken for its locking reads, and tables
//! and shards that leave it behind.

use std::sync::Arc;

use tokio::time::timeout;

use crate::gateway::backend::Checkout;
use crate::gateway::buffer::plan::fence_for;
use crate::gateway::buffer::words;
use crate::gateway::route::Route;
use crate::gateway::sql::Statement;
use crate::gateway::view::View;
use crate::metrics::Aborted;
use crate::model::TabletAlias;
use crate::mysql::MysqlError;

use super::Session;
use super::hold::Stopped;
use super::nature::{asks_back, is_indifferent};
use super::send::{NotSent, OWN};

impl Session {
    /// The tablet of the open transaction, if rules have since led this statement's tables away from it.
    pub(super) fn strayed(&self, view: &View, route: &Route, statement: &Statement, sql: &[u8]) -> Option<TabletAlias> {
        let alias = self.txn.tablet()?;
        let there = self
            .txn
            .tablets()
            .iter()
            .any(|on| route.tablet.alias == *on || route.others.iter().any(|other| other.alias == *on));
        if let Some(gone) = self.txn.tablets().iter().find(|on| !self.serves(view, on)) {
            return (!is_indifferent(statement, sql)).then(|| gone.clone());
        }
        let changed = || self.origin.rules.as_ref().is_some_and(|rules| !Arc::ptr_eq(rules, &view.rules));
        (!there && changed() && !is_indifferent(statement, sql)).then(|| alias.clone())
    }

    /// Whether a transaction may go on there, as far as the shard is concerned: where it is one of several, it must still serve.
    fn serves(&self, view: &View, alias: &TabletAlias) -> bool {
        if !self.origin.spread || self.target.shard.is_some() {
            return true;
        }
        let found = view.tablets().find(|(_, tablet)| tablet.alias == *alias);
        found.is_some_and(|(shard, _)| shard.serving.contains(&self.target.tablet_type))
    }

    /// Ends the transaction on a tablet that its tables have left.
    pub(super) async fn leave_behind(&mut self, alias: &TabletAlias) -> Result<(), Stopped> {
        let Some(checkout) = self.take_held(alias) else {
            return Err(self.doom("the connection of the open transaction is gone").into());
        };
        let again = self.only_read() && !self.keep.locks_tables();
        self.roll_back(checkout).await?;
        if again {
            self.begin_again();
            return Ok(());
        }
        self.gateway.metrics.buffer().aborted(Aborted::Moved);
        Err(words::begin_again("tables of this transaction are in another keyspace now").into())
    }

    /// Whether the open transaction is on a shard that is one of several.
    pub(super) fn is_on_spread(&self, view: &View) -> bool {
        let first = self.txn.tablet().and_then(|alias| view.tablets().find(|(_, tablet)| tablet.alias == *alias));
        let keyspace = first.and_then(|(shard, _)| view.keyspace(shard.keyspace.as_str()));
        keyspace.is_some_and(|keyspace| keyspace.spread.contains_key(&self.target.tablet_type))
    }

    /// Takes the fence's row where the statement's locks would otherwise not be known to the fence.
    pub(super) async fn take_fence(
        &mut self,
        view: &View,
        route: &Route,
        statement: &Statement,
        checkout: &mut Checkout,
    ) -> Result<(), NotSent> {
        let within = self.txn.tablet().is_some() || self.settings.get("autocommit") == Some("OFF");
        if view.pauses.is_empty()
            || !within
            || self.origin.fences_taken.contains(&route.tablet.alias)
            || asks_back(statement)
        {
            return Ok(());
        }
        let record = &route.tablet.record;
        let Some(pause) = fence_for(&view.pauses, &record.keyspace, statement, self.is_serializable()) else {
            return Ok(());
        };
        let text = |name: &str| format!("_utf8mb4 X'{}'", hex(name));
        let sql = format!(
            "SELECT closed FROM _shardlift.fence WHERE workflow_uid = '{}' AND keyspace = {} AND shard = {} FOR SHARE",
            pause.uid,
            text(record.keyspace.as_str()),
            text(record.shard.as_str())
        );
        let taken = timeout(OWN, checkout.backend.row(sql.as_bytes())).await;
        match taken {
            // Where it is closed the transaction's first write finds out.
            Ok(Ok(_)) => self.origin.fences_taken.push(route.tablet.alias.clone()),
            // Here the server has rolled back, and so must the others.
            Ok(Err(error @ MysqlError::Server { code: 1213, .. })) => {
                self.abandon().await;
                return Err(error.into());
            }
            // Without the row the worst is that the transaction has to begin again.
            Ok(Err(error @ MysqlError::Server { .. })) => {
                if self.gateway.buffer.complains() {
                    tracing::warn!(
                        tablet = %route.tablet.alias, %error,
                        "transactions with locking reads may have to begin again (1213) at a switch: GRANT SELECT ON \
                         _shardlift.fence to the account of the gateway's clients"
                    );
                }
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(NotSent::Lost(MysqlError::Unexpected { what: "no answer about a fence in time" })),
        }
        Ok(())
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}
