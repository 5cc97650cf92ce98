//! The transport half of a client: its stream, its packets, and how it is told that it must go.
//!
//! Invariant: what cannot be read is answered as mysqld would answer it, then the stream is closed in order; the caller
//! only learns that it is over.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rustls::ServerConfig;
use tokio::{
    io::AsyncReadExt,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    error::{ClientError, SqlError},
    oversize::Skip,
    packets,
    stream::ClientStream,
};
use crate::mysql::wire::{
    channel::{ChannelError, PacketReader, PacketWriter},
    frame::{FrameError, HEADER, MAX_FRAME, READ_SIZE},
};

/// The longest wait for the rest of a packet, as mysqld's `net_read_timeout`.
const READ: Duration = Duration::from_secs(30);
/// The longest wait for a client to take some of an answer, as mysqld's `net_write_timeout`.
const WRITE: Duration = Duration::from_secs(60);
/// Packets up to this many bytes are taken as they come.
const SMALL: usize = 1 << 20;
/// What a budget counts in, bytes.
const UNIT: usize = 64 << 10;
/// How long a long packet waits for room.
const QUEUE: Duration = Duration::from_secs(60);
/// How long last words may take to leave.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long a packet that is too large is read on, to tell its sender so.
const PATIENCE: Duration = Duration::from_secs(30);

/// What long packets of all clients may take together.
#[derive(Debug, Clone)]
pub struct Budget {
    room: Arc<Semaphore>,
    units: u32,
}

impl Budget {
    /// Room for `bytes`.
    pub fn new(bytes: usize) -> Self {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        Self { room: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// The units of a packet; one that is more than everything takes everything.
    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units)
    }
}

#[derive(Debug)]
pub(super) struct Link {
    pub stream: ClientStream,
    pub reader: PacketReader,
    pub writer: PacketWriter,
    /// The longest packet that may come.
    limit: usize,
    /// What long packets of all clients may take together, and this one's share.
    budget: Option<Budget>,
    share: Option<OwnedSemaphorePermit>,
    /// As MySQL names it in `'user'@'host'`.
    pub host: String,
    pub port: Option<u16>,
}

impl Link {
    /// Packets over `limit` bytes will be refused.
    pub fn new(stream: ClientStream, limit: usize) -> Self {
        let (host, port) = stream.peer();
        let (reader, writer) = (PacketReader::new(limit, READ), PacketWriter::new(WRITE));
        Link { stream, reader, writer, limit, budget: None, share: None, host, port }
    }

    /// From now on packets up to `limit` bytes are taken, long ones as far as `budget` has room.
    pub fn open(&mut self, limit: usize, budget: Budget) {
        self.limit = limit;
        self.reader.set_limit(limit.min(SMALL));
        self.budget = Some(budget);
    }

    /// The client's next packet; an answer will carry the next sequence id. Nothing is lost when the wait is given up.
    pub async fn receive(&mut self) -> Result<Bytes, ClientError> {
        loop {
            match self.reader.advance(&mut self.stream).await {
                Ok(()) => {
                    self.writer.seq = self.reader.seq();
                    return Ok(self.reader.take());
                }
                Err(ChannelError::Frame(FrameError::TooLarge { size, .. }))
                    if size <= self.limit && self.share.is_none() =>
                {
                    // A first frame that is full has others behind it, and who waits must not hold a part already.
                    let whole = if size < MAX_FRAME { size } else { self.limit };
                    let Some(budget) = &self.budget else { return Err(ClientError::Gone) };
                    match timeout(QUEUE, budget.room.clone().acquire_many_owned(budget.units(whole))).await {
                        Ok(Ok(share)) => self.share = Some(share),
                        Ok(Err(_)) | Err(_) => return Err(self.refuse(SqlError::no_room(whole)).await),
                    }
                    self.reader.set_limit(whole);
                }
                Err(error) => return Err(self.give_up(error).await),
            }
        }
    }

    /// The packet received last is done with.
    pub fn release(&mut self) {
        if self.share.take().is_some() {
            self.reader.set_limit(self.limit.min(SMALL));
        }
    }

    /// The client's first packet and not a byte more: what follows may be TLS's.
    pub async fn receive_alone(&mut self, limit: usize) -> Result<Vec<u8>, ClientError> {
        let mut header = [0; HEADER];
        self.stream.read_exact(&mut header).await.map_err(ChannelError::from)?;
        let [a, b, c, seq] = header;
        let len = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
        if seq != self.writer.seq || len > limit {
            return Err(self.refuse(SqlError::bad_handshake("this is not a MySQL login")).await);
        }
        let mut packet = vec![0; len];
        self.stream.read_exact(&mut packet).await.map_err(ChannelError::from)?;
        self.writer.seq = seq.wrapping_add(1);
        self.reader.expect(self.writer.seq);
        Ok(packet)
    }

    /// Goes over to TLS. What was read before was read by [`Link::receive_alone`], so nothing in clear is taken along.
    pub async fn encrypt(mut self, config: Arc<ServerConfig>) -> Result<Self, ClientError> {
        match self.stream {
            ClientStream::Tcp(tcp) => {
                let tls = TlsAcceptor::from(config).accept(tcp).await.map_err(ClientError::Tls)?;
                self.stream = ClientStream::Tls(Box::new(tls));
                Ok(self)
            }
            _ => Err(self.refuse(SqlError::bad_handshake("TLS was not offered here")).await),
        }
    }

    /// Sends one packet of a conversation now; the client's answer must carry the next sequence id.
    pub async fn send(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.writer.write(&mut self.stream, &[], payload).await?;
        self.reader.expect(self.writer.seq);
        Ok(self.writer.flush(&mut self.stream).await?)
    }

    /// Tells the client why, and closes the connection.
    pub async fn refuse(&mut self, error: SqlError) -> ClientError {
        self.farewell(&error, true).await;
        ClientError::Refused(error)
    }

    /// The same; before the greeting (`greeted` false) errors have no SQLSTATE.
    pub async fn farewell(&mut self, error: &SqlError, greeted: bool) {
        let mut packet = Vec::new();
        packets::error(&mut packet, error, greeted);
        // A client that does not take its last words is left all the same.
        let _ = timeout(LAST_WORDS, self.send(&packet)).await;
        self.stream.close().await;
    }

    async fn give_up(&mut self, error: ChannelError) -> ClientError {
        let Some(words) = SqlError::last_words(&error) else { return error.into() };
        self.writer.seq = match &error {
            ChannelError::Frame(FrameError::TooLarge { .. }) => self.skip().await,
            ChannelError::Frame(FrameError::OutOfOrder { got, .. }) => got.wrapping_add(1),
            _ => self.reader.seq().wrapping_add(1),
        };
        self.refuse(words).await
    }

    /// Goes past the packet that was refused from a header. Returns the sequence id of an answer to it.
    async fn skip(&mut self) -> u8 {
        let usual = self.reader.seq().wrapping_add(1);
        let Link { stream, reader, .. } = self;
        let past = async {
            let mut skip = Skip::default();
            let mut next = skip.feed(reader.unread());
            let mut ignored = vec![0; READ_SIZE];
            while next.is_none() {
                let read = stream.read(&mut ignored).await.ok().filter(|&read| read > 0)?;
                next = skip.feed(ignored.get(..read)?);
            }
            next
        };
        timeout(PATIENCE, past).await.ok().flatten().unwrap_or(usual)
    }
}
