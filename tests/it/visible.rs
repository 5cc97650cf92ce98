//! What a SELECT shows before it is in `gtid_executed`: locks fall at engine commit, so with `binlog_order_commits=OFF` a
//! transaction may be executed that builds upon one that is not yet. Seen here on one row that everybody changes: each change
//! builds upon the one before, and still sets with a gap are met. tests/it/model/seam.rs shows what a stream that began at
//! such a set would lose.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use shardlift::engine::EngineError;
use shardlift::engine::connect::Side;
use shardlift::engine::progress::Progress;
use shardlift::engine::sidecar::StreamKey;
use shardlift::engine::source::Source;
use shardlift::engine::stream::{Begins, Stream, StreamSpec, TargetSpec};
use shardlift::engine::throttle::{Limits, Valve};
use shardlift::mapping::Mapping;
use shardlift::model::GtidSet;
use shardlift::model::switch::Direction;
use shardlift::model::workflow::WorkflowOptions;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::{TestCluster, until};

const PATIENCE: Duration = Duration::from_secs(120);
const SAMPLING: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn what_a_position_may_lack_is_passed_before_anything_is_copied() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    // Small commits, quickly: the gap is a few instructions wide.
    source
        .exec(
            "SET GLOBAL binlog_order_commits = OFF; SET GLOBAL sync_binlog = 0;
             SET GLOBAL innodb_flush_log_at_trx_commit = 2;
             CREATE TABLE a (id INT PRIMARY KEY, v INT); INSERT INTO a VALUES (1, 0), (2, 0)",
        )
        .await;
    let stop = CancellationToken::new();
    let writers: Vec<_> = (0..12)
        .map(|_| {
            let (source, stop) = (cluster.source_db(), stop.clone());
            tokio::spawn(async move {
                let mut conn = source.conn().await;
                while !stop.is_cancelled() {
                    conn.query_drop("UPDATE a SET v = v + 1 WHERE id = 1").await.unwrap();
                }
            })
        })
        .collect();
    let (login, database) = (cluster.login(cluster.source()), "commerce".parse().unwrap());
    let side = Side { label: "source".into(), login, database };
    let samplers = (0..3).map(|_| tokio::spawn(sample(side.clone())));
    let (mut samples, mut gaps) = (0, 0);
    for sampler in samplers.collect::<Vec<_>>() {
        let (some, met) = sampler.await.unwrap();
        (samples, gaps) = (samples + some, gaps + met);
    }
    println!("{samples} times gtid_executed was read, {gaps} times it lacked what it builds upon");
    assert!(samples > 100, "{samples}");
    // A stream begins in the midst of it.
    let (progress, cancel) = (Progress::new(Default::default()), CancellationToken::new());
    let (_limits, limited) = watch::channel(Limits::default());
    let lease = cluster.topology().lease(Duration::from_secs(30)).await.unwrap();
    let stream = Stream::run(spec(&cluster, side), lease, Valve::new(limited), progress, cancel.clone());
    let stream = tokio::spawn(stream);
    let copied = async |condition: &str| {
        let ask = format!(
            "SELECT COUNT(*) FROM _shardlift.stream JOIN _shardlift.copy_table WHERE state = 'done' AND {condition}"
        );
        until("the stream is level", PATIENCE, async || {
            assert!(!stream.is_finished(), "the stream has ended");
            let there = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME = 'copy_table'";
            if target.value(there).await == "0" {
                return Err("there is no sidecar");
            }
            if target.value(&ask).await == "1" { Ok(()) } else { Err("not yet") }
        })
        .await;
    };
    copied("TRUE").await;
    stop.cancel();
    for writer in writers {
        writer.await.unwrap();
    }
    let executed = source.value("SELECT @@global.gtid_executed").await;
    copied(&format!("GTID_SUBSET('{executed}', position)")).await;
    let rows = "SELECT GROUP_CONCAT(id, '=', v ORDER BY id) FROM a";
    assert_eq!(target.value(rows).await, source.value(rows).await);
    cancel.cancel();
    assert!(matches!(stream.await.unwrap(), Err(EngineError::Cancelled)));
}

/// Reads `gtid_executed` over and over: how often, and how often with a gap. What is missing in one must be in what covers it.
async fn sample(side: Side) -> (u32, u32) {
    let (mut source, end) = (Source::connect(&side, true).await.unwrap(), Instant::now() + SAMPLING);
    let (mut samples, mut gaps) = (0, 0);
    while Instant::now() < end {
        let executed = source.gtid_executed().await.unwrap();
        samples += 1;
        // The server numbers in the order of its binlog.
        let text = executed.to_string();
        let last = text.rsplit([':', '-']).next().unwrap();
        let whole: GtidSet = format!("{}:1-{last}", text.split(':').next().unwrap()).parse().unwrap();
        let missing = whole.minus(&executed);
        if !missing.is_empty() {
            gaps += 1;
            let covering = source.covering().await.unwrap();
            assert!(missing.is_subset(&covering), "{executed} lacks {missing}, and so does {covering}");
        }
    }
    (samples, gaps)
}

fn spec(cluster: &TestCluster, source: Side) -> StreamSpec {
    let key = StreamKey {
        uid: Uuid::new_v4(),
        workflow: "visible".parse().unwrap(),
        direction: Direction::Forward,
        source_shard: "0".parse().unwrap(),
        target_keyspace: "customer".parse().unwrap(),
        target_shard: "0".parse().unwrap(),
    };
    let login = cluster.login(cluster.target());
    let side = Side { label: "target".into(), login, database: "customer".parse().unwrap() };
    StreamSpec {
        source,
        targets: vec![TargetSpec { key, side }],
        mapping: Mapping::whole(),
        owners: None,
        begins: Begins::Copying,
        tables: vec!["a".parse().unwrap()],
        created_tables: vec!["a".parse().unwrap()],
        options: WorkflowOptions { allow_unsafe_source: true, ..WorkflowOptions::default() },
        skip_ddl: Vec::new(),
    }
}
