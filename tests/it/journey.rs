//! The journey in `workflows/journey`: its steps are run as they are, while an application goes on writing.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mysql_async::OptsBuilder;
use mysql_async::prelude::Queryable;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::harness::{Db, servers, until};

/// A journey's folder and port. Dropping it tears everything down.
struct Journey {
    folder: PathBuf,
    port: u16,
}

impl Journey {
    fn command(&self, step: &str) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("workflows/journey").join(step));
        command.env("SHARDLIFT", env!("CARGO_BIN_EXE_shardlift"));
        command.env("JOURNEY", &self.folder).env("PORT", self.port.to_string());
        command
    }

    /// Runs a step that must succeed; what it prints.
    async fn step(&self, step: &str) -> String {
        let mut command = self.command(step);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{step}: {:?}\n{said}\n{complaint}", output.status);
        said.into_owned()
    }

    /// Keyspace `keyspace` through the gateway, as an application.
    fn gateway(&self, keyspace: &str) -> Db {
        let file = std::fs::read_to_string(self.folder.join("cluster/credentials.json")).unwrap();
        let credentials: serde_json::Value = serde_json::from_str(&file).unwrap();
        let text = |key: &str| credentials["app"][key].as_str().unwrap().to_owned();
        let opts = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(self.port).prefer_socket(false);
        let opts = opts.user(Some(text("user"))).pass(Some(text("password")));
        Db::over(opts, keyspace, "the gateway".into())
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        let _ = self.command("401_teardown.sh").arg("--purge").output();
    }
}

/// Orders by the names that an application has always used, until `enough`; the ids that were acknowledged.
async fn shop(db: Db, enough: CancellationToken) -> BTreeSet<u64> {
    let mut conn = db.conn().await;
    let mut acknowledged = BTreeSet::new();
    while !enough.is_cancelled() {
        conn.query_drop("INSERT INTO corder (customer_id, sku, price) VALUES (1, 'SKU-1001', 100)").await.unwrap();
        acknowledged.insert(conn.last_insert_id().unwrap());
        sleep(Duration::from_millis(5)).await;
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_does_what_it_says() {
    servers().await;
    let place = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let journey = Journey { folder: place.path().join("journey"), port };
    let said = journey.step("101_initial_cluster.sh").await;
    assert!(said.contains("zone1-0000000101\t127.0.0.1"), "{said}");
    journey.step("102_commerce_data.sh").await;
    let enough = CancellationToken::new();
    let shopping = tokio::spawn(shop(journey.gateway("commerce"), enough.clone()));
    let said = journey.step("201_customer_keyspace.sh").await;
    assert!(said.contains("customer/0"), "{said}");
    journey.step("202_move_tables.sh").await;

    // A replica's reads: of the old side before they are switched, of the new one afterwards.
    let which = "SELECT @@server_uuid FROM customer LIMIT 1";
    let (source, target) = ("SELECT @@server_uuid FROM product LIMIT 1", "SELECT @@server_uuid");
    let replica = async |sql: &str| journey.gateway("commerce@replica").value(sql).await;
    assert_eq!(replica(which).await, replica(source).await);
    let said = journey.step("203_switch_reads.sh").await;
    assert!(said.contains("REPLICA, RDONLY traffic of 2 table(s) goes to customer"), "{said}");
    let at_target = journey.gateway("customer@replica").value(target).await;
    assert_eq!(replica(which).await, at_target);
    let primary = async |sql: &str| journey.gateway("commerce").value(sql).await;
    assert_eq!(primary(which).await, primary(source).await);

    journey.step("204_switch_writes.sh").await;
    assert_ne!(primary(which).await, primary(source).await);
    sleep(Duration::from_millis(300)).await;
    enough.cancel();
    let mut orders = shopping.await.unwrap();
    assert!(orders.len() > 100, "{} orders in all", orders.len());
    journey.step("205_complete.sh").await;
    let tables =
        "SELECT GROUP_CONCAT(TABLE_NAME ORDER BY 1) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()";
    assert_eq!(primary(tables).await, "_corder_old,_customer_old,product");
    // The first five are the shop's own.
    orders.extend(1..=5);
    let there = journey.gateway("customer").rows("SELECT order_id FROM corder").await;
    let there: BTreeSet<u64> = there.into_iter().flatten().flatten().map(|id| id.parse().unwrap()).collect();
    assert_eq!(there, orders);

    the_second_half(&journey, orders.len()).await;

    journey.step("401_teardown.sh").await;
    until("nothing of the journey runs", Duration::from_secs(10), async || {
        let mine = |line: &[u8]| String::from_utf8_lossy(line).contains(place.path().to_str().unwrap());
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let left = processes.filter(|process| std::fs::read(process.path().join("cmdline")).is_ok_and(|l| mine(&l)));
        match left.count() {
            0 => Ok(()),
            left => Err(format!("{left} processes")),
        }
    })
    .await;
}

/// Keyspace `customer`, which has so many orders, is split.
async fn the_second_half(journey: &Journey, orders: usize) {
    for step in ["301_customer_sharded.sh", "302_new_shards.sh", "303_reshard.sh", "304_switch_reads.sh"] {
        journey.step(step).await;
    }
    let said = journey.step("305_switch_writes.sh").await;
    assert!(said.contains("PRIMARY traffic of 2 table(s) goes to customer/-80,80-"), "{said}");
    journey.step("306_complete.sh").await;
    journey.step("307_delete_shard_0.sh").await;
    // Numbers come from the sequence, which began above what was there.
    let mut conn = journey.gateway("customer").conn().await;
    conn.query_drop("INSERT INTO corder (customer_id, sku, price) VALUES (7, 'SKU-1001', 5), (8, 'SKU-1001', 6)")
        .await
        .unwrap();
    assert!(conn.last_insert_id().is_some_and(|id| id > orders as u64));
    let count = async |keyspace: &str| journey.gateway(keyspace).value("SELECT COUNT(*) FROM corder").await;
    let parts = [count("customer:-80").await, count("customer:80-").await].map(|part| part.parse::<usize>().unwrap());
    assert_eq!((parts[0] + parts[1], count("customer").await), (orders + 2, (orders + 2).to_string()));
}
