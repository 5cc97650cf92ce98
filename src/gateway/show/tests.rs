use tokio::time::Instant;

use super::*;
use crate::gateway::sql::{SqlMode, analyze};
use crate::gateway::view::testing::{Cluster, view};
use crate::mysql::admin::Channel;

fn seen(tablet: &Tablet) -> Option<Health> {
    let broken = Channel {
        source: "db100:3306".into(),
        receiver: "Yes".into(),
        applier: "No".into(),
        last_error: "it \"broke\"".into(),
        ..Channel::default()
    };
    let (unreachable, channel) = match tablet.alias.uid {
        101 => (None, Some(broken)),
        201 => (Some("gone".into()), None),
        301 => (None, Some(Channel { lag_seconds: Some(3), last_error: String::new(), ..broken })),
        401 => return None,
        _ => (None, None),
    };
    Some(Health { unreachable, since: Instant::now(), asked: Instant::now(), read_only: None, channel })
}

fn ask(target: &str, sql: &str) -> Option<Result<Answer, Refusal>> {
    let target = if target.is_empty() { Target::default() } else { target.parse().unwrap() };
    answer(&analyze(sql.as_bytes(), SqlMode::default()), &view(Cluster::default()), &target, &seen)
}

fn told(target: &str, sql: &str) -> (String, Vec<String>) {
    let answer = ask(target, sql).unwrap().unwrap();
    for row in &answer.rows {
        assert_eq!(row.len(), answer.columns.len(), "{sql}");
    }
    (answer.columns.join("|"), answer.rows.iter().map(|row| row.join("|")).collect())
}

#[test]
fn keyspaces_are_databases() {
    let (columns, rows) = told("", "SHOW DATABASES");
    assert_eq!(columns, "Database");
    assert_eq!(rows, ["commerce", "customer", "legacy", "information_schema", "mysql", "sys", "performance_schema"]);
    assert_eq!(told("", "show schemas like 'C%'").1, ["commerce", "customer"]);
    assert_eq!(told("", "show keyspaces").1, ["commerce", "customer", "legacy"]);
    assert_eq!(told("", "show vitess_keyspaces like 'l%'").1, ["legacy"]);
    assert!(ask("", "show databases where `Database` = 'x'").unwrap().unwrap_err().message.contains("use LIKE"));
}

#[test]
fn shards_target_and_vschema() {
    let (columns, rows) = told("", "show vitess_shards");
    assert_eq!(columns, "Shards");
    assert_eq!(rows, ["commerce/0", "customer/-80", "customer/80-", "legacy/0"], "those that serve");
    assert_eq!(told("", "show vitess_shards like 'customer/%'").1.len(), 2);
    assert_eq!(
        told("customer/-80@rdonly", "show vitess_target"),
        ("Target".into(), vec!["customer:-80@rdonly".into()])
    );
    assert_eq!(told("", "show vitess_target").1, [""]);
    assert_eq!(told("commerce", "show vschema tables"), ("Tables".into(), vec!["dual".into()]));
    assert_eq!(ask("", "show vschema tables").unwrap().unwrap_err().code, 1046);
    let (columns, rows) = told("", "show vschema keyspaces");
    assert_eq!(columns, "Keyspace|Sharded|Foreign Key|Comment");
    assert_eq!(rows, ["commerce|false|unmanaged|", "customer|true|unmanaged|", "legacy|false|unmanaged|"]);
    assert_eq!(told("", "show vschema vindexes").0, "Keyspace|Name|Type|Params|Owner");
    let told = |target: &str, sql: &str| {
        let vschema = r#"{"sharded":true,"vindexes":{"h":{"type":"hash"},"r":{"type":"region_experimental","params":
            {"region_bytes":"1"}}},"tables":{"corder":{"column_vindexes":[{"column":"id","name":"h"}]}}}"#;
        let target = if target.is_empty() { Target::default() } else { target.parse().unwrap() };
        let view = view(Cluster::default().vschema(vschema));
        let answer = answer(&analyze(sql.as_bytes(), SqlMode::default()), &view, &target, &seen).unwrap().unwrap();
        answer.rows.iter().map(|row| row.join("|")).collect::<Vec<_>>()
    };
    assert_eq!(told("customer", "show vschema tables"), ["corder", "dual"]);
    let vindexes = ["customer|h|hash||", "customer|r|region_experimental|region_bytes=1|"];
    assert_eq!(told("", "show vschema vindexes"), vindexes);
    assert_eq!(told("customer", "show vschema vindexes"), vindexes);
    assert!(told("commerce", "show vschema vindexes").is_empty());
    assert!(ask("", "show vitess_migrations").unwrap().unwrap_err().message.contains("VITESS_MIGRATIONS"));
}

#[test]
fn tablets_as_in_vitess() {
    let (columns, rows) = told("", "show vitess_tablets");
    assert_eq!(columns, "Cell|Keyspace|Shard|TabletType|State|Alias|Hostname|PrimaryTermStartTime");
    assert_eq!(rows[0], "zone1|commerce|0|PRIMARY|SERVING|zone1-0000000100|db100|2023-11-14T22:13:20Z");
    assert_eq!(rows[1], "zone1|commerce|0|REPLICA|SERVING|zone1-0000000101|db101|");
    let states: Vec<&str> = rows.iter().filter_map(|row| row.split('|').nth(4)).collect();
    assert_eq!(
        states.iter().filter(|state| **state == "NOT_SERVING").count(),
        4,
        "c0-'s, one that is away, one not known: {rows:?}"
    );
    assert_eq!(told("", "show vitess_tablets like 'DB40_'").1.len(), 2);
}

#[test]
fn replication_as_in_vitess() {
    let (columns, rows) = told("", "show vitess_replication_status");
    assert_eq!(
        columns,
        "Keyspace|Shard|TabletType|Alias|Hostname|ReplicationSource|ReplicationHealth|ReplicationLag|ThrottlerStatus"
    );
    let health = r#"{"EventStreamRunning":"Yes","EventApplierRunning":"No","LastError":"it \"broke\""}"#;
    assert_eq!(rows[0], format!("commerce|0|REPLICA|zone1-0000000101|db101|db100:3306|{health}|NULL|"));
    assert_eq!(rows.len(), 5);
    assert!(rows[1].contains("|3|") && rows[4].contains("|:0|") && rows[4].ends_with("|-1|"), "{rows:?}");
    assert_eq!(told("", "show vitess_replication_status like 'legacy/%'").1.len(), 1);
}

#[test]
fn the_rest_is_the_servers() {
    for sql in ["show tables", "show variables", "show create table t", "select 1", "show warnings"] {
        assert_eq!(ask("commerce", sql), None, "{sql}");
    }
}
