//! What an engine tells of itself over HTTP: its numbers, and whether it can do its work.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::harness::{Shardlift, TestCluster, until};
use crate::scenario::{Move, PATIENCE, WHICH};

const TABLES: &str = "
    CREATE TABLE a (id INT PRIMARY KEY, v INT NOT NULL); INSERT INTO a VALUES (1, 1), (2, 2);
    CREATE TABLE b (id INT PRIMARY KEY, v INT NOT NULL); INSERT INTO b VALUES (1, 1)";
const WORKFLOW: &str = "keyspace=\"customer\",workflow=\"move\"";
/// An answer comes at once, whatever the engine is waiting for.
const PROMPT: Duration = Duration::from_secs(2);

/// What is said at `path`, with its status.
pub async fn get(address: &str, path: &str) -> (u16, String) {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(PROMPT, asked).await.unwrap_or_else(|_| panic!("no answer from {address}{path}")).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {answer}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no status: {head}")), body.to_owned())
}

/// Where an engine says in `engine list` that it can be asked.
async fn address(shardlift: &Shardlift, engine: &str) -> String {
    let list = shardlift.json("engine list").await;
    let line = list.as_array().unwrap().iter().find(|line| line["engine"] == engine);
    line.unwrap_or_else(|| panic!("{engine} is not in {list}"))["http"].as_str().unwrap().to_owned()
}

/// The value of the one series of the engine's that begins like this.
fn value(text: &str, series: &str) -> Option<f64> {
    let begin = format!("shardlift_engine_{series} ");
    text.lines().find_map(|line| line.strip_prefix(&begin)?.parse().ok())
}

async fn sees(address: &str, series: &str, wanted: impl Fn(f64) -> bool) {
    until(series, PATIENCE, async || {
        let (_, text) = get(address, "/metrics").await;
        if value(&text, series).is_some_and(&wanted) { Ok(()) } else { Err(text) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_shows_its_numbers_and_its_health() {
    let cluster = TestCluster::with(|spec| spec.etcd = true).await;
    let source = cluster.source_db();
    source.exec(TABLES).await;
    let shardlift = cluster.shardlift();
    let engine = shardlift.engine("one").await;
    let http = address(&shardlift, "one").await;
    let moved = Move::start(&cluster, "a,b", "--wait running").await;
    let with = |name: &str, label: &str| format!("{name}{{{WORKFLOW}{label}}}");

    let (status, text) = get(&http, "/metrics").await;
    assert_eq!(status, 200, "{text}");
    for (series, wanted) in [
        (with("copied_rows_total", ""), 3.0),
        (with("copied_chunks_total", ""), 2.0),
        (with("copy_rows", ""), 3.0),
        (with("streams_running", ""), 1.0),
        (with("throttled_seconds_total", ",reason=\"rows\""), 0.0),
        ("leased".into(), 1.0),
        ("leases_lost_total".into(), 0.0),
    ] {
        assert_eq!(value(&text, &series), Some(wanted), "{series}: {text}");
    }
    sees(&http, &with("workflow_state", ",state=\"Running\""), |one| one == 1.0).await;
    sees(&http, &with("lag_seconds", ""), |lag| lag < 3.0).await;
    // Thirty days, less the lag.
    sees(&http, &with("purge_margin_seconds", ""), |margin| (2_000_000.0..2_592_001.0).contains(&margin)).await;
    source.exec("INSERT INTO a VALUES (3, 3), (4, 4), (5, 5); UPDATE a SET v = 9 WHERE id < 3; DELETE FROM b").await;
    for (kind, rows) in [("insert", 3.0), ("update", 2.0), ("delete", 1.0)] {
        sees(&http, &with("applied_rows_total", &format!(",kind=\"{kind}\"")), |seen| seen == rows).await;
    }

    // Two engines on one address: the second says so and ends; without any it runs.
    let taken = shardlift.refused(&format!("engine run --id two --http-listen {http}")).await;
    assert!(taken.contains(&http) && taken.contains("--http-listen"), "{taken}");
    let silent = shardlift.start("silent", "engine run --id silent --http-listen none");
    until("it registers", PATIENCE, async || {
        let list = shardlift.must("engine list").await;
        if list.contains("\nsilent ") { Ok(()) } else { Err(list) }
    })
    .await;
    assert_eq!(address(&shardlift, "silent").await, "");
    silent.stop().await;

    // The source is away: the lag grows by the clock, and the errors are counted.
    cluster.source().pause().unwrap();
    sees(&http, &with("lag_seconds", ""), |lag| lag > 4.0).await;
    sees(&http, &with("errors_total", ",class=\"unavailable\""), |errors| errors >= 1.0).await;
    assert_eq!(get(&http, "/healthz").await, (200, "{\"healthy\":true,\"problems\":[]}\n".into()));
    cluster.source().resume().unwrap();
    sees(&http, &with("lag_seconds", ""), |lag| lag < 3.0).await;

    // The topology is away: the engine is there, and says that it cannot work.
    cluster.etcd().pause().unwrap();
    let problem = until("the engine is ill", PATIENCE, async || match get(&http, "/healthz").await {
        (503, body) => Ok(body),
        (status, body) => Err(format!("{status}: {body}")),
    })
    .await;
    let told: serde_json::Value = serde_json::from_str(&problem).unwrap();
    assert_eq!(told["healthy"], false, "{problem}");
    assert!(told["problems"][0].as_str().unwrap().starts_with("the topology has not answered for "), "{problem}");
    sees(&http, "topology_age_seconds", |age| age > 4.0).await;
    sees(&http, "leased", |leased| leased == 0.0).await;
    cluster.etcd().resume().unwrap();
    until("the engine is well again", PATIENCE, async || match get(&http, "/healthz").await {
        (200, _) => Ok(()),
        (_, body) => Err(body),
    })
    .await;
    sees(&http, "leases_lost_total", |lost| lost >= 1.0).await;
    moved.state("Running").await;
    sees(&http, &with("workflow_state", ",state=\"Running\""), |one| one == 1.0).await;

    // What is gone has no series.
    moved.cancel().await;
    until("the workflow's series are gone", PATIENCE, async || match get(&http, "/metrics").await {
        (200, text) if !text.contains("workflow=") => Ok(()),
        (_, text) => Err(text),
    })
    .await;
    engine.stop().await;
    sleep(Duration::from_millis(100)).await;
    assert!(TcpStream::connect(&http).await.is_err(), "somebody still listens");
}

/// How a switch ended is counted by the engine that has brought it to its end, whichever began it.
#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_is_taken_over_is_counted() {
    let cluster = TestCluster::start().await;
    cluster.source_db().exec(TABLES).await;
    let shardlift = cluster.shardlift();
    let dying = |point: &str| shardlift.with("SHARDLIFT_FAILPOINTS", &format!("{point}=kill"));
    let switch = format!("movetables switch-traffic {WHICH}");
    let ended = |how: &str| format!("switches_total{{{WORKFLOW},outcome=\"{how}\"}}");

    let engine = dying("after-close").engine("one").await;
    let moved = Move::start(&cluster, "a,b", "--wait running").await;
    let asked = shardlift.start("undone", &switch);
    assert!(!engine.ended().await.success());
    let engine = dying("before-open").engine("two").await;
    assert!(!asked.ended().await.success());
    sees(&address(&shardlift, "two").await, &ended("undone"), |one| one == 1.0).await;

    moved.state("Running").await;
    let asked = shardlift.start("done", &switch);
    assert!(!engine.ended().await.success());
    let engine = shardlift.engine("three").await;
    assert!(asked.ended().await.success());
    sees(&address(&shardlift, "three").await, &ended("done"), |one| one == 1.0).await;
    engine.stop().await;
}
