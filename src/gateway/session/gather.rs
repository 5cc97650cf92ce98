//! Several shards' answers, read at the same time and made one.

use std::future::Future;
use std::pin::{Pin, pin};

use bytes::Bytes;
use futures_util::future::join_all;
use mysql_common::constants::{CapabilityFlags, StatusFlags};
use tokio::io::DuplexStream;
use tokio::time::timeout;

use crate::gateway::backend::{Backend, Checkout, Running};
use crate::gateway::client::{ClientError, SqlError, packets};
use crate::gateway::plan::bind::Answer;
use crate::gateway::scatter::row::Form;
use crate::gateway::scatter::source::{PIPE, Source};
use crate::model::fence::FENCE_ERRNO;
use crate::mysql::wire::channel::{PacketReader, PacketWriter};
use crate::mysql::wire::relay::{ClientSide, Outcome, Reached, RelayError, RelayOptions, Relayed, ReplyKind, Tracking};

use super::merge::{Failed, Rows, refusal};
use super::send::OWN;
use super::{Flow, Session};

/// The relay's own deadlines count.
const FOREVER: std::time::Duration = std::time::Duration::MAX;

/// A shard's connection with what it has answered.
pub(super) struct Answered {
    pub checkout: Checkout,
    pub relayed: Relayed,
    pub carried: bool,
}

/// What came of asking several shards.
#[derive(Default)]
pub(super) struct Gathered {
    /// Each shard's end.
    pub answered: Vec<Answered>,
    /// Those that were not asked, because something failed before.
    pub unasked: Vec<Checkout>,
    /// Rows, or the error after some, were answered; nothing was said to the client otherwise.
    pub flow: Option<Flow>,
    /// Why the gateway itself could not make one answer of theirs.
    pub refused: Option<SqlError>,
}

impl Gathered {
    /// The error of a shard, a fence's before others: what it has refused is not the client's to see.
    pub fn failed(&self) -> Option<SqlError> {
        let mut failed = None;
        for one in &self.answered {
            if let Outcome::Failed { code, state, message, .. } = &one.relayed.outcome {
                let state = <[u8; 5]>::try_from(state.as_bytes()).unwrap_or(*b"HY000");
                let error = SqlError::new(*code, &state, message.clone());
                if *code == FENCE_ERRNO {
                    return Some(error);
                }
                failed = failed.or(Some(error));
            }
        }
        failed
    }

    /// All connections.
    pub fn checkouts(self) -> Vec<Checkout> {
        self.answered.into_iter().map(|one| one.checkout).chain(self.unasked).collect()
    }
}

/// Why it cannot be told what the shards have done.
pub(super) enum Lost {
    /// The client is gone.
    Client(ClientError),
    /// A connection was lost; the client has heard nothing.
    Server(SqlError),
    /// A connection was lost, or the client's answer cannot be ended otherwise.
    Midway(SqlError),
}

type Relays = Vec<Result<(Relayed, bool), RelayError>>;

/// The relays of all shards' answers.
struct Drivers<'a> {
    running: Pin<Box<dyn Future<Output = Relays> + Send + 'a>>,
    done: Option<Relays>,
}

impl<'a> Drivers<'a> {
    /// Does something that reads what they pass on.
    async fn along<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        if self.done.is_none() {
            tokio::select! {
                biased;
                done = &mut self.running => self.done = Some(done),
                out = &mut work => return out,
            }
        }
        work.await
    }

    async fn end(self) -> Relays {
        match self.done {
            Some(done) => done,
            None => self.running.await,
        }
    }
}

async fn drive(
    backend: &mut Backend,
    capabilities: CapabilityFlags,
    mut pipe: DuplexStream,
) -> Result<(Relayed, bool), RelayError> {
    let (mut reader, mut writer) = (PacketReader::new(0, FOREVER), PacketWriter::new(FOREVER));
    let options = RelayOptions {
        kind: ReplyKind::Query { cursor: false },
        client_capabilities: capabilities,
        more_follow: false,
        withhold: &[FENCE_ERRNO],
        tracking: &Tracking::SILENT,
        in_transaction: StatusFlags::empty(),
    };
    let mut side = ClientSide { reader: &mut reader, writer: &mut writer, stream: &mut pipe };
    let relayed = backend.relay(&mut side, &options).await;
    // If nobody reads on, nobody needs it.
    let _ = writer.flush(&mut pipe).await;
    relayed
}

impl Session {
    /// Reads the answers of shards that were asked, and answers the client with their rows, if they have any; not if something
    /// was `refused` already.
    pub(super) async fn gather(
        &mut self,
        mut checkouts: Vec<Checkout>,
        answer: &Answer,
        mut refused: Option<SqlError>,
        (form, more): (Form, bool),
    ) -> Result<Gathered, Lost> {
        let capabilities = self.client.identity().capabilities;
        let running = Running::together(checkouts.iter().map(Checkout::running).collect());
        self.seat.runs(running.clone()).await;
        let mut sources = Vec::with_capacity(checkouts.len());
        let mut relays = Vec::with_capacity(checkouts.len());
        for checkout in &mut checkouts {
            let (near, far) = tokio::io::duplex(PIPE);
            sources.push(Source::new(near, capabilities));
            relays.push(drive(&mut checkout.backend, capabilities, far));
        }
        let mut drivers = Drivers { running: Box::pin(join_all(relays)), done: None };
        let heads = {
            let heads = async {
                let mut heads = Vec::with_capacity(sources.len());
                for source in &mut sources {
                    heads.push(source.head().await);
                }
                heads
            };
            tokio::select! {
                biased;
                heads = drivers.along(heads) => Some(heads),
                () = self.client.closed() => None,
            }
        };
        let Some(heads) = heads else {
            self.seat.runs(None).await;
            if let Some(running) = &running
                && let Err(error) = self.gateway.pools.kill_query(running).await
            {
                tracing::warn!(%error, "the statement of a client that is gone goes on");
            }
            return Err(Lost::Client(ClientError::Gone));
        };
        let killed = self.seat.killed().clone();
        let merged = match (Rows::of(heads, answer, form), answer) {
            (Some(Ok(rows)), Answer::Rows { merge, limit, .. }) if refused.is_none() => {
                let merge = rows.merge(self, &mut sources, merge, *limit);
                Some(tokio::select! {
                    biased;
                    merged = drivers.along(merge) => merged,
                    // A client that does not take its answer is not waited for.
                    () = killed.cancelled() => Err(Failed::Client(ClientError::Gone)),
                })
            }
            (Some(Err(error)), _) => {
                refused = refused.or(Some(refusal(&error)));
                None
            }
            _ => None,
        };
        if let Some(Err(Failed::Client(error))) = merged {
            self.seat.runs(None).await;
            return Err(Lost::Client(error));
        }
        // What is left unread, so that the connections can be used again.
        let drained = drivers.along(timeout(OWN, join_all(sources.iter_mut().map(|source| source.drain())))).await;
        drop(sources);
        let ended: Vec<Option<_>> = match drained {
            Ok(_) => drivers.end().await.into_iter().map(Some).collect(),
            // Their connections are broken then, and their servers roll back.
            Err(_) => {
                drop(drivers);
                checkouts.iter().map(|_| None).collect()
            }
        };
        self.seat.runs(None).await;
        let (mut answered, mut lost) = (Vec::with_capacity(checkouts.len()), None);
        for (checkout, ended) in checkouts.into_iter().zip(ended) {
            match ended {
                Some(Ok((relayed, carried))) => answered.push(Answered { checkout, relayed, carried }),
                Some(Err(RelayError::Server { error, reached })) => {
                    let effect = if reached == Reached::Nothing {
                        "; whether the statement took effect is not known"
                    } else {
                        ""
                    };
                    let text = format!("tablet {}: {error}{effect}", checkout.key().tablet());
                    lost = lost.or(Some(SqlError::new(2013, b"HY000", text)));
                }
                Some(Err(RelayError::Client(_))) | None => {
                    let text = format!("tablet {} was not heard to the end", checkout.key().tablet());
                    lost = lost.or(Some(SqlError::new(2013, b"HY000", text)));
                }
            }
        }
        let mut gathered = Gathered { answered, unasked: Vec::new(), flow: None, refused };
        let failed = gathered.failed();
        if let Some(lost) = lost {
            let begun = matches!(merged, Some(Ok(true) | Err(Failed::Merge(_, true))));
            return Err(if begun { Lost::Midway(lost) } else { Lost::Server(lost) });
        }
        match merged {
            Some(Ok(begun)) => {
                if let Some(error) = failed {
                    gathered.flow = Some(self.fail(error).await.map_err(Lost::Client)?);
                } else if begun {
                    let warnings =
                        gathered.answered.iter().fold(0u16, |sum, one| sum.saturating_add(one.relayed.warnings));
                    self.end_rows(warnings, more).await.map_err(Lost::Client)?;
                    gathered.flow = Some(Flow::On);
                }
            }
            Some(Err(Failed::Merge(error, begun))) => {
                let error = failed.unwrap_or_else(|| refusal(&error));
                if begun {
                    gathered.flow = Some(self.fail(error).await.map_err(Lost::Client)?);
                } else {
                    gathered.refused = Some(error);
                }
            }
            Some(Err(Failed::Client(_))) | None => {}
        }
        Ok(gathered)
    }

    async fn end_rows(&mut self, warnings: u16, more: bool) -> Result<(), ClientError> {
        let mut status = self.status();
        status.set(StatusFlags::SERVER_MORE_RESULTS_EXISTS, more);
        let mut packet = Vec::new();
        packets::end_of_rows(&mut packet, warnings, status, self.client.identity().capabilities);
        self.client.packet(&packet).await
    }

    pub(super) async fn begin_rows(&mut self, columns: &[Bytes]) -> Result<(), ClientError> {
        let capabilities = self.client.identity().capabilities;
        let mut packet = Vec::new();
        packets::column_count(&mut packet, columns.len(), capabilities);
        self.client.packet(&packet).await?;
        for column in columns {
            self.client.packet(column).await?;
        }
        packet.clear();
        if packets::end_of_columns(&mut packet, self.status(), capabilities) {
            self.client.packet(&packet).await?;
        }
        Ok(())
    }
}
