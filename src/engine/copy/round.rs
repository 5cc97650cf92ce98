//! One round of copying: chunks side by side until the time is up or nothing is left.
//!
//! # Invariants
//! - A round begins behind the barrier: everything in P is visible on the server that is read (design §4.1, step 2).
//! - It ends with no chunk half done: each is committed or was rolled back with the round's error.
//! - Its ceiling E is read after its last chunk, and stored with the merged marks before anything is applied.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::connect::{Side, slot};
use crate::engine::error::EngineError;
use crate::engine::progress::Progress;
use crate::engine::targets::Targets;
use crate::engine::throttle::Valve;
use crate::mapping::Mapping;
use crate::model::TableName;

use super::chunk::{Copied, Copier, Method};
use super::planner::{Pending, Planner};

/// A chunk that meets a deadlock, a lock wait or another source's write is tried again this often.
const TRIES: u32 = 5;
/// A chunk is cut short at this many times the bytes it was planned for: its rows are much longer than those before.
const CUT: u64 = 4;
/// A round that the valve holds up ends after this long, so that following goes on meanwhile.
const HELD: Duration = Duration::from_secs(3);

/// What a round needs.
#[derive(Debug)]
pub struct Round<'a> {
    /// Where rows come from.
    pub source: &'a Side,
    /// The server that the barrier was proved on.
    pub source_uuid: &'a str,
    /// Where they go.
    pub targets: &'a Targets,
    /// Which rows go where.
    pub mapping: &'a Arc<Mapping>,
    /// Its number, from 0.
    pub number: u32,
    /// How rows are handed over.
    pub method: Method,
    /// Chunks side by side.
    pub workers: usize,
    /// Rough chunk size in bytes.
    pub chunk_bytes: u64,
    /// When no further chunk is begun.
    pub limit: Duration,
    /// What slows it down.
    pub valve: &'a Valve,
    /// Where it is told.
    pub progress: &'a Progress,
    /// Ends it early, between chunks.
    pub cancel: &'a CancellationToken,
}

impl Round<'_> {
    /// Copies chunks of `pending`. Returns the tables whose marks have a hole still, and must not be merged.
    pub async fn run(&self, pending: Vec<Pending>) -> Result<Vec<TableName>, EngineError> {
        let wire = self.source.reader_on(self.source_uuid).await?;
        let planner = Planner::new(wire, self.source.database.clone(), self.chunk_bytes, self.valve.clone(), pending);
        let planner = Arc::new(Mutex::new(planner));
        let began = Instant::now();
        let (ends, held) = (began + self.limit, began + self.limit.min(HELD));
        let long = Arc::new(Semaphore::new(1));
        let mut workers = JoinSet::new();
        for worker in 0..self.workers {
            // Rounds alternate between two halves of the numbers, so that the last round's connections may linger.
            let half = (slot::COPY.end - slot::COPY.start) / 2;
            let slot = slot::COPY.start + (self.number % 2) * half + worker as u32 % half;
            let (valve, method) = (self.valve.clone(), self.method);
            let copier =
                Copier::connect(self.source, self.source_uuid, self.targets, self.mapping, method, valve, slot)
                    .await?
                    .cut_at(self.chunk_bytes * CUT);
            let (planner, long, progress) = (planner.clone(), long.clone(), self.progress.clone());
            let (valve, cancel) = (self.valve.clone(), self.cancel.clone());
            // While it may go on; asked between chunks.
            let proceed = async move || Instant::now() < ends && valve.admits(held, &cancel).await;
            workers.spawn(work(copier, planner, long, progress, proceed));
        }
        // The first error ends the round; dropping the set drops the other workers' connections and so their chunks.
        while let Some(ended) = workers.join_next().await {
            ended.map_err(|error| EngineError::Task(error.to_string()))??;
        }
        let planner = planner.lock().await;
        Ok(planner.holed())
    }
}

async fn work(
    mut copier: Copier,
    planner: Arc<Mutex<Planner>>,
    long: Arc<Semaphore>,
    progress: Progress,
    proceed: impl AsyncFn() -> bool,
) -> Result<(), EngineError> {
    while proceed().await {
        let Some(chunk) = planner.lock().await.next().await? else { break };
        let _alone = if chunk.long { long.acquire().await.ok() } else { None };
        let mut tries = 0;
        let copied = loop {
            match copier.copy(&chunk).await {
                Err(error) if tries < TRIES && (error.is_lock_conflict() || error.is_duplicate()) => {
                    tries += 1;
                    tracing::debug!(table = %chunk.table.name, %error, tries, "chunk tried again");
                    copier.rollback().await?;
                }
                outcome => break outcome?,
            }
        };
        {
            let mut planner = planner.lock().await;
            planner.learn(&chunk.table, &copied.counts);
            if let Some(rest) = copied.rest {
                let Copied { rows, bytes, .. } = copied.counts;
                tracing::info!(table = %chunk.table.name, rows, bytes, "chunk cut short: its rows are longer than expected");
                planner.take_back(&chunk.table, rest, &copied.counts);
            }
        }
        let copied = copied.counts;
        progress.counts().copied(copied.rows, copied.bytes);
        progress.update(|snapshot| {
            let table = snapshot.tables.entry(chunk.table.name.clone()).or_default();
            table.rows += copied.rows;
            table.bytes += copied.bytes;
        });
    }
    Ok(())
}
