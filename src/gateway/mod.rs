//! The gateway: serves MySQL clients and sends each statement to the tablet that has its tables now (design §6).
//!
//! A [`session`] reads a command; [`sql`] says what it is; [`route`] decides, from a [`view::View`] of the topology, which
//! tablet it goes to; a connection of that tablet comes from [`backend::Pools`]; the reply is relayed to the [`client`] as it
//! comes. Where rows are spread over shards, [`plan`] says which of them a statement is about, by the VSchema and the [`columns`], and
//! [`scatter`] makes one answer of several. [`show`] is what the gateway answers by itself; [`buffer`] holds what must wait while traffic is switched; [`mixes`] remembers
//! what a switch would part.
//!
//! Invariants:
//! - A statement goes to one tablet that has everything it names, or to the shards of one keyspace that have its rows, or is
//!   refused with the reason.
//! - What a session has set, and what it has left on a connection, is there for its next statement, and for nobody else's.
//! - Memory is bounded by packets, not by results: nothing is read from a server that its client does not take.
//! - While the topology is away the last View serves on.

pub mod backend;
pub mod buffer;
pub mod client;
pub mod columns;
pub mod mixes;
pub mod plan;
pub mod route;
pub mod scatter;
pub mod sequence;
pub mod serve;
pub mod session;
pub mod sessions;
pub mod show;
pub mod sql;
pub mod view;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::metrics::GatewayMetrics;

use self::backend::Pools;
use self::backend::health::Healths;
use self::buffer::Buffer;
use self::client::Offer;
use self::columns::Columns;
use self::mixes::Mixes;
use self::plan::cache::Plans;
use self::sequence::Sequences;
use self::sessions::Sessions;
use self::view::View;

/// What clients may take, and for how long.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most clients at a time.
    pub clients: usize,
    /// How long a client may be silent between two commands.
    pub idle: Duration,
    /// How far behind a replica may be that gets reads.
    pub replica_lag: Duration,
    /// How long clients may go on with what they have begun when the gateway ends.
    pub drain: Duration,
}

/// What all sessions share.
#[derive(Debug)]
pub struct Gateway {
    /// The cluster.
    pub views: watch::Receiver<Arc<View>>,
    /// The state of its servers.
    pub healths: watch::Receiver<Healths>,
    /// Connections to them.
    pub pools: Pools,
    /// Statements held while their tables' traffic is switched.
    pub buffer: Buffer,
    /// Who is there.
    pub sessions: Sessions,
    /// What clients are offered when they come.
    pub offer: Offer,
    /// The numbers.
    pub metrics: GatewayMetrics,
    /// Statements that a switch would part.
    pub mixes: Mixes,
    /// What is reserved of sequences.
    pub sequences: Sequences,
    /// The columns of sharded tables.
    pub columns: Columns,
    /// Plans of statements on them.
    pub plans: Plans,
    /// What clients may take.
    pub limits: Limits,
}
