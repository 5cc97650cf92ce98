//! The engine's peak memory: 64 MiB rows by copy and by binlog, and a transaction of 1 GiB.

use anyhow::Result;
use shardlift::local::Servers;

use super::engine::Engine;
use super::flow::Flow;
use super::results::{Results, say};
use super::stage::{Stage, run, same};

/// Design P11, MiB.
pub const CEILING: f64 = 256.0;
/// A 64 MiB value must fit a statement, escaped, and a tenth of the redo log.
const SETTINGS: [&str; 4] = [
    "--max-allowed-packet=1G",
    "--innodb-redo-log-capacity=4G",
    "--innodb-buffer-pool-size=256M",
    "--innodb-log-buffer-size=64M",
];
/// 64 bytes that are different for each `n`, as often as makes 64 MiB.
const LONG: &str = "REPEAT(UNHEX(SHA2(n, 512)), 1048576)";
/// 4 KiB of them.
const SHORT: &str = "REPEAT(UNHEX(SHA2(n, 512)), 64)";
/// Rows of 4 KiB in 1 GiB.
const MANY: u32 = 262_144;

/// Measures, and adds to `results`.
pub async fn measure(servers: &Servers, results: &mut Results) -> Result<()> {
    say("memory: rows of 64 MiB, a transaction of 1 GiB");
    let stage = Stage::up(servers, &SETTINGS).await?;
    let (source, target) = (stage.source()?, stage.target()?);
    let long =
        |from: u32, to: u32| format!("INSERT INTO commerce.`long` SELECT n, {LONG} FROM ({}) s", numbers(from, to));
    run(
        source,
        &[
            "CREATE TABLE commerce.`long` (id BIGINT PRIMARY KEY, v LONGBLOB NOT NULL)",
            "CREATE TABLE commerce.many (id BIGINT PRIMARY KEY, v BLOB NOT NULL)",
            &long(1, 2),
            &long(3, 4),
            &long(5, 6),
        ],
    )
    .await?;
    let engine = Engine::start(&stage).await?;
    say(&format!("  an idle engine takes {:.0} MiB", engine.resident()?));
    let (mut flow, _) = Flow::copy(&stage, &["long", "many"]).await?;
    results.peak("memory: copying 64 MiB rows", engine.peak()?, CEILING);
    let depth = format!("SET SESSION cte_max_recursion_depth = {MANY}");
    let many = format!("INSERT INTO commerce.many SELECT n, {SHORT} FROM ({}) s", numbers(1, MANY));
    let reverse = "UPDATE commerce.`long` SET v = REVERSE(v) WHERE id = 1";
    // Each byte is escaped on its way.
    let quotes = "UPDATE commerce.`long` SET v = REPEAT('\\'', 67108864) WHERE id = 2";
    let phases: [(&str, &[&str]); 4] = [
        ("a 1 GiB transaction", &[&depth, &many]),
        ("a 64 MiB insert", &[&long(7, 7)]),
        ("a 64 MiB update", &[reverse]),
        ("64 MiB of quotes", &[quotes]),
    ];
    for (what, statements) in phases {
        engine.forget_peak()?;
        say(&format!("  {:.0} MiB before {what}", engine.resident()?));
        run(source, statements).await?;
        flow.level().await?;
        results.peak(&format!("memory: applying {what}"), engine.peak()?, CEILING);
    }
    same((source, "commerce.`long`"), (target, "customer.`long`")).await?;
    same((source, "commerce.many"), (target, "customer.many")).await?;
    engine.kill().await?;
    stage.down().await
}

/// A query for the numbers `from` to `to`, as `n`.
fn numbers(from: u32, to: u32) -> String {
    format!("WITH RECURSIVE s (n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM s WHERE n < {to}) SELECT n FROM s")
}
