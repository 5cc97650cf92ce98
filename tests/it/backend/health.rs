//! The state of tablets as it is seen from outside: a replica that stops, hangs, lags, and one that is no longer asked.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use shardlift::gateway::backend::health::{Health, Healths, watch_tablets};
use shardlift::gateway::view::{Keyspace, Shard, Tablet, View};
use shardlift::local::Mysqld;
use shardlift::model::TabletAlias;
use shardlift::model::workflow::TabletType;
use shardlift::mysql::{Credentials, Endpoint};
use shardlift::topology::records;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::harness::TestCluster;

const SOON: Duration = Duration::from_secs(30);
const MOST: Duration = Duration::from_secs(2);

struct Watcher {
    healths: watch::Receiver<Healths>,
}

impl Watcher {
    async fn until(&mut self, what: &str, alias: &TabletAlias, wanted: impl Fn(&Health, &Result<(), String>) -> bool) {
        let seen = self.healths.wait_for(|healths| {
            let fitness = healths.fitness(alias, MOST);
            healths.get(alias).is_some_and(|health| wanted(health, &fitness))
        });
        let in_time = timeout(SOON, seen).await.is_ok_and(|open| open.is_ok());
        if !in_time {
            panic!("{what}: last seen {:?}", self.healths.borrow().get(alias));
        }
    }
}

fn tablet(alias: &TabletAlias, server: &Mysqld, tablet_type: TabletType) -> Arc<Tablet> {
    let record = records::Tablet {
        keyspace: "commerce".parse().unwrap(),
        shard: "0".parse().unwrap(),
        tablet_type,
        endpoint: Endpoint::unix(server.socket()),
        database: "commerce".parse().unwrap(),
        credential: "engine".parse().unwrap(),
    };
    Arc::new(Tablet { alias: alias.clone(), record })
}

fn view(tablets: Vec<Arc<Tablet>>) -> Arc<View> {
    let name = "commerce".parse().unwrap();
    let shard = Shard {
        keyspace: "commerce".parse().unwrap(),
        name: "0".parse().unwrap(),
        primary: None,
        term: 1,
        primary_since: None,
        serving: BTreeSet::new(),
        tablets,
    };
    let keyspace = Keyspace {
        name,
        shards: vec![shard],
        vschema: None,
        spread: std::collections::BTreeMap::new(),
        unreadable: None,
    };
    Arc::new(View { keyspaces: [("commerce".to_owned(), keyspace)].into(), ..View::default() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_are_watched() {
    let cluster = TestCluster::with(|spec| spec.replicas = 1).await;
    let login = cluster.login(cluster.source());
    let file = cluster.folder().join("health.json");
    let password = login.password.expose();
    std::fs::write(&file, format!(r#"{{"engine": {{"user": "{}", "password": "{password}"}}}}"#, login.user)).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();

    let (primary, replica): (TabletAlias, TabletAlias) =
        ("zone1-0000000100".parse().unwrap(), cluster.source_replica_alias().parse().unwrap());
    let both = vec![
        tablet(&primary, cluster.source(), TabletType::Primary),
        tablet(&replica, cluster.source_replica(), TabletType::Replica),
    ];
    let (views, viewed) = watch::channel(view(both.clone()));
    let (sender, healths) = watch::channel(Healths::default());
    let cancel = CancellationToken::new();
    let watching = tokio::spawn(watch_tablets(viewed, Credentials::new(Some(file)), sender, cancel.clone()));
    let mut watcher = Watcher { healths };

    watcher
        .until("a primary that writes", &primary, |health, fit| health.read_only == Some(false) && fit.is_err())
        .await;
    let fit = |health: &Health, fit: &Result<(), String>| health.read_only == Some(true) && fit.is_ok();
    watcher.until("a replica that is level", &replica, fit).await;

    let db = cluster.db(cluster.source_replica(), "commerce");
    db.exec("STOP REPLICA").await;
    let stopped = |_: &Health, fit: &Result<(), String>| fit.as_ref().is_err_and(|why| why.contains("does not run"));
    watcher.until("a replica that stopped", &replica, stopped).await;
    db.exec("START REPLICA").await;
    watcher.until("one that runs again", &replica, fit).await;

    cluster.source_replica().pause().unwrap();
    let hung = |health: &Health, fit: &Result<(), String>| {
        health.unreachable.is_some() && fit.as_ref().is_err_and(|why| why.contains("within"))
    };
    watcher.until("a server that hangs", &replica, hung).await;
    // It keeps nobody else from being asked.
    let before = watcher.healths.borrow().get(&primary).unwrap().asked;
    watcher.until("the others go on", &primary, |health, _| health.asked > before).await;
    cluster.source_replica().resume().unwrap();
    watcher.until("one that goes on", &replica, fit).await;

    cluster.source_replica().kill9().await.unwrap();
    watcher.until("a server that is gone", &replica, |health, fit| health.unreachable.is_some() && fit.is_err()).await;
    views.send(view(both[..1].to_vec())).unwrap();
    let left = watcher.healths.wait_for(|healths| healths.get(&replica).is_none());
    timeout(SOON, left).await.unwrap().unwrap();
    cancel.cancel();
    timeout(SOON, watching).await.unwrap().unwrap();
}
