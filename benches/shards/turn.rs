//! Clients that send one kind of statement for a while, through the gateway or straight to the shards.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::future::try_join_all;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use shardlift::mapping::{Home, Mapping};
use shardlift::model::TableDef;
use shardlift::mysql::endpoint::{Endpoint, TlsMode};
use shardlift::mysql::wire::relay::Outcome;
use shardlift::mysql::{Login, Secret};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::caller::{Caller, Protocol, Value};
use super::cpu::used;
use super::front::Front;
use super::pipes::mapping;
use super::stage::{KEYSPACE, SHARDS, Stage};

const POINT: &str = "SELECT c FROM sbtest1 WHERE id = ?";
const ORDERED: &str = "SELECT id, k, c FROM sbtest1 WHERE k >= ? ORDER BY k, id LIMIT 20";
const COUNT: &str = "SELECT COUNT(*) FROM sbtest1 WHERE k BETWEEN ? AND ?";
/// Rows of [`ORDERED`].
const LIMIT: u64 = 20;
/// Rows that [`COUNT`] counts, about; on all shards together.
const COUNTED: u64 = 1_000;

/// A load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A row by its sharding key.
    Point,
    /// The first 20 rows of an order, from all shards.
    Ordered,
    /// How many rows are in a range of a secondary key, on all shards.
    Count,
}

impl Work {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Point, Self::Ordered, Self::Count];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Point => "point",
            Self::Ordered => "order by, limit 20",
            Self::Count => "count of 1000",
        }
    }

    /// What is on the other side.
    pub fn direct(self) -> &'static str {
        match self {
            Self::Point => "at its shard",
            Self::Ordered | Self::Count => "at four shards at once",
        }
    }
}

/// Where statements are sent.
#[derive(Debug)]
pub struct Side {
    /// One for the gateway; one for each shard.
    logins: Vec<Login>,
    gateway: Option<u32>,
    rows: u64,
}

/// What a turn came to. Times are µs.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Statements per second; what is sent to four shards counts once.
    pub rate: f64,
    /// Half of the statements took no longer.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// The gateway's processor time per statement.
    pub gateway: f64,
}

impl Side {
    /// The gateway.
    pub fn through(stage: &Stage, front: &Front, rows: u64) -> Result<Self> {
        Ok(Self { logins: vec![login(stage, front.listen())?], gateway: Some(front.pid()), rows })
    }

    /// The shards, over TCP as the gateway reaches them.
    pub fn direct(stage: &Stage, rows: u64) -> Result<Self> {
        let each = |name| login(stage, &format!("127.0.0.1:{}", stage.shard(name)?.port()));
        Ok(Self { logins: SHARDS.iter().map(|name| each(name)).collect::<Result<_>>()?, gateway: None, rows })
    }

    /// Connects clients, which then wait for their turns.
    pub async fn crew(&self, clients: u64) -> Result<Crew<'_>> {
        let mapping = Arc::new(mapping()?);
        let mut all = Vec::new();
        for seed in 0..clients {
            let connect = self.logins.iter().map(|login| Caller::connect(login, Protocol::Text));
            let (callers, mapping) = (try_join_all(connect).await?, mapping.clone());
            all.push(Client { callers, mapping, random: StdRng::seed_from_u64(seed), rows: self.rows });
        }
        Ok(Crew { side: self, clients: all })
    }
}

fn login(stage: &Stage, address: &str) -> Result<Login> {
    let app = stage.cluster().app();
    Ok(Login {
        endpoint: Endpoint { tls: TlsMode::Disabled, ..Endpoint::new(address.parse()?) },
        user: app.user.clone(),
        password: Secret::new(app.password.clone()),
        database: Some(KEYSPACE.into()),
    })
}

/// Clients that are connected.
#[derive(Debug)]
pub struct Crew<'a> {
    side: &'a Side,
    clients: Vec<Client>,
}

impl Crew<'_> {
    /// All work at once for `window`; what ends later does not count.
    pub async fn turn(&mut self, work: Work, window: Duration) -> Result<Turn> {
        let spent = || self.side.gateway.map_or(Ok(Duration::ZERO), used);
        let (began, before) = (Instant::now(), spent()?);
        let until = began + window;
        let mut tasks = JoinSet::new();
        for client in self.clients.drain(..) {
            tasks.spawn(client.work(work, until));
        }
        sleep_until(until).await;
        let (ended, after) = (Instant::now(), spent()?);
        let mut times = Vec::new();
        while let Some(done) = tasks.join_next().await {
            let (client, samples) = done??;
            times.extend(samples.iter().filter(|(at, _)| *at <= ended).map(|(_, took)| took.as_secs_f64() * 1e6));
            self.clients.push(client);
        }
        times.sort_unstable_by(f64::total_cmp);
        let count = times.len() as f64;
        let at = |share: f64| times.get((count * share) as usize).copied().context("no statement ended");
        Ok(Turn {
            rate: count / (ended - began).as_secs_f64(),
            p50: at(0.5)?,
            p99: at(0.99)?,
            gateway: (after - before).as_secs_f64() * 1e6 / count,
        })
    }

    /// Says goodbye.
    pub async fn close(self) {
        for caller in self.clients.into_iter().flat_map(|client| client.callers) {
            caller.close().await;
        }
    }
}

#[derive(Debug)]
struct Client {
    callers: Vec<Caller>,
    mapping: Arc<(Mapping, Arc<TableDef>)>,
    random: StdRng,
    rows: u64,
}

impl Client {
    /// Works until `until`, and ends what is begun by then.
    async fn work(mut self, work: Work, until: Instant) -> Result<(Self, Vec<(Instant, Duration)>)> {
        let mut samples = Vec::new();
        while Instant::now() < until {
            let took = self.once(work).await?;
            samples.push((Instant::now(), took));
        }
        Ok((self, samples))
    }

    async fn once(&mut self, work: Work) -> Result<Duration> {
        let (sql, values, expected) = match work {
            Work::Point => (POINT, vec![Value::Number(self.random.random_range(1..=self.rows))], 1),
            // Enough rows lie behind on every shard.
            Work::Ordered => (ORDERED, vec![Value::Number(self.random.random_range(1..=self.rows / 2))], LIMIT),
            Work::Count => {
                let from = self.random.random_range(1..=self.rows - COUNTED);
                (COUNT, vec![Value::Number(from), Value::Number(from + COUNTED - 1)], 1)
            }
        };
        let one = match (&work, values.as_slice(), self.callers.len()) {
            (_, _, 1) => Some(0),
            (Work::Point, [Value::Number(id)], _) => {
                let (mapping, table) = &*self.mapping;
                let id = id.to_string();
                match mapping.home(table, |_| Some(id.as_bytes()))? {
                    Home::One(shard) => Some(shard),
                    Home::All => bail!("a row is on every shard"),
                }
            }
            _ => None,
        };
        let began = Instant::now();
        let outcomes = match one {
            Some(one) => vec![self.callers[one].run(sql, &values).await?],
            None => try_join_all(self.callers.iter_mut().map(|caller| caller.run(sql, &values))).await?,
        };
        let took = began.elapsed();
        for outcome in outcomes {
            match outcome {
                Outcome::Rows { rows } if rows == expected => {}
                other => bail!("{sql} with {values:?}: {other:?} instead of {expected} rows"),
            }
        }
        Ok(took)
    }
}
