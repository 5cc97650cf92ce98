//! The gateway's numbers.
//!
//! A session keeps the [`RouteMetrics`] of where its statements go, and asks for others only when that changes.

use std::array::from_fn;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::Registry;

use super::family::{Family, build_info, register};
use super::latency::Latency;
use super::live::{Live, Registered};
use super::{BufferMetrics, Contact, labels};

labels!(/// What a statement is.
    Verb {
        /// SELECT, TABLE, VALUES, WITH.
        Select = "select",
        /// INSERT.
        Insert = "insert",
        /// REPLACE.
        Replace = "replace",
        /// UPDATE.
        Update = "update",
        /// DELETE.
        Delete = "delete",
        /// LOAD DATA, LOAD XML.
        Load = "load",
        /// CALL, DO, and other programs.
        Call = "call",
        /// What changes definitions.
        Ddl = "ddl",
        /// SHOW, DESCRIBE, EXPLAIN, HELP.
        Show = "show",
        /// SET.
        Set = "set",
        /// BEGIN, COMMIT, ROLLBACK, savepoints, XA.
        Transaction = "transaction",
        /// PREPARE in SQL or in the protocol; its execution counts as what it executes.
        Prepare = "prepare",
        /// Everything else.
        Other = "other",
});

labels!(/// How a statement ended.
    Outcome {
        /// It was done.
        Ok = "ok",
        /// The server answered with an error.
        Error = "error",
        /// The gateway would not send it, or found no server for it.
        Refused = "refused",
        /// The server's connection broke, or its deadline passed.
        Lost = "lost",
        /// The client went away.
        Abandoned = "abandoned",
});

labels!(/// Why the gateway would not send a statement.
    Refusal {
        /// It names no database, and none is in use.
        NoDatabase = "no_database",
        /// There is no such keyspace.
        UnknownDatabase = "unknown_database",
        /// It reaches into several keyspaces or shards.
        SeveralTablets = "several_tablets",
        /// The transaction stands on another tablet.
        OtherTransaction = "other_transaction",
        /// It writes, and its target is a replica.
        ReadOnly = "read_only",
        /// It is of a kind that is not supported.
        Unsupported = "unsupported",
        /// What it touches cannot be told for certain.
        Uncertain = "uncertain",
        /// No tablet of the type is healthy.
        NoTablet = "no_tablet",
        /// No server connection became free in time.
        PoolExhausted = "pool_exhausted",
        /// It is longer than a packet may be, or malformed.
        Malformed = "malformed",
        /// The gateway ends.
        Shutdown = "shutdown",
});

labels!(/// Why a client was turned away.
    TurnedAway {
        /// There are as many as there may be.
        TooMany = "too_many",
        /// Wrong password or unknown user.
        AccessDenied = "access_denied",
        /// It asked for a database that is not there.
        UnknownDatabase = "unknown_database",
        /// It did not finish its login in time.
        Timeout = "timeout",
        /// What it sent is no login, or it went away during it.
        Handshake = "handshake",
        /// The gateway ends.
        Shutdown = "shutdown",
});

/// All of one gateway. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct GatewayMetrics(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    routes: Mutex<BTreeMap<(String, &'static str), Arc<RouteMetrics>>>,
    pools: Live<Pool>,
    refused: Counts<{ Refusal::COUNT }>,
    turned_away: Counts<{ TurnedAway::COUNT }>,
    clients: AtomicI64,
    accepted: AtomicU64,
    view: Contact,
    revision: AtomicI64,
    buffer: BufferMetrics,
}

struct Pool(Box<dyn Fn() -> PoolCounts + Send + Sync>);

/// One tablet's pool at the moment somebody looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct PoolCounts {
    /// Connections that sessions hold.
    pub used: u64,
    /// Connections that lie ready.
    pub idle: u64,
    /// Sessions that wait.
    pub waiting: u64,
    /// Connections opened so far.
    pub created: u64,
    /// Connections reset so far, to serve another session.
    pub reset: u64,
}

/// Where statements go: a keyspace's tablets of one type.
#[derive(Debug)]
pub struct RouteMetrics {
    done: [Counts<{ Outcome::COUNT }>; Verb::COUNT],
    latency: [Latency; Verb::COUNT],
    to_client: AtomicU64,
    to_server: AtomicU64,
}

impl RouteMetrics {
    /// A statement is done, `elapsed` after it arrived.
    pub fn done(&self, verb: Verb, outcome: Outcome, elapsed: Duration) {
        self.done[verb as usize].add(outcome as usize);
        self.latency[verb as usize].observe(elapsed);
    }

    /// Bytes of statements sent to the server and of replies sent to the client.
    pub fn relayed(&self, to_server: u64, to_client: u64) {
        self.to_server.fetch_add(to_server, Relaxed);
        self.to_client.fetch_add(to_client, Relaxed);
    }
}

impl GatewayMetrics {
    /// Shows them in `registry`.
    ///
    /// # Errors
    /// If a gateway's are shown there already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let inner = self.0.clone();
        register(registry, "shardlift_gateway", move || inner.look())
    }

    /// The numbers of a keyspace that the View has; empty names for what the gateway answers itself. Takes a lock: to be
    /// asked when a session's target changes, not for every statement.
    pub fn route(&self, keyspace: &str, tablet_type: &'static str) -> Arc<RouteMetrics> {
        self.0.routes().entry((keyspace.into(), tablet_type)).or_default().clone()
    }

    /// Drops the series of keyspaces that are gone; sessions that still hold them count into the void.
    pub fn keep_keyspaces(&self, known: impl Fn(&str) -> bool) {
        self.0.routes().retain(|(keyspace, _), _| keyspace.is_empty() || known(keyspace));
    }

    /// Shows a tablet's pool, for as long as the answer is kept. `look` is called at every scrape and must not block.
    pub fn pool(
        &self,
        keyspace: &str,
        tablet: &str,
        look: impl Fn() -> PoolCounts + Send + Sync + 'static,
    ) -> Registered {
        self.0.pools.add([keyspace.into(), tablet.into()], Pool(Box::new(look)))
    }

    /// A statement was refused.
    pub fn refused(&self, reason: Refusal) {
        self.0.refused.add(reason as usize);
    }

    /// A client was turned away.
    pub fn turned_away(&self, reason: TurnedAway) {
        self.0.turned_away.add(reason as usize);
    }

    /// A client is connected, until the answer is dropped.
    pub fn client(&self) -> ConnectedClient {
        self.0.accepted.fetch_add(1, Relaxed);
        self.0.clients.fetch_add(1, Relaxed);
        ConnectedClient(self.0.clone())
    }

    /// Writes held while traffic is switched.
    pub fn buffer(&self) -> &BufferMetrics {
        &self.0.buffer
    }

    /// Whether the View is current.
    pub fn view(&self) -> &Contact {
        &self.0.view
    }

    /// The View is of this revision now.
    pub fn view_revision(&self, revision: i64) {
        self.0.revision.store(revision, Relaxed);
    }
}

/// Counts as a connected client while it is kept.
#[derive(Debug)]
pub struct ConnectedClient(Arc<Inner>);

impl Drop for ConnectedClient {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Relaxed);
    }
}

impl Inner {
    fn routes(&self) -> MutexGuard<'_, BTreeMap<(String, &'static str), Arc<RouteMetrics>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> Vec<Family> {
        let mut refused = counter("refused_statements_total", "Statements the gateway would not send, by reason");
        for (reason, count) in Refusal::ALL.iter().zip(self.refused.read()) {
            refused.add(&[("reason", reason.as_str())], count);
        }
        let mut away = counter("turned_away_total", "Connections refused before or at login, by reason");
        for (reason, count) in TurnedAway::ALL.iter().zip(self.turned_away.read()) {
            away.add(&[("reason", reason.as_str())], count);
        }
        let number = |count: &AtomicI64| count.load(Relaxed) as f64;
        let mut families = vec![
            build_info(),
            refused,
            away,
            gauge("clients", "Client connections open now").with(&[], number(&self.clients)),
            counter("clients_total", "Client connections accepted").with(&[], self.accepted.load(Relaxed) as f64),
            gauge("view_age_seconds", "Time since the routing View was last known to be current")
                .with(&[], self.view.age().as_secs_f64()),
            gauge("view_revision", "Topology revision of the View").with(&[], number(&self.revision)),
        ];
        families.extend(self.look_at_routes());
        families.extend(self.look_at_pools());
        families.extend(self.buffer.look());
        families
    }

    fn look_at_routes(&self) -> [Family; 3] {
        let mut done = counter("queries_total", "Statements done, by target, kind and outcome");
        let mut latency = Family::histogram(
            "shardlift_gateway_query_seconds",
            "From a statement's arrival to the end of its reply, by target and kind",
        );
        let mut relayed = counter("relayed_bytes_total", "Bytes of statements and of replies passed on, by target");
        // Copied, so that no session waits while text is made.
        let routes = self.routes().clone();
        for ((keyspace, tablet_type), route) in &routes {
            let (keyspace, tablet_type) = (("keyspace", keyspace.as_str()), ("tablet_type", *tablet_type));
            for (verb, (counts, time)) in Verb::ALL.iter().zip(route.done.iter().zip(&route.latency)) {
                let verb = ("verb", verb.as_str());
                for (outcome, count) in Outcome::ALL.iter().zip(counts.read()).filter(|(_, count)| *count > 0.0) {
                    done.add(&[keyspace, tablet_type, verb, ("outcome", outcome.as_str())], count);
                }
                if let Some(histogram) = time.read() {
                    latency.add_histogram(&[keyspace, tablet_type, verb], histogram);
                }
            }
            for (direction, bytes) in [("to_client", &route.to_client), ("to_server", &route.to_server)] {
                relayed.add(&[keyspace, tablet_type, ("direction", direction)], bytes.load(Relaxed) as f64);
            }
        }
        [done, latency, relayed]
    }

    fn look_at_pools(&self) -> [Family; 4] {
        let mut connections = gauge("pool_connections", "Server connections by tablet and state");
        let mut waiting = gauge("pool_waiting", "Sessions waiting for a server connection");
        let mut created = counter("pool_created_total", "Server connections opened");
        let mut reset = counter("pool_reset_total", "Server connections reset to serve another session");
        for ([keyspace, tablet], pool) in self.pools.now() {
            let whose = [("keyspace", keyspace.as_str()), ("tablet", tablet.as_str())];
            let ([a, b], counts) = (whose, (pool.0)());
            connections.add(&[a, b, ("state", "used")], counts.used as f64);
            connections.add(&[a, b, ("state", "idle")], counts.idle as f64);
            waiting.add(&whose, counts.waiting as f64);
            created.add(&whose, counts.created as f64);
            reset.add(&whose, counts.reset as f64);
        }
        [connections, waiting, created, reset]
    }
}

pub(super) fn counter(name: &str, help: &str) -> Family {
    Family::counter(&format!("shardlift_gateway_{name}"), help)
}

pub(super) fn gauge(name: &str, help: &str) -> Family {
    Family::gauge(&format!("shardlift_gateway_{name}"), help)
}

/// A counter for each value of an enum.
#[derive(Debug)]
pub(super) struct Counts<const N: usize>([AtomicU64; N]);

impl<const N: usize> Counts<N> {
    pub(super) fn add(&self, place: usize) {
        self.0[place].fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> impl Iterator<Item = f64> {
        self.0.iter().map(|count| count.load(Relaxed) as f64)
    }
}

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Self(from_fn(|_| AtomicU64::new(0)))
    }
}

impl Default for RouteMetrics {
    fn default() -> Self {
        Self {
            done: from_fn(|_| Counts::default()),
            latency: from_fn(|_| Latency::default()),
            to_client: AtomicU64::new(0),
            to_server: AtomicU64::new(0),
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}
