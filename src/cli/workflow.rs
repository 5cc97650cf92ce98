//! `shardlift workflow`, and what it shares with the nouns of single kinds of workflows.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::clock::clock;
use super::{Context, Listed, Outcome};
use crate::model::workflow::{OnDdl, StreamState};
use crate::model::{Gtid, InstanceId, KeyspaceName, WorkflowName};
use crate::progress::{Watching, state_of};
use crate::topology::records::{EnginePresence, Log, Owner, Status, Workflow};
use crate::topology::{Topology, Versioned, paths};
use crate::workflow::control::{Limits, Wish, wish};

/// How long a wish may go unheard before the operator is told that nobody listens.
const PATIENCE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List all workflows
    List {
        /// Only those into this keyspace
        keyspace: Option<KeyspaceName>,
    },
    /// Show a workflow's record and its owner's report as JSON
    Show(Which),
    /// Show what happened to a workflow
    Logs(Which),
    /// Let a workflow rest where it is
    #[command(alias = "stop")]
    Pause(Which),
    /// Let a workflow go on, also after an error
    Resume(Resume),
    /// See what no engine can finish by itself, and choose a way out
    Repair(super::repair::Repair),
    /// Change a workflow's limits while it runs; `none` lifts one
    Update(Update),
}

/// Names one workflow.
#[derive(Debug, Clone, Args)]
pub(super) struct Which {
    /// The keyspace it moves tables into
    #[arg(long = "target-keyspace", visible_alias = "keyspace", short = 'k')]
    pub keyspace: KeyspaceName,
    /// Its name
    #[arg(long = "workflow", short = 'w')]
    pub name: WorkflowName,
}

#[derive(Debug, Args)]
pub(super) struct Resume {
    #[command(flatten)]
    which: Which,
    /// A DDL statement, by its GTID, that was dealt with by hand and is to be passed over
    #[arg(long, value_name = "GTID")]
    skip_ddl: Option<Gtid>,
    /// What DDL on a moved table does from now on
    #[arg(long)]
    on_ddl: Option<OnDdl>,
}

#[derive(Debug, Args)]
pub(super) struct Update {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    limits: LimitFlags,
}

/// Flags for limits; `none` lifts one.
#[derive(Debug, Args)]
pub(super) struct LimitFlags {
    /// Rows per second
    #[arg(long, value_parser = limit::<u64>)]
    max_rows_per_second: Option<Limit<u64>>,
    /// Bytes per second
    #[arg(long, value_parser = limit::<u64>)]
    max_bytes_per_second: Option<Limit<u64>>,
    /// Connections side by side
    #[arg(long, value_parser = limit::<u32>)]
    max_connections: Option<Limit<u32>>,
    /// Milliseconds a replica of the target may lag before copying rests
    #[arg(long, value_parser = limit::<u64>)]
    max_replica_lag: Option<Limit<u64>>,
}

/// A limit as typed. A type of its own because clap reads `Option<Option<_>>` in its own way.
#[derive(Debug, Clone, Copy)]
struct Limit<T>(Option<T>);

fn limit<T: std::str::FromStr>(text: &str) -> Result<Limit<T>, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => text.parse().map(|value| Limit(Some(value))).map_err(|_| "expected a number or `none`".into()),
    }
}

impl LimitFlags {
    fn limits(&self) -> Limits {
        Limits {
            rows_per_second: self.max_rows_per_second.map(|limit| limit.0),
            bytes_per_second: self.max_bytes_per_second.map(|limit| limit.0),
            connections: self.max_connections.map(|limit| limit.0),
            replica_lag_ms: self.max_replica_lag.map(|limit| limit.0),
        }
    }
}

impl Verb {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        let topology = context.topology().await?;
        match self {
            Self::List { keyspace } => list(context, &topology, keyspace).await,
            Self::Show(which) => show(context, &topology, &which).await,
            Self::Logs(which) => logs(context, &topology, &which).await,
            Self::Pause(which) => pause(context, &topology, &which).await,
            Self::Resume(resume) => resume.run(context, &topology).await,
            Self::Repair(repair) => repair.run(context, &topology).await,
            Self::Update(update) => {
                let Which { keyspace, name } = &update.which;
                let changed = wish(&topology, keyspace, name, Wish::Throttle(update.limits.limits())).await?;
                context.output.json(&changed.throttle)?;
                Ok(Outcome::Done)
            }
        }
    }
}

#[derive(Serialize)]
struct Line {
    workflow: String,
    kind: String,
    source: String,
    tables: usize,
    state: String,
    lag_ms: Option<u64>,
    engine: Option<InstanceId>,
    message: String,
}

impl Listed for Line {
    const COLUMNS: &'static [&'static str] =
        &["WORKFLOW", "KIND", "SOURCE", "TABLES", "STATE", "LAG", "ENGINE", "MESSAGE"];

    fn cells(&self) -> Vec<String> {
        let engine = self.engine.as_ref().map_or("none".into(), ToString::to_string);
        let lag = self.lag_ms.map_or("-".into(), |ms| format!("{:.1} s", ms as f64 / 1_000.0));
        let tables = self.tables.to_string();
        let (workflow, kind, source) = (self.workflow.clone(), self.kind.clone(), self.source.clone());
        vec![workflow, kind, source, tables, self.state.clone(), lag, engine, self.message.clone()]
    }
}

async fn list(context: &Context, topology: &Topology, keyspace: Option<KeyspaceName>) -> Result<Outcome> {
    let folder = keyspace.as_ref().map_or_else(paths::all_workflows, paths::workflows);
    let mut lines = Vec::new();
    for (_, workflow) in topology.list::<Workflow>(&folder).await?.records {
        let record = workflow.record;
        let spec = &record.spec;
        let status = topology.get::<Status>(&paths::status(&spec.target_keyspace, &spec.name)).await?;
        let status = status.map(|found| found.record);
        let (state, message) = state_of(&record, status.as_ref());
        lines.push(Line {
            workflow: format!("{}/{}", spec.target_keyspace, spec.name),
            kind: spec.kind.to_string(),
            source: spec.source_keyspace.to_string(),
            tables: spec.tables.len(),
            state,
            lag_ms: status.as_ref().and_then(|status| status.lag_ms),
            engine: status.map(|status| status.engine),
            message,
        });
    }
    context.output.list(&lines)?;
    Ok(Outcome::Done)
}

/// Everything known of a workflow, as one JSON object.
pub(super) async fn show(context: &Context, topology: &Topology, which: &Which) -> Result<Outcome> {
    let Which { keyspace, name } = which;
    let record = topology.need::<Workflow>(&paths::workflow(keyspace, name)).await?.record;
    let status = topology.get::<Status>(&paths::status(keyspace, name)).await?.map(|found| found.record);
    let (state, message) = state_of(&record, status.as_ref());
    let all = serde_json::json!({ "state": state, "message": message, "workflow": record, "status": status });
    context.output.json(&all)?;
    Ok(Outcome::Done)
}

#[derive(Serialize)]
struct LogLine {
    at: u64,
    count: u64,
    message: String,
}

impl Listed for LogLine {
    const COLUMNS: &'static [&'static str] = &["TIME", "COUNT", "MESSAGE"];

    fn cells(&self) -> Vec<String> {
        vec![clock(self.at), self.count.to_string(), self.message.clone()]
    }
}

async fn logs(context: &Context, topology: &Topology, which: &Which) -> Result<Outcome> {
    let Which { keyspace, name } = which;
    topology.need::<Workflow>(&paths::workflow(keyspace, name)).await?;
    let log = topology.get::<Log>(&paths::log(keyspace, name)).await?.map(|found| found.record).unwrap_or_default();
    let line =
        |line: crate::topology::records::LogLine| LogLine { at: line.at, count: line.count, message: line.message };
    let lines: Vec<_> = log.lines.into_iter().map(line).collect();
    context.output.list(&lines)?;
    Ok(Outcome::Done)
}

/// Asks for rest and waits until the owner reports it.
pub(super) async fn pause(context: &Context, topology: &Topology, which: &Which) -> Result<Outcome> {
    let Which { keyspace, name } = which;
    wish(topology, keyspace, name, Wish::Pause).await?;
    if !heard(context, topology, which).await? {
        return Ok(Outcome::Running);
    }
    let watching = Watching::new(topology, keyspace, name);
    watching.until(|state, _| state == StreamState::Stopped.as_str(), Duration::from_secs(30)).await?;
    context.output.done(&format!("workflow {keyspace}/{name} is paused"))?;
    Ok(Outcome::Done)
}

impl Resume {
    pub(super) async fn run(self, context: &Context, topology: &Topology) -> Result<Outcome> {
        let Which { keyspace, name } = &self.which;
        wish(topology, keyspace, name, Wish::Resume { skip_ddl: self.skip_ddl, on_ddl: self.on_ddl }).await?;
        if !heard(context, topology, &self.which).await? {
            return Ok(Outcome::Running);
        }
        context.output.done(&format!("workflow {keyspace}/{name} goes on"))?;
        Ok(Outcome::Done)
    }
}

/// Asks for the workflow to be undone and waits until it is gone.
pub(super) async fn cancel(context: &Context, topology: &Topology, which: &Which) -> Result<Outcome> {
    let Which { keyspace, name } = which;
    wish(topology, keyspace, name, Wish::Cancel).await?;
    if !heard(context, topology, which).await? {
        return Ok(Outcome::Running);
    }
    until_gone(topology, which, "undone", Duration::from_secs(120)).await?;
    context.output.done(&format!("workflow {keyspace}/{name} is undone: what it made on the target is gone"))?;
    Ok(Outcome::Done)
}

/// Waits until the workflow is gone because it is `done`.
pub(super) async fn until_gone(topology: &Topology, which: &Which, done: &str, limit: Duration) -> Result<()> {
    let Which { keyspace, name } = which;
    let path = paths::workflow(keyspace, name);
    let deadline = Instant::now() + limit;
    while topology.get::<Workflow>(&path).await?.is_some() {
        if Instant::now() > deadline {
            let status = topology.get::<Status>(&paths::status(keyspace, name)).await?;
            let message = status.map(|found| found.record.message).unwrap_or_default();
            bail!(
                "workflow {keyspace}/{name} is not {done} after {} s and its engine goes on trying; it says: {message}",
                limit.as_secs()
            );
        }
        sleep(POLL).await;
    }
    Ok(())
}

/// Whether an engine carries the workflow; says so, with the cure, if none does.
pub(super) async fn heard(context: &Context, topology: &Topology, which: &Which) -> Result<bool> {
    let path = paths::owner(&which.keyspace, &which.name);
    let deadline = Instant::now() + PATIENCE;
    loop {
        if topology.get::<Owner>(&path).await?.is_some() {
            return Ok(true);
        }
        if Instant::now() > deadline {
            context.output.done(
                "noted, but no engine is running to carry it out: run `shardlift engine run` with the same --topo and --credentials",
            )?;
            return Ok(false);
        }
        sleep(POLL).await;
    }
}

#[derive(Serialize)]
struct EngineLine {
    engine: String,
    host: String,
    pid: u32,
    http: String,
    started: u64,
}

impl Listed for EngineLine {
    const COLUMNS: &'static [&'static str] = &["ENGINE", "HOST", "PID", "HTTP", "STARTED"];

    fn cells(&self) -> Vec<String> {
        let http = if self.http.is_empty() { "-".into() } else { self.http.clone() };
        vec![self.engine.clone(), self.host.clone(), self.pid.to_string(), http, clock(self.started)]
    }
}

/// `engine list`.
pub(super) async fn list_engines(context: &Context, topology: &Topology) -> Result<()> {
    let found = topology.list::<EnginePresence>(&paths::engines()).await?;
    let line = |(path, Versioned { record, .. }): (crate::topology::Path, Versioned<EnginePresence>)| EngineLine {
        engine: path.name().to_string(),
        host: record.host,
        pid: record.pid,
        http: record.address,
        started: record.started,
    };
    let lines: Vec<_> = found.records.into_iter().map(line).collect();
    context.output.list(&lines)
}
