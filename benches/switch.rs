//! A hundred switches of traffic, there and back, while clients write through gateways and keep a ledger:
//!
//! | clients | what each does, again and again |
//! |---|---|
//! | half of them | insert a row, prepared |
//! | the others | a transaction of 2 to 5 statements: read a row, plainly or with a lock, then write; text and prepared |
//! | one of them | such a transaction that is idle for 200 ms between reading and writing, or between its two writes |
//!
//! `cargo bench --bench switch` does it all, on servers of its own in a folder that vanishes; options follow `--`. Engine and
//! gateways are processes, as an operator runs them. It prints how long writes were held, as each gateway, the engine and the
//! clients saw it. Status 1 where a write was lost or doubled, where a client saw another error than a deadlock (1213), or
//! more of these than switches; the aims for time are told and no verdict: a machine has its moods.

#[path = "switch/clients.rs"]
mod clients;
#[path = "switch/doors.rs"]
mod doors;
#[path = "switch/ledger.rs"]
mod ledger;
#[path = "switch/results.rs"]
mod results;
#[allow(dead_code, reason = "other benchmarks use the rest")]
mod testbed;
#[path = "switch/turns.rs"]
mod turns;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use shardlift::local::{InstallOptions, ensure};
use shardlift::model::switch::Direction;
use tokio::time::sleep;

use self::clients::Crew;
use self::doors::Doors;
use self::results::Results;
use self::testbed::{Stage, process::Process, say};
use self::turns::Turns;

/// Rows in memory: what is measured is not how a small server waits for its disk. Commits are safe, as a switch demands.
const SETTINGS: [&str; 1] = ["--innodb-buffer-pool-size=256M"];

/// Measures how long writes are held while traffic is switched.
#[derive(Debug, Parser)]
struct Options {
    /// How many switches
    #[arg(long, default_value = "100", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    switches: u32,
    /// How many clients write
    #[arg(long, default_value = "24", value_parser = clap::value_parser!(u32).range(2..=200))]
    clients: u32,
    /// How many writes a second they attempt, all together; 0: as many as go
    #[arg(long, default_value = "1200")]
    rate: u32,
    /// How long they write between two switches, milliseconds
    #[arg(long, default_value = "500")]
    between: u64,
    /// How many gateways they go through
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u32).range(1..=8))]
    gateways: u32,
    /// The transaction that is idle for 200 ms is so before it writes, and never after
    #[arg(long)]
    idle_reading: bool,
    /// Leaves engine's and gateways' logs here
    #[arg(long, value_name = "FOLDER")]
    logs: Option<std::path::PathBuf>,
    /// Given by `cargo bench`, not by `cargo test`
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        println!("cargo bench --bench switch runs this");
        return ExitCode::SUCCESS;
    }
    if cfg!(debug_assertions) {
        eprintln!("built without optimisation: its times say little");
    }
    testbed::conclude(run(&options), Results::failed).await
}

async fn run(options: &Options) -> anyhow::Result<Results> {
    let servers = ensure(&InstallOptions::from_env(), &()).await?;
    let stage = Stage::up(&servers, &SETTINGS).await?;
    ledger::create(stage.source()?).await?;
    let _engine = Process::start(&stage, "engine", &["engine", "run"])?;
    let doors = Doors::start(&stage, options.gateways).await?;
    let mut turns = Turns::start(&stage).await?;
    let outcome = async {
        let crew = Crew::start(&stage, &doors, options).await?;
        let between = Duration::from_millis(options.between);
        sleep(between).await;
        for number in 0..options.switches {
            let direction = if number.is_multiple_of(2) { Direction::Forward } else { Direction::Backward };
            turns.switch(direction).await?;
            sleep(between).await;
        }
        let written = crew.stop().await?;
        let wrong = ledger::compare(&stage, &written).await?;
        anyhow::Ok(Results::new(&servers, turns.done(), doors.pauses(&stage)?, written, wrong))
    };
    let results = outcome.await;
    if let Some(folder) = &options.logs {
        std::fs::create_dir_all(folder)?;
        for log in std::fs::read_dir(stage.folder())?.flatten().filter(|log| log.path().is_file()) {
            std::fs::copy(log.path(), folder.join(log.file_name()))?;
        }
    }
    let results = results?;
    say("the ledger is compared; the servers end");
    stage.down().await?;
    Ok(results)
}
