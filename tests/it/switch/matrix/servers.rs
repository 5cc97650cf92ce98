//! The shards' servers, for each a primary and a replica, and how one takes the other's place.
//!
//! Commits wait for the replica (semi-sync), so that what a client was told survives a primary. A primary that was killed
//! comes back as a replica; what it had and nobody was told of goes, with all its data.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shardlift::local::Mysqld;

use super::cases::Side;
use super::ground::Layout;
use crate::harness::{Db, TestCluster, until};

const PATIENCE: Duration = Duration::from_secs(60);

/// Which of each shard's servers is the primary. Clones share it.
#[derive(Debug, Clone)]
pub struct Primaries {
    pub layout: Layout,
    /// By side and shard.
    dbs: Arc<[Vec<[Db; 2]>; 2]>,
    now: Arc<Mutex<[Vec<usize>; 2]>>,
}

impl Primaries {
    pub fn of(cluster: &TestCluster, layout: Layout) -> Self {
        let dbs = [Side::Source, Side::Target].map(|side| {
            let keyspace = layout.keyspace(side);
            let of_shard = |shard: &&str| {
                let servers = cluster.tablets(keyspace, shard);
                [0, 1].map(|at| cluster.db(servers[at].1, keyspace))
            };
            layout.shards(side).iter().map(of_shard).collect::<Vec<_>>()
        });
        let now = [0, 1].map(|side: usize| vec![0; dbs[side].len()]);
        Self { layout, dbs: Arc::new(dbs), now: Arc::new(Mutex::new(now)) }
    }

    fn now(&self, side: Side, shard: usize) -> usize {
        self.now.lock().unwrap()[side as usize][shard]
    }

    /// A shard's database on its primary, and which server that is.
    pub fn db(&self, side: Side, shard: usize) -> (Db, usize) {
        let now = self.now(side, shard);
        (self.dbs[side as usize][shard][now].clone(), now)
    }

    /// A side's databases on their primaries.
    pub fn all(&self, side: Side) -> Vec<Db> {
        (0..self.dbs[side as usize].len()).map(|shard| self.db(side, shard).0).collect()
    }

    /// A shard's database on its replica.
    fn replica(&self, side: Side, shard: usize) -> Db {
        self.dbs[side as usize][shard][1 - self.now(side, shard)].clone()
    }
}

/// The servers of one shard.
pub struct Servers<'a> {
    cluster: &'a TestCluster,
    primaries: &'a Primaries,
    side: Side,
    shard: usize,
}

impl<'a> Servers<'a> {
    pub fn of(cluster: &'a TestCluster, primaries: &'a Primaries, side: Side, shard: usize) -> Self {
        Self { cluster, primaries, side, shard }
    }

    fn now(&self) -> usize {
        self.primaries.now(self.side, self.shard)
    }

    fn names(&self) -> (&'static str, &'static str) {
        let layout = self.primaries.layout;
        (layout.keyspace(self.side), layout.shards(self.side)[self.shard])
    }

    fn db(&self) -> Db {
        self.primaries.db(self.side, self.shard).0
    }

    fn replica(&self) -> Db {
        self.primaries.replica(self.side, self.shard)
    }

    fn server(&self, at: usize) -> (String, &'a Mysqld) {
        let (keyspace, shard) = self.names();
        self.cluster.tablets(keyspace, shard).swap_remove(at)
    }

    /// The primary's server.
    pub fn primary(&self) -> &'a Mysqld {
        self.server(self.now()).1
    }

    /// The replica takes over in good order; the former primary is its replica then.
    pub async fn replace(&self) {
        let (old, new) = (self.server(self.now()).1, self.server(1 - self.now()).1);
        let (old_db, new_db) = (self.db(), self.replica());
        old_db.exec("SET GLOBAL super_read_only = ON").await;
        let set = old_db.value("SELECT @@global.gtid_executed").await;
        assert_eq!(new_db.value(&format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{set}', 60)")).await, "0");
        self.hand_over(new).await;
        old.start_replica_of(new).await.unwrap();
    }

    /// The primary is killed, and the replica takes over with all that it was sent.
    pub async fn die(&self) {
        let new = self.server(1 - self.now()).1;
        let new_db = self.replica();
        self.primary().kill9().await.unwrap();
        new_db.exec("STOP REPLICA IO_THREAD").await;
        let status = new_db.named("SHOW REPLICA STATUS").await;
        let set = status.get("Retrieved_Gtid_Set").cloned().unwrap_or_default();
        assert_eq!(new_db.value(&format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{set}', 60)")).await, "0");
        self.hand_over(new).await;
    }

    async fn hand_over(&self, new: &Mysqld) {
        new.promote().await.unwrap();
        let at = 1 - self.now();
        let (alias, (keyspace, shard)) = (self.server(at).0, self.names());
        self.cluster.shardlift().must(&format!("shard set-primary {keyspace}/{shard} {alias}")).await;
        self.primaries.now.lock().unwrap()[self.side as usize][self.shard] = at;
    }

    /// A killed primary comes back, as the replica.
    pub async fn rejoin(&self) {
        let (old, new) = (self.server(1 - self.now()).1, self.primary());
        // It must not take a write before it is a replica.
        let settings = old.spec().dir.join("my.cnf");
        let usual = fs::read_to_string(&settings).unwrap();
        fs::write(&settings, format!("{usual}super_read_only=ON\n")).unwrap();
        old.restart().await.unwrap();
        fs::write(&settings, usual).unwrap();
        let (old_db, new_db) = (self.replica(), self.db());
        let had = old_db.value("SELECT @@global.gtid_executed").await;
        let has = new_db.value("SELECT @@global.gtid_executed").await;
        if new_db.value(&format!("SELECT GTID_SUBSET('{had}', '{has}')")).await == "0" {
            self.clone_from(new, old, &old_db).await;
        }
        old.start_replica_of(new).await.unwrap();
    }

    /// Its data is thrown away for the primary's.
    async fn clone_from(&self, new: &Mysqld, old: &Mysqld, old_db: &Db) {
        let admin = &new.spec().admin;
        let from = format!("127.0.0.1:{}", new.port());
        old_db.exec(&format!("SET GLOBAL super_read_only = OFF; SET GLOBAL clone_valid_donor_list = '{from}'")).await;
        let sql =
            format!("CLONE INSTANCE FROM '{}'@127.0.0.1:{} IDENTIFIED BY '{}'", admin.user, new.port(), admin.password);
        // It ends with the server, which nobody restarts but us: error 3707.
        let ended = old_db.try_exec(&sql).await;
        assert!(ended.as_ref().is_err_and(|error| error.to_string().contains("3707")), "{ended:?}");
        until("the cloned server is down", PATIENCE, async || match old.pid() {
            None => Ok(()),
            Some(pid) => Err(pid),
        })
        .await;
        old.restart().await.unwrap();
    }

    /// Waits until the replica acknowledges commits again.
    pub async fn whole(&self) {
        let primary = self.db();
        until("semi-synchronous replication is on", PATIENCE, async || {
            let status = primary.rows("SHOW STATUS LIKE 'Rpl_semi_sync_source_status'").await;
            if status[0][1].as_deref() == Some("ON") { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
    }
}
