//! A gateway as a process: its parts put together, and its place in the topology.
//!
//! Invariants: it serves no client before it knows the cluster; it goes on serving while the topology is away, with the last
//! View it has; its presence is leased, so that a switch knows which gateways to wait for.

use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::gateway::backend::health::{Healths, watch_tablets};
use crate::gateway::backend::{PoolOptions, Pools};
use crate::gateway::buffer::{Buffer, BufferLimits};
use crate::gateway::client::Offer;
use crate::gateway::columns::Columns;
use crate::gateway::mixes::Mixes;
use crate::gateway::plan::cache::Plans;
use crate::gateway::sequence::Sequences;
use crate::gateway::serve::{Doors, serve};
use crate::gateway::sessions::Sessions;
use crate::gateway::view::{View, follow};
use crate::gateway::{Gateway, Limits};
use crate::metrics::{GatewayMetrics, PoolCounts, Registered};
use crate::model::{InstanceId, TabletAlias};
use crate::mysql::{Credentials, MysqlError};
use crate::topology::Topology;
use crate::topology::records::GatewayPresence;

use super::http::{Health, HttpListen, HttpService};
use super::presence::Present;

/// How long the first View may take.
const FIRST_VIEW: Duration = Duration::from_secs(10);
/// How long to look for a server whose version to tell.
const FIND_VERSION: Duration = Duration::from_secs(3);
/// Between two looks at the state of things.
const LOOK: Duration = Duration::from_millis(500);
/// The View is stale when the topology has been silent for this long.
const SILENT: Duration = Duration::from_secs(5);
/// What is told where no server can be asked.
const SOME_VERSION: &str = "9.7.0";

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The topology did not answer.
    #[error("the topology did not tell within {0:?} what the cluster is; check --topo and that it can be reached")]
    NoView(Duration),
    /// The HTTP service's address is taken.
    #[error(transparent)]
    Http(#[from] super::http::HttpError),
    /// The metrics clash.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A socket cannot be asked for its address.
    #[error("the listening socket: {0}")]
    Socket(#[from] std::io::Error),
}

/// What a gateway is made of.
#[derive(Debug)]
pub struct Service {
    /// Its name.
    pub id: InstanceId,
    /// The topology.
    pub topology: Topology,
    /// Where logins to servers come from.
    pub credentials: Credentials,
    /// Where clients come from.
    pub doors: Doors,
    /// What they are offered; an empty version is filled in.
    pub offer: Offer,
    /// What they may take.
    pub limits: Limits,
    /// Connections to servers.
    pub pools: PoolOptions,
    /// How much may be held while traffic is switched.
    pub buffer: BufferLimits,
    /// Where the numbers are served.
    pub http: HttpListen,
}

impl Service {
    /// Serves until `drain` is cancelled and clients are through. `ready` is told the addresses of clients and HTTP.
    pub async fn run(mut self, drain: CancellationToken, ready: impl FnOnce(&str, &str)) -> Result<(), GatewayError> {
        let (metrics, registry) = (GatewayMetrics::default(), Registry::new());
        metrics.register(&registry)?;
        let http = HttpService::bind(self.http).await?;
        let listen = self.doors.tcp.local_addr()?.to_string();
        let address = http.as_ref().map(HttpService::advertised).unwrap_or_default();
        let end = CancellationToken::new();
        let _ends = end.clone().drop_guard();

        let (views_tx, mut views) = watch::channel(Arc::new(View::default()));
        let (heard_tx, heard) = watch::channel(None);
        let (healths_tx, healths) = watch::channel(Healths::default());
        tokio::spawn(follow(self.topology.clone(), views_tx, heard_tx, end.clone()));
        let known = timeout(FIRST_VIEW, views.wait_for(|view| view.is_known())).await.is_ok_and(|known| known.is_ok());
        if !known {
            return Err(GatewayError::NoView(FIRST_VIEW));
        }
        tokio::spawn(watch_tablets(views.clone(), self.credentials.clone(), healths_tx, end.clone()));
        let pools = Pools::new(self.pools.clone(), self.credentials.clone());
        tokio::spawn({
            let (pools, end) = (pools.clone(), end.clone());
            async move { pools.maintain(end).await }
        });
        tokio::spawn(keep_level(pools.clone(), views.clone(), heard.clone(), metrics.clone(), end.clone()));
        if self.offer.version.is_empty() {
            let view = views.borrow().clone();
            let found = timeout(FIND_VERSION, version(&view, &self.credentials)).await;
            let found = found.ok().flatten().unwrap_or_else(|| SOME_VERSION.into());
            self.offer.version = format!("{found}-shardlift");
        }
        let presence = GatewayPresence {
            listen: listen.clone(),
            address: address.clone(),
            started: crate::workflow::carry::now(),
            pid: std::process::id(),
            host: super::host_name(),
            revision: 0,
        };
        let mixes = Mixes::default();
        let (topology, id) = (self.topology.clone(), self.id);
        let present = Present { topology, id, presence, views: views.clone(), mixes: mixes.clone() };
        let present = tokio::spawn(present.stand(end.clone()));
        let serving = http.map(|http| {
            let (metrics, drain) = (metrics.clone(), drain.clone());
            tokio::spawn(http.serve(registry, move || health(&metrics, &drain), end.clone()))
        });
        let keys = self.offer.keys.clone();
        tokio::spawn(async move {
            // Made before somebody waits for it.
            if let Err(error) = keys.public().await {
                tracing::error!(%error, "there is no RSA key: passwords are taken over TLS only");
            }
        });
        ready(&listen, &address);

        let first: u32 = rand::random();
        let gateway = Gateway {
            views,
            healths,
            pools,
            buffer: Buffer::new(self.buffer, metrics.clone()),
            sessions: Sessions::starting_at(first),
            offer: self.offer,
            metrics,
            mixes,
            sequences: Sequences::default(),
            columns: Columns::default(),
            plans: Plans::default(),
            limits: self.limits,
        };
        serve(Arc::new(gateway), self.doors, drain).await;
        end.cancel();
        for task in std::iter::once(present).chain(serving) {
            // Both end by themselves; a panic in one is no reason to fail now.
            let _ = timeout(SILENT, task).await;
        }
        Ok(())
    }
}

/// Ready for clients, that is with a View that is current, and not about to end.
fn health(metrics: &GatewayMetrics, drain: &CancellationToken) -> Health {
    let stopping = drain.is_cancelled().then(|| "the gateway is stopping".to_string());
    metrics.view().problem("the topology", SILENT).into_iter().chain(stopping).collect()
}

/// Keeps pools and numbers to the View.
async fn keep_level(
    pools: Pools,
    mut views: watch::Receiver<Arc<View>>,
    heard: watch::Receiver<Option<Instant>>,
    metrics: GatewayMetrics,
    end: CancellationToken,
) {
    let mut shown: Vec<(TabletAlias, Registered)> = Vec::new();
    loop {
        let view = views.borrow_and_update().clone();
        pools.keep_to(&view);
        metrics.view_revision(view.revision);
        metrics.keep_keyspaces(|name| view.keyspaces.contains_key(name));
        shown.retain(|(alias, _)| view.tablets().any(|(_, tablet)| tablet.alias == *alias));
        for (shard, tablet) in view.tablets() {
            if shown.iter().all(|(alias, _)| *alias != tablet.alias) {
                let (pools, alias) = (pools.clone(), tablet.alias.clone());
                let look = move || counts(&pools, &alias);
                let shows = metrics.pool(shard.keyspace.as_str(), &tablet.alias.to_string(), look);
                shown.push((tablet.alias.clone(), shows));
            }
        }
        loop {
            if heard.borrow().is_some_and(|at| at.elapsed() < LOOK * 3) {
                metrics.view().made();
            }
            tokio::select! {
                () = end.cancelled() => return,
                changed = views.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = sleep(LOOK) => {}
            }
        }
    }
}

fn counts(pools: &Pools, alias: &TabletAlias) -> PoolCounts {
    let usage = pools.usage().into_iter().find(|usage| usage.tablet == *alias);
    usage.map_or_else(PoolCounts::default, |usage| {
        let census = usage.census;
        PoolCounts {
            used: census.open.saturating_sub(census.idle) as u64,
            idle: census.idle as u64,
            waiting: census.waiting as u64,
            created: census.tally.created,
            reset: census.tally.reset,
        }
    })
}

/// The version of a server that can be reached.
async fn version(view: &View, credentials: &Credentials) -> Option<String> {
    for (_, tablet) in view.tablets() {
        let asked = async {
            let credential = credentials.resolve(tablet.record.credential.as_str())?;
            let login = credential.login(tablet.record.endpoint.clone(), None);
            let wire = crate::mysql::wire::Wire::connect(&login, &Default::default()).await?;
            let version = wire.server_version().to_owned();
            wire.close().await;
            Ok::<_, MysqlError>(version)
        };
        match asked.await {
            Ok(version) => return Some(version),
            Err(error) => tracing::debug!(tablet = %tablet.alias, %error, "its version is not known"),
        }
    }
    None
}
