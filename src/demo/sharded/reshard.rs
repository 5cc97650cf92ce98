//! A Reshard as the demo starts it.

use std::time::Duration;

use tokio::time::sleep;

use super::super::DemoError;
use super::super::journey::TARGET;
use crate::local::cluster::Cluster;
use crate::model::switch::Direction;
use crate::model::workflow::{StreamState, WorkflowKind};
use crate::model::{KeyspaceName, ShardName, WorkflowName};
use crate::mysql::Credentials;
use crate::progress::Watching;
use crate::workflow::create::create;
use crate::workflow::request::Request;

/// Its switches.
pub(super) const TURNS: [Direction; 3] = [Direction::Forward, Direction::Backward, Direction::Forward];

const POLL: Duration = Duration::from_millis(100);

/// Starts it, and waits until its streams run.
pub(super) async fn start(cluster: &Cluster, name: &str, from: &[&str], to: &[&str]) -> Result<(), DemoError> {
    let (keyspace, workflow): (KeyspaceName, WorkflowName) = (TARGET.parse()?, name.parse()?);
    let shards = |names: &[&str]| names.iter().map(|name| name.parse()).collect::<Result<Vec<ShardName>, _>>();
    let request = Request {
        kind: Some(WorkflowKind::Reshard),
        workflow: Some(workflow.clone()),
        target_keyspace: Some(keyspace.clone()),
        source_shards: shards(from)?,
        target_shards: shards(to)?,
        ..Request::default()
    };
    let topology = cluster.topology();
    create(topology, &Credentials::new(Some(cluster.credentials_file())), &request).await?;
    let watching = Watching::new(topology, &keyspace, &workflow);
    loop {
        let sight = watching.look().await?;
        watching.refuse_error(&sight)?;
        if sight.state == StreamState::Running.as_str() {
            return Ok(());
        }
        sleep(POLL).await;
    }
}
