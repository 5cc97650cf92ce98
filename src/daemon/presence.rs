//! A gateway's place in the topology: that it is there, which View is in force, and what an operator who switches traffic
//! should know of its clients' statements.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::gateway::mixes::Mixes;
use crate::gateway::view::View;
use crate::model::InstanceId;
use crate::topology::records::GatewayPresence;
use crate::topology::{Lease, Topology, TopologyError, Txn, paths};

/// Time to live of a gateway's lease.
const LEASE: Duration = Duration::from_secs(3);
/// Between two attempts at the topology.
const AGAIN: Duration = Duration::from_millis(500);
/// Between two reports of mixed statements with something new in them.
const NEWS: Duration = Duration::from_secs(2);
/// Between two that only count on.
const COUNTS: Duration = Duration::from_secs(10);

/// Who is present.
#[derive(Debug)]
pub(super) struct Present {
    pub topology: Topology,
    pub id: InstanceId,
    pub presence: GatewayPresence,
    pub views: watch::Receiver<Arc<View>>,
    pub mixes: Mixes,
}

impl Present {
    /// Stands in the topology until `end`, with one lease after another, and says there which View is in force: a switch
    /// waits for it.
    pub async fn stand(mut self, end: CancellationToken) {
        while !end.is_cancelled() {
            let reign = async {
                let lease = self.topology.lease(LEASE).await?;
                let (topology, id, mixes) = (self.topology.clone(), self.id.clone(), self.mixes.clone());
                let report = report(&topology, &id, &mixes, self.views.clone(), &lease);
                tokio::select! {
                    told = self.tell(&lease, &end) => told?,
                    () = report => {}
                }
                lease.release().await;
                Ok::<_, TopologyError>(())
            };
            if let Err(error) = reign.await {
                tracing::warn!(gateway = %self.id, %error, "its presence is not known to the topology");
                let _ = timeout(AGAIN, end.cancelled()).await;
            }
        }
    }

    async fn tell(&mut self, lease: &Lease, end: &CancellationToken) -> Result<(), TopologyError> {
        loop {
            self.presence.revision = self.views.borrow_and_update().revision;
            let path = paths::gateway(&self.id);
            let txn = self.topology.put_leased(Txn::new(), &path, &self.presence, lease)?;
            self.topology.txn(txn).await?;
            tokio::select! {
                Ok(()) = self.views.changed() => {}
                () = lease.lost().cancelled() => return Ok(()),
                () = end.cancelled() => return Ok(()),
            }
        }
    }
}

/// Reports mixed statements for as long as somebody waits for it. Beside what a switch waits for, and never before it.
async fn report(topology: &Topology, id: &InstanceId, mixes: &Mixes, views: watch::Receiver<Arc<View>>, lease: &Lease) {
    let (mut told, mut at) = ((0, 0), Instant::now());
    let mut any = false;
    loop {
        sleep(NEWS).await;
        let (age, rules) = (mixes.age(), views.borrow().rules.clone());
        let due = age.0 != told.0 || (age.1 != told.1 || any) && at.elapsed() >= COUNTS;
        if !due {
            continue;
        }
        let report = mixes.report(&rules);
        if report.seen.is_empty() && !any {
            told = age;
            continue;
        }
        let written = async {
            any = !report.seen.is_empty();
            topology.txn(topology.put_leased(Txn::new(), &paths::mixes(id), &report, lease)?).await
        };
        match written.await {
            Ok(_) => (told, at) = (age, Instant::now()),
            // Tried again.
            Err(error) => tracing::debug!(gateway = %id, %error, "what it has seen is not known to the topology"),
        }
    }
}
