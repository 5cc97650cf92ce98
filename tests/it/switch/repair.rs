//! `workflow repair`: what no engine can finish is said, and either way out is taken.

use std::time::Duration;

use super::{TABLES, is_fenced, settled, small_tables, through};
use crate::harness::{TestCluster, until};
use crate::scenario::{Move, PATIENCE, WHICH};

/// Waits until the last switch has come to its end.
async fn ended(cluster: &TestCluster) {
    until("the switch has come to its end", PATIENCE, async || {
        let shown = cluster.shardlift().json(&format!("workflow show {WHICH}")).await;
        let phase = shown["workflow"]["switch"]["phase"].as_str().unwrap().to_owned();
        if phase == "done" { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;
}

/// A stranger's change of the closed side is accepted, and traffic goes back in good order; the next one is not, and the way
/// back is given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_way_back_is_accepted_or_given_up() {
    let cluster = TestCluster::start().await;
    let shardlift = cluster.shardlift();
    let (source, target) = (cluster.source_db(), cluster.target_db());
    small_tables(&source).await;
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, TABLES, "").await;
    moved.state("Running").await;
    let nothing = shardlift.must(&format!("workflow repair {WHICH}")).await;
    assert!(nothing.contains("--back: nothing to do") && nothing.contains("switch-traffic"), "{nothing}");
    shardlift.must(&format!("movetables switch-traffic {WHICH}")).await;
    settled(&cluster).await;
    let token = shardlift.json(&format!("workflow show {WHICH}")).await["workflow"]["uid"].as_str().unwrap().to_owned();
    let go_round = format!("SET @shardlift_stream = '{token}'; INSERT INTO commerce.ledger VALUES (77, 7)");
    source.exec(&go_round).await;
    let broken = async || {
        until("the way back is broken", PATIENCE, async || {
            let told = shardlift.must(&format!("workflow repair {WHICH}")).await;
            if told.contains("IS BROKEN") { Ok(told) } else { Err(told) }
        })
        .await
    };
    let told = broken().await;
    for words in [
        "table ledger",
        "--forward: traffic stays at customer",
        "--back: what was changed on commerce",
        "1 transaction(s)",
    ] {
        assert!(told.contains(words), "{words}\n{told}");
    }
    // Printing what a way would do changes nothing.
    shardlift.must(&format!("workflow repair {WHICH} --back --dry-run")).await;
    shardlift.refused(&format!("movetables reverse-traffic {WHICH}")).await;
    let json = shardlift.json(&format!("workflow repair {WHICH}")).await;
    assert_eq!(json["ways"][1]["possible"], true, "{json}");

    shardlift.must(&format!("workflow repair {WHICH} --back")).await;
    shardlift.must(&format!("movetables reverse-traffic {WHICH}")).await;
    assert!(!is_fenced(&source).await && is_fenced(&target).await);
    // What is accepted counts: it is the source's row now, and the target lacks it.
    assert_eq!(source.value("SELECT v FROM ledger WHERE id = 77").await, "7");
    source.exec("DELETE FROM ledger WHERE id = 77").await;
    settled(&cluster).await;

    shardlift.must(&format!("movetables switch-traffic {WHICH}")).await;
    settled(&cluster).await;
    source.exec(&go_round).await;
    broken().await;
    shardlift.must(&format!("workflow repair {WHICH} --forward")).await;
    let refused = shardlift.refused(&format!("movetables reverse-traffic {WHICH}")).await;
    assert!(refused.contains("without a way back"), "{refused}");
    target.exec("INSERT INTO ledger VALUES (5, 5)").await;
    shardlift.must(&format!("movetables complete {WHICH}")).await;
    engine.stop().await;
}

/// A fence's row that is lost is named, with what puts it back; and does.
#[tokio::test(flavor = "multi_thread")]
async fn a_side_that_is_gone_for_good_is_left() {
    let cluster = TestCluster::start().await;
    let shardlift = cluster.shardlift();
    let (source, target) = (cluster.source_db(), cluster.target_db());
    small_tables(&source).await;
    let gateway = cluster.gateway("").await;
    let app = through(&gateway, "commerce");
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, TABLES, "").await;
    moved.state("Running").await;
    shardlift.must(&format!("movetables switch-traffic {WHICH}")).await;
    app.exec("INSERT INTO ledger VALUES (3, 3)").await;
    settled(&cluster).await;

    target.exec("DELETE FROM _shardlift.fence").await;
    assert!(is_fenced(&target).await);
    let told = shardlift.must(&format!("workflow repair {WHICH}")).await;
    assert!(told.contains("the fence's row is missing"), "{told}");
    moved.shardlift.must(&format!("workflow pause {WHICH}")).await;
    moved.shardlift.must(&format!("workflow resume {WHICH}")).await;
    moved.state("Running").await;
    assert!(!is_fenced(&target).await);

    // The target's only server is gone, with what traffic there is.
    cluster.target().kill9().await.unwrap();
    let alias = cluster.tablets("customer", "0")[0].0.clone();
    let told = shardlift.must(&format!("workflow repair {WHICH}")).await;
    for words in ["CANNOT BE REACHED", &format!("--drop-unreachable {alias}")] {
        assert!(told.contains(words), "{words}\n{told}");
    }
    shardlift.refused(&format!("workflow repair {WHICH} --back")).await;
    let source_alias = cluster.tablets("commerce", "0")[0].0.clone();
    shardlift.refused(&format!("workflow repair {WHICH} --back --drop-unreachable {source_alias}")).await;
    shardlift.must(&format!("workflow repair {WHICH} --back --drop-unreachable {alias}")).await;
    ended(&cluster).await;
    assert!(!is_fenced(&source).await);
    until("the gateway has heard", Duration::from_secs(20), async || {
        app.try_exec("INSERT INTO ledger VALUES (4, 4)").await.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(source.value("SELECT COUNT(*) FROM ledger").await, "4");
    let refused = shardlift.refused(&format!("movetables switch-traffic {WHICH}")).await;
    assert!(refused.contains("by force"), "{refused}");

    // It comes back after all, and is closed.
    cluster.target().restart().await.unwrap();
    until("the server that was given up is closed", PATIENCE, async || {
        if is_fenced(&target).await { Ok(()) } else { Err("open") }
    })
    .await;
    shardlift.must(&format!("movetables cancel {WHICH}")).await;
    engine.stop().await;
}
