//! A MoveTables workflow from `commerce` to `customer`, watched through the target's sidecar.

use std::fs;
use std::time::Duration;

use anyhow::{Result, bail};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use shardlift::model::{KeyspaceName, WorkflowName};
use shardlift::mysql::Credentials;
use shardlift::topology::paths;
use shardlift::topology::records::Workflow;
use shardlift::workflow::control::{Wish, wish};
use shardlift::workflow::create::create;
use shardlift::workflow::request::Request;
use tokio::time::Instant;

use super::stage::{Stage, executed, until};

const POLL: Duration = Duration::from_millis(20);
const ER_BAD_DB_ERROR: u16 = 1049;
const ER_NO_SUCH_TABLE: u16 = 1146;

/// The workflow.
#[derive(Debug)]
pub struct Flow<'a> {
    stage: &'a Stage,
    keyspace: KeyspaceName,
    name: WorkflowName,
    target: Conn,
}

/// When a copy passed its stations.
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
}

impl<'a> Flow<'a> {
    /// Starts it for `tables`, and waits until they are copied with their keys.
    pub async fn copy(stage: &'a Stage, tables: &[&str]) -> Result<(Self, Stations)> {
        let (keyspace, name): (KeyspaceName, WorkflowName) = ("customer".parse()?, "bench".parse()?);
        let request = Request {
            workflow: Some(name.clone()),
            source_keyspace: Some("commerce".parse()?),
            target_keyspace: Some(keyspace.clone()),
            tables: tables.iter().map(|table| table.parse()).collect::<Result<_, _>>()?,
            ..Request::default()
        };
        let target = stage.target()?.admin_conn().await?;
        let credentials = Credentials::new(Some(stage.cluster().credentials_file()));
        let mut flow = Self { stage, keyspace, name, target };
        let asked = Instant::now();
        create(stage.cluster().topology(), &credentials, &request).await?;
        flow.reached("0").await?;
        let began = Instant::now();
        flow.reached("SUM(state = 'copying')").await?;
        let copied = Instant::now();
        flow.reached("SUM(state <> 'done')").await?;
        Ok((flow, Stations { asked, began, copied, done: Instant::now() }))
    }

    /// Waits until tables are noted in the sidecar and `left` is 0.
    async fn reached(&mut self, left: &str) -> Result<()> {
        let sql = format!("SELECT COUNT(*) > 0 AND {left} = 0 FROM _shardlift.copy_table");
        self.wait(&sql).await
    }

    /// Waits until the target has what the source has now.
    pub async fn level(&mut self) -> Result<()> {
        let goal = executed(self.stage.source()?).await?;
        self.wait(&format!("SELECT GTID_SUBSET('{goal}', position) FROM _shardlift.stream")).await
    }

    async fn wait(&mut self, sql: &str) -> Result<()> {
        let mut looked = Instant::now();
        until(sql, POLL, async || {
            if looked.elapsed() > Duration::from_secs(1) {
                self.refuse_error().await?;
                looked = Instant::now();
            }
            match self.target.query_first::<Option<bool>, _>(sql).await {
                Ok(answer) => Ok((answer.flatten() == Some(true)).then_some(())),
                // The engine makes it when it begins.
                Err(Error::Server(error)) if [ER_BAD_DB_ERROR, ER_NO_SUCH_TABLE].contains(&error.code) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    async fn refuse_error(&self) -> Result<()> {
        let path = paths::workflow(&self.keyspace, &self.name);
        let found = self.stage.cluster().topology().get::<Workflow>(&path).await?;
        if let Some(stopped) = found.and_then(|found| found.record.stopped) {
            let log = fs::read_to_string(self.stage.folder().join("engine.log")).unwrap_or_default();
            bail!("the workflow stopped, {}: {}\n{log}", stopped.state, stopped.message);
        }
        Ok(())
    }

    /// Lets it rest.
    pub async fn pause(&self) -> Result<()> {
        self.wish(Wish::Pause).await?;
        // The stream is joined within this time when it has nothing to do.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(())
    }

    /// Lets it go on.
    pub async fn resume(&self) -> Result<()> {
        self.wish(Wish::Resume { skip_ddl: None, on_ddl: None }).await
    }

    /// Undoes it, tables included.
    pub async fn cancel(self) -> Result<()> {
        self.wish(Wish::Cancel).await?;
        let path = paths::workflow(&self.keyspace, &self.name);
        until("the workflow is gone", POLL, async || {
            let found = self.stage.cluster().topology().get::<Workflow>(&path).await?;
            Ok(found.is_none().then_some(()))
        })
        .await
    }

    async fn wish(&self, what: Wish) -> Result<()> {
        wish(self.stage.cluster().topology(), &self.keyspace, &self.name, what).await?;
        Ok(())
    }
}
