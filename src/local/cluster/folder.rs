//! A cluster's folder: what it says of itself, and who may act on it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::mark::ProcessMark;
use super::spec::{ClusterSpec, LocalKeyspace};
use crate::local::cache::{private_dir, write_private};
use crate::local::{EtcdPorts, LocalError, Ports};
use crate::model::workflow::TabletType;
use crate::model::{ShardName, TabletAlias};

const STATE: &str = "cluster.json";
const LOCK: &str = "lock";
const FORMAT: &str = "shardlift-local-cluster-1";

/// What `cluster.json` holds. No secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ClusterState {
    format: String,
    pub(super) spec: ClusterSpec,
    /// Whether the topology has been told of the tablets; after that it is the operator's.
    pub(super) registered: bool,
    /// The process that keeps the servers, where they die with it.
    pub(super) keeper: Option<ProcessMark>,
    pub(super) etcd: Option<EtcdState>,
    pub(super) members: Vec<MemberState>,
}

/// The topology's etcd.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct EtcdState {
    /// Client port, 0 before the first start.
    pub(super) client: u16,
    /// Peer port, 0 before the first start.
    pub(super) peer: u16,
    pub(super) server: Option<ServerMark>,
}

impl EtcdState {
    pub(super) fn claim_ports(&mut self, ports: &Ports) -> Result<EtcdPorts, LocalError> {
        let claimed = EtcdPorts { client: ports.claim_or_lease(self.client)?, peer: ports.claim_or_lease(self.peer)? };
        (self.client, self.peer) = (claimed.client.number(), claimed.peer.number());
        Ok(claimed)
    }
}

/// A tablet's server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct MemberState {
    pub(super) alias: TabletAlias,
    pub(super) keyspace: LocalKeyspace,
    pub(super) shard: ShardName,
    #[serde(rename = "type")]
    pub(super) tablet_type: TabletType,
    /// TCP port, 0 before the first start.
    pub(super) port: u16,
    pub(super) server: Option<ServerMark>,
}

/// A server that was started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ServerMark {
    pub(super) process: ProcessMark,
    pub(super) socket: Option<PathBuf>,
}

impl ClusterState {
    fn new(spec: &ClusterSpec) -> Self {
        let mut state = Self {
            format: FORMAT.into(),
            spec: spec.clone(),
            registered: false,
            keeper: None,
            etcd: spec.etcd.then(EtcdState::default),
            members: Vec::new(),
        };
        state.add_missing_members();
        state
    }

    /// Adds the tablets of shards that have none; the place of the first of them.
    pub(super) fn add_missing_members(&mut self) -> usize {
        let (known, spec) = (self.members.len(), self.spec.clone());
        let shards = spec.keyspaces.iter().flat_map(|keyspace| keyspace.shards.iter().map(move |s| (keyspace, s)));
        let has = |member: &MemberState, keyspace: &LocalKeyspace, shard: &ShardName| {
            member.keyspace.name == keyspace.name && member.shard == *shard
        };
        let new: Vec<_> =
            shards.filter(|(keyspace, shard)| !self.members.iter().any(|m| has(m, keyspace, shard))).collect();
        let mut highest = self.members.iter().map(|member| member.alias.uid).max().unwrap_or(0);
        for (keyspace, shard) in new {
            for (alias, primary) in spec.tablets_above(highest) {
                highest = alias.uid;
                self.members.push(MemberState {
                    alias,
                    keyspace: keyspace.clone(),
                    shard: shard.clone(),
                    tablet_type: if primary { TabletType::Primary } else { TabletType::Replica },
                    port: 0,
                    server: None,
                });
            }
        }
        known
    }

    /// Reads a folder's cluster; `None` if it holds none.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, LocalError> {
        let path = dir.join(STATE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LocalError::Io { doing: "read", path, source }),
        };
        let state: Self = serde_json::from_str(&text)
            .map_err(|error| refuse(dir, format!("its {STATE} is not one of this program's: {error}")))?;
        if state.format != FORMAT {
            return Err(refuse(
                dir,
                format!("its {STATE} is of format `{}`; this program knows {FORMAT}", state.format),
            ));
        }
        Ok(Some(state))
    }

    /// Writes it whole or not at all.
    pub(super) fn write(&self, dir: &Path) -> Result<(), LocalError> {
        let (path, half) = (dir.join(STATE), dir.join(format!("{STATE}.new")));
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| refuse(dir, format!("its state cannot be written: {error}")))?;
        write_private(&half, &text)?;
        fs::rename(&half, &path).map_err(LocalError::io("rename into place", &path))
    }

    /// Records that no server of the folder runs.
    pub(super) fn at_rest(dir: &Path) -> Result<(), LocalError> {
        let Some(mut state) = Self::read(dir)? else { return Ok(()) };
        state.keeper = None;
        state.members.iter_mut().for_each(|member| member.server = None);
        if let Some(etcd) = &mut state.etcd {
            etcd.server = None;
        }
        state.write(dir)
    }

    /// The recorded processes of servers that still run.
    pub(super) fn alive(&self) -> impl Iterator<Item = &ProcessMark> {
        let members = self.members.iter().filter_map(|m| m.server.as_ref());
        let etcd = self.etcd.iter().filter_map(|e| e.server.as_ref());
        members.chain(etcd).map(|server| &server.process).filter(|process| process.is_alive())
    }
}

/// Takes the folder for a start: its lock, and its state, new if there was none.
pub(super) fn claim(spec: &ClusterSpec) -> Result<(File, ClusterState), LocalError> {
    let dir = &spec.dir;
    private_dir(dir)?;
    if ClusterState::read(dir)?.is_none() {
        let strangers = fs::read_dir(dir).map_err(LocalError::io("list", dir))?;
        if let Some(stranger) = strangers.filter_map(Result::ok).find(|entry| entry.file_name() != LOCK) {
            let stranger = stranger.file_name();
            let why =
                format!("it is not empty (`{}`) and holds no local cluster; choose another --dir", stranger.display());
            return Err(refuse(dir, why));
        }
    }
    let Some(lock) = try_lock(dir)? else { return Err(running(dir)) };
    // Read again: the lock may have come from another start's end.
    let mut state = ClusterState::read(dir)?.unwrap_or_else(|| ClusterState::new(spec));
    if state.alive().next().is_some() {
        return Err(running(dir));
    }
    if !spec.has_shape_of(&state.spec) {
        let why = "it holds a cluster of another shape (keyspaces, replicas, etcd); leave those options out to start that \
                   one, or choose another --dir";
        return Err(refuse(dir, why.into()));
    }
    state.spec = spec.clone();
    Ok((lock, state))
}

/// The folder's lock, unless another process holds it. The kernel frees it at any death.
pub(super) fn try_lock(dir: &Path) -> Result<Option<File>, LocalError> {
    let path = dir.join(LOCK);
    let opened = File::options().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(LocalError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(LocalError::Io { doing: "lock", path, source }),
    }
}

/// Removes what a killed server leaves of its socket: the id in the lock file may be a stranger's by now, and then mysqld
/// would not start. The caller knows that no server of the folder runs.
pub(super) fn clear_socket(server_dir: &Path) -> Result<(), LocalError> {
    for name in ["mysql.sock", "mysql.sock.lock"] {
        let path = server_dir.join(name);
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path).map_err(LocalError::io("remove", &path))?;
        }
    }
    Ok(())
}

fn running(dir: &Path) -> LocalError {
    let place = dir.display();
    let why = format!(
        "its cluster is up; see `shardlift local status --dir {place}`, end it with `shardlift local down --dir {place}`"
    );
    refuse(dir, why)
}

pub(super) fn refuse(dir: &Path, why: String) -> LocalError {
    LocalError::Cluster { dir: dir.to_path_buf(), why }
}
