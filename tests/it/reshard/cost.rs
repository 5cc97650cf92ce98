//! The source is read once, its tables and its binlog, however many shards it splits into.

use std::collections::BTreeMap;

use super::stage::Stage;
use crate::harness::until;
use crate::scenario::PATIENCE;

/// What the source has sent and been asked, whole server.
async fn spent(stage: &Stage) -> BTreeMap<String, i64> {
    let wanted = "'Bytes_sent', 'Com_select', 'Questions', 'Handler_read_next', 'Innodb_rows_read'";
    let rows = stage.db("0").rows(&format!("SHOW GLOBAL STATUS WHERE Variable_name IN ({wanted})")).await;
    rows.into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap().parse().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_source_is_asked_does_not_grow_with_the_targets() {
    let mut stage = Stage::start(&["-80"]).await;
    stage.add_shard("80-", 1).await;
    let eight =
        ["-20", "20-40", "40-60", "60-80x", "80-a0", "a0-c0", "c0-e0", "e0-"].map(|name| name.trim_end_matches('x'));
    for name in eight {
        stage.add_shard(name, 1).await;
    }
    // Rows enough that they are what costs: about 5 MB.
    stage
        .db("0")
        .exec(
            "INSERT INTO corder (order_id, customer_id, sku) SELECT 1000000 + a.order_id * 400 + b.customer_id, \
             b.customer_id, REPEAT('x', 50) FROM corder a JOIN customer b WHERE a.order_id < 2000; ANALYZE TABLE corder",
        )
        .await;
    let rows: i64 = stage.db("0").value("SELECT COUNT(*) FROM corder").await.parse().unwrap();
    let mut cost = Vec::new();
    for (name, targets) in [("two", vec!["-80", "80-"]), ("eight", eight.to_vec())] {
        let before = spent(&stage).await;
        stage.reshard(name, "0", &targets.join(","), "--chunk-bytes 400000").await;
        stage.state(name, "Running").await;
        let copied = spent(&stage).await;
        let held = stage.held(&targets).await.unwrap();
        assert_eq!(held.rows.len() as i64, rows + super::stage::CUSTOMERS);

        let looked = spent(&stage).await;
        stage.db("0").exec(&format!("UPDATE corder SET sku = CONCAT(sku, '{name}') WHERE order_id % 2 = 0")).await;
        let changed = stage.db("0").value(&format!("SELECT COUNT(*) FROM corder WHERE sku LIKE '%{name}'")).await;
        until("the changes are there", PATIENCE, async || {
            let mut there = 0;
            for shard in &targets {
                let count =
                    stage.db(shard).value(&format!("SELECT COUNT(*) FROM corder WHERE sku LIKE '%{name}'")).await;
                there += count.parse::<i64>().unwrap();
            }
            if there.to_string() == changed { Ok(()) } else { Err(format!("{there} of {changed}")) }
        })
        .await;
        let followed = spent(&stage).await;
        stage.must("cancel", name).await;
        let used = |from: &BTreeMap<String, i64>, to: &BTreeMap<String, i64>| -> BTreeMap<String, i64> {
            to.iter().map(|(what, count)| (what.clone(), count - from[what])).collect()
        };
        let (copy, follow) = (used(&before, &copied), used(&looked, &followed));
        println!(
            "1 → {}: the source, to copy {rows} rows: {copy:?}; to follow {changed} changes: {follow:?}",
            targets.len()
        );
        // 50 bytes a row and more were sent, so this is what costs.
        assert!(copy["Bytes_sent"] > rows * 50 && follow["Bytes_sent"] > changed.parse::<i64>().unwrap() * 50);
        cost.push([copy, follow]);
    }
    let [two, eight] = cost.as_slice() else { panic!("{cost:?}") };
    for (two, eight) in two.iter().zip(eight) {
        for (what, two) in two {
            // Looks at the server as a whole come with time, not with targets.
            let most = two + two / 4 + if what == "Bytes_sent" { 300_000 } else { 400 };
            assert!(eight[what] <= most, "{what}: {two} for two, {} for eight", eight[what]);
        }
    }
    stage.stop().await;
}
