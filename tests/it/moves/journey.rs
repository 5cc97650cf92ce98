//! One shop, four keyspaces: from one shard to two, from two to four, from four to one again, there, back and there each time.

use super::stage::{REPLACE, SHARDED, Stage, TABLES};
use super::writers::Writers;

/// Numbered by the sequence that numbered before, and by one that nobody has used yet.
const NUMBERED: &str = r#"{"sharded": true, "vindexes": {"xxhash": {"type": "xxhash"}}, "tables": {
    "customer": {"column_vindexes": [{"column": "customer_id", "name": "xxhash"}],
        "auto_increment": {"column": "customer_id", "sequence": "commerce.fresh_seq"}},
    "corder": {"column_vindexes": [{"column": "customer_id", "name": "xxhash"}],
        "auto_increment": {"column": "order_id", "sequence": "corder_seq"}}}}"#;
const SEQUENCES: &str = r#"{"tables": {"customer_seq": {"type": "sequence"}, "corder_seq": {"type": "sequence"},
    "fresh_seq": {"type": "sequence"}}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn tables_move_into_between_and_out_of_sharded_keyspaces() {
    let mut stage = Stage::start().await;
    stage.keyspace("two", &["-80", "80-"]).await;
    stage.vschema("two", SHARDED).await;
    stage.keyspace("four", &["-40", "40-80", "80-c0", "c0-"]).await;
    stage.keyspace("plain", &["0"]).await;
    let mut before = stage.held("commerce").await.unwrap();
    for (from, to, flags) in [("commerce", "two", REPLACE), ("two", "four", ""), ("four", "plain", "")] {
        match to {
            "four" => {
                let create = "CREATE TABLE fresh_seq (id INT PRIMARY KEY, next_id BIGINT, cache BIGINT) COMMENT 'vitess_sequence'";
                stage.db("commerce", "0").exec(create).await;
                stage.vschema("commerce", SEQUENCES).await;
                stage.vschema("four", NUMBERED).await;
            }
            // The tables count by themselves there.
            "plain" => stage.db("plain", "0").exec(TABLES).await,
            _ => {}
        }
        let writers = Writers::start(&stage, from, 2).await;
        stage.moves(from, to, flags).await;
        writers.wait_for(60).await;
        stage.must("switch-traffic --tablet-types REPLICA,RDONLY", to).await;
        for verb in ["switch-traffic", "reverse-traffic", "switch-traffic"] {
            writers.next_phase();
            print!("{}", stage.must(verb, to).await);
            writers.next_phase();
            writers.wait_for(60).await;
        }
        let told = writers.stop().await;
        told.verify_growth();
        let held = stage.equal(to, from).await;
        told.verify_rows(&held, &before);
        println!("{from} → {to}: {} numbers, {} rows, each in its place", told.numbers.len(), held.len());
        stage.must("complete", to).await;
        before = stage.held(to).await.unwrap();
        assert_eq!(before, held);
    }
    stage.stop().await;
}
