//! The gateway's View of a real topology: swapped whole, kept while the topology is away.

use std::sync::Arc;
use std::time::Duration;

use shardlift::gateway::view::{View, follow};
use shardlift::local::{self, Etcd, EtcdPorts, InstallOptions, Lifetime, Ports};
use shardlift::model::KeyspaceName;
use shardlift::model::routing::TableMove;
use shardlift::model::workflow::TabletType;
use shardlift::topology::records::{Keyspace, Shard};
use shardlift::topology::{Topology, Txn, paths};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(15);

struct Follower {
    views: watch::Receiver<Arc<View>>,
    heard: watch::Receiver<Option<Instant>>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Follower {
    fn start(topology: Topology) -> Self {
        let (sender, views) = watch::channel(Arc::new(View::default()));
        let (heard_sender, heard) = watch::channel(None);
        let cancel = CancellationToken::new();
        let task = tokio::spawn(follow(topology, sender, heard_sender, cancel.clone()));
        Self { views, heard, cancel, task }
    }

    async fn until(&mut self, what: &str, wanted: impl FnMut(&Arc<View>) -> bool) -> Arc<View> {
        let seen = timeout(SOON, self.views.wait_for(wanted)).await;
        seen.unwrap_or_else(|_| panic!("{what}: not seen within {SOON:?}")).unwrap().clone()
    }

    async fn end(self) {
        self.cancel.cancel();
        timeout(SOON, self.task).await.unwrap().unwrap();
    }
}

fn keyspace(name: &str) -> (KeyspaceName, Keyspace) {
    (name.parse().unwrap(), Keyspace { database: name.parse().unwrap() })
}

fn led(view: &View, tablet_type: TabletType) -> Option<String> {
    view.rules.lookup("corder", Some("commerce"), tablet_type).unwrap().map(ToString::to_string)
}

async fn fill(topology: &Topology) -> TableMove {
    for name in ["commerce", "customer"] {
        let (name, record) = keyspace(name);
        topology.add_keyspace(&name, &record).await.unwrap();
        topology.add_shard(&name, &"0".parse().unwrap()).await.unwrap();
    }
    let moved = TableMove {
        source: "commerce".parse().unwrap(),
        target: "customer".parse().unwrap(),
        tables: ["corder".parse().unwrap()].into(),
        switched: Default::default(),
    };
    topology.create(&paths::workflow_rules(&moved.target, &"move".parse().unwrap()), &moved).await.unwrap();
    moved
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_is_seen_whole_and_bad_records_do_not_stop_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("topology.sqlite").display().to_string();
    let topology = Topology::open(&address, &"main".parse().unwrap()).await.unwrap();
    let mut moved = fill(&topology).await;
    let mut follower = Follower::start(Topology::open(&address, &"main".parse().unwrap()).await.unwrap());
    let first = follower.until("the first view", |view| view.is_known()).await;
    assert_eq!(led(&first, TabletType::Primary).as_deref(), Some("commerce"));

    // Rules and a shard's record change in one transaction; whoever sees one of them sees the other.
    let (rules, shard) = (
        paths::workflow_rules(&moved.target, &"move".parse().unwrap()),
        paths::shard(&moved.source, &"0".parse().unwrap()),
    );
    for round in 1..=40u64 {
        let back = round.is_multiple_of(2);
        moved.switched = if back { Default::default() } else { [TabletType::Primary].into() };
        let record = Shard { primary: None, term: round, primary_since: None, serving: [TabletType::Primary].into() };
        let txn = topology.put(Txn::new(), &rules, &moved).unwrap();
        topology.txn(topology.put(txn, &shard, &record).unwrap()).await.unwrap();
        let seen = follower.views.borrow_and_update().clone();
        let term = seen.keyspace("commerce").unwrap().shards[0].term;
        let expected = if term.is_multiple_of(2) { "commerce" } else { "customer" };
        assert_eq!(led(&seen, TabletType::Primary).as_deref(), Some(expected), "term {term}");
    }
    follower.until("the last round", |view| view.keyspace("commerce").unwrap().shards[0].term == 40).await;

    // A newer release's record: its keyspace is refused, the others and the tables of others are not.
    let (name, _) = keyspace("broken");
    let key = topology.paths().key(&paths::keyspace(&name));
    topology.txn(Txn::new().put(key, r#"{"version":99}"#)).await.unwrap();
    let view = follower.until("the broken record", |view| view.keyspace("broken").is_some()).await;
    assert!(
        view.keyspace("broken").unwrap().unreadable.is_some()
            && view.keyspace("commerce").unwrap().unreadable.is_none()
    );
    follower.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_topology_is_away_the_view_stands_and_its_age_shows() {
    let folder = tempfile::tempdir().unwrap();
    let options = InstallOptions { need_etcd: true, ..InstallOptions::from_env() };
    let servers = local::ensure(&options, &()).await.unwrap();
    let ports = Ports::open(&servers.cache).unwrap();
    let ports = EtcdPorts { client: ports.lease().unwrap(), peer: ports.lease().unwrap() };
    let etcd = Etcd::start(&servers, folder.path(), ports, Lifetime::Owned).await.unwrap();
    let address = etcd.endpoint().replace("http", "etcd");
    let topology = Topology::open(&address, &"main".parse().unwrap()).await.unwrap();
    fill(&topology).await;
    let mut follower = Follower::start(Topology::open(&address, &"main".parse().unwrap()).await.unwrap());
    let before = follower.until("the first view", |view| view.is_known()).await;

    etcd.pause().unwrap();
    sleep(Duration::from_secs(4)).await;
    let silent = follower.heard.borrow().unwrap().elapsed();
    assert!(silent > Duration::from_secs(2), "heard {silent:?} ago");
    assert_eq!(follower.views.borrow().revision, before.revision);
    etcd.resume().unwrap();
    let (name, record) = keyspace("later");
    timeout(SOON, async {
        while topology.add_keyspace(&name, &record).await.is_err() {
            sleep(Duration::from_millis(200)).await;
        }
    })
    .await
    .unwrap();
    follower.until("a keyspace added later", |view| view.keyspace("later").is_some()).await;
    assert!(follower.heard.borrow().unwrap().elapsed() < Duration::from_secs(3));
    follower.end().await;
}
