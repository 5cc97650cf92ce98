//! Numbers from sequences, through two gateways: each once, whoever asks.

use std::collections::BTreeSet;

use mysql_async::prelude::Queryable;

use crate::harness::{Gateway, TestCluster};

use super::{number, open, say};

const TABLES: &str =
    "CREATE TABLE customer_seq (id INT PRIMARY KEY, next_id BIGINT, cache BIGINT) COMMENT 'vitess_sequence';
    INSERT INTO customer_seq VALUES (0, 1, 10);
    CREATE TABLE empty_seq (id INT PRIMARY KEY, next_id BIGINT, cache BIGINT) COMMENT 'vitess_sequence';
    CREATE TABLE plain (id INT PRIMARY KEY AUTO_INCREMENT, next INT); INSERT INTO plain VALUES (5, 7)";
const VSCHEMA: &str = r#"{"tables":{"customer_seq":{"type":"sequence"},"empty_seq":{"type":"sequence"}}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_given_out_once() {
    let cluster = TestCluster::start().await;
    let db = cluster.source_db();
    db.exec(TABLES).await;
    cluster.shardlift().must(&format!("vschema apply --vschema {VSCHEMA} commerce")).await;
    let (one, two) = tokio::join!(cluster.gateway(""), cluster.gateway("--pool-size 1"));

    // Many at once, some of them several in a row.
    let draws = (0..6).map(|client| draw(if client % 2 == 0 { &one } else { &two }, 40));
    let mut seen = BTreeSet::new();
    for (first, count) in futures_util::future::join_all(draws).await.into_iter().flatten() {
        for number in first..first + count {
            assert!(seen.insert(number), "{number} was given out twice");
        }
    }
    assert_eq!(seen.len(), 6 * 40 * 2, "{seen:?}");
    let reserved: i64 = db.rows("SELECT next_id FROM customer_seq").await[0][0].as_deref().unwrap().parse().unwrap();
    assert!(seen.last().is_some_and(|last| *last < reserved), "{reserved}");

    let mut client = open(&cluster, &one, "commerce", 0).await;
    // What a workflow does when it has rows with higher numbers; a new View comes with it.
    db.exec("UPDATE customer_seq SET next_id = 5000").await;
    cluster.shardlift().must("keyspace add another").await;
    crate::harness::until("the gateway knows of the change", std::time::Duration::from_secs(10), async || {
        let found = say(&mut client, "SHOW keyspaces").await;
        found[0]
            .lines(super::reply::Hidden::Nothing)
            .iter()
            .any(|line| line.contains("another"))
            .then_some(())
            .ok_or("")
    })
    .await;
    assert_eq!(number(&mut client, "SELECT NEXT VALUE FROM customer_seq").await, 5000, "no old block is gone on with");
    // Within a transaction, and not part of it.
    say(&mut client, "BEGIN").await;
    say(&mut client, "INSERT INTO plain (next) VALUES (1)").await;
    assert_eq!(number(&mut client, "select next 25 values from commerce.customer_seq").await, 5010);
    assert_eq!(number(&mut client, "SELECT LAST_INSERT_ID()").await, 6, "a number is no insert id");
    say(&mut client, "ROLLBACK").await;
    assert_eq!(number(&mut client, "SELECT NEXT VALUE FROM customer_seq").await, 5035);

    // What is no sequence is MySQL's: a column called `next`, named `value`.
    assert_eq!(number(&mut client, "SELECT next value FROM plain").await, 7);
    for (sql, why) in [
        ("SELECT NEXT VALUE FROM empty_seq", "must have one row with id 0"),
        ("SELECT NEXT 0 VALUES FROM customer_seq", "a number of at least 1"),
        ("SELECT NEXT 99999999999 VALUES FROM customer_seq", "at most"),
    ] {
        let answers = client.query(sql, None).await.unwrap();
        let error = answers[0].error().unwrap_or_else(|| panic!("{sql}: {answers:?}"));
        assert!(format!("{error:?}").contains(why), "{sql}: {error:?}");
    }

    // As a prepared statement, with a binary result.
    let mut conn = one.try_conn("commerce").await.unwrap();
    let value: Option<u64> = conn.exec_first("SELECT NEXT VALUE FROM customer_seq", ()).await.unwrap();
    assert_eq!(value, Some(5036));

    // One connection for two sessions: each is told its own insert id.
    let (mut left, mut right) = (open(&cluster, &two, "commerce", 0).await, open(&cluster, &two, "commerce", 0).await);
    say(&mut left, "INSERT INTO plain (id, next) VALUES (100, 0)").await;
    say(&mut left, "INSERT INTO plain (next) VALUES (0)").await;
    say(&mut right, "INSERT INTO plain (next) VALUES (0)").await;
    number(&mut right, "SELECT NEXT VALUE FROM customer_seq").await;
    assert_eq!(number(&mut left, "SELECT LAST_INSERT_ID()").await, 101);
    assert_eq!(number(&mut right, "SELECT LAST_INSERT_ID()").await, 102);
    assert!(one.stop().await.success() && two.stop().await.success());
}

/// Draws `times` in turn 1, 2 and 3 numbers: the first of each, and how many.
async fn draw(gateway: &Gateway, times: i64) -> Vec<(i64, i64)> {
    let mut conn = gateway.try_conn("commerce").await.unwrap();
    let mut drawn = Vec::new();
    for count in (0..times).map(|turn| [1, 2, 3, 2][turn as usize % 4]) {
        let first: Option<i64> =
            conn.query_first(format!("SELECT NEXT {count} VALUES FROM customer_seq")).await.unwrap();
        drawn.push((first.unwrap(), count));
    }
    drawn
}
