//! Keeps the View level with the topology.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::View;
use super::build::Builder;
use crate::topology::{Topology, TopologyError, paths};

/// How often the topology is asked for a sign of life.
const ASK: Duration = Duration::from_secs(1);
/// How long to wait before a watch that failed is begun anew; doubled each time up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// Publishes each View in `views`, and in `heard` when the topology last answered, until cancelled. Never fails: while the
/// topology is away the last View stands, and a watch that ends is begun anew.
pub async fn follow(
    topology: Topology,
    views: Sender<Arc<View>>,
    heard: Sender<Option<Instant>>,
    cancel: CancellationToken,
) {
    tokio::select! {
        () = cancel.cancelled() => {}
        ((), ()) = async { tokio::join!(watch(&topology, &views, &heard), ask(&topology, &heard)) } => {}
    }
}

async fn watch(topology: &Topology, views: &Sender<Arc<View>>, heard: &Sender<Option<Instant>>) {
    let mut builder = Builder::default();
    let mut pause = FIRST;
    loop {
        let begun = Instant::now();
        let Err(error) = watch_once(topology, &mut builder, views, heard).await;
        tracing::warn!(%error, revision = views.borrow().revision, "the topology's watch ended; the last view stands");
        // One that held for a while failed for a reason of its own.
        pause = if begun.elapsed() > LONGEST { FIRST } else { (pause * 2).min(LONGEST) };
        sleep(pause).await;
    }
}

async fn watch_once(
    topology: &Topology,
    builder: &mut Builder,
    views: &Sender<Arc<View>>,
    heard: &Sender<Option<Instant>>,
) -> Result<std::convert::Infallible, TopologyError> {
    // The whole cluster, since several watches would not show one transaction as one change.
    let mut cluster = topology.view_all();
    let mut first = true;
    loop {
        let changed = cluster.changed().await?;
        heard.send_replace(Some(Instant::now()));
        if std::mem::take(&mut first) || changed.iter().any(paths::decides_routes) {
            views.send_replace(Arc::new(builder.build(cluster.revision(), cluster.entries())));
        }
    }
}

/// A watch is silent both when nothing changes and when nothing is heard; this tells one from the other.
async fn ask(topology: &Topology, heard: &Sender<Option<Instant>>) {
    let key = topology.paths().key(&paths::operator_rules());
    let mut ticks = interval(ASK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if topology.store().get(&key).await.is_ok() {
            heard.send_replace(Some(Instant::now()));
        }
    }
}
