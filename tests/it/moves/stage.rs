//! A shop in keyspace `commerce`, other keyspaces on the same two servers, two gateways, and judges.

use std::collections::BTreeMap;

use crate::harness::{Db, Gateway, Running, Shardlift, TestCluster, until};
use crate::reshard::place;
use crate::scenario::PATIENCE;

/// Customers that are there from the start, each with an order.
pub const CUSTOMERS: i64 = 200;
pub const TABLES: &str = "
    CREATE TABLE customer (customer_id BIGINT AUTO_INCREMENT PRIMARY KEY, email VARBINARY(128), KEY (email));
    CREATE TABLE corder (order_id BIGINT AUTO_INCREMENT PRIMARY KEY, customer_id BIGINT NOT NULL, sku VARCHAR(64), price INT,
        KEY (customer_id))";
/// Both by customer.
pub const SHARDED: &str = r#"{"sharded": true, "vindexes": {"xxhash": {"type": "xxhash"}}, "tables": {
    "customer": {"column_vindexes": [{"column": "customer_id", "name": "xxhash"}]},
    "corder": {"column_vindexes": [{"column": "customer_id", "name": "xxhash"}]}}}"#;
/// AUTO_INCREMENT replaced by sequences.
pub const REPLACE: &str = "--sharded-auto-increment-handling REPLACE --global-keyspace commerce";

pub struct Stage {
    pub cluster: TestCluster,
    pub shardlift: Shardlift,
    pub gateways: [Gateway; 2],
    /// By keyspace and shard.
    shards: BTreeMap<String, Vec<(String, Db)>>,
    engine: Running,
    next: u32,
}

impl Stage {
    pub async fn start() -> Self {
        let cluster = TestCluster::start().await;
        let shardlift = cluster.shardlift();
        let db = cluster.source_db();
        db.exec(TABLES).await;
        db.exec(&format!(
            "INSERT INTO customer (email) WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {CUSTOMERS})
                 SELECT CONCAT(n, '@example.com') FROM s;
             INSERT INTO corder (customer_id, sku, price) SELECT customer_id, 'FIRST', 5 FROM customer"
        ))
        .await;
        let shards = BTreeMap::from([("commerce".to_owned(), vec![("0".to_owned(), db)])]);
        let (one, two) = tokio::join!(cluster.gateway(""), cluster.gateway(""));
        let engine = shardlift.engine("one").await;
        Self { cluster, shardlift, gateways: [one, two], shards, engine, next: 900 }
    }

    /// Declares a keyspace; its shards take turns on the two servers, each with a database of its own.
    pub async fn keyspace(&mut self, name: &str, shards: &[&str]) {
        self.shardlift.must(&format!("keyspace add {name}")).await;
        for (place, shard) in shards.iter().enumerate() {
            self.next += 100;
            let (uid, database) = (self.next, format!("{name}_{place}"));
            let server = if place % 2 == 0 { self.cluster.target() } else { self.cluster.source() };
            self.cluster.db(server, "mysql").exec(&format!("CREATE DATABASE {database}")).await;
            self.shardlift.must(&format!("shard add {name}/{shard}")).await;
            let add = format!(
                "tablet add zone1-{uid} --keyspace {name} --shard {shard} --type PRIMARY --mysql 127.0.0.1:{} --database \
                 {database} --credential engine --ssl-mode DISABLED",
                server.port()
            );
            self.shardlift.must(&add).await;
            let db = self.cluster.db(server, &database);
            self.shards.entry(name.to_owned()).or_default().push(((*shard).to_owned(), db));
        }
    }

    pub async fn vschema(&self, keyspace: &str, text: &str) {
        let path = self.cluster.folder().join(format!("{keyspace}.json"));
        std::fs::write(&path, text).unwrap();
        self.shardlift.must(&format!("vschema apply {keyspace} --vschema-file {}", path.display())).await;
    }

    /// Starts moving both tables, and waits until the streams are level.
    pub async fn moves(&self, from: &str, to: &str, flags: &str) {
        let line = format!(
            "movetables start --workflow move --source-keyspace {from} --target-keyspace {to} --tables customer,corder \
             --chunk-bytes 3000 --round-ms 300 {flags}"
        );
        let ran = self.shardlift.run(&line).await;
        assert!(matches!(ran.code, Some(0 | 3)), "{line}: {ran}");
        self.shardlift.wait_state(to, "move", "Running", PATIENCE).await;
    }

    /// Does something with the move into `to` that must succeed.
    pub async fn must(&self, verb: &str, to: &str) -> String {
        self.shardlift.must(&format!("movetables {verb} --target-keyspace {to} --workflow move")).await
    }

    pub fn db(&self, keyspace: &str, shard: &str) -> &Db {
        &self.shards[keyspace].iter().find(|(name, _)| name == shard).unwrap().1
    }

    /// Everything a keyspace holds, each row once; complains about rows on a wrong shard, and on two.
    pub async fn held(&self, keyspace: &str) -> Result<BTreeMap<String, String>, String> {
        let mut rows = BTreeMap::new();
        for (shard, db) in &self.shards[keyspace] {
            for (what, sql) in [
                ("customer", "SELECT customer_id, customer_id, HEX(email), 0 FROM customer"),
                ("order", "SELECT order_id, customer_id, sku, price FROM corder"),
            ] {
                for row in db.rows(sql).await {
                    let row: Vec<String> = row.into_iter().map(Option::unwrap).collect();
                    let [id, customer, text, price] = row.as_slice() else { panic!("{row:?}") };
                    if !place::has(shard, customer.parse().unwrap()) {
                        return Err(format!("{what} {id} of customer {customer} is on shard {shard}"));
                    }
                    if rows.insert(format!("{what} {id}"), format!("{customer} {text} {price}")).is_some() {
                        return Err(format!("{what} {id} is on two shards"));
                    }
                }
            }
        }
        Ok(rows)
    }

    /// Waits until both keyspaces hold the same, row by row and each in its place.
    pub async fn equal(&self, one: &str, other: &str) -> BTreeMap<String, String> {
        until(&format!("{one} and {other} hold the same"), PATIENCE, async || {
            let (ours, theirs) = (self.held(one).await?, self.held(other).await?);
            let differ = |(what, row): &(&String, &String)| theirs.get(*what) != Some(*row);
            let told: Vec<_> = ours.iter().filter(differ).take(5).map(|(what, row)| format!("{what}: {row}")).collect();
            match told.is_empty() && ours.len() == theirs.len() {
                true => Ok(ours),
                false => Err(format!("{} and {} rows, e.g. {}", ours.len(), theirs.len(), told.join(", "))),
            }
        })
        .await
    }

    pub async fn stop(self) {
        let [one, two] = self.gateways;
        assert!(one.stop().await.success() && two.stop().await.success());
        self.engine.stop().await;
    }
}
