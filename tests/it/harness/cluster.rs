//! A cluster of a test's own, in a folder of its own.

use std::path::{Path, PathBuf};

use shardlift::local::cluster::{Cluster, ClusterSpec, Member};
use shardlift::local::{Account, Etcd, InstallOptions, Mysqld, Servers, ensure};
use shardlift::model::workflow::TabletType;
use shardlift::mysql::{Endpoint, Login, Secret};
use shardlift::topology::Topology;
use tempfile::TempDir;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use super::{Db, Shardlift};

/// How many clusters run at a time: each server takes about 240 MB, and there are two cores.
static SLOTS: Semaphore = Semaphore::const_new(2);
static SERVERS: OnceCell<Servers> = OnceCell::const_new();

/// The server programs, looked for once per test process.
pub async fn servers() -> &'static Servers {
    let find =
        || async { ensure(&InstallOptions { need_etcd: true, ..InstallOptions::from_env() }, &()).await.unwrap() };
    SERVERS.get_or_init(find).await
}

/// A running cluster: keyspaces `commerce` (the usual source) and `customer` (the usual target), each in a database of its
/// name on a primary of its own. Its servers are killed when it is dropped.
#[derive(Debug)]
pub struct TestCluster {
    cluster: Cluster,
    folder: Option<TempDir>,
    _slot: SemaphorePermit<'static>,
}

impl TestCluster {
    /// Two primaries, the topology in a file.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// One that differs from the usual: replicas, semi-sync, etcd, arguments for mysqld.
    pub async fn with(change: impl FnOnce(&mut ClusterSpec)) -> Self {
        let slot = SLOTS.acquire().await.unwrap();
        let folder = tempfile::Builder::new().prefix("shardlift-test-").tempdir().unwrap();
        let mut spec = ClusterSpec::commerce_and_customer(folder.path().join("cluster")).unwrap();
        change(&mut spec);
        let started = Cluster::up(spec, servers().await, &()).await;
        let cluster = started.unwrap_or_else(|error| panic!("{error}"));
        Self { cluster, folder: Some(folder), _slot: slot }
    }

    /// The server of keyspace `commerce`.
    pub fn source(&self) -> &Mysqld {
        &self.member("commerce", TabletType::Primary).server
    }

    /// The server of keyspace `customer`.
    pub fn target(&self) -> &Mysqld {
        &self.member("customer", TabletType::Primary).server
    }

    /// The first replica of keyspace `commerce`.
    pub fn source_replica(&self) -> &Mysqld {
        &self.member("commerce", TabletType::Replica).server
    }

    /// The first replica of keyspace `customer`.
    pub fn target_replica(&self) -> &Mysqld {
        &self.member("customer", TabletType::Replica).server
    }

    /// The server of the topology; only where that is etcd.
    pub fn etcd(&self) -> &Etcd {
        self.cluster.etcd().unwrap()
    }

    /// The alias of the tablet of [`Self::source_replica`].
    pub fn source_replica_alias(&self) -> String {
        self.member("commerce", TabletType::Replica).alias.to_string()
    }

    /// The tablets of a shard and their servers, the first primary first.
    pub fn tablets(&self, keyspace: &str, shard: &str) -> Vec<(String, &Mysqld)> {
        let inside = |m: &&Member| m.keyspace.name.as_str() == keyspace && m.shard.to_string() == shard;
        let members = self.cluster.members().iter().filter(inside);
        members.map(|member| (member.alias.to_string(), &member.server)).collect()
    }

    /// Every tablet and its server.
    pub fn all_tablets(&self) -> Vec<(String, &Mysqld)> {
        self.cluster.members().iter().map(|member| (member.alias.to_string(), &member.server)).collect()
    }

    /// Database `commerce` on the source.
    pub fn source_db(&self) -> Db {
        self.db(self.source(), "commerce")
    }

    /// Database `customer` on the target.
    pub fn target_db(&self) -> Db {
        self.db(self.target(), "customer")
    }

    /// A database on one of the servers, as the account that may do everything.
    pub fn db(&self, server: &Mysqld, database: &str) -> Db {
        Db::new(server, self.cluster.engine(), database)
    }

    /// The account applications use.
    pub fn app(&self) -> &Account {
        self.cluster.app()
    }

    /// The login of the data path at one of the servers.
    pub fn login(&self, server: &Mysqld) -> Login {
        let engine = self.cluster.engine();
        let endpoint = Endpoint::unix(server.socket());
        Login { endpoint, user: engine.user.clone(), password: Secret::new(engine.password.clone()), database: None }
    }

    /// The topology, as another process has it.
    pub fn topology(&self) -> &Topology {
        self.cluster.topology()
    }

    /// The program, with this cluster's topology and credentials.
    pub fn shardlift(&self) -> Shardlift {
        Shardlift::new(&self.cluster.topology_address(), &self.cluster.credentials_file(), &self.folder().join("logs"))
    }

    /// What `--topo` takes.
    pub fn topology_address(&self) -> String {
        self.cluster.topology_address()
    }

    /// The test's folder.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    /// The primaries of a keyspace's shards, in their order.
    pub fn primaries(&self, keyspace: &str) -> Vec<&Mysqld> {
        let wanted = |m: &&Member| m.keyspace.name.as_str() == keyspace && m.tablet_type == TabletType::Primary;
        self.cluster.members().iter().filter(wanted).map(|member| &member.server).collect()
    }

    fn member(&self, keyspace: &str, tablet_type: TabletType) -> &Member {
        let wanted = |m: &&Member| m.keyspace.name.as_str() == keyspace && m.tablet_type == tablet_type;
        let found = self.cluster.members().iter().find(wanted);
        found.unwrap_or_else(|| panic!("keyspace {keyspace} has no {tablet_type}"))
    }

    /// Ends it as a failed test does: its folder stays.
    pub fn keep(mut self) {
        self.keep_folder();
    }

    fn keep_folder(&mut self) {
        if let Some(folder) = self.folder.take() {
            let kept: PathBuf = folder.keep();
            eprintln!("the test's servers, logs and topology are kept in {}", kept.display());
        }
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_folder();
        }
    }
}
