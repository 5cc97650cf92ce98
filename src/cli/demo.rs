//! `shardlift demo`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::local::{Programs, guide};
use super::{Context, Outcome};
use crate::daemon;
use crate::demo::{self, Ended, Options};
use crate::local::cluster;

/// What the demo does.
#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Rows in all
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100..))]
    rows: u64,
    /// Connections that keep writing, 50 transactions a second each
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(..=64))]
    writers: u32,
    /// Seconds of following before both sides are compared
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Go on: spread the tables over two shards, then four, then two again
    #[arg(long, conflicts_with = "keep")]
    sharded: bool,
    /// Leave the cluster up and say how to look around
    #[arg(long)]
    keep: bool,
    /// A new or empty folder for servers and topology, removed in the end [default: a temporary one]
    #[arg(long)]
    dir: Option<PathBuf>,
    #[command(flatten)]
    programs: Programs,
}

impl Flags {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        let options = Options {
            rows: self.rows,
            writers: self.writers,
            sharded: self.sharded,
            follow: Duration::from_secs(self.seconds),
            keep: self.keep,
            dir: self.dir,
            install: self.programs.options(false),
            id: daemon::instance_id().context("no name can be made for the demo's engine and gateway")?,
        };
        let cancel = CancellationToken::new();
        let signals = daemon::cancel_on_signal(cancel.clone())?;
        let ended = demo::run(options, cancel).await;
        signals.abort();
        let Ended { proven, kept } = ended?;
        if let Some(kept) = kept {
            let servers = cluster::status(&kept.spec().dir).await?;
            let which = format!("-k {} -w {}", demo::TARGET, demo::WORKFLOW);
            context
                .output
                .done("The cluster stays up. The workflow goes on while an engine runs (below); to watch it then:")?;
            context.output.done(&format!("  shardlift movetables status {which} --watch"))?;
            context.output.done(&format!("{}, and remove that folder", guide(&kept, &servers, true)))?;
        }
        Ok(if proven { Outcome::Done } else { Outcome::Failed })
    }
}
