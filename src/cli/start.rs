//! `start` of a workflow: what its flags have in common, whatever it moves, and what is done then.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::workflow::{Which, heard};
use super::{Context, Outcome};
use crate::daemon;
use crate::failpoint::Failpoints;
use crate::metrics::EngineMetrics;
use crate::model::workflow::{OnDdl, StreamState, TabletType, Throttle, WorkflowKind};
use crate::model::{KeyspaceName, WorkflowName};
use crate::progress::{Bars, Watching, copied};
use crate::topology::Topology;
use crate::topology::records::Status;
use crate::workflow::carry::supervisor::Supervisor;
use crate::workflow::create::create;
use crate::workflow::request::Request;

/// A start that waits does so for as long as it takes.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// What a kind of workflow is started with, besides what all are.
pub(super) trait Start: Args {
    /// The kind.
    const KIND: WorkflowKind;

    /// What its own flags say.
    fn own(self) -> Request;
}

/// The flags of `start`: those of a kind, and those of all.
#[derive(Debug, Args)]
pub(super) struct StartFlags<S: Args> {
    #[command(flatten)]
    own: S,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// A YAML file with any of what the flags say; flags win
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The workflow's name
    #[arg(short, long)]
    workflow: Option<WorkflowName>,
    /// The keyspace rows go to
    #[arg(short = 'k', long)]
    target_keyspace: Option<KeyspaceName>,
    /// What a DDL statement on a moved table does: STOP, IGNORE, EXEC or EXEC_IGNORE [default: STOP]
    #[arg(long)]
    on_ddl: Option<OnDdl>,
    /// Types of source tablets to read from, in order of preference [default: PRIMARY]
    #[arg(long, value_delimiter = ',')]
    tablet_types: Vec<TabletType>,
    /// Build secondary keys after the copy [default: true]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    defer_secondary_keys: Option<bool>,
    /// Begin at once [default: true]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    auto_start: Option<bool>,
    /// Rest once the copy is complete [default: false]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    stop_after_copy: Option<bool>,
    /// Accept a source that may forget commits in a crash (sync_binlog, innodb_flush_log_at_trx_commit)
    #[arg(long)]
    allow_unsafe_source: bool,
    /// Accept triggers on moved tables whose bodies test @shardlift_stream
    #[arg(long)]
    allow_triggers: bool,
    /// Accept views, routines, events and triggers elsewhere that name a moved table
    #[arg(long)]
    allow_cross_keyspace: bool,
    /// Connections side by side, 1 to 32 [default: 4]
    #[arg(long)]
    workers: Option<u32>,
    /// Rough size of a copied chunk, bytes [default: 16 MiB]
    #[arg(long)]
    chunk_bytes: Option<u64>,
    /// Length of a round of copying, milliseconds [default: 60000]
    #[arg(long)]
    round_ms: Option<u64>,
    /// Copy at most this many rows per second
    #[arg(long)]
    max_rows_per_second: Option<u64>,
    /// Copy at most this many bytes per second
    #[arg(long)]
    max_bytes_per_second: Option<u64>,
    /// Rest while a replica of the target lags more than this many milliseconds
    #[arg(long)]
    max_replica_lag: Option<u64>,
    /// Return only when the copy is complete, or the stream is level
    #[arg(long, value_name = "STATE")]
    wait: Option<Wait>,
    /// Carry the workflow in this process until Ctrl-C, instead of leaving it to an engine
    #[arg(long)]
    foreground: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wait {
    /// Every row is there
    Copied,
    /// Keys are built and changes are followed
    Running,
}

impl<S: Start> StartFlags<S> {
    fn request(self) -> Result<(Request, Option<Wait>, bool)> {
        let Self { own, common } = self;
        let file = match &common.file {
            None => Request::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
                Request::parse(&text).with_context(|| format!("in {}", path.display()))?
            }
        };
        if let Some(kind) = file.kind.filter(|kind| *kind != S::KIND) {
            bail!("the file asks for a {kind}: `shardlift {} start -f …` takes it", kind.noun());
        }
        let flags = Request {
            kind: Some(S::KIND),
            workflow: common.workflow,
            target_keyspace: common.target_keyspace,
            on_ddl: common.on_ddl,
            tablet_types: common.tablet_types,
            defer_secondary_keys: common.defer_secondary_keys,
            auto_start: common.auto_start,
            stop_after_copy: common.stop_after_copy,
            allow_unsafe_source: common.allow_unsafe_source,
            allow_triggers: common.allow_triggers,
            allow_cross_keyspace: common.allow_cross_keyspace,
            workers: common.workers,
            chunk_bytes: common.chunk_bytes,
            round_ms: common.round_ms,
            throttle: Throttle {
                rows_per_second: common.max_rows_per_second,
                bytes_per_second: common.max_bytes_per_second,
                connections: None,
                replica_lag_ms: common.max_replica_lag,
            },
            ..own.own()
        };
        Ok((file.overridden(flags), common.wait, common.foreground))
    }

    pub(super) async fn run(self, context: &Context, topology: &Topology) -> Result<Outcome> {
        let (request, wait, foreground) = self.request()?;
        let created = create(topology, &context.credentials(), &request).await?;
        for warning in &created.warnings {
            eprintln!("warning: {warning}");
        }
        let spec = &created.workflow.spec;
        let which = Which { keyspace: spec.target_keyspace.clone(), name: spec.name.clone() };
        let (keyspace, name) = (&which.keyspace, &which.name);
        context.output.done(&format!("workflow {keyspace}/{name} is started: {} table(s)", spec.tables.len()))?;
        if foreground {
            return carry(context, topology, &which).await;
        }
        if !heard(context, topology, &which).await? {
            return Ok(Outcome::Running);
        }
        let reached = move |state: &str, status: Option<&Status>| match wait {
            Some(Wait::Copied) => copied(status),
            Some(Wait::Running) => state == StreamState::Running.as_str() || rests_after_copy(state, status),
            None => true,
        };
        Watching::new(topology, keyspace, name).until(reached, FOR_EVER).await?;
        Ok(Outcome::Done)
    }
}

fn rests_after_copy(state: &str, status: Option<&Status>) -> bool {
    state == StreamState::Stopped.as_str() && copied(status)
}

/// Runs an engine here, drawing bars, until Ctrl-C.
async fn carry(context: &Context, topology: &Topology, which: &Which) -> Result<Outcome> {
    let id = daemon::instance_id().context("no name can be made for this engine")?;
    let shutdown = CancellationToken::new();
    let signals = daemon::cancel_on_signal(shutdown.clone())?;
    let (topology, credentials) = (topology.clone(), context.credentials());
    let supervisor = Supervisor {
        topology: topology.clone(),
        credentials,
        id,
        address: String::new(),
        metrics: EngineMetrics::default(),
        failpoints: Failpoints::default(),
        shutdown: shutdown.clone(),
    };
    let engine = tokio::spawn(supervisor.run());
    let watching = Watching::new(&topology, &which.keyspace, &which.name);
    let mut bars = Bars::on_stderr();
    let drawn = tokio::select! {
        drawn = watching.draw(&mut bars, |_, _| false) => drawn,
        () = shutdown.cancelled() => Ok(()),
    };
    shutdown.cancel();
    engine.await??;
    signals.abort();
    drawn?;
    Ok(Outcome::Running)
}
