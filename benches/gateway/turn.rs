//! One turn: so many clients at one door for so long.

use std::fmt;
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
use super::work::Work;

/// Before it counts: connections are made, statements prepared, pages warm.
const WARM_UP: Duration = Duration::from_millis(500);

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
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Turn { rate, p50, p99, gateway, server, clients } = self;
        write!(f, "{rate:.0}/s, p50 {p50:.0}, p99 {p99:.0} µs, CPU {gateway:.1} + {server:.1} + {clients:.1} µs")
    }
}

/// Runs it.
pub async fn turn(side: &Side, work: Work, protocol: Protocol, clients: u64, window: Duration) -> Result<Turn> {
    let mut callers = Vec::new();
    for _ in 0..clients {
        callers.push(Caller::connect(&side.login, protocol).await?);
    }
    let from = Instant::now() + WARM_UP;
    let until = from + window;
    let mut tasks = JoinSet::new();
    for (seed, caller) in (0..).zip(callers) {
        tasks.spawn(client(caller, work, seed, from, until));
    }
    sleep_until(from).await;
    let (began, before) = (Instant::now(), side.spent()?);
    sleep_until(until).await;
    let (took, after) = (began.elapsed(), side.spent()?);
    let mut times = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        times.extend(ended??);
    }
    times.sort_unstable();
    let count = times.len() as f64;
    let at = |share: f64| times.get((count * share) as usize).map(|&ns| f64::from(ns) / 1e3);
    let each = |of: fn(&Spent) -> Duration| (of(&after) - of(&before)).as_secs_f64() * 1e6 / count;
    Ok(Turn {
        rate: count / took.as_secs_f64(),
        p50: at(0.5).context("no statement ended")?,
        p99: at(0.99).context("no statement ended")?,
        gateway: each(|spent| spent.gateway),
        server: each(|spent| spent.server),
        clients: each(|spent| spent.clients),
    })
}

/// Works until `until`; the times, in ns, of what ended between `from` and then.
async fn client(mut caller: Caller, work: Work, seed: u64, from: Instant, until: Instant) -> Result<Vec<u32>> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut times = Vec::new();
    let mut unmeasured = true;
    loop {
        let now = Instant::now();
        if now >= until {
            break;
        }
        if unmeasured && now >= from {
            times.clear();
            unmeasured = false;
        }
        work.once(&mut caller, &mut random, &mut times).await?;
    }
    caller.close().await;
    Ok(times)
}
