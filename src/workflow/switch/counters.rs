//! What numbers rows: after a switch no insert gets an id that was given before (P12), by AUTO_INCREMENT or by a sequence,
//! whichever numbered on the old side and whichever does on the new one.
//!
//! Rows that arrive raise the AUTO_INCREMENT counter of their table by themselves; ids that were given and deleted, or rolled
//! back, do not, and no row raises a sequence. So both are raised before the pause, with headroom, when nobody waits; and
//! compared once nothing is written any more, when they need raising only where more ids than the headroom were given
//! meanwhile.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep};

use crate::engine::connect::Side;
use crate::engine::sidecar;
use crate::model::TableName;
use crate::model::switch::Direction;
use crate::mysql::admin::Session;
use crate::mysql::{Credentials, quote};
use crate::topology::Topology;
use crate::topology::records::Workflow;
use crate::workflow::fence::Fence;
use crate::workflow::sequences::Numbered;

use super::SwitchError;
use super::ends::{End, Ends};
use super::sequences::{Numbers, Sequences};

/// Ids left free above the old side's counter, as a share of a table's writes between the two looks; an id is worth nothing.
const HEADROOM: u64 = 1_000;
const AGAIN: Duration = Duration::from_millis(20);
/// Error numbers of a wait for metadata that was too long.
const WAITED: [u16; 2] = [1205, 3024];

/// A session on each end and on each sequence's server, opened before anybody waits. Whoever takes over ends those on ends.
#[derive(Debug)]
pub struct Counters {
    old: Vec<Counted>,
    new: Vec<Counted>,
    sequences: Sequences,
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

/// Where a switch is when numbers are raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Rows are still written to the old side.
    Open,
    /// Nothing is written any more.
    Closed,
}

impl Counters {
    /// Connects to all of them.
    pub async fn prepare(
        topology: &Topology,
        credentials: &Credentials,
        workflow: &Workflow,
        direction: Direction,
        ends: &Ends,
    ) -> Result<Self, SwitchError> {
        let (old, new, sequences) = tokio::try_join!(
            Counted::open_all(&ends.closing),
            Counted::open_all(&ends.opening),
            Sequences::prepare(topology, credentials, workflow, direction, ends),
        )?;
        Ok(Self { old, new, sequences })
    }

    /// Raises whatever numbers rows on the new side above all that the old side has given; whether something was logged there
    /// for it. Names which table could not be before `end`.
    pub async fn raise(&mut self, when: When, end: Instant) -> Result<bool, SwitchError> {
        let headroom = if when == When::Open { HEADROOM } else { 0 };
        let old = try_join_all(self.old.iter_mut().map(Counted::read));
        let new = try_join_all(self.new.iter_mut().map(Counted::read));
        let (old, new, drawn) = tokio::try_join!(old, new, self.sequences.given())?;
        let mut wanted = Numbers::new();
        for (table, number) in old.into_iter().flatten().chain(drawn) {
            raised_to(&mut wanted, table, number);
        }
        let mut raised = false;
        for (counted, there) in self.new.iter_mut().zip(new) {
            let counts = |table: &TableName| counted.tables.contains(table);
            let behind = |table: &TableName, counter: u64| there.get(table).is_none_or(|now| *now < counter);
            let behind: Vec<_> =
                wanted.iter().filter(|(table, counter)| counts(table) && behind(table, **counter)).collect();
            for (table, counter) in behind {
                counted.set(table, counter.saturating_add(headroom), end).await?;
                raised = true;
            }
        }
        // An id that its row's writer has chosen is known to no sequence.
        let begun: Vec<_> = self.sequences.begun().collect();
        for there in try_join_all(self.new.iter_mut().map(|counted| counted.highest(&begun, when))).await? {
            there.into_iter().for_each(|(table, highest)| raised_to(&mut wanted, table, highest.saturating_add(1)));
        }
        Ok(self.sequences.raise(&wanted, headroom, when == When::Closed).await? || raised)
    }
}

fn raised_to(numbers: &mut Numbers, table: TableName, number: u64) {
    let highest = numbers.entry(table).or_default();
    *highest = (*highest).max(number);
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
    async fn read(&mut self) -> Result<Numbers, SwitchError> {
        if self.tables.is_empty() {
            return Ok(Numbers::new());
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

    /// The highest ids of those columns that are there. While nothing is written only an index may be asked for them: that
    /// takes no time.
    async fn highest(&mut self, columns: &[&Numbered], when: When) -> Result<Numbers, SwitchError> {
        let mut found = Numbers::new();
        for Numbered { table, column, .. } in columns {
            if when == When::Closed && !self.is_indexed(table, column).await? {
                continue;
            }
            let name = quote::table_name(&self.side.database, table);
            let highest = self.session.row(&format!("SELECT MAX({}) FROM {name}", quote::ident(column))).await?;
            found.extend(highest.and_then(|row| row.number(0)).map(|highest| (table.clone(), highest)));
        }
        Ok(found)
    }

    async fn is_indexed(&mut self, table: &TableName, column: &str) -> Result<bool, SwitchError> {
        let sql = format!(
            "SELECT 1 FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} AND COLUMN_NAME = {}
             AND SEQ_IN_INDEX = 1 LIMIT 1",
            quote::text(self.side.database.as_str()),
            quote::text(table.as_str()),
            quote::text(column)
        );
        Ok(self.session.row(&sql).await?.is_some())
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
