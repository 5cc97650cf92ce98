//! The engine's numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::Registry;

use super::Contact;
use super::family::{Family, build_info, register};
use super::latency::Latency;
use super::live::{Live, Registered};

/// All of one engine. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct EngineMetrics(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    topology: Contact,
    leased: AtomicBool,
    leases_lost: AtomicU64,
    workflows: Live<Workflow>,
}

struct Workflow {
    counts: Arc<WorkflowCounts>,
    look: Box<dyn Fn() -> WorkflowGauges + Send + Sync>,
}

/// What one workflow is like at the moment somebody looks.
#[derive(Debug, Clone)]
pub struct WorkflowGauges {
    /// The word for its state.
    pub state: &'static str,
    /// Age of the newest source state the target has; `None` before any is known.
    pub lag: Option<Duration>,
    /// Rows copied, also by engines before.
    pub copy_rows: u64,
    /// Rows there are, by the source's statistics.
    pub copy_expected_rows: u64,
    /// Seconds until the source may purge what is still needed; `None` if unknown or never.
    pub purge_margin_seconds: Option<f64>,
    /// How long copying was held back in all, by reason.
    pub throttled: Vec<(&'static str, Duration)>,
}

/// What one workflow's engine counts. Each is an addition to an atomic.
#[derive(Debug, Default)]
pub struct WorkflowCounts {
    copied_rows: AtomicU64,
    copied_bytes: AtomicU64,
    copied_chunks: AtomicU64,
    inserts: AtomicU64,
    updates: AtomicU64,
    deletes: AtomicU64,
    applied_bytes: AtomicU64,
    applied_txns: AtomicU64,
    streams: AtomicU64,
    errors: Mutex<BTreeMap<&'static str, u64>>,
    pauses: Latency,
    steps: Mutex<BTreeMap<&'static str, Duration>>,
    switches: Mutex<BTreeMap<&'static str, u64>>,
}

impl WorkflowCounts {
    /// A step of a switch has ended, well or not.
    pub fn step(&self, step: &'static str, took: Duration) {
        *self.steps.lock().unwrap_or_else(PoisonError::into_inner).entry(step).or_default() += took;
    }

    /// A switch has ended like this.
    pub fn switched(&self, outcome: &'static str) {
        *self.switches.lock().unwrap_or_else(PoisonError::into_inner).entry(outcome).or_default() += 1;
    }

    /// Writes were held for so long, from the announcement of the pause to the opened side.
    pub fn paused(&self, lasted: Duration) {
        self.pauses.observe(lasted);
    }

    /// A chunk was committed.
    pub fn copied(&self, rows: u64, bytes: u64) {
        self.copied_chunks.fetch_add(1, Relaxed);
        self.copied_rows.fetch_add(rows, Relaxed);
        self.copied_bytes.fetch_add(bytes, Relaxed);
    }

    /// A batch was applied: row changes by kind, the bytes they came to, source transactions.
    pub fn applied(&self, inserts: u64, updates: u64, deletes: u64, bytes: u64, txns: u64) {
        self.inserts.fetch_add(inserts, Relaxed);
        self.updates.fetch_add(updates, Relaxed);
        self.deletes.fetch_add(deletes, Relaxed);
        self.applied_bytes.fetch_add(bytes, Relaxed);
        self.applied_txns.fetch_add(txns, Relaxed);
    }

    /// An attempt ended with an error of this class.
    pub fn failed(&self, class: &'static str) {
        *self.errors.lock().unwrap_or_else(PoisonError::into_inner).entry(class).or_default() += 1;
    }

    /// A stream runs, until the answer is dropped.
    pub fn running(self: &Arc<Self>) -> RunningStream {
        self.streams.fetch_add(1, Relaxed);
        RunningStream(self.clone())
    }
}

/// Counts as a running stream while it is kept.
#[derive(Debug)]
pub struct RunningStream(Arc<WorkflowCounts>);

impl Drop for RunningStream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Relaxed);
    }
}

impl EngineMetrics {
    /// Shows them in `registry`.
    ///
    /// # Errors
    /// If an engine's are shown there already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let inner = self.0.clone();
        register(registry, "shardlift_engine", move || inner.look())
    }

    /// The contact with the topology.
    pub fn topology(&self) -> &Contact {
        &self.0.topology
    }

    /// The engine holds its lease now.
    pub fn lease_taken(&self) {
        self.0.leased.store(true, Relaxed);
    }

    /// It holds it no longer: because it was lost, or (`false`) given back.
    pub fn lease_ended(&self, lost: bool) {
        self.0.leased.store(false, Relaxed);
        self.0.leases_lost.fetch_add(lost.into(), Relaxed);
    }

    /// Shows a workflow, for as long as the answer is kept. `look` is called at every scrape and must not block.
    pub fn workflow(
        &self,
        keyspace: &str,
        workflow: &str,
        counts: Arc<WorkflowCounts>,
        look: impl Fn() -> WorkflowGauges + Send + Sync + 'static,
    ) -> Registered {
        self.0.workflows.add([keyspace.into(), workflow.into()], Workflow { counts, look: Box::new(look) })
    }
}

impl Inner {
    fn look(&self) -> Vec<Family> {
        let mut families = Families::new();
        for ([keyspace, workflow], found) in self.workflows.now() {
            families.add(&keyspace, &workflow, &found.counts, (found.look)());
        }
        let mut families = families.into_vec();
        let lost = self.leases_lost.load(Relaxed) as f64;
        let one = |value: bool| f64::from(u8::from(value));
        families.extend([
            build_info(),
            Family::gauge("shardlift_engine_leased", "1 while this engine holds its lease")
                .with(&[], one(self.leased.load(Relaxed))),
            Family::counter("shardlift_engine_leases_lost_total", "How often this engine lost its lease")
                .with(&[], lost),
            Family::gauge("shardlift_engine_topology_age_seconds", "Time since the topology last answered")
                .with(&[], self.topology.age().as_secs_f64()),
        ]);
        families
    }
}

/// The families of workflows.
struct Families {
    copied_rows: Family,
    copied_bytes: Family,
    copied_chunks: Family,
    copy_rows: Family,
    copy_expected_rows: Family,
    applied_rows: Family,
    applied_bytes: Family,
    applied_txns: Family,
    lag: Family,
    purge_margin: Family,
    state: Family,
    streams: Family,
    throttled: Family,
    errors: Family,
    pauses: Family,
    steps: Family,
    switches: Family,
}

impl Families {
    fn new() -> Self {
        let counter = |name: &str, help| Family::counter(&format!("shardlift_engine_{name}"), help);
        let gauge = |name: &str, help| Family::gauge(&format!("shardlift_engine_{name}"), help);
        Self {
            copied_rows: counter("copied_rows_total", "Rows copied by this engine"),
            copied_bytes: counter("copied_bytes_total", "Bytes copied by this engine, as encoded for the target"),
            copied_chunks: counter("copied_chunks_total", "Chunks committed by this engine"),
            copy_rows: gauge("copy_rows", "Rows copied in all"),
            copy_expected_rows: gauge("copy_expected_rows", "Rows there are to copy, by the source's statistics"),
            applied_rows: counter("applied_rows_total", "Row changes applied from the binlog, by kind"),
            applied_bytes: counter("applied_bytes_total", "Bytes of what the applied row changes came to"),
            applied_txns: counter("applied_transactions_total", "Source transactions passed"),
            lag: gauge("lag_seconds", "Age of the newest source state the target is known to have"),
            purge_margin: gauge("purge_margin_seconds", "Time until the source may purge binlogs still needed"),
            state: gauge("workflow_state", "1 for the state the workflow is in"),
            streams: gauge("streams_running", "Streams under way now"),
            throttled: counter("throttled_seconds_total", "Time copying was held back, by reason"),
            errors: counter("errors_total", "Errors that ended a stream or an attempt, by class"),
            pauses: Family::histogram(
                "shardlift_engine_pause_seconds",
                "From the announcement of a switch's pause to the opened side",
            ),
            steps: counter("switch_step_seconds_total", "Time spent in the steps of switches, by step"),
            switches: counter("switches_total", "Switches of traffic that have ended, by outcome"),
        }
    }

    fn add(&mut self, keyspace: &str, workflow: &str, counts: &WorkflowCounts, gauges: WorkflowGauges) {
        let whose = [("keyspace", keyspace), ("workflow", workflow)];
        let [a, b] = whose;
        let read = |count: &AtomicU64| count.load(Relaxed) as f64;
        self.copied_rows.add(&whose, read(&counts.copied_rows));
        self.copied_bytes.add(&whose, read(&counts.copied_bytes));
        self.copied_chunks.add(&whose, read(&counts.copied_chunks));
        self.copy_rows.add(&whose, gauges.copy_rows as f64);
        self.copy_expected_rows.add(&whose, gauges.copy_expected_rows as f64);
        for (kind, count) in [("insert", &counts.inserts), ("update", &counts.updates), ("delete", &counts.deletes)] {
            self.applied_rows.add(&[a, b, ("kind", kind)], read(count));
        }
        self.applied_bytes.add(&whose, read(&counts.applied_bytes));
        self.applied_txns.add(&whose, read(&counts.applied_txns));
        if let Some(lag) = gauges.lag {
            self.lag.add(&whose, lag.as_secs_f64());
        }
        if let Some(margin) = gauges.purge_margin_seconds {
            self.purge_margin.add(&whose, margin);
        }
        self.state.add(&[a, b, ("state", gauges.state)], 1.0);
        self.streams.add(&whose, read(&counts.streams));
        for (reason, time) in gauges.throttled {
            self.throttled.add(&[a, b, ("reason", reason)], time.as_secs_f64());
        }
        let errors = counts.errors.lock().unwrap_or_else(PoisonError::into_inner);
        for (class, count) in errors.iter() {
            self.errors.add(&[a, b, ("class", class)], *count as f64);
        }
        if let Some(pauses) = counts.pauses.read() {
            self.pauses.add_histogram(&whose, pauses);
        }
        for (step, time) in counts.steps.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            self.steps.add(&[a, b, ("step", step)], time.as_secs_f64());
        }
        for (outcome, count) in counts.switches.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            self.switches.add(&[a, b, ("outcome", outcome)], *count as f64);
        }
    }

    fn into_vec(self) -> Vec<Family> {
        vec![
            self.copied_rows,
            self.copied_bytes,
            self.copied_chunks,
            self.copy_rows,
            self.copy_expected_rows,
            self.applied_rows,
            self.applied_bytes,
            self.applied_txns,
            self.lag,
            self.purge_margin,
            self.state,
            self.streams,
            self.throttled,
            self.errors,
            self.pauses,
            self.steps,
            self.switches,
        ]
    }
}

impl fmt::Debug for Workflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workflow").field("counts", &self.counts).finish_non_exhaustive()
    }
}
