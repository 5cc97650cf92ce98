//! What stands on the store: updates, the catalog, import, and the commands for them.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use shardlift::local::{self, Account, InstallOptions, Mysqld, MysqldSpec, Ports};
use shardlift::model::workflow::TabletType;
use shardlift::mysql::endpoint::Endpoint;
use shardlift::topology::records::{Keyspace, Owner, Shard, Tablet, Workflow};
use shardlift::topology::transfer::Document;
use shardlift::topology::{Topology, TopologyError, Txn, paths};

use super::backend::Backend;

pub(super) async fn contended_updates_all_count(backend: &Backend) {
    let path = paths::shard(&"commerce".parse().unwrap(), &"0".parse().unwrap());
    let shard = Shard { primary: None, term: 0, primary_since: None, serving: Default::default() };
    backend.topology().await.create(&path, &shard).await.unwrap();
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let (topology, path) = (backend.topology().await, path.clone());
        tasks.push(tokio::spawn(async move {
            let mut counted = 0;
            for _ in 0..25 {
                let step = |shard: &mut Shard| {
                    shard.term += 1;
                    Ok(())
                };
                match topology.update(&path, step).await {
                    Ok(_) => counted += 1,
                    Err(TopologyError::Contended { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            counted
        }));
    }
    let mut counted = 0;
    for task in tasks {
        counted += task.await.unwrap();
    }
    assert!(counted > 50, "{counted} of 100");
    assert_eq!(backend.topology().await.need::<Shard>(&path).await.unwrap().record.term, counted);
}

pub(super) async fn processes_count_every_swap_once(backend: &Backend) {
    // The first processes ever to open it do so at once.
    let cells: Vec<_> =
        (0..6).map(|n| backend.command(&format!("cell add zone{n}")).stdout(Stdio::null()).spawn().unwrap()).collect();
    for mut cell in cells {
        assert!(cell.wait().unwrap().success());
    }
    backend.must("keyspace add commerce");
    backend.must("shard add commerce/0");
    for n in 0..3 {
        backend.must(&format!("tablet add zone{n}-1 --keyspace commerce --mysql db{n}:3306"));
    }
    let run = |n: usize| {
        let line = format!("shard set-primary commerce/0 zone{n}-1");
        let mut children = Vec::new();
        for _ in 0..8 {
            children.push(backend.command(&line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        }
        children
    };
    let mut counted = 0;
    for _ in 0..4 {
        for mut child in (0..3).flat_map(run) {
            counted += u64::from(child.wait().unwrap().success());
        }
    }
    assert!(counted > 48, "{counted} of 96");
    let shard: Value = serde_json::from_str(&backend.must("shard show commerce/0 --format json")).unwrap();
    assert_eq!(shard["term"], json!(counted));
    let tablets: Value = serde_json::from_str(&backend.must("tablet list --format json")).unwrap();
    for tablet in tablets.as_array().unwrap() {
        assert_eq!(tablet["type"] == "PRIMARY", tablet["alias"] == shard["primary"], "{tablet}");
    }
}

pub(super) async fn the_catalog_refuses_what_would_dangle(backend: &Backend) {
    let no = |line: &str, why: &str| {
        let said = backend.refused(line);
        assert!(said.contains(why), "{line}: {said}");
    };
    no("shard add commerce/0", "keyspace commerce does not exist");
    backend.must("keyspace add commerce --database shop");
    no("keyspace add commerce", "keyspace commerce exists already");
    backend.must("shard add commerce/0");
    no("shard add commerce/0", "exists already");
    assert!(backend.must("shard add commerce/-80").contains("overlaps"));
    assert!(backend.must("shard add commerce/80-").contains("overlaps"));
    let shards: Value = serde_json::from_str(&backend.must("--format json shard list commerce")).unwrap();
    let serving = |name: &str| {
        let shard = shards.as_array().unwrap().iter().find(|shard| shard["shard"] == name);
        shard.unwrap()["serving"].as_array().unwrap().len()
    };
    assert_eq!((serving("0"), serving("-80"), serving("80-")), (3, 0, 0));

    let add = "tablet add zone1-100 --keyspace commerce --type PRIMARY --mysql db1";
    no(add, "cell zone1 does not exist");
    backend.must("cell add zone1");
    backend.must(add);
    no(add, "tablet zone1-0000000100 exists already");
    no("tablet add zone1-101 --keyspace commerce --shard -80 --mysql db1", "is database shop on db1:3306 already");
    no("tablet add zone1-101 --keyspace commerce --type primary --mysql db2", "has a primary");
    no("tablet add zone1-101 --keyspace customer --mysql db2", "keyspace customer does not exist");
    backend.must("tablet add zone1-101 --keyspace commerce --shard -80 --mysql db2");
    no("shard set-primary commerce/0 zone1-101", "belongs to shard commerce/-80");
    no("shard remove commerce/0", "still has tablets: zone1-0000000100");
    no("tablet remove zone1-100", "is the primary of shard commerce/0");
    no("cell remove zone1", "still has tablets");
    no("keyspace remove commerce", "still has shards");
    for line in ["tablet remove zone1-100 --allow-primary", "tablet remove zone1-101", "cell remove zone1"] {
        backend.must(line);
    }
    no("shard remove commerce/0", "is serving");
    for line in ["shard remove commerce/0 --even-if-serving", "shard remove commerce/-80", "shard remove commerce/80-"]
    {
        backend.must(line);
    }
    // A workflow out of it still goes by its VSchema.
    let (topology, path) = (backend.topology().await, paths::workflow(&"wide".parse().unwrap(), &"w".parse().unwrap()));
    let spec = json!({"kind": "MoveTables", "source_keyspace": "commerce", "target_keyspace": "wide", "name": "w", "tables": [],
        "options": {}});
    topology.create(&path, &Workflow::new(serde_json::from_value(spec).unwrap(), 0)).await.unwrap();
    no("keyspace remove commerce", "keyspace commerce is needed by workflows: w");
    topology.txn(topology.delete(Txn::new(), &path)).await.unwrap();
    backend.must("keyspace remove commerce");
    assert_eq!(backend.must("topo list --format json").trim(), "[]");
    assert_eq!(backend.run("cell frob").status.code(), Some(2));
}

pub(super) async fn import_is_all_or_nothing(backend: &Backend) {
    let topology = backend.topology().await;
    topology.add_cell(&"zone1".parse().unwrap()).await.unwrap();
    let commerce = "commerce".parse().unwrap();
    topology.add_keyspace(&commerce, &Keyspace { database: "commerce".parse().unwrap() }).await.unwrap();
    topology.add_shard(&commerce, &"0".parse().unwrap()).await.unwrap();
    // More records than etcd takes as one list of operations.
    for n in 0..150 {
        let tablet = Tablet {
            keyspace: commerce.clone(),
            shard: "0".parse().unwrap(),
            tablet_type: if n == 0 { TabletType::Primary } else { TabletType::Replica },
            endpoint: Endpoint::new(format!("db{n}:3306").parse().unwrap()),
            database: "commerce".parse().unwrap(),
            credential: "app".parse().unwrap(),
        };
        topology.add_tablet(&format!("zone1-{n}").parse().unwrap(), &tablet).await.unwrap();
    }
    let file = backend.folder.path().join("export.json");
    backend.must(&format!("topo export --output {}", file.display()));
    let document = Document::parse(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(document.records.len(), 153);
    assert!(backend.refused(&format!("topo import {}", file.display())).contains("not empty"));

    let mut view = Topology::open(&backend.address, &"copy".parse().unwrap()).await.unwrap().view_all();
    view.changed().await.unwrap();
    let mut broken = serde_json::to_value(&document).unwrap();
    broken["records"].as_object_mut().unwrap().remove("cells/zone1");
    let bad = backend.folder.path().join("broken.json");
    std::fs::write(&bad, broken.to_string()).unwrap();
    let said = backend.refused(&format!("--cluster copy topo import {}", bad.display()));
    assert!(said.contains("names cells/zone1, which is not in the document"), "{said}");
    backend.must(&format!("--cluster copy topo import {}", file.display()));
    assert_eq!(view.changed().await.unwrap().len(), 153, "a watcher sees the import as one change");
    let copied: Value = serde_json::from_str(&backend.must("--cluster copy topo export")).unwrap();
    assert_eq!(copied, serde_json::to_value(&document).unwrap());

    // By force it replaces all, and still as one change; but not under a working engine.
    topology.add_cell(&"zone2".parse().unwrap()).await.unwrap();
    backend.must(&format!("topo import --force {}", file.display()));
    assert_eq!(topology.export().await.unwrap(), document);
    let lease = topology.lease(Duration::from_secs(30)).await.unwrap();
    let owner = paths::owner(&commerce, &"move".parse().unwrap());
    let _guard = topology.claim_owner(&lease, &owner, &Owner { engine: "e1".parse().unwrap() }).await.unwrap();
    assert!(backend.refused(&format!("topo import --force {}", file.display())).contains("stop the engines"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tablet_check_names_what_is_wrong() {
    let backend = Backend::sqlite().await;
    let servers = local::ensure(&InstallOptions::from_env(), &()).await.unwrap();
    let ports = Ports::open(&servers.cache).unwrap();
    let (port, nobody) = (ports.lease().unwrap(), ports.lease().unwrap());
    let account = Account::engine("shardlift", "p@ss");
    let mut spec = MysqldSpec::new(backend.folder.path().join("db"), port.clone(), 1, account);
    spec.extra_args = vec!["--binlog-row-image=MINIMAL".into()];
    let _mysqld = Mysqld::start(&servers, spec).await.unwrap();
    for line in ["cell add zone1", "keyspace add commerce --database mysql", "shard add commerce/0"] {
        backend.must(line);
    }
    let add = |alias: &str, port: u16, more: &str| {
        backend.must(&format!("tablet add {alias} --keyspace commerce --mysql 127.0.0.1:{port} {more}"));
    };
    add("zone1-1", port.number(), "--type PRIMARY");
    add("zone1-2", port.number(), "--database none");
    add("zone1-3", nobody.number(), "--type RDONLY");
    add("zone1-4", port.number(), "--database sys --credential stranger");
    let mut check = backend.command("tablet check --format json");
    check
        .env("SHARDLIFT_CREDENTIAL_SHARDLIFT_USER", "shardlift")
        .env("SHARDLIFT_CREDENTIAL_SHARDLIFT_PASSWORD", "p@ss");
    let output = check.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let problems = |n: usize| findings[n]["problems"].as_array().unwrap();
    assert_eq!(problems(0), &[json!("binlog_row_image is MINIMAL, it must be FULL")]);
    assert!(problems(1).last().unwrap().as_str().unwrap().starts_with("database none does not exist"), "{findings:?}");
    assert!(problems(2)[0].as_str().unwrap().contains("refused"), "{findings:?}");
    assert!(problems(3)[0].as_str().unwrap().contains("SHARDLIFT_CREDENTIAL_STRANGER"), "{findings:?}");
}
