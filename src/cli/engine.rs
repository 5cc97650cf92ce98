//! `shardlift engine`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use super::{Context, Outcome};
use crate::daemon;
use crate::daemon::http::{Health, HttpListen, HttpService};
use crate::failpoint::Failpoints;
use crate::metrics::EngineMetrics;
use crate::model::InstanceId;
use crate::topology::Topology;
use crate::workflow::carry::supervisor::{LEASE, Supervisor};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run an engine until SIGTERM or Ctrl-C; any number may run, on any hosts that share the topology
    Run {
        /// Its name, unique among engines [default: made of host and process id]
        #[arg(long, env = "SHARDLIFT_ENGINE_ID", value_name = "NAME")]
        id: Option<InstanceId>,
        /// Where it serves /metrics and /healthz; port 0 is any free one, told here and by `engine list`
        #[arg(long, env = "SHARDLIFT_ENGINE_HTTP_LISTEN", value_name = "IP:PORT|none", default_value = "127.0.0.1:0")]
        http_listen: HttpListen,
        /// A YAML file of these flags, by their names; the command line and the environment win over it
        #[arg(long, env = "SHARDLIFT_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// List the engines that are alive
    List,
}

impl Verb {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        let topology = context.topology().await?;
        match self {
            Self::Run { id, http_listen, config: _ } => {
                let id = match id {
                    Some(id) => id,
                    None => daemon::instance_id().context("no name can be made for this engine; give one with --id")?,
                };
                run(context, topology, id, http_listen).await
            }
            Self::List => {
                super::workflow::list_engines(context, &topology).await?;
                Ok(Outcome::Done)
            }
        }
    }
}

async fn run(context: &Context, topology: Topology, id: InstanceId, http_listen: HttpListen) -> Result<Outcome> {
    let (metrics, registry) = (EngineMetrics::default(), Registry::new());
    metrics.register(&registry)?;
    let http = HttpService::bind(http_listen).await?;
    let shutdown = CancellationToken::new();
    let signals = daemon::cancel_on_signal(shutdown.clone())?;
    eprintln!("engine {id} runs; Ctrl-C stops it");
    let mut address = String::new();
    // Ends after the engine, so that its end can be watched.
    let ended = CancellationToken::new();
    let serving = http.map(|http| {
        address = http.advertised();
        eprintln!("metrics and health: http://{address}/metrics and /healthz");
        let (metrics, shutdown) = (metrics.clone(), shutdown.clone());
        tokio::spawn(http.serve(registry, move || health(&metrics, &shutdown), ended.clone()))
    });
    let credentials = context.credentials();
    let failpoints = Failpoints::from_env().map_err(anyhow::Error::msg)?;
    let outcome = Supervisor { topology, credentials, id, address, metrics, failpoints, shutdown }.run().await;
    ended.cancel();
    if let Some(serving) = serving {
        serving.await?;
    }
    signals.abort();
    outcome?;
    Ok(Outcome::Done)
}

/// An engine without a topology does nothing for longer than its lease, and one that stops takes no more work.
fn health(metrics: &EngineMetrics, shutdown: &CancellationToken) -> Health {
    let stopping = shutdown.is_cancelled().then(|| "the engine is stopping".to_string());
    metrics.topology().problem("the topology", LEASE).into_iter().chain(stopping).collect()
}
