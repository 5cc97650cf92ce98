//! The transport half of a client: its stream, its packets, and how it is told that it must go.
//!
//! Invariant: what cannot be read is answered as mysqld would answer it, then the stream is closed in order; the caller
//! only learns that it is over.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rustls::ServerConfig;
use tokio::{io::AsyncReadExt, time::timeout};
use tokio_rustls::TlsAcceptor;

use super::{
    error::{ClientError, SqlError},
    oversize::Skip,
    packets,
    stream::ClientStream,
};
use crate::mysql::wire::{
    channel::{ChannelError, PacketReader, PacketWriter},
    frame::{FrameError, HEADER, READ_SIZE},
};

/// The longest wait for the rest of a packet, as mysqld's `net_read_timeout`.
const READ: Duration = Duration::from_secs(30);
/// The longest wait for a client to take some of an answer, as mysqld's `net_write_timeout`.
const WRITE: Duration = Duration::from_secs(60);
/// How long last words may take to leave.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long a packet that is too large is read on, to tell its sender so.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Link {
    pub stream: ClientStream,
    pub reader: PacketReader,
    pub writer: PacketWriter,
    /// As MySQL names it in `'user'@'host'`.
    pub host: String,
    pub port: Option<u16>,
}

impl Link {
    /// Packets over `limit` bytes will be refused.
    pub fn new(stream: ClientStream, limit: usize) -> Self {
        let (host, port) = stream.peer();
        Link { stream, reader: PacketReader::new(limit, READ), writer: PacketWriter::new(WRITE), host, port }
    }

    /// The client's next packet; an answer will carry the next sequence id. Nothing is lost when the wait is given up.
    pub async fn receive(&mut self) -> Result<Bytes, ClientError> {
        match self.reader.advance(&mut self.stream).await {
            Ok(()) => {
                self.writer.seq = self.reader.seq();
                Ok(self.reader.take())
            }
            Err(error) => Err(self.give_up(error).await),
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
