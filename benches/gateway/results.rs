//! What was measured, as one table, held against the aim.

use std::fmt;

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use shardlift::local::Servers;

use super::caller::Protocol;
use super::testbed::table::{Table, title};
use super::turn::Turn;
use super::work::Work;

/// Of the direct rate, at least, for several clients. One alone has a direct rate that no way through another process comes
/// near: there the aim is the time added.
const AIM_RATIO: f64 = 0.6;
/// Added at p50 at most, in µs, for a client that is alone: with more of them a statement mostly waits for a core.
const AIM_ADDED: f64 = 100.0;
const HEADER: [&str; 11] = [
    "load",
    "clients",
    "gateway",
    "direct",
    "ratio",
    "p50 µs",
    "p99 µs",
    "gateway CPU µs",
    "server CPU µs",
    "client CPU µs",
    "others",
];

/// Two turns, one right after the other, so that both had the same machine as far as that goes.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// Straight to the server.
    pub direct: Turn,
    /// Through the gateway.
    pub through: Turn,
}

impl Pair {
    fn ratio(&self) -> f64 {
        self.through.rate / self.direct.rate
    }
}

/// The rows of the final table, and whether the aim was met.
#[derive(Debug)]
pub struct Results {
    table: Table<11>,
    lowest: Option<f64>,
    most_added: Option<f64>,
}

impl Results {
    /// None yet.
    pub fn new(servers: &Servers, rows: u64) -> Self {
        let table = Table::new(title(servers, rows), HEADER, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        Self { table, lowest: None, most_added: None }
    }

    /// Adds the pair with the median ratio (of an even number the worse one): what disturbs one pair does not count. `others`
    /// is the share of the machine that went to nobody who takes part.
    pub fn compare(
        &mut self,
        work: Work,
        protocol: Protocol,
        clients: u64,
        mut pairs: Vec<Pair>,
        others: f64,
    ) -> Result<()> {
        pairs.sort_by(|one, other| one.ratio().total_cmp(&other.ratio()));
        let quarter = |quarters: usize| pairs.get((pairs.len() - 1) * quarters / 4).map_or(f64::NAN, Pair::ratio);
        let middle = [quarter(1), quarter(3)];
        let pair = pairs.get(pairs.len().saturating_sub(1) / 2).context("no turns")?;
        let (Pair { direct, through }, ratio) = (pair, pair.ratio());
        let added = |through: f64, direct: f64| format!("{direct:.0} {:+.0}", through - direct);
        let name =
            |value: Option<clap::builder::PossibleValue>| value.map_or_else(String::new, |it| it.get_name().into());
        if clients == 1 {
            let added = through.p50 - direct.p50;
            self.most_added = Some(self.most_added.map_or(added, |most| most.max(added)));
        } else {
            self.lowest = Some(self.lowest.map_or(ratio, |lowest| lowest.min(ratio)));
        }
        self.table.push([
            format!("{}, {}", name(work.to_possible_value()), name(protocol.to_possible_value())),
            clients.to_string(),
            format!("{:.0}/s", through.rate),
            format!("{:.0}/s", direct.rate),
            format!("{ratio:.2} ({:.2}-{:.2})", middle[0], middle[1]),
            added(through.p50, direct.p50),
            added(through.p99, direct.p99),
            format!("{:.1}", through.gateway),
            added_tenths(through.server, direct.server),
            added_tenths(through.clients, direct.clients),
            format!("{:.0} %", others.max(0.0) * 100.0),
        ]);
        Ok(())
    }
}

fn added_tenths(through: f64, direct: f64) -> String {
    format!("{direct:.1} {:+.1}", through - direct)
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = |met: bool| if met { "met" } else { "missed" };
        write!(
            f,
            "{}\n\"95 +40\": 95 direct, 40 more through the gateway; behind the median ratio stands the middle half of all; \
             processor time is per\nstatement; others: what of the machine went to nobody who takes part",
            self.table
        )?;
        if let Some(lowest) = self.lowest {
            let met = verdict(lowest >= AIM_RATIO);
            write!(f, "\naim: a ratio of at least {AIM_RATIO} for several clients; lowest {lowest:.2}: {met}")?;
        }
        if let Some(added) = self.most_added {
            let met = verdict(added <= AIM_ADDED);
            write!(f, "\naim: at most {AIM_ADDED:.0} µs added at p50 for one client; most {added:.0}: {met}")?;
        }
        Ok(())
    }
}
