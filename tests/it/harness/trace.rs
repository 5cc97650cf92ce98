//! Everything a workflow could leave behind on servers and in the topology, to be compared before and after.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Db, TestCluster};

const SYSTEM: &str = "('mysql', 'sys', 'information_schema', 'performance_schema')";
/// Settings that move by themselves.
const MOVING: [&str; 3] = ["gtid_executed", "gtid_owned", "gtid_purged"];

/// What servers and topology hold but for rows: definitions, accounts, settings, lasting records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace(BTreeMap<String, String>);

impl Trace {
    /// Looks at the servers and the topology of a cluster. Nobody may be writing.
    pub async fn take(cluster: &TestCluster) -> Self {
        let mut trace = Self(BTreeMap::new());
        for (alias, server) in cluster.all_tablets() {
            trace.look(&alias, &cluster.db(server, "information_schema")).await;
        }
        let exported: Value = serde_json::from_str(&cluster.shardlift().must("topo export").await).unwrap();
        for (path, record) in exported["records"].as_object().unwrap() {
            trace.0.insert(format!("topology {path}"), record.to_string());
        }
        trace
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

    async fn look(&mut self, server: &str, db: &Db) {
        for (kind, sql) in [
            (
                "database",
                "SELECT schema_name, default_collation_name, default_encryption FROM schemata WHERE schema_name",
            ),
            (
                "trigger",
                "SELECT CONCAT(trigger_schema, '.', trigger_name), event_manipulation, event_object_table, \
                 action_statement FROM triggers WHERE trigger_schema",
            ),
            (
                "routine",
                "SELECT CONCAT(routine_schema, '.', routine_name), routine_definition FROM routines WHERE routine_schema",
            ),
            ("event", "SELECT CONCAT(event_schema, '.', event_name), event_definition FROM events WHERE event_schema"),
        ] {
            for row in db.rows(&format!("{sql} NOT IN {SYSTEM}")).await {
                self.add(server, kind, row);
            }
        }
        let tables = "SELECT CONCAT('`', table_schema, '`.`', table_name, '`') FROM tables WHERE table_schema";
        for table in db.rows(&format!("{tables} NOT IN {SYSTEM}")).await {
            let created = db.rows(&format!("SHOW CREATE TABLE {}", table[0].as_deref().unwrap())).await;
            self.add(server, "table", table.into_iter().chain(created.into_iter().flatten()).collect());
        }
        for account in db.rows("SELECT CONCAT(QUOTE(user), '@', QUOTE(host)) FROM mysql.user").await {
            let grants = db.rows(&format!("SHOW GRANTS FOR {}", account[0].as_deref().unwrap())).await;
            self.add(server, "account", account.into_iter().chain(grants.into_iter().flatten()).collect());
        }
        for setting in db.rows("SHOW GLOBAL VARIABLES").await {
            if !MOVING.contains(&setting[0].as_deref().unwrap()) {
                self.add(server, "setting", setting);
            }
        }
    }

    /// The first cell is the thing's name.
    fn add(&mut self, server: &str, kind: &str, row: Vec<Option<String>>) {
        let mut cells = row.into_iter().map(|cell| cell.unwrap_or_else(|| "NULL".into()));
        let name = cells.next().unwrap();
        self.0.insert(format!("{server} {kind} {name}"), cells.collect::<Vec<_>>().join(" | "));
    }
}
