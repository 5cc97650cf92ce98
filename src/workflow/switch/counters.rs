//! AUTO_INCREMENT counters: after a switch no insert gets an id that was given before (P12).
//!
//! Rows that arrive raise the counter of their table by themselves; ids that were given and deleted, or rolled back, do not.
//! So the counters are raised before the pause, with headroom, when nobody waits; and compared once nothing is written any
//! more, when they need raising only where more ids than the headroom were lost meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::engine::connect::Side;
use crate::model::TableName;
use crate::mysql::admin::Session;
use crate::mysql::quote;

use super::SwitchError;
use super::ends::Ends;

/// Ids left free above the old side's counter, as a share of a table's writes between the two looks; an id is worth nothing.
const HEADROOM: u64 = 1_000;
const AGAIN: Duration = Duration::from_millis(20);
/// Error numbers of a wait for metadata that was too long.
const WAITED: [u16; 2] = [1205, 3024];

/// Raises the new side's counters above the old side's, `headroom` or not; which tables could not be before `end`.
pub async fn raise(ends: &Ends, headroom: bool, end: Instant) -> Result<(), SwitchError> {
    let mut wanted: BTreeMap<TableName, u64> = BTreeMap::new();
    for old in &ends.closing {
        for (table, counter) in read(&old.fence.side, &old.fence.tables).await? {
            let highest = wanted.entry(table).or_default();
            *highest = (*highest).max(counter);
        }
    }
    for new in &ends.opening {
        let side = &new.fence.side;
        let there = read(side, &new.fence.tables).await?;
        let behind = wanted.iter().filter(|(table, counter)| there.get(*table).is_none_or(|now| now < *counter));
        let behind: Vec<_> = behind.collect();
        if behind.is_empty() {
            continue;
        }
        let mut session = side.session().await?;
        for (table, counter) in behind {
            let counter = if headroom { counter.saturating_add(HEADROOM) } else { *counter };
            set(&mut session, side, table, counter, end).await?;
        }
        session.close().await;
    }
    Ok(())
}

/// The counters of those tables that have one. The server keeps such figures for a day unless told otherwise (C25).
async fn read(side: &Side, tables: &[TableName]) -> Result<BTreeMap<TableName, u64>, SwitchError> {
    let mut session = side.session().await?;
    session.execute("SET SESSION information_schema_stats_expiry = 0").await?;
    let names = quote::text_list(tables.iter().map(TableName::as_str));
    let sql = format!(
        "SELECT TABLE_NAME, AUTO_INCREMENT FROM information_schema.TABLES
         WHERE TABLE_SCHEMA = {} AND TABLE_NAME IN {names} AND AUTO_INCREMENT IS NOT NULL",
        quote::text(side.database.as_str())
    );
    let rows = session.rows(&sql).await?;
    session.close().await;
    let counters = rows.iter().filter_map(|row| Some((row.text(0)?.parse().ok()?, row.number(1)?)));
    Ok(counters.collect())
}

/// Moves one counter; a table whose metadata is in use is tried again until `end`.
async fn set(
    session: &mut Session,
    side: &Side,
    table: &TableName,
    counter: u64,
    end: Instant,
) -> Result<(), SwitchError> {
    session.execute("SET SESSION lock_wait_timeout = 1").await?;
    let alter = format!("ALTER TABLE {} AUTO_INCREMENT = {counter}", quote::table_name(&side.database, table));
    loop {
        match session.execute(&alter).await {
            Ok(_) => return Ok(()),
            Err(error) if error.code().is_some_and(|code| WAITED.contains(&code)) => {
                if Instant::now() > end {
                    return Err(SwitchError::Refused(format!(
                        "{}: the AUTO_INCREMENT counter of {table} must be raised to {counter} and the table is in use: \
                         end long queries on it, or run that ALTER yourself, then try again",
                        side.label
                    )));
                }
                sleep(AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
