//! Primaries that come after a switch, and engines that do: what they did not see is made up for.

use std::collections::BTreeSet;
use std::fs;

use shardlift::local::Mysqld;
use shardlift::model::switch::Direction;
use shardlift::workflow::switch::ask::{Wanted, ask};

use super::{TABLES, is_fenced, settled, small_tables};
use crate::harness::{Db, Running, TestCluster, until};
use crate::scenario::{Move, PATIENCE, WHICH};

/// Moves tables and switches traffic, while the only replica of `keyspace` hears of nothing from `point` on; the engine, and
/// the replica's alias and server.
async fn switch_unheard<'c>(cluster: &'c TestCluster, point: &str, keyspace: &str) -> (Running, String, &'c Mysqld) {
    small_tables(&cluster.source_db()).await;
    let held = cluster.folder().join("held");
    let points = format!("{point}=hold:{}", held.display());
    let shardlift = cluster.shardlift();
    let engine = shardlift.with("SHARDLIFT_FAILPOINTS", &points).engine("one").await;
    let moved = Move::start(cluster, TABLES, "").await;
    moved.state("Running").await;
    let mut tablets = cluster.tablets(keyspace, "0");
    assert_eq!(tablets.len(), 2);
    let (alias, server) = tablets.remove(1);
    let asked = shardlift.start("ask", &format!("movetables switch-traffic {WHICH}"));
    until(&format!("the switch is at {point}"), PATIENCE, async || held.exists().then_some(()).ok_or("not yet")).await;
    cluster.db(server, keyspace).exec("STOP REPLICA").await;
    fs::remove_file(&held).unwrap();
    assert!(asked.ended().await.success());
    (engine, alias, server)
}

/// A replica of the new side was given the closing of its fence and not its opening when it becomes the primary: it is opened
/// all the same. The way back is not: what was read from the former primary and is lost may have been anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_primary_of_the_open_side_is_opened() {
    let cluster = TestCluster::with(|spec| spec.replicas = 1).await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    let shardlift = cluster.shardlift();
    let (engine, alias, server) = switch_unheard(&cluster, "before-open", "customer").await;
    let replica = cluster.db(server, "customer");
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

/// A replica of the old side becomes its primary, which has all that was there when the side was closed, and not where the way
/// back began, nor anything it has brought: it is brought again.
#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_begins_again_on_a_new_primary_that_does_not_know_where() {
    let cluster = TestCluster::with(|spec| spec.replicas = 1).await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    let shardlift = cluster.shardlift();
    let former = cluster.tablets("commerce", "0")[0].0.clone();
    let (engine, alias, server) = switch_unheard(&cluster, "before-ready", "commerce").await;
    let replica = cluster.db(server, "commerce");
    target.exec("INSERT INTO ledger VALUES (77, 7)").await;
    let arrived = async |db: &Db| match db.rows("SELECT v FROM ledger WHERE id = 77").await.is_empty() {
        false => Ok(()),
        true => Err("not yet"),
    };
    until("the row is on the former primary", PATIENCE, async || arrived(&source).await).await;

    server.promote().await.unwrap();
    let position = "SELECT position FROM _shardlift.stream WHERE direction = 'Backward'";
    assert_eq!(replica.value(position).await, "", "its place was replicated: this shows nothing");
    assert!(arrived(&replica).await.is_err());
    shardlift.must(&format!("shard set-primary commerce/0 {alias}")).await;
    until("the row is on the new primary", PATIENCE, async || arrived(&replica).await).await;
    // It is beyond use as a replica, and would be waited for.
    shardlift.must(&format!("tablet remove {former}")).await;
    shardlift.must(&format!("movetables reverse-traffic {WHICH} --tablet-types PRIMARY,RDONLY")).await;
    assert!(!is_fenced(&replica).await && is_fenced(&target).await);
    assert_eq!(replica.value("SELECT v FROM ledger WHERE id = 77").await, "7");
    engine.stop().await;
}

/// A replica of the new side that lacks what was moved becomes its primary, with a fence that was never closed there: nobody may
/// write to it, and what the old side has stays until a primary has it all.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_primary_that_lacks_rows_stays_closed() {
    let cluster = TestCluster::with(|spec| spec.replicas = 2).await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    small_tables(&source).await;
    let shardlift = cluster.shardlift();
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, TABLES, "").await;
    moved.state("Running").await;
    let tablets = cluster.tablets("customer", "0");
    let [(sound, _), _, (late, late_server)] = &tablets[..] else { panic!("{} tablets", tablets.len()) };
    let late_db = cluster.db(late_server, "customer");
    let set = target.value("SELECT @@global.gtid_executed").await;
    assert_eq!(late_db.value(&format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{set}', 60)")).await, "0");
    late_db.exec("STOP REPLICA").await;
    source.exec("INSERT INTO ledger VALUES (77, 7)").await;
    shardlift.must(&format!("movetables switch-traffic {WHICH}")).await;
    assert_eq!(target.value("SELECT v FROM ledger WHERE id = 77").await, "7");

    late_server.promote().await.unwrap();
    assert!(!is_fenced(&late_db).await);
    shardlift.must(&format!("shard set-primary customer/0 {late}")).await;
    until("the new primary is closed", PATIENCE, async || match is_fenced(&late_db).await {
        true => Ok(()),
        false => Err("it is open"),
    })
    .await;
    until("it is said what it lacks", PATIENCE, async || {
        let shown = shardlift.json(&format!("workflow show {WHICH}")).await.to_string();
        if shown.contains("this primary lacks transactions") { Ok(()) } else { Err(shown) }
    })
    .await;
    let completing = shardlift.start("complete", &format!("movetables complete {WHICH} --drop-tables"));
    until("completing is told why not", PATIENCE, async || {
        let logs = shardlift.run(&format!("workflow logs {WHICH}")).await.stdout;
        if logs.contains("complet") && logs.contains("lacks transactions") { Ok(()) } else { Err(logs) }
    })
    .await;
    assert_eq!(source.value("SELECT v FROM ledger WHERE id = 77").await, "7", "the one copy of it");

    shardlift.must(&format!("shard set-primary customer/0 {sound}")).await;
    assert!(completing.ended().await.success());
    assert_eq!(target.value("SELECT v FROM ledger WHERE id = 77").await, "7");
    assert!(!is_fenced(&target).await);
    assert_eq!(source.rows("SHOW TABLES").await.len(), 0);
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
