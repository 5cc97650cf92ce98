//! Keyspace `commerce` with a table in shard `0`, and four shards on servers of their own that serve nothing yet; the Reshard
//! from there to here.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use shardlift::local::{Mysqld, Servers};
use shardlift::model::switch::{Direction, Phase};
use shardlift::model::workflow::{StreamState, WorkflowKind};
use shardlift::model::{KeyspaceName, ShardName, WorkflowName};
use shardlift::mysql::Credentials;
use shardlift::topology::records::{EnginePresence, Status, Workflow};
use shardlift::topology::{Txn, TxnOutcome, paths};
use shardlift::workflow::control::{Wish, wish};
use shardlift::workflow::create::create;
use shardlift::workflow::request::Request;
use shardlift::workflow::switch::ask::{Wanted, ask};
use tokio::time::Instant;

use super::testbed::process::Process;
pub use super::testbed::{Stage, run, until, wire, within};
use super::testbed::{say, sysbench};

/// The shards the table is split into.
pub const SHARDS: [&str; 4] = ["-40", "40-80", "80-c0", "c0-"];
/// The keyspace.
pub const KEYSPACE: &str = "commerce";
/// Rows are spread by their primary key.
pub const VSCHEMA: &str = r#"{"sharded": true, "vindexes": {"hash": {"type": "hash"}}, "tables": {
    "sbtest1": {"column_vindexes": [{"column": "id", "name": "hash"}]}}}"#;

/// Room for the table in memory and for its redo, and commits that are safe, as a switch demands: what is compared is not how
/// a small server waits for its disk.
const SETTINGS: [&str; 2] = ["--innodb-buffer-pool-size=512M", "--innodb-redo-log-capacity=1G"];
const NAME: &str = "split";
const POLL: Duration = Duration::from_millis(20);
const TIMEOUT: Duration = Duration::from_secs(30);
const ER_BAD_DB_ERROR: u16 = 1049;
const ER_NO_SUCH_TABLE: u16 = 1146;

/// When a Reshard passed its stations.
#[derive(Debug, Clone, Copy)]
pub struct Stations {
    /// It was asked for.
    pub asked: Instant,
    /// The engine had it in hand.
    pub began: Instant,
    /// All rows were there.
    pub copied: Instant,
    /// Secondary keys too.
    pub done: Instant,
    /// Its owner reported that it follows.
    pub running: Instant,
}

impl Stage {
    /// Starts the servers and an engine, with so many rows.
    pub async fn sharded(servers: &Servers, rows: u64) -> Result<(Self, Process)> {
        let stage = Self::altered(servers, &SETTINGS, |spec| {
            spec.keyspaces.retain(|keyspace| keyspace.name.as_str() == KEYSPACE);
            let keyspace = spec.keyspaces.first_mut().context("no such keyspace")?;
            keyspace.shards = ["0"].iter().chain(&SHARDS).map(|name| name.parse()).collect::<Result<_, _>>()?;
            Ok(())
        })
        .await?;
        sysbench::fill(stage.source()?, rows).await?;
        let topology = stage.cluster().topology();
        let vschema = shardlift::sharding::vschema::parse(VSCHEMA)?;
        let txn = topology.put(Txn::new(), &paths::vschema(&KEYSPACE.parse()?), &vschema)?;
        ensure!(matches!(topology.txn(txn).await?, TxnOutcome::Committed { .. }), "the VSchema was refused");
        let mut engine = Process::start(&stage, "engine", &["engine", "run"])?;
        until("the engine registers", POLL, async || {
            engine.check()?;
            let seen = topology.list::<EnginePresence>(&paths::engines()).await?;
            Ok((!seen.records.is_empty()).then_some(()))
        })
        .await?;
        Ok((stage, engine))
    }

    /// The server of a shard.
    pub fn shard(&self, name: &str) -> Result<&Mysqld> {
        let found = self.cluster().members().iter().find(|member| member.shard.as_str() == name);
        Ok(&found.with_context(|| format!("shard {name} has no server"))?.server)
    }

    /// Splits shard `0`, and waits until the rows are on all four with their keys, and the workflow runs.
    pub async fn split(&self) -> Result<Stations> {
        let shards = |names: &[&str]| names.iter().map(|name| name.parse()).collect::<Result<Vec<ShardName>, _>>();
        let (keyspace, name) = self.workflow()?;
        let request = Request {
            kind: Some(WorkflowKind::Reshard),
            workflow: Some(name.clone()),
            target_keyspace: Some(keyspace.clone()),
            source_shards: shards(&["0"])?,
            target_shards: shards(&SHARDS)?,
            ..Request::default()
        };
        let mut targets = Vec::new();
        for name in SHARDS {
            targets.push(self.shard(name)?.admin_conn().await?);
        }
        let asked = Instant::now();
        let topology = self.cluster().topology();
        create(topology, &Credentials::new(Some(self.cluster().credentials_file())), &request).await?;
        self.reached(&mut targets, "0").await?;
        let began = Instant::now();
        self.reached(&mut targets, "SUM(state = 'copying')").await?;
        let copied = Instant::now();
        self.reached(&mut targets, "SUM(state <> 'done')").await?;
        let done = Instant::now();
        let path = paths::status(&keyspace, &name);
        until("the workflow runs", POLL, async || {
            let seen = topology.get::<Status>(&path).await?;
            Ok(seen.filter(|seen| seen.record.state == StreamState::Running))
        })
        .await?;
        Ok(Stations { asked, began, copied, done, running: Instant::now() })
    }

    /// Waits until the table is noted in every target's sidecar and `left` is 0 on all of them.
    async fn reached(&self, targets: &mut [Conn], left: &str) -> Result<()> {
        let sql = format!("SELECT COUNT(*) > 0 AND {left} = 0 FROM _shardlift.copy_table");
        let (keyspace, name) = self.workflow()?;
        for target in targets {
            until(&sql, POLL, async || {
                match target.query_first::<Option<bool>, _>(&sql).await {
                    Ok(answer) if answer.flatten() == Some(true) => return Ok(Some(())),
                    // The engine makes it when it begins.
                    Err(Error::Server(error)) if ![ER_BAD_DB_ERROR, ER_NO_SUCH_TABLE].contains(&error.code) => {
                        return Err(error.into());
                    }
                    _ => {}
                }
                let found = self.cluster().topology().get::<Workflow>(&paths::workflow(&keyspace, &name)).await?;
                match found.and_then(|found| found.record.stopped) {
                    Some(stopped) => bail!("the workflow stopped, {}: {}", stopped.state, stopped.message),
                    None => Ok(None),
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Undoes it, tables included.
    pub async fn cancel(&self) -> Result<()> {
        let (keyspace, name) = self.workflow()?;
        let topology = self.cluster().topology();
        wish(topology, &keyspace, &name, Wish::Cancel).await?;
        until("the workflow is gone", POLL, async || {
            let found = topology.get::<Workflow>(&paths::workflow(&keyspace, &name)).await?;
            Ok(found.is_none().then_some(()))
        })
        .await
    }

    /// Switches all traffic to the four shards.
    pub async fn switch(&self) -> Result<()> {
        let (keyspace, name) = self.workflow()?;
        let topology = self.cluster().topology();
        let wanted = Wanted {
            direction: Direction::Forward,
            types: std::collections::BTreeSet::new(),
            timeout: TIMEOUT,
            max_lag: TIMEOUT,
            way_back: false,
            allow_cross_keyspace: true,
        };
        let request = ask(topology, &keyspace, &name, &wanted).await?;
        until("the traffic is switched", POLL, async || {
            let workflow = topology.need::<Workflow>(&paths::workflow(&keyspace, &name)).await?.record;
            let switch = workflow.switch.filter(|switch| switch.request.uid == request.uid);
            match switch.map(|switch| switch.phase) {
                Some(Phase::Done) => Ok(Some(())),
                Some(Phase::Undone { why }) => bail!("the switch was undone: {why}"),
                _ => Ok(None),
            }
        })
        .await?;
        say("four shards serve");
        Ok(())
    }

    fn workflow(&self) -> Result<(KeyspaceName, WorkflowName)> {
        Ok((KEYSPACE.parse()?, NAME.parse()?))
    }
}
