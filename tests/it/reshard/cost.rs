//! The source is read once, however many shards it splits into.

use std::collections::BTreeMap;

use super::stage::Stage;

/// What the source has sent and been asked, whole server.
async fn spent(stage: &Stage) -> BTreeMap<String, i64> {
    let wanted = "'Bytes_sent', 'Com_select', 'Handler_read_next', 'Innodb_rows_read'";
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
    // Rows enough that they are what costs: about 6 MB.
    stage
        .db("0")
        .exec(
            "INSERT INTO corder (order_id, customer_id, sku) SELECT 1000000 + a.order_id * 400 + b.customer_id, \
             b.customer_id, REPEAT('x', 60) FROM corder a JOIN customer b WHERE a.order_id < 2000; ANALYZE TABLE corder",
        )
        .await;
    let rows: i64 = stage.db("0").value("SELECT COUNT(*) FROM corder").await.parse().unwrap();
    let mut cost = Vec::new();
    for (name, targets) in [("two", vec!["-80", "80-"]), ("eight", eight.to_vec())] {
        let before = spent(&stage).await;
        stage.reshard(name, "0", &targets.join(","), "--chunk-bytes 400000 --stop-after-copy").await;
        stage.state(name, "Stopped").await;
        let after = spent(&stage).await;
        let held = stage.held(&targets).await.unwrap();
        assert_eq!(held.rows.len() as i64, rows + super::stage::CUSTOMERS);
        stage.must("cancel", name).await;
        let used: BTreeMap<_, _> = after.iter().map(|(what, count)| (what.clone(), count - before[what])).collect();
        println!("1 → {}: {rows} rows; the source: {used:?}", targets.len());
        cost.push(used);
    }
    for (what, two) in &cost[0] {
        // Looks at the server as a whole come with time, not with targets.
        let most = two + two / 4 + if what == "Bytes_sent" { 300_000 } else { 400 };
        assert!(cost[1][what] <= most, "{what}: {two} for two, {} for eight", cost[1][what]);
    }
    stage.stop().await;
}
