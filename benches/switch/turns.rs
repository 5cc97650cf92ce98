//! The workflow, and its switches one after another, as an operator asks for them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail};
use shardlift::model::switch::{Direction, Phase};
use shardlift::model::workflow::StreamState;
use shardlift::model::{KeyspaceName, WorkflowName};
use shardlift::mysql::Credentials;
use shardlift::topology::records::{Status, Workflow};
use shardlift::topology::{Topology, paths};
use shardlift::workflow::create::create;
use shardlift::workflow::request::Request;
use shardlift::workflow::switch::ask::{Wanted, ask};
use tokio::time::{Instant, sleep};

use super::ledger::TABLES;
use super::testbed::{Stage, say, until};

const POLL: Duration = Duration::from_millis(20);
const TIMEOUT: Duration = Duration::from_secs(30);

/// A switch that was done.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// When it was asked for.
    pub asked: Instant,
    /// When it was seen to be done.
    pub done: Instant,
    /// How long writes were held as the engine measured it, milliseconds.
    pub pause: u64,
}

/// The workflow's switches.
#[derive(Debug)]
pub struct Turns {
    topology: Topology,
    keyspace: KeyspaceName,
    name: WorkflowName,
    done: Vec<Turn>,
}

impl Turns {
    /// Starts the workflow and waits until it runs.
    pub async fn start(stage: &Stage) -> Result<Self> {
        let (keyspace, name): (KeyspaceName, WorkflowName) = ("customer".parse()?, "bench".parse()?);
        let request = Request {
            workflow: Some(name.clone()),
            source_keyspace: Some("commerce".parse()?),
            target_keyspace: Some(keyspace.clone()),
            tables: TABLES.iter().map(|table| table.parse()).collect::<Result<_, _>>()?,
            ..Request::default()
        };
        let topology = stage.cluster().topology().clone();
        let credentials = Credentials::new(Some(stage.cluster().credentials_file()));
        create(&topology, &credentials, &request).await?;
        let path = paths::status(&keyspace, &name);
        until("the workflow runs", POLL, async || {
            let seen = topology.get::<Status>(&path).await?;
            Ok(seen.filter(|seen| seen.record.state == StreamState::Running))
        })
        .await?;
        Ok(Self { topology, keyspace, name, done: Vec::new() })
    }

    /// Switches all traffic and waits until that is done, the way back running.
    pub async fn switch(&mut self, direction: Direction) -> Result<()> {
        let asked = Instant::now();
        let wanted = Wanted {
            direction,
            types: BTreeSet::new(),
            timeout: TIMEOUT,
            max_lag: TIMEOUT,
            way_back: true,
            allow_cross_keyspace: true,
        };
        let request = ask(&self.topology, &self.keyspace, &self.name, &wanted).await?;
        let path = paths::workflow(&self.keyspace, &self.name);
        let pause = loop {
            let workflow = self.topology.need::<Workflow>(&path).await?.record;
            match workflow
                .switch
                .filter(|switch| switch.request.uid == request.uid)
                .map(|switch| (switch.phase, switch.pause_ms))
            {
                Some((Phase::Done, pause)) => break pause.unwrap_or_default(),
                Some((Phase::Undone { why }, _)) => bail!("switch {} was undone: {why}", self.done.len() + 1),
                _ => sleep(POLL).await,
            }
        };
        let turn = Turn { asked, done: Instant::now(), pause };
        say(&format!(
            "switch {} {direction}: writes held for {pause} ms, {:.1} s in all",
            self.done.len() + 1,
            (turn.done - asked).as_secs_f64()
        ));
        self.done.push(turn);
        Ok(())
    }

    /// Those that were done.
    pub fn done(&self) -> &[Turn] {
        &self.done
    }
}
