//! Stragglers: what an earlier attempt or a former owner does late changes nothing (protocol-review A7); and a fence that
//! somebody laid hands on is noticed.

use std::slice::from_ref;
use std::time::Duration;

use shardlift::model::{FenceEvent, FenceTrigger};
use shardlift::workflow::fence::{self, FenceError, FenceState, Outcome};

use super::{Fenced, SOON, epoch, fence_of, refused, soon, taken};

const TABLE: &str = "CREATE TABLE t (id INT PRIMARY KEY); CREATE TABLE u (id INT PRIMARY KEY)";

#[tokio::test(flavor = "multi_thread")]
async fn a_late_close_neither_waits_nor_wins() {
    let (fenced, target) = Fenced::with_target(TABLE, &["t", "u"]).await;
    let source = &fenced.source;
    fence::arm(source, epoch(1), SOON).await.unwrap();
    let mut app = fenced.app().await;
    taken(&mut app, "BEGIN").await;
    taken(&mut app, "INSERT INTO t VALUES (1)").await;
    // The former owner waits for the writer; the new one ends its sessions before anything else.
    let late = source.clone();
    let late = tokio::spawn(async move { fence::close(from_ref(&late), epoch(2), soon()).await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(fence::take_over(source).await.unwrap(), 1);
    let error = late.await.unwrap().unwrap_err();
    assert!(matches!(error, FenceError::Server { .. }), "{error}");
    taken(&mut app, "COMMIT").await;
    // Undoing runs although the close was never reported, and with a higher epoch.
    assert_eq!(fence::open(source, epoch(3), soon()).await.unwrap(), Outcome::Done);
    let late = fence::close(from_ref(source), epoch(2), soon()).await.unwrap_err();
    assert!(matches!(late, FenceError::Superseded { closed: false, .. }), "{late}");
    let late = fence::shut(source, epoch(3), soon()).await.unwrap_err();
    assert!(matches!(late, FenceError::Superseded { .. }), "{late}");
    taken(&mut app, "INSERT INTO u VALUES (1)").await;

    // Two fences: where one cannot be closed, none is.
    fence::arm(&target, epoch(3), SOON).await.unwrap();
    fence::shut(&target, epoch(9), soon()).await.unwrap();
    let both = [source.clone(), target];
    assert!(matches!(fence::close(&both, epoch(8), soon()).await, Err(FenceError::Superseded { .. })));
    assert_eq!(fence::state(source).await.unwrap(), Some(FenceState { closed: false, epoch: epoch(3) }));
    fence::close(&both, epoch(10), soon()).await.unwrap();
    refused(&mut app, "INSERT INTO u VALUES (2)").await;

    // A late open of the attempt before.
    let late = fence::open(source, epoch(9), soon()).await.unwrap_err();
    assert!(matches!(late, FenceError::Superseded { closed: true, .. }), "{late}");
    let closed = FenceState { closed: true, epoch: epoch(10) };
    assert_eq!(fence::shut(source, epoch(10), soon()).await.unwrap(), Outcome::Already(closed));
    assert_eq!(fence::check(source, epoch(1)).await.unwrap(), closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_of_epochs_do_not_meet_and_what_is_altered_is_named() {
    let fenced = Fenced::start(TABLE, &["t", "u"]).await;
    let (source, db) = (&fenced.source, fenced.source_db());
    let triggers = "SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = DATABASE()";
    fence::arm(source, epoch(1), SOON).await.unwrap();
    fence::arm(source, epoch(4), SOON).await.unwrap();
    assert_eq!(db.value(triggers).await, "6");
    // A straggler's clean-up.
    fence::disarm(source, epoch(3), SOON).await.unwrap();
    fence::check(source, epoch(4)).await.unwrap();
    assert!(
        matches!(fence::check(source, epoch(1)).await, Err(FenceError::Altered { problems, .. }) if problems.len() == 6)
    );
    fence::shut(source, epoch(5), soon()).await.unwrap();
    assert!(matches!(fence::arm(source, epoch(4), SOON).await, Err(FenceError::Superseded { .. })));
    fence::open(source, epoch(6), soon()).await.unwrap();
    fence::arm(source, epoch(6), SOON).await.unwrap();

    let name = |event, table| FenceTrigger::new(epoch(6), event, table).to_string();
    let (insert, update) = (name(FenceEvent::Insert, "t"), name(FenceEvent::Update, "u"));
    db.exec(&format!(
        "DROP TRIGGER {insert}; DROP TRIGGER {update};
         CREATE TRIGGER {update} BEFORE UPDATE ON u FOR EACH ROW SET @shardlift_stream = 1"
    ))
    .await;
    // One that a workflow which is gone has left: it would turn our streams away.
    let mut gone = fence_of(&fenced.cluster, fenced.cluster.source(), "commerce", uuid::Uuid::new_v4(), &["t"]);
    gone.workflow = "gone".parse().unwrap();
    fence::ensure(&gone).await.unwrap();
    fence::arm(&gone, epoch(1), SOON).await.unwrap();
    let Err(FenceError::Altered { problems, .. }) = fence::check(source, epoch(6)).await else { panic!("not noticed") };
    assert_eq!(problems.len(), 5, "{problems:?}");
    assert!(problems.contains(&format!("trigger {insert} on table t is missing")), "{problems:?}");
    assert!(problems.contains(&format!("trigger {update} on table u has another text")), "{problems:?}");
    fence::forget(&gone).await.unwrap();
    // Arming again mends it.
    fence::arm(source, epoch(6), SOON).await.unwrap();
    fence::check(source, epoch(6)).await.unwrap();
    fence::forget(source).await.unwrap();
    assert_eq!(db.value(triggers).await, "0");
}
