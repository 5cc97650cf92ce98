//! Table `sbtest1` as in sysbench's OLTP tests, filled.

use std::fmt::Write as _;

use anyhow::Result;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use shardlift::local::Mysqld;
use tokio::task::JoinSet;

use super::{run, wire};

/// The table in its schema.
pub const TABLE: &str = "commerce.sbtest1";
/// Its columns as the pipes and LOAD DATA name them.
pub const COLUMNS: &str = "id,k,c,pad";
/// Its secondary key.
pub const KEY: &str = "ADD KEY k_1 (k)";
const FILLERS: u64 = 4;

/// The statement that creates it as `table`, without its secondary key.
pub fn create_table(table: &str) -> String {
    format!(
        "CREATE TABLE {table} (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, k INT NOT NULL DEFAULT 0, \
         c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '')"
    )
}

/// The statement that loads tab-separated rows into `table`; the data needs no escapes.
pub fn load_data(table: &str) -> String {
    format!(
        "LOAD DATA LOCAL INFILE 'rows' INTO TABLE {table} CHARACTER SET binary \
         FIELDS TERMINATED BY '\\t' ESCAPED BY '' LINES TERMINATED BY '\\n' ({COLUMNS})"
    )
}

/// Creates and fills it.
pub async fn fill(server: &Mysqld, rows: u64) -> Result<()> {
    run(server, &[&create_table(TABLE), &format!("ALTER TABLE {TABLE} {KEY}")]).await?;
    let mut tasks = JoinSet::new();
    for part in 0..FILLERS {
        let mut wire = wire(server, "SET NAMES binary").await?;
        let ids = part * rows / FILLERS + 1..=(part + 1) * rows / FILLERS;
        tasks.spawn(async move {
            let mut random = StdRng::seed_from_u64(part);
            let mut load = wire.load(load_data(TABLE).as_bytes()).await?;
            let mut lines = String::new();
            for id in ids {
                let k = random.random_range(1..=rows);
                let (c, pad) = (digits(&mut random, 10), digits(&mut random, 5));
                writeln!(lines, "{id}\t{k}\t{c}\t{pad}")?;
                if lines.len() > 1 << 18 {
                    load.send(lines.as_bytes()).await?;
                    lines.clear();
                }
            }
            load.send(lines.as_bytes()).await?;
            load.finish().await?;
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    // Readers and the planner of chunks go by statistics.
    run(server, &[&format!("ANALYZE TABLE {TABLE}")]).await
}

/// `groups` of eleven digits, joined by dashes.
pub fn digits(random: &mut StdRng, groups: usize) -> String {
    let group = |random: &mut StdRng| format!("{:011}", random.random_range(0..100_000_000_000u64));
    (0..groups).map(|_| group(random)).collect::<Vec<_>>().join("-")
}
