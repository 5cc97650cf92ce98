//! `shardlift engine`.

use anyhow::{Context as _, Result};
use clap::Subcommand;
use tokio_util::sync::CancellationToken;

use super::{Context, Outcome};
use crate::daemon;
use crate::engine::supervisor::Supervisor;
use crate::model::InstanceId;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run an engine until SIGTERM or Ctrl-C; any number may run, on any hosts that share the topology
    Run {
        /// Its name, unique among engines [default: made of host and process id]
        #[arg(long)]
        id: Option<InstanceId>,
    },
    /// List the engines that are alive
    List,
}

impl Verb {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        let topology = context.topology().await?;
        match self {
            Self::Run { id } => {
                let id = match id {
                    Some(id) => id,
                    None => daemon::instance_id().context("no name can be made for this engine; give one with --id")?,
                };
                let shutdown = CancellationToken::new();
                let signals = daemon::cancel_on_signal(shutdown.clone())?;
                eprintln!("engine {id} runs; Ctrl-C stops it");
                let credentials = context.credentials();
                Supervisor { topology, credentials, id, address: String::new(), shutdown }.run().await?;
                signals.abort();
                Ok(Outcome::Done)
            }
            Self::List => {
                super::workflow::list_engines(context, &topology).await?;
                Ok(Outcome::Done)
            }
        }
    }
}
