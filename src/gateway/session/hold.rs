//! A statement on its way while the traffic of its tables is switched: held, sent again, or its transaction given up.
//!
//! Invariants:
//! - A session that waits here has no transaction on any server, and its connections are given back as after any statement.
//! - A statement is sent again only after what the fence has refused is undone on the server, transaction and all.
//! - A transaction that had only read goes on elsewhere with a new snapshot. One that has done more is never continued on
//!   another tablet: it is rolled back, and its client told to begin again (1213).
//! - Every wait ends: with a View, with the time a statement may be held, with its client, with KILL.

use std::future::pending;
use std::sync::Arc;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::gateway::backend::Checkout;
use crate::gateway::buffer::plan::{Refused, Standing, fence_for, held_for, if_refused};
use crate::gateway::buffer::{Place, words};
use crate::gateway::client::{ClientError, SqlError};
use crate::gateway::route::Route;
use crate::gateway::sql::{Statement, TableRef};
use crate::gateway::view::{Pause, View};
use crate::metrics::{Aborted, Released};
use crate::model::workflow::TabletType;
use crate::model::{KeyspaceName, TabletAlias};
use crate::mysql::MysqlError;

use super::nature::{asks_back, asks_insert_id_only, is_indifferent, reads_snapshot};
use super::send::{Ask, NotSent, OWN};
use super::txn::{Origin, Txn};
use super::{Flow, Session};

/// Whatever `completion_type` says.
const ROLLBACK: &[u8] = b"ROLLBACK AND NO CHAIN NO RELEASE";

/// What a statement has waited for so far.
#[derive(Debug, Default)]
pub(super) struct Waits {
    place: Option<Place>,
    until: Option<Instant>,
    /// Where it would have gone when it was held.
    keyspace: Option<KeyspaceName>,
    /// The words of the fence that refused it last.
    refusal: Option<String>,
}

impl Waits {
    /// It is on its way to this keyspace: not held any more, unless a fence has yet to let it through.
    fn planned(&mut self, keyspace: &KeyspaceName) {
        if self.refusal.is_none() {
            self.through(keyspace);
        }
    }

    /// It got through to this keyspace.
    pub(super) fn through(&mut self, keyspace: &KeyspaceName) {
        if let Some(place) = self.place.take() {
            let moved = self.keyspace.as_ref() != Some(keyspace);
            place.leave(if moved { Released::Moved } else { Released::Stayed });
        }
    }
}

/// Why a statement is not sent.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The client is to be told this.
    Told(SqlError),
    /// The client is gone.
    Client(ClientError),
}

impl From<SqlError> for Stopped {
    fn from(error: SqlError) -> Self {
        Self::Told(error)
    }
}

impl Session {
    /// A connection where a statement's tables are, once their traffic rests nowhere; the View by which it was found.
    pub(super) async fn place_unheld(
        &mut self,
        statement: &Statement,
        sql: &[u8],
        bytes: usize,
        waits: &mut Waits,
    ) -> Result<(Checkout, Route, Arc<View>), Stopped> {
        loop {
            let view = self.view();
            let route = self.routed(&view, statement, sql)?;
            if !view.pauses.is_empty() && self.target.tablet_type == TabletType::Primary {
                let keyspace = &route.tablet.record.keyspace;
                if let Some(pause) = held_for(&view.pauses, keyspace, statement, self.standing()) {
                    waits.keyspace.get_or_insert_with(|| keyspace.clone());
                    self.wait(waits, &view, bytes, (Some(pause), false)).await?;
                    continue;
                }
            }
            if let Some(alias) = self.strayed(&view, &route, statement, sql) {
                self.leave_behind(&alias).await?;
                continue;
            }
            waits.planned(&route.tablet.record.keyspace);
            let checkout = self.obtain(&route, statement, sql).await?;
            // Waiting for a connection takes time, in which tables may move.
            if Arc::ptr_eq(&view, &self.view()) {
                return Ok((checkout, route, view));
            }
            self.settle(checkout);
        }
    }

    /// How the session stands towards servers now.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            inside: self.txn.tablet().is_some() || self.keep.locks_tables(),
            names: self.keep.locks_names(),
            serializable: self.is_serializable(),
        }
    }

    /// Whether each read of the present transaction, or of one that the next statement opens, locks.
    fn is_serializable(&self) -> bool {
        let within = self.txn.is_active() || self.settings.get("autocommit") == Some("OFF");
        let says = |text: &Vec<u8>| text.to_ascii_uppercase().windows(12).any(|word| word == b"SERIALIZABLE");
        within
            && (self.settings.get("transaction_isolation").map_or(self.base_serializable, |set| set == "SERIALIZABLE")
                || self.characteristics.iter().any(says)
                || self.txn.tablet().is_some() && self.origin.characteristics.iter().any(says))
    }

    /// What becomes of a statement that is about to be sent if a fence refuses it.
    pub(super) fn if_refused(
        &self,
        view: &View,
        route: &Route,
        statement: &Statement,
        sql: &[u8],
        ask: Ask<'_>,
    ) -> Refused {
        let once = matches!(ask, Ask::Execute { id, .. } if self.has_long_data(id))
            || asks_back(statement) && !asks_insert_id_only(statement, sql);
        // An XA transaction only its client may end. To wait would not help where rules do not lead, nor where the fence's
        // reason is that nothing is logged.
        if self.keep.in_xa()
            || self.settings.get("sql_log_bin") == Some("OFF")
            || !self.is_led_here(view, route, statement)
        {
            return Refused::Told;
        }
        if_refused(statement, self.standing(), self.only_read(), once)
    }

    /// Whether rules, had they been asked, would have led here too. A session that names a shard is not led by them.
    fn is_led_here(&self, view: &View, route: &Route, statement: &Statement) -> bool {
        let here = &route.tablet.record.keyspace;
        let led = |table: &TableRef| {
            let found = view.rules.lookup(&table.table.text, Some(here.as_str()), TabletType::Primary);
            !matches!(found, Ok(Some(to)) if to != here)
        };
        self.target.shard.is_none() || statement.tables.iter().all(led)
    }

    /// Whether the open transaction has done nothing but read snapshots.
    fn only_read(&self) -> bool {
        self.txn.tablet().is_some() && self.origin.only_read
    }

    /// Notes what a statement has done to the transaction that is open after it; `opened`: it was the first, planned by
    /// this View.
    pub(super) fn note(&mut self, opened: bool, view: &View, statement: &Statement, sql: &[u8]) {
        if self.txn.tablet().is_none() {
            return;
        }
        if opened {
            self.origin.rules = Some(view.rules.clone());
            // Without rules there is nowhere to go.
            self.origin.only_read = view.rules.tables().next().is_some();
        }
        if self.origin.only_read {
            self.origin.only_read = reads_snapshot(statement, sql) && !self.is_serializable();
        }
    }

    /// The tablet of the open transaction, if rules have since led this statement's tables away from it.
    fn strayed(&self, view: &View, route: &Route, statement: &Statement, sql: &[u8]) -> Option<TabletAlias> {
        let alias = self.txn.tablet()?;
        let there = route.tablet.alias == *alias || route.others.iter().any(|other| other.alias == *alias);
        let changed = || self.origin.rules.as_ref().is_some_and(|rules| !Arc::ptr_eq(rules, &view.rules));
        (!there && changed() && !is_indifferent(statement, sql)).then(|| alias.clone())
    }

    /// Ends the transaction on a tablet that its tables have left.
    async fn leave_behind(&mut self, alias: &TabletAlias) -> Result<(), Stopped> {
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

    /// Does what is to be done when a fence has refused the statement and its client does not know: `None` if it is to be
    /// planned again.
    pub(super) async fn fenced(
        &mut self,
        refused: Refused,
        refusal: String,
        ask: Ask<'_>,
        mut checkout: Checkout,
        route: &Route,
        (bytes, waits): (usize, &mut Waits),
    ) -> Result<Option<Flow>, ClientError> {
        if let Ask::Execute { id, .. } = ask {
            self.executed(id, false, &mut checkout).await;
        }
        let undone = if self.txn.tablet().is_some() || self.settings.get("autocommit") == Some("OFF") {
            self.roll_back(checkout).await
        } else {
            self.settle(checkout);
            Ok(())
        };
        if let Err(error) = undone {
            return self.fail(error).await.map(Some);
        }
        if refused != Refused::Again {
            self.gateway.metrics.buffer().aborted(Aborted::Fence);
            return self.fail(words::begin_again(&refusal)).await.map(Some);
        }
        self.begin_again();
        let (view, keyspace) = (self.view(), &route.tablet.record.keyspace);
        let pause = view.pauses.iter().find(|pause| pause.is_on(keyspace));
        waits.refusal = Some(refusal);
        waits.keyspace.get_or_insert_with(|| keyspace.clone());
        match self.wait(waits, &view, bytes, (pause.map(Arc::as_ref), true)).await {
            Ok(()) => Ok(None),
            Err(Stopped::Told(error)) => self.fail(error).await.map(Some),
            Err(Stopped::Client(error)) => Err(error),
        }
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
        if view.pauses.is_empty() || !within || self.origin.fence_taken || asks_back(statement) {
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
            Ok(Ok(_)) => self.origin.fence_taken = true,
            // Here the server has rolled back.
            Ok(Err(error @ MysqlError::Server { code: 1213, .. })) => {
                self.txn = Txn::None;
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

    /// Ends the transaction on a connection, or what is left of one where autocommit is off, and settles it.
    async fn roll_back(&mut self, mut checkout: Checkout) -> Result<(), SqlError> {
        // Where that fails the connection is closed, and the server rolls back.
        let done = timeout(OWN, checkout.backend.execute(ROLLBACK)).await;
        if !matches!(done, Ok(Ok(_))) {
            tracing::debug!(tablet = %checkout.key().tablet(), "a transaction was rolled back with its connection");
        }
        self.txn = Txn::None;
        self.settle(checkout);
        match self.doomed {
            true => Err(self.doom("the connection with the session's state is gone")),
            false => Ok(()),
        }
    }

    /// Has the transaction that was rolled back begin with the next statement.
    fn begin_again(&mut self) {
        let Origin { characteristics, begun, .. } = std::mem::take(&mut self.origin);
        if !characteristics.is_empty() {
            self.characteristics = characteristics;
        }
        if let Some((text, read_only)) = begun {
            self.txn = Txn::Begun { text, read_only };
        }
    }

    /// Waits in the buffer until it is worth while to plan again what was planned by `view`; `closed`: a fence refused it,
    /// which may have opened without any View telling.
    async fn wait(
        &mut self,
        waits: &mut Waits,
        view: &Arc<View>,
        bytes: usize,
        (pause, closed): (Option<&Pause>, bool),
    ) -> Result<(), Stopped> {
        let buffer = self.gateway.buffer.clone();
        let window = buffer.limits().window;
        if waits.place.is_none() {
            let place = buffer.enter(bytes, pause.map(|pause| pause.uid));
            waits.place = Some(place.map_err(|bound| words::no_room(bound, buffer.limits()))?);
        }
        let until = *waits.until.get_or_insert_with(|| Instant::now() + window);
        let mut views = self.gateway.views.clone();
        let changed = async {
            if views.wait_for(|now| !Arc::ptr_eq(now, view)).await.is_err() {
                // The gateway ends, and this session with it.
                pending::<()>().await;
            }
        };
        let again = async {
            if !closed {
                return pending().await;
            }
            tokio::select! {
                () = buffer.opened() => {}
                () = sleep(buffer.until_next_try(rand::random())) => {}
            }
        };
        tokio::select! {
            biased;
            () = self.seat.killed().cancelled() => Err(words::interrupted().into()),
            () = self.seat.interrupted() => Err(words::interrupted().into()),
            () = changed => Ok(()),
            () = again => Ok(()),
            () = self.client.closed() => Err(Stopped::Client(ClientError::Gone)),
            () = sleep_until(until) => {
                if let Some(place) = waits.place.take() {
                    place.leave(Released::Expired);
                }
                Err(words::expired(window, pause, waits.refusal.as_deref()).into())
            }
        }
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}
