//! The etcd backend.
//!
//! Invariants: a read or renewal is tried again within its deadline; a transaction only while it is certain that it was
//! never sent. After a call that got no answer the connection is thrown away, so that a dead one is not waited for again.

mod classify;
mod follow;
mod options;
mod request;

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, GetOptions, TxnOpResponse};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep, timeout};

use self::classify::classify;
pub use self::options::EtcdOptions;
pub(super) use self::options::without_secrets;
use self::request::{end_of, entry, request};
use super::store::{
    Answer, Compare, DEADLINE, LeaseId, Listing, Reading, Revision, Store, StoreError, Txn, TxnOutcome, WATCH_BUFFER,
    Watch,
};

/// How long one attempt may take where another may follow.
const ATTEMPT: Duration = Duration::from_secs(2);
/// The rest between attempts.
const REST: Duration = Duration::from_millis(100);
/// Keys a listing reads per request.
const PAGE: i64 = 512;
/// The largest answer accepted, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// A topology in etcd.
#[derive(Debug, Clone)]
pub struct EtcdStore {
    options: Arc<EtcdOptions>,
    connection: Arc<Mutex<Connection>>,
}

#[derive(Default)]
struct Connection {
    client: Option<Client>,
    generation: u64,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// What a call that got no answer may have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Nothing, or what a second try does as well.
    Repeatable,
    /// Something that must not be done twice unknowingly.
    Once,
}

impl EtcdStore {
    /// A store that connects when first used.
    pub fn new(options: EtcdOptions) -> Self {
        Self { options: Arc::new(options), connection: Arc::default() }
    }

    async fn client(&self, what: &str, until: Instant) -> Result<(Client, u64), StoreError> {
        let dial = async {
            let mut connection = self.connection.lock().await;
            let client = match &connection.client {
                Some(client) => client.clone(),
                None => {
                    let (endpoints, options) = (&self.options.endpoints, self.options.connect_options());
                    let client = Client::connect(endpoints, Some(options)).await?;
                    connection.client.insert(client).clone()
                }
            };
            Ok((client, connection.generation))
        };
        match tokio::time::timeout_at(until, dial).await {
            Ok(dialled) => dialled.map_err(|e| classify(e, what, Effect::Repeatable)),
            Err(_) => Err(StoreError::Unavailable { what: what.into(), why: Self::silence() }),
        }
    }

    fn silence() -> String {
        "no answer in time".into()
    }

    /// Drops the connection unless someone else has done so since.
    async fn hang_up(&self, generation: u64) {
        let mut connection = self.connection.lock().await;
        if connection.generation == generation {
            *connection = Connection { client: None, generation: generation + 1 };
        }
    }

    async fn call<T, F>(
        &self,
        what: &str,
        effect: Effect,
        mut request: impl FnMut(Client) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let until = Instant::now() + DEADLINE;
        loop {
            let error = match self.client(what, until).await {
                Err(error) => error,
                Ok((client, generation)) => {
                    let left = until.saturating_duration_since(Instant::now());
                    let patience = if effect == Effect::Once { left } else { left.min(ATTEMPT) };
                    let error = match timeout(patience, request(client)).await {
                        Ok(Ok(answer)) => return Ok(answer),
                        Ok(Err(error)) => classify(error, what, effect),
                        Err(_) if effect == Effect::Once => {
                            StoreError::Ambiguous { what: what.into(), why: Self::silence() }
                        }
                        Err(_) => StoreError::Unavailable { what: what.into(), why: Self::silence() },
                    };
                    if matches!(error, StoreError::Unavailable { .. } | StoreError::Ambiguous { .. }) {
                        self.hang_up(generation).await;
                    }
                    error
                }
            };
            match error {
                StoreError::Unavailable { .. } if Instant::now() + REST < until => sleep(REST).await,
                StoreError::Unavailable { what, why } => {
                    let why = format!("{} at {}", why, self.options.endpoints.join(","));
                    return Err(StoreError::Unavailable { what, why });
                }
                error => return Err(error),
            }
        }
    }

    async fn read_page(&self, prefix: &str, from: String, at: Option<Revision>) -> Result<(Listing, bool), StoreError> {
        let end = end_of(prefix);
        let answer = self
            .call(prefix, Effect::Repeatable, |client| {
                let (from, end) = (from.clone(), end.clone());
                async move {
                    let options = GetOptions::new().with_range(end).with_limit(PAGE).with_revision(at.unwrap_or(0));
                    client.kv_client().max_decoding_message_size(MAX_ANSWER).get(from, Some(options)).await
                }
            })
            .await?;
        let revision = at.unwrap_or(answer.header().map_or(0, |header| header.revision()));
        let entries = answer.kvs().iter().map(entry).collect::<Result<_, _>>()?;
        Ok((Listing { revision, entries }, answer.more()))
    }

    /// Reads in pages, all as of the first page's revision. `None`: compacted away in the middle.
    async fn read_pages(&self, prefix: &str) -> Result<Option<Listing>, StoreError> {
        let (mut listing, mut more) = self.read_page(prefix, prefix.into(), None).await?;
        while more {
            let Some(last) = listing.entries.last() else { break };
            let from = format!("{}\0", last.key);
            match self.read_page(prefix, from, Some(listing.revision)).await {
                Ok((page, rest)) => {
                    listing.entries.extend(page.entries);
                    more = rest;
                }
                Err(StoreError::Refused { why, .. }) if why.contains("compacted") => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(listing))
    }

    async fn read_all(&self, prefix: &str) -> Result<Listing, StoreError> {
        for _ in 0..3 {
            if let Some(listing) = self.read_pages(prefix).await? {
                return Ok(listing);
            }
        }
        Err(StoreError::Unavailable { what: prefix.into(), why: "it is compacted faster than it can be listed".into() })
    }

    async fn commit(&self, txn: Txn) -> Result<TxnOutcome, StoreError> {
        txn.check()?;
        let request = request(&txn);
        let leases: Vec<LeaseId> = txn.puts.iter().filter_map(|put| put.lease).collect();
        let answer = self
            .call("transaction", Effect::Once, |client| {
                let request = request.clone();
                async move { client.kv_client().max_decoding_message_size(MAX_ANSWER).txn(request).await }
            })
            .await
            .map_err(|error| match (error, leases.first()) {
                (StoreError::Refused { why, .. }, Some(lease)) if why.contains("lease not found") => {
                    StoreError::LeaseGone(*lease)
                }
                (error, _) => error,
            })?;
        let revision = answer.header().map_or(0, |header| header.revision());
        if answer.succeeded() {
            return Ok(TxnOutcome::Committed { revision });
        }
        let mut found = Vec::with_capacity(txn.compares.len());
        for (compare, response) in txn.compares.iter().zip(answer.op_responses()) {
            found.push(match (compare, response) {
                (Compare::NoneAfter(..), _) => None,
                (_, TxnOpResponse::Get(get)) => get.kvs().first().map(entry).transpose()?,
                (compare, _) => {
                    let why = "etcd answered a read with something else".into();
                    return Err(StoreError::Corrupt { what: compare.key().into(), why });
                }
            });
        }
        Ok(TxnOutcome::Refused { revision, found })
    }
}

impl Store for EtcdStore {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, Reading> {
        Box::pin(async move {
            let answer = self
                .call(key, Effect::Repeatable, |client| async move {
                    client.kv_client().max_decoding_message_size(MAX_ANSWER).get(key, None).await
                })
                .await?;
            let revision = answer.header().map_or(0, |header| header.revision());
            Ok(Reading { revision, entry: answer.kvs().first().map(entry).transpose()? })
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Listing> {
        Box::pin(self.read_all(prefix))
    }

    fn txn<'a>(&'a self, txn: Txn) -> Answer<'a, TxnOutcome> {
        Box::pin(self.commit(txn))
    }

    fn watch(&self, prefix: &str, after: Option<Revision>) -> Watch {
        let (out, events) = mpsc::channel(WATCH_BUFFER);
        tokio::spawn(follow::follow(self.clone(), prefix.into(), after, out));
        Watch::new(events)
    }

    fn grant(&self, ttl: Duration) -> Answer<'_, (LeaseId, Duration)> {
        let seconds = i64::try_from(ttl.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
        Box::pin(async move {
            let granted =
                self.call("lease grant", Effect::Repeatable, |mut client| async move {
                    client.lease_grant(seconds, None).await
                })
                .await?;
            Ok((LeaseId(granted.id()), Duration::from_secs(granted.ttl().unsigned_abs())))
        })
    }

    fn keep_alive(&self, lease: LeaseId) -> Answer<'_, ()> {
        Box::pin(async move {
            let living = self
                .call("lease renewal", Effect::Repeatable, |mut client| async move {
                    match client.lease_keep_alive(lease.0).await {
                        Ok(_) => Ok(true),
                        // What the client library makes of the answer "time to live: 0".
                        Err(etcd_client::Error::LeaseKeepAliveError(why)) if why == "lease not found" => Ok(false),
                        Err(error) => Err(error),
                    }
                })
                .await?;
            if living { Ok(()) } else { Err(StoreError::LeaseGone(lease)) }
        })
    }

    fn revoke(&self, lease: LeaseId) -> Answer<'_, ()> {
        Box::pin(async move {
            let revoked =
                self.call("lease revocation", Effect::Repeatable, |mut client| async move {
                    client.lease_revoke(lease.0).await
                })
                .await;
            match revoked {
                Err(StoreError::Refused { why, .. }) if why.contains("lease not found") => Ok(()),
                other => other.map(|_| ()),
            }
        })
    }

    fn compact(&self, revision: Revision) -> Answer<'_, ()> {
        Box::pin(async move {
            let compacted =
                self.call("compaction", Effect::Repeatable, |mut client| async move {
                    client.compact(revision, None).await
                })
                .await;
            match compacted {
                Err(StoreError::Refused { why, .. }) if why.contains("has been compacted") => Ok(()),
                other => other.map(|_| ()),
            }
        })
    }
}
