//! Several replicas: reads are spread over those that are level, and one that lags gets none until it has caught up.

use std::collections::BTreeSet;
use std::time::Duration;

use super::raw::Raw;
use super::{login, open, say, text};
use crate::harness::{TestCluster, until};

const SOON: Duration = Duration::from_secs(40);
const CLIENTS: usize = 12;

/// Which server each client's next read is done by.
async fn readers(clients: &mut [Raw]) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for client in clients {
        seen.insert(text(client, "SELECT @@server_uuid FROM seen LIMIT 1").await);
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lags_is_not_read_from() {
    let cluster = TestCluster::with(|spec| spec.replicas = 2).await;
    let source = cluster.source_db();
    source.exec("CREATE TABLE seen (id INT AUTO_INCREMENT PRIMARY KEY); INSERT INTO seen VALUES ()").await;
    let gateway = cluster.gateway("--max-replica-lag 3s").await;
    let mut replicas = Vec::new();
    for (alias, server) in cluster.tablets("commerce", "0").into_iter().skip(1) {
        let db = cluster.db(server, "mysql");
        until("a replica has the row", SOON, async || {
            db.try_exec("DO (SELECT 1 FROM commerce.seen)").await.map_err(|error| error.to_string())
        })
        .await;
        replicas.push((alias, db.value("SELECT @@server_uuid").await, db));
    }
    let [(_, level, _), (slow_alias, slow, slow_db)] = &replicas[..] else { panic!("{} replicas", replicas.len()) };
    let (both, one) = (BTreeSet::from([level.clone(), slow.clone()]), BTreeSet::from([level.clone()]));

    let mut clients = Vec::new();
    until("both replicas are read from", SOON, async || {
        // A replica that has not been asked for its state yet refuses nobody, it is passed over.
        clients.clear();
        for _ in 0..CLIENTS {
            let opened = Raw::open(&login(&cluster, &gateway, "commerce@replica", 0)).await.unwrap();
            clients.push(opened.map_err(|refusal| format!("{refusal:?}"))?);
        }
        let seen = readers(&mut clients).await;
        if seen == both { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;

    // Its source's transactions are applied 120 seconds late, so that it lags as soon as there are some.
    let delay = async |seconds: u32| {
        let sql = format!(
            "STOP REPLICA SQL_THREAD; CHANGE REPLICATION SOURCE TO SOURCE_DELAY = {seconds}; START REPLICA SQL_THREAD"
        );
        slow_db.exec(&sql).await;
    };
    delay(120).await;
    let mut inside = open(&cluster, &gateway, "commerce@replica", 0).await;
    until("nobody reads from the replica that lags", SOON, async || {
        source.exec("INSERT INTO seen VALUES ()").await;
        let seen = readers(&mut clients).await;
        if seen == one { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    // Nor do those who come now; and it stays so while it goes on lagging.
    for _ in 0..CLIENTS {
        clients.push(open(&cluster, &gateway, "commerce@replica", 0).await);
    }
    assert_eq!(readers(&mut clients).await, one);
    let status = say(&mut inside, "SHOW vitess_replication_status").await;
    let told = status[0].lines(super::reply::Hidden::Nothing);
    assert!(told.iter().any(|line| line.contains(slow_alias.as_str())), "{slow_alias} is not in {told:?}");

    delay(0).await;
    until("the replica that has caught up is read from again", SOON, async || {
        let seen = readers(&mut clients).await;
        if seen == both { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    let rows = source.value("SELECT COUNT(*) FROM seen").await;
    assert_eq!(slow_db.value("SELECT COUNT(*) FROM commerce.seen").await, rows, "it has caught up");
    assert!(gateway.stop().await.success());
}
