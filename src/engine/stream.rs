//! THE LOOP: one stream from wherever its sidecar says it is to wherever it is told to stop.
//!
//! Nothing is remembered between runs but what the target's sidecar holds, so a run may end at any instant, by any means,
//! and the next one, here or on another host, goes on from there:
//!
//! ```text
//! claim ─> copy a round ─> follow until consistent ─┐      (while rows are left; when throttled, rounds are short and
//!              ^────────────────────────────────────┘       it follows until the valve lets it copy again)
//!       ─> add deferred keys, following meanwhile ─> follow for ever, or rest after the copy
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::model::workflow::{StreamState, WorkflowOptions};
use crate::model::{Gtid, TableDef, TableName};
use crate::mysql::schema::{SourceTable, read_source_tables};
use crate::topology::{Lease, TopologyError};

use super::apply::writer::Writer;
use super::checkpoint::Checkpoint;
use super::connect::{Side, slot};
use super::copy::chunk::Method;
use super::copy::gaps::left;
use super::copy::marks::{self, TableState};
use super::copy::planner::Pending;
use super::copy::round::Round;
use super::error::EngineError;
use super::follow::{Follower, Until};
use super::progress::Progress;
use super::sidecar::{self, StreamKey};
use super::source::Source;
use super::throttle::Valve;
use super::{indexes, prepare};

/// What a stream is made of.
#[derive(Debug, Clone)]
pub struct StreamSpec {
    /// Its identity.
    pub key: StreamKey,
    /// Where rows come from.
    pub source: Side,
    /// Where they go.
    pub target: Side,
    /// The moved tables.
    pub tables: Vec<TableName>,
    /// Those of them that are created on the target.
    pub created_tables: Vec<TableName>,
    /// How.
    pub options: WorkflowOptions,
    /// DDL that the operator has dealt with by hand.
    pub skip_ddl: Vec<Gtid>,
}

/// A stream that is being run.
#[derive(Debug)]
pub struct Stream {
    spec: StreamSpec,
    valve: Valve,
    progress: Progress,
    cancel: CancellationToken,
    source: Source,
    writer: Writer,
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
            let copying: Vec<_> = of_state(&found, TableState::Copying);
            let copied: Vec<_> = of_state(&found, TableState::Copied);
            if !copying.is_empty() {
                stream.enter(StreamState::Copying);
                let valve = stream.valve.clone();
                stream.follow(Until::Open(&valve)).await?;
                stream.copy(&found, &copying).await?;
                stream.follow(Until::Consistent).await?;
            } else if !copied.is_empty() {
                stream.enter(StreamState::Lagging);
                stream.follow(Until::Consistent).await?;
                stream.add_keys(&found, &copied).await?;
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

    /// Takes the stream over and brings the target's tables into being.
    async fn claim(
        mut spec: StreamSpec,
        lease: &Lease,
        valve: Valve,
        progress: Progress,
        cancel: CancellationToken,
    ) -> Result<Self, EngineError> {
        let mut source = Source::connect(&spec.source, spec.options.allow_unsafe_source).await?;
        spec.source.database = source.database_as_stored().await?;
        let mut session = spec.target.session().await?;
        // A process that was stopped and wakes up here must not bring an undone workflow's stream back.
        lease.check().map_err(TopologyError::from)?;
        let id = sidecar::enter(&mut session, &spec.key).await?;
        let checkpoint = Checkpoint::claim(&mut session, id, spec.key.uid).await?;
        let local_infile =
            session.value("SELECT @@global.local_infile").await.map_err(EngineError::at(&spec.target.label))?;
        let method = if local_infile.as_deref() == Some("1") { Method::Load } else { Method::Insert };
        let mut writer = Writer::new(spec.target.clone(), checkpoint);
        let noted = marks::load(writer.connection().await?, id).await?;
        if !noted.tables.values().any(marks::TableProgress::started) {
            // The first P, before the schema is read: DDL in between is then met.
            let position = source.gtid_executed().await?;
            let now = source.clock_us().await?;
            writer.begin_at(position, &source.uuid).await?;
            progress.update(|snapshot| snapshot.as_of_us = Some(now));
        }
        let tables = read_source_tables(source.session(), &spec.source.database, &spec.tables).await?;
        let mut owned = spec.target.owned_session(&writer.checkpoint, slot::PREPARE).await?;
        let defer = spec.options.defer_secondary_keys;
        prepare::tables(&mut owned, &spec.target, &writer.checkpoint, &tables, &noted, &spec.created_tables, defer)
            .await?;
        session.close().await;
        // The target's tables are as the source's were at the position: they were made from them, and DDL since then was
        // passed there only together with the position. So rows are decoded as the target has them.
        let there = read_source_tables(&mut owned, &spec.target.database, &spec.tables).await?;
        owned.close().await;
        let tables = tables.into_iter().zip(there).map(|(source, target)| {
            let other_unique = source.def.other_unique || target.def.other_unique;
            let cascades = source.def.cascades;
            (source.def.name.clone(), SourceTable { def: TableDef { other_unique, cascades, ..target.def }, ..source })
        });
        let tables = tables.collect();
        Ok(Self { spec, valve, progress, cancel, source, writer, tables, method, met: false, rounds: 0 })
    }

    /// Reads the copy's progress, and makes known what it implies.
    async fn load(&mut self) -> Result<marks::Progress, EngineError> {
        let id = self.writer.checkpoint.stream_id;
        let found = marks::load(self.writer.connection().await?, id).await?;
        let mut unseen = found.ceiling.clone();
        unseen = unseen.minus(&self.writer.checkpoint.position).minus(&self.writer.checkpoint.ceiling);
        if !unseen.is_empty() {
            // Chunks were committed by a run that did not live to store its ceiling.
            self.writer.note(Some(&found.ceiling), None).await?;
        }
        self.progress.update(|snapshot| {
            for (name, table) in &found.tables {
                let counts = snapshot.tables.entry(name.clone()).or_default();
                (counts.rows, counts.bytes, counts.state) = (table.rows, table.bytes, table.state.as_str());
                counts.rows_expected = self.tables.get(name).map_or(0, |table| table.approx_rows);
            }
        });
        Ok(found)
    }

    fn enter(&self, state: StreamState) {
        self.progress.update(|snapshot| snapshot.state = state);
    }

    /// Copies a round. A column or key that is gone is DDL still to be met: it is met, and dealt with as it should be.
    async fn copy(&mut self, found: &marks::Progress, copying: &[TableName]) -> Result<(), EngineError> {
        match self.round(found, copying).await {
            Err(error) if error.is_schema_change() => {
                tracing::info!(%error, "the source's tables have changed under the copy");
                let seen = self.source.gtid_executed().await?;
                self.writer.note(Some(&seen), None).await?;
                self.follow(Until::Consistent).await?;
                Err(error)
            }
            outcome => outcome,
        }
    }

    async fn round(&mut self, found: &marks::Progress, copying: &[TableName]) -> Result<(), EngineError> {
        self.source.check_history(&self.writer.checkpoint).await?;
        if !found.tables.values().any(marks::TableProgress::started) {
            self.source.check_xa().await?;
        }
        self.source.wait_visible(&self.writer.checkpoint.position).await?;
        let mut pending = Vec::with_capacity(copying.len());
        for name in copying {
            let (Some(table), Some(progress)) = (self.tables.get(name), found.tables.get(name)) else {
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
            target: &self.spec.target,
            checkpoint: &self.writer.checkpoint,
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
        let seen = self.source.gtid_executed().await?;
        self.writer.note(Some(&seen), None).await?;
        let whole: Vec<_> = copying.iter().filter(|name| !holed.contains(name)).cloned().collect();
        let checkpoint = self.writer.checkpoint.clone();
        marks::merge(self.writer.connection().await?, &checkpoint, &whole).await
    }

    async fn add_keys(&mut self, found: &marks::Progress, copied: &[TableName]) -> Result<(), EngineError> {
        let tables = copied
            .iter()
            .filter_map(|name| Some((self.tables.get(name)?.clone(), found.tables.get(name)?.deferred.clone())));
        let tables: Vec<_> = tables.collect();
        let (target, checkpoint) = (self.spec.target.clone(), self.writer.checkpoint.clone());
        let progress = self.progress.clone();
        let add = |slot| indexes::add(target.clone(), checkpoint.clone(), slot, tables.clone(), progress.clone());
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
        let id = self.writer.checkpoint.stream_id;
        let found = marks::load(self.writer.connection().await?, id).await?;
        // A table whose changes change others is decoded from the first: a cascade that is not logged must not pass.
        let started = |name: &TableName| found.tables.get(name).is_some_and(|table| table.started());
        let tables: HashMap<TableName, Arc<TableDef>> = self
            .tables
            .iter()
            .filter(|(name, table)| table.def.cascades || started(name))
            .map(|(name, table)| (name.clone(), Arc::new(table.def.clone())))
            .collect();
        Follower {
            source: &mut self.source,
            writer: &mut self.writer,
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

fn of_state(found: &marks::Progress, state: TableState) -> Vec<TableName> {
    found.tables.iter().filter(|(_, table)| table.state == state).map(|(name, _)| name.clone()).collect()
}
