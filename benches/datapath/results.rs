//! What was measured, as one table.

use std::fmt;
use std::time::Duration;

use shardlift::local::Servers;

pub use super::testbed::say;
use super::testbed::table::{Table, title};

/// The rows of the final table.
#[derive(Debug)]
pub struct Results {
    table: Table<4>,
    failed: bool,
}

impl Results {
    /// None yet.
    pub fn new(servers: &Servers, rows: u64) -> Self {
        Self {
            table: Table::new(title(servers, rows), ["what", "shardlift", "baseline", "ratio"], &[3]),
            failed: false,
        }
    }

    /// `work` units took us so long, and a baseline so long.
    pub fn compare(&mut self, what: &str, work: u64, ours: Duration, baseline: (&str, Duration)) {
        let rate = |time: Duration| format!("{:.0}/s in {:.2} s", work as f64 / time.as_secs_f64(), time.as_secs_f64());
        let ratio = baseline.1.as_secs_f64() / ours.as_secs_f64();
        let theirs = format!("{}: {}", baseline.0, rate(baseline.1));
        self.table.push([what.into(), rate(ours), theirs, format!("{ratio:.2}")]);
    }

    /// A peak of memory, and what it must not exceed, both in MiB.
    pub fn peak(&mut self, what: &str, peak: f64, ceiling: f64) {
        self.failed |= peak > ceiling;
        let verdict = if peak > ceiling { "OVER" } else { "under" };
        let theirs = format!("ceiling: {ceiling:.0} MiB");
        self.table.push([what.into(), format!("{peak:.0} MiB"), theirs, format!("{:.2} {verdict}", peak / ceiling)]);
    }

    /// Whether the ceiling was broken.
    pub fn failed(&self) -> bool {
        self.failed
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.fmt(f)
    }
}

/// The shortest: whatever else runs on the machine only ever adds.
pub fn best(times: impl Iterator<Item = Duration>) -> Duration {
    times.min().unwrap_or_default()
}
