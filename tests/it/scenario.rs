//! A MoveTables from `commerce` to `customer`, as the scenarios drive it.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Shardlift, TestCluster, compare_tables, until};

/// Long enough for a debug build on two busy cores.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// The workflow's name and keyspace as flags.
pub const WHICH: &str = "--workflow move --target-keyspace customer";

/// A workflow `customer/move`.
#[derive(Debug)]
pub struct Move<'a> {
    /// The cluster it runs on.
    pub cluster: &'a TestCluster,
    /// The program.
    pub shardlift: Shardlift,
}

impl<'a> Move<'a> {
    /// Starts it for `tables`, with more flags. An engine must carry it.
    pub async fn start(cluster: &'a TestCluster, tables: &str, flags: &str) -> Self {
        let shardlift = cluster.shardlift();
        let line = format!("movetables start {WHICH} --source-keyspace commerce --tables {tables} {flags}");
        let ran = shardlift.run(&line).await;
        // 3: no engine runs yet.
        assert!(matches!(ran.code, Some(0 | 3)), "{ran}");
        Self { cluster, shardlift }
    }

    /// Waits for a state.
    pub async fn state(&self, state: &str) -> Value {
        self.shardlift.wait_state("customer", "move", state, PATIENCE).await
    }

    /// Waits until the target has everything the source has now.
    pub async fn level(&self) {
        let (source, target) = (self.cluster.source_db(), self.cluster.target_db());
        let goal = source.value("SELECT @@global.gtid_executed").await;
        until("the stream is level with the source", PATIENCE, async || {
            let position = target.value("SELECT position FROM _shardlift.stream").await;
            let level = source.value(&format!("SELECT GTID_SUBSET('{goal}', '{position}')")).await;
            if level == "1" {
                return Ok(());
            }
            let seen = self.shardlift.run(&format!("workflow show {WHICH}")).await;
            Err(format!("at {position}, not {goal}: {seen}"))
        })
        .await;
    }

    /// Compares tables row by row, once level; how many rows there are in each.
    pub async fn equal(&self, tables: &[&str]) -> Vec<usize> {
        self.level().await;
        let (source, target) = (self.cluster.source_db(), self.cluster.target_db());
        let mut rows = Vec::new();
        for table in tables {
            let found = compare_tables(&source, &target, table).await;
            assert_eq!(found.differing, 0, "{table}: {found}");
            rows.push(found.left_rows);
        }
        rows
    }

    /// Undoes it.
    pub async fn cancel(&self) {
        self.shardlift.must(&format!("movetables cancel {WHICH}")).await;
    }
}
