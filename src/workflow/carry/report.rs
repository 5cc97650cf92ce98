//! What a workflow's owner tells the topology: its status, at most once a period, and its log.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::model::workflow::StreamState;
use crate::model::{InstanceId, TableName};
use crate::topology::records::{Log, Status, StreamStatus, TableStatus};

use crate::engine::progress::Snapshot;
use crate::engine::throttle::Valve;

use super::standing::Standing;

/// Tables in one report; the rest are only counted. Keeps a report far below etcd's limits.
const TABLES: usize = 200;
/// A position is cut to this many characters in a report.
const POSITION: usize = 512;
/// And so is what a stream says of itself.
const MESSAGE: usize = 512;

/// Seconds since the Unix epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Turns snapshots into reports, with the rates between them.
#[derive(Debug)]
pub struct Reporter {
    engine: InstanceId,
    last: Option<(Instant, u64, u64, u64)>,
    rates: (u64, u64, u64),
}

impl Reporter {
    /// For `engine`.
    pub fn new(engine: InstanceId) -> Self {
        Self { engine, last: None, rates: (0, 0, 0) }
    }

    /// The report of this moment.
    pub fn status(&mut self, standing: &Standing, valve: &Valve) -> Status {
        let snapshot = standing.snapshot();
        self.rate(&snapshot);
        let mut tables: Vec<_> = snapshot.tables.iter().collect();
        let table_count = tables.len() as u64;
        tables.sort_by_key(|(_, counts)| (counts.state == "done", std::cmp::Reverse(counts.rows_expected)));
        let tables: BTreeMap<TableName, TableStatus> = tables
            .into_iter()
            .take(TABLES)
            .map(|(name, counts)| {
                let (state, rows, bytes) = (counts.state.to_string(), counts.rows, counts.bytes);
                (name.clone(), TableStatus { state, rows, bytes, rows_expected: counts.rows_expected })
            })
            .collect();
        let throttled = valve.reason().filter(|_| snapshot.state == StreamState::Copying);
        let lag_ms = |snapshot: &Snapshot| snapshot.lag().map(|lag| lag.as_millis() as u64);
        let cut = |text: &str, most| text.chars().take(most).collect::<String>();
        let streams = standing.streams().into_iter().map(|(source_shard, stream)| StreamStatus {
            source_shard,
            state: stream.state,
            lag_ms: lag_ms(&stream),
            position: cut(&stream.position, POSITION),
            rows: stream.tables.values().map(|table| table.rows).sum(),
            message: cut(&stream.message, MESSAGE),
        });
        let streams = streams.collect();
        Status {
            engine: self.engine.clone(),
            at: now(),
            state: snapshot.state,
            lag_ms: lag_ms(&snapshot),
            message: snapshot.message,
            position: cut(&snapshot.position, POSITION),
            copy_rows_per_second: self.rates.0,
            copy_bytes_per_second: self.rates.1,
            changes_per_second: self.rates.2,
            txns: snapshot.txns,
            changes: snapshot.changes,
            throttled,
            warning: snapshot.warning,
            tables,
            table_count,
            streams,
        }
    }

    /// Rates over at least a second, smoothed by half.
    fn rate(&mut self, snapshot: &Snapshot) {
        let rows: u64 = snapshot.tables.values().map(|table| table.rows).sum();
        let bytes: u64 = snapshot.tables.values().map(|table| table.bytes).sum();
        let now = Instant::now();
        let Some((at, last_rows, last_bytes, last_changes)) = self.last else {
            self.last = Some((now, rows, bytes, snapshot.changes));
            return;
        };
        let elapsed = now - at;
        if elapsed < Duration::from_secs(1) {
            return;
        }
        let per_second = |new: u64, old: u64, rate: u64| {
            let latest = new.saturating_sub(old) as f64 / elapsed.as_secs_f64();
            if rate == 0 { latest as u64 } else { ((latest + rate as f64) / 2.0) as u64 }
        };
        self.rates = (
            per_second(rows, last_rows, self.rates.0),
            per_second(bytes, last_bytes, self.rates.1),
            per_second(snapshot.changes, last_changes, self.rates.2),
        );
        self.last = Some((now, rows, bytes, snapshot.changes));
    }
}

/// Appends to a log.
pub fn note(log: &mut Log, message: &str) {
    log.push(now(), message);
}
