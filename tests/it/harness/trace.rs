//! Everything a workflow could leave behind on servers and in the topology, to be compared before and after.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Db, TestCluster};

const OWN: &str = "('mysql', 'sys', 'information_schema', 'performance_schema')";

/// What servers and topology hold but for rows: definitions, accounts, settings, lasting records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace(BTreeMap<String, String>);

impl Trace {
    /// Looks at all primaries and the topology of a cluster.
    pub async fn take(cluster: &TestCluster) -> Self {
        let mut found = BTreeMap::new();
        for (name, server) in [("source", cluster.source()), ("target", cluster.target())] {
            look(&mut found, name, &cluster.db(server, "information_schema")).await;
        }
        let exported: Value = serde_json::from_str(&cluster.shardlift().must("topo export").await).unwrap();
        for (path, record) in exported["records"].as_object().unwrap() {
            found.insert(format!("topology {path}"), record.to_string());
        }
        Self(found)
    }

    /// What there is now that was not, is no more, or is not as it was.
    pub fn since(&self, before: &Self) -> Vec<String> {
        let gone = before.0.iter().filter(|(key, _)| !self.0.contains_key(*key)).map(|(key, _)| format!("gone: {key}"));
        let other = self.0.iter().filter_map(|(key, now)| match before.0.get(key) {
            None => Some(format!("new: {key}: {now}")),
            Some(then) if then != now => Some(format!("changed: {key}: {then} → {now}")),
            Some(_) => None,
        });
        gone.chain(other).collect()
    }
}

async fn look(found: &mut BTreeMap<String, String>, server: &str, db: &Db) {
    let mut add = |kind: &str, rows: Vec<Vec<Option<String>>>| {
        for row in rows {
            let mut cells = row.into_iter().map(|cell| cell.unwrap_or_else(|| "NULL".into()));
            let name = cells.next().unwrap();
            found.insert(format!("{server} {kind} {name}"), cells.collect::<Vec<_>>().join(" | "));
        }
    };
    let own = |column: &str| format!("{column} NOT IN {OWN}");
    add("database", db.rows(&format!("SELECT * FROM schemata WHERE {}", own("schema_name"))).await.into_iter().map(named).collect());
    for (kind, sql) in [
        ("trigger", "SELECT CONCAT(trigger_schema, '.', trigger_name), event_manipulation, event_object_table, \
                     action_statement FROM triggers WHERE trigger_schema"),
        ("routine", "SELECT CONCAT(routine_schema, '.', routine_name), routine_definition FROM routines WHERE routine_schema"),
        ("event", "SELECT CONCAT(event_schema, '.', event_name), event_definition, status FROM events WHERE event_schema"),
    ] {
        add(kind, db.rows(&format!("{sql} NOT IN {OWN}")).await);
    }
    let sql = format!("SELECT CONCAT('`', table_schema, '`.`', table_name, '`') FROM tables WHERE {}", own("table_schema"));
    for row in db.rows(&sql).await {
        let table = row[0].clone().unwrap();
        let mut created = db.rows(&format!("SHOW CREATE TABLE {table}")).await;
        add("table", vec![created.remove(0)].into_iter().map(|mut row| { row[0] = Some(table.clone()); row }).collect());
    }
    add("account", db.rows("SELECT CONCAT(user, '@', host), account_locked FROM mysql.user").await);
    for row in db.rows("SELECT CONCAT(QUOTE(user), '@', QUOTE(host)) FROM mysql.user").await {
        let account = row[0].clone().unwrap();
        let grants = db.rows(&format!("SHOW GRANTS FOR {account}")).await;
        add("grants", vec![std::iter::once(Some(account)).chain(grants.into_iter().flatten()).collect()]);
    }
    let moving = "('gtid_executed', 'gtid_purged', 'timestamp')";
    let settings = db.rows("SHOW GLOBAL VARIABLES").await;
    add("setting", settings.into_iter().filter(|row| row[0].as_ref().is_some_and(|name| !moving.contains(name.as_str()))).collect());
}

/// `schemata` begins with the catalog.
fn named(mut row: Vec<Option<String>>) -> Vec<Option<String>> {
    row.remove(0);
    row
}
