//! What a gateway must withstand: large results, large rows, clients that do not read, and many of them.

use std::io::Result;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::raw::{DEPRECATE_EOF, Raw};
use super::{login, number, open, say};
use crate::harness::{Db, Gateway, TestCluster, until};

/// What the process may ever hold (P11).
const CEILING_MIB: u64 = 256;
const MIB: usize = 1 << 20;
const SOON: Duration = Duration::from_secs(20);
/// 100 rows of a megabyte.
const LARGE: &str = "SELECT n, REPEAT('x', 1048576) FROM numbers WHERE n <= 100";

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_connections_are_bounded() {
    let cluster = TestCluster::with(|spec| spec.extra_args.push("--max-allowed-packet=256M".into())).await;
    let source = cluster.source_db();
    source.exec(include_str!("base.sql")).await;
    source.exec("CREATE TABLE big (id INT PRIMARY KEY AUTO_INCREMENT, v LONGBLOB)").await;
    let gateway = cluster.gateway("--pool-size 20").await;

    for capabilities in [0, DEPRECATE_EOF] {
        let mut client = open(&cluster, &gateway, "commerce", capabilities).await;
        let began = Instant::now();
        assert!(bytes_of(&mut client, LARGE).await.unwrap() > 100 * MIB);
        println!("100 MiB in rows of 1 MiB: {:?}", began.elapsed());
        let row = format!("SELECT REPEAT('y', {})", 64 * MIB);
        assert!(bytes_of(&mut client, &row).await.unwrap() > 64 * MIB);
        assert_eq!(number(&mut client, "SELECT 41 + 1").await, 42);
    }
    under_ceiling(&gateway, "large results");
    large_statements(&cluster, &gateway).await;
    slow_readers(&cluster, &gateway, &source).await;
    assert!(gateway.stop().await.success());
    many_connections(&cluster, &source).await;
}

fn under_ceiling(gateway: &Gateway, what: &str) {
    let peak = gateway.peak_mib();
    println!("{what}: at most {peak} MiB");
    assert!(peak < CEILING_MIB, "{what}: {peak} MiB");
}

/// How many bytes a query answers; the rows are not kept.
async fn bytes_of(client: &mut Raw, sql: &str) -> Result<usize> {
    client.say(sql.as_bytes()).await?;
    let (mut total, mut ends) = (0, 0);
    let last = if client.capabilities & DEPRECATE_EOF == 0 { 2 } else { 1 };
    loop {
        let packet = client.packet().await?;
        assert_ne!(packet.first(), Some(&0xFF), "{sql}: {}", packet.escape_ascii());
        total += packet.len();
        ends += usize::from(packet.first() == Some(&0xFE) && packet.len() < 9);
        if ends == last {
            return Ok(total);
        }
    }
}

/// A statement near the limit arrives whole; one over it is refused by name, and the connection closed.
async fn large_statements(cluster: &TestCluster, gateway: &Gateway) {
    let mut client = open(cluster, gateway, "commerce", 0).await;
    let insert = |length: usize| {
        let mut sql = b"INSERT INTO big (v) VALUES ('".to_vec();
        sql.resize(sql.len() + length, b'z');
        sql.extend_from_slice(b"')");
        sql
    };
    for length in [0xFF_FFFF - 100, 0xFF_FFFF, 0x100_0000, 0x1FF_FFFE, 48 * MIB] {
        let answers = client.query(insert(length), None).await.unwrap();
        assert_eq!(answers[0].done().map(|done| done.affected), Some(1), "{length} bytes: {:?}", answers[0].error());
        let stored = number(&mut client, "SELECT LENGTH(v) FROM big ORDER BY id DESC LIMIT 1").await;
        assert_eq!(stored, i64::try_from(length).unwrap());
    }
    under_ceiling(gateway, "large statements");
    let refused = client.query(insert(64 * MIB), None).await;
    let error = refused.ok().and_then(|answers| answers.into_iter().next()?.error().cloned());
    assert_eq!(error.map(|error| error.code), Some(1153));
    assert!(client.packet().await.is_err(), "the connection goes on");
    say(&mut open(cluster, gateway, "commerce", 0).await, "TRUNCATE TABLE big").await;
    under_ceiling(gateway, "a statement that is too large");
}

/// Clients that ask for much and do not read: they wait, nobody else does, and when they go their queries end.
async fn slow_readers(cluster: &TestCluster, gateway: &Gateway, source: &Db) {
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut client = open(cluster, gateway, "commerce", 0).await;
        client.say(LARGE.as_bytes()).await.unwrap();
        slow.push(client);
    }
    sleep(Duration::from_secs(2)).await;
    let mut other = open(cluster, gateway, "commerce", 0).await;
    let began = Instant::now();
    for n in 0..100 {
        assert_eq!(number(&mut other, &format!("SELECT {n} + 1")).await, n + 1);
    }
    println!("100 queries beside slow readers: {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(3), "others wait: {:?}", began.elapsed());
    under_ceiling(gateway, "clients that do not read");
    drop(slow);
    until("the queries of clients that went away end", SOON, async || {
        let left = source
            .value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT n, REPEAT%'")
            .await;
        if left == "0" { Ok(()) } else { Err(left) }
    })
    .await;
}

/// 500 clients at work over 50 connections to the server, each with settings of its own; one more is refused by name.
async fn many_connections(cluster: &TestCluster, source: &Db) {
    const CLIENTS: u32 = 500;
    const ROUNDS: i64 = 2;
    source.exec("CREATE TABLE worked (client INT, round INT, PRIMARY KEY (client, round))").await;
    let gateway = cluster.gateway(&format!("--pool-size 50 --max-connections {CLIENTS}")).await;
    let began = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(open(cluster, &gateway, "commerce", 0).await);
    }
    let refused = Raw::open(&login(cluster, &gateway, "commerce", 0)).await;
    let refused = refused.map(|entered| entered.map(|_| ()).map_err(|refusal| refusal.code));
    // The refusal may come instead of the greeting.
    assert!(matches!(refused, Ok(Err(1040)) | Err(_)), "{refused:?}");
    println!("{CLIENTS} connections: {:?}", began.elapsed());
    let began = Instant::now();
    let work = clients.into_iter().zip(1u32..).map(|(mut client, id)| {
        tokio::spawn(async move {
            say(&mut client, &format!("SET group_concat_max_len = {}", 1000 + id)).await;
            for round in 0..ROUNDS {
                assert_eq!(number(&mut client, "SELECT @@group_concat_max_len").await, i64::from(1000 + id));
                say(&mut client, "BEGIN").await;
                say(&mut client, &format!("INSERT INTO worked VALUES ({id}, {round})")).await;
                let mine = format!("SELECT COUNT(*) FROM worked WHERE client = {id}");
                assert_eq!(number(&mut client, &mine).await, round + 1);
                say(&mut client, "COMMIT").await;
            }
            client
        })
    });
    let work: Vec<_> = work.collect();
    let watched = source.value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'app'").await;
    assert!(watched.parse::<u32>().unwrap() <= 52, "{watched} connections to the server");
    for worker in work {
        worker.await.unwrap();
    }
    println!("their work: {:?}; {watched} connections to the server", began.elapsed());
    assert_eq!(source.value("SELECT COUNT(*) FROM worked").await, (i64::from(CLIENTS) * ROUNDS).to_string());
    under_ceiling(&gateway, "500 connections");
    assert!(gateway.stop().await.success());
}
