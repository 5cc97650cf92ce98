//! A whole cluster on this machine: MySQL servers, a topology that knows them, and a credentials file.
//!
//! A cluster lives in one folder: `cluster.json` (what it is and what runs), `credentials.json`, the topology, one folder
//! per tablet. The MySQL servers of a shard replicate natively; the topology says which of them is the primary.
//!
//! Invariants:
//! - Whoever starts or stops servers of a folder holds its lock, and a server is recorded before [`Cluster::up`] returns.
//! - Nothing is done in a folder that is neither empty nor a cluster's.
//! - A process is signalled only if it is the one that was recorded, not another with its id.

mod control;
mod folder;
mod grow;
mod mark;
mod register;
mod secrets;
mod spec;

use std::fs::File;
use std::path::{Path, PathBuf};

use futures_util::future::{join_all, try_join_all};

pub use self::control::{ServerState, ServerStatus, down, status};
use self::folder::{ClusterState, MemberState, ServerMark};
use self::mark::ProcessMark;
use self::secrets::Secrets;
pub use self::spec::{ClusterSpec, LocalKeyspace};
use super::{
    Account, Etcd, EtcdPorts, Lifetime, LocalError, Mysqld, MysqldSpec, Ports, Progress, Role, Servers, Stage,
};
use crate::model::workflow::TabletType;
use crate::model::{CredentialName, KeyspaceName, ShardName, TabletAlias};
use crate::topology::Topology;

/// A running local cluster. Dropping it kills its servers, unless detached; [`Self::stop`] ends them in order.
#[derive(Debug)]
pub struct Cluster {
    spec: ClusterSpec,
    secrets: Secrets,
    members: Vec<Member>,
    etcd: Option<Etcd>,
    topology: Topology,
    /// Held while this process starts, stops or keeps the servers.
    _lock: File,
}

/// One tablet and its server.
#[derive(Debug)]
pub struct Member {
    /// The tablet's alias.
    pub alias: TabletAlias,
    /// The keyspace it serves.
    pub keyspace: LocalKeyspace,
    /// The shard it serves.
    pub shard: ShardName,
    /// PRIMARY or REPLICA.
    pub tablet_type: TabletType,
    /// Its server.
    pub server: Mysqld,
}

impl Member {
    fn new(state: &MemberState, server: Mysqld) -> Self {
        Self {
            alias: state.alias.clone(),
            keyspace: state.keyspace.clone(),
            shard: state.shard.clone(),
            tablet_type: state.tablet_type,
            server,
        }
    }
}

impl Cluster {
    /// Starts the cluster, on the data it finds in its folder or on new data, and registers it in its topology.
    ///
    /// Refused if it runs already, if the folder holds something else, or a cluster of another shape.
    pub async fn up(mut spec: ClusterSpec, servers: &Servers, progress: &dyn Progress) -> Result<Self, LocalError> {
        spec.dir = std::path::absolute(&spec.dir).map_err(LocalError::io("resolve", &spec.dir))?;
        spec.check()?;
        let (lock, mut state) = folder::claim(&spec)?;
        let secrets = Secrets::open(&spec.dir, servers)?;
        let ports = Ports::open(&servers.cache)?;
        let etcd_ports = match &mut state.etcd {
            Some(etcd) => Some(etcd.claim_ports(&ports)?),
            None => None,
        };
        let topology = Topology::open(&spec.topology_address(&state), &spec.name).await?;
        let mut cluster = Self { members: Vec::new(), spec, secrets, etcd: None, topology, _lock: lock };
        match cluster.start(&mut state, 0, servers, &ports, etcd_ports, progress).await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                if let Err(second) = cluster.stop().await {
                    tracing::warn!(%second, "a server of the cluster that did not come up could not be stopped");
                }
                Err(error)
            }
        }
    }

    /// From servers at rest to a registered cluster; those of the members before `first` run already. If it fails, what was
    /// started is in `self`.
    async fn start(
        &mut self,
        state: &mut ClusterState,
        first: usize,
        servers: &Servers,
        ports: &Ports,
        etcd_ports: Option<EtcdPorts>,
        progress: &dyn Progress,
    ) -> Result<(), LocalError> {
        progress.stage(Stage::Start);
        let (dir, lifetime) = (&self.spec.dir, self.spec.lifetime);
        if let Some(ports) = etcd_ports {
            self.etcd = Some(Etcd::start(servers, &dir.join("etcd"), ports, lifetime).await?);
        }
        let new = &mut state.members[first..];
        register::follow_primaries(&self.topology, new).await?;
        let mut specs = Vec::with_capacity(new.len());
        for member in new {
            specs.push(self.server_spec(member, ports)?);
        }
        state.write(dir)?;
        let started = join_all(specs.into_iter().map(|spec| Mysqld::start(servers, spec))).await;
        let mut failure = None;
        for (member, server) in state.members[first..].iter().zip(started) {
            match server {
                Ok(server) => self.members.push(Member::new(member, server)),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match failure {
            Some(error) => Err(error),
            None => self.make_ready(state, first, progress).await,
        }
    }

    async fn make_ready(
        &self,
        state: &mut ClusterState,
        first: usize,
        progress: &dyn Progress,
    ) -> Result<(), LocalError> {
        for (member, running) in state.members[first..].iter_mut().zip(&self.members) {
            let server = &running.server;
            member.server = mark_of(server.pid(), Some(server.socket()));
        }
        if let (Some(recorded), Some(etcd)) = (&mut state.etcd, &self.etcd) {
            recorded.server = mark_of(etcd.pid(), None);
        }
        if self.spec.lifetime == Lifetime::Owned {
            state.keeper = ProcessMark::of(std::process::id());
        }
        state.write(&self.spec.dir)?;
        progress.stage(Stage::Replicate);
        try_join_all(self.replicas().map(|replica| async {
            match self.primary_of(&replica.keyspace.name, &replica.shard) {
                Some(primary) => replica.server.start_replica_of(&primary.server).await,
                None => Ok(()),
            }
        }))
        .await?;
        try_join_all(self.primaries().map(|primary| {
            let database = primary.keyspace.database.as_str().replace('`', "``");
            let sql = format!("CREATE DATABASE IF NOT EXISTS `{database}`");
            async move { primary.server.query_drop("creating the keyspace's database", &sql).await }
        }))
        .await?;
        progress.stage(Stage::Register);
        if state.registered && first == 0 {
            register::refresh(&self.topology, &self.members).await?;
        } else {
            register::register(&self.topology, &self.spec, &self.members).await?;
            state.registered = true;
            state.write(&self.spec.dir)?;
        }
        Ok(())
    }

    fn server_spec(&self, member: &mut MemberState, ports: &Ports) -> Result<MysqldSpec, LocalError> {
        let dir = self.spec.dir.join(member.alias.to_string());
        folder::clear_socket(&dir)?;
        let port = ports.claim_or_lease(member.port)?;
        member.port = port.number();
        let mut spec = MysqldSpec::new(dir, port, member.alias.uid, self.secrets.engine.clone());
        spec.role = if member.tablet_type == TabletType::Primary { Role::Primary } else { Role::Replica };
        spec.accounts = vec![self.secrets.app.clone()];
        spec.semi_sync = self.spec.semi_sync;
        spec.extra_args = self.spec.extra_args.clone();
        spec.lifetime = self.spec.lifetime;
        Ok(spec)
    }

    /// Stops all servers: replicas first, for a primary waits 10 s for whoever reads its binlog. The data stays.
    pub async fn stop(&self) -> Result<(), LocalError> {
        let replicas = join_all(self.replicas().map(|m| m.server.stop())).await;
        let primaries = join_all(self.primaries().map(|m| m.server.stop())).await;
        let etcd = match &self.etcd {
            Some(etcd) => etcd.stop().await,
            None => Ok(()),
        };
        replicas.into_iter().chain(primaries).chain([etcd]).collect::<Result<(), _>>()?;
        ClusterState::at_rest(&self.spec.dir)
    }

    /// What it was made from.
    pub fn spec(&self) -> &ClusterSpec {
        &self.spec
    }

    /// Its topology.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// What `--topo` takes.
    pub fn topology_address(&self) -> String {
        match &self.etcd {
            Some(etcd) => etcd.endpoint().replacen("http", "etcd", 1),
            None => self.spec.topology_file().display().to_string(),
        }
    }

    /// The file that holds the credentials `engine` and `app`.
    pub fn credentials_file(&self) -> PathBuf {
        self.spec.credentials_file()
    }

    /// The account the engine uses; it may do everything.
    pub fn engine(&self) -> &Account {
        &self.secrets.engine
    }

    /// The account applications use.
    pub fn app(&self) -> &Account {
        &self.secrets.app
    }

    /// What the credentials file calls that account.
    pub fn app_credential(&self) -> &CredentialName {
        &self.secrets.app_credential
    }

    /// The server of its topology, where that is etcd.
    pub fn etcd(&self) -> Option<&Etcd> {
        self.etcd.as_ref()
    }

    /// Its tablets, primaries before the replicas of their shard.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The primary of a shard.
    pub fn primary_of(&self, keyspace: &KeyspaceName, shard: &ShardName) -> Option<&Member> {
        self.primaries().find(|m| m.keyspace.name == *keyspace && m.shard == *shard)
    }

    fn primaries(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| m.tablet_type == TabletType::Primary)
    }

    fn replicas(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| m.tablet_type != TabletType::Primary)
    }
}

/// A server that has just answered has a process, unless it died since; then there is nothing to record.
fn mark_of(pid: Option<u32>, socket: Option<&Path>) -> Option<ServerMark> {
    let process = pid.and_then(ProcessMark::of)?;
    Some(ServerMark { process, socket: socket.map(Path::to_path_buf) })
}
