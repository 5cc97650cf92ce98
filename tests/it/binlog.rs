//! The binlog reader against a real server.

use crate::harness::TestCluster;
use crate::{binlog_stream, binlog_values};

#[tokio::test(flavor = "multi_thread")]
async fn every_type_reads_the_same_from_select_and_from_the_binlog() {
    let cluster = TestCluster::start().await;
    let compared = binlog_values::every_type_reads_the_same_both_ways(&cluster.login(cluster.source())).await;
    assert!(compared > 3_000, "only {compared} values were compared");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_is_what_happened() {
    let cluster = TestCluster::start().await;
    let login = cluster.login(cluster.source());
    binlog_stream::transactions_and_ddl(&login).await;
    binlog_stream::large_transactions_come_in_pieces(&login).await;
    binlog_stream::xa_stops_by_name(&login).await;
    binlog_stream::what_cannot_be_honoured_stops(&login).await;
    binlog_stream::a_dead_source_is_noticed(cluster.source(), &login).await;
    binlog_stream::a_huge_row_passes(&login).await;
}
