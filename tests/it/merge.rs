//! Several sources into one table (design §4.2), on real servers: rows that the application moves between shards, the same
//! key on two shards, unique values that change places across shards, while the streams run unequally.
//!
//! Every valid sequence of three writes over two sources is played at once, each with keys of its own, once for each way in
//! which the two streams may lag behind them. What the sources hold in the end must be what the target holds, but for what
//! both hold, which must be named. tests/it/model/collide.rs looks at the orders of events within the streams.

mod ddl;
mod owners;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use shardlift::engine::conflict::{Owners, SourceShard, settle_final};
use shardlift::engine::connect::Side;
use shardlift::engine::progress::Progress;
use shardlift::engine::sidecar::StreamKey;
use shardlift::engine::stream::{Begins, Stream, StreamSpec, TargetSpec};
use shardlift::engine::throttle::{Limits, Valve};
use shardlift::mapping::Mapping;
use shardlift::model::switch::Direction;
use shardlift::model::workflow::WorkflowOptions;
use shardlift::sharding::ShardMap;
use shardlift::sharding::vschema::{KeyspaceSchema, parse};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::{Db, TestCluster, until};

const PATIENCE: Duration = Duration::from_secs(120);
const SHARDS: [&str; 2] = ["-80", "80-"];
/// A value of the sharding column for each: its eight bytes are the keyspace id.
const IDS: [u64; 2] = [1, 1 << 63];

/// One write, on keys and unique values that are counted within its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Put(usize, u8),
    Delete(usize),
}

/// The unique value of each row of a shard; 0 for no row.
type Rows = [u8; 2];

/// Three writes, each with its shard.
type Sequence = [(usize, Op); 3];

/// What each shard holds at first: the one row 0, the other row 1.
const FIRST: [Rows; 2] = [[1, 0], [0, 2]];

fn allowed(rows: &[Rows; 2], (shard, op): (usize, Op)) -> bool {
    let mine = &rows[shard];
    match op {
        Op::Put(key, value) => mine[1 - key] != value && mine[key] != value,
        Op::Delete(key) => mine[key] != 0,
    }
}

fn write(rows: &mut [Rows; 2], (shard, op): (usize, Op)) {
    match op {
        Op::Put(key, value) => rows[shard][key] = value,
        Op::Delete(key) => rows[shard][key] = 0,
    }
}

/// All of them, with what the shards hold afterwards.
fn sequences() -> Vec<(Sequence, [Rows; 2])> {
    let ops = [Op::Put(0, 1), Op::Put(0, 2), Op::Put(1, 1), Op::Put(1, 2), Op::Delete(0), Op::Delete(1)];
    let writes: Vec<_> = [0, 1].into_iter().flat_map(|shard| ops.map(|op| (shard, op))).collect();
    let mut all = Vec::new();
    for first in &writes {
        for second in &writes {
            for third in &writes {
                let (sequence, mut rows) = ([*first, *second, *third], FIRST);
                if sequence.iter().all(|one| {
                    allowed(&rows, *one) && {
                        write(&mut rows, *one);
                        true
                    }
                }) {
                    all.push((sequence, rows));
                }
            }
        }
    }
    all
}

fn holds_twice([one, other]: &[Rows; 2]) -> bool {
    let key = |key: usize| one[key] != 0 && other[key] != 0;
    let value = |value: u8| one.contains(&value) && other.contains(&value);
    key(0) || key(1) || value(1) || value(2)
}

/// The statement of one write in the sequence of this number.
fn sql(number: usize, shard: usize, op: Op) -> String {
    let id = |key: usize| 2 * number + key;
    match op {
        Op::Put(key, value) => {
            let (id, unique) = (id(key), unique(shard, number, value));
            format!("REPLACE INTO t VALUES ({id}, {}, '{unique}', {value})", IDS[shard])
        }
        Op::Delete(key) => format!("DELETE FROM t WHERE id = {}", id(key)),
    }
}

/// Compared without regard to case: what the shards write is unlike in bytes, and equal.
fn unique(shard: usize, number: usize, value: u8) -> String {
    format!("{}{}", ["u", "U"][shard], 2 * number + usize::from(value))
}

struct Merge<'a> {
    cluster: &'a TestCluster,
    sources: [Db; 2],
    target: Db,
    uid: Uuid,
}

impl<'a> Merge<'a> {
    /// The tables, with the rows that are there at first.
    async fn new(cluster: &'a TestCluster, first: &[Rows; 2], sequences: usize) -> Self {
        let (one, other) = (cluster.source(), cluster.target());
        let sources = [cluster.db(one, "shard_a"), cluster.db(other, "shard_b")];
        let table = "CREATE TABLE t (id BIGINT PRIMARY KEY, sk BIGINT UNSIGNED NOT NULL,
            u VARCHAR(20) COLLATE utf8mb4_0900_ai_ci, v INT, UNIQUE KEY u (u), KEY v (v))";
        for (shard, (server, name)) in [(one, "shard_a"), (other, "shard_b")].into_iter().enumerate() {
            let db = cluster.db(server, "mysql");
            db.exec(&format!("DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name}")).await;
            sources[shard].exec(table).await;
            let rows = (0..sequences).flat_map(|number| {
                let held = (0..2).filter(move |key| first[shard][*key] != 0);
                held.map(move |key| sql(number, shard, Op::Put(key, first[shard][key])))
            });
            run(&sources[shard], rows.collect()).await;
        }
        let target = cluster.target_db();
        target.exec("DROP TABLE IF EXISTS t").await;
        Self { cluster, sources, target, uid: Uuid::new_v4() }
    }

    fn side(&self, shard: usize) -> Side {
        let server = [self.cluster.source(), self.cluster.target()][shard];
        let database = ["shard_a", "shard_b"][shard].parse().unwrap();
        Side { label: format!("source {}", SHARDS[shard]), login: self.cluster.login(server), database }
    }

    fn spec(&self, shard: usize) -> StreamSpec {
        let text = r#"{"sharded": true, "vindexes": {"n": {"type": "numeric"}}, "tables": {
            "t": {"column_vindexes": [{"column": "sk", "name": "n"}]}}}"#;
        let schema = KeyspaceSchema::new(&parse(text).unwrap()).unwrap();
        let names = SHARDS.map(|name| name.parse().unwrap());
        let shards = ShardMap::span(names.clone()).unwrap();
        let source = |(at, name)| SourceShard { name, side: self.side(at) };
        let sources = names.into_iter().enumerate().map(source).collect();
        let key = StreamKey {
            uid: self.uid,
            workflow: "merge".parse().unwrap(),
            direction: Direction::Forward,
            source_shard: SHARDS[shard].parse().unwrap(),
            target_keyspace: "customer".parse().unwrap(),
            target_shard: "0".parse().unwrap(),
        };
        let login = self.cluster.login(self.cluster.target());
        let side = Side { label: "target customer/0".into(), login, database: "customer".parse().unwrap() };
        StreamSpec {
            source: self.side(shard),
            targets: vec![TargetSpec { key, side }],
            mapping: Mapping::whole(),
            owners: Some(Owners { sources, own: shard, mapping: Mapping::sharded(Arc::new(schema), shards) }),
            begins: Begins::Copying,
            tables: vec!["t".parse().unwrap()],
            created_tables: vec!["t".parse().unwrap()],
            options: WorkflowOptions { workers: 2, ..WorkflowOptions::default() },
            skip_ddl: Vec::new(),
        }
    }

    /// Runs the streams of `shards` until they have everything, then lets them rest.
    async fn stream(&self, shards: &[usize]) {
        let (_limits, limited) = watch::channel(Limits::default());
        let mut running = Vec::new();
        for shard in shards {
            let (progress, cancel) = (Progress::new(Default::default()), CancellationToken::new());
            let lease = self.cluster.topology().lease(Duration::from_secs(30)).await.unwrap();
            let valve = Valve::new(limited.clone());
            let run = Stream::run(self.spec(*shard), lease, valve, progress, cancel.clone());
            running.push((*shard, cancel, tokio::spawn(run)));
        }
        for (shard, cancel, task) in running {
            let executed = self.sources[shard].value("SELECT @@global.gtid_executed").await;
            let name = SHARDS[shard];
            until(&format!("stream {name} is level"), PATIENCE, async || {
                assert!(!task.is_finished(), "stream {name} has ended");
                let ask = format!(
                    "SELECT COUNT(*) FROM _shardlift.stream s JOIN _shardlift.copy_table t ON t.stream_id = s.id
                     WHERE workflow_uid = '{}' AND source_shard = '{name}' AND t.state = 'done'
                       AND GTID_SUBSET('{executed}', position)",
                    self.uid
                );
                let there = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME = 'copy_table'";
                if self.target.value(there).await == "0" {
                    return Err("there is no sidecar".to_string());
                }
                match self.target.value(&ask).await.as_str() {
                    "1" => Ok(()),
                    found => Err(format!("{found} streams with everything")),
                }
            })
            .await;
            cancel.cancel();
            let ended = timeout(PATIENCE, task).await.unwrap().unwrap();
            assert!(matches!(ended, Err(shardlift::engine::EngineError::Cancelled)), "{ended:?}");
        }
    }

    /// What a database holds, by id: sharding value, unique value.
    async fn rows(db: &Db) -> BTreeMap<usize, (String, String)> {
        let rows = db.rows("SELECT id, sk, u FROM t").await;
        let text = |value: &Option<String>| value.clone().unwrap();
        rows.iter().map(|row| (text(&row[0]).parse().unwrap(), (text(&row[1]), text(&row[2])))).collect()
    }

    /// The sequences that have a noted conflict.
    async fn noted(&self) -> BTreeSet<usize> {
        let ask = format!(
            "SELECT index_name, CAST(SUBSTRING(key_values, 5) AS CHAR) FROM _shardlift.conflict WHERE workflow_uid = '{}'",
            self.uid
        );
        let number = |row: &Vec<Option<String>>| {
            let text = row[1].as_ref().unwrap();
            match row[0].as_deref() {
                Some("PRIMARY") => text.parse::<usize>().unwrap() / 2,
                _ => (text[1..].parse::<usize>().unwrap() - 1) / 2,
            }
        };
        self.target.rows(&ask).await.iter().map(number).collect()
    }
}

async fn run(db: &Db, statements: Vec<String>) {
    for some in statements.chunks(200) {
        db.exec(&format!("BEGIN; {}; COMMIT", some.join("; "))).await;
    }
}

/// After each of the three writes: which streams catch up.
const LAGS: [[&[usize]; 3]; 4] = [
    // Nothing is copied before all is written.
    [&[], &[], &[]],
    [&[0], &[0], &[0]],
    [&[1], &[0], &[1]],
    [&[], &[1], &[0]],
];

#[tokio::test(flavor = "multi_thread")]
async fn every_three_writes_over_two_sources_converge_or_are_named() {
    let cluster = TestCluster::start().await;
    let all = sequences();
    for (lag, lags) in LAGS.iter().enumerate() {
        let began = std::time::Instant::now();
        let merge = Merge::new(&cluster, &FIRST, all.len()).await;
        if lag > 0 {
            // Copied before anything is written; else all of it is met by the copy.
            merge.stream(&[0, 1]).await;
        }
        for (at, catch_up) in lags.iter().enumerate() {
            for shard in 0..2 {
                let mine = all.iter().enumerate().filter(|(_, (sequence, _))| sequence[at].0 == shard);
                run(&merge.sources[shard], mine.map(|(n, (sequence, _))| sql(n, shard, sequence[at].1)).collect())
                    .await;
            }
            if !catch_up.is_empty() {
                merge.stream(catch_up).await;
            }
        }
        merge.stream(&[0, 1]).await;
        let passing = merge.noted().await.len();
        let duplicates = settle_final(&merge.spec(0)).await.unwrap();
        let twice: BTreeSet<usize> =
            all.iter().enumerate().filter(|(_, (_, rows))| holds_twice(rows)).map(|(number, _)| number).collect();
        assert_eq!(merge.noted().await, twice, "lag {lag}: what both hold is noted, and nothing else");
        assert!(!duplicates.is_empty() && duplicates.iter().all(|found| found.shards.len() == 2), "{duplicates:?}");
        println!(
            "lag {lag}: {} sequences, {} with duplicates; {passing} in conflict before the last settling; {:.1?}; {}",
            all.len(),
            twice.len(),
            began.elapsed(),
            duplicates[0]
        );
        let [one, other, there] = [
            Merge::rows(&merge.sources[0]).await,
            Merge::rows(&merge.sources[1]).await,
            Merge::rows(&merge.target).await,
        ];
        for number in (0..all.len()).filter(|number| !twice.contains(number)) {
            for id in [2 * number, 2 * number + 1] {
                let held = one.get(&id).or(other.get(&id));
                assert_eq!(there.get(&id), held, "lag {lag}, id {id} of {:?}", all[number].0);
            }
        }
        // What was held twice is given up by one: it converges.
        let given_up: Vec<_> =
            twice.iter().map(|n| format!("DELETE FROM t WHERE id IN ({}, {})", 2 * n, 2 * n + 1)).collect();
        run(&merge.sources[1], given_up).await;
        merge.stream(&[0, 1]).await;
        assert_eq!(settle_final(&merge.spec(1)).await.unwrap(), []);
        let mut held = Merge::rows(&merge.sources[0]).await;
        held.extend(Merge::rows(&merge.sources[1]).await);
        assert_eq!(Merge::rows(&merge.target).await, held, "lag {lag}");
    }
}
