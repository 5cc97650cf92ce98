//! Every switch and every reverse goes on with numbers that nobody was given (P12): AUTO_INCREMENT on the one side, sequences
//! with blocks in the hands of two gateways on the other.

use super::stage::{REPLACE, SHARDED, Stage};
use super::writers::Writers;

#[tokio::test(flavor = "multi_thread")]
async fn every_number_is_given_once() {
    let mut stage = Stage::start().await;
    stage.keyspace("two", &["-80", "80-"]).await;
    stage.vschema("two", SHARDED).await;
    // Numbers that were given and are gone, and one that a row has by an UPDATE, of which the counter does not know.
    let db = stage.db("commerce", "0");
    db.exec("INSERT INTO corder (order_id, customer_id, sku, price) VALUES (5000, 1, 'GONE', 1); DELETE FROM corder WHERE order_id = 5000")
        .await;
    db.exec("UPDATE customer SET customer_id = 7000 WHERE customer_id = 200").await;
    let before = stage.held("commerce").await.unwrap();
    let writers = Writers::start(&stage, "commerce", 2).await;
    stage.moves("commerce", "two", REPLACE).await;
    let mut pauses = Vec::new();
    for turn in 0..9 {
        writers.wait_for(60).await;
        writers.next_phase();
        let verb = if turn % 2 == 0 { "switch-traffic" } else { "reverse-traffic" };
        pauses.push(stage.must(verb, "two").await);
        writers.next_phase();
    }
    writers.wait_for(60).await;
    let told = writers.stop().await;
    told.verify_growth();
    let held = stage.equal("two", "commerce").await;
    told.verify_rows(&held, &before);
    println!("{} numbers, each once; {} rows\n{}", told.numbers.len(), held.len(), pauses.join(""));
    stage.stop().await;
}
