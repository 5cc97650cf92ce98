//! Live writers whose every acknowledged effect is on record, and the judge that holds a server to the record.
//!
//! Each writer owns rows of its own, all of one shard where the tables are sharded by `writer`, so what it was told is exactly what must be there; its row in `ledger_writer` counts
//! its transactions. When a connection dies during a commit, that row says on the next connection whether it happened: the
//! read locks it, and so waits for a commit that is still under way. Whatever cannot be asked any more stays ambiguous:
//! then the rows before or after it must be there, never a mixture.

mod change;
mod judge;
mod writer;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::writer::{Counts, Writer};
use super::{Db, until};

/// The ids and unique values of a writer start at its number times this.
const SPAN: i64 = 1_000_000_000;
/// A writer asks for its last commit at most this long after it was told to stop.
const LAST_QUESTION: Duration = Duration::from_secs(20);

/// How much is written.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Connections that write side by side.
    pub writers: u32,
    /// Rows that each finds at the start.
    pub rows: u32,
    /// Transactions per second, all writers together; `None`: as many as the server takes.
    pub rate: Option<u32>,
}

impl Default for Load {
    fn default() -> Self {
        Self { writers: 4, rows: 500, rate: Some(200) }
    }
}

/// A row as a writer knows it, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    uniq: Option<i64>,
    val: String,
    num: i64,
}

type Rows = BTreeMap<i64, Content>;

/// What one writer was told.
#[derive(Debug, Clone, Default)]
struct Told {
    /// The rows as of the last transaction that is known to have happened.
    rows: Rows,
    /// The rows if the last commit, whose answer never came, did happen.
    or_else: Option<Rows>,
    txn: u64,
}

/// Running writers, on tables `ledger` and `ledger_writer`.
#[derive(Debug)]
pub struct Ledger {
    /// Each writer's is its number's.
    places: Arc<Mutex<Vec<Db>>>,
    counts: Arc<Counts>,
    desk: Arc<Desk>,
    stop: CancellationToken,
    writers: JoinSet<(u32, Told)>,
}

/// Where writers rest when they are asked to, and say what they know.
#[derive(Debug, Default)]
struct Desk {
    closed: watch::Sender<bool>,
    resting: Mutex<BTreeMap<u32, Told>>,
    /// Whether who goes on does so over a new connection.
    anew: AtomicBool,
}

/// The writers' last word.
#[derive(Debug, Clone)]
pub struct Record {
    told: BTreeMap<u32, Told>,
    /// Transactions that were acknowledged.
    pub committed: u64,
    /// Transactions that a server rolled back and said so.
    pub refused: u64,
    /// Connections that were lost.
    pub reconnects: u64,
}

impl Ledger {
    /// The tables, with their rows, made anew in `db`, and writers at work on them.
    pub async fn start(db: &Db, load: Load) -> Self {
        Self::create(db).await;
        Self::start_over(std::slice::from_ref(db), load).await
    }

    /// The tables, empty.
    pub async fn create(db: &Db) {
        db.exec(
            "CREATE TABLE ledger (id BIGINT NOT NULL PRIMARY KEY, uniq BIGINT NULL UNIQUE, \
             val VARCHAR(200) NOT NULL, num BIGINT NOT NULL, writer INT NOT NULL); \
             CREATE TABLE ledger_writer (writer INT NOT NULL PRIMARY KEY, txn BIGINT UNSIGNED NOT NULL)",
        )
        .await;
    }

    /// Rows in tables that are there, and writers at work on them, spread over several ways to one database.
    pub async fn start_over(places: &[Db], load: Load) -> Self {
        let db = &places[0];
        let seed = u64::from(rand::random::<u32>());
        eprintln!("ledger on {}: {load:?}, seed {seed}", db.name());
        let (places, counts, desk) = (Arc::new(Mutex::new(places.to_vec())), Arc::default(), Arc::default());
        let stop = CancellationToken::new();
        let mut writers = JoinSet::new();
        for number in 1..=load.writers {
            let rows = change::first_rows(number, load.rows);
            db.exec(&format!("INSERT INTO ledger_writer (writer, txn) VALUES ({number}, 0)")).await;
            for insert in change::inserts(number, &rows) {
                db.exec(&insert).await;
            }
            let writer = Writer {
                number,
                places: Arc::clone(&places),
                counts: Arc::clone(&counts),
                desk: Arc::clone(&desk),
                stop: stop.clone(),
                pause: load.rate.map(|rate| Duration::from_secs(1) * load.writers / rate),
                random: StdRng::seed_from_u64(seed + u64::from(number)),
                told: Told { rows, ..Told::default() },
            };
            writers.spawn(writer.run());
        }
        Self { places, counts, desk, stop, writers }
    }

    /// Sends the writers elsewhere: what they wrote must be there too.
    pub fn move_to(&self, db: &Db) {
        *self.places.lock().unwrap() = vec![db.clone()];
    }

    /// Transactions acknowledged so far.
    pub fn committed(&self) -> u64 {
        self.counts.committed()
    }

    /// Transactions that a server rolled back and said so, and connections lost, so far.
    pub fn troubles(&self) -> u64 {
        self.counts.refused() + self.counts.reconnects()
    }

    /// What servers said to writers since this was last asked, besides breaking a deadlock (1213).
    pub fn complaints(&self) -> Vec<String> {
        self.counts.complaints()
    }

    /// Makes every writer come to rest with a transaction whose outcome it knows; what they were told up to there.
    pub async fn hold(&self, deadline: Duration) -> Record {
        self.desk.closed.send_replace(true);
        until("the ledger's writers rest", deadline, async || {
            let resting: Vec<u32> = self.desk.resting.lock().unwrap().keys().copied().collect();
            if resting.len() == self.writers.len() { Ok(()) } else { Err(format!("{resting:?} do")) }
        })
        .await;
        self.record(self.desk.resting.lock().unwrap().clone())
    }

    /// Lets them go on; `anew`: over new connections.
    pub fn go_on(&self, anew: bool) {
        self.desk.anew.store(anew, Ordering::Relaxed);
        self.desk.closed.send_replace(false);
    }

    fn record(&self, told: BTreeMap<u32, Told>) -> Record {
        Record {
            told,
            committed: self.counts.committed(),
            refused: self.counts.refused(),
            reconnects: self.counts.reconnects(),
        }
    }

    /// Waits until this many more are acknowledged, so that something has happened for certain.
    pub async fn wait_for(&self, more: u64, deadline: Duration) {
        let goal = self.committed() + more;
        until(&format!("{more} more transactions of the ledger"), deadline, async || {
            let now = self.committed();
            if now >= goal { Ok(()) } else { Err(format!("{} missing", goal - now)) }
        })
        .await;
    }

    /// Lets every writer finish its transaction, and closes the books.
    pub async fn stop(mut self) -> Record {
        self.stop.cancel();
        let mut told = BTreeMap::new();
        while let Some(ended) = self.writers.join_next().await {
            let (number, last) = ended.unwrap_or_else(|error| panic!("a ledger writer failed: {error}"));
            told.insert(number, last);
        }
        let record = self.record(told);
        eprintln!("ledger: {} transactions, {} reconnects", record.committed, record.reconnects);
        record
    }
}
