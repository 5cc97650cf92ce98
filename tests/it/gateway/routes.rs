//! Where statements go: keyspaces, tablet types, rules that change under way, replicas that fall behind, a topology that is
//! gone, a schema that is not called like its keyspace.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::raw::{DEPRECATE_EOF, Raw, SESSION_TRACK};
use super::reply::{Answer, Refusal};
use super::{number, open, say, text};
use crate::harness::{Gateway, Shardlift, TestCluster, until};
use crate::metrics;

const SOON: Duration = Duration::from_secs(20);
/// The schema of keyspace `customer` on its servers.
const SCHEMA: &str = "customer_at_home";

#[tokio::test(flavor = "multi_thread")]
async fn statements_find_their_tablet() {
    let cluster = TestCluster::with(|spec| {
        (spec.replicas, spec.etcd) = (1, true);
        spec.keyspaces[1].database = SCHEMA.parse().unwrap();
    })
    .await;
    let (source, target) = (cluster.source_db(), cluster.db(cluster.target(), SCHEMA));
    source.exec("CREATE TABLE here (id INT PRIMARY KEY, v VARCHAR(9)); INSERT INTO here VALUES (1, 'source')").await;
    source
        .exec("CREATE TABLE moving (id INT PRIMARY KEY, v VARCHAR(9)); INSERT INTO moving VALUES (1, 'source')")
        .await;
    target.exec("CREATE TABLE there (id INT PRIMARY KEY, v VARCHAR(9)); INSERT INTO there VALUES (1, 'target')").await;
    target
        .exec("CREATE TABLE moving (id INT PRIMARY KEY, v VARCHAR(9)); INSERT INTO moving VALUES (1, 'target')")
        .await;
    let gateway = cluster.gateway("--max-replica-lag 3s").await;
    let shardlift = cluster.shardlift();
    keyspaces(&cluster, &gateway).await;
    another_schema(&cluster, &gateway).await;
    tablet_types(&cluster, &gateway).await;
    rules(&cluster, &gateway, &shardlift).await;
    replicas_that_fall_behind(&cluster, &gateway).await;
    without_a_topology(&cluster, &gateway, &shardlift).await;
    assert!(gateway.stop().await.success());
}

async fn refused(client: &mut Raw, sql: &str) -> Refusal {
    let answers = client.query(sql, None).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    answers.iter().find_map(Answer::error).cloned().unwrap_or_else(|| panic!("{sql} is not refused: {answers:?}"))
}

async fn refused_with(client: &mut Raw, sql: &str, code: u16, words: &[&str]) {
    let error = refused(client, sql).await;
    assert_eq!(error.code, code, "{sql}: {error:?}");
    for word in words {
        assert!(error.message.contains(word), "{sql}: {word:?} is not in {error:?}");
    }
}

async fn keyspaces(cluster: &TestCluster, gateway: &Gateway) {
    let mut client =
        Raw::open(&super::Login { database: None, ..super::login(cluster, gateway, "", 0) }).await.unwrap().unwrap();
    refused_with(&mut client, "SELECT * FROM here", 1046, &[]).await;
    assert_eq!(text(&mut client, "SELECT v FROM commerce.here").await, "source");
    assert_eq!(text(&mut client, "SELECT v FROM customer.there").await, "target");
    refused_with(&mut client, "SELECT v FROM nosuch.here", 1049, &["nosuch"]).await;
    refused_with(&mut client, "USE nosuch", 1049, &["nosuch"]).await;
    say(&mut client, "USE commerce").await;
    assert_eq!(text(&mut client, "SELECT v FROM here").await, "source");
    assert_eq!(text(&mut client, "SELECT v FROM customer.there").await, "target");
    say(&mut client, "INSERT INTO customer.there VALUES (2, 'new')").await;
    for sql in [
        "SELECT * FROM here JOIN customer.there USING (id)",
        "SELECT * FROM commerce.here WHERE id IN (SELECT id FROM customer.there)",
        "INSERT INTO here SELECT * FROM customer.there",
        "UPDATE here, customer.there SET here.v = there.v",
        "DELETE here FROM here JOIN customer.there USING (id)",
        "SELECT v FROM here UNION SELECT v FROM customer.there",
        "CREATE TABLE copied AS SELECT * FROM customer.there",
    ] {
        refused_with(&mut client, sql, 1235, &["commerce", "customer"]).await;
    }
    // A transaction stays where it began.
    say(&mut client, "BEGIN").await;
    assert_eq!(text(&mut client, "SELECT v FROM here").await, "source");
    let error = refused(&mut client, "SELECT v FROM customer.there").await;
    assert!(error.code == 1235 && error.message.contains("customer"), "{error:?}");
    assert_eq!(text(&mut client, "SELECT v FROM here").await, "source");
    say(&mut client, "COMMIT").await;
    for command in ["SHOW DATABASES", "SHOW SCHEMAS LIKE 'c%'", "show keyspaces"] {
        assert_eq!(text(&mut client, command).await, "commerce", "{command}");
    }
    assert_eq!(text(&mut client, "SHOW vitess_target").await, "commerce");
}

/// Clients see the keyspace's name, wherever it is kept.
async fn another_schema(cluster: &TestCluster, gateway: &Gateway) {
    let mut client = open(cluster, gateway, "customer", SESSION_TRACK | DEPRECATE_EOF).await;
    assert_eq!(text(&mut client, "SELECT v FROM there WHERE id = 1").await, "target");
    for sql in [
        "SELECT customer.there.v FROM customer.there WHERE customer.there.id = 1",
        "SELECT `customer`.`there`.v FROM `customer`.`there` WHERE id = 1",
        "SELECT t.v FROM customer . there AS t WHERE t.id = 1",
        "SELECT v FROM (SELECT * FROM customer.there) AS customer WHERE customer.id = 1",
    ] {
        assert_eq!(text(&mut client, sql).await, "target", "{sql}");
    }
    say(&mut client, "INSERT INTO customer.there (id, v) VALUES (3, 'customer.')").await;
    assert_eq!(text(&mut client, "SELECT v FROM there WHERE id = 3").await, "customer.");
    say(&mut client, "UPDATE customer.there SET customer.there.v = 'x' WHERE customer.there.id = 3").await;
    say(&mut client, "DELETE FROM customer.there WHERE id = 3").await;
    say(&mut client, "CREATE TABLE customer.made (id INT)").await;
    say(&mut client, "DROP TABLE customer.made").await;
    assert_eq!(text(&mut client, "SELECT DATABASE()").await, "customer");
    let shown = client.query("SHOW TABLES", None).await.unwrap();
    let shown = shown[0].lines(super::reply::Hidden::Nothing).join("\n");
    assert!(shown.contains("Tables_in_customer`") && !shown.contains(SCHEMA), "{shown}");
    let answers = client.query("USE customer", None).await.unwrap();
    let tracked = answers[0].done().unwrap().tracked.clone();
    assert!(!tracked.escape_ascii().to_string().contains(SCHEMA), "{}", tracked.escape_ascii());
    assert_eq!(text(&mut client, "SHOW TABLES FROM customer").await, "moving");
    refused_with(&mut client, &format!("USE {SCHEMA}"), 1049, &[SCHEMA]).await;
    refused_with(&mut client, &format!("SELECT v FROM {SCHEMA}.there"), 1049, &[SCHEMA]).await;
}

async fn tablet_types(cluster: &TestCluster, gateway: &Gateway) {
    let mut client = open(cluster, gateway, "commerce@replica", 0).await;
    let read_only = "SELECT @@global.super_read_only";
    until("the replica has the rows", SOON, async || {
        let answers = client.query("SELECT v FROM here", None).await.unwrap();
        if answers[0].value().as_deref() == Some("source") { Ok(()) } else { Err(format!("{answers:?}")) }
    })
    .await;
    assert_eq!(number(&mut client, read_only).await, 1);
    assert_eq!(text(&mut client, "SELECT v FROM commerce.here").await, "source");
    for sql in [
        "INSERT INTO here VALUES (9, 'x')",
        "UPDATE here SET v = 'x'",
        "DELETE FROM commerce.here",
        "REPLACE INTO here VALUES (9, 'x')",
        "CREATE TABLE nowhere (id INT)",
        "SELECT * FROM here FOR UPDATE",
        "TRUNCATE TABLE here",
    ] {
        refused_with(&mut client, sql, 1290, &["replica"]).await;
    }
    for (target, expected) in [
        ("commerce", 0),
        ("commerce@replica", 1),
        ("`commerce@primary`", 0),
        ("commerce@REPLICA", 1),
        ("commerce/0", 0),
        ("commerce:0@replica", 1),
        ("`commerce`", 0),
    ] {
        say(&mut client, &format!("USE {target}")).await;
        assert_eq!(number(&mut client, read_only).await, expected, "USE {target}");
    }
    assert_eq!(refused(&mut client, "USE commerce@nosuch").await.code, 1049);
    assert_eq!(refused(&mut client, "USE commerce:-80").await.code, 1049);
    let none = refused(&mut open(cluster, gateway, "commerce@rdonly", 0).await, "SELECT 1 FROM here").await;
    assert!(none.message.to_lowercase().contains("rdonly"), "{none:?}");
}

/// Rules that are applied take effect for everybody at once, for the tablet types they name, and are undone so.
async fn rules(cluster: &TestCluster, gateway: &Gateway, shardlift: &Shardlift) {
    let (mut reader, mut other) =
        (open(cluster, gateway, "commerce", 0).await, open(cluster, gateway, "customer", 0).await);
    let mut replica = open(cluster, gateway, "commerce@replica", 0).await;
    assert_eq!(text(&mut reader, "SELECT v FROM moving").await, "source");
    let apply = async |rules: &str| {
        let file = cluster.folder().join("rules.json");
        std::fs::write(&file, format!("{{\"rules\":[{rules}]}}")).unwrap();
        shardlift.must(&format!("rules apply --rules-file {}", file.display())).await;
    };
    let becomes = async |client: &mut Raw, sql: &str, expected: &str| {
        let began = Instant::now();
        while text(client, sql).await != expected {
            assert!(began.elapsed() < SOON, "{sql} does not become {expected}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("a rule takes effect after {:?}", began.elapsed());
    };
    let rule = |from: &str| format!("{{\"from_table\":\"{from}\",\"to_tables\":[\"customer.moving\"]}}");
    apply(&[rule("moving@replica"), rule("commerce.moving@replica")].join(",")).await;
    becomes(&mut replica, "SELECT v FROM moving", "target").await;
    assert_eq!(text(&mut replica, "SELECT v FROM commerce.moving").await, "target");
    assert_eq!(text(&mut reader, "SELECT v FROM moving").await, "source", "the rule is for replicas");
    apply(&[rule("moving"), rule("commerce.moving")].join(",")).await;
    becomes(&mut reader, "SELECT v FROM moving", "target").await;
    for sql in [
        "SELECT v FROM commerce.moving",
        "SELECT commerce.moving.v FROM commerce.moving",
        "SELECT m.v FROM moving m",
        "SELECT moving.v FROM moving",
    ] {
        assert_eq!(text(&mut reader, sql).await, "target", "{sql}");
    }
    assert_eq!(text(&mut other, "SELECT v FROM moving").await, "target");
    say(&mut reader, "UPDATE moving SET v = 'written' WHERE id = 1").await;
    let there = cluster.db(cluster.target(), SCHEMA);
    assert_eq!(there.value("SELECT v FROM moving").await, "written");
    refused_with(&mut reader, "SELECT * FROM here JOIN moving USING (id)", 1235, &["commerce", "customer"]).await;
    apply("").await;
    becomes(&mut reader, "SELECT v FROM moving", "source").await;
}

/// A replica that does not replicate is not read from; where none is left, the answer names each with its reason.
async fn replicas_that_fall_behind(cluster: &TestCluster, gateway: &Gateway) {
    let mut client = open(cluster, gateway, "commerce@replica", 0).await;
    let alias = cluster.source_replica_alias();
    let replica = cluster.db(cluster.source_replica(), "mysql");
    assert_eq!(text(&mut client, "SELECT v FROM here").await, "source");
    // Each on a connection of its own: one that waits for a frozen server goes on waiting.
    let read = async || {
        let mut client = open(cluster, gateway, "commerce@replica", 0).await;
        match timeout(Duration::from_secs(2), client.query("SELECT v FROM here", None)).await {
            Ok(answers) => answers.unwrap().remove(0),
            Err(_) => Answer::Other(b"no answer".to_vec()),
        }
    };
    let refuses = async |why: &str| {
        until(&format!("{why}: the replica is no longer read from"), SOON, async || {
            let answer = read().await;
            match answer.error() {
                Some(error) if error.message.contains(&alias) => {
                    println!("{why}: {}", error.message);
                    Ok(())
                }
                _ => Err(format!("{answer:?}")),
            }
        })
        .await;
    };
    let serves = async |why: &str| {
        until(&format!("{why}: the replica is read from again"), SOON, async || {
            let answer = read().await;
            answer.value().filter(|value| value == "source").ok_or_else(|| format!("{answer:?}"))
        })
        .await;
    };
    replica.exec("STOP REPLICA").await;
    refuses("replication is stopped").await;
    replica.exec("START REPLICA").await;
    serves("replication is started").await;
    cluster.source_replica().kill9().await.unwrap();
    refuses("the replica is killed").await;
    let mut primary = open(cluster, gateway, "commerce", 0).await;
    assert_eq!(text(&mut primary, "SELECT v FROM here").await, "source", "the primary's clients do not care");
    cluster.source_replica().restart().await.unwrap();
    replica.exec("START REPLICA").await;
    serves("the replica is restarted").await;
    cluster.source_replica().pause().unwrap();
    refuses("the replica is frozen").await;
    cluster.source_replica().resume().unwrap();
    serves("the replica is thawed").await;
}

/// The last view serves on, its age can be seen, and changes arrive when the topology is back.
async fn without_a_topology(cluster: &TestCluster, gateway: &Gateway, shardlift: &Shardlift) {
    let mut client = open(cluster, gateway, "commerce", 0).await;
    cluster.etcd().kill9().await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(text(&mut client, "SELECT v FROM here").await, "source");
    let mut new = open(cluster, gateway, "customer", 0).await;
    assert_eq!(text(&mut new, "SELECT v FROM there WHERE id = 1").await, "target");
    let age = |said: &str| {
        let line = said.lines().find(|line| line.starts_with("shardlift_gateway_view_age_seconds"));
        line.and_then(|line| line.split_whitespace().last()?.parse::<f64>().ok())
            .unwrap_or_else(|| panic!("no age in {said}"))
    };
    let (_, said) = metrics::get(&gateway.http_address(), "/metrics").await;
    assert!(age(&said) > 2.0, "the view is {} s old", age(&said));
    cluster.etcd().restart().await.unwrap();
    let rule = r#"{"rules":[{"from_table":"commerce.moving","to_tables":["customer.moving"]}]}"#;
    let file = cluster.folder().join("rules.json");
    std::fs::write(&file, rule).unwrap();
    shardlift.must(&format!("rules apply --rules-file {}", file.display())).await;
    until("the view follows again", SOON, async || {
        let seen = text(&mut client, "SELECT v FROM moving").await;
        if seen == "written" { Ok(()) } else { Err(seen) }
    })
    .await;
    let (_, said) = metrics::get(&gateway.http_address(), "/metrics").await;
    assert!(age(&said) < 5.0, "the view is {} s old", age(&said));
}
