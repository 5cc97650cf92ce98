//! Many switches there and back while clients write: no error but deadlocks, at most one a switch, and each acknowledged
//! write once on both sides. `cargo bench --bench switch` is the long form of this, and measures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::harness::{TestCluster, until};
use crate::scenario::{Move, PATIENCE, WHICH};

use super::through;

const SWITCHES: u32 = 6;
const CLIENTS: u32 = 8;
const ACCOUNTS: u32 = 16;
const PACE: Duration = Duration::from_millis(15);
/// How long one client's transactions are idle: between reading and writing, and between two writes, in turns.
const IDLE: Duration = Duration::from_millis(200);
const DEADLOCK: u16 = 1213;

#[tokio::test(flavor = "multi_thread")]
async fn many_switches_lose_and_double_nothing() {
    let cluster = TestCluster::start().await;
    let shardlift = cluster.shardlift();
    let (source, target) = (cluster.source_db(), cluster.target_db());
    let accounts: Vec<_> = (1..=ACCOUNTS).map(|id| format!("({id}, 0)")).collect();
    source
        .exec(&format!(
            "CREATE TABLE account (id INT PRIMARY KEY, n INT NOT NULL); INSERT INTO account VALUES {}; CREATE TABLE entry \
             (id BIGINT AUTO_INCREMENT PRIMARY KEY, writer INT NOT NULL, seq INT NOT NULL, KEY (writer, seq))",
            accounts.join(", ")
        ))
        .await;
    let (one, other) = (cluster.gateway("").await, cluster.gateway("").await);
    let engine = shardlift.engine("one").await;
    let moved = Move::start(&cluster, "account,entry", "").await;
    moved.state("Running").await;

    let (stop, deadlocks, mut tasks) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)), JoinSet::new());
    for number in 0..CLIENTS {
        let gateway = if number % 2 == 0 { &one } else { &other };
        let conn = through(gateway, "commerce").conn().await;
        let client = Client { number, conn, seq: 0, told: Told::default(), deadlocks: deadlocks.clone() };
        tasks.spawn(client.work(stop.clone()));
    }
    let mut at_first = 0;
    for number in 0..SWITCHES {
        sleep(Duration::from_millis(300)).await;
        let verb = if number % 2 == 0 { "switch-traffic" } else { "reverse-traffic" };
        let said = shardlift.must(&format!("movetables {verb} {WHICH}")).await;
        println!("{}", said.lines().last().unwrap_or_default());
        if number == 0 {
            at_first = deadlocks.load(Relaxed);
        }
    }
    stop.cancel();
    let mut told = Told::default();
    while let Some(ended) = tasks.join_next().await {
        told.add(ended.unwrap());
    }
    let deadlocks = deadlocks.load(Relaxed);
    println!("{} entries, {} increments, {deadlocks} deadlocks", told.entries, told.increments.values().sum::<u32>());
    assert!(told.entries > 200 && told.increments.len() > 1, "{told:?}");
    // The first one arms tables in use: whoever has written one and read another that it goes on to write is broken off.
    assert!(at_first <= u64::from(CLIENTS), "{at_first} deadlocks at the first switch");
    let later = deadlocks - at_first;
    assert!(later < u64::from(SWITCHES), "{later} deadlocks in {} switches", SWITCHES - 1);
    for db in [source, target] {
        until(&format!("{} holds what was acknowledged", db.name()), PATIENCE, async || {
            let count = "SELECT CONCAT_WS(' ', COUNT(*), COUNT(DISTINCT writer, seq), SUM(seq)) FROM entry";
            let entries = db.value(count).await;
            let counted = db.value("SELECT GROUP_CONCAT(n ORDER BY id) FROM account").await;
            let wanted = (format!("{0} {0} {1}", told.entries, told.sum), told.counts());
            if (&entries, &counted) == (&wanted.0, &wanted.1) {
                Ok(())
            } else {
                Err(format!("{entries} {counted}, not {wanted:?}"))
            }
        })
        .await;
    }
    engine.stop().await;
}

/// What was acknowledged.
#[derive(Debug, Default)]
struct Told {
    entries: u32,
    /// Of the entries' numbers.
    sum: u64,
    /// By account.
    increments: BTreeMap<u32, u32>,
}

impl Told {
    fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.sum += other.sum;
        other.increments.into_iter().for_each(|(id, n)| *self.increments.entry(id).or_default() += n);
    }

    fn counts(&self) -> String {
        let each: Vec<_> =
            (1..=ACCOUNTS).map(|id| self.increments.get(&id).copied().unwrap_or(0).to_string()).collect();
        each.join(",")
    }
}

struct Client {
    number: u32,
    conn: Conn,
    seq: u32,
    told: Told,
    deadlocks: Arc<AtomicU64>,
}

impl Client {
    async fn work(mut self, stop: CancellationToken) -> Told {
        while !stop.is_cancelled() {
            self.seq += 1;
            match self.write().await {
                Ok(account) => {
                    self.told.entries += 1;
                    self.told.sum += u64::from(self.seq);
                    if let Some(id) = account {
                        *self.told.increments.entry(id).or_default() += 1;
                    }
                }
                Err(Error::Server(error)) if error.code == DEADLOCK => {
                    println!("client {}: {error}", self.number);
                    self.deadlocks.fetch_add(1, Relaxed);
                }
                Err(error) => panic!("client {}, write {}: {error}", self.number, self.seq),
            }
            sleep(PACE).await;
        }
        self.conn.disconnect().await.unwrap();
        self.told
    }

    /// An entry alone, or in a transaction that reads an account and counts it up.
    async fn write(&mut self) -> Result<Option<u32>, Error> {
        let (id, idle) = (self.seq % ACCOUNTS + 1, self.number == 0);
        match (self.number % 4, self.seq % 2) {
            (1 | 2, _) => {
                self.insert().await?;
                return Ok(None);
            }
            (_, 0) => {
                self.conn.query_drop("BEGIN").await?;
                let n: Option<u32> =
                    self.conn.exec_first("SELECT n FROM account WHERE id = ? FOR UPDATE", (id,)).await?;
                self.conn.exec_drop("UPDATE account SET n = ? WHERE id = ?", (n.unwrap() + 1, id)).await?;
                if idle {
                    sleep(IDLE).await;
                }
                self.insert().await?;
            }
            (_, _) => {
                self.conn.query_drop("START TRANSACTION").await?;
                let _: Option<u32> = self.conn.query_first(format!("SELECT n FROM account WHERE id = {id}")).await?;
                if idle {
                    sleep(IDLE).await;
                }
                self.insert().await?;
                self.conn.query_drop(format!("UPDATE account SET n = n + 1 WHERE id = {id}")).await?;
            }
        }
        self.conn.query_drop("COMMIT").await?;
        Ok(Some(id))
    }

    async fn insert(&mut self) -> Result<(), Error> {
        self.conn.exec_drop("INSERT INTO entry (writer, seq) VALUES (?, ?)", (self.number, self.seq)).await
    }
}
