//! From an address to a topology.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Topology;
use super::error::TopologyError;
use super::etcd::{EtcdOptions, EtcdStore};
use super::sqlite::SqliteStore;
use super::store::Store;
use crate::model::ClusterName;
use crate::mysql::endpoint::Secret;

/// The environment variable with the password of the user an etcd URL names.
const ETCD_PASSWORD: &str = "SHARDLIFT_ETCD_PASSWORD";

/// The embedded topology's file in the user's data folder, used where no address is given.
pub fn default_address() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "shardlift").map(|dirs| dirs.data_dir().join("topology.sqlite"))
}

impl Topology {
    /// Opens `cluster` at `address`: `etcd://host:port,…`, `http(s)://host:port,…` (see [`EtcdOptions`]) or the path of
    /// an embedded topology, which is created if need be. etcd is first spoken to by the first call.
    pub async fn open(address: &str, cluster: &ClusterName) -> Result<Self, TopologyError> {
        let store: Arc<dyn Store> = if address.contains("://") {
            let password = std::env::var(ETCD_PASSWORD).ok().map(Secret::new);
            Arc::new(EtcdStore::new(EtcdOptions::parse(address, password)?))
        } else {
            Arc::new(SqliteStore::open(Path::new(address)).await?)
        };
        Ok(Self::new(store, cluster))
    }
}
