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
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::gateway::backend::Checkout;
use crate::gateway::buffer::plan::{Refused, Standing, held_for, if_refused};
use crate::gateway::buffer::{Place, words};
use crate::gateway::client::{ClientError, SqlError};
use crate::gateway::route::{Destination, Route, Several, Stop};
use crate::gateway::sql::{Statement, TableRef};
use crate::gateway::view::{Pause, View};
use crate::metrics::{Aborted, Released};
use crate::model::KeyspaceName;
use crate::model::workflow::TabletType;

use super::columns::Bindings;
use super::nature::{asks_back, asks_insert_id_only, reads_snapshot};
use super::send::{Ask, OWN};
use super::several::ROLLBACK;
use super::txn::{Origin, Txn};
use super::{Flow, Session};

/// Longer than a pause may last (5 s): a statement that an announcement holds for longer is sent all the same, as if it had
/// not been heard. The topology may be silent, and the side it is for open again; if not, the fence says so.
const HELD: Duration = Duration::from_secs(6);
/// How often a statement is sent again that was the victim of a deadlock.
const DEADLOCKS: u32 = 3;

/// What a statement has waited for so far.
#[derive(Debug, Default)]
pub(super) struct Waits {
    place: Option<Place>,
    until: Option<Instant>,
    /// Whether it was held by announcements for as long as that may be.
    outlasted: bool,
    /// Where it would have gone when it was held.
    keyspace: Option<KeyspaceName>,
    /// The words of the fence that refused it last.
    refusal: Option<String>,
    /// How often it was the victim of a deadlock.
    deadlocks: u32,
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

/// Where a statement is sent, and the View by which that was found.
#[derive(Debug)]
pub(super) enum Placed {
    /// To one tablet, by this connection.
    One(Checkout, Stop, Arc<View>),
    /// To several shards.
    Several(Several, Arc<View>),
}

impl From<SqlError> for Stopped {
    fn from(error: SqlError) -> Self {
        Self::Told(error)
    }
}

impl Session {
    /// A connection where a statement's tables are, once their traffic rests nowhere; the View by which it was found.
    pub(super) async fn place_unheld<'a>(
        &mut self,
        statement: &Statement,
        sql: &[u8],
        ask: Ask<'a>,
        waits: &mut Waits,
        bindings: &mut Bindings<'a>,
    ) -> Result<Placed, Stopped> {
        let bytes = sql.len() + ask.len();
        loop {
            let view = self.view();
            if !bindings.are_of(&view) {
                *bindings = self.bindings(&view, statement, sql, ask).await?;
            }
            let destination = self.destined(&view, statement, sql, bindings)?;
            let Some(route) = destination.first() else {
                return Err(SqlError::new(1105, b"HY000", "the statement is about no shard").into());
            };
            if !view.pauses.is_empty() && self.target.tablet_type == TabletType::Primary {
                let keyspace = &route.tablet.record.keyspace;
                let pause = held_for(&view.pauses, keyspace, statement, self.standing());
                if let Some(pause) = pause.filter(|_| !waits.outlasted) {
                    waits.keyspace.get_or_insert_with(|| keyspace.clone());
                    self.wait(waits, &view, bytes, (Some(pause), false)).await?;
                    continue;
                }
            }
            if let Some(alias) = self.strayed(&view, route, statement, sql) {
                self.leave_behind(&alias).await?;
                continue;
            }
            waits.planned(&route.tablet.record.keyspace);
            let stop = match destination {
                Destination::One(stop) => stop,
                Destination::Several(several) => return Ok(Placed::Several(several, view)),
            };
            let checkout = self.obtain(&stop.route, statement, sql).await?;
            // Waiting for a connection takes time, in which tables may move.
            if Arc::ptr_eq(&view, &self.view()) {
                return Ok(Placed::One(checkout, stop, view));
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
    pub(super) fn is_serializable(&self) -> bool {
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
    pub(super) fn only_read(&self) -> bool {
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
            self.origin.spread = view.spreads && self.is_on_spread(view);
            // Without rules there is nowhere to go.
            self.origin.only_read = view.rules.tables().next().is_some() || view.spreads;
        }
        if self.origin.only_read {
            self.origin.only_read = reads_snapshot(statement, sql) && !self.is_serializable();
        }
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
        match self.wait_for_fence(waits, &route.tablet.record.keyspace, refusal, bytes).await {
            Ok(()) => Ok(None),
            Err(Stopped::Told(error)) => self.fail(error).await.map(Some),
            Err(Stopped::Client(error)) => Err(error),
        }
    }

    /// Waits until it is worth while to send again what a fence has refused.
    pub(super) async fn wait_for_fence(
        &mut self,
        waits: &mut Waits,
        keyspace: &KeyspaceName,
        refusal: String,
        bytes: usize,
    ) -> Result<(), Stopped> {
        let view = self.view();
        let pause = view.pauses.iter().find(|pause| pause.is_on(keyspace));
        waits.refusal = Some(refusal);
        waits.keyspace.get_or_insert_with(|| keyspace.clone());
        self.wait(waits, &view, bytes, (pause.map(|pause| &**pause), true)).await
    }

    /// Whether a deadlock that breaks off the open transaction need not be the client's to see: it has done nothing but read
    /// snapshots, so that it may begin again as when a fence refuses its first write. To arm and disarm tables is DDL, and
    /// whoever has read one and goes on to write it meanwhile would wait for itself: MySQL calls that a deadlock.
    pub(super) fn may_begin_again(&self, waits: &Waits) -> bool {
        self.only_read() && waits.deadlocks < DEADLOCKS
    }

    /// Does what is to be done when a deadlock has broken off a transaction and its client does not know.
    pub(super) async fn deadlocked(
        &mut self,
        ask: Ask<'_>,
        mut checkout: Checkout,
        waits: &mut Waits,
    ) -> Result<Option<Flow>, ClientError> {
        waits.deadlocks += 1;
        if let Ask::Execute { id, .. } = ask {
            self.executed(id, false, &mut checkout).await;
        }
        if let Err(error) = self.roll_back(checkout).await {
            return self.fail(error).await.map(Some);
        }
        self.begin_again();
        Ok(None)
    }

    /// Ends the transaction on a connection, or what is left of one where autocommit is off, and settles it.
    pub(super) async fn roll_back(&mut self, mut checkout: Checkout) -> Result<(), SqlError> {
        self.end_others().await;
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
    pub(super) fn begin_again(&mut self) {
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
        // Whether it is sent although it is held.
        let again = async {
            if !closed {
                sleep_until(until - window + HELD).await;
                return true;
            }
            tokio::select! {
                () = buffer.opened() => {}
                () = sleep(buffer.until_next_try(rand::random())) => {}
            }
            false
        };
        tokio::select! {
            biased;
            () = self.seat.killed().cancelled() => Err(words::interrupted().into()),
            () = self.seat.interrupted() => Err(words::interrupted().into()),
            () = changed => Ok(()),
            outlasted = again => {
                waits.outlasted |= outlasted;
                Ok(())
            }
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
