//! Triggers on a fence's tables: made, read back, dropped.
//!
//! # Invariants
//! - A trigger's name carries the epoch. A straggler's CREATE or DROP that runs late, behind somebody's lock, concerns other
//!   triggers than those of its successor (protocol-review A7 c).
//! - Older triggers are dropped after the new ones are in place: an armed table stays armed.
//! - Nothing is armed without a row that says open or closed; and nobody arms with an epoch below the row's.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::fence::{Epoch, FenceTrigger};
use crate::mysql::admin::Session;
use crate::mysql::{MysqlError, quote};

use super::patience::Definer;
use super::row::{self, FenceState};
use super::session::Silence;
use super::trigger::{Found, Wanted, wanted};
use super::{Fence, FenceError};

/// There is a trigger of this name.
const TRIGGER_EXISTS: u16 = 1359;

/// Puts the triggers of `epoch` in place, then drops those of earlier ones. Harmless when repeated. Each waits in short tries,
/// for at most `each`, for whoever uses its table; fails with who that may be.
pub async fn arm(fence: &Fence, epoch: Epoch, each: Duration) -> Result<(), FenceError> {
    let mut definer = Definer::open(fence).await?;
    match row::read(fence, &mut definer.session).await? {
        None => return Err(fence.missing()),
        Some(state) if state.epoch > epoch => return Err(fence.superseded(epoch, state)),
        Some(_) => {}
    }
    let database = fence.side.database.as_str();
    let (found, account) = read(fence, &mut definer.session).await?;
    let named: HashMap<_, _> = found.iter().map(|found| (found.name, found)).collect();
    for wanted in wanted(fence, epoch) {
        match named.get(&wanted.name).map(|found| wanted.differs(found, &account)) {
            Some(None) => continue,
            // Somebody has laid hands on it.
            Some(Some(_)) => definer.run(wanted.table, &drop_sql(database, wanted.name), each).await?,
            None => {}
        }
        match definer.run(wanted.table, &wanted.create(database), each).await {
            Err(FenceError::Server { source, .. }) if is_there_already(&source) => {}
            outcome => outcome?,
        }
    }
    let (found, account) = read(fence, &mut definer.session).await?;
    let problems = of_wanted(&wanted(fence, epoch), &found, &account);
    if !problems.is_empty() {
        return Err(fence.altered(problems));
    }
    drop_all(fence, &mut definer, |name| name.epoch < epoch, each).await?;
    definer.close().await;
    Ok(())
}

/// The epoch of the fence's newest triggers, if they are whole. Then a switch does without DDL, which on a table in use breaks
/// off transactions that have read there and go on to write (1213): a statement that is about to wait for the DDL would wait
/// for itself. Only for where nobody who carried the workflow before can still be about to drop them.
pub async fn armed(fence: &Fence) -> Result<Option<Epoch>, FenceError> {
    let mut session = fence.session(Silence::Nothing).await?;
    let (found, account) = read(fence, &mut session).await?;
    session.close().await;
    let newest = found.iter().filter(|found| found.is_of(fence)).map(|found| found.name.epoch).max();
    Ok(newest.filter(|newest| of_wanted(&wanted(fence, *newest), &found, &account).is_empty()))
}

/// Drops the fence's triggers up to `epoch`, waiting for each as [`arm`] does. Harmless when repeated.
pub async fn disarm(fence: &Fence, epoch: Epoch, each: Duration) -> Result<(), FenceError> {
    let mut definer = Definer::open(fence).await?;
    drop_all(fence, &mut definer, |name| name.epoch <= epoch, each).await?;
    definer.close().await;
    Ok(())
}

/// Reads back row and triggers: what the row says, or what is missing or altered. Between this and the commit of the switch
/// nobody can drop or change a table if a [`Guard`](super::Guard) was taken before.
pub async fn check(fence: &Fence, epoch: Epoch) -> Result<FenceState, FenceError> {
    let mut session = fence.session(Silence::Nothing).await?;
    let state = row::read(fence, &mut session).await?.ok_or_else(|| fence.missing())?;
    let (found, account) = read(fence, &mut session).await?;
    session.close().await;
    let wanted = wanted(fence, epoch);
    let mut problems = of_wanted(&wanted, &found, &account);
    problems.extend(strange(fence, &wanted, &found));
    if problems.is_empty() { Ok(state) } else { Err(fence.altered(problems)) }
}

/// What is missing or altered.
fn of_wanted(wanted: &[Wanted<'_>], found: &[Found], account: &str) -> Vec<String> {
    let named: HashMap<_, _> = found.iter().map(|found| (found.name, found)).collect();
    let problems = wanted.iter().filter_map(|wanted| match named.get(&wanted.name) {
        Some(found) => wanted.differs(found, account),
        None => Some(format!("trigger {} on table {} is missing", wanted.name, wanted.table)),
    });
    problems.collect()
}

/// What another fence has on our tables: it would turn our streams away.
fn strange(fence: &Fence, wanted: &[Wanted<'_>], found: &[Found]) -> Vec<String> {
    let strange = found.iter().filter(|found| {
        fence.tables.iter().any(|table| table.as_str() == found.table)
            && !found.is_of(fence)
            && !wanted.iter().any(|wanted| wanted.name == found.name)
    });
    let named = strange.map(|found| {
        format!("trigger {} on table {} is of another workflow; if that is gone, drop it", found.name, found.table)
    });
    named.collect()
}

impl Fence {
    fn altered(&self, problems: Vec<String>) -> FenceError {
        FenceError::Altered { workflow: self.workflow.clone(), side: self.side.label.clone(), problems }
    }
}

/// All triggers in the fence's database that are called as a fence's are, and who we are there.
async fn read(fence: &Fence, session: &mut Session) -> Result<(Vec<Found>, String), FenceError> {
    let sql = format!(
        "SELECT TRIGGER_NAME, EVENT_MANIPULATION, ACTION_TIMING, EVENT_OBJECT_TABLE, ACTION_STATEMENT, DEFINER
         FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {}",
        quote::text(fence.side.database.as_str())
    );
    let rows = session.rows(&sql).await.map_err(|error| fence.server(error))?;
    let account = session.value("SELECT CURRENT_USER()").await.map_err(|error| fence.server(error))?;
    let found = rows.iter().filter_map(|row| {
        let text = |index| row.text(index).unwrap_or_default();
        let name: FenceTrigger = text(0).parse().ok()?;
        Some(Found { name, event: text(1), timing: text(2), table: text(3), body: text(4), definer: text(5) })
    });
    Ok((found.collect(), account.unwrap_or_default()))
}

async fn drop_all(
    fence: &Fence,
    definer: &mut Definer<'_>,
    which: impl Fn(FenceTrigger) -> bool,
    each: Duration,
) -> Result<(), FenceError> {
    let (found, _) = read(fence, &mut definer.session).await?;
    for found in found.iter().filter(|found| found.is_of(fence) && which(found.name)) {
        let table = fence.tables.iter().find(|table| table.as_str() == found.table);
        let table = table.cloned().or_else(|| found.table.parse().ok());
        // A table's name is a valid one: the server has it.
        let Some(table) = table else { continue };
        definer.run(&table, &drop_sql(fence.side.database.as_str(), found.name), each).await?;
    }
    Ok(())
}

fn drop_sql(database: &str, name: FenceTrigger) -> String {
    format!("DROP TRIGGER IF EXISTS {}", quote::qualified(database, &name.to_string()))
}

/// A try that was interrupted had done its work all the same; whether rightly is compared afterwards.
fn is_there_already(error: &crate::engine::EngineError) -> bool {
    use crate::engine::EngineError;
    matches!(error, EngineError::Mysql { source: MysqlError::Server { code: TRIGGER_EXISTS, .. }, .. })
}
