//! `shardlift vschema` and `shardlift schema`: what is applied, refused, and gone on with, on two real shards.

use serde_json::Value;

use crate::harness::{Db, TestCluster};

const VSCHEMA: &str = r#"{"sharded":true,"vindexes":{"xxhash":{"type":"xxhash"}},"tables":{"customer":{"column_vindexes":[{"column":"customer_id","name":"xxhash"}]}}}"#;

/// Keyspace `commerce` on one shard, `customer` on two.
pub async fn cluster() -> (TestCluster, [Db; 2]) {
    let halves = |spec: &mut shardlift::local::cluster::ClusterSpec| {
        let customer = spec.keyspaces.iter_mut().find(|keyspace| keyspace.name.as_str() == "customer").unwrap();
        customer.shards = vec!["-80".parse().unwrap(), "80-".parse().unwrap()];
    };
    let cluster = TestCluster::with(halves).await;
    let servers = cluster.primaries("customer");
    let dbs = [cluster.db(servers[0], "customer"), cluster.db(servers[1], "customer")];
    (cluster, dbs)
}

/// What each shard came to: `shard: statements, result`.
pub fn results(said: &str) -> Vec<String> {
    let lines: Value = serde_json::from_str(said).unwrap();
    let lines = lines.as_array().unwrap().iter();
    lines.map(|line| format!("{}: {} {}", line["shard"], line["done"], line["result"]).replace('"', "")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_go_to_every_shard_and_vschemas_are_checked_against_them() {
    let (cluster, dbs) = cluster().await;
    let shardlift = cluster.shardlift();
    let file = |name: &str, text: &str| {
        let path = cluster.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };

    // A statement that one shard refuses stops there; when its reason is gone, the same again goes on.
    dbs[1].exec("CREATE TABLE visit (id INT PRIMARY KEY, at YEAR)").await;
    let sql = "CREATE TABLE customer (customer_id BIGINT PRIMARY KEY, email VARCHAR(90)) CHARSET latin1;
        CREATE TABLE visit (id BIGINT PRIMARY KEY); ALTER TABLE customer ADD COLUMN tier DECIMAL(5,2), ADD KEY (email)";
    let script = file("customer.sql", sql);
    let apply = format!("schema apply --format json --sql-file {script} customer");
    let dry = shardlift.must(&format!("schema apply --dry-run --sql-file {script} customer")).await;
    assert!(dry.contains("would be run on shards -80, 80- of customer"), "{dry}");
    assert_eq!(dbs[0].rows("SHOW TABLES").await.len(), 0, "a dry run runs nothing");
    let ran = shardlift.run(&apply).await;
    assert_eq!(ran.code, Some(1), "{ran}");
    let found = results(&ran.stdout);
    assert_eq!(found[0], "customer/-80: 2 waits for the other shards");
    assert!(
        found[1].starts_with("customer/80-: 1 statement 2 failed: ") && found[1].contains("already exists"),
        "{found:?}"
    );
    let other = shardlift.refused("schema apply --sql DROP/**/TABLE/**/customer customer").await;
    assert!(other.contains("unfinished (-80: 2 of 3, 80-: 1 of 3)"), "{other}");
    let again = shardlift.run(&apply).await;
    assert_eq!(results(&again.stdout), found, "as long as nothing changes");
    dbs[1].exec("DROP TABLE visit").await;
    let done = shardlift.must(&apply).await;
    assert_eq!(results(&done), ["customer/-80: 3 done", "customer/80-: 3 done"]);
    let show = shardlift.json("schema show customer").await;
    let shards: Vec<String> = show.as_array().unwrap().iter().map(|line| line["shards"].to_string()).collect();
    assert_eq!(shards, [r#"["-80","80-"]"#, r#"["-80","80-"]"#], "one definition of each: {show}");

    // An answer that was lost: the statement was run on one shard, and nobody knows.
    let drop = "schema apply --format json --sql ALTER/**/TABLE/**/visit/**/ADD/**/b/**/INT customer";
    let cut = shardlift.with("SHARDLIFT_FAILPOINTS", "schema-sent=kill").run(drop).await;
    assert_ne!(cut.code, Some(0), "{cut}");
    let done = shardlift.must(drop).await;
    assert_eq!(results(&done), ["customer/-80: 1 done", "customer/80-: 1 done"]);
    let said = shardlift.refused("schema apply --sql DELETE/**/FROM/**/visit customer").await;
    assert!(said.contains("is no definition"), "{said}");

    // VSchemas.
    let said = shardlift.refused("vschema apply --vschema {} customer").await;
    assert!(said.contains("2 serving shards, so its VSchema must be sharded"), "{said}");
    let said = shardlift
        .refused(&format!("vschema apply --vschema {} customer", VSCHEMA.replace("xxhash\"}}", "lookup\"}}")))
        .await;
    assert!(said.contains("vindex xxhash: vindex type `lookup`"), "{said}");
    let said = shardlift
        .refused(&format!("vschema apply --vschema {} customer", VSCHEMA.replace("customer_id", "tier")))
        .await;
    assert!(said.contains("table customer, column `tier`: rows cannot be sharded by DECIMAL"), "{said}");
    let said = shardlift.must(&format!("vschema apply --dry-run --vschema {VSCHEMA} customer")).await;
    assert!(said.contains("+ vindex xxhash\n+ table customer") && said.contains("nothing was applied"), "{said}");
    assert_eq!(shardlift.must("vschema show --compact customer").await, "{}\n");
    shardlift.must(&format!("vschema apply --vschema {VSCHEMA} customer")).await;
    let compact = shardlift.must("vschema show --compact customer").await;
    assert_eq!(serde_json::from_str::<Value>(&compact).unwrap(), serde_json::from_str::<Value>(VSCHEMA).unwrap());
    let full = file("vschema.json", &shardlift.must("vschema show customer").await);
    assert!(shardlift.must(&format!("vschema apply --vschema-file {full} customer")).await.contains("nothing changes"));
    let hash =
        format!("vschema apply --vschema {} customer", VSCHEMA.replace("\"type\":\"xxhash\"", "\"type\":\"hash\""));
    let said = shardlift.refused(&hash).await;
    assert!(said.contains("would be sought on other ones: ~ table customer: its vindex"), "{said}");
    shardlift.must(&format!("{hash} --allow-primary-vindex-change")).await;
    let email = format!(
        "vschema apply --allow-primary-vindex-change --vschema {} customer",
        VSCHEMA.replace("customer_id", "email")
    );
    assert!(shardlift.must(&email).await.contains("collations of customer.email take values for equal"));

    // Sequences belong to another keyspace, and stay as long as they are needed.
    let with_sequence = VSCHEMA
        .replace(r#""customer":{"#, r#""customer":{"auto_increment":{"column":"customer_id","sequence":"seq"},"#);
    let with_sequence = format!("vschema apply --allow-primary-vindex-change --vschema {with_sequence} customer");
    let said = shardlift.refused(&with_sequence).await;
    assert!(said.contains("keyspace customer, table customer: sequence seq: no keyspace's VSchema"), "{said}");
    shardlift.must(r#"vschema apply --vschema {"tables":{"seq":{"type":"sequence"}}} commerce"#).await;
    shardlift.must(&with_sequence).await;
    let said = shardlift.refused("vschema apply --vschema {} commerce").await;
    assert!(said.contains("keyspace customer, table customer: sequence seq"), "{said}");
}
