//! What was measured, as a table for each part.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use shardlift::local::Servers;

use super::split;
use super::testbed::table::{Table, title};
use super::turn::{Turn, Work};

/// What a turn of copying is judged by.
type Figure<T> = (&'static str, fn(&split::Turn) -> T);

/// Two turns, one right after the other, so that both had the same machine as far as that goes.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// Straight to the shards.
    pub direct: Turn,
    /// Through the gateway.
    pub through: Turn,
}

impl Pair {
    fn ratio(&self) -> f64 {
        self.through.rate / self.direct.rate
    }
}

/// The rows of the final tables.
#[derive(Debug)]
pub struct Results {
    split: Table<4>,
    queries: Table<8>,
    routes: Table<4>,
    /// Which of them have rows, in the order they are printed.
    measured: [bool; 3],
}

impl Results {
    /// None yet.
    pub fn new(servers: &Servers, rows: u64) -> Self {
        let title = title(servers, rows);
        let queries = ["load", "clients", "gateway", "direct", "ratio", "p50 µs", "p99 µs", "gateway CPU µs"];
        Self {
            split: Table::new(
                format!("split, {title}; the ratio is what the copies need, as a multiple of the Reshard's"),
                ["what", "reshard", "four copies", "ratio"],
                &[3],
            ),
            queries: Table::new(
                format!("queries, {title}, 4 shards; \"95 +40\": 95 direct, 40 more"),
                queries,
                &[1, 4, 7],
            ),
            routes: Table::new(
                "routes: decisions on one core, from the text to each shard's text, no network; 4 shards".into(),
                ["statement", "plan kept", "plan made", "shards"],
                &[1, 2, 3],
            ),
            measured: [false; 3],
        }
    }

    /// A Reshard of so many rows against copies; the best of each turns counts: whatever else runs on the machine only adds.
    pub fn split(&mut self, rows: u64, ours: &[split::Turn], (name, theirs): (&str, &[split::Turn])) {
        self.measured[1] = true;
        let times: [Figure<Duration>; 3] = [
            ("rows", |turn| turn.times.rows),
            ("rows, index", |turn| turn.times.copy),
            ("command to end", |turn| turn.times.whole),
        ];
        for (what, of) in times {
            let best = |turns: &[split::Turn]| turns.iter().map(of).min().unwrap_or_default().as_secs_f64();
            let (ours, theirs) = (best(ours), best(theirs));
            let rate = |seconds: f64| format!("{:.0}/s in {seconds:.2} s", rows as f64 / seconds);
            let ratio = format!("{:.2}", theirs / ours);
            self.split.push([what.into(), rate(ours), format!("{name}: {}", rate(theirs)), ratio]);
        }
        let counts: [Figure<f64>; 3] = [
            ("source: MB sent", |turn| turn.spent.bytes as f64 / 1e6),
            ("source: rows read", |turn| turn.spent.rows as f64),
            ("source: SELECTs", |turn| turn.spent.selects as f64),
        ];
        for (what, of) in counts {
            let least = |turns: &[split::Turn]| turns.iter().map(of).fold(f64::INFINITY, f64::min);
            let (ours, theirs) = (least(ours), least(theirs));
            let ratio = format!("{:.2}", theirs / ours);
            self.split.push([what.into(), format!("{ours:.0}"), format!("{name}: {theirs:.0}"), ratio]);
        }
    }

    /// Adds the pair with the median ratio (of an even number the worse one).
    pub fn queries(&mut self, work: Work, clients: u64, mut pairs: Vec<Pair>) -> Result<()> {
        pairs.sort_by(|one, other| one.ratio().total_cmp(&other.ratio()));
        let quarter = |quarters: usize| pairs.get((pairs.len() - 1) * quarters / 4).map_or(f64::NAN, Pair::ratio);
        let middle = [quarter(1), quarter(3)];
        let pair = pairs.get(pairs.len().saturating_sub(1) / 2).context("no turns")?;
        let Pair { direct, through } = pair;
        let added = |through: f64, direct: f64| format!("{direct:.0} {:+.0}", through - direct);
        self.measured[2] = true;
        self.queries.push([
            work.name().into(),
            clients.to_string(),
            format!("{:.0}/s", through.rate),
            format!("{}: {:.0}/s", work.direct(), direct.rate),
            format!("{:.2} ({:.2}-{:.2})", pair.ratio(), middle[0], middle[1]),
            added(through.p50, direct.p50),
            added(through.p99, direct.p99),
            format!("{:.0}", through.gateway),
        ]);
        Ok(())
    }

    /// Decisions per second, with the plan kept and without, and how many shards it goes to.
    pub fn route(&mut self, what: &str, kept: f64, made: f64, shards: usize) {
        self.measured[0] = true;
        self.routes.push([what.into(), format!("{kept:.0}/s"), format!("{made:.0}/s"), shards.to_string()]);
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables: [&dyn fmt::Display; 3] = [&self.routes, &self.split, &self.queries];
        let shown = tables.iter().zip(self.measured).filter(|(_, measured)| *measured);
        f.write_str(&shown.map(|(table, _)| table.to_string()).collect::<Vec<_>>().join("\n\n"))
    }
}
