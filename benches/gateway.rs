//! Statements sent to a server directly and through a gateway, in turns, on the same connections' number, in one run:
//!
//! | load | what each client does, again and again |
//! |---|---|
//! | `point` | reads a row by its primary key |
//! | `range` | reads 100 rows by a range of it |
//! | `mix` | a transaction: 10 point reads, an update, a delete and the insert of the same row |
//!
//! `cargo bench --bench gateway` does it all, as text and prepared, in less than three minutes; options follow `--`. Both
//! sides' clients are connected all the time and take short turns, so that what else the machine does meets both alike; how
//! much that was is told. Server, gateway and clients share the machine, so with all cores busy the ratio of rates is that of
//! the processor time spent per statement, clients' included; one client alone shows what the way through the gateway adds to
//! a statement's time. No number is a verdict: the status is 1 only where a statement failed.

#[path = "gateway/caller.rs"]
mod caller;
#[path = "gateway/cpu.rs"]
mod cpu;
#[path = "gateway/front.rs"]
mod front;
#[path = "gateway/results.rs"]
mod results;
mod testbed;
#[path = "gateway/turn.rs"]
mod turn;
#[path = "gateway/work.rs"]
mod work;

use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum as _};
use shardlift::local::{InstallOptions, ensure};

use self::caller::Protocol;
use self::cpu::Machine;
use self::front::Front;
use self::results::{Pair, Results};
use self::testbed::{Stage, say, sysbench};
use self::turn::Side;
use self::work::Work;

/// Rows of the table.
const ROWS: u64 = 100_000;
/// All rows in memory, and commits that do not wait for the disk: what is compared is not how a server waits.
const SETTINGS: [&str; 3] = ["--innodb-buffer-pool-size=512M", "--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0"];

/// Before anything counts.
const WARM_UP: Duration = Duration::from_millis(200);

/// Measures what the gateway costs.
#[derive(Debug, Parser)]
struct Options {
    /// How long each turn is
    #[arg(long, default_value = "400", value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    millis: u64,
    /// How many turns each side has; the pair with the median ratio counts
    #[arg(long, default_value = "9", value_parser = clap::value_parser!(u64).range(1..=100))]
    turns: u64,
    /// How many clients at once
    #[arg(long, default_value = "1,8,32", value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=90))]
    clients: Vec<u64>,
    /// Only this load
    #[arg(long, value_name = "LOAD")]
    only: Option<Work>,
    /// Only text, or only prepared
    #[arg(long)]
    protocol: Option<Protocol>,
    /// Put a relay in the gateway's place that looks at no byte: the way through a process, and nothing else
    #[arg(long)]
    bare: bool,
    /// Be that relay, to this server
    #[arg(long, hide = true, value_name = "HOST:PORT")]
    relay: Option<String>,
    /// Given by `cargo bench`, not by `cargo test`
    #[arg(long, hide = true)]
    bench: bool,
}

// One thread is enough for all clients, and costs the machine less than several that wake each other.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        println!("cargo bench --bench gateway runs this");
        return ExitCode::SUCCESS;
    }
    if cfg!(debug_assertions) {
        eprintln!("built without optimisation: these numbers say nothing");
    }
    if let Some(server) = &options.relay {
        eprintln!("{:?}", front::relay(server).await);
        return ExitCode::FAILURE;
    }
    testbed::conclude(run(&options), |_| false).await
}

async fn run(options: &Options) -> anyhow::Result<Results> {
    let servers = ensure(&InstallOptions::from_env(), &()).await?;
    let stage = Stage::up(&servers, &SETTINGS).await?;
    sysbench::fill(stage.source()?, ROWS).await?;
    let front = if options.bare { Front::bare(&stage).await? } else { Front::start(&stage).await? };
    let (direct, through) = (Side::direct(&stage)?, Side::through(&stage, &front)?);
    say(&format!("the gateway is process {}, its server {}", front.pid(), direct.server));
    let window = Duration::from_millis(options.millis);
    let mut results = Results::new(&servers, ROWS);
    for &work in Work::value_variants().iter().filter(|work| options.only.is_none_or(|only| only == **work)) {
        for &protocol in Protocol::value_variants().iter().filter(|it| options.protocol.is_none_or(|only| only == **it))
        {
            for &clients in &options.clients {
                let mut direct = direct.crew(clients, protocol).await?;
                let mut through = through.crew(clients, protocol).await?;
                // Statements get prepared, pages warm.
                direct.turn(work, WARM_UP).await?;
                through.turn(work, WARM_UP).await?;
                let (began, before) = (Instant::now(), Machine::now()?);
                let mut pairs = Vec::new();
                for _ in 0..options.turns {
                    let direct = direct.turn(work, window).await?;
                    pairs.push(Pair { direct, through: through.turn(work, window).await? });
                }
                let machine = Machine::now()?.busy_since(&before);
                let took = began.elapsed().as_secs_f64() * available_parallelism()?.get() as f64;
                let ours: f64 = pairs.iter().map(|pair| pair.direct.busy + pair.through.busy).sum();
                results.compare(work, protocol, clients, pairs, machine - ours / took)?;
                direct.close().await;
                through.close().await;
            }
        }
    }
    front.kill().await?;
    stage.down().await?;
    Ok(results)
}
