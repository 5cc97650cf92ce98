//! The demo's switches of traffic, as an operator would ask for them.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;

use super::DemoError;
use super::journey::TARGET;
use crate::model::switch::{Direction, Phase};
use crate::model::workflow::OldTables;
use crate::topology::records::Workflow;
use crate::topology::{Topology, paths};
use crate::workflow::control::{Wish, wish};
use crate::workflow::switch::ask::{Wanted, ask};

const POLL: Duration = Duration::from_millis(20);
const TIMEOUT: Duration = Duration::from_secs(30);

/// Switches all traffic of a workflow in `direction`; how long writes were held, milliseconds.
pub(super) async fn switch(topology: &Topology, workflow: &str, direction: Direction) -> Result<u64, DemoError> {
    let (keyspace, name) = (TARGET.parse()?, workflow.parse()?);
    let wanted = Wanted {
        direction,
        types: BTreeSet::new(),
        timeout: TIMEOUT,
        max_lag: TIMEOUT,
        way_back: true,
        allow_cross_keyspace: false,
    };
    let request = ask(topology, &keyspace, &name, &wanted).await?;
    let path = paths::workflow(&keyspace, &name);
    loop {
        let workflow = topology.need::<Workflow>(&path).await?.record;
        if let Some(switch) = workflow.switch.filter(|switch| switch.request.uid == request.uid) {
            match switch.phase {
                Phase::Done => return Ok(switch.pause_ms.unwrap_or_default()),
                Phase::Undone { why } => return Err(DemoError::Undone(why)),
                _ => {}
            }
        }
        sleep(POLL).await;
    }
}

/// Ends a workflow: the tables are the target's, and this becomes of the old ones.
pub(super) async fn complete(topology: &Topology, workflow: &str, old_tables: OldTables) -> Result<(), DemoError> {
    let (keyspace, name) = (TARGET.parse()?, workflow.parse()?);
    let asked = Wish::Complete { old_tables, keep_routing_rules: false };
    wish(topology, &keyspace, &name, asked).await?;
    let path = paths::workflow(&keyspace, &name);
    while topology.get::<Workflow>(&path).await?.is_some() {
        sleep(POLL).await;
    }
    Ok(())
}
