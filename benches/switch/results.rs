//! What was measured, printed: histograms, errors, the ledger, and the aims.

use std::fmt;
use std::time::Duration;

use shardlift::local::Servers;

use super::clients::Written;
use super::turns::Turn;

/// The aims for a pause, milliseconds: half of them, and 99 of 100.
const AIMS: [(f64, f64); 2] = [(0.5, 30.0), (0.99, 100.0)];
/// Writes per second.
const RATE: f64 = 1_000.0;
/// Of them in transactions.
const SHARE: f64 = 0.4;
const ER_LOCK_DEADLOCK: u16 = 1213;
/// Upper ends of the histogram's bars, milliseconds.
const BOUNDS: [f64; 11] = [5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 100.0, 200.0, 500.0, f64::INFINITY];
/// Differences of the ledger that are spelled out.
const SHOWN: usize = 20;

/// All of it.
#[derive(Debug)]
pub struct Results {
    title: String,
    switches: usize,
    engine: Vec<f64>,
    gateways: Vec<(String, Vec<f64>)>,
    /// The longest time without an acknowledged write, of each switch.
    silences: Vec<f64>,
    /// The longest statement of each switch.
    longest: Vec<f64>,
    written: Written,
    wrong: Vec<String>,
}

impl Results {
    /// Of these switches.
    pub fn new(
        servers: &Servers,
        turns: &[Turn],
        gateways: Vec<(String, Vec<f64>)>,
        written: Written,
        wrong: Vec<String>,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let title = format!("MySQL {}, {cores} cores, {} switches of traffic", servers.version, turns.len());
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let silence = |turn: &Turn| {
            let within = written.acknowledged.iter().map(|(at, _)| *at);
            let within: Vec<_> = within.filter(|at| (turn.asked..=turn.done).contains(at)).collect();
            within.windows(2).map(|two| ms(two[1] - two[0])).fold(0.0, f64::max)
        };
        let longest = |turn: &Turn| {
            let within = written.statements.iter().filter(|(end, _)| (turn.asked..=turn.done).contains(end));
            within.map(|(_, took)| ms(*took)).fold(0.0, f64::max)
        };
        Self {
            title,
            switches: turns.len(),
            engine: turns.iter().map(|turn| turn.pause as f64).collect(),
            gateways,
            silences: turns.iter().map(silence).collect(),
            longest: turns.iter().map(longest).collect(),
            written,
            wrong,
        }
    }

    /// Whether a promise was broken, times apart.
    pub fn failed(&self) -> bool {
        !self.wrong.is_empty() || self.other_errors() > 0 || self.deadlocks() > self.switches as u64
    }

    fn deadlocks(&self) -> u64 {
        self.written.errors.get(&ER_LOCK_DEADLOCK).copied().unwrap_or_default()
    }

    fn other_errors(&self) -> u64 {
        self.written.errors.iter().filter(|(code, _)| **code != ER_LOCK_DEADLOCK).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n\nmilliseconds                              n    p50    p95    p99    max", self.title)?;
        row(f, "pause: announced to open (engine)", &self.engine)?;
        for (name, pauses) in &self.gateways {
            row(f, &format!("pause: held to released ({name})"), pauses)?;
        }
        row(f, "no write acknowledged (clients)", &self.silences)?;
        row(f, "longest statement (clients)", &self.longest)?;
        writeln!(f, "\npauses as the gateways saw them")?;
        let all: Vec<f64> = self.gateways.iter().flat_map(|(_, pauses)| pauses).copied().collect();
        histogram(f, &all)?;
        let writes: u32 = self.written.acknowledged.iter().map(|(_, writes)| writes).sum();
        let rate = f64::from(writes) / self.written.took.as_secs_f64();
        let share = self.written.in_transactions as f64 / f64::from(writes.max(1));
        writeln!(f, "\n{writes} writes acknowledged, {rate:.0}/s, {:.0} % of them in transactions", share * 100.0)?;
        writeln!(f, "client errors by number: {:?}", self.written.errors)?;
        if let Some(first) = &self.written.first_error {
            writeln!(f, "the first: {first}")?;
        }
        for (text, count) in &self.written.deadlocks {
            writeln!(f, "{count} of {text}")?;
        }
        for wrong in self.wrong.iter().take(SHOWN) {
            writeln!(f, "{wrong}")?;
        }
        writeln!(f)?;
        let lines = [
            ("every acknowledged write is there once, and nothing else".into(), self.wrong.is_empty()),
            (
                format!("no client error but {} deadlock(s), at most one a switch", self.deadlocks()),
                !self.other_or_more(),
            ),
            (
                format!("at least {RATE:.0} writes/s, {:.0} % in transactions", SHARE * 100.0),
                rate >= RATE && share >= SHARE,
            ),
        ];
        for (what, good) in lines {
            verdict(f, &what, good)?;
        }
        for (share, aim) in AIMS {
            let seen = at(&all, share);
            verdict(f, &format!("pause p{:.0} {seen:.1} ms, the aim is {aim:.0} ms", share * 100.0), seen <= aim)?;
        }
        Ok(())
    }
}

impl Results {
    fn other_or_more(&self) -> bool {
        self.other_errors() > 0 || self.deadlocks() > self.switches as u64
    }
}

fn verdict(f: &mut fmt::Formatter<'_>, what: &str, good: bool) -> fmt::Result {
    writeln!(f, "{} {what}", if good { "PASS" } else { "FAIL" })
}

fn row(f: &mut fmt::Formatter<'_>, what: &str, values: &[f64]) -> fmt::Result {
    let [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1.0].map(|share| at(values, share));
    writeln!(f, "{what:<38}{:>5}{p50:>7.1}{p95:>7.1}{p99:>7.1}{max:>7.1}", values.len())
}

/// The value that this share of them does not exceed.
fn at(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

fn histogram(f: &mut fmt::Formatter<'_>, values: &[f64]) -> fmt::Result {
    let mut from = 0.0;
    for to in BOUNDS {
        let count = values.iter().filter(|value| **value > from && **value <= to).count();
        writeln!(f, "{from:>5.0} to {to:<5.0} ms {count:>5} {}", "#".repeat(count.min(80)))?;
        from = to;
    }
    Ok(())
}
