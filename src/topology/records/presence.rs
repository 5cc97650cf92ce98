//! What running processes say of themselves; each lives as long as its process's lease.

use serde::{Deserialize, Serialize};

use super::Record;
use crate::model::InstanceId;
use crate::topology::store::Revision;

/// A running engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnginePresence {
    /// Where its HTTP service listens, as host:port.
    pub address: String,
    /// When it started, in seconds since the Unix epoch.
    pub started: u64,
    /// Its process id.
    pub pid: u32,
    /// The host it runs on.
    pub host: String,
}

impl Record for EnginePresence {
    const KIND: &'static str = "engine";
    const VERSION: u32 = 1;
}

/// A running gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayPresence {
    /// Where it takes MySQL clients, as host:port.
    pub listen: String,
    /// Where its HTTP service listens, as host:port; empty for none.
    pub address: String,
    /// When it started, in seconds since the Unix epoch.
    pub started: u64,
    /// Its process id.
    pub pid: u32,
    /// The host it runs on.
    pub host: String,
    /// The newest revision of the topology that decides here on every statement read from now on. It is raised with each
    /// change of pauses, rules, shards and tablets; 0 where a release before this said nothing.
    #[serde(default)]
    pub revision: Revision,
}

impl Record for GatewayPresence {
    const KIND: &'static str = "gateway";
    const VERSION: u32 = 1;
}

/// Who carries a workflow. The fencing token is not in the record: it is the revision that wrote it, which the store
/// itself hands out, once and rising.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The engine.
    pub engine: InstanceId,
}

impl Record for Owner {
    const KIND: &'static str = "owner";
    const VERSION: u32 = 1;
}
