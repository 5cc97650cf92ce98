//! The workflow as the demo starts and watches it.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::DemoError;
use super::database::Database;
use super::sidecar::{Copied, Sidecar};
use crate::local::cluster::Cluster;
use crate::model::workflow::StreamState;
use crate::model::{KeyspaceName, WorkflowName};
use crate::mysql::Credentials;
use crate::progress::{Bars, Sight, Watching};
use crate::topology::Topology;
use crate::workflow::create::create;
use crate::workflow::preflight::Finding;
use crate::workflow::request::Request;

/// The workflow's name, that of Vitess's example.
pub const WORKFLOW: &str = "commerce2customer";
/// The keyspace tables are moved to.
pub const TARGET: &str = "customer";
/// The keyspace they come from.
pub(super) const SOURCE: &str = "commerce";
/// The tables that move, each with its key.
pub(super) const MOVED: [(&str, &str); 2] = [("customer", "customer_id"), ("corder", "order_id")];

/// Bars stand under the text of the steps.
const INDENT: &str = "                  ";
const POLL: Duration = Duration::from_millis(100);

/// Starts the MoveTables; what preflight had to remark.
pub(super) async fn start(cluster: &Cluster) -> Result<Vec<Finding>, DemoError> {
    let request = Request {
        workflow: Some(WORKFLOW.parse()?),
        source_keyspace: Some(SOURCE.parse()?),
        target_keyspace: Some(TARGET.parse()?),
        tables: MOVED.iter().map(|(table, _)| table.parse()).collect::<Result<_, _>>()?,
        // Small enough for bars that move.
        chunk_bytes: Some(1 << 20),
        ..Request::default()
    };
    let credentials = Credentials::new(Some(cluster.credentials_file()));
    Ok(create(cluster.topology(), &credentials, &request).await?.warnings)
}

/// The workflow, watched.
pub(super) struct Journey<'a> {
    watching: Watching<'a>,
    pub(super) bars: Bars,
    sidecar: Sidecar,
    /// Lags reported while following, milliseconds, each with the second of its report.
    lags: Vec<(u64, u64)>,
}

impl<'a> Journey<'a> {
    pub(super) async fn watch(topology: &'a Topology, target: &Database) -> Result<Self, DemoError> {
        let (keyspace, name): (KeyspaceName, WorkflowName) = (TARGET.parse()?, WORKFLOW.parse()?);
        let watching = Watching::new(topology, &keyspace, &name);
        Ok(Self { watching, bars: Bars::on_stdout(INDENT), sidecar: Sidecar::open(target).await?, lags: Vec::new() })
    }

    /// Draws until every row is copied.
    pub(super) async fn copied(&mut self) -> Result<Copied, DemoError> {
        loop {
            if let Some(copied) = self.sidecar.copied().await? {
                return Ok(copied);
            }
            self.look().await?;
            sleep(POLL).await;
        }
    }

    /// Draws until the keys are built and the stream is level with the source.
    pub(super) async fn level(&mut self) -> Result<(), DemoError> {
        while self.look().await?.state != StreamState::Running.as_str() {
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Draws for so long, taking note of the lag.
    pub(super) async fn follow(&mut self, how_long: Duration) -> Result<(), DemoError> {
        let until = Instant::now() + how_long;
        while Instant::now() < until {
            if let Some((status, lag)) = self.look().await?.status.and_then(|s| s.lag_ms.map(|lag| (s.at, lag)))
                && self.lags.last().is_none_or(|(at, _)| *at != status)
            {
                self.lags.push((status, lag));
            }
            sleep(POLL.min(until.saturating_duration_since(Instant::now()))).await;
        }
        Ok(())
    }

    /// The usual lag and the greatest, milliseconds, if any was reported while following.
    pub(super) fn lag(&self) -> Option<(u64, u64)> {
        let mut lags: Vec<u64> = self.lags.iter().map(|(_, lag)| *lag).collect();
        lags.sort_unstable();
        Some((*lags.get(lags.len() / 2)?, *lags.last()?))
    }

    async fn look(&mut self) -> Result<Sight, DemoError> {
        let sight = self.watching.look().await?;
        // Its engine needs a moment to find it; that is nothing to tell.
        if sight.status.is_some() {
            self.bars.show(&sight);
        }
        self.watching.refuse_error(&sight)?;
        Ok(sight)
    }
}
