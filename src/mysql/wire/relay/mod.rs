//! Passing a server's reply on to a client of ours, frame by frame.
//!
//! Invariants:
//! - Memory is bounded whatever the reply: packets pass in steps of about 64 KiB, and while the client does not take them the
//!   server is not read. Only column counts, OK, EOF, ERR and the head of a prepared statement are held whole.
//! - Nothing is re-encoded but sequence ids, statuses, and what OK packets tell of the session's state.
//! - Whoever reads an error knows whether the client may still be answered: [`RelayError`] says what has reached it.
//! - A relay that is given up (its future dropped, or an error) leaves the connection broken for good, as any command.
//!
//! [`passage`] cuts frames and [`course`] knows what they are; both are pure.

pub mod course;
pub mod passage;

mod report;
mod upload;

use bytes::{Buf, BytesMut};
use mysql_common::constants::{CapabilityFlags, StatusFlags};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::mysql::error::MysqlError;

use super::{
    channel::{ChannelError, PacketReader, PacketWriter},
    connection::{Fault, Wire},
    frame::HEADER,
    login::RELAYED,
};

use course::{Course, Verdict};
use passage::{Cut, Passage};

/// A buffer that a long packet has made bigger than this is given back.
const KEEP: usize = 1 << 20;
const DOING: &str = "a statement";

/// Which command the reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// COM_QUERY, COM_STMT_EXECUTE: results of any kind, one after another.
    Query {
        /// Whether the client asked for a cursor. Statuses alone do not tell: they also speak of a procedure's own.
        cursor: bool,
    },
    /// COM_STMT_PREPARE; the client gets to know the statement by this id instead of the server's.
    Prepare {
        /// The statement's id towards the client.
        client_id: u32,
    },
    /// COM_STMT_FETCH, COM_FIELD_LIST: rows or columns, then an end.
    Rows,
    /// Everything that is answered by a single OK, EOF or ERR.
    Simple,
}

/// What a client is told of its session's state. It hears nothing unless it has CLIENT_SESSION_TRACK.
#[derive(Clone, Copy)]
pub struct Tracking<'a> {
    /// Whether it wants to hear of a system variable (`session_track_system_variables`).
    pub variables: &'a (dyn Fn(&str) -> bool + Sync),
    /// What it calls a schema on the server; `None`: it is not told.
    pub schema: &'a (dyn Fn(&str) -> Option<String> + Sync),
    /// Whether it wants to hear that anything changed (`session_track_state_change`).
    pub state_change: bool,
    /// Changes of earlier statements that it has not been told, encoded; they stand in the first OK.
    pub before: &'a [u8],
    /// Whether the last OK says that something changed even if it does not say what: a transaction is followed by another.
    pub touched: bool,
}

impl Tracking<'_> {
    /// Nothing is told.
    pub const SILENT: Tracking<'static> =
        Tracking { variables: &|_| false, schema: &|_| None, state_change: false, before: &[], touched: false };
}

impl std::fmt::Debug for Tracking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracking").field("state_change", &self.state_change).finish_non_exhaustive()
    }
}

/// How to relay a reply.
#[derive(Debug, Clone, Copy)]
pub struct RelayOptions<'a> {
    /// Which command it answers.
    pub kind: ReplyKind,
    /// What is agreed with the client. Among [`RELAYED`] it must be what is agreed with the server.
    pub client_capabilities: CapabilityFlags,
    /// The reply of another statement follows for the client: its last result gets SERVER_MORE_RESULTS_EXISTS.
    pub more_follow: bool,
    /// Errors (their codes) that are not forwarded if they are the whole reply, but for a request for a file.
    pub withhold: &'a [u16],
    /// What the client is told of its session's state.
    pub tracking: &'a Tracking<'a>,
    /// What every status has besides the server's flags, for a transaction that the server does not know of yet.
    pub in_transaction: StatusFlags,
}

/// How a reply ended. Of several results it is the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With an OK.
    Done {
        /// Rows affected.
        affected_rows: u64,
        /// First generated AUTO_INCREMENT value, 0 for none.
        last_insert_id: u64,
        /// The server's remark.
        info: String,
    },
    /// With rows, or with the EOF of a command that has none.
    Rows {
        /// How many.
        rows: u64,
    },
    /// With a prepared statement.
    Prepared {
        /// Its id towards the server.
        id: u32,
        /// Columns of its result, 0 for none.
        columns: u16,
        /// Its parameters.
        params: u16,
    },
    /// With an error.
    Failed {
        /// MySQL's error number.
        code: u16,
        /// The SQLSTATE.
        state: String,
        /// The server's words.
        message: String,
        /// The client was not told: the code is among [`RelayOptions::withhold`].
        withheld: bool,
    },
}

/// What a reply said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed {
    /// How it ended.
    pub outcome: Outcome,
    /// The session's status at its end, without overrides. `None`: it ended with an error, which has none.
    pub status: Option<StatusFlags>,
    /// Warnings of its last result.
    pub warnings: u16,
    /// System variables that changed, in order, as (name, value); the name in lower case.
    pub changed: Vec<(String, String)>,
    /// The default schema, where it changed.
    pub schema: Option<String>,
    /// Something of the session's state changed; the server does not count locks, nor variables assigned in a SELECT.
    pub state_changed: bool,
    /// [`Tracking::before`] was told.
    pub told_before: bool,
    /// False: the reply's form cannot report changes (an error, or rows without DEPRECATE_EOF); if there were any, the
    /// next OK packet does.
    pub reported: bool,
    /// Bytes passed to the client, headers included.
    pub bytes: u64,
}

impl Default for Relayed {
    fn default() -> Self {
        Relayed {
            outcome: Outcome::Rows { rows: 0 },
            status: None,
            warnings: 0,
            changed: Vec::new(),
            schema: None,
            state_changed: false,
            told_before: false,
            reported: false,
            bytes: 0,
        }
    }
}

/// What of a reply has reached the client, or may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Nothing. It can be answered in any way.
    Nothing,
    /// Whole packets. It can be sent an error, with the writer's sequence id, as if the server had failed midway.
    Packets,
    /// A packet's beginning. Nothing can be said to it any more.
    Midway,
}

/// Why a reply could not be relayed.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The client went away, or sent something that it must not. The server's connection is to be dropped, so that what it
    /// was doing is rolled back.
    #[error("the client failed: {0}")]
    Client(#[source] ChannelError),
    /// The server did.
    #[error("{error}")]
    Server {
        /// What happened.
        #[source]
        error: MysqlError,
        /// What the client knows.
        reached: Reached,
    },
}

/// The client's side of a relay.
#[derive(Debug)]
pub struct ClientSide<'a, S> {
    /// Reads what it sends. Only LOAD DATA LOCAL makes it send anything.
    pub reader: &'a mut PacketReader,
    /// Writes to it; its `seq` is that of the next frame. It is not flushed at the end.
    pub writer: &'a mut PacketWriter,
    /// The stream under both.
    pub stream: &'a mut S,
}

/// Why a relay stopped.
enum Stop {
    Client(ChannelError),
    Server(Fault),
}

impl Wire {
    /// Waits until a reply begins to come, or none will. It has no deadline of its own but the connection's read timeout.
    /// Nothing is lost when the wait is given up.
    pub async fn begun(&mut self) {
        let limit = self.reader.timeout;
        // Errors, and a wait in vain, come up again when the reply is read.
        let _ = tokio::time::timeout(limit, self.reader.wait(&mut self.stream)).await;
    }

    /// Passes the reply to [`Wire::request`] on to a client, to its last packet.
    pub async fn relay<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        client: &mut ClientSide<'_, S>,
        options: &RelayOptions<'_>,
    ) -> Result<Relayed, RelayError> {
        if (self.capabilities ^ options.client_capabilities).intersects(RELAYED) {
            let what = MysqlError::Unexpected { what: "the client's capabilities are not those of the connection" };
            return Err(RelayError::Server { error: what, reached: Reached::Nothing });
        }
        let mark = client.writer.mark();
        let mut passage = Passage::default();
        let mut course = Course::new(options, self.capabilities);
        let mut bytes = 0;
        let stopped = loop {
            match self.step(client, &mut passage, &mut course).await {
                Ok(passed) => bytes += passed,
                Err(stop) => break stop,
            }
            if course.is_over() && passage.at_boundary() {
                let buffer = self.reader.unframed();
                if buffer.is_empty() && buffer.capacity() > KEEP {
                    *buffer = BytesMut::new();
                }
                self.settle();
                return Ok(Relayed { bytes, ..course.finish() });
            }
        };
        match stopped {
            Stop::Client(error) => Err(RelayError::Client(error)),
            Stop::Server(fault) => {
                if !passage.at_boundary() {
                    // What is left is no frame; the server's last words could not be told from it.
                    self.reader.unframed().clear();
                }
                let error = self.fault(DOING, fault).await;
                let reached = match (client.writer.rewind(&mark), passage.at_boundary()) {
                    (true, _) => Reached::Nothing,
                    (false, true) => Reached::Packets,
                    (false, false) => Reached::Midway,
                };
                Err(RelayError::Server { error, reached })
            }
        }
    }

    /// Passes what is at the front of the buffer, or fills it; how many bytes went to the client.
    async fn step<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        client: &mut ClientSide<'_, S>,
        passage: &mut Passage,
        course: &mut Course<'_>,
    ) -> Result<u64, Stop> {
        let mut seq = self.reader.seq();
        let buffer = self.reader.unframed();
        let cut = passage.cut(buffer, &mut seq, &mut client.writer.seq, course);
        let written = match cut.map_err(|error| Stop::Server(Fault::Channel(error.into())))? {
            Cut::More => {
                self.fill(client).await?;
                return Ok(0);
            }
            Cut::Pass(len) => {
                let framed = buffer.get(..len).unwrap_or_default();
                client.writer.pass(client.stream, framed).await.map_err(Stop::Client)?;
                buffer.advance(len);
                self.reader.expect(seq);
                return Ok(len as u64);
            }
            Cut::Packet(len) => {
                let packet = buffer.get(HEADER..HEADER + len).unwrap_or_default();
                let verdict = course.held(packet).map_err(|what| Stop::Server(Fault::Protocol(what)))?;
                let out = match verdict {
                    Verdict::Verbatim | Verdict::Upload => packet,
                    Verdict::Rewritten => course.rewritten(),
                    Verdict::Withhold => &[],
                };
                if !out.is_empty() {
                    client.writer.write(client.stream, &[], out).await.map_err(Stop::Client)?;
                }
                let written = if out.is_empty() { 0 } else { (HEADER + out.len()) as u64 };
                buffer.advance(HEADER + len);
                self.reader.expect(seq);
                (verdict == Verdict::Upload, written)
            }
        };
        if written.0 {
            self.upload(client).await?;
        }
        Ok(written.1)
    }

    /// Waits for more of the reply. Where that takes longer than a look, the client gets what there is.
    async fn fill<S: AsyncRead + AsyncWrite + Unpin>(&mut self, client: &mut ClientSide<'_, S>) -> Result<(), Stop> {
        let server = |error: ChannelError| Stop::Server(error.into());
        if self.reader.arrived(&mut self.stream).map_err(server)? {
            return Ok(());
        }
        if client.writer.has_queued() {
            client.writer.flush(client.stream).await.map_err(Stop::Client)?;
        }
        self.reader.gather(&mut self.stream).await.map_err(server)
    }
}
