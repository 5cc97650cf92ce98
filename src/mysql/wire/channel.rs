//! Packets over a stream, with a deadline on every wait; the same for clients and servers.
//!
//! Invariant: a [`PacketWriter`] buffers small packets and sends them together, large ones without a copy; nothing is
//! certain to be sent before [`PacketWriter::flush`]. Deadlines count per transfer, not per packet: a peer that makes
//! progress is not cut off.

use std::{io, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::frame::{self, Decoder, FrameError};

/// Small packets are sent once they add up to this many bytes; larger ones are not copied.
const COALESCE: usize = 64 * 1024;

/// Why a packet could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer closed the stream.
    #[error("the peer closed the connection")]
    Eof,
    /// Nothing could be transferred for this long.
    #[error("nothing transferred for {0:?}")]
    Timeout(Duration),
    /// The bytes are not a packet of this conversation.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Reads packets.
#[derive(Debug)]
pub struct PacketReader {
    decoder: Decoder,
    /// The longest wait for the next bytes.
    pub timeout: Duration,
}

impl PacketReader {
    /// A reader that refuses packets over `limit` bytes.
    pub fn new(limit: usize, timeout: Duration) -> Self {
        PacketReader { decoder: Decoder::new(limit), timeout }
    }

    /// The sequence id that the next frame must carry.
    pub fn expect(&mut self, seq: u8) {
        self.decoder.expect(seq);
    }

    /// The sequence id after the last frame read.
    pub fn seq(&self) -> u8 {
        self.decoder.seq()
    }

    /// True when the peer has sent more than was read.
    pub fn has_unread(&self) -> bool {
        self.decoder.has_unread()
    }

    /// Waits for the next packet, which is then at [`PacketReader::payload`].
    pub async fn advance(&mut self, from: &mut (impl AsyncRead + Unpin)) -> Result<(), ChannelError> {
        while !self.decoder.advance()? {
            self.fill(from).await?;
        }
        Ok(())
    }

    /// The packet read last.
    pub fn payload(&self) -> &[u8] {
        self.decoder.payload()
    }

    /// Gives back the packet read last before the next is asked for; it may be large.
    pub fn release(&mut self) {
        self.decoder.release();
    }

    /// Waits for a packet and returns it.
    pub async fn read(&mut self, from: &mut (impl AsyncRead + Unpin)) -> Result<&[u8], ChannelError> {
        self.advance(from).await?;
        Ok(self.decoder.payload())
    }

    /// What the peer said out of turn, waiting for it as long as one read takes at most; `None` when it said nothing.
    pub async fn out_of_turn(&mut self, from: &mut (impl AsyncRead + Unpin)) -> Option<&[u8]> {
        while self.decoder.out_of_turn().is_none() {
            self.fill(from).await.ok()?;
        }
        self.decoder.out_of_turn()
    }

    async fn fill(&mut self, from: &mut (impl AsyncRead + Unpin)) -> Result<(), ChannelError> {
        let read = from.read_buf(self.decoder.buffer());
        match timeout(self.timeout, read).await {
            Err(_) => Err(ChannelError::Timeout(self.timeout)),
            Ok(Ok(0)) => Err(ChannelError::Eof),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
        }
    }
}

/// Writes packets.
#[derive(Debug)]
pub struct PacketWriter {
    out: BytesMut,
    /// The sequence id of the next frame.
    pub seq: u8,
    /// The longest wait for bytes to leave.
    pub timeout: Duration,
}

impl PacketWriter {
    /// A writer with an empty buffer.
    pub fn new(timeout: Duration) -> Self {
        PacketWriter { out: BytesMut::new(), seq: 0, timeout }
    }

    /// Queues the packet `prefix` + `body`.
    pub async fn write(
        &mut self,
        to: &mut (impl AsyncWrite + Unpin),
        prefix: &[u8],
        body: &[u8],
    ) -> Result<(), ChannelError> {
        if body.len() < COALESCE {
            frame::encode(&mut self.out, &mut self.seq, prefix, body);
            return if self.out.len() >= COALESCE { self.send(to).await } else { Ok(()) };
        }
        for frame in frame::frames(prefix, body, self.seq) {
            self.out.extend_from_slice(&frame.header);
            self.out.extend_from_slice(frame.prefix);
            self.seq = self.seq.wrapping_add(1);
            if frame.body.len() < COALESCE {
                self.out.extend_from_slice(frame.body);
            } else {
                self.send(to).await?;
                write_all(to, frame.body, self.timeout).await?;
            }
        }
        Ok(())
    }

    /// Sends whatever is queued.
    pub async fn flush(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), ChannelError> {
        self.send(to).await?;
        match timeout(self.timeout, to.flush()).await {
            Err(_) => Err(ChannelError::Timeout(self.timeout)),
            Ok(done) => Ok(done?),
        }
    }

    async fn send(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), ChannelError> {
        write_all(to, &self.out, self.timeout).await?;
        self.out.clear();
        Ok(())
    }
}

async fn write_all(
    to: &mut (impl AsyncWrite + Unpin),
    mut bytes: &[u8],
    deadline: Duration,
) -> Result<(), ChannelError> {
    while !bytes.is_empty() {
        match timeout(deadline, to.write(bytes)).await {
            Err(_) => return Err(ChannelError::Timeout(deadline)),
            Ok(Ok(0)) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            Ok(Ok(written)) => bytes = &bytes[written..],
            Ok(Err(error)) => return Err(error.into()),
        }
    }
    Ok(())
}
