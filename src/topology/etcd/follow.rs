//! One watch over etcd, across its restarts and compactions.
//!
//! etcd sends all events of a revision in one message and revisions in order (without `fragment`), so a message is cut
//! at revision borders and nowhere else. A watch from a compacted revision is answered by "created" and then
//! "canceled" with `compact_revision`, not by an error.

use std::time::Duration;

use etcd_client::{EventType, WatchOptions, WatchResponse, WatchStream};
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};

use super::super::store::{Change, DEADLINE, Revision, StoreError, WatchEvent};
use super::{Effect, EtcdStore, MAX_ANSWER, end_of, entry};

/// The longest rest before a watch is opened again.
const LONGEST_REST: Duration = Duration::from_secs(1);

type Out = Sender<Result<WatchEvent, StoreError>>;

/// Why one watch stream ended.
enum Ended {
    /// The receiver is gone.
    Unwatched,
    /// The connection broke, or the server is going away.
    Broken(String),
    /// What follows can only be learnt by listing.
    Compacted,
    /// Nothing will cure it.
    Fatal(StoreError),
}

pub(super) async fn follow(store: EtcdStore, prefix: String, mut after: Option<Revision>, out: Out) {
    let mut rest = Duration::from_millis(50);
    loop {
        let seen = after;
        let ended = tokio::select! {
            _ = out.closed() => return,
            ended = follow_once(&store, &prefix, &mut after, &out) => ended,
        };
        if after != seen {
            rest = Duration::from_millis(50);
        }
        match ended {
            Ended::Unwatched => return,
            Ended::Fatal(error) => return drop(out.send(Err(error)).await),
            Ended::Compacted => after = None,
            Ended::Broken(why) => {
                tracing::warn!(prefix, why, "topology watch broke off; resuming");
                tokio::select! { _ = out.closed() => return, _ = sleep(rest) => {} }
                rest = (rest * 2).min(LONGEST_REST);
            }
        }
    }
}

async fn follow_once(store: &EtcdStore, prefix: &str, after: &mut Option<Revision>, out: &Out) -> Ended {
    let start = match *after {
        Some(revision) => revision,
        None => match store.read_all(prefix).await {
            Ok(listing) => {
                let revision = listing.revision;
                if out.send(Ok(WatchEvent::Snapshot(listing))).await.is_err() {
                    return Ended::Unwatched;
                }
                *after = Some(revision);
                revision
            }
            Err(error @ StoreError::Unavailable { .. }) => return Ended::Broken(error.to_string()),
            Err(error) => return Ended::Fatal(error),
        },
    };
    let opened = store
        .call("watch", Effect::Repeatable, |client| async move {
            let options = WatchOptions::new().with_range(end_of(prefix)).with_start_revision(start + 1);
            let mut client = client.watch_client().max_decoding_message_size(MAX_ANSWER);
            client.watch(prefix, Some(options)).await
        })
        .await;
    let mut stream = match opened {
        Ok(stream) => stream,
        Err(error @ StoreError::Unavailable { .. }) => return Ended::Broken(error.to_string()),
        Err(error) => return Ended::Fatal(error),
    };
    match timeout(DEADLINE, next(&mut stream)).await {
        Err(_) => return Ended::Broken("the watch was not confirmed in time".into()),
        Ok(Err(ended)) => return ended,
        // The store has less history than we have seen: it was restored from a backup or made anew.
        Ok(Ok(created)) if created.header().is_some_and(|header| header.revision() < start) => return Ended::Compacted,
        Ok(Ok(created)) => {
            if let Err(ended) = deliver(&created, after, out).await {
                return ended;
            }
        }
    }
    loop {
        // Waits for as long as nothing changes; a dead connection is found by HTTP/2 pings, a member without a leader
        // cancels the watch.
        let delivered = match next(&mut stream).await {
            Ok(message) => deliver(&message, after, out).await,
            Err(ended) => return ended,
        };
        if let Err(ended) = delivered {
            return ended;
        }
    }
}

async fn next(stream: &mut WatchStream) -> Result<WatchResponse, Ended> {
    let message = match stream.message().await {
        Ok(Some(message)) => message,
        Ok(None) => return Err(Ended::Broken("etcd closed the stream".into())),
        Err(error) => {
            return Err(match super::classify(error, "watch", Effect::Repeatable) {
                error @ (StoreError::Unavailable { .. } | StoreError::Ambiguous { .. }) => {
                    Ended::Broken(error.to_string())
                }
                error => Ended::Fatal(error),
            });
        }
    };
    match message.compact_revision() {
        0 if message.canceled() => Err(canceled(message.cancel_reason())),
        0 => Ok(message),
        _ => Err(Ended::Compacted),
    }
}

fn canceled(reason: &str) -> Ended {
    if reason.contains("permission denied") {
        return Ended::Fatal(StoreError::Refused { what: "watch".into(), why: reason.into() });
    }
    Ended::Broken(format!("etcd cancelled the watch: {reason}"))
}

async fn deliver(message: &WatchResponse, after: &mut Option<Revision>, out: &Out) -> Result<(), Ended> {
    let mut rows = Vec::with_capacity(message.events().len());
    for event in message.events() {
        let Some(kv) = event.kv() else { continue };
        let entry = entry(kv).map_err(Ended::Fatal)?;
        let change = match event.event_type() {
            EventType::Put => Change::Put(entry),
            EventType::Delete => Change::Delete(entry.key),
        };
        rows.push((kv.mod_revision(), change));
    }
    rows.sort_by(|(a, x), (b, y)| (a, x.key()).cmp(&(b, y.key())));
    for event in WatchEvent::by_revision(rows) {
        let revision = match &event {
            WatchEvent::Changes { revision, .. } => *revision,
            WatchEvent::Snapshot(listing) => listing.revision,
        };
        out.send(Ok(event)).await.map_err(|_| Ended::Unwatched)?;
        *after = Some(revision);
    }
    Ok(())
}
