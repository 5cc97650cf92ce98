//! What the session does that would not work any more once a workflow's traffic is switched is noted for the operator.

use crate::gateway::mixes::parted;
use crate::gateway::route::Route;
use crate::gateway::sql::{Statement, normalised};
use crate::gateway::view::View;

use super::Session;

impl Session {
    /// Looks at a statement that was answered, planned by this View. Costs something only while a workflow is live and for
    /// what names several tables, or is in a transaction.
    pub(super) fn watch(&mut self, view: &View, route: &Route, statement: &Statement, sql: &[u8]) {
        // Who names a shard is not led by rules, before the switch or after.
        if !view.rules.moving() || statement.tables.is_empty() || self.target.shard.is_some() {
            return;
        }
        let keyspace = &route.tablet.record.keyspace;
        let found = parted(&view.rules, keyspace, statement);
        let user = &self.client.identity().user;
        if !found.is_empty() {
            self.gateway.mixes.note(&normalised(sql, self.mode), found, false, user);
        } else if self.txn.tablet().is_some()
            && let Some((text, found)) = self.origin.touched.by(&view.rules, keyspace, statement, sql, self.mode)
        {
            self.gateway.mixes.note(&text, found, true, user);
        }
    }
}
