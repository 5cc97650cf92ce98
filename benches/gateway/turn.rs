//! Turns: so many clients at one door, for so long, again and again.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use shardlift::mysql::endpoint::{Endpoint, TlsMode};
use shardlift::mysql::{Login, Secret};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::caller::{Caller, Protocol};
use super::cpu::used;
use super::front::Front;
use super::testbed::Stage;
use super::work::{Sample, Work};

/// Where statements are sent.
#[derive(Debug)]
pub struct Side {
    login: Login,
    /// The gateway's process, if they go through one.
    gateway: Option<u32>,
    /// The server's process.
    pub server: u32,
}

impl Side {
    /// The server itself, over TCP as the gateway reaches it.
    pub fn direct(stage: &Stage) -> Result<Self> {
        Self::at(stage, &format!("127.0.0.1:{}", stage.source()?.port()), None)
    }

    /// The gateway before it.
    pub fn through(stage: &Stage, front: &Front) -> Result<Self> {
        Self::at(stage, front.listen(), Some(front.pid()))
    }

    fn at(stage: &Stage, address: &str, gateway: Option<u32>) -> Result<Self> {
        let app = stage.cluster().app();
        // Neither encrypts: the gateway does not towards these servers either.
        let login = Login {
            endpoint: Endpoint { tls: TlsMode::Disabled, ..Endpoint::new(address.parse()?) },
            user: app.user.clone(),
            password: Secret::new(app.password.clone()),
            database: Some("commerce".into()),
        };
        Ok(Self { login, gateway, server: stage.source()?.pid().context("the server has ended")? })
    }

    /// Connects clients, which then wait for their turns.
    pub async fn crew(&self, clients: u64, protocol: Protocol) -> Result<Crew<'_>> {
        let mut crew = Crew { side: self, clients: Vec::new() };
        for seed in 0..clients {
            let caller = Caller::connect(&self.login, protocol).await?;
            crew.clients.push(Client { caller, random: StdRng::seed_from_u64(seed) });
        }
        Ok(crew)
    }

    /// Processor time used so far.
    fn spent(&self) -> Result<Spent> {
        Ok(Spent {
            gateway: self.gateway.map_or(Ok(Duration::ZERO), used)?,
            server: used(self.server)?,
            clients: used(std::process::id())?,
        })
    }
}

/// Processor time.
#[derive(Debug, Clone, Copy)]
struct Spent {
    gateway: Duration,
    server: Duration,
    clients: Duration,
}

/// What a turn came to. Times are µs; processor time is per statement.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Statements per second.
    pub rate: f64,
    /// Half of the statements took no longer.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// The gateway's.
    pub gateway: f64,
    /// The server's.
    pub server: f64,
    /// All clients'.
    pub clients: f64,
    /// Of gateway, server and clients, seconds.
    pub busy: f64,
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
        let (began, before) = (Instant::now(), self.side.spent()?);
        let until = began + window;
        let mut tasks = JoinSet::new();
        for client in self.clients.drain(..) {
            tasks.spawn(client.work(work, until));
        }
        sleep_until(until).await;
        let (ended, after) = (Instant::now(), self.side.spent()?);
        let mut times = Vec::new();
        while let Some(done) = tasks.join_next().await {
            let (client, samples) = done??;
            times.extend(samples.iter().filter(|sample| sample.ended <= ended.into_std()).map(|sample| sample.ns));
            self.clients.push(client);
        }
        times.sort_unstable();
        let count = times.len() as f64;
        let at = |share: f64| times.get((count * share) as usize).map(|&ns| f64::from(ns) / 1e3);
        let spent = |of: fn(&Spent) -> Duration| (of(&after) - of(&before)).as_secs_f64();
        let (gateway, server, clients) =
            (spent(|spent| spent.gateway), spent(|spent| spent.server), spent(|spent| spent.clients));
        Ok(Turn {
            rate: count / (ended - began).as_secs_f64(),
            p50: at(0.5).context("no statement ended")?,
            p99: at(0.99).context("no statement ended")?,
            gateway: gateway * 1e6 / count,
            server: server * 1e6 / count,
            clients: clients * 1e6 / count,
            busy: gateway + server + clients,
        })
    }

    /// Says goodbye.
    pub async fn close(self) {
        for client in self.clients {
            client.caller.close().await;
        }
    }
}

#[derive(Debug)]
struct Client {
    caller: Caller,
    random: StdRng,
}

impl Client {
    /// Works until `until`, and ends what is begun by then.
    async fn work(mut self, work: Work, until: Instant) -> Result<(Self, Vec<Sample>)> {
        let mut samples = Vec::new();
        while Instant::now() < until {
            work.once(&mut self.caller, &mut self.random, &mut samples).await?;
        }
        Ok((self, samples))
    }
}
