//! The two ends of a stream, and connections to them with the session settings the data path relies on (design §4.5).

use std::time::Duration;

use crate::model::DatabaseName;
use crate::mysql::Login;
use crate::mysql::admin::Session;
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

/// The numbers of a stream's connections to the target, by what they do. A number is not used again at once: the server
/// may need a moment to notice that its last connection is gone.
pub mod slot {
    use crate::mysql::admin::OWNER_SLOTS;

    /// Connections that apply take turns below this.
    pub const APPLY_END: u32 = SETTLE;
    /// Settles conflicts for the last time.
    pub const SETTLE: u32 = 59;
    /// Creates tables.
    pub const PREPARE: u32 = 60;
    /// Adds keys while the stream follows, and while it rests.
    pub const KEYS: [u32; 2] = [61, 62];
    /// Executes DDL.
    pub const DDL: u32 = 63;
    /// Connections that copy, from here to the end.
    pub const COPY: std::ops::Range<u32> = 64..OWNER_SLOTS;
}

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

    /// A reader that is certain to be on the server with this uuid: behind a proxy or a name, connections may differ, and
    /// what was waited for on one may be invisible on another.
    pub async fn reader_on(&self, uuid: &str) -> Result<Wire, EngineError> {
        let mut wire = self.reader().await?;
        let asked = wire.query_one(b"SELECT @@server_uuid").await.map_err(EngineError::at(&self.label))?;
        let found = asked.and_then(|row| row.into_iter().next().flatten()).unwrap_or_default();
        if found != uuid.as_bytes() {
            return Err(EngineError::OtherServer { side: self.label.clone() });
        }
        Ok(wire)
    }

    /// A connection for writing rows exactly, marked as `checkpoint`'s owner's by its number among theirs.
    pub async fn writer(&self, checkpoint: &Checkpoint, slot: u32) -> Result<Wire, EngineError> {
        let mut wire = self.open(&format!("{}, {}", quote::WRITER_SESSION, checkpoint.pass_sql())).await?;
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

    /// A connection for statements that change the target outside the rows' transactions, marked like [`Self::writer`]: a
    /// former owner must not change anything later.
    pub async fn owned_session(&self, checkpoint: &Checkpoint, slot: u32) -> Result<Session, EngineError> {
        let mut session = self.session().await?;
        let marked = session.value(&checkpoint.mark_sql(slot)).await.map_err(EngineError::at(&self.label))?;
        if marked.as_deref() != Some("1") {
            return Err(EngineError::Slot { slot });
        }
        let pass = format!("SET {}", checkpoint.pass_sql());
        session.execute(&pass).await.map_err(EngineError::at(&self.label))?;
        // Whoever takes over from here on finds the mark; whoever has taken over already is found here.
        match session.execute(&checkpoint.guard_sql()).await.map_err(EngineError::at(&self.label))? {
            1 => Ok(session),
            _ => Err(EngineError::NotOwner),
        }
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
