//! The tables, and whether they hold what the clients were told: every acknowledged write once, and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use mysql_async::prelude::Queryable;
use shardlift::local::Mysqld;

use super::clients::Written;
use super::testbed::{Stage, run, within};

/// What is moved.
pub const TABLES: [&str; 2] = ["account", "entry"];
/// Rows of `account`.
pub const ACCOUNTS: u64 = 64;
/// How long the old side may take to get the last writes by the way back.
const LEVEL: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

/// Makes them: accounts that count, and a row for every entry.
pub async fn create(server: &Mysqld) -> Result<()> {
    let accounts: Vec<_> = (1..=ACCOUNTS).map(|id| format!("({id}, 0)")).collect();
    run(
        server,
        &[
            "CREATE TABLE commerce.account (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)",
            "CREATE TABLE commerce.entry (id BIGINT AUTO_INCREMENT PRIMARY KEY, writer INT NOT NULL, seq BIGINT NOT NULL, \
             KEY (writer, seq))",
            &format!("INSERT INTO commerce.account VALUES {}", accounts.join(", ")),
        ],
    )
    .await
}

/// What is wrong on either side; empty if all is well. The old side is waited for.
pub async fn compare(stage: &Stage, written: &Written) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (database, server) in [("commerce", stage.source()?), ("customer", stage.server("customer")?)] {
        let end = tokio::time::Instant::now() + LEVEL;
        loop {
            let found = look(database, server, written).await?;
            if found.is_empty() {
                break;
            }
            if tokio::time::Instant::now() > end {
                wrong.extend(found);
                break;
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(wrong)
}

async fn look(database: &str, server: &Mysqld, written: &Written) -> Result<Vec<String>> {
    let mut conn = server.admin_conn().await?;
    let sql = format!("SELECT writer, seq FROM {database}.entry");
    let entries: Vec<(u32, u64)> = within(&sql, conn.query(&sql)).await?;
    let sql = format!("SELECT id, n FROM {database}.account");
    let accounts: BTreeMap<u64, i64> = within(&sql, conn.query(&sql)).await?.into_iter().collect();
    conn.disconnect().await?;
    let mut wrong = Vec::new();
    let mut there: BTreeMap<(u32, u64), u32> = BTreeMap::new();
    for entry in entries {
        *there.entry(entry).or_default() += 1;
    }
    for entry in &written.entries {
        match there.remove(entry) {
            Some(1) => {}
            Some(times) => wrong.push(format!("{database}: entry {entry:?} is there {times} times")),
            None => wrong.push(format!("{database}: entry {entry:?} is lost")),
        }
    }
    wrong.extend(there.keys().map(|entry| format!("{database}: entry {entry:?} was never acknowledged")));
    for (id, n) in accounts {
        let told = written.accounts.get(&id).copied().unwrap_or_default();
        if told != n {
            wrong.push(format!("{database}: account {id} counts {n}, and {told} were acknowledged"));
        }
    }
    Ok(wrong)
}
