//! THE LOOP: one stream from wherever its sidecar says it is to wherever it is told to stop.
//!
//! Nothing is remembered between runs but what the targets' sidecars hold, so a run may end at any instant, by any means,
//! and the next one, here or on another host, goes on from there:
//!
//! ```text
//! claim ─> follow until the first position is whole
//!       ─> copy a round ─> follow until consistent ─┐      (while rows are left; when throttled, rounds are short and
//!              ^────────────────────────────────────┘       it follows until the valve lets it copy again)
//!       ─> add deferred keys, following meanwhile ─> follow for ever, or rest after the copy
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::mapping::Mapping;
use crate::model::workflow::{StreamState, WorkflowOptions};
use crate::model::{Gtid, GtidSet, TableDef, TableName};
use crate::mysql::schema::{SourceTable, read_source_tables};
use crate::topology::Lease;

use super::claim;
use super::conflict::Owners;
use super::connect::{Side, slot};
use super::copy::chunk::Method;
use super::copy::gaps::left;
use super::copy::marks::{self, TableCopy, TableState};
use super::copy::planner::Pending;
use super::copy::round::Round;
use super::error::EngineError;
use super::follow::{Follower, Until};
use super::indexes;
use super::progress::Progress;
use super::sidecar::StreamKey;
use super::source::Source;
use super::targets::Targets;
use super::throttle::Valve;

/// What a stream is made of.
#[derive(Debug, Clone)]
pub struct StreamSpec {
    /// Where rows come from.
    pub source: Side,
    /// Where they go; at least one.
    pub targets: Vec<TargetSpec>,
    /// Which rows go where, by the order of `targets`.
    pub mapping: Mapping,
    /// Whose rows the targets' are, where other source shards feed them too.
    pub owners: Option<Owners>,
    /// What it begins with.
    pub begins: Begins,
    /// The moved tables.
    pub tables: Vec<TableName>,
    /// Those of them that are created on the targets.
    pub created_tables: Vec<TableName>,
    /// How.
    pub options: WorkflowOptions,
    /// DDL that the operator has dealt with by hand.
    pub skip_ddl: Vec<Gtid>,
}

/// What a stream begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begins {
    /// The copy of what its source holds.
    Copying,
    /// Both sides hold the same ([`super::begin_level`]): at this position, as far as that is known.
    Level(Option<GtidSet>),
}

/// How far the copy is: all targets together, and each.
#[derive(Debug)]
struct Copies {
    all: BTreeMap<TableName, TableCopy>,
    each: Vec<marks::Progress>,
}

impl Copies {
    fn of_state(&self, state: TableState) -> Vec<TableName> {
        self.all.iter().filter(|(_, table)| table.state == state).map(|(name, _)| name.clone()).collect()
    }
}

/// One of a stream's targets.
#[derive(Debug, Clone)]
pub struct TargetSpec {
    /// The identity of what flows there.
    pub key: StreamKey,
    /// The server.
    pub side: Side,
}

/// A stream that is being run.
#[derive(Debug)]
pub struct Stream {
    spec: StreamSpec,
    mapping: Arc<Mapping>,
    valve: Valve,
    progress: Progress,
    cancel: CancellationToken,
    source: Source,
    targets: Targets,
    tables: HashMap<TableName, SourceTable>,
    method: Method,
    /// Whether this run has made sure that the source is the one that was read before.
    met: bool,
    rounds: u32,
}

impl Stream {
    /// Runs the stream until it is cancelled, fails, or rests after the copy (`Ok`).
    pub async fn run(
        spec: StreamSpec,
        lease: Lease,
        valve: Valve,
        progress: Progress,
        cancel: CancellationToken,
    ) -> Result<(), EngineError> {
        let mut stream = Self::claim(spec, &lease, valve, progress, cancel).await?;
        while !stream.cancel.is_cancelled() {
            let found = stream.load().await?;
            let copying = found.of_state(TableState::Copying);
            let copied = found.of_state(TableState::Copied);
            if !copying.is_empty() {
                stream.enter(StreamState::Copying);
                let valve = stream.valve.clone();
                if !found.all.values().any(|table| table.started) {
                    // The first position may hold what builds upon what it lacks: that is passed before anything is read.
                    stream.follow(Until::Consistent).await?;
                }
                stream.follow(Until::Open(&valve)).await?;
                stream.copy(&found, &copying).await?;
                stream.follow(Until::Consistent).await?;
            } else if !copied.is_empty() {
                stream.enter(StreamState::Lagging);
                stream.follow(Until::Consistent).await?;
                stream.add_keys(&found).await?;
            } else if stream.spec.options.stop_after_copy {
                stream.follow(Until::Consistent).await?;
                return Ok(());
            } else {
                stream.enter(StreamState::Running);
                stream.follow(Until::Cancelled).await?;
            }
        }
        Err(EngineError::Cancelled)
    }

    /// Takes the stream over and brings the targets' tables into being.
    async fn claim(
        mut spec: StreamSpec,
        lease: &Lease,
        valve: Valve,
        progress: Progress,
        cancel: CancellationToken,
    ) -> Result<Self, EngineError> {
        let mut source = Source::connect(&spec.source, spec.options.allow_unsafe_source).await?;
        spec.source.database = source.database_as_stored().await?;
        let (mut method, mut writers, mut noted) = (Method::Load, Vec::new(), Vec::new());
        for target in &spec.targets {
            let (mut writer, may_load) = claim::claim(target, lease).await?;
            if !may_load {
                method = Method::Insert;
            }
            noted.push(claim::noted(&mut writer).await?);
            writers.push(writer);
        }
        let started = |found: &marks::Progress| found.tables.values().any(marks::TableProgress::started);
        match &spec.begins {
            // Once one target holds rows, the others go on from where they have begun together.
            Begins::Copying if noted.iter().any(started) => {}
            Begins::Copying => claim::begin(&mut source, &mut writers, &progress).await?,
            Begins::Level(from) => {
                for (writer, noted) in writers.iter_mut().zip(&noted) {
                    claim::begin_level_again(&mut source, writer, from.as_ref().filter(|_| started(noted))).await?;
                }
            }
        }
        let mut tables = read_source_tables(source.session(), &spec.source.database, &spec.tables).await?;
        if let Some(owners) = &spec.owners {
            claim::leave_out(owners, &mut tables)?;
            spec.tables = tables.iter().map(|table| table.def.name.clone()).collect();
        }
        let mut there = Vec::new();
        for (writer, noted) in writers.iter().zip(&noted) {
            there.push(claim::prepare(&spec, writer, &tables, noted).await?);
        }
        let mut targets = Targets::new(writers);
        let mut mapping = spec.mapping.clone();
        let tables = claim::define(&mut mapping, tables, &there, &targets)?;
        if let Some(owners) = &spec.owners {
            claim::share(&spec, owners, &mut targets, &there, &tables)?;
            method = Method::Shared;
        }
        let mapping = Arc::new(mapping);
        Ok(Self { spec, mapping, valve, progress, cancel, source, targets, tables, method, met: false, rounds: 0 })
    }

    /// Reads the copy's progress, and makes known what it implies.
    async fn load(&mut self) -> Result<Copies, EngineError> {
        let mut each = Vec::new();
        for writer in self.targets.iter_mut() {
            let found = claim::noted(writer).await?;
            let checkpoint = &writer.checkpoint;
            if !found.ceiling.minus(&checkpoint.position).minus(&checkpoint.ceiling).is_empty() {
                // Chunks were committed by a run that did not live to store its ceiling.
                writer.note(Some(&found.ceiling), None).await?;
            }
            each.push(found);
        }
        let all = marks::combine(&each);
        for (writer, found) in self.targets.iter_mut().zip(&each) {
            let checkpoint = writer.checkpoint.clone();
            marks::agree(writer.connection().await?, &checkpoint, found, &all).await?;
        }
        self.progress.update(|snapshot| {
            for (name, table) in &all {
                let counts = snapshot.tables.entry(name.clone()).or_default();
                (counts.rows, counts.bytes, counts.state) = (table.rows, table.bytes, table.state.as_str());
                counts.rows_expected = self.tables.get(name).map_or(0, |table| table.approx_rows);
            }
        });
        Ok(Copies { all, each })
    }

    fn enter(&self, state: StreamState) {
        self.progress.update(|snapshot| snapshot.state = state);
    }

    /// Copies a round. A column or key that is gone is DDL still to be met: it is met, and dealt with as it should be.
    async fn copy(&mut self, found: &Copies, copying: &[TableName]) -> Result<(), EngineError> {
        match self.round(found, copying).await {
            Err(error) if error.is_schema_change() => {
                tracing::info!(%error, "the source's tables have changed under the copy");
                let seen = self.source.covering().await?;
                self.targets.note(Some(&seen), None).await?;
                self.follow(Until::Consistent).await?;
                Err(error)
            }
            outcome => outcome,
        }
    }

    async fn round(&mut self, found: &Copies, copying: &[TableName]) -> Result<(), EngineError> {
        self.targets.check_history(&mut self.source).await?;
        if !found.all.values().any(|table| table.started) {
            self.source.check_xa().await?;
        }
        self.source.wait_visible(&self.targets.newest()).await?;
        let mut pending = Vec::with_capacity(copying.len());
        for name in copying {
            let (Some(table), Some(progress)) = (self.tables.get(name), found.all.get(name)) else {
                return Err(EngineError::Sidecar("copy_table names a table that is not moved"));
            };
            let row_bytes = if table.avg_row_bytes == 0 { 100 } else { table.avg_row_bytes };
            pending.push(Pending {
                table: Arc::new(table.def.clone()),
                left: left(&progress.marks),
                row_bytes,
                average: table.avg_row_bytes,
                longest: 0,
            });
        }
        let round = Round {
            source: &self.spec.source,
            source_uuid: &self.source.uuid,
            targets: &self.targets,
            mapping: &self.mapping,
            number: self.rounds,
            method: self.method,
            workers: self.valve.connections(self.spec.options.workers),
            chunk_bytes: self.spec.options.chunk_bytes,
            limit: Duration::from_millis(self.spec.options.round_ms),
            valve: &self.valve,
            progress: &self.progress,
            cancel: &self.cancel,
        };
        let holed = round.run(pending).await?;
        self.rounds += 1;
        let seen = self.source.covering().await?;
        self.targets.note(Some(&seen), None).await?;
        let whole: Vec<_> = copying.iter().filter(|name| !holed.contains(name)).cloned().collect();
        for writer in self.targets.iter_mut() {
            let checkpoint = writer.checkpoint.clone();
            marks::merge(writer.connection().await?, &checkpoint, &whole).await?;
        }
        Ok(())
    }

    async fn add_keys(&mut self, found: &Copies) -> Result<(), EngineError> {
        let mut jobs = Vec::new();
        for (writer, noted) in self.targets.iter().zip(&found.each) {
            let copied = noted.tables.iter().filter(|(_, table)| table.state == TableState::Copied);
            let tables =
                copied.filter_map(|(name, table)| Some((self.tables.get(name)?.clone(), table.deferred.clone())));
            jobs.push((writer.side().clone(), writer.checkpoint.clone(), tables.collect::<Vec<_>>()));
        }
        let progress = self.progress.clone();
        let add = |slot| {
            let each = jobs
                .clone()
                .into_iter()
                .map(|(target, checkpoint, tables)| indexes::add(target, checkpoint, slot, tables, progress.clone()));
            let each: Vec<_> = each.collect();
            async move { try_join_all(each).await.map(|_| ()) }
        };
        let mut task = AbortOnDropHandle::new(tokio::spawn(add(slot::KEYS[0])));
        let resting = add(slot::KEYS[1]);
        let followed = self.follow(Until::Done(&mut task)).await;
        // An ALTER that goes on at the server after this is found done, or found missing, by the next run.
        task.abort();
        match followed {
            Err(EngineError::PassingDuplicate { table, detail }) => {
                tracing::info!(%table, detail, "the stream rests while keys are added");
                self.follow(Until::Consistent).await?;
                tokio::select! {
                    added = resting => added,
                    () = self.cancel.cancelled() => Err(EngineError::Cancelled),
                }
            }
            followed => followed,
        }
    }

    async fn follow(&mut self, until: Until<'_>) -> Result<(), EngineError> {
        let mut each = Vec::new();
        for writer in self.targets.iter_mut() {
            each.push(claim::noted(writer).await?);
        }
        // A table whose changes change others is decoded from the first: a cascade that is not logged must not pass.
        let has = |found: &marks::Progress, name: &TableName| {
            found.tables.get(name).is_some_and(marks::TableProgress::started)
        };
        let started = |name: &TableName| each.iter().any(|found| has(found, name));
        let tables: HashMap<TableName, Arc<TableDef>> = self
            .tables
            .iter()
            .filter(|(name, table)| table.def.cascades || started(name))
            .map(|(name, table)| (name.clone(), Arc::new(table.def.clone())))
            .collect();
        Follower {
            source: &mut self.source,
            targets: &mut self.targets,
            mapping: &self.mapping,
            tables,
            moved: &self.spec.tables,
            on_ddl: self.spec.options.on_ddl,
            skip_ddl: &self.spec.skip_ddl,
            met: &mut self.met,
            workers: self.spec.options.workers,
            valve: &self.valve,
            progress: &self.progress,
            cancel: &self.cancel,
        }
        .run(until)
        .await
    }
}
