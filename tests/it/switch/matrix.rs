//! The failure matrix: a switch meets a failure at each of its steps, with writers on, and heals by itself.

use std::time::Duration;

use tokio::time::Instant;

use crate::harness::{Ledger, Load, Running, Shardlift, TestCluster, until};
use crate::scenario::{Move, PATIENCE, WHICH};

use super::{TABLES, settled, through};

const STEPS: [&str; 8] = ["check", "arm", "pause", "close", "drain", "ready", "commit", "open"];
/// Design P1: lease, take-over and undoing, on a busy machine.
const HEALED: Duration = Duration::from_secs(30);

/// One failure.
struct Case {
    point: String,
    action: &'static str,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for step in STEPS {
        for when in ["before", "after"] {
            cases.push(Case { point: format!("{when}-{step}"), action: "kill" });
        }
    }
    cases.push(Case { point: "lost-commit".into(), action: "error" });
    cases.push(Case { point: "unsent-commit".into(), action: "error" });
    cases.push(Case { point: "before-drain".into(), action: "error" });
    cases.push(Case { point: "before-commit".into(), action: "error" });
    cases.push(Case { point: "before-drain".into(), action: "hang:6000" });
    cases
}

async fn phase(shardlift: &Shardlift) -> String {
    let shown = shardlift.json(&format!("workflow show {WHICH}")).await;
    let phase = shown["workflow"]["switch"]["phase"].as_str().unwrap_or("none");
    phase.to_owned()
}

/// Each step, killed before and after it, and what else can go wrong there: afterwards writers go on without an operator's
/// help, on one side only, and what they were told is so.
#[tokio::test(flavor = "multi_thread")]
async fn a_switch_heals_from_a_failure_at_every_step() {
    let cluster = TestCluster::start().await;
    let shardlift = cluster.shardlift();
    let gateway = cluster.gateway("").await;
    let other = cluster.gateway("").await;
    let app = through(&gateway, "commerce");
    let ledger = Ledger::start(&app, Load { writers: 4, rows: 100, rate: Some(60) }).await;
    let mut carrier = shardlift.engine("first").await;
    let moved = Move::start(&cluster, TABLES, "").await;
    moved.state("Running").await;
    let mut backward = false;
    for (number, case) in cases().into_iter().enumerate() {
        // Half of the writers' connections are new ones, through the other gateway, from case to case.
        ledger.move_to(&through(if number % 2 == 0 { &gateway } else { &other }, "commerce"));
        let began = Instant::now();
        let armed = format!("{}={}", case.point, case.action);
        let doomed = shardlift.with("SHARDLIFT_FAILPOINTS", &armed).engine(&format!("doomed-{number}")).await;
        // It claims the workflow as soon as that is let go, and whoever comes next stands by.
        carrier.stop().await;
        owned_by(&shardlift, &format!("doomed-{number}")).await;
        let next = shardlift.engine(&format!("next-{number}")).await;
        moved.state("Running").await;
        let verb = if backward { "reverse-traffic" } else { "switch-traffic" };
        let asked = shardlift.start(&format!("ask-{number}"), &format!("movetables {verb} {WHICH}"));
        let status = asked.ended().await;
        let seen = phase(&shardlift).await;
        assert!(seen == "done" || seen == "undone", "{armed}: {seen}");
        assert_eq!(status.success(), seen == "done", "{armed}: the command says {status}, the record {seen}");
        carrier = survivor(doomed, next, &case).await;
        backward ^= seen == "done";
        ledger.wait_for(10, HEALED).await;
        println!("{armed} {verb}: {seen} after {:.1} s", began.elapsed().as_secs_f64());
    }
    moved.state("Running").await;
    let record = ledger.stop().await;
    settled(&cluster).await;
    record.must_hold(&cluster.source_db()).await;
    record.must_hold(&cluster.target_db()).await;
    println!("{} acknowledged, {} refused, {} connections lost", record.committed, record.refused, record.reconnects);
    carrier.stop().await;
}

/// Waits until an engine carries the workflow.
async fn owned_by(shardlift: &Shardlift, engine: &str) {
    until(&format!("engine {engine} claims the workflow"), PATIENCE, async || {
        let owner = shardlift.run("topo get owners/customer/move").await;
        if owner.stdout.contains(engine) { Ok(()) } else { Err(owner) }
    })
    .await;
}

/// Whoever carries the workflow after the failure; the other one is gone.
async fn survivor(mut doomed: Running, next: Running, case: &Case) -> Running {
    if case.action != "kill" {
        next.stop().await;
        return doomed;
    }
    assert!(doomed.has_ended(), "the engine lived through {}: {}", case.point, doomed.log());
    next
}
