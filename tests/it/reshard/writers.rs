//! Applications that write straight to the primaries: each knows the shards, and goes elsewhere when a fence sends it away.
//!
//! Every statement is a transaction and its answer says what happened, so what must be there in the end is known exactly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::place;
use super::stage::{CUSTOMERS, Held, Stage};
use crate::harness::{Db, until};
use crate::scenario::PATIENCE;

/// What a closed fence answers.
const FENCED: u16 = 20501;
const AGAIN: Duration = Duration::from_millis(5);
const PACE: Duration = Duration::from_millis(25);
/// Longer, and nobody accepts writes any more.
const LONGEST: Duration = Duration::from_secs(60);

/// Orders by id: the customer and the price.
type Orders = BTreeMap<i64, (i64, u32)>;

/// Writers at work.
#[derive(Debug)]
pub struct Writers {
    stop: CancellationToken,
    done: Arc<AtomicU64>,
    tasks: JoinSet<Orders>,
}

/// One writer with the orders that are its own.
struct Writer {
    /// Sets of shards, one of which accepts writes.
    sides: Vec<Vec<(String, Db)>>,
    at: usize,
    open: BTreeMap<String, Conn>,
    random: StdRng,
    orders: Orders,
    next: i64,
}

impl Writers {
    /// Writers on whichever of these sets of shards accepts writes.
    pub fn start(stage: &Stage, sides: &[&[&str]], count: i64) -> Self {
        let (stop, done, mut tasks) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)), JoinSet::new());
        let seed = rand::random::<u32>();
        eprintln!("{count} writers on {sides:?}, seed {seed}");
        for number in 1..=count {
            let side = |side: &&[&str]| side.iter().map(|name| ((*name).to_owned(), stage.db(name).clone())).collect();
            let writer = Writer {
                sides: sides.iter().map(side).collect(),
                at: 0,
                open: BTreeMap::new(),
                random: StdRng::seed_from_u64(u64::from(seed) + number as u64),
                orders: Orders::new(),
                next: number * 1_000_000,
            };
            tasks.spawn(writer.run(stop.clone(), done.clone()));
        }
        Self { stop, done, tasks }
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

    /// Ends them: everything that was acknowledged is there and nothing else, besides what was there from the start.
    pub async fn verify(mut self, stage: &Stage, shards: &[&str]) -> u64 {
        self.stop.cancel();
        let mut expected = BTreeMap::new();
        while let Some(orders) = self.tasks.join_next().await {
            expected.extend(orders.unwrap());
        }
        let Held { rows, .. } = stage.held(shards).await.unwrap();
        let found: BTreeMap<i64, (i64, u32)> = rows
            .iter()
            .filter_map(|(what, content)| {
                let id: i64 = what.strip_prefix("order ")?.parse().unwrap();
                let mut words = content.split(' ');
                let customer = words.next().unwrap().parse().unwrap();
                let price = words.nth(1).unwrap().trim_start_matches("Some(\"").split('.').next().unwrap();
                (id >= 1_000_000).then(|| (id, (customer, price.parse().unwrap())))
            })
            .collect();
        assert_eq!(found, expected, "what was acknowledged, and what is there");
        let before = rows.keys().filter(|what| !what.starts_with("order ") || what.len() < "order 1000000".len());
        assert_eq!(before.count() as i64, CUSTOMERS * 3);
        self.done.load(Ordering::Relaxed)
    }
}

impl Writer {
    async fn run(mut self, stop: CancellationToken, done: Arc<AtomicU64>) -> Orders {
        while !stop.is_cancelled() {
            self.step().await;
            done.fetch_add(1, Ordering::Relaxed);
            sleep(PACE).await;
        }
        self.orders
    }

    async fn step(&mut self) {
        let own: Vec<i64> = self.orders.keys().copied().collect();
        let chosen = (!own.is_empty()).then(|| own[self.random.random_range(0..own.len())]);
        let customer = self.random.random_range(1..=CUSTOMERS);
        let price = self.random.random_range(0..1_000);
        match (self.random.random_range(0..10), chosen) {
            (0..=4, _) | (_, None) => {
                let order = self.next;
                self.next += 1;
                let sql = format!("INSERT INTO corder VALUES ({order}, {customer}, 'w', {price})");
                self.write(customer, &sql).await;
                self.orders.insert(order, (customer, price));
            }
            (5..=6, Some(order)) => {
                let (customer, _) = self.orders[&order];
                self.write(customer, &format!("UPDATE corder SET price = {price} WHERE order_id = {order}")).await;
                self.orders.insert(order, (customer, price));
            }
            (7..=8, Some(order)) => {
                // To another customer, whose shard may be another one: no single server can do that then.
                let (before, price) = self.orders[&order];
                let both = |(shard, _): &(String, Db)| place::has(shard, before) && place::has(shard, customer);
                if self.sides[self.at].iter().any(both) {
                    let sql = format!("UPDATE corder SET customer_id = {customer} WHERE order_id = {order}");
                    if self.try_write(self.at, before, &sql).await {
                        self.orders.insert(order, (customer, price));
                    }
                    return;
                }
                self.write(before, &format!("DELETE FROM corder WHERE order_id = {order}")).await;
                self.write(customer, &format!("INSERT INTO corder VALUES ({order}, {customer}, 'w', {price})")).await;
                self.orders.insert(order, (customer, price));
            }
            (_, Some(order)) => {
                let (customer, _) = self.orders[&order];
                self.write(customer, &format!("DELETE FROM corder WHERE order_id = {order}")).await;
                self.orders.remove(&order);
            }
        }
    }

    /// Until one of the sides takes it.
    async fn write(&mut self, customer: i64, sql: &str) {
        let end = Instant::now() + LONGEST;
        while !self.try_write(self.at, customer, sql).await {
            assert!(Instant::now() < end, "nobody accepts `{sql}`");
            self.at = (self.at + 1) % self.sides.len();
            sleep(AGAIN).await;
        }
    }

    /// Whether this side takes it; it is sent to the shard of the customer.
    async fn try_write(&mut self, side: usize, customer: i64, sql: &str) -> bool {
        let (shard, db) = self.sides[side].iter().find(|(shard, _)| place::has(shard, customer)).unwrap().clone();
        if !self.open.contains_key(&shard) {
            self.open.insert(shard.clone(), db.conn().await);
        }
        match self.open.get_mut(&shard).unwrap().query_drop(sql).await {
            Ok(()) => true,
            Err(Error::Server(error)) if error.code == FENCED => false,
            // A table that is not there yet, or no more.
            Err(Error::Server(error)) if error.code == 1146 => false,
            Err(error) => panic!("{sql} on {shard}: {error}"),
        }
    }
}
