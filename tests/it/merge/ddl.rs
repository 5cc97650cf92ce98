//! DDL of one source is not run where rows of another are, whatever `--on-ddl` says.

use std::time::Duration;

use shardlift::engine::EngineError;
use shardlift::engine::progress::Progress;
use shardlift::engine::stream::Stream;
use shardlift::engine::throttle::{Limits, Valve};
use shardlift::model::workflow::OnDdl;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{FIRST, Merge, PATIENCE};
use crate::harness::TestCluster;

#[tokio::test(flavor = "multi_thread")]
async fn a_truncate_of_one_source_takes_no_row_of_another() {
    let cluster = TestCluster::start().await;
    let merge = Merge::new(&cluster, &FIRST, 5).await;
    merge.stream(&[0, 1]).await;
    let before = Merge::rows(&merge.target).await;
    assert_eq!(before.len(), 10);
    merge.sources[1].exec("TRUNCATE TABLE t").await;
    for on_ddl in [OnDdl::Stop, OnDdl::Exec, OnDdl::ExecIgnore] {
        let (_limits, limited) = watch::channel(Limits::default());
        let lease = cluster.topology().lease(Duration::from_secs(30)).await.unwrap();
        let mut spec = merge.spec(1);
        spec.options.on_ddl = on_ddl;
        let (progress, cancel) = (Progress::new(Default::default()), CancellationToken::new());
        let run = Stream::run(spec, lease, Valve::new(limited), progress, cancel);
        let ended = timeout(PATIENCE, run).await.unwrap().unwrap_err();
        assert!(matches!(&ended, EngineError::DdlOfOneSource { .. }), "{on_ddl}: {ended}");
        assert!(ended.to_string().contains("TRUNCATE TABLE t") && ended.to_string().contains("--skip-ddl"), "{ended}");
        assert_eq!(Merge::rows(&merge.target).await, before, "{on_ddl}");
    }
}
