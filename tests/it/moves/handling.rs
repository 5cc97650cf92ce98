//! What becomes of AUTO_INCREMENT columns where tables get spread: LEAVE, REMOVE, REPLACE; and that cancel takes it all back.

use mysql_async::prelude::Queryable;

use super::stage::{REPLACE, SHARDED, Stage};
use crate::harness::Trace;

#[tokio::test(flavor = "multi_thread")]
async fn auto_increment_is_left_removed_or_replaced() {
    let mut stage = Stage::start().await;
    stage.keyspace("two", &["-80", "80-"]).await;
    stage.vschema("two", SHARDED).await;
    let source = stage.db("commerce", "0").clone();
    source.exec("INSERT INTO corder VALUES (9000, 1, 'GONE', 1); DELETE FROM corder WHERE order_id = 9000").await;
    let before = Trace::take(&stage.cluster).await;

    let start =
        "movetables start --workflow move --source-keyspace commerce --target-keyspace two --tables customer,corder";
    for (flags, why) in [
        ("--sharded-auto-increment-handling REPLACE", "give both, or neither"),
        ("--global-keyspace commerce", "give both, or neither"),
        ("--sharded-auto-increment-handling REPLACE --global-keyspace two", "it is sharded"),
        ("--sharded-auto-increment-handling REPLACE --global-keyspace nowhere", "nowhere"),
    ] {
        let refused = stage.shardlift.refused(&format!("{start} {flags}")).await;
        assert!(refused.contains(why), "{flags}: {refused}");
    }

    for handling in ["LEAVE", "REMOVE", "REPLACE"] {
        let replaces = handling == "REPLACE";
        let flags = if replaces { REPLACE.to_owned() } else { format!("--sharded-auto-increment-handling {handling}") };
        stage.moves("commerce", "two", &flags).await;
        for shard in ["-80", "80-"] {
            let db = stage.db("two", shard);
            let counts = db.value("SELECT EXTRA FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND COLUMN_NAME = 'order_id'");
            assert_eq!(counts.await == "auto_increment", handling == "LEAVE", "{handling} on {shard}");
        }
        let shown = stage.shardlift.json("vschema show two").await;
        assert_eq!(
            shown["tables"]["corder"]["auto_increment"]["sequence"] == "commerce.corder_seq",
            replaces,
            "{shown}"
        );
        let rehearsed = stage.must("switch-traffic --dry-run", "two").await;
        assert_eq!(rehearsed.contains("no sequence numbers its rows"), handling == "REMOVE", "{rehearsed}");
        stage.must("switch-traffic", "two").await;
        match handling {
            "LEAVE" => {
                for shard in ["-80", "80-"] {
                    let next = counter(&stage, shard).await;
                    assert!(next > 9000, "{next} on {shard}");
                }
                // Nobody leaves it to two servers to number rows of one table.
                let mut conn = stage.gateways[0].try_conn("two").await.unwrap();
                let refused =
                    conn.query_drop("INSERT INTO corder (customer_id, sku) VALUES (1, 'LEFT')").await.unwrap_err();
                assert!(refused.to_string().contains("order_id of corder is AUTO_INCREMENT"), "{refused}");
                conn.query_drop("INSERT INTO corder (order_id, customer_id, sku) VALUES (9500, 1, 'OWN')")
                    .await
                    .unwrap();
                conn.query_drop("DELETE FROM corder WHERE customer_id = 1 AND order_id = 9500").await.unwrap();
                conn.disconnect().await.unwrap();
            }
            "REPLACE" => {
                let next: u64 = source.value("SELECT next_id FROM corder_seq").await.parse().unwrap();
                assert!(next > 9000, "{next}");
            }
            _ => {}
        }
        stage.must("reverse-traffic", "two").await;
        stage.equal("commerce", "two").await;
        stage.must("cancel", "two").await;
        let left = Trace::take(&stage.cluster).await.since(&before);
        let other = |what: &&String| !what.contains("engines/") && !what.contains("gateways/") && !is_counter(what);
        let left: Vec<_> = left.iter().filter(other).collect();
        assert!(left.is_empty(), "{handling}: {left:#?}");
    }
    stage.stop().await;
}

/// Whether a table has changed in nothing but its counter, which only grows.
fn is_counter(what: &str) -> bool {
    let plain = |side: &str| {
        let (before, after) = side.split_once(" AUTO_INCREMENT=").unwrap_or((side, ""));
        format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
    };
    let definition = |side: &str| side.find("CREATE TABLE").map(|at| plain(&side[at..]));
    what.split_once(" → ").is_some_and(|(one, other)| definition(one).is_some() && definition(one) == definition(other))
}

/// The next id of table `corder` there.
async fn counter(stage: &Stage, shard: &str) -> u64 {
    let mut conn = stage.db("two", shard).conn().await;
    conn.query_drop("SET information_schema_stats_expiry = 0").await.unwrap();
    let ask = "SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'corder'";
    conn.query_first(ask).await.unwrap().unwrap()
}
