//! The second act, `demo --sharded`: keyspace `customer` is spread over two shards, then over four, then over two again, while
//! the shop goes on selling.
//!
//! Invariants:
//! - The shop's writers know the gateway only, and keep a ledger of what was acknowledged ([`writers`]).
//! - Whoever checks in the end asks the servers, and has code of its own for where a row belongs ([`check`]).
//! - Shards are databases of the two servers that are there: more servers would show no more, and need more memory.

mod check;
mod ground;
mod reshard;
mod writers;

use std::time::Duration;

use tokio::time::sleep;

use self::check::{Found, check};
use self::ground::{Ground, Shard};
use self::writers::{Ledger, Writers};
use super::DemoError;
use super::console::{Console, count, milliseconds};
use super::database::Database;
use super::journey::TARGET;
use crate::local::cluster::Cluster;

/// Steps of this act.
pub(super) const STEPS: u32 = 5;

/// The workflows: a name, what it is called on the screen, from which shards to which.
const RESHARDS: [(&str, &str, &[&str], &[&str]); 3] = [
    ("one2two", "2 shards", &["0"], &["-80", "80-"]),
    ("two2four", "4 shards", &["-80", "80-"], &["-40", "40-80", "80-c0", "c0-"]),
    ("four2two", "2 again", &["-40", "40-80", "80-c0", "c0-"], &["-80", "80-"]),
];
/// How long the writers go on between two switches.
const BETWEEN: Duration = Duration::from_secs(1);

/// Plays it, with so many writers through the gateway at `port`. Whether all is well in the end.
pub(super) async fn play(
    cluster: &Cluster,
    port: u16,
    count_of_writers: u32,
    console: &mut Console,
) -> Result<bool, DemoError> {
    let step = console.begin("Sharding");
    let mut ground = Ground::lay(cluster).await?;
    let before = ground.rows().await?;
    let shop = Database::through(port, TARGET, cluster.app());
    let writers = Writers::start(&shop, count_of_writers);
    step.done(&format!(
        "{TARGET}'s rows are spread by customer_id, sequences number them; {count_of_writers} writers"
    ))?;

    let mut pauses = Vec::new();
    let mut shards = Vec::new();
    for (name, label, from, to) in RESHARDS {
        let step = console.begin(label);
        shards = ground.declare(to).await?;
        reshard::start(cluster, name, from, to).await?;
        let mut each = Vec::new();
        // There, back, and there again: the way back of a split is a merge.
        for direction in reshard::TURNS {
            each.push(super::traffic::switch(cluster.topology(), name, direction).await?);
            sleep(BETWEEN).await;
        }
        super::traffic::complete(cluster.topology(), name, crate::model::workflow::OldTables::Drop).await?;
        let held: Vec<_> = each.iter().map(|pause| milliseconds(*pause)).collect();
        step.done(&format!(
            "{} -> {}, back, and there again: writes held for {}",
            from.join(","),
            to.join(","),
            held.join(", ")
        ))?;
        pauses.extend(each);
    }

    let step = console.begin("Check");
    let ledger = writers.stop().await?;
    let found = check(&shards, &ledger).await?;
    step.done("writers stopped; every row of both shards read, placed anew and held to the ledger")?;
    tell(console, &shards, &ledger, before, &found)
}

/// Says what was found; whether there is nothing to complain of.
fn tell(console: &Console, shards: &[Shard], ledger: &Ledger, before: u64, found: &Found) -> Result<bool, DemoError> {
    console.say("")?;
    for (shard, rows) in shards.iter().zip(&found.rows) {
        console.say(&format!("  {:<12}{:>14} rows", format!("{TARGET}/{}", shard.name), count(*rows)))?;
    }
    let mut good = true;
    let mut verdict = |fine: bool, said: &str| {
        good &= fine;
        console.say(&format!("  {} {said}", if fine { console.good("YES") } else { console.bad("NO ") }))
    };
    let all: u64 = found.rows.iter().sum();
    verdict(
        all + ledger.deleted == before + ledger.inserted,
        &format!(
            "the rows are the sum: {} before + {} inserted - {} deleted = {}",
            count(before),
            count(ledger.inserted),
            count(ledger.deleted),
            count(all)
        ),
    )?;
    verdict(found.misplaced == 0, &format!("every row is on its shard: {} misplaced", count(found.misplaced)))?;
    verdict(
        found.numbered_twice == 0 && ledger.given_twice() == 0,
        &format!("every number was given once: {} orders and customers numbered", count(ledger.numbers())),
    )?;
    verdict(
        found.broken.is_empty() && ledger.wrong_answers == 0,
        &format!(
            "the ledger holds: {} customers, {} questions answered right",
            count(ledger.customers()),
            count(ledger.asked)
        ),
    )?;
    verdict(ledger.errors == 0, &format!("no statement of the writers failed: {} errors", count(ledger.errors)))?;
    for line in found.broken.iter().chain(&ledger.first_error) {
        console.say(&format!("      {line}"))?;
    }
    console.say("")?;
    Ok(good)
}
