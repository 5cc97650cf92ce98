//! Applications at the gateways. They never say what number a row gets, and remember every number they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::stage::{CUSTOMERS, Stage};
use crate::harness::until;
use crate::scenario::PATIENCE;

const PACE: Duration = Duration::from_millis(15);

/// What was acknowledged.
#[derive(Debug, Default)]
pub struct Told {
    /// Rows as [`Stage::held`] names them.
    pub rows: BTreeMap<String, String>,
    /// Every number that a table's rows were given, those of rows that are gone included, with the phase in which it was
    /// asked for and answered, if that was one.
    pub numbers: BTreeMap<(&'static str, u64), Option<usize>>,
}

/// Writers at work.
pub struct Writers {
    stop: CancellationToken,
    done: Arc<AtomicU64>,
    phase: Arc<AtomicUsize>,
    tasks: JoinSet<Told>,
}

struct Writer {
    conn: Conn,
    random: StdRng,
    told: Told,
    own: Vec<(u64, i64)>,
    phase: Arc<AtomicUsize>,
}

impl Writers {
    /// So many at each gateway, using this keyspace.
    pub async fn start(stage: &Stage, keyspace: &str, count: u64) -> Self {
        let (stop, done, phase) =
            (CancellationToken::new(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let seed = u64::from(rand::random::<u32>());
        eprintln!("{count} writers at each gateway in {keyspace}, seed {seed}");
        let mut tasks = JoinSet::new();
        for (place, gateway) in stage.gateways.iter().enumerate() {
            for number in 0..count {
                let conn =
                    gateway.try_conn(keyspace).await.unwrap_or_else(|error| panic!("{error}\n{}", gateway.log()));
                let random = StdRng::seed_from_u64(seed + 100 * place as u64 + number);
                let writer = Writer { conn, random, told: Told::default(), own: Vec::new(), phase: phase.clone() };
                tasks.spawn(writer.run(stop.clone(), done.clone()));
            }
        }
        Self { stop, done, phase, tasks }
    }

    /// Whatever is asked for from now on belongs to another phase.
    pub fn next_phase(&self) {
        self.phase.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until they have done so much more.
    pub async fn wait_for(&self, more: u64) {
        let goal = self.done.load(Ordering::Relaxed) + more;
        until("the writers get on", PATIENCE, async || {
            let done = self.done.load(Ordering::Relaxed);
            if done >= goal { Ok(()) } else { Err(format!("{done} of {goal}")) }
        })
        .await;
    }

    /// Ends them; no number was given to two of them.
    pub async fn stop(mut self) -> Told {
        self.stop.cancel();
        let mut all = Told::default();
        while let Some(told) = self.tasks.join_next().await {
            let Told { rows, numbers } = told.unwrap_or_else(|error| panic!("a writer failed: {error}"));
            all.rows.extend(rows);
            for (number, phase) in numbers {
                assert!(all.numbers.insert(number, phase).is_none(), "{number:?} was given to two writers");
            }
        }
        all
    }
}

impl Told {
    /// Within a table every number of a phase between two switches is above all that were given in such phases before. (While
    /// traffic is switched gateways go on with what they have in hand; there every other phase is.)
    pub fn verify_growth(&self) {
        for table in ["customer", "order"] {
            let mut highest = BTreeMap::new();
            for ((of, number), phase) in &self.numbers {
                if let Some(phase) = phase.filter(|phase| *of == table && phase % 2 == 0) {
                    let most: &mut u64 = highest.entry(phase).or_default();
                    *most = (*most).max(*number);
                }
            }
            for ((of, number), phase) in &self.numbers {
                let Some(phase) = phase.filter(|phase| *of == table && phase % 2 == 0) else { continue };
                let before = highest.range(..phase).map(|(_, most)| *most).max().unwrap_or_default();
                assert!(*number > before, "{table} {number} was given in phase {phase}, {before} before that");
            }
        }
    }

    /// Whether what a keyspace holds is what was there before and what was acknowledged, and nothing else.
    pub fn verify_rows(&self, held: &BTreeMap<String, String>, before: &BTreeMap<String, String>) {
        let mut expected = before.clone();
        expected.extend(self.rows.clone());
        let keys = |rows: &BTreeMap<String, String>| rows.keys().cloned().collect::<BTreeSet<_>>();
        let (there, wanted) = (keys(held), keys(&expected));
        let lost: Vec<_> = wanted.difference(&there).take(5).collect();
        let extra: Vec<_> = there.difference(&wanted).take(5).collect();
        assert!(lost.is_empty() && extra.is_empty(), "lost {lost:?}, not acknowledged {extra:?}");
        assert_eq!(*held, expected);
    }
}

impl Writer {
    async fn run(mut self, stop: CancellationToken, done: Arc<AtomicU64>) -> Told {
        while !stop.is_cancelled() {
            self.step().await;
            done.fetch_add(1, Ordering::Relaxed);
            sleep(PACE).await;
        }
        self.conn.disconnect().await.unwrap();
        self.told
    }

    async fn step(&mut self) {
        let customer = self.random.random_range(1..=CUSTOMERS);
        let price = self.random.random_range(0..1_000);
        let chosen = (!self.own.is_empty()).then(|| self.random.random_range(0..self.own.len()));
        match (self.random.random_range(0..10), chosen) {
            (0, _) => {
                let first = self.ask("INSERT INTO customer (email) VALUES ('w')", "customer", 1).await;
                self.told.rows.insert(format!("customer {first}"), format!("{first} 77 0"));
            }
            (1..=5, _) | (_, None) => {
                let count = self.random.random_range(1..=3);
                let rows = vec![format!("({customer}, 'w', {price})"); count].join(", ");
                let sql = format!("INSERT INTO corder (customer_id, sku, price) VALUES {rows}");
                let first = self.ask(&sql, "order", count as u64).await;
                for order in first..first + count as u64 {
                    self.own.push((order, customer));
                    self.told.rows.insert(format!("order {order}"), format!("{customer} w {price}"));
                }
            }
            (6..=7, Some(at)) => {
                let (order, customer) = self.own[at];
                let sql =
                    format!("UPDATE corder SET price = {price} WHERE order_id = {order} AND customer_id = {customer}");
                self.told.rows.insert(format!("order {order}"), format!("{customer} w {price}"));
                self.say(&sql).await;
            }
            (_, Some(at)) => {
                // The newest ones too: their numbers are known to nobody but the counters then.
                let (order, customer) = self.own.swap_remove(at.max(self.own.len().saturating_sub(2)));
                self.say(&format!("DELETE FROM corder WHERE order_id = {order} AND customer_id = {customer}")).await;
                self.told.rows.remove(&format!("order {order}"));
            }
        }
    }

    /// The first number given to the rows of an INSERT.
    async fn ask(&mut self, sql: &str, table: &'static str, count: u64) -> u64 {
        let before = self.phase.load(Ordering::SeqCst);
        self.say(sql).await;
        let phase = Some(before).filter(|before| self.phase.load(Ordering::SeqCst) == *before);
        let first = self.conn.last_insert_id().unwrap_or_else(|| panic!("no number for {sql}"));
        for number in first..first + count {
            let known = self.told.numbers.insert((table, number), phase);
            assert!(known.is_none(), "{table} {number} was given twice");
        }
        first
    }

    async fn say(&mut self, sql: &str) {
        self.conn.query_drop(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}
