//! `shardlift demo`: the whole story on servers of its own. A shop's tables move to another server while it goes on
//! selling, and in the end a comparison that shares nothing with the data path says whether every row is there.
//!
//! Invariants:
//! - The shop's writers know the gateway only; whoever loads, watches and proves asks the servers themselves.
//! - Until the very end every server dies with this process, however it ends; `--keep` starts them anew to outlive it.
//! - Whatever happens in between, an error or an interruption, servers are stopped in order and the folder is removed.
//! - Nothing is done in a folder that was there before and is not empty.

mod console;
mod database;
mod error;
mod folder;
mod gateway;
mod journey;
mod latency;
mod load;
mod proof;
mod sharded;
mod shop;
mod sidecar;
mod stage;
mod summary;
mod traffic;
mod transaction;
mod writers;

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::console::Console;
pub use self::error::DemoError;
use self::folder::Folder;
pub use self::journey::{TARGET, WORKFLOW};
use crate::local::cluster::{Cluster, ClusterSpec};
use crate::local::{self, InstallOptions, Lifetime, Servers};
use crate::model::InstanceId;

/// What the demo is to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Rows in all three tables together, at least.
    pub rows: u64,
    /// Connections that keep writing.
    pub writers: u32,
    /// Whether the target is spread over shards afterwards.
    pub sharded: bool,
    /// How long changes are followed before the comparison.
    pub follow: Duration,
    /// Whether the cluster outlives the demo.
    pub keep: bool,
    /// Where servers and topology go; a temporary folder if not given.
    pub dir: Option<PathBuf>,
    /// Where the server programs come from.
    pub install: InstallOptions,
    /// The name of the engine and of the gateway that run here.
    pub id: InstanceId,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Whether both sides hold the same rows, and no statement of the writers failed.
    pub proven: bool,
    /// The cluster that was left up.
    pub kept: Option<Cluster>,
}

/// Runs the demo; `cancel` ends it early, in order.
pub async fn run(options: Options, cancel: CancellationToken) -> Result<Ended, DemoError> {
    let mut console = Console::new(stage::STEPS + if options.sharded { sharded::STEPS } else { 0 });
    console.say("")?;
    console.say(&console.bold("shardlift demo: tables of a shop move to another server while it goes on selling"))?;
    console.say("")?;
    let folder = Folder::create(options.dir.clone())?;
    match in_folder(&options, &folder, &mut console, &cancel).await {
        Ok(Ended { proven, kept: Some(cluster) }) => {
            folder.keep();
            Ok(Ended { proven, kept: Some(cluster) })
        }
        Ok(ended) => {
            folder.remove().await?;
            console.tidy("nothing is left behind");
            Ok(ended)
        }
        Err(error) => {
            // The first error is the one to tell; a folder that cannot be removed names itself.
            match folder.remove().await {
                Ok(()) => console.tidy("nothing is left behind"),
                Err(second) => console.tidy(&second.to_string()),
            }
            Err(error)
        }
    }
}

async fn in_folder(
    options: &Options,
    folder: &Folder,
    console: &mut Console,
    cancel: &CancellationToken,
) -> Result<Ended, DemoError> {
    let step = console.begin("Servers");
    let servers = tokio::select! {
        servers = local::ensure(&options.install, &step) => servers?,
        () = cancel.cancelled() => return Err(DemoError::Interrupted),
    };
    let place = match servers.mysqld.prefix_args.is_empty() {
        true => servers.mysqld.path().display().to_string(),
        // Unpacked packages run through their own loader; their path is long and of no interest.
        false => "fetched once, kept in the user's cache".into(),
    };
    step.done(&format!("MySQL {}: {place}", servers.version))?;

    let step = console.begin("Cluster");
    let spec = ClusterSpec::commerce_and_customer(folder.path())?;
    // A start is never broken off: it is short, and afterwards what runs is known.
    let cluster = Cluster::up(spec.clone(), &servers, &step).await?;
    let cell = &spec.cell;
    step.done(&format!("commerce and customer, a server each, in cell {cell}: {}", folder.path().display()))?;

    let outcome = stage::play(options, &cluster, console, cancel).await;
    if matches!(outcome, Err(DemoError::Interrupted)) {
        console.tidy("interrupted: stopping the servers (Ctrl-C again ends at once and leaves the folder)");
    }
    cluster.stop().await?;
    let proven = outcome?;
    let kept = if options.keep { Some(keep(spec, cluster, &servers, cancel).await?) } else { None };
    Ok(Ended { proven, kept })
}

/// Starts the servers again, as ones that outlive this process.
async fn keep(
    spec: ClusterSpec,
    stopped: Cluster,
    servers: &Servers,
    cancel: &CancellationToken,
) -> Result<Cluster, DemoError> {
    drop(stopped);
    let cluster = Cluster::up(ClusterSpec { lifetime: Lifetime::Detached, ..spec }, servers, &()).await?;
    if cancel.is_cancelled() {
        cluster.stop().await?;
        return Err(DemoError::Interrupted);
    }
    Ok(cluster)
}
