//! Sharding against what stands beside it on the same servers in the same run:
//!
//! | part | shardlift | against |
//! |---|---|---|
//! | `split` | one Reshard of a sysbench table from one shard to four | four copies of one shard's rows each, one after another and side by side |
//! | `queries` | a point read, and an ordered read and a count over all shards, through the gateway | the same point read at its shard; the same statement at all four shards at once |
//! | `routes` | decisions of the gateway on one core, with the plan kept and without | nothing: decisions per second |
//!
//! `cargo bench --bench shards` does it all, on servers of its own in a folder that vanishes; options follow `--`. A workflow
//! whose targets do not take all of its source's rows is refused, so the four copies are no workflows: each of them is pipes
//! that read the whole source, place each row by the same vindex, drop what other shards get, and LOAD DATA the rest, with
//! nothing else between ([`pipes`]). Ratios say more than rates: both sides of one share the machine's mood. No number is a
//! verdict: the status is 1 only where something failed or rows are missing.

#[allow(dead_code, reason = "other benchmarks use the rest")]
#[path = "gateway/caller.rs"]
mod caller;
#[allow(dead_code, reason = "other benchmarks use the rest")]
#[path = "gateway/cpu.rs"]
mod cpu;
#[allow(dead_code, reason = "other benchmarks use the rest")]
#[path = "gateway/front.rs"]
mod front;
#[path = "shards/pipes.rs"]
mod pipes;
#[path = "shards/queries.rs"]
mod queries;
#[path = "shards/results.rs"]
mod results;
#[path = "shards/routes.rs"]
mod routes;
#[path = "shards/split.rs"]
mod split;
#[path = "shards/stage.rs"]
mod stage;
#[allow(dead_code, reason = "other benchmarks use the rest")]
mod testbed;
#[path = "shards/turn.rs"]
mod turn;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use shardlift::local::{InstallOptions, ensure};

use self::results::Results;

/// Measures what sharding costs and saves.
#[derive(Debug, Parser)]
struct Options {
    /// Rows of the table, of about 200 bytes each
    #[arg(long, default_value = "400000", value_parser = clap::value_parser!(u64).range(10_000..))]
    rows: u64,
    /// How many turns each way of copying has; its best counts
    #[arg(long, default_value = "3", value_parser = clap::value_parser!(u64).range(1..=20))]
    turns: u64,
    /// How long a turn of queries is, milliseconds
    #[arg(long, default_value = "400", value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    millis: u64,
    /// How many pairs of such turns; the one with the median ratio counts
    #[arg(long, default_value = "9", value_parser = clap::value_parser!(u64).range(1..=100))]
    pairs: u64,
    /// How many clients at once
    #[arg(long, default_value = "1,8", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=40))]
    clients: Vec<u64>,
    /// Only this part
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
    /// Given by `cargo bench`, not by `cargo test`
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Split,
    Queries,
    Routes,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        println!("cargo bench --bench shards runs this");
        return ExitCode::SUCCESS;
    }
    if cfg!(debug_assertions) {
        eprintln!("built without optimisation: these numbers say nothing");
    }
    testbed::conclude(run(&options), |_| false).await
}

async fn run(options: &Options) -> anyhow::Result<Results> {
    let wanted = |part| options.only.is_none_or(|only| only == part);
    let servers = ensure(&InstallOptions::from_env(), &()).await?;
    let mut results = Results::new(&servers, options.rows);
    if wanted(Part::Routes) {
        routes::measure(&mut results)?;
    }
    if wanted(Part::Split) {
        split::measure(&servers, options, &mut results).await?;
    }
    if wanted(Part::Queries) {
        queries::measure(&servers, options, &mut results).await?;
    }
    Ok(results)
}
