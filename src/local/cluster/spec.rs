//! What a local cluster is made from.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::folder::ClusterState;
use crate::local::{Lifetime, LocalError};
use crate::model::{Cell, ClusterName, DatabaseName, KeyspaceName, NameError, ShardName, TabletAlias};

/// Numbers of a shard's tablets start this far apart: 100 the first primary, 101 its replica, 200 the next primary.
const STRIDE: u32 = 100;

/// What a local cluster is made from. It is kept in the cluster's folder, but for where that is and how long it lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSpec {
    /// The cluster's folder.
    #[serde(skip)]
    pub dir: PathBuf,
    /// The cluster's name within its topology.
    pub name: ClusterName,
    /// The one cell its tablets live in.
    pub cell: Cell,
    /// Its keyspaces.
    pub keyspaces: Vec<LocalKeyspace>,
    /// Replicas of each primary, by native replication.
    pub replicas: u32,
    /// Whether etcd holds the topology, instead of a file.
    pub etcd: bool,
    /// Semi-synchronous replication: how long a commit waits for a replica. `None`: asynchronous.
    pub semi_sync: Option<Duration>,
    /// Further `mysqld` arguments, for every server.
    pub extra_args: Vec<String>,
    /// Whether the servers outlive this process.
    #[serde(skip)]
    pub lifetime: Lifetime,
}

/// A keyspace of a local cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalKeyspace {
    /// Its name.
    pub name: KeyspaceName,
    /// The MySQL schema it is kept in.
    pub database: DatabaseName,
    /// Its shards; each gets servers of its own.
    pub shards: Vec<ShardName>,
}

impl LocalKeyspace {
    /// An unsharded keyspace in a schema of the same name.
    pub fn unsharded(name: &str) -> Result<Self, NameError> {
        Ok(Self { name: name.parse()?, database: name.parse()?, shards: vec![ShardName::unsharded()] })
    }
}

impl ClusterSpec {
    /// Cluster `main`, cell `zone1`, unsharded keyspaces of these names; no replicas, the topology in a file, servers that
    /// die with this process.
    pub fn new(dir: impl Into<PathBuf>, keyspaces: &[&str]) -> Result<Self, NameError> {
        Ok(Self {
            dir: dir.into(),
            name: "main".parse()?,
            cell: "zone1".parse()?,
            keyspaces: keyspaces.iter().map(|name| LocalKeyspace::unsharded(name)).collect::<Result<_, _>>()?,
            replicas: 0,
            etcd: false,
            semi_sync: None,
            extra_args: Vec::new(),
            lifetime: Lifetime::Owned,
        })
    }

    /// The usual one: keyspaces `commerce` and `customer`.
    pub fn commerce_and_customer(dir: impl Into<PathBuf>) -> Result<Self, NameError> {
        Self::new(dir, &["commerce", "customer"])
    }

    /// What the cluster in `dir` was made from; `None` if there is none.
    pub fn recorded(dir: impl Into<PathBuf>) -> Result<Option<Self>, LocalError> {
        let dir = dir.into();
        Ok(ClusterState::read(&dir)?.map(|state| Self { dir, ..state.spec }))
    }

    /// The file that holds the credentials `engine` and `app`.
    pub fn credentials_file(&self) -> PathBuf {
        self.dir.join("credentials.json")
    }

    /// Where the users of a gateway in front of it are to be declared.
    pub fn users_file(&self) -> PathBuf {
        self.dir.join("gateway-users.json")
    }

    /// A script that runs the `mysql` client as `app`.
    pub fn client_script(&self) -> PathBuf {
        self.dir.join("mysql")
    }

    pub(super) fn topology_file(&self) -> PathBuf {
        self.dir.join("topology.sqlite")
    }

    pub(super) fn topology_address(&self, state: &ClusterState) -> String {
        match &state.etcd {
            Some(etcd) => format!("etcd://127.0.0.1:{}", etcd.client),
            None => self.topology_file().display().to_string(),
        }
    }

    pub(super) fn check(&self) -> Result<(), LocalError> {
        let refuse = |why: &str| Err(LocalError::Setting(why.into()));
        if self.keyspaces.is_empty() {
            return refuse("a local cluster needs a keyspace");
        }
        if self.replicas >= STRIDE {
            return refuse("a local cluster has at most 99 replicas per shard");
        }
        let mut names: Vec<&KeyspaceName> = self.keyspaces.iter().map(|k| &k.name).collect();
        names.sort();
        names.dedup();
        if names.len() < self.keyspaces.len() {
            return refuse("a keyspace is named twice");
        }
        Ok(())
    }

    /// Whether both describe the same servers and topology.
    pub(super) fn has_shape_of(&self, other: &Self) -> bool {
        let shape = |s: &Self| (s.name.clone(), s.cell.clone(), s.keyspaces.clone(), s.replicas, s.etcd);
        shape(self) == shape(other)
    }

    /// The tablets of a shard whose numbers come after `highest`, and whether each starts as the primary.
    pub(super) fn tablets_above(&self, highest: u32) -> impl Iterator<Item = (TabletAlias, bool)> {
        let first = (highest / STRIDE + 1) * STRIDE;
        (0..=self.replicas).map(move |r| (TabletAlias { cell: self.cell.clone(), uid: first + r }, r == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tablets_are_numbered_as_in_vitess_examples() {
        let mut spec = ClusterSpec::commerce_and_customer("/x").unwrap();
        spec.replicas = 1;
        let uids = |above| spec.tablets_above(above).map(|(alias, primary)| (alias.uid, primary)).collect::<Vec<_>>();
        assert_eq!(uids(0), [(100, true), (101, false)]);
        assert_eq!(uids(101), [(200, true), (201, false)]);
        assert!(spec.check().is_ok());
        spec.keyspaces.push(LocalKeyspace::unsharded("commerce").unwrap());
        assert!(spec.check().is_err());
    }
}
