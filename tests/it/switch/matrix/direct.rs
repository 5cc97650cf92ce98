//! The writer that goes round the gateways: it tries both sides in turns, and only one takes its transactions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::cases::Side;
use super::ground::LANES;
use super::servers::Primaries;
use crate::harness::{Db, until};

const EVERY: Duration = Duration::from_millis(30);
const PATIENCE: Duration = Duration::from_secs(20);
/// Fence, deadlock, lock wait.
const REFUSALS: [u16; 3] = [super::super::FENCED, 1213, 1205];

/// Table `direct` and its writer. A transaction inserts a row of a lane, and counts in the lane's last one that was taken.
#[derive(Debug)]
pub struct Direct {
    rest: watch::Sender<bool>,
    told: Arc<Mutex<Told>>,
    task: JoinHandle<()>,
}

/// What it was told.
#[derive(Debug, Default)]
struct Told {
    resting: bool,
    next: i64,
    /// What each row's count must be.
    rows: BTreeMap<i64, i64>,
    /// By lane.
    last: BTreeMap<i64, i64>,
    /// A transaction whose commit was not answered.
    open: Option<Attempt>,
}

/// A transaction: its row, and the one it counts in.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    lane: i64,
    id: i64,
    before: Option<i64>,
}

impl Drop for Direct {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Direct {
    /// One that does nothing.
    pub fn idle() -> Self {
        Self { rest: watch::Sender::default(), told: Arc::default(), task: tokio::spawn(std::future::ready(())) }
    }

    pub fn start(primaries: &Primaries) -> Self {
        let (rest, told) = (watch::Sender::new(false), Arc::<Mutex<Told>>::default());
        let task = tokio::spawn(write(primaries.clone(), rest.clone(), told.clone()));
        Self { rest, told, task }
    }

    /// Makes it rest.
    pub async fn hold(&self) {
        self.rest.send_replace(true);
        until("the bypassing writer rests", PATIENCE, async || {
            assert!(!self.task.is_finished(), "the bypassing writer has failed");
            if self.told.lock().unwrap().resting { Ok(()) } else { Err("it does not") }
        })
        .await;
    }

    /// While it rests: holds `shards`, which have all there is, to what it was told.
    pub async fn must_hold(&self, shards: &[Db]) {
        let mut found = BTreeMap::new();
        for db in shards {
            for row in db.rows("SELECT id, n FROM direct").await {
                let [id, n]: [i64; 2] = [0, 1].map(|at: usize| row[at].as_ref().unwrap().parse().unwrap());
                assert_eq!(found.insert(id, n), None, "row {id} is on two shards");
            }
        }
        let mut told = self.told.lock().unwrap();
        if let Some(attempt) = told.open.take()
            && found.contains_key(&attempt.id)
        {
            told.happened(attempt);
        }
        let wrong: Vec<_> = told.rows.iter().filter(|(id, n)| found.get(id) != Some(n)).collect();
        let extra: Vec<_> = found.iter().filter(|(id, _)| !told.rows.contains_key(id)).collect();
        assert!(wrong.is_empty() && extra.is_empty(), "{} …: told {wrong:?}, not told {extra:?}", shards[0].name());
    }

    pub fn go_on(&self) {
        self.rest.send_replace(false);
    }

    /// How many of its transactions were taken.
    pub fn taken(&self) -> usize {
        self.told.lock().unwrap().rows.len()
    }
}

impl Told {
    fn happened(&mut self, attempt: Attempt) {
        self.rows.insert(attempt.id, 0);
        if let Some(n) = attempt.before.and_then(|before| self.rows.get_mut(&before)) {
            *n += 1;
        }
        self.last.insert(attempt.lane, attempt.id);
    }
}

async fn write(primaries: Primaries, rest: watch::Sender<bool>, told: Arc<Mutex<Told>>) {
    let mut conns: BTreeMap<(usize, usize), (usize, Conn)> = BTreeMap::new();
    let mut closed = rest.subscribe();
    for lane in LANES.into_iter().cycle() {
        for side in [Side::Source, Side::Target] {
            if *rest.borrow() {
                told.lock().unwrap().resting = true;
                closed.wait_for(|closed| !closed).await.unwrap();
                told.lock().unwrap().resting = false;
            }
            sleep(EVERY).await;
            let lane = told.lock().unwrap().open.map_or(lane, |attempt| attempt.lane);
            let shard = primaries.layout.shard_of(side, lane);
            let (db, at) = primaries.db(side, shard);
            let key = (side as usize, shard);
            let mut conn = match conns.remove(&key) {
                Some((known, conn)) if known == at => conn,
                _ => match timeout(PATIENCE, db.try_conn()).await {
                    Ok(Ok(conn)) => conn,
                    Ok(Err(_)) | Err(_) => continue,
                },
            };
            resolve(&mut conn, &told).await;
            if once(&mut conn, &told, lane).await {
                conns.insert(key, (at, conn));
            }
        }
    }
}

/// Learns what became of a commit that was not answered. That the row is there says so; that it is not says nothing: it may
/// be on its way from the other side, or not have been undone yet.
async fn resolve(conn: &mut Conn, told: &Mutex<Told>) {
    let Some(attempt) = told.lock().unwrap().open else { return };
    let sql = format!("SELECT n FROM direct WHERE id = {}", attempt.id);
    let asked = timeout(PATIENCE, conn.query_first::<i64, _>(sql)).await;
    if let Ok(Ok(Some(_))) = asked {
        let mut told = told.lock().unwrap();
        told.open = None;
        told.happened(attempt);
    }
}

/// One transaction; whether the connection still serves. None is begun while another one's fate is unknown.
async fn once(conn: &mut Conn, told: &Mutex<Told>, lane: i64) -> bool {
    let attempt = {
        let mut told = told.lock().unwrap();
        if told.open.is_some() {
            return true;
        }
        told.next += 1;
        Attempt { lane, id: told.next, before: told.last.get(&lane).copied() }
    };
    let work = async {
        conn.query_drop("BEGIN").await?;
        let Attempt { id, before, .. } = attempt;
        conn.query_drop(format!("INSERT INTO direct VALUES ({id}, 0, {lane})")).await?;
        if let Some(last) = before {
            conn.query_drop(format!("UPDATE direct SET n = n + 1 WHERE id = {last}")).await?;
        }
        Ok::<_, Error>(())
    };
    match timeout(PATIENCE, work).await {
        Ok(Ok(())) => {}
        Ok(Err(Error::Server(error))) if REFUSALS.contains(&error.code) => {
            return matches!(timeout(PATIENCE, conn.query_drop("ROLLBACK")).await, Ok(Ok(())));
        }
        Ok(Err(_)) | Err(_) => return false,
    }
    let committed = timeout(PATIENCE, conn.query_drop("COMMIT")).await;
    let mut told = told.lock().unwrap();
    match committed {
        Ok(Ok(())) => {
            told.happened(attempt);
            true
        }
        Ok(Err(_)) | Err(_) => {
            told.open = Some(attempt);
            false
        }
    }
}
