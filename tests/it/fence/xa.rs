//! Prepared XA transactions: they hold the fence, lose it over a restart, and then commit through it (protocol-review A1 d, e).

use std::slice::from_ref;
use std::time::Duration;

use shardlift::workflow::fence::{self, FenceError, FenceState};
use tokio::time::Instant;

use super::{Fenced, SOON, epoch, soon, taken};

#[tokio::test(flavor = "multi_thread")]
async fn prepared_xa_is_refused_by_name() {
    let fenced = Fenced::start("CREATE TABLE t (id INT PRIMARY KEY)", &["t"]).await;
    let source = &fenced.source;
    fence::arm(source, epoch(1), SOON).await.unwrap();
    let mut app = fenced.app().await;
    for sql in ["XA START 'stuck'", "INSERT INTO t VALUES (1)", "XA END 'stuck'", "XA PREPARE 'stuck'"] {
        taken(&mut app, sql).await;
    }
    app.disconnect().await.unwrap();
    let held = fence::close(from_ref(source), epoch(2), Instant::now() + Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(held, FenceError::Held { .. }) && held.to_string().contains("prepared XA"), "{held}");
    fenced.cluster.source().restart().await.unwrap();
    // Now its lock is gone, and it is not.
    let error = fence::close(from_ref(source), epoch(2), soon()).await.unwrap_err();
    assert!(matches!(error, FenceError::PreparedXa { .. }) && error.to_string().contains("X'737475636B'"), "{error}");
    assert_eq!(fence::state(source).await.unwrap(), Some(FenceState { closed: false, epoch: epoch(3) }));
    let mut app = fenced.app().await;
    taken(&mut app, "INSERT INTO t VALUES (2)").await;
    fenced.source_db().exec("XA COMMIT 'stuck'").await;
    fence::close(from_ref(source), epoch(4), soon()).await.unwrap();
    assert_eq!(fenced.source_db().value("SELECT COUNT(*) FROM t").await, "2");
}
