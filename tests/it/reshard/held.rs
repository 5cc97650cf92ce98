//! What a workflow was judged by does not change under it: VSchemas place its tables as they did, whoever comes first.

use std::fs;

use super::stage::{Stage, VSCHEMA};
use crate::harness::until;
use crate::scenario::PATIENCE;

const START: &str = "reshard start --target-keyspace customer --workflow w --source-shards 0 --target-shards -80,80-";

#[tokio::test(flavor = "multi_thread")]
async fn a_vschema_places_a_workflows_tables_as_it_did() {
    let stage = Stage::start(&["-80", "80-"]).await;
    let shardlift = &stage.shardlift;
    let folder = stage.cluster.folder().to_owned();
    let apply = |text: &str, flags: &str| {
        let file = folder.join("changed.json");
        fs::write(&file, text).unwrap();
        format!("vschema apply customer {flags} --vschema-file {}", file.display())
    };
    let hash = VSCHEMA.replace(r#"{"type": "xxhash"}"#, r#"{"type": "hash"}"#);
    let spread = VSCHEMA.replace(r#"{"type": "reference"}"#, r#"{"pinned": "80"}"#);

    let ran = shardlift.run(START).await;
    assert_eq!(ran.code, Some(0), "{ran}");
    let warned =
        "[auto-increment] table corder in keyspace customer: its column order_id is AUTO_INCREMENT and no sequence";
    assert!(ran.stderr.contains(warned) && !ran.stderr.contains("table customer in keyspace"), "{ran}");
    for flags in ["", "--dry-run", "--allow-primary-vindex-change"] {
        let said = shardlift.refused(&apply(&hash, flags)).await;
        assert!(
            said.contains("workflow customer/w has placed rows by it") && said.contains("tables corder, customer"),
            "{said}"
        );
        assert!(said.contains("`shardlift reshard cancel -w w -k customer`"), "{said}");
    }
    assert!(shardlift.refused(&apply(&spread, "")).await.contains("table country otherwise"));
    // What is nobody's, and what numbers rows, may change: the warning's cure among it.
    shardlift.must("keyspace add globals").await;
    shardlift.must(r#"vschema apply globals --vschema {"tables":{"seq":{"type":"sequence"}}}"#).await;
    let numbered = VSCHEMA.replace(
        r#""corder": {"#,
        r#""later": {"type": "reference"}, "corder": {"auto_increment": {"column": "order_id", "sequence": "globals.seq"}, "#,
    );
    shardlift.must(&apply(&numbered, "")).await;
    stage.state("w", "Running").await;
    stage.equal(&["0"], &["-80", "80-"]).await;
    stage.must("cancel", "w").await;
    let ran = shardlift.run(START).await;
    assert!(ran.code == Some(0) && !ran.stderr.contains("auto-increment"), "{ran}");
    stage.must("cancel", "w").await;
    shardlift.must(&apply(&hash, "")).await;

    // Half a keyspace is none that gateways could route.
    shardlift.must("keyspace add half").await;
    shardlift.must("shard add half/-80").await;
    let said = shardlift.refused("vschema apply half --vschema {}").await;
    assert!(said.contains("no shard has the keyspace ids 80-") && said.contains("shardlift shard add"), "{said}");
    shardlift.must("shard add half/80-").await;
    shardlift.must(r#"vschema apply half --vschema {"sharded":true}"#).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_start_and_a_vschema_at_the_same_time_one_is_refused() {
    let stage = Stage::start(&["-80", "80-"]).await;
    let held = stage.cluster.folder().join("held");
    let changed = stage.cluster.folder().join("changed.json");
    fs::write(&changed, VSCHEMA.replace(r#"{"type": "xxhash"}"#, r#"{"type": "hash"}"#)).unwrap();
    let apply = format!("vschema apply customer --vschema-file {}", changed.display());
    let start = format!("{START} --auto-start=false");
    for (point, first, second, said) in [
        ("vschema-judged", &apply, &start, "VSchemas, shards or workflows were changed"),
        ("start-judged", &start, &apply, "another workflow, or a VSchema, was changed at the same time"),
    ] {
        let holds = stage.shardlift.with("SHARDLIFT_FAILPOINTS", &format!("{point}=hold:{}", held.display()));
        let mut first = holds.start(point, first);
        until("the first has judged", PATIENCE, async || held.exists().then_some(()).ok_or("not yet")).await;
        let ran = stage.shardlift.run(second).await;
        assert_eq!(ran.code, Some(0), "{ran}");
        fs::remove_file(&held).unwrap();
        until("the first has ended", PATIENCE, async || first.has_ended().then_some(()).ok_or("not yet")).await;
        let told = first.said();
        assert!(!first.ended().await.success() && told.contains(said), "{point}: {told}");
        if point == "vschema-judged" {
            stage.must("cancel", "w").await;
        }
    }
    stage.stop().await;
}
