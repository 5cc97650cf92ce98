//! Clients that write through the gateways at a bounded rate, and remember what they were told.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, OptsBuilder};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::Options;
use super::doors::Doors;
use super::ledger::ACCOUNTS;
use super::testbed::{Stage, within};

const ER_LOCK_DEADLOCK: u16 = 1213;
const IDLE: Duration = Duration::from_millis(200);
/// Statements that change rows: what a client that inserts, and one with transactions, does each time.
const WRITES_ALONE: u32 = 1;
const WRITES_IN_TRANSACTION: u32 = 2;
const INSERT: &str = "INSERT INTO entry (writer, seq) VALUES (?, ?)";

/// What was acknowledged, and what went wrong.
#[derive(Debug, Default)]
pub struct Written {
    /// Each entry, by writer and its own number.
    pub entries: Vec<(u32, u64)>,
    /// What each account must count.
    pub accounts: BTreeMap<u64, i64>,
    /// When each commit was acknowledged, and how many writes it held.
    pub acknowledged: Vec<(Instant, u32)>,
    /// Of the writes those in transactions.
    pub in_transactions: u64,
    /// How long each statement took, with its end.
    pub statements: Vec<(Instant, Duration)>,
    /// Errors by number, 0 for what is not the server's.
    pub errors: BTreeMap<u16, u64>,
    /// The first that is not a deadlock.
    pub first_error: Option<String>,
    /// How often a deadlock came with which text.
    pub deadlocks: BTreeMap<String, u64>,
    /// How long the clients wrote.
    pub took: Duration,
}

/// Clients at work. Dropping them ends them wherever they are.
#[derive(Debug)]
pub struct Crew {
    tasks: JoinSet<Result<Written>>,
    stop: CancellationToken,
    began: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Alone,
    Transactions,
    Idle { reading: bool },
}

impl Crew {
    /// Connects them and lets them write.
    pub async fn start(stage: &Stage, doors: &Doors, options: &Options) -> Result<Self> {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        let per_round = options.clients * (WRITES_ALONE + WRITES_IN_TRANSACTION) / 2;
        let pace = (options.rate > 0).then(|| Duration::from_secs_f64(f64::from(per_round) / f64::from(options.rate)));
        for number in 0..options.clients {
            let (host, port) = doors.at(number as usize).rsplit_once(':').context("no port")?;
            let app = stage.cluster().app();
            let opts = OptsBuilder::default()
                .ip_or_hostname(host)
                .tcp_port(port.parse()?)
                .prefer_socket(false)
                .user(Some(&app.user))
                .pass(Some(&app.password))
                .db_name(Some("commerce"));
            let conn = within("connecting to a gateway", Conn::new(opts)).await?;
            let kind = match number {
                0 => Kind::Idle { reading: options.idle_reading },
                // Both kinds at each gateway.
                _ if (number / options.gateways).is_multiple_of(2) => Kind::Transactions,
                _ => Kind::Alone,
            };
            let client = Client {
                number,
                conn,
                kind,
                pace: pace.filter(|_| number > 0),
                random: StdRng::seed_from_u64(u64::from(number)),
                seq: 0,
                written: Written::default(),
            };
            tasks.spawn(client.work(stop.clone()));
        }
        Ok(Self { tasks, stop, began: Instant::now() })
    }

    /// Ends them after what they are doing; what they did.
    pub async fn stop(mut self) -> Result<Written> {
        let took = self.began.elapsed();
        self.stop.cancel();
        let mut all = Written { took, ..Written::default() };
        while let Some(ended) = self.tasks.join_next().await {
            let one = ended??;
            all.entries.extend(one.entries);
            all.acknowledged.extend(one.acknowledged);
            all.statements.extend(one.statements);
            all.in_transactions += one.in_transactions;
            one.accounts.into_iter().for_each(|(id, n)| *all.accounts.entry(id).or_default() += n);
            one.deadlocks.into_iter().for_each(|(text, n)| *all.deadlocks.entry(text).or_default() += n);
            one.errors.into_iter().for_each(|(code, n)| *all.errors.entry(code).or_default() += n);
            all.first_error = all.first_error.or(one.first_error);
        }
        all.acknowledged.sort_unstable();
        Ok(all)
    }
}

#[derive(Debug)]
struct Client {
    number: u32,
    conn: Conn,
    kind: Kind,
    pace: Option<Duration>,
    random: StdRng,
    seq: u64,
    written: Written,
}

/// What a transaction did, if it is committed.
#[derive(Debug)]
struct Done {
    account: Option<u64>,
    writes: u32,
}

impl Client {
    async fn work(mut self, stop: CancellationToken) -> Result<Written> {
        let mut ticks = self.pace.map(|pace| {
            // Not all at once.
            let mut ticks =
                tokio::time::interval_at(Instant::now() + self.random.random_range(Duration::ZERO..pace), pace);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        let mut rest = interval(IDLE * 2);
        while !stop.is_cancelled() {
            match (&mut ticks, self.kind) {
                (Some(ticks), _) => drop(ticks.tick().await),
                (None, Kind::Idle { .. }) => drop(rest.tick().await),
                (None, _) => {}
            }
            self.seq += 1;
            let outcome = match self.kind {
                Kind::Alone => self.insert().await.map(|()| Done { account: None, writes: WRITES_ALONE }),
                kind => self.transaction(kind).await,
            };
            match outcome {
                Ok(done) => self.acknowledged(done),
                Err(error) => {
                    let code = if let Error::Server(error) = &error { error.code } else { 0 };
                    *self.written.errors.entry(code).or_default() += 1;
                    if code == ER_LOCK_DEADLOCK {
                        *self.written.deadlocks.entry(error.to_string()).or_default() += 1;
                    } else {
                        self.written.first_error.get_or_insert(format!("client {}: {error}", self.number));
                        if code == 0 {
                            // What became of the write is not known, and the connection is gone.
                            break;
                        }
                    }
                    // Undone as a whole; the next one has another number.
                    self.ask("ROLLBACK").await.ok();
                }
            }
        }
        self.conn.disconnect().await.ok();
        Ok(self.written)
    }

    fn acknowledged(&mut self, done: Done) {
        self.written.entries.push((self.number, self.seq));
        self.written.acknowledged.push((Instant::now(), done.writes));
        if let Some(id) = done.account {
            *self.written.accounts.entry(id).or_default() += 1;
            self.written.in_transactions += u64::from(done.writes);
        }
    }

    /// Read, then write: an account is counted up by what was read of it, and an entry made.
    async fn transaction(&mut self, kind: Kind) -> Result<Done, Error> {
        let id = self.random.random_range(1..=ACCOUNTS);
        let locking = kind == Kind::Transactions && self.random.random_bool(0.5);
        self.ask("BEGIN").await?;
        if locking {
            let began = Instant::now();
            let n: Option<i64> = self.conn.exec_first("SELECT n FROM account WHERE id = ? FOR UPDATE", (id,)).await?;
            self.took(began);
            self.exec("UPDATE account SET n = ? WHERE id = ?", (n.unwrap_or_default() + 1, id)).await?;
            self.insert().await?;
        } else {
            let began = Instant::now();
            let _seen: Option<i64> = self.conn.query_first(format!("SELECT n FROM account WHERE id = {id}")).await?;
            self.took(began);
            let idle_after = matches!(kind, Kind::Idle { reading: false }) && self.seq.is_multiple_of(2);
            if matches!(kind, Kind::Idle { .. }) && !idle_after {
                sleep(IDLE).await;
            }
            self.insert().await?;
            if idle_after {
                sleep(IDLE).await;
            }
            self.ask(&format!("UPDATE account SET n = n + 1 WHERE id = {id}")).await?;
        }
        self.ask("COMMIT").await?;
        Ok(Done { account: Some(id), writes: WRITES_IN_TRANSACTION })
    }

    async fn insert(&mut self) -> Result<(), Error> {
        self.exec(INSERT, (self.number, self.seq)).await
    }

    async fn exec(&mut self, sql: &str, values: impl Into<mysql_async::Params> + Send) -> Result<(), Error> {
        let began = Instant::now();
        let done = self.conn.exec_drop(sql, values).await;
        self.took(began);
        done
    }

    async fn ask(&mut self, sql: &str) -> Result<(), Error> {
        let began = Instant::now();
        let done = self.conn.query_drop(sql).await;
        self.took(began);
        done
    }

    fn took(&mut self, began: Instant) {
        self.written.statements.push((Instant::now(), began.elapsed()));
    }
}
