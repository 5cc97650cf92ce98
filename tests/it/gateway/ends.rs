//! How things end: killed backends, killed queries, clients that go, a gateway that is asked to stop.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::raw::{CHANGE_USER, Raw};
use super::reply::{Answer, Refusal};
use super::{login, number, open, say};
use crate::harness::{Db, Gateway, TestCluster, until};

const SOON: Duration = Duration::from_secs(10);
/// Runs for hours, and can be killed at any moment.
const ENDLESS: &str = "SELECT COUNT(*) FROM numbers a, numbers b, numbers c, numbers d, numbers e, numbers f WHERE a.n + b.n + c.n + d.n + e.n + f.n < 0";

#[tokio::test(flavor = "multi_thread")]
async fn kills_losses_and_drain() {
    let cluster = TestCluster::start().await;
    let source = cluster.source_db();
    source.exec(include_str!("base.sql")).await;
    let gateway = cluster.gateway("").await;
    killed_backends(&cluster, &gateway, &source).await;
    killed_queries(&cluster, &gateway, &source).await;
    clients_that_go(&cluster, &gateway, &source).await;
    assert!(gateway.stop().await.success());
    drain(&cluster, &source).await;
    a_transaction_that_does_not_end(&cluster).await;
}

/// The error a statement must get.
async fn refused(client: &mut Raw, sql: &str) -> Refusal {
    let answers = client.query(sql, None).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    answers.iter().find_map(Answer::error).cloned().unwrap_or_else(|| panic!("{sql}: {answers:?}"))
}

/// Kills what the server does for the gateway and looks like this; how many there were.
async fn kill(source: &Db, like: &str) -> usize {
    let sql =
        format!("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'app' AND IFNULL(INFO, '') LIKE '{like}'");
    let ids = source.rows(&sql).await;
    let mut admin = source.conn().await;
    for id in ids.iter().flatten().flatten() {
        mysql_async::prelude::Queryable::query_drop(&mut admin, format!("KILL {id}")).await.unwrap();
    }
    ids.len()
}

async fn running(source: &Db, count: &str) {
    until(&format!("{count} long queries run on the server"), SOON, async || {
        let sql = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'app' AND INFO LIKE '%f.n < 0'";
        let seen = source.value(sql).await;
        if seen == count { Ok(()) } else { Err(seen) }
    })
    .await;
}

/// A server connection that dies costs a statement; where it held something of the session, the session; idle ones nothing.
async fn killed_backends(cluster: &TestCluster, gateway: &Gateway, source: &Db) {
    let mut client = open(cluster, gateway, "commerce", 0).await;
    say(&mut client, "SET time_zone = '+03:00'").await;
    client.say(ENDLESS.as_bytes()).await.unwrap();
    running(source, "1").await;
    assert_eq!(kill(source, "%f.n < 0").await, 1);
    let answers = Answer::all(&mut client, false, None).await.unwrap();
    assert!(answers[0].error().is_some(), "{answers:?}");
    assert_eq!(number(&mut client, "SELECT @@time_zone = '+03:00'").await, 1);

    // What lived in the connection is gone. That is said, and the session ends, so that nobody can take half a transaction
    // for a whole one: the statement after the loss, COMMIT above all, must never be answered OK.
    for after in ["INSERT INTO empty_table VALUES (2, 2)", "COMMIT", "SELECT 1 FROM empty_table"] {
        say(&mut client, "BEGIN").await;
        say(&mut client, "INSERT INTO empty_table VALUES (1, 1)").await;
        assert!(kill(source, "%").await > 0);
        let error = refused(&mut client, after).await;
        assert!(error.message.contains("rolled back"), "{after}: {error:?}");
        assert!(client.packet().await.is_err(), "the session goes on after {after}");
        client = open(cluster, gateway, "commerce", 0).await;
        assert_eq!(number(&mut client, "SELECT COUNT(*) FROM empty_table").await, 0);
    }
    say(&mut client, "SET @x = 1").await;
    say(&mut client, "CREATE TEMPORARY TABLE tmp (id INT)").await;
    assert!(kill(source, "%").await > 0);
    refused(&mut client, "SELECT * FROM tmp").await;
    assert!(client.packet().await.is_err(), "the session goes on without its temporary table");

    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(open(cluster, gateway, "commerce", 0).await);
    }
    for client in &mut clients {
        say(client, "SET group_concat_max_len = 2000").await;
    }
    assert!(kill(source, "%").await > 0);
    for client in &mut clients {
        assert_eq!(number(client, "SELECT @@group_concat_max_len").await, 2000, "idle connections died unnoticed");
    }
}

/// KILL names the gateway's connections.
async fn killed_queries(cluster: &TestCluster, gateway: &Gateway, source: &Db) {
    let mut victim = open(cluster, gateway, "commerce", 0).await;
    let mut killer = open(cluster, gateway, "commerce", 0).await;
    let id = victim.connection_id;
    victim.say(ENDLESS.as_bytes()).await.unwrap();
    running(source, "1").await;
    say(&mut killer, &format!("KILL QUERY {id}")).await;
    let answers = Answer::all(&mut victim, false, None).await.unwrap();
    assert_eq!(answers[0].error().map(|error| error.code), Some(1317), "{answers:?}");
    assert_eq!(number(&mut victim, "SELECT 5").await, 5);

    victim.say(ENDLESS.as_bytes()).await.unwrap();
    running(source, "1").await;
    say(&mut killer, &format!("KILL {id}")).await;
    let answered = Answer::all(&mut victim, false, None).await;
    assert!(answered.is_err() || victim.packet().await.is_err(), "the killed connection lives");
    running(source, "0").await;
    until("the killed connection is unknown", SOON, async || {
        let answers = killer.query(format!("KILL CONNECTION {id}"), None).await.unwrap();
        match answers[0].error() {
            Some(error) if error.code == 1094 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(refused(&mut killer, "KILL QUERY 4294967294").await.code, 1094);
    assert_eq!(number(&mut killer, "SELECT 6").await, 6);
    // COM_CHANGE_USER mid-session with garbage ends the session alone.
    killer.command(CHANGE_USER, b"\xff\xff\xff").await.unwrap();
    while killer.packet().await.is_ok() {}
    assert_eq!(number(&mut open(cluster, gateway, "commerce", 0).await, "SELECT 7").await, 7);
}

/// A client that goes takes its query, its transaction and its locks along.
async fn clients_that_go(cluster: &TestCluster, gateway: &Gateway, source: &Db) {
    let mut client = open(cluster, gateway, "commerce", 0).await;
    client.say(ENDLESS.as_bytes()).await.unwrap();
    running(source, "1").await;
    drop(client);
    running(source, "0").await;

    let mut client = open(cluster, gateway, "commerce", 0).await;
    say(&mut client, "BEGIN").await;
    say(&mut client, "UPDATE product SET stock = 12345").await;
    say(&mut client, "SELECT GET_LOCK('held', 0)").await;
    drop(client);
    until("a transaction ends with its client", SOON, async || {
        let open = source.value("SELECT COUNT(*) FROM information_schema.INNODB_TRX").await;
        let free = source.value("SELECT IS_FREE_LOCK('held')").await;
        if (open.as_str(), free.as_str()) == ("0", "1") {
            Ok(())
        } else {
            Err(format!("{open} transactions, free: {free}"))
        }
    })
    .await;
    assert_eq!(source.value("SELECT COUNT(*) FROM product WHERE stock = 12345").await, "0");
}

/// SIGTERM: nobody new; who is idle goes; who is in a transaction may finish it.
async fn drain(cluster: &TestCluster, source: &Db) {
    let gateway = cluster.gateway("--drain-timeout 30s").await;
    let mut idle = open(cluster, &gateway, "commerce", 0).await;
    let mut busy = open(cluster, &gateway, "commerce", 0).await;
    say(&mut busy, "BEGIN").await;
    say(&mut busy, "INSERT INTO empty_table VALUES (100, 1)").await;
    gateway.ask_to_stop();
    until("new connections are refused", SOON, async || {
        match Raw::open(&login(cluster, &gateway, "commerce", 0)).await {
            Ok(Ok(_)) => Err("another one got in"),
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    })
    .await;
    let gone = timeout(SOON, idle.query("SELECT 1", None)).await.expect("an answer or an end");
    assert!(gone.as_ref().map_or(true, |answers| answers[0].error().is_some()), "an idle session goes on: {gone:?}");
    say(&mut busy, "INSERT INTO empty_table VALUES (101, 1)").await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(number(&mut busy, "SELECT COUNT(*) FROM empty_table WHERE id >= 100").await, 2);
    say(&mut busy, "COMMIT").await;
    let began = Instant::now();
    let status = gateway.ended().await;
    assert!(status.success() && began.elapsed() < SOON, "{status} after {:?}", began.elapsed());
    assert_eq!(source.value("SELECT COUNT(*) FROM empty_table WHERE id >= 100").await, "2");
}

/// The drain has an end, whatever clients do.
async fn a_transaction_that_does_not_end(cluster: &TestCluster) {
    let gateway = cluster.gateway("--drain-timeout 1s").await;
    let mut client = open(cluster, &gateway, "commerce", 0).await;
    say(&mut client, "BEGIN").await;
    say(&mut client, "INSERT INTO empty_table VALUES (200, 1)").await;
    let began = Instant::now();
    gateway.stop().await;
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert_eq!(cluster.source_db().value("SELECT COUNT(*) FROM empty_table WHERE id = 200").await, "0");
}
