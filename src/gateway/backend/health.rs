//! The state of each tablet's server, asked once a second: is it reachable, how far is it behind, is it read-only.
//!
//! Invariants: each tablet of the View has one task of its own, so that a server which hangs delays no other's probe; each
//! probe has a deadline; a tablet that left the View, or moved, loses its task and its entry. Nothing is taken for healthy
//! that was not seen to be: no answer yet, no replication, an unknown lag are reasons against.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    gateway::view::{Tablet, View},
    model::TabletAlias,
    mysql::{
        Credentials, MysqlError,
        admin::{Channel, Session, channels},
    },
};

/// From one probe to the next.
const EVERY: Duration = Duration::from_secs(1);
/// The longest pause after probes that failed; it doubles up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How long a probe may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the last probe of a tablet found.
#[derive(Debug, Clone)]
pub struct Health {
    /// Why it cannot be reached; `None`: it can.
    pub unreachable: Option<String>,
    /// Since when it can, or cannot.
    pub since: Instant,
    /// When it was asked last.
    pub asked: Instant,
    /// `@@global.read_only`, when it answered last.
    pub read_only: Option<bool>,
    /// The replication channel into it that is furthest behind; `None` if it has none, or did not answer.
    pub channel: Option<Channel>,
}

impl Health {
    /// How far it is behind its source; `None` while that is not known, as when it does not replicate.
    pub fn lag(&self) -> Option<Duration> {
        self.channel.as_ref()?.lag_seconds.map(Duration::from_secs)
    }
}

/// The state of all tablets.
#[derive(Debug, Clone, Default)]
pub struct Healths(BTreeMap<TabletAlias, Health>);

impl Healths {
    /// What is known of a tablet; `None` before its first probe has ended.
    pub fn get(&self, alias: &TabletAlias) -> Option<&Health> {
        self.0.get(alias)
    }

    /// Whether a tablet that replicates should get reads, if it may lag by `most`; else why not.
    pub fn fitness(&self, alias: &TabletAlias, most: Duration) -> Result<(), String> {
        let Some(health) = self.get(alias) else { return Err("it has not been asked for its state yet".to_owned()) };
        if let Some(reason) = &health.unreachable {
            return Err(format!("unreachable for {} s: {reason}", health.since.elapsed().as_secs()));
        }
        match (&health.channel, health.lag()) {
            (_, Some(lag)) if lag <= most => Ok(()),
            (_, Some(lag)) => Err(format!("lag {} s over the limit of {} s", lag.as_secs(), most.as_secs())),
            (None, None) => Err("it does not replicate".to_owned()),
            (Some(channel), None) if channel.last_error.is_empty() => Err("its replication does not run".to_owned()),
            (Some(channel), None) => Err(format!("its replication does not run: {}", channel.last_error)),
        }
    }
}

/// Probes the tablets of each View and publishes what is found, until cancelled.
pub async fn watch_tablets(
    mut views: watch::Receiver<Arc<View>>,
    credentials: Credentials,
    healths: watch::Sender<Healths>,
    cancel: CancellationToken,
) {
    let (mut probes, mut probed) = (JoinSet::new(), HashMap::<TabletAlias, (Arc<Tablet>, CancellationToken)>::new());
    let healths = Arc::new(healths);
    loop {
        let view = views.borrow_and_update().clone();
        let tablets: Vec<Arc<Tablet>> = view.tablets().map(|(_, tablet)| tablet.clone()).collect();
        probed.retain(|_, (tablet, probe)| {
            let stays = tablets.contains(tablet);
            if !stays {
                probe.cancel();
            }
            stays
        });
        healths.send_modify(|healths| healths.0.retain(|alias, _| tablets.iter().any(|tablet| tablet.alias == *alias)));
        for tablet in tablets {
            probed.entry(tablet.alias.clone()).or_insert_with(|| {
                let stop = cancel.child_token();
                let (healths, credentials) = (healths.clone(), credentials.clone());
                let probe = probe_for_ever(tablet.clone(), credentials, healths, stop.clone());
                let stopped = stop.clone();
                probes.spawn(async move { stopped.run_until_cancelled(probe).await });
                (tablet, stop)
            });
        }
        tokio::select! {
            () = cancel.cancelled() => break,
            changed = views.changed() => if changed.is_err() { cancel.cancelled().await },
            // Ends of probes are taken in as they come; there is always a View's change or the end to wait for beside.
            Some(_) = probes.join_next() => {}
        }
    }
    probes.shutdown().await;
}

async fn probe_for_ever(
    tablet: Arc<Tablet>,
    credentials: Credentials,
    healths: Arc<watch::Sender<Healths>>,
    stop: CancellationToken,
) {
    let mut session = None;
    let mut pause = EVERY;
    let mut last: Option<Health> = None;
    loop {
        let probed = match timeout(PATIENCE, probe(&tablet, &credentials, &mut session)).await {
            Ok(probed) => probed.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {PATIENCE:?}")),
        };
        let asked = Instant::now();
        pause = if probed.is_ok() { EVERY } else { (pause * 2).min(LONGEST_PAUSE) };
        let (unreachable, read_only, channel) = match probed {
            Ok((read_only, channel)) => (None, Some(read_only), channel),
            Err(reason) => {
                // An answer may still be on its way to it.
                session = None;
                (Some(reason), None, None)
            }
        };
        let before = last.filter(|last| last.unreachable.is_some() == unreachable.is_some());
        if before.is_none() {
            match &unreachable {
                None => tracing::info!(tablet = %tablet.alias, "the tablet answers"),
                Some(reason) => tracing::warn!(tablet = %tablet.alias, %reason, "the tablet does not answer"),
            }
        }
        let since = before.map_or(asked, |before| before.since);
        let health = Health { unreachable, since, asked, read_only, channel };
        last = Some(health.clone());
        healths.send_modify(|healths| {
            // Stopped means that this tablet has left the View, or is probed anew under another address.
            if !stop.is_cancelled() {
                healths.0.insert(tablet.alias.clone(), health);
            }
        });
        sleep(pause).await;
    }
}

/// Asks once: is it read-only, and the channel that is furthest behind.
async fn probe(
    tablet: &Tablet,
    credentials: &Credentials,
    session: &mut Option<Session>,
) -> Result<(bool, Option<Channel>), MysqlError> {
    let session = match session {
        Some(session) => session,
        None => {
            let login =
                credentials.resolve(tablet.record.credential.as_str())?.login(tablet.record.endpoint.clone(), None);
            session.insert(Session::open(&login, PATIENCE).await?)
        }
    };
    let read_only = session.value("SELECT @@global.read_only").await?;
    let furthest = channels(session).await?.into_iter().max_by_key(|channel| channel.lag_seconds.unwrap_or(u64::MAX));
    Ok((read_only.as_deref() != Some("0"), furthest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_unseen_is_fit() {
        let alias: TabletAlias = "zone1-0000000101".parse().unwrap();
        let most = Duration::from_secs(30);
        let now = Instant::now();
        let mut healths = Healths::default();
        assert!(healths.fitness(&alias, most).is_err());
        let mut judge = |unreachable: Option<&str>, channel: Option<Channel>| {
            let unreachable = unreachable.map(str::to_owned);
            let health = Health { unreachable, since: now, asked: now, read_only: Some(true), channel };
            healths.0.insert(alias.clone(), health);
            healths.fitness(&alias, most)
        };
        let lag = |lag_seconds| Some(Channel { lag_seconds, ..Channel::default() });
        assert_eq!(judge(None, lag(Some(30))), Ok(()));
        assert_eq!(judge(None, lag(Some(31))), Err("lag 31 s over the limit of 30 s".into()));
        assert_eq!(judge(None, lag(None)), Err("its replication does not run".into()));
        assert_eq!(judge(None, None), Err("it does not replicate".into()));
        assert_eq!(judge(Some("gone"), lag(Some(0))), Err("unreachable for 0 s: gone".into()));
    }
}
