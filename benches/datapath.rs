//! The data path against what stands beside it on the same servers in the same run:
//!
//! | part | shardlift | against |
//! |---|---|---|
//! | `copy` | MoveTables of a sysbench table | parallel SELECT → LOAD DATA LOCAL with nothing between; `mysqldump \| mysql` |
//! | `apply` | catching up with a binlog of many changes | a native replica with 4 workers, same binlog |
//! | `memory` | peak of an engine process: 64 MiB rows, a 1 GiB transaction | the ceiling of design P11 |
//!
//! `cargo bench --bench datapath` does it all, on servers of its own in a folder that vanishes; options follow `--`.
//! Ratios say more than rates: both sides of one share the machine's mood. Only the ceiling is a verdict: status 1.

#[path = "datapath/apply.rs"]
mod apply;
#[path = "datapath/copy.rs"]
mod copy;
#[path = "datapath/engine.rs"]
mod engine;
#[path = "datapath/flow.rs"]
mod flow;
#[path = "datapath/memory.rs"]
mod memory;
#[path = "datapath/pipes.rs"]
mod pipes;
#[path = "datapath/results.rs"]
mod results;
#[path = "datapath/stage.rs"]
mod stage;
#[path = "datapath/sysbench.rs"]
mod sysbench;
mod testbed;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use shardlift::local::{InstallOptions, ensure};

use self::results::Results;

/// Measures shardlift's data path against plain MySQL.
#[derive(Debug, Parser)]
struct Options {
    /// Rows of the copied table, and row changes of the applied binlog
    #[arg(long, default_value = "1000000", value_parser = clap::value_parser!(u64).range(1_000..))]
    rows: u64,
    /// Only this part
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
    /// Given by `cargo bench`, not by `cargo test`
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Copy,
    Apply,
    Memory,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        println!("cargo bench --bench datapath runs this");
        return ExitCode::SUCCESS;
    }
    testbed::conclude(run(&options), Results::failed).await
}

async fn run(options: &Options) -> anyhow::Result<Results> {
    let servers = ensure(&InstallOptions::from_env(), &()).await?;
    let mut results = Results::new(&servers, options.rows);
    let wanted = |part| options.only.is_none_or(|only| only == part);
    if wanted(Part::Copy) {
        copy::measure(&servers, options.rows, &mut results).await?;
    }
    if wanted(Part::Apply) {
        apply::measure(&servers, options.rows, &mut results).await?;
    }
    if wanted(Part::Memory) {
        memory::measure(&servers, &mut results).await?;
    }
    Ok(results)
}
