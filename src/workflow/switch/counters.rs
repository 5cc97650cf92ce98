//! AUTO_INCREMENT counters: after a switch no insert gets an id that was given before (P12).
//!
//! Rows that arrive raise the counter of their table by themselves; ids that were given and deleted, or rolled back, do not.
//! So the counters are raised before the pause, with headroom, when nobody waits; and compared once nothing is written any
//! more, when they need raising only where more ids than the headroom were lost meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep};

use crate::engine::connect::Side;
use crate::engine::sidecar;
use crate::model::TableName;
use crate::mysql::admin::Session;
use crate::mysql::quote;
use crate::workflow::fence::Fence;

use super::SwitchError;
use super::ends::{End, Ends};

/// Ids left free above the old side's counter, as a share of a table's writes between the two looks; an id is worth nothing.
const HEADROOM: u64 = 1_000;
const AGAIN: Duration = Duration::from_millis(20);
/// Error numbers of a wait for metadata that was too long.
const WAITED: [u16; 2] = [1205, 3024];

/// A session on each end, opened before anybody waits. Whoever takes over ends them.
#[derive(Debug)]
pub struct Counters {
    old: Vec<Counted>,
    new: Vec<Counted>,
}

#[derive(Debug)]
struct Counted {
    side: Side,
    /// What stands before DDL of the workflow's own: the closed side's watch passes over it.
    own: String,
    /// Those with an AUTO_INCREMENT column.
    tables: Vec<TableName>,
    session: Session,
}

impl Counters {
    /// Connects to all ends.
    pub async fn prepare(ends: &Ends) -> Result<Self, SwitchError> {
        let (old, new) = tokio::try_join!(Counted::open_all(&ends.closing), Counted::open_all(&ends.opening))?;
        Ok(Self { old, new })
    }

    /// Raises the new side's counters above the old side's, `headroom` or not; whether any had to be. Names which table could
    /// not be before `end`.
    pub async fn raise(&mut self, headroom: bool, end: Instant) -> Result<bool, SwitchError> {
        let old = try_join_all(self.old.iter_mut().map(Counted::read));
        let new = try_join_all(self.new.iter_mut().map(Counted::read));
        let (old, new) = tokio::try_join!(old, new)?;
        let mut wanted: BTreeMap<TableName, u64> = BTreeMap::new();
        for (table, counter) in old.into_iter().flatten() {
            let highest = wanted.entry(table).or_default();
            *highest = (*highest).max(counter);
        }
        let mut raised = false;
        for (counted, there) in self.new.iter_mut().zip(new) {
            let counts = |table: &TableName| counted.tables.contains(table);
            let behind = |table: &TableName, counter: u64| there.get(table).is_none_or(|now| *now < counter);
            let behind: Vec<_> =
                wanted.iter().filter(|(table, counter)| counts(table) && behind(table, **counter)).collect();
            for (table, counter) in behind {
                let counter = if headroom { counter.saturating_add(HEADROOM) } else { *counter };
                counted.set(table, counter, end).await?;
                raised = true;
            }
        }
        Ok(raised)
    }
}

impl Counted {
    async fn open_all(ends: &[End]) -> Result<Vec<Self>, SwitchError> {
        try_join_all(ends.iter().map(|end| Self::open(&end.fence))).await
    }

    /// The server keeps such figures for a day unless told otherwise (C25).
    async fn open(fence: &Fence) -> Result<Self, SwitchError> {
        let mut session = fence.working_session().await?;
        session.execute("SET SESSION information_schema_stats_expiry = 0").await?;
        let names = quote::text_list(fence.tables.iter().map(TableName::as_str));
        let sql = format!(
            "SELECT TABLE_NAME FROM information_schema.COLUMNS
             WHERE TABLE_SCHEMA = {} AND TABLE_NAME IN {names} AND EXTRA LIKE '%auto_increment%'",
            quote::text(fence.side.database.as_str())
        );
        let rows = session.rows(&sql).await?;
        let tables = rows.iter().filter_map(|row| row.text(0)?.parse().ok()).collect();
        Ok(Self { side: fence.side.clone(), own: sidecar::own_ddl(&fence.key.uid), tables, session })
    }

    /// The counters of those tables that have one.
    async fn read(&mut self) -> Result<BTreeMap<TableName, u64>, SwitchError> {
        if self.tables.is_empty() {
            return Ok(BTreeMap::new());
        }
        let names = quote::text_list(self.tables.iter().map(TableName::as_str));
        let sql = format!(
            "SELECT TABLE_NAME, AUTO_INCREMENT FROM information_schema.TABLES
             WHERE TABLE_SCHEMA = {} AND TABLE_NAME IN {names} AND AUTO_INCREMENT IS NOT NULL",
            quote::text(self.side.database.as_str())
        );
        let rows = self.session.rows(&sql).await?;
        let counters = rows.iter().filter_map(|row| Some((row.text(0)?.parse().ok()?, row.number(1)?)));
        Ok(counters.collect())
    }

    /// Moves one counter; a table whose metadata is in use is tried again until `end`.
    async fn set(&mut self, table: &TableName, counter: u64, end: Instant) -> Result<(), SwitchError> {
        let Self { side, own, session, .. } = self;
        let alter = format!("{own}ALTER TABLE {} AUTO_INCREMENT = {counter}", quote::table_name(&side.database, table));
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
}
