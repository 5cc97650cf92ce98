//! The two ends of a stream, and connections to them with the session settings the data path relies on (design §4.5).

use std::time::Duration;

use crate::model::DatabaseName;
use crate::mysql::Login;
use crate::mysql::admin::{OWNER_SLOTS, Session};
use crate::mysql::binlog::MAX_EVENT;
use crate::mysql::quote;
use crate::mysql::wire::{ConnectOptions, Wire};

use super::checkpoint::Checkpoint;
use super::error::EngineError;

const CONNECT: Duration = Duration::from_secs(5);
/// A chunk's first row, or an ALTER that adds a key, may be long in coming; what bounds a stall is the caller's.
const ANSWER: Duration = Duration::from_secs(600);
/// Questions about the server as a whole.
const QUESTION: Duration = Duration::from_secs(60);
const SEND: Duration = Duration::from_secs(60);

/// Connections that apply are numbered below this, those that copy from here on. A number is not used again at once:
/// the server may need a moment to notice that its last connection is gone.
pub const COPY_SLOT: u32 = OWNER_SLOTS / 2;

/// One end of a stream.
#[derive(Debug, Clone)]
pub struct Side {
    /// For messages: `source commerce/0 (zone1-0000000100)`.
    pub label: String,
    /// How to reach it.
    pub login: Login,
    /// The schema the moved tables are in.
    pub database: DatabaseName,
}

impl Side {
    /// A connection for reading rows in the columns' own bytes.
    pub async fn reader(&self) -> Result<Wire, EngineError> {
        self.open(quote::READER_SESSION).await
    }

    /// A connection for writing rows exactly, marked as `checkpoint`'s owner's by its number among theirs.
    pub async fn writer(&self, checkpoint: &Checkpoint, slot: u32) -> Result<Wire, EngineError> {
        let mut wire = self.open(quote::WRITER_SESSION).await?;
        let marked =
            wire.query_one(checkpoint.mark_sql(slot).as_bytes()).await.map_err(EngineError::at(&self.label))?;
        match marked.as_ref().and_then(|row| row.first()).and_then(Option::as_deref) {
            Some(b"1") => Ok(wire),
            _ => Err(EngineError::Slot { slot }),
        }
    }

    /// A connection for reading the binlog: an event may hold a row as large as MySQL allows.
    pub async fn binlog(&self) -> Result<Wire, EngineError> {
        let options = ConnectOptions { max_packet: MAX_EVENT, ..options("SET NAMES binary") };
        Wire::connect(&self.login, &options).await.map_err(EngineError::at(&self.label))
    }

    /// A connection for statements about the server.
    pub async fn session(&self) -> Result<Session, EngineError> {
        Session::open(&self.login, QUESTION).await.map_err(EngineError::at(&self.label))
    }

    async fn open(&self, session: &str) -> Result<Wire, EngineError> {
        Wire::connect(&self.login, &options(session)).await.map_err(EngineError::at(&self.label))
    }
}

fn options(session: &str) -> ConnectOptions {
    ConnectOptions {
        connect_timeout: CONNECT,
        read_timeout: ANSWER,
        write_timeout: SEND,
        attributes: vec![("program_name".into(), "shardlift".into())],
        session: vec![session.into()],
        ..ConnectOptions::default()
    }
}
