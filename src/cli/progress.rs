//! Watching a workflow: its status as text, as bars that move, or until it gets somewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::{HumanBytes, HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::{Instant, sleep};

use super::workflow::{Which, state_of};
use crate::model::TableName;
use crate::model::workflow::StreamState;
use crate::topology::records::{Status, TableStatus, Workflow};
use crate::topology::{Topology, paths};

const POLL: Duration = Duration::from_millis(250);
/// Bars drawn at once; the rest are only counted.
const BARS: usize = 12;

/// A workflow as the topology shows it.
#[derive(Debug)]
pub(crate) struct Watching<'a> {
    topology: &'a Topology,
    which: Which,
}

impl<'a> Watching<'a> {
    pub(crate) fn new(topology: &'a Topology, which: &Which) -> Self {
        Self { topology, which: which.clone() }
    }

    /// The state in a word, the message, and the owner's report.
    pub(crate) async fn look(&self) -> Result<(String, String, Option<Status>)> {
        let Which { keyspace, name } = &self.which;
        let record = self.topology.need::<Workflow>(&paths::workflow(keyspace, name)).await?.record;
        let status = self.topology.get::<Status>(&paths::status(keyspace, name)).await?.map(|found| found.record);
        let (state, message) = state_of(&record, status.as_ref());
        Ok((state, message, status))
    }

    /// Waits until `reached` says so of the state and the report. An error state or the time's end is an error.
    pub(crate) async fn until(&self, reached: impl Fn(&str, Option<&Status>) -> bool, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let (state, message, status) = self.look().await?;
            if reached(&state, status.as_ref()) {
                return Ok(());
            }
            self.refuse_error(&state, &message)?;
            if Instant::now() > deadline {
                bail!("the workflow is still {state} after {} s: {message}", limit.as_secs());
            }
            sleep(POLL).await;
        }
    }

    /// Draws bars until `reached` says so; Ctrl-C only stops the drawing.
    pub(crate) async fn draw(&self, reached: impl Fn(&str, Option<&Status>) -> bool) -> Result<()> {
        let mut bars = Bars::new();
        loop {
            let (state, message, status) = self.look().await?;
            bars.show(&state, &message, status.as_ref());
            if reached(&state, status.as_ref()) {
                bars.finish();
                return Ok(());
            }
            if let Err(error) = self.refuse_error(&state, &message) {
                bars.finish();
                return Err(error);
            }
            sleep(POLL).await;
        }
    }

    fn refuse_error(&self, state: &str, message: &str) -> Result<()> {
        let Which { keyspace, name } = &self.which;
        if state == StreamState::Error.as_str() {
            bail!("workflow {keyspace}/{name} is in state Error: {message}");
        }
        Ok(())
    }
}

/// Whether every row is copied.
pub(crate) fn copied(status: Option<&Status>) -> bool {
    status.is_some_and(|status| !status.tables.is_empty() && status.tables.values().all(|table| table.state != "copying"))
}

/// One bar a table and a line for the whole.
pub(crate) struct Bars {
    all: MultiProgress,
    tables: BTreeMap<TableName, ProgressBar>,
    line: ProgressBar,
}

impl Bars {
    pub(crate) fn new() -> Self {
        let all = MultiProgress::new();
        let line = all.add(ProgressBar::new_spinner());
        line.set_style(style("{msg}"));
        Self { all, tables: BTreeMap::new(), line }
    }

    pub(crate) fn show(&mut self, state: &str, message: &str, status: Option<&Status>) {
        let Some(status) = status else {
            self.line.set_message(format!("{state}: {message}"));
            return;
        };
        for (name, table) in status.tables.iter().take(BARS) {
            let bar = self.tables.entry(name.clone()).or_insert_with(|| {
                let bar = self.all.insert_before(&self.line, ProgressBar::new(1));
                bar.set_style(style("{prefix:20!} {bar:30} {percent:>3} %  {msg}"));
                bar.set_prefix(name.to_string());
                bar
            });
            let expected = expected(table);
            bar.set_length(expected.max(1));
            bar.set_position(if expected == 0 { 1 } else { table.rows });
            bar.set_message(format!("{} rows, {}, {}", HumanCount(table.rows), HumanBytes(table.bytes), table.state));
        }
        self.line.set_message(summary(state, message, status));
    }

    pub(crate) fn finish(&self) {
        for bar in self.tables.values() {
            bar.abandon();
        }
        self.line.abandon();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; a broken one falls back to the plain style.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Rows a table will have: what is known once it is copied, an estimate before.
fn expected(table: &TableStatus) -> u64 {
    if table.state == "copying" { table.rows_expected.max(table.rows) } else { table.rows }
}

/// How long the copy will take at the present rate.
pub(crate) fn eta(status: &Status) -> Option<Duration> {
    let left: u64 = status.tables.values().map(|table| expected(table) - table.rows).sum();
    (left > 0 && status.copy_rows_per_second > 0).then(|| Duration::from_secs(left / status.copy_rows_per_second))
}

/// The whole workflow in one line.
pub(crate) fn summary(state: &str, message: &str, status: &Status) -> String {
    let mut parts = vec![state.to_string()];
    if state == StreamState::Copying.as_str() {
        let rows = HumanCount(status.copy_rows_per_second);
        parts.push(format!("{rows} rows/s, {}/s", HumanBytes(status.copy_bytes_per_second)));
        parts.extend(eta(status).map(|eta| format!("about {} left", HumanDuration(eta))));
    }
    parts.push(format!("{} changes/s", HumanCount(status.changes_per_second)));
    parts.push(status.lag_ms.map_or("lag unknown".into(), |ms| format!("lag {:.1} s", ms as f64 / 1_000.0)));
    parts.extend(status.throttled.as_ref().map(|reason| format!("throttled: {reason}")));
    parts.extend((!message.is_empty()).then(|| message.to_string()));
    parts.extend(status.warning.as_ref().map(|warning| format!("WARNING: {warning}")));
    parts.join("  |  ")
}

/// A moment as UTC text.
pub(crate) fn clock(seconds: u64) -> String {
    // Days to a civil date: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let days = (seconds / 86_400) as i64 + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let second = seconds % 86_400;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_dates() {
        assert_eq!(clock(0), "1970-01-01 00:00:00Z");
        assert_eq!(clock(951_782_399), "2000-02-28 23:59:59Z");
        assert_eq!(clock(951_782_400), "2000-02-29 00:00:00Z");
        assert_eq!(clock(4_102_444_799), "2099-12-31 23:59:59Z");
    }
}
