//! Transactions on several shards of a keyspace: begun on each when it is first touched, ended on one after another.
//!
//! Invariants:
//! - A further shard is in the transaction from before its first statement there, whatever that is: each is told BEGIN, where
//!   autocommit is off too. A statement that opens nothing, or fails, would leave it outside.
//! - What ends the transaction ends it on all shards, and commits on all what it commits on one: COMMIT and ROLLBACK, SET
//!   autocommit, statements with an implicit commit. What might do so unseen is refused.
//! - When one shard's server ends its part by itself, the others' are rolled back.
//! - A failure while they are committed is told exactly: which shards have committed, and which have not.
//! - `transaction_mode = 'single'` refuses what would touch a second shard.

use futures_util::future::join_all;
use tokio::time::timeout;

use crate::gateway::backend::Checkout;
use crate::gateway::buffer::words;
use crate::gateway::client::{ClientError, SqlError, StateChange};
use crate::gateway::route::Route;
use crate::gateway::sql::{Assignment, Kind, Scope, Statement};
use crate::gateway::view::View;
use crate::model::{KeyspaceName, TabletAlias};
use crate::mysql::MysqlError;

use super::ready::NotSent;
use super::send::OWN;
use super::txn::{Origin, Txn};
use super::{Flow, Session};

pub(super) const COMMIT: &[u8] = b"COMMIT AND NO CHAIN NO RELEASE";
pub(super) const ROLLBACK: &[u8] = b"ROLLBACK AND NO CHAIN NO RELEASE";
/// Bytes of savepoints that are remembered for shards touched later.
const SAVEPOINTS: usize = 64 << 10;

/// What a statement is to the whole of a transaction on several shards.
enum Whole {
    Nothing,
    /// It is refused, for this reason.
    Refused(&'static str),
    /// It ends the transaction, and does nothing else.
    Ends {
        commit: bool,
        next: Next,
        quit: bool,
    },
    Savepoint,
    /// It commits the transaction before it does something else.
    Commits,
}

/// What follows a transaction that a statement ends.
enum Next {
    None,
    /// Another that begins so.
    Begun(Txn),
    /// Another of its kind.
    Chained,
}

/// Whether autocommit is on after a SET in a session where it is off; an error if that cannot be told from its text.
fn autocommit_after(assignments: &[Assignment], sql: &[u8]) -> Result<bool, ()> {
    let mut on = false;
    for one in assignments.iter().filter(|one| one.scope == Scope::Session && one.name == "autocommit") {
        let value = sql.get(one.value.clone()).unwrap_or_default().trim_ascii().to_ascii_lowercase();
        on = match value.as_slice() {
            b"1" | b"on" | b"true" | b"'on'" | b"\"on\"" => true,
            b"0" | b"off" | b"false" | b"'off'" | b"\"off\"" => false,
            _ => return Err(()),
        };
    }
    Ok(on)
}

/// The keyspace of a tablet.
fn keyspace_of(view: &View, alias: &TabletAlias) -> Option<KeyspaceName> {
    view.tablets().find(|(_, tablet)| tablet.alias == *alias).map(|(shard, _)| shard.keyspace.clone())
}

/// The shard of a tablet, for a message.
pub(super) fn shard_of(view: &View, alias: &TabletAlias) -> String {
    let found = view.tablets().find(|(_, tablet)| tablet.alias == *alias);
    found.map_or_else(|| alias.to_string(), |(shard, _)| format!("{}/{}", shard.keyspace, shard.name))
}

impl Session {
    /// Whether the open transaction may go on to this route's tablet besides its own.
    pub(super) fn may_join(&self, route: &Route) -> bool {
        let view = self.view();
        let keyspace = &route.tablet.record.keyspace;
        let spread = view
            .keyspace(keyspace.as_str())
            .is_some_and(|keyspace| keyspace.spread.contains_key(&self.target.tablet_type));
        let here = |alias| keyspace_of(&view, alias).as_ref() == Some(keyspace);
        self.multi && spread && !self.keep.in_xa() && self.txn.tablets().iter().all(here)
    }

    /// Begins the open transaction on a further shard, as it began on the first.
    pub(super) async fn join(&mut self, checkout: &mut Checkout) -> Result<(), NotSent> {
        for text in self.origin.characteristics.clone() {
            checkout.backend.execute(&text).await?;
        }
        let begun = self.origin.begun.as_ref().map_or(&b"BEGIN"[..], |(text, _)| text);
        checkout.backend.execute(begun).await?;
        for text in &self.origin.savepoints {
            checkout.backend.execute(text).await?;
        }
        self.txn.after(checkout.key().tablet(), true);
        Ok(())
    }

    /// Rolls back a transaction on all shards but the one whose connection is in use.
    pub(super) async fn end_others(&mut self) {
        if self.txn.tablets().len() < 2 {
            return;
        }
        let (mut open, stay): (Vec<Checkout>, Vec<Checkout>) =
            std::mem::take(&mut self.held).into_iter().partition(|held| self.txn.is_on(held.key().tablet()));
        self.held = stay;
        join_all(open.iter_mut().map(|held| timeout(OWN, held.backend.execute(ROLLBACK)))).await;
        for checkout in open {
            self.txn.after(checkout.key().tablet(), false);
            self.settle(checkout);
        }
    }

    /// Rolls back what is left of a transaction that is over on one of its shards.
    pub(super) async fn abandon(&mut self) {
        self.txn = Txn::None;
        let mut held = std::mem::take(&mut self.held);
        let rolled = held.iter_mut().filter(|held| held.backend.is_usable() && held.backend.in_transaction());
        // Where that fails the connection is closed, and its server rolls back.
        join_all(rolled.map(|held| timeout(OWN, held.backend.execute(ROLLBACK)))).await;
        for checkout in held {
            self.settle(checkout);
        }
    }

    /// Does what concerns the whole of a transaction on several shards; `None` for what does not.
    pub(super) async fn for_all(
        &mut self,
        statement: &Statement,
        sql: &[u8],
        more: bool,
    ) -> Result<Option<Flow>, ClientError> {
        if self.txn.tablets().len() < 2 {
            return Ok(None);
        }
        match self.whole(statement, sql) {
            Whole::Nothing => Ok(None),
            Whole::Refused(why) => {
                let text = format!("the transaction is open on several shards, and {why}; COMMIT or ROLLBACK first");
                self.fail(SqlError::new(1235, b"42000", text)).await.map(Some)
            }
            Whole::Ends { commit, next, quit } => {
                let before = std::mem::take(&mut self.origin);
                let done = if commit { self.commit_all().await } else { self.roll_back_all().await };
                if let Err(error) = done {
                    return self.fail(error).await.map(Some);
                }
                match next {
                    Next::None => {}
                    Next::Begun(next) => self.txn = next,
                    Next::Chained => {
                        self.origin = before;
                        self.begin_again();
                        if !self.txn.is_active() {
                            self.txn = self.txn.chained(false);
                        }
                    }
                }
                let change = match self.txn.is_active() {
                    true => StateChange::Untold,
                    false => StateChange::Transaction(false),
                };
                self.last.refusal = None;
                self.done_with(vec![change], more).await?;
                Ok(Some(if quit { Flow::Quit } else { Flow::On }))
            }
            Whole::Savepoint => self.savepoint_on_all(statement, sql, more).await.map(Some),
            Whole::Commits => {
                // What goes nowhere commits nothing.
                let committed = match self.routed(&self.view(), statement, sql) {
                    Ok(_) => self.commit_all().await,
                    Err(error) => Err(error),
                };
                match committed {
                    Ok(()) => Ok(None),
                    Err(error) => self.fail(error).await.map(Some),
                }
            }
        }
    }

    /// What a statement is to the whole of the transaction that is open on several shards.
    fn whole(&self, statement: &Statement, sql: &[u8]) -> Whole {
        match &statement.kind {
            kind @ (Kind::Commit { release, .. } | Kind::Rollback { release, .. }) => Whole::Ends {
                commit: matches!(kind, Kind::Commit { .. }),
                next: if self.begins_another(kind) { Next::Chained } else { Next::None },
                quit: *release,
            },
            Kind::Begin { consistent_snapshot: false, read_only } => {
                let read_only = self.begins_read_only(*read_only);
                let next = Next::Begun(Txn::Begun { text: sql.to_vec(), read_only });
                Whole::Ends { commit: true, next, quit: false }
            }
            Kind::Savepoint | Kind::RollbackTo | Kind::ReleaseSavepoint => Whole::Savepoint,
            Kind::Set(assignments) if self.settings.get("autocommit") == Some("OFF") => {
                match autocommit_after(assignments, sql) {
                    Ok(true) => Whole::Commits,
                    Ok(false) => Whole::Nothing,
                    Err(()) => {
                        Whole::Refused("whether this sets autocommit, which commits it, cannot be told; write 0 or 1")
                    }
                }
            }
            kind if kind.commits_implicitly() => Whole::Commits,
            Kind::Call | Kind::Other(_) => Whole::Refused("this might end it on one of them"),
            Kind::Execute { name } if !self.is_harmless(name.as_ref()) => {
                Whole::Refused("what is executed might end it on one of them")
            }
            _ => Whole::Nothing,
        }
    }

    /// Sets a savepoint on all shards, goes back to it, or forgets it.
    async fn savepoint_on_all(&mut self, statement: &Statement, sql: &[u8], more: bool) -> Result<Flow, ClientError> {
        for (place, alias) in self.txn.tablets().to_vec().into_iter().enumerate() {
            let Some(mut checkout) = self.take_held(&alias) else { continue };
            let done = timeout(OWN, checkout.backend.execute(sql)).await;
            self.settle(checkout);
            if let Err(error) = told(done) {
                if place == 0 || self.doomed {
                    return self.fail(error).await;
                }
                // The shards differ in what they have: none must go on.
                self.abandon().await;
                return self.fail(words::begin_again(&error.message)).await;
            }
        }
        self.remember_savepoint(statement, sql);
        self.done_with(Vec::new(), more).await
    }

    /// Keeps a savepoint for shards that are touched later.
    pub(super) fn remember_savepoint(&mut self, statement: &Statement, sql: &[u8]) {
        if statement.kind != Kind::Savepoint {
            return;
        }
        let bytes: usize = self.origin.savepoints.iter().map(Vec::len).sum();
        if bytes + sql.len() <= SAVEPOINTS {
            self.origin.savepoints.push(sql.to_vec());
        }
    }

    /// Commits on one shard after another.
    pub(super) async fn commit_all(&mut self) -> Result<(), SqlError> {
        let tablets = self.txn.tablets().to_vec();
        let mut checkouts = Vec::with_capacity(tablets.len());
        for alias in &tablets {
            match self.take_held(alias) {
                Some(checkout) => checkouts.push(checkout),
                None => {
                    let why = format!("the connection to shard {} is gone", shard_of(&self.view(), alias));
                    self.abandon().await;
                    return Err(self.doom(&why));
                }
            }
        }
        (self.txn, self.origin) = (Txn::None, Origin::default());
        self.commit_each(checkouts).await
    }

    /// Commits what is open on these connections, one after another, and settles them.
    pub(super) async fn commit_each(&mut self, checkouts: Vec<Checkout>) -> Result<(), SqlError> {
        let view = self.view();
        let (mut committed, mut failed): (Vec<String>, Option<(String, String, bool)>) = (Vec::new(), None);
        let mut rolled_back = Vec::new();
        for mut checkout in checkouts {
            let shard = shard_of(&view, checkout.key().tablet());
            if failed.is_some() {
                // The rest is not committed any more.
                drop(timeout(OWN, checkout.backend.execute(ROLLBACK)).await);
                rolled_back.push(shard);
            } else {
                match timeout(OWN, checkout.backend.execute(COMMIT)).await {
                    Ok(Ok(_)) => committed.push(shard),
                    Ok(Err(error @ MysqlError::Server { .. })) => failed = Some((shard, error.to_string(), true)),
                    Ok(Err(error)) => failed = Some((shard, error.to_string(), false)),
                    Err(_) => failed = Some((shard, format!("no answer within {OWN:?}"), false)),
                }
            }
            self.settle(checkout);
        }
        let Some((shard, why, known)) = failed else { return Ok(()) };
        let list = |shards: &[String]| if shards.is_empty() { "none".to_owned() } else { shards.join(", ") };
        let state = if known { "it has not committed" } else { "whether it has committed is not known" };
        Err(SqlError::new(
            1105,
            b"HY000",
            format!(
                "the transaction is committed in part: COMMIT failed on shard {shard} ({why}; {state}); committed on: {}; rolled back on: \
                 {}",
                list(&committed),
                list(&rolled_back)
            ),
        ))
    }

    async fn roll_back_all(&mut self) -> Result<(), SqlError> {
        self.abandon().await;
        self.origin = Origin::default();
        match self.doomed {
            true => Err(self.doom("a connection with the session's state is gone")),
            false => Ok(()),
        }
    }
}

/// A server's error as the client is told.
pub(super) fn told<T>(done: Result<Result<T, MysqlError>, tokio::time::error::Elapsed>) -> Result<T, SqlError> {
    match done {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(MysqlError::Server { code, state, message })) => {
            let state = <[u8; 5]>::try_from(state.as_bytes()).unwrap_or(*b"HY000");
            Err(SqlError::new(code, &state, message))
        }
        Ok(Err(error)) => Err(SqlError::new(2013, b"HY000", error.to_string())),
        Err(_) => Err(SqlError::new(2013, b"HY000", format!("no answer within {OWN:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::sql::{SqlMode, analyze};

    #[test]
    fn what_autocommit_becomes_is_read_from_the_text_or_not_told() {
        let after = |sql: &str| match analyze(sql.as_bytes(), SqlMode::default()).kind {
            Kind::Set(assignments) => autocommit_after(&assignments, sql.as_bytes()),
            kind => panic!("{sql}: {kind:?}"),
        };
        for sql in ["SET autocommit = 1", "set @@session.autocommit=ON", "SET @a = 0, SESSION autocommit = 'on'"] {
            assert_eq!(after(sql), Ok(true), "{sql}");
        }
        for sql in ["SET autocommit = 0", "SET autocommit = OFF", "SET GLOBAL autocommit = 1", "SET @autocommit = 1"] {
            assert_eq!(after(sql), Ok(false), "{sql}");
        }
        for sql in ["SET autocommit = DEFAULT", "SET autocommit = @x", "SET autocommit = 1 - 1"] {
            assert_eq!(after(sql), Err(()), "{sql}");
        }
    }
}
