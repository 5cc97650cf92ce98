//! What was measured, as one table.

use std::fmt;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use shardlift::local::Servers;

/// The rows of the final table.
#[derive(Debug)]
pub struct Results {
    title: String,
    rows: Vec<[String; 4]>,
    failed: bool,
}

impl Results {
    /// None yet.
    pub fn new(servers: &Servers, rows: u64) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        Self {
            title: format!("MySQL {}, {cores} cores, {rows} rows", servers.version),
            rows: Vec::new(),
            failed: false,
        }
    }

    /// `work` units took us so long, and a baseline so long.
    pub fn compare(&mut self, what: &str, work: u64, ours: Duration, baseline: (&str, Duration)) {
        let rate = |time: Duration| format!("{:.0}/s in {:.2} s", work as f64 / time.as_secs_f64(), time.as_secs_f64());
        let ratio = baseline.1.as_secs_f64() / ours.as_secs_f64();
        let theirs = format!("{}: {}", baseline.0, rate(baseline.1));
        self.push([what.into(), rate(ours), theirs, format!("{ratio:.2}")]);
    }

    /// A peak of memory, and what it must not exceed, both in MiB.
    pub fn peak(&mut self, what: &str, peak: f64, ceiling: f64) {
        self.failed |= peak > ceiling;
        let verdict = if peak > ceiling { "OVER" } else { "under" };
        let theirs = format!("ceiling: {ceiling:.0} MiB");
        self.push([what.into(), format!("{peak:.0} MiB"), theirs, format!("{:.2} {verdict}", peak / ceiling)]);
    }

    /// Whether the ceiling was broken.
    pub fn failed(&self) -> bool {
        self.failed
    }

    fn push(&mut self, row: [String; 4]) {
        say(&row.join(" | "));
        self.rows.push(row);
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(["what", "shardlift", "baseline", "ratio"]);
        table.add_rows(&self.rows);
        if let Some(column) = table.column_mut(3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        write!(f, "{}\n{table}", self.title)
    }
}

/// The shortest: whatever else runs on the machine only ever adds.
pub fn best(times: impl Iterator<Item = Duration>) -> Duration {
    times.min().unwrap_or_default()
}

/// Tells whoever waits.
pub fn say(what: &str) {
    eprintln!("{what}");
}
