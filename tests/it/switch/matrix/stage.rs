//! Where cases are played one after another: replicated shards, two engines, two gateways, writers through them and one round
//! them, and a workflow that is switched there and back.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use shardlift::model::switch::{Direction, Phase};
use shardlift::topology::records::{Owner, Workflow};
use shardlift::topology::{Path, Topology, paths};
use tokio::time::{Instant, sleep};

use super::cases::{Backend, Case, Fault, Side};
use super::direct::Direct;
use super::ground::{LANES, Layout};
use super::servers::{Primaries, Servers};
use crate::harness::{Db, Gateway, Ledger, Load, Running, Shardlift, TestCluster, until};
use crate::scenario::{PATIENCE, WHICH};

/// Longer than an engine's lease (3 s) and its take-over.
const SILENCE: Duration = Duration::from_millis(4_500);
/// How long a case may take to come to its point.
const REACHED: Duration = Duration::from_secs(60);
/// From the fault to the end of the switch, with all that a case does itself: a hang is a failure, not the whole run's end.
const ENDED: Duration = Duration::from_secs(90);

const TRIES: usize = 4;

/// How a case went.
#[derive(Debug)]
pub struct Played {
    pub done: bool,
    /// From when everything was back to when the switch had come to its end.
    pub healed: Duration,
    /// And to when clients were served again.
    pub served: Duration,
    pub took: Duration,
}

pub struct Stage {
    pub layout: Layout,
    pub backend: Backend,
    pub cluster: TestCluster,
    pub primaries: Primaries,
    pub shardlift: Shardlift,
    pub ledger: Ledger,
    pub direct: Direct,
    _gateways: [Gateway; 2],
    engines: Vec<(String, Running)>,
    points: PathBuf,
    held: PathBuf,
    number: usize,
    /// Cases so far: faults go round the shards.
    turn: usize,
}

impl Stage {
    pub async fn start(layout: Layout, backend: Backend) -> Self {
        let cluster = TestCluster::with(|spec| {
            layout.declare(spec);
            spec.etcd = backend == Backend::Etcd;
            spec.replicas = 1;
            spec.semi_sync = Some(Duration::from_secs(10));
            spec.extra_args = [
                "--plugin-load-add=mysql_clone.so",
                // Without a replica, as for a moment after each fault, there is nobody to wait for.
                "--loose-rpl-semi-sync-source-wait-no-replica=OFF",
            ]
            .map(Into::into)
            .to_vec();
        })
        .await;
        let primaries = Primaries::of(&cluster, layout);
        let (points, held) = (cluster.folder().join("points"), cluster.folder().join("held"));
        let shardlift = cluster.shardlift().with("SHARDLIFT_FAILPOINTS", &format!("@{}", points.display()));
        layout.make_tables(&cluster, &shardlift, &primaries.all(Side::Source)).await;
        let gateways = [cluster.gateway("").await, cluster.gateway("").await];
        let home = layout.keyspace(Side::Source);
        let apps: Vec<_> = gateways.iter().map(|gateway| super::through(gateway, home)).collect();
        let ledger = Ledger::start_over(&apps, Load { writers: LANES.len() as u32, rows: 60, rate: Some(60) }).await;
        // Before the first switch the target is fenced by nothing, and nobody may write there.
        let start = format!("{} start {WHICH} {} --wait running", layout.command(), layout.start_flags());
        let mut stage = Self {
            layout,
            direct: Direct::idle(),
            backend,
            cluster,
            primaries,
            shardlift,
            ledger,
            _gateways: gateways,
            engines: Vec::new(),
            points,
            held,
            number: 0,
            turn: 0,
        };
        stage.whole().await;
        stage.man().await;
        stage.shardlift.must(&start).await;
        stage.switch().await;
        stage.direct = Direct::start(&stage.primaries);
        stage
    }

    pub fn topology(&self) -> &Topology {
        self.cluster.topology()
    }

    fn workflow_path() -> Path {
        paths::workflow(&"customer".parse().unwrap(), &"move".parse().unwrap())
    }

    pub async fn record(&self) -> Workflow {
        until("the workflow's record can be read", PATIENCE, async || {
            let found = self.topology().get::<Workflow>(&Self::workflow_path()).await;
            found.map_err(|error| error.to_string())?.map(|found| found.record).ok_or("there is none".to_owned())
        })
        .await
    }

    /// The direction of the next switch.
    pub async fn next_direction(&self) -> Direction {
        self.record().await.flow()
    }

    /// The side that is closed, and the one that is open.
    pub async fn closed_and_open(&self) -> (Side, Side) {
        match self.next_direction().await {
            Direction::Forward => (Side::Target, Side::Source),
            Direction::Backward => (Side::Source, Side::Target),
        }
    }

    fn verb(direction: Direction) -> &'static str {
        match direction {
            Direction::Forward => "switch-traffic",
            Direction::Backward => "reverse-traffic",
        }
    }

    /// A switch without a fault.
    pub async fn switch(&self) {
        let verb = Self::verb(self.next_direction().await);
        self.shardlift.must(&format!("{} {verb} {WHICH}", self.layout.command())).await;
    }

    /// Two engines, one that carries the workflow and one that stands by.
    async fn man(&mut self) {
        while self.engines.len() < 2 {
            self.number += 1;
            let name = format!("engine-{}", self.number);
            self.engines.push((name.clone(), self.shardlift.engine(&name).await));
        }
    }

    async fn owner(&self) -> Option<String> {
        let path = paths::owner(&"customer".parse().unwrap(), &"move".parse().unwrap());
        let found = self.topology().get::<Owner>(&path).await.ok()??;
        Some(found.record.engine.to_string())
    }

    /// The engine that carries the workflow.
    async fn carrier(&self) -> &(String, Running) {
        let found = until("an engine carries the workflow", PATIENCE, async || {
            let owner = self.owner().await;
            self.engines.iter().position(|(name, _)| Some(name) == owner.as_ref()).ok_or(format!("{owner:?}"))
        });
        &self.engines[found.await]
    }

    /// The servers of the shard whose turn it is.
    fn servers(&self, side: Side) -> Servers<'_> {
        let shard = self.turn % self.layout.shards(side).len();
        Servers::of(&self.cluster, &self.primaries, side, shard)
    }

    /// Every replica follows its primary.
    async fn whole(&self) {
        for side in [Side::Source, Side::Target] {
            for shard in 0..self.layout.shards(side).len() {
                Servers::of(&self.cluster, &self.primaries, side, shard).whole().await;
            }
        }
    }

    /// Plays `case`: the fault, and what follows it. Panics where that is not as it must be.
    pub async fn play(&mut self, case: &Case) -> Played {
        let began = Instant::now();
        self.turn += 1;
        self.man().await;
        self.whole().await;
        assert_eq!(self.next_direction().await, case.direction);
        self.ledger.complaints();
        let mut before = self.record().await.switch.unwrap().request.uid;
        fs::write(&self.points, case.points(&self.held)).unwrap();
        let verb = Self::verb(case.direction);
        let mut tries = 0;
        let asked = loop {
            let asked = self.shardlift.start("ask", &format!("{} {verb} {WHICH}", self.layout.command()));
            match self.reached(case, before).await {
                true => break asked,
                // On a machine that is too busy the pause may end before its time. Then nothing has happened yet.
                false => asked.ended().await,
            };
            tries += 1;
            assert!(tries < TRIES, "the switch never comes to its point: {:?}", self.record().await.switch);
            before = self.record().await.switch.unwrap().request.uid;
            fs::write(&self.points, case.points(&self.held)).unwrap();
        };
        let back = match case.fault.is_inside() {
            true => Instant::now(),
            false => self.strike(case.fault).await,
        };
        let done = self.settled(before).await;
        let healed = back.elapsed();
        self.ledger.wait_for(6, PATIENCE).await;
        let served = back.elapsed();
        let status = asked.ended().await;
        if !matches!(case.fault, Fault::TopologySilent | Fault::TopologyDead) {
            assert_eq!(status.success(), done, "the command ended with {status}");
        }
        if case.fault.kills() {
            assert_eq!(self.bury(), 1, "how many engines died");
        }
        Played { done, healed, served, took: began.elapsed() }
    }

    /// Waits until every failpoint was reached, and the engine is held if it is to be; `false` if the switch asked for after
    /// `before` has ended without.
    async fn reached(&self, case: &Case, before: uuid::Uuid) -> bool {
        let inside = case.fault.is_inside();
        until("the failpoint is reached", REACHED, async || {
            let left = fs::read_to_string(&self.points).unwrap();
            if left.is_empty() && (inside || self.held.exists()) {
                return Ok(true);
            }
            match self.outcome(before).await {
                // It may have been reached in between.
                Ok(_) if fs::read_to_string(&self.points).unwrap().is_empty() => Err(left),
                Ok(_) => Ok(false),
                Err(phase) => Err(format!("{left} ({phase})")),
            }
        })
        .await
    }

    /// Takes engines that are no more from the list; how many.
    fn bury(&mut self) -> usize {
        let before = self.engines.len();
        self.engines.retain_mut(|(_, engine)| !engine.has_ended());
        before - self.engines.len()
    }

    /// Strikes while the engine is held; when all was back.
    async fn strike(&self, fault: Fault) -> Instant {
        let release = || fs::remove_file(&self.held).unwrap();
        match fault {
            Fault::Frozen => {
                let (name, engine) = self.carrier().await;
                engine.freeze();
                while self.backend == Backend::Sqlite && !self.lets_write() {
                    // Stopped in the midst of a transaction it keeps the file's lock, and nobody gets on before it does.
                    engine.thaw();
                    sleep(Duration::from_millis(20)).await;
                    engine.freeze();
                }
                release();
                until("another engine takes over", PATIENCE, async || match self.owner().await {
                    Some(owner) if owner != *name => Ok(()),
                    other => Err(format!("{other:?}")),
                })
                .await;
                engine.thaw();
            }
            Fault::LeaseLost => {
                let path = paths::owner(&"customer".parse().unwrap(), &"move".parse().unwrap());
                let key = self.topology().paths().key(&path);
                let entry = self.topology().store().get(&key).await.unwrap().entry.unwrap();
                self.topology().store().revoke(entry.lease.unwrap()).await.unwrap();
                release();
            }
            Fault::TopologySilent => match self.backend {
                Backend::Etcd => {
                    self.cluster.etcd().pause().unwrap();
                    release();
                    sleep(SILENCE).await;
                    self.cluster.etcd().resume().unwrap();
                }
                Backend::Sqlite => {
                    let lock = rusqlite::Connection::open(self.cluster.topology_address()).unwrap();
                    lock.busy_timeout(Duration::from_secs(5)).unwrap();
                    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
                    release();
                    sleep(SILENCE).await;
                }
            },
            Fault::TopologyDead => {
                self.cluster.etcd().kill9().await.unwrap();
                release();
                sleep(SILENCE).await;
                self.cluster.etcd().restart().await.unwrap();
            }
            Fault::Restarted(side) => {
                let server = self.servers(side).primary();
                server.kill9().await.unwrap();
                release();
                server.restart().await.unwrap();
            }
            Fault::Replaced(side) => {
                self.servers(side).replace().await;
                release();
            }
            Fault::Died(side) => {
                self.servers(side).die().await;
                release();
                self.servers(side).rejoin().await;
            }
            inside => panic!("{inside} is no fault from outside"),
        }
        Instant::now()
    }

    /// Whether the topology's file can be written to.
    fn lets_write(&self) -> bool {
        let file = rusqlite::Connection::open(self.cluster.topology_address()).unwrap();
        file.busy_timeout(Duration::from_millis(500)).unwrap();
        file.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
    }

    /// Waits until the switch asked for after `before` has come to its end; whether it is done.
    async fn settled(&self, before: uuid::Uuid) -> bool {
        until("the switch comes to its end", ENDED, async || self.outcome(before).await).await
    }

    async fn outcome(&self, before: uuid::Uuid) -> Result<bool, String> {
        let Some(switch) = self.record().await.switch.filter(|switch| switch.request.uid != before) else {
            return Err("none was asked for".to_owned());
        };
        match &switch.phase {
            Phase::Done => Ok(true),
            Phase::Undone { .. } => Ok(false),
            other => Err(format!("{other:?}")),
        }
    }

    /// A side's databases, on their primaries.
    pub fn dbs(&self, side: Side) -> Vec<Db> {
        self.primaries.all(side)
    }

    /// Ends it, and keeps its folder.
    pub fn keep(self) {
        self.cluster.keep();
    }

    /// The end of it all, in good order.
    pub async fn end(self) {
        self.switch().await;
        self.ledger.wait_for(10, PATIENCE).await;
        println!("{}: {} taken by the bypassing writer", self.layout, self.direct.taken());
        for (_, engine) in self.engines {
            engine.stop().await;
        }
    }
}
