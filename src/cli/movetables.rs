//! `shardlift movetables`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::traffic::{Complete, Traffic};
use super::workflow::{Resume, Which, cancel, heard, pause, show};
use super::{Context, Listed, Outcome};
use crate::daemon;
use crate::failpoint::Failpoints;
use crate::metrics::EngineMetrics;
use crate::model::switch::Direction;
use crate::model::workflow::{OnDdl, StreamState, TabletType, Throttle};
use crate::model::{KeyspaceName, TableName, WorkflowName};
use crate::progress::{Bars, Sight, Watching, copied, summary};
use crate::topology::Topology;
use crate::topology::records::Status;
use crate::workflow::carry::supervisor::Supervisor;
use crate::workflow::create::create;
use crate::workflow::request::Request;

/// A start that waits does so for as long as it takes.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Check everything, then start copying tables and following their changes
    #[command(alias = "create")]
    Start(Box<Start>),
    /// Show how far a workflow is
    #[command(visible_alias = "progress")]
    Status(StatusFlags),
    /// Show a workflow's record and its owner's report as JSON
    Show(Which),
    /// Let a workflow rest where it is
    #[command(alias = "stop")]
    Pause(Which),
    /// Let a workflow go on, also after an error
    Resume(Resume),
    /// Undo a workflow: what it made on the target is dropped, and only that
    Cancel(Which),
    /// Send traffic to the target: reads, writes, or both
    #[command(alias = "switchtraffic")]
    SwitchTraffic(Traffic),
    /// Send traffic back to the source
    #[command(alias = "reversetraffic")]
    ReverseTraffic(Traffic),
    /// End a workflow whose traffic is switched: its tables are the target's for good
    Complete(Complete),
}

#[derive(Debug, Args)]
pub(super) struct Start {
    /// A YAML file with any of what the flags say; flags win
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The workflow's name
    #[arg(short, long)]
    workflow: Option<WorkflowName>,
    /// Where the tables are
    #[arg(long)]
    source_keyspace: Option<KeyspaceName>,
    /// Where they go
    #[arg(long)]
    target_keyspace: Option<KeyspaceName>,
    /// The tables
    #[arg(long, value_delimiter = ',')]
    tables: Vec<TableName>,
    /// All tables of the source keyspace
    #[arg(long)]
    all_tables: bool,
    /// Less these
    #[arg(long, value_delimiter = ',')]
    exclude_tables: Vec<TableName>,
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

#[derive(Debug, Args)]
pub(super) struct StatusFlags {
    #[command(flatten)]
    which: Which,
    /// Draw bars until Ctrl-C
    #[arg(long)]
    watch: bool,
}

impl Verb {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        let topology = context.topology().await?;
        match self {
            Self::Start(start) => start.run(context, &topology).await,
            Self::Status(flags) => flags.run(context, &topology).await,
            Self::Show(which) => show(context, &topology, &which).await,
            Self::Pause(which) => pause(context, &topology, &which).await,
            Self::Resume(resume) => resume.run(context, &topology).await,
            Self::Cancel(which) => cancel(context, &topology, &which).await,
            Self::SwitchTraffic(traffic) => traffic.run(context, &topology, Direction::Forward).await,
            Self::ReverseTraffic(traffic) => traffic.run(context, &topology, Direction::Backward).await,
            Self::Complete(complete) => complete.run(context, &topology).await,
        }
    }
}

impl Start {
    fn request(self) -> Result<Request> {
        let file = match &self.file {
            None => Request::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
                Request::parse(&text).with_context(|| format!("in {}", path.display()))?
            }
        };
        Ok(file.overridden(Request {
            kind: None,
            workflow: self.workflow,
            source_keyspace: self.source_keyspace,
            target_keyspace: self.target_keyspace,
            tables: self.tables,
            all_tables: self.all_tables,
            exclude_tables: self.exclude_tables,
            on_ddl: self.on_ddl,
            tablet_types: self.tablet_types,
            defer_secondary_keys: self.defer_secondary_keys,
            auto_start: self.auto_start,
            stop_after_copy: self.stop_after_copy,
            allow_unsafe_source: self.allow_unsafe_source,
            allow_triggers: self.allow_triggers,
            allow_cross_keyspace: self.allow_cross_keyspace,
            workers: self.workers,
            chunk_bytes: self.chunk_bytes,
            round_ms: self.round_ms,
            throttle: Throttle {
                rows_per_second: self.max_rows_per_second,
                bytes_per_second: self.max_bytes_per_second,
                connections: None,
                replica_lag_ms: self.max_replica_lag,
            },
        }))
    }

    async fn run(self, context: &Context, topology: &Topology) -> Result<Outcome> {
        let (wait, foreground) = (self.wait, self.foreground);
        let created = create(topology, &context.credentials(), &self.request()?).await?;
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

#[derive(Serialize)]
struct Line {
    table: String,
    state: String,
    rows: u64,
    rows_expected: u64,
    bytes: u64,
}

impl Listed for Line {
    const COLUMNS: &'static [&'static str] = &["TABLE", "STATE", "ROWS", "OF ABOUT", "BYTES"];

    fn cells(&self) -> Vec<String> {
        let (rows, expected) = (HumanCount(self.rows).to_string(), HumanCount(self.rows_expected).to_string());
        vec![self.table.clone(), self.state.clone(), rows, expected, HumanBytes(self.bytes).to_string()]
    }
}

impl StatusFlags {
    async fn run(self, context: &Context, topology: &Topology) -> Result<Outcome> {
        let watching = Watching::new(topology, &self.which.keyspace, &self.which.name);
        if self.watch {
            let mut bars = Bars::on_stderr();
            tokio::select! {
                drawn = watching.draw(&mut bars, |_, _| false) => drawn?,
                interrupted = tokio::signal::ctrl_c() => interrupted?,
            }
            return Ok(Outcome::Running);
        }
        if context.output.is_json() {
            return show(context, topology, &self.which).await;
        }
        let Sight { state, message, status } = watching.look().await?;
        let Some(status) = status else { bail!("{state}: {message}") };
        context.output.done(&summary(&state, &message, &status))?;
        let lines: Vec<_> = status
            .tables
            .iter()
            .map(|(name, table)| Line {
                table: name.to_string(),
                state: table.state.clone(),
                rows: table.rows,
                rows_expected: table.rows_expected,
                bytes: table.bytes,
            })
            .collect();
        context.output.list(&lines)?;
        let more = status.table_count as usize - lines.len().min(status.table_count as usize);
        if more > 0 {
            context.output.done(&format!("and {more} more tables"))?;
        }
        Ok(Outcome::Done)
    }
}
