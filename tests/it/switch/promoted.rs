//! Primaries that come after a switch, and engines that do: what they did not see is made up for.

use std::collections::BTreeSet;
use std::fs;

use shardlift::model::switch::Direction;
use shardlift::workflow::switch::ask::{Wanted, ask};

use super::{TABLES, is_fenced, settled, small_tables};
use crate::harness::{TestCluster, until};
use crate::scenario::{Move, PATIENCE, WHICH};

/// A replica of the new side was given the closing of its fence and not its opening when it becomes the primary: it is opened
/// all the same. The way back is not: what was read from the former primary and is lost may have been anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_primary_of_the_open_side_is_opened() {
    let cluster = TestCluster::with(|spec| spec.replicas = 1).await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    small_tables(&source).await;
    let held = cluster.folder().join("held");
    let points = format!("before-open=hold:{}", held.display());
    let shardlift = cluster.shardlift();
    let engine = shardlift.with("SHARDLIFT_FAILPOINTS", &points).engine("one").await;
    let moved = Move::start(&cluster, TABLES, "").await;
    moved.state("Running").await;
    let tablets = cluster.tablets("customer", "0");
    let [_, (alias, server)] = &tablets[..] else { panic!("{} tablets", tablets.len()) };
    let replica = cluster.db(server, "customer");
    let asked = shardlift.start("ask", &format!("movetables switch-traffic {WHICH}"));
    until("the new side is about to be opened", PATIENCE, async || held.exists().then_some(()).ok_or("not yet")).await;
    replica.exec("STOP REPLICA").await;
    fs::remove_file(&held).unwrap();
    assert!(asked.ended().await.success());
    assert!(!is_fenced(&target).await);

    server.promote().await.unwrap();
    assert!(is_fenced(&replica).await, "the opening was replicated: this shows nothing");
    shardlift.must(&format!("shard set-primary customer/0 {alias}")).await;
    until("the new primary is open", PATIENCE, async || match is_fenced(&replica).await {
        false => Ok(()),
        true => Err("it is closed"),
    })
    .await;
    until("the loss is told", PATIENCE, async || {
        let shown = shardlift.json(&format!("workflow show {WHICH}")).await;
        let message = shown["message"].as_str().unwrap_or_default().to_owned();
        if message.contains("no longer has transactions") { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
    assert!(is_fenced(&source).await);
    engine.stop().await;
}

/// A stranger writes on the closed side, and traffic is asked back, while nobody watches: whoever comes looks first.
#[tokio::test(flavor = "multi_thread")]
async fn a_reverse_asked_for_while_nobody_watched_is_not_made_unseen() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    small_tables(&source).await;
    let shardlift = cluster.shardlift();
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, TABLES, "").await;
    moved.state("Running").await;
    shardlift.must(&format!("movetables switch-traffic {WHICH}")).await;
    settled(&cluster).await;
    engine.kill9().await;
    source.exec("TRUNCATE TABLE ledger").await;
    let wanted = Wanted {
        direction: Direction::Backward,
        types: BTreeSet::new(),
        timeout: PATIENCE,
        max_lag: PATIENCE,
        way_back: true,
        allow_cross_keyspace: false,
    };
    let (keyspace, name) = ("customer".parse().unwrap(), "move".parse().unwrap());
    ask(cluster.topology(), &keyspace, &name, &wanted).await.unwrap();
    let engine = shardlift.engine("two").await;
    until("the wish is refused", PATIENCE, async || {
        let shown = shardlift.json(&format!("workflow show {WHICH}")).await;
        let switch = &shown["workflow"]["switch"];
        if switch["phase"] == "undone" { Ok(()) } else { Err(switch.to_string()) }
    })
    .await;
    assert!(!is_fenced(&target).await && is_fenced(&source).await);
    let shown = shardlift.json(&format!("workflow show {WHICH}")).await;
    let why = shown["workflow"]["closed"]["broken"]["why"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("TRUNCATE TABLE ledger"), "{shown}");
    engine.stop().await;
}
