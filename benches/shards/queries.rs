//! Queries through a gateway on four shards, against the same at the shards themselves.
//!
//! A point read goes to its row's shard, by a client that knows it. What is about all rows goes to all four shards at once, on
//! a connection each, and its time is that of the last answer; nobody makes one answer of the four there, so the gateway's
//! merging is part of what it costs. All are text. Gateway, four servers and clients share the machine's cores.

use std::time::Duration;

use anyhow::Result;
use shardlift::local::Servers;

use super::Options;
use super::front::Front;
use super::results::{Pair, Results};
use super::stage::Stage;
use super::testbed::say;
use super::turn::{Side, Work};

/// Before anything counts.
const WARM_UP: Duration = Duration::from_millis(300);

/// Measures, and adds to `results`.
pub async fn measure(servers: &Servers, options: &Options, results: &mut Results) -> Result<()> {
    say(&format!("queries: {} rows on four shards", options.rows));
    let (stage, engine) = Stage::sharded(servers, options.rows).await?;
    stage.split().await?;
    stage.switch().await?;
    let front = Front::start(&stage).await?;
    let (direct, through) = (Side::direct(&stage, options.rows)?, Side::through(&stage, &front, options.rows)?);
    let window = Duration::from_millis(options.millis);
    for work in Work::ALL {
        for &clients in &options.clients {
            let (mut direct, mut through) = (direct.crew(clients).await?, through.crew(clients).await?);
            direct.turn(work, WARM_UP).await?;
            through.turn(work, WARM_UP).await?;
            let mut pairs = Vec::new();
            for _ in 0..options.pairs {
                let direct = direct.turn(work, window).await?;
                pairs.push(Pair { direct, through: through.turn(work, window).await? });
            }
            results.queries(work, clients, pairs)?;
            direct.close().await;
            through.close().await;
        }
    }
    front.kill().await?;
    engine.kill().await?;
    stage.down().await
}
