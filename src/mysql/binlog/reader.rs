//! The binlog of one server as transactions: connection, watchdog, unpacking.
//!
//! Pull-based: nothing is read ahead beyond one event, so a slow caller slows the server through TCP. Cancelling
//! [`BinlogReader::next`] loses nothing. Invariant: after an error the reader is spent, so that nothing can be skipped.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::model::GtidSet;
use crate::mysql::wire::{ConnectOptions, Dump, Wire};
use crate::mysql::{Login, MysqlError};

use super::Tables;
use super::assemble::Assembler;
use super::error::{BinlogError, Place};
use super::event::{Event, EventError, HEADER, kind};
use super::gtid::dump_request;
use super::outline::Outliner;
use super::payload::{MAX_EVENT, Unpacker};

/// How often an idle server says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Heartbeat periods without a word after which the source is given up.
const PATIENCE: u32 = 3;
/// The least patience for the first event: the server sends no heartbeats while it looks through the heads of all its binlog
/// files for the one to begin with.
const FIRST_WORD: Duration = Duration::from_secs(60);
/// The server says so when it cannot serve our position (ER_SOURCE_FATAL_ERROR_READING_BINLOG).
const FATAL_READING: u16 = 1236;

/// What to read and how.
#[derive(Clone)]
pub struct BinlogOptions {
    /// Everything in it is left out.
    pub from: GtidSet,
    /// Our identity among the server's replicas: unique, never 0. [`BinlogOptions::new`] draws one.
    pub server_id: u32,
    /// How often an idle server says that it lives; at least a millisecond.
    pub heartbeat: Duration,
    /// Transactions whose changes take more bytes than this come in pieces.
    pub piece_bytes: usize,
    /// Which tables are moved.
    pub tables: Arc<dyn Tables>,
}

impl BinlogOptions {
    /// From `from` on, with a server id of its own, a heartbeat each second and pieces of 8 MiB.
    pub fn new(from: GtidSet, tables: Arc<dyn Tables>) -> Self {
        BinlogOptions { from, server_id: drawn_server_id(), heartbeat: HEARTBEAT, piece_bytes: 8 << 20, tables }
    }
}

fn drawn_server_id() -> u32 {
    // Ids that people choose are small.
    rand::random::<u32>() | 1 << 31
}

impl std::fmt::Debug for BinlogOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let BinlogOptions { from, server_id, heartbeat, piece_bytes, .. } = self;
        write!(f, "BinlogOptions(after {from}, as {server_id}, heartbeat {heartbeat:?}, pieces of {piece_bytes})")
    }
}

/// Makes something of events, payloads already unpacked.
pub trait Assemble {
    /// What it makes.
    type Item;

    /// Takes the next event of the stream.
    fn feed(&mut self, event: &Event<'_>) -> Result<(), BinlogError>;

    /// The next thing that is finished, if there is one.
    fn take(&mut self) -> Option<Self::Item>;

    /// The last transaction begun.
    fn place(&self) -> &Place;
}

/// Reads a server's binlog, as whole transactions unless another assembler makes something else of it.
#[derive(Debug)]
pub struct BinlogReader<A = Assembler> {
    dump: Dump,
    assembler: A,
    /// The compressed transaction under way: its place in the packet, and its unpacker.
    unpacking: Option<(Range<usize>, Unpacker)>,
    silence: Duration,
    /// How long the wait under way may last.
    patience: Duration,
    spent: bool,
}

impl BinlogReader {
    /// Connects and asks the server for its binlog.
    pub async fn connect(login: &Login, options: BinlogOptions) -> Result<Self, BinlogError> {
        let limits = ConnectOptions { max_packet: MAX_EVENT, ..ConnectOptions::default() };
        Self::open(Wire::connect(login, &limits).await?, options).await
    }

    /// Asks the server behind `wire` for its binlog. `wire` should accept packets of [`MAX_EVENT`] bytes.
    pub async fn open(wire: Wire, options: BinlogOptions) -> Result<Self, BinlogError> {
        let BinlogOptions { from, server_id, heartbeat, piece_bytes, tables } = options;
        Self::ask(wire, &from, server_id, heartbeat, Assembler::new(tables, piece_bytes)).await
    }
}

impl BinlogReader<Outliner> {
    /// Asks the server behind `wire` for what follows `from` in its binlog, to be looked over only.
    pub async fn outlines(wire: Wire, from: &GtidSet) -> Result<Self, BinlogError> {
        Self::ask(wire, from, drawn_server_id(), HEARTBEAT, Outliner::default()).await
    }
}

impl<A: Assemble> BinlogReader<A> {
    async fn ask(
        mut wire: Wire,
        from: &GtidSet,
        server_id: u32,
        heartbeat: Duration,
        assembler: A,
    ) -> Result<Self, BinlogError> {
        let period = heartbeat.max(Duration::from_millis(1));
        let nanos = period.as_nanos();
        let uuid = Uuid::new_v4();
        // Servers before 8.0.26 know the older names only. A uuid of our own keeps the server from taking us for a dead
        // replica's successor and cutting one of the two off.
        let settings = format!(
            "SET @source_binlog_checksum = 'CRC32', @master_binlog_checksum = 'CRC32', @source_heartbeat_period = {nanos}, \
             @master_heartbeat_period = {nanos}, @replica_uuid = '{uuid}', @slave_uuid = '{uuid}'"
        );
        wire.execute(settings.as_bytes()).await?;
        let place = Place::default();
        let request = dump_request(from, server_id).map_err(|error| BinlogError::malformed(&place, error))?;
        let silence = period * PATIENCE;
        let first = silence.max(FIRST_WORD);
        wire.set_read_timeout(first);
        let dump = wire.dump(&request).await?;
        Ok(BinlogReader { dump, assembler, unpacking: None, silence, patience: first, spent: false })
    }

    /// Waits for the next thing that happened.
    pub async fn next(&mut self) -> Result<A::Item, BinlogError> {
        if self.spent {
            return Err(BinlogError::Spent);
        }
        loop {
            if let Some(event) = self.assembler.take() {
                return Ok(event);
            }
            // A long transaction of foreign tables is all in memory: let others run.
            tokio::task::consume_budget().await;
            let step = match self.unpacking.is_some() {
                true => self.unpack(),
                false => self.receive().await,
            };
            if let Err(error) = step {
                self.spent = true;
                return Err(error);
            }
        }
    }

    /// Ends the connection.
    pub async fn close(self) {
        self.dump.close().await;
    }

    async fn receive(&mut self) -> Result<(), BinlogError> {
        match self.dump.advance().await {
            Ok(true) => {
                if self.patience != self.silence {
                    self.patience = self.silence;
                    self.dump.set_read_timeout(self.silence);
                }
            }
            Ok(false) => return Err(BinlogError::Ended { place: self.place() }),
            Err(MysqlError::Timeout { .. }) => {
                return Err(BinlogError::Silent { place: self.place(), after: self.patience });
            }
            Err(MysqlError::Server { code: FATAL_READING, message, .. }) => {
                return Err(BinlogError::MissingGtids { message });
            }
            Err(error) => return Err(error.into()),
        }
        let bytes = self.dump.event();
        let event = Event::checked(bytes).map_err(|error| match error {
            EventError::Malformed(error) => BinlogError::malformed(self.assembler.place(), error),
            EventError::Checksum => BinlogError::Checksum { place: self.place() },
            EventError::NoChecksums => BinlogError::NoChecksums { place: self.place() },
        })?;
        if event.kind == kind::TRANSACTION_PAYLOAD {
            let unpacker = Unpacker::new(event.body);
            let unpacker = unpacker.map_err(|error| BinlogError::malformed(self.assembler.place(), error))?;
            self.unpacking = Some((HEADER..HEADER + event.body.len(), unpacker));
            return Ok(());
        }
        let fed = self.assembler.feed(&event);
        // Before the rows are handed out: an event may be a gigabyte, and its rows as much again.
        self.dump.release();
        fed
    }

    fn unpack(&mut self) -> Result<(), BinlogError> {
        let Some((range, unpacker)) = &mut self.unpacking else { return Ok(()) };
        let body = self.dump.event().get(range.clone()).unwrap_or_default();
        match unpacker.next(body) {
            Ok(Some(event)) => self.assembler.feed(&event),
            Ok(None) => {
                self.unpacking = None;
                self.dump.release();
                Ok(())
            }
            Err(error) => Err(BinlogError::malformed(self.assembler.place(), error)),
        }
    }

    fn place(&self) -> Place {
        self.assembler.place().clone()
    }
}
