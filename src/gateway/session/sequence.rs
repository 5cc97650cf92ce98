//! Numbers from sequences: for SELECT NEXT VALUE, and for rows of an INSERT that lack them, which have to be numbered before it
//! can be told which shards they belong to.
//!
//! A block is reserved on a connection apart from the session's own, whose transaction and last insert id it must not touch.

use std::num::NonZeroU64;
use std::sync::Arc;

use mysql_common::constants::{ColumnFlags, ColumnType};
use tokio::time::{Instant, sleep, timeout};

use crate::gateway::backend::{Backend, Checkout, SessionId, Settings};
use crate::gateway::client::{ClientError, ColumnSpec, SqlError};
use crate::gateway::route::tablet_of_sequence;
use crate::gateway::sequence::{Block, MOST, SequenceName};
use crate::gateway::sql::{NextValues, Statement, next_values, quote_identifier};
use crate::gateway::view::{Tablet, View};
use crate::model::fence::FENCE_ERRNO;
use crate::mysql::MysqlError;
use crate::sharding::vschema::Placement;

use super::columns::Bindings;
use super::send::OWN;
use super::{Flow, Session};

/// What pools know the borrower of these connections by; no client has this number.
const BORROWER: SessionId = SessionId::MAX;
/// Between two tries while the sequence's own table is being switched.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

impl Session {
    /// Has the rows of an INSERT numbered whose column a sequence fills.
    pub(super) async fn number_rows(
        &mut self,
        view: &View,
        statement: &Statement,
        sql: &[u8],
        bindings: &mut Bindings<'_>,
    ) -> Result<(), SqlError> {
        let Some(wanted) = self.wanted_numbers(view, statement, sql, bindings)? else { return Ok(()) };
        let lacking = wanted.rows.iter().filter(|row| **row).count();
        let Some(count) = NonZeroU64::new(lacking as u64) else { return Ok(()) };
        let keyspace = view.find_sequence(&wanted.sequence).map_err(|why| SqlError::new(1105, b"HY000", why))?;
        let name = SequenceName { keyspace, table: wanted.sequence.table };
        let mut next = self.draw(&name, count).await?;
        let given = wanted.rows.iter().map(|lacks| {
            lacks.then(|| {
                next += 1;
                i128::from(next - 1)
            })
        });
        bindings.given = given.collect();
        Ok(())
    }

    /// The first of `count` numbers in a row.
    pub(super) async fn draw(&mut self, name: &SequenceName, count: NonZeroU64) -> Result<u64, SqlError> {
        if count.get() > MOST {
            return Err(SqlError::new(1105, b"HY000", format!("sequence {name}: at most {MOST} numbers at a time")));
        }
        let block = self.gateway.sequences.block(name);
        let Ok(mut block) = timeout(OWN, block.lock_owned()).await else {
            let text = format!("sequence {name}: other sessions have waited {OWN:?} for its next block");
            return Err(SqlError::new(1105, b"HY000", text));
        };
        let until = Instant::now() + self.gateway.buffer.limits().window;
        loop {
            let view = self.view();
            if let Some(first) = block.take(count, view.revision) {
                return Ok(first);
            }
            match self.reserve(&view, name, &mut block, count).await {
                Ok(()) => {}
                // The sequence's own table is on its way to another keyspace.
                Err(Unreserved::Fenced(_)) if Instant::now() < until => sleep(PAUSE).await,
                Err(Unreserved::Fenced(why) | Unreserved::Told(why)) => {
                    let text =
                        format!("sequence {name}: no number could be reserved, and the statement was not run: {why}");
                    return Err(SqlError::new(1105, b"HY000", text));
                }
            }
        }
    }

    /// Reserves the next block where the sequence's table is now.
    async fn reserve(
        &mut self,
        view: &View,
        name: &SequenceName,
        block: &mut Block,
        count: NonZeroU64,
    ) -> Result<(), Unreserved> {
        let tablet = tablet_of_sequence(view, name).map_err(|refusal| Unreserved::Told(refusal.message))?;
        let key = self.key(&tablet);
        let lent = self.gateway.pools.checkout(&key, BORROWER, &Settings::default()).await;
        let mut checkout = lent.map_err(|error| Unreserved::Told(error.to_string()))?;
        match timeout(OWN, advance(&mut checkout, &tablet, name, block, count)).await {
            Ok(Ok((first, end))) => {
                checkout.checkin();
                block.refill(first, end, view.revision);
                Ok(())
            }
            Ok(Err(error)) => {
                // Left as it is it could still be used; what it may have open goes with it.
                drop(checkout);
                Err(error)
            }
            Err(_) => Err(Unreserved::Told(format!("tablet {} gave no answer within {OWN:?}", tablet.alias))),
        }
    }

    /// Answers SELECT NEXT VALUE; `None` if that is a question for the server after all.
    pub(super) async fn next_values(
        &mut self,
        statement: &Statement,
        sql: &[u8],
        binary: bool,
        more: bool,
    ) -> Result<Option<Flow>, ClientError> {
        let Some((name, asked)) = self.sequence_asked(statement, sql) else { return Ok(None) };
        let Some(count) = asked.count.and_then(NonZeroU64::new) else {
            let text = "NEXT … VALUES takes a number of at least 1, written in the statement";
            return self.fail(SqlError::new(1064, b"42000", text)).await.map(Some);
        };
        match self.draw(&name, count).await {
            Ok(first) => self.table(&[nextval()], vec![vec![first.to_string()]], binary, more).await.map(Some),
            Err(error) => self.fail(error).await.map(Some),
        }
    }

    /// The sequence that a statement asks for numbers, if it does.
    pub(super) fn sequence_asked(&self, statement: &Statement, sql: &[u8]) -> Option<(SequenceName, NextValues)> {
        if !statement.uses.next_values {
            return None;
        }
        let asked = next_values(sql, self.mode)?;
        let view = self.view();
        let is = |keyspace: &str| {
            let schema = view.keyspace(keyspace)?.vschema.as_ref()?;
            matches!(schema.tables.get(&asked.table.text)?.placement, Placement::Sequence).then_some(())
        };
        let keyspace = match (&asked.database, &self.target.keyspace) {
            (Some(database), _) => Some(database.text.clone()).filter(|name| is(name).is_some()),
            (None, Some(home)) if is(home.as_str()).is_some() => Some(home.to_string()),
            // As with other tables that only one keyspace's VSchema has.
            (None, _) => {
                let mut all = view.keyspaces.keys().filter(|name| is(name).is_some());
                all.next().filter(|_| all.next().is_none()).cloned()
            }
        };
        let name = SequenceName { keyspace: keyspace?.parse().ok()?, table: asked.table.text.parse().ok()? };
        Some((name, asked))
    }
}

/// The column of the answer, as Vitess has it.
pub(super) fn nextval() -> ColumnSpec {
    ColumnSpec {
        kind: ColumnType::MYSQL_TYPE_LONGLONG,
        flags: ColumnFlags::NOT_NULL_FLAG | ColumnFlags::BINARY_FLAG,
        length: 20,
        ..ColumnSpec::text("nextval")
    }
}

/// The first number given to rows, which LAST_INSERT_ID() is to tell.
pub(super) fn first_given(bindings: &Bindings<'_>) -> Option<u64> {
    bindings.given.iter().flatten().next().and_then(|number| u64::try_from(*number).ok())
}

/// Why no block was reserved.
enum Unreserved {
    /// The table is fenced.
    Fenced(String),
    /// Something else.
    Told(String),
}

impl From<MysqlError> for Unreserved {
    fn from(error: MysqlError) -> Self {
        match error.code() {
            Some(FENCE_ERRNO) => Self::Fenced(error.to_string()),
            _ => Self::Told(error.to_string()),
        }
    }
}

/// Moves the table's row on, in one statement that commits by itself: the numbers that are ours then.
async fn advance(
    checkout: &mut Checkout,
    tablet: &Arc<Tablet>,
    name: &SequenceName,
    block: &mut Block,
    count: NonZeroU64,
) -> Result<(u64, u64), Unreserved> {
    let quoted = |text: &str| String::from_utf8_lossy(&quote_identifier(text)).into_owned();
    let table = format!("{}.{}", quoted(tablet.record.database.as_str()), quoted(name.table.as_str()));
    let backend: &mut Backend = &mut checkout.backend;
    let none = || {
        Unreserved::Told(format!(
            "{table} must have one row with id 0: INSERT INTO {table} (id, next_id, cache) VALUES (0, 1, 1000)"
        ))
    };
    if block.size.is_none() {
        let row = backend.row(format!("SELECT MAX(cache) FROM {table} WHERE id = 0").as_bytes()).await?;
        let text = row.first().cloned().flatten().ok_or_else(none)?;
        let text = String::from_utf8_lossy(&text);
        let size = text.parse().ok().filter(|size: &NonZeroU64| size.get() <= MOST);
        let wrong = || format!("{table}: its column `cache` must be between 1 and {MOST}, and is {text}");
        block.size = Some(size.ok_or_else(|| Unreserved::Told(wrong()))?);
    }
    let step = block.step(count);
    // Vitess begins at what the row says; 0 would be a number that MySQL takes for none.
    let sql = format!("UPDATE {table} SET next_id = LAST_INSERT_ID(GREATEST(next_id, 1) + {step}) WHERE id = 0");
    let done = backend.execute(sql.as_bytes()).await?;
    if backend.in_transaction() {
        backend.execute(b"COMMIT").await?;
    }
    match (done.affected_rows, done.last_insert_id.checked_sub(step)) {
        (1, Some(first)) if first > 0 => Ok((first, done.last_insert_id)),
        _ => Err(none()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_given_is_told() {
        let mut bindings = Bindings::default();
        assert_eq!(first_given(&bindings), None);
        bindings.given = vec![None, Some(7), Some(8)];
        assert_eq!(first_given(&bindings), Some(7));
    }
}
