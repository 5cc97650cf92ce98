//! From an address to a topology.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Topology;
use super::error::TopologyError;
use super::etcd::{EtcdOptions, EtcdStore, without_secrets};
use super::sqlite::SqliteStore;
use super::store::Store;
use crate::model::ClusterName;
use crate::mysql::credential::private_text;
use crate::mysql::endpoint::Secret;

/// The environment variable with the password of the user an etcd URL names, and the one with the path of a file that has it.
const ETCD_PASSWORD: &str = "SHARDLIFT_ETCD_PASSWORD";
const ETCD_PASSWORD_FILE: &str = "SHARDLIFT_ETCD_PASSWORD_FILE";

/// The embedded topology's file in the user's data folder, used where no address is given.
pub fn default_address() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "shardlift").map(|dirs| dirs.data_dir().join("topology.sqlite"))
}

impl Topology {
    /// Opens `cluster` at `address`: `etcd://host:port,…`, `http(s)://host:port,…` (see [`EtcdOptions`]) or the path of
    /// an embedded topology, which is created if need be. etcd is first spoken to by the first call.
    pub async fn open(address: &str, cluster: &ClusterName) -> Result<Self, TopologyError> {
        let store: Arc<dyn Store> = if address.contains("://") {
            Arc::new(EtcdStore::new(EtcdOptions::parse(address, etcd_password(address)?)?))
        } else {
            Arc::new(SqliteStore::open(Path::new(address)).await?)
        };
        Ok(Self::new(store, cluster))
    }
}

fn etcd_password(address: &str) -> Result<Option<Secret>, TopologyError> {
    if let Ok(password) = std::env::var(ETCD_PASSWORD) {
        return Ok(Some(Secret::new(password)));
    }
    let Some(path) = std::env::var_os(ETCD_PASSWORD_FILE) else { return Ok(None) };
    let text = private_text(Path::new(&path)).map_err(|error| {
        let path = Path::new(&path).display();
        TopologyError::Address {
            address: without_secrets(address),
            why: format!("{ETCD_PASSWORD_FILE}: {path}: {error}"),
        }
    })?;
    Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned())))
}
