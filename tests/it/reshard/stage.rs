//! A keyspace `customer` on shards of its own: servers, tables, and judges.

use std::collections::BTreeMap;

use shardlift::local::Mysqld;
use shardlift::local::cluster::ClusterSpec;

use super::place;
use crate::harness::{Db, Running, Shardlift, TestCluster, until};
use crate::scenario::PATIENCE;

/// Customers and their orders are spread by customer, countries are whole on every shard.
pub const VSCHEMA: &str = r#"{"sharded": true, "vindexes": {"xxhash": {"type": "xxhash"}}, "tables": {
    "customer": {"column_vindexes": [{"column": "customer_id", "name": "xxhash"}]},
    "corder": {"column_vindexes": [{"column": "customer_id", "name": "xxhash"}]},
    "country": {"type": "reference"}}}"#;

/// Rows that are there from the start.
pub const CUSTOMERS: i64 = 400;

/// A cluster with one keyspace, and an engine.
#[derive(Debug)]
pub struct Stage {
    pub cluster: TestCluster,
    pub shardlift: Shardlift,
    /// By shard, whatever it serves.
    pub shards: BTreeMap<String, Db>,
    pub engine: Option<Running>,
    next: u32,
}

impl Stage {
    /// Shard `0` with the tables, and servers for these other shards, which serve nothing yet.
    pub async fn start(targets: &[&str]) -> Self {
        let with = |spec: &mut ClusterSpec| {
            spec.keyspaces.retain(|keyspace| keyspace.name.as_str() == "customer");
            spec.keyspaces[0].shards = ["0"].iter().chain(targets).map(|name| name.parse().unwrap()).collect();
        };
        let cluster = TestCluster::with(with).await;
        let shardlift = cluster.shardlift();
        let names = ["0"].iter().chain(targets);
        let shards = names.zip(cluster.primaries("customer"));
        let shards = shards.map(|(name, server)| ((*name).to_owned(), cluster.db(server, "customer"))).collect();
        let mut stage = Self { cluster, shardlift, shards, engine: None, next: 700 };
        tables(stage.db("0")).await;
        stage.apply_vschema(VSCHEMA).await;
        stage.engine = Some(stage.shardlift.engine("one").await);
        stage
    }

    pub async fn apply_vschema(&self, text: &str) {
        let path = self.cluster.folder().join("vschema.json");
        std::fs::write(&path, text).unwrap();
        self.shardlift.must(&format!("vschema apply customer --vschema-file {}", path.display())).await;
    }

    /// Declares a further shard, in a database of its own on one of the servers.
    pub async fn add_shard(&mut self, name: &str, server: usize) {
        self.next += 100;
        let (uid, database) = (self.next, format!("customer_{}", self.next));
        self.shardlift.must(&format!("shard add customer/{name}")).await;
        let server = self.cluster.primaries("customer")[server];
        let address = format!("unix:{}", server.socket().display());
        self.cluster.db(server, "mysql").exec(&format!("CREATE DATABASE {database}")).await;
        let add = format!(
            "tablet add zone1-{uid} --keyspace customer --shard {name} --type PRIMARY --mysql {address} \
             --database {database} --credential engine"
        );
        self.shardlift.must(&add).await;
        let db = self.cluster.db(server, &database);
        self.shards.insert(name.to_owned(), db);
    }

    pub fn db(&self, shard: &str) -> &Db {
        &self.shards[shard]
    }

    /// The server of the shard at this place of the cluster's own.
    pub fn server(&self, place: usize) -> &Mysqld {
        self.cluster.primaries("customer")[place]
    }

    /// Starts a workflow of this name.
    pub async fn reshard(&self, name: &str, from: &str, to: &str, flags: &str) {
        let line = format!(
            "reshard start --target-keyspace customer --workflow {name} --source-shards {from} --target-shards {to} {flags}"
        );
        let ran = self.shardlift.run(&line).await;
        assert!(matches!(ran.code, Some(0 | 3)), "{line}: {ran}");
    }

    /// Does something with a workflow that must succeed.
    pub async fn must(&self, verb: &str, name: &str) -> String {
        self.shardlift.must(&format!("reshard {verb} --target-keyspace customer --workflow {name}")).await
    }

    pub async fn state(&self, name: &str, state: &str) {
        self.shardlift.wait_state("customer", name, state, PATIENCE).await;
    }

    /// Which shards serve which types.
    pub async fn serving(&self) -> BTreeMap<String, String> {
        let list = self.shardlift.json("shard list customer").await;
        let each = list.as_array().unwrap().iter().map(|shard| {
            let serves: Vec<_> =
                shard["serving"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect();
            (shard["shard"].as_str().unwrap().to_owned(), serves.join(","))
        });
        each.collect()
    }

    /// Everything that shards hold together, each row once; complains about rows on a wrong shard, and on two.
    pub async fn held(&self, shards: &[&str]) -> Result<Held, String> {
        let mut held = Held::default();
        let mut countries = Vec::new();
        for shard in shards {
            let db = self.db(shard);
            for row in db.rows("SELECT customer_id, HEX(email) FROM customer").await {
                let [Some(id), email] = row.as_slice() else { panic!("{row:?}") };
                held.take(shard, id, &format!("customer {id}"), format!("{email:?}"))?;
            }
            for row in db.rows("SELECT order_id, customer_id, HEX(sku), price FROM corder").await {
                let [Some(order), Some(customer), sku, price] = row.as_slice() else { panic!("{row:?}") };
                let content = format!("{customer} {sku:?} {price:?}");
                held.take(shard, customer, &format!("order {order}"), content)?;
            }
            countries.push(db.rows("SELECT * FROM country ORDER BY code").await);
        }
        countries.dedup();
        match countries.as_slice() {
            [same] => held.countries = same.len(),
            other => return Err(format!("countries differ between shards: {other:?}")),
        }
        Ok(held)
    }

    /// Waits until these shards hold what those hold, row by row and each in its place.
    pub async fn equal(&self, one: &[&str], other: &[&str]) -> Held {
        let mut found = Held::default();
        until(&format!("{one:?} and {other:?} hold the same"), PATIENCE, async || {
            let (ours, theirs) = (self.held(one).await?, self.held(other).await?);
            let differs = ours.differs(&theirs);
            found = ours;
            if differs.is_empty() { Ok(()) } else { Err(differs) }
        })
        .await;
        found
    }

    pub async fn stop(mut self) {
        if let Some(engine) = self.engine.take() {
            engine.stop().await;
        }
    }
}

/// Rows by what they are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Held {
    pub rows: BTreeMap<String, String>,
    pub countries: usize,
}

impl Held {
    fn take(&mut self, shard: &str, customer: &str, what: &str, content: String) -> Result<(), String> {
        let customer: i64 = customer.parse().unwrap();
        if !place::has(shard, customer) {
            return Err(format!("{what} of customer {customer} is on shard {shard}, where it does not belong"));
        }
        match self.rows.insert(what.to_owned(), content) {
            None => Ok(()),
            Some(twice) => Err(format!("{what} is on two shards: {twice}")),
        }
    }

    fn differs(&self, other: &Self) -> String {
        let missing = self.rows.iter().filter(|(what, content)| other.rows.get(*what) != Some(content));
        let extra = other.rows.keys().filter(|what| !self.rows.contains_key(*what));
        let told: Vec<_> = missing.map(|(what, _)| what).chain(extra).take(5).cloned().collect();
        match (told.is_empty(), self.countries == other.countries) {
            (true, true) => String::new(),
            _ => format!("{} and {} rows, e.g. {}", self.rows.len(), other.rows.len(), told.join(", ")),
        }
    }
}

async fn tables(db: &Db) {
    db.exec(
        "CREATE TABLE customer (customer_id BIGINT PRIMARY KEY, email VARBINARY(128), KEY (email));
         CREATE TABLE corder (order_id BIGINT AUTO_INCREMENT PRIMARY KEY, customer_id BIGINT NOT NULL, sku VARCHAR(64), \
             price DECIMAL(9,2), KEY (customer_id));
         CREATE TABLE country (code CHAR(2) PRIMARY KEY, name VARCHAR(40));
         INSERT INTO country VALUES ('de', 'Germany'), ('fi', 'Finland'), ('ie', 'Ireland')",
    )
    .await;
    db.exec(&format!(
        "SET cte_max_recursion_depth = {0};
         INSERT INTO customer WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {CUSTOMERS})
             SELECT n, CONCAT(n, '@example.com') FROM s;
         INSERT INTO corder SELECT customer_id * 10, customer_id, CONCAT('SKU-', customer_id), 5 FROM customer;
         INSERT INTO corder SELECT customer_id * 10 + 1, customer_id, 'SECOND', 7 FROM customer;
         ANALYZE TABLE customer, corder",
        CUSTOMERS * 20
    ))
    .await;
}
