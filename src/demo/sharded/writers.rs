//! The second act's traffic: each writer has customers of its own, and knows what every one of them must have.
//!
//! Invariants: what is in the ledger was acknowledged; an answer of which nobody knows whether it was given ends the demo.
//! An error is counted, but for what any application must expect, and its transaction rolled back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::super::DemoError;
use super::super::database::Database;

/// From one transaction of a writer to its next.
const PACE: Duration = Duration::from_millis(20);
const ER_LOCK_WAIT_TIMEOUT: u16 = 1205;
const ER_LOCK_DEADLOCK: u16 = 1213;

/// What was acknowledged.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The orders of each customer that is there.
    pub(super) orders: BTreeMap<u64, BTreeSet<u64>>,
    /// Every number that was given to a customer, and to an order.
    given: [Vec<u64>; 2],
    pub(super) inserted: u64,
    pub(super) deleted: u64,
    /// How often a writer asked for its own rows, and was not given them.
    pub(super) asked: u64,
    pub(super) wrong_answers: u64,
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
}

impl Ledger {
    /// How many numbers were given.
    pub(super) fn numbers(&self) -> u64 {
        self.given.iter().map(|given| given.len() as u64).sum()
    }

    /// How many of them not for the first time.
    pub(super) fn given_twice(&self) -> u64 {
        let once = |given: &Vec<u64>| given.iter().collect::<BTreeSet<_>>().len();
        self.given.iter().map(|given| (given.len() - once(given)) as u64).sum()
    }

    /// How many customers are there.
    pub(super) fn customers(&self) -> u64 {
        self.orders.len() as u64
    }

    fn add(&mut self, other: Self) {
        self.orders.extend(other.orders);
        for (given, others) in self.given.iter_mut().zip(other.given) {
            given.extend(others);
        }
        self.inserted += other.inserted;
        self.deleted += other.deleted;
        self.asked += other.asked;
        self.wrong_answers += other.wrong_answers;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }

    fn wrong(&mut self, what: String) {
        self.wrong_answers += 1;
        self.first_error.get_or_insert(what);
    }
}

/// Running writers. Dropping them ends them wherever they are.
pub(super) struct Writers {
    tasks: JoinSet<Result<Ledger, DemoError>>,
    stop: CancellationToken,
}

impl Writers {
    /// Starts as many.
    pub(super) fn start(database: &Database, count: u32) -> Self {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        for _ in 0..count {
            tasks.spawn(write(database.clone(), stop.clone()));
        }
        Self { tasks, stop }
    }

    /// Ends them between two transactions; what they wrote.
    pub(super) async fn stop(mut self) -> Result<Ledger, DemoError> {
        self.stop.cancel();
        let mut all = Ledger::default();
        while let Some(ended) = self.tasks.join_next().await {
            all.add(ended??);
        }
        Ok(all)
    }
}

async fn write(database: Database, stop: CancellationToken) -> Result<Ledger, DemoError> {
    let mut rng = StdRng::from_os_rng();
    let conn = database.connect().await?;
    let mut writer = Writer { database, conn, ledger: Ledger::default() };
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.is_cancelled() {
        pace.tick().await;
        match writer.next(&mut rng).await {
            Ok(()) => {}
            Err(DemoError::Sql { source: Error::Server(error), .. }) => {
                if ![ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK].contains(&error.code) {
                    writer.ledger.errors += 1;
                    writer.ledger.first_error.get_or_insert(error.to_string());
                }
                writer.ask("rolling back", "ROLLBACK").await?;
            }
            Err(error) => return Err(error),
        }
    }
    let Writer { database, conn, ledger } = writer;
    database.within("ending a writer's connection", conn.disconnect()).await?;
    Ok(ledger)
}

/// A connection that writes.
struct Writer {
    database: Database,
    conn: Conn,
    ledger: Ledger,
}

impl Writer {
    /// One transaction, or a question.
    async fn next(&mut self, rng: &mut StdRng) -> Result<(), DemoError> {
        let place = rng.random_range(0..self.ledger.orders.len().max(1));
        let known = self.ledger.orders.keys().nth(place).copied();
        match (rng.random_range(0..10), known) {
            (0..5, _) | (_, None) => self.sell(rng).await,
            (5..7, Some(customer)) => self.reprice(customer).await,
            (7..9, Some(customer)) => self.question(customer).await,
            (_, Some(customer)) => self.forget(customer).await,
        }
    }

    /// A new customer, and orders of theirs in a transaction of its own.
    async fn sell(&mut self, rng: &mut StdRng) -> Result<(), DemoError> {
        let email: u64 = rng.random();
        self.ask("a new customer", &format!("INSERT INTO customer (email) VALUES ('{email:016x}@two.example')"))
            .await?;
        let customer = self.number();
        self.ledger.given[0].push(customer);
        self.ledger.orders.insert(customer, BTreeSet::new());
        self.ledger.inserted += 1;
        let count = rng.random_range(1..=3);
        let rows: Vec<_> = (0..count).map(|n| format!("({customer}, 'SKU-{n:06}', {n})")).collect();
        self.ask("orders", "BEGIN").await?;
        self.ask("orders", &format!("INSERT INTO corder (customer_id, sku, price) VALUES {}", rows.join(", "))).await?;
        let first = self.number();
        self.ask("orders", "COMMIT").await?;
        self.ledger.given[1].extend(first..first + count);
        self.ledger.orders.insert(customer, (first..first + count).collect());
        self.ledger.inserted += count;
        Ok(())
    }

    async fn reprice(&mut self, customer: u64) -> Result<(), DemoError> {
        let update = format!("UPDATE corder SET price = price + 1 WHERE customer_id = {customer}");
        self.ask("other prices", &update).await?;
        let (changed, wanted) = (self.conn.affected_rows(), self.orders_of(customer));
        if changed != wanted {
            self.ledger.wrong(format!("{changed} orders of customer {customer} were changed, {wanted} are there"));
        }
        Ok(())
    }

    /// Whether a writer reads what it wrote.
    async fn question(&mut self, customer: u64) -> Result<(), DemoError> {
        let select = format!("SELECT order_id FROM corder WHERE customer_id = {customer}");
        let doing = "asking for orders";
        let found: Vec<u64> = self.database.within(doing, self.conn.query(select)).await?;
        let found: BTreeSet<u64> = found.into_iter().collect();
        self.ledger.asked += 1;
        if self.ledger.orders.get(&customer) != Some(&found) {
            self.ledger.wrong(format!("customer {customer} has orders {found:?}, and not those acknowledged"));
        }
        Ok(())
    }

    /// A customer goes, with all orders.
    async fn forget(&mut self, customer: u64) -> Result<(), DemoError> {
        let doing = "a customer goes";
        self.ask(doing, "BEGIN").await?;
        let mut deleted = 0;
        for table in ["corder", "customer"] {
            self.ask(doing, &format!("DELETE FROM {table} WHERE customer_id = {customer}")).await?;
            deleted += self.conn.affected_rows();
        }
        self.ask(doing, "COMMIT").await?;
        if deleted != self.orders_of(customer) + 1 {
            self.ledger.wrong(format!("{deleted} rows of customer {customer} were deleted"));
        }
        self.ledger.orders.remove(&customer);
        self.ledger.deleted += deleted;
        Ok(())
    }

    fn orders_of(&self, customer: u64) -> u64 {
        self.ledger.orders.get(&customer).map_or(0, |orders| orders.len() as u64)
    }

    /// The first number that the last INSERT was given.
    fn number(&self) -> u64 {
        self.conn.last_insert_id().unwrap_or_default()
    }

    async fn ask(&mut self, doing: &'static str, sql: &str) -> Result<(), DemoError> {
        self.database.execute(&mut self.conn, doing, sql).await
    }
}
