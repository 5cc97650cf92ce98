//! Packets over a stream, with a deadline on every wait; the same for clients and servers.
//!
//! Invariant: a [`PacketWriter`] buffers small packets and sends them together, large ones without a copy; nothing is
//! certain to be sent before [`PacketWriter::flush`]. Deadlines count per transfer, not per packet: a peer that makes
//! progress is not cut off.

use std::{future::Future, io, pin::pin, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{error::Elapsed, timeout},
};

use super::frame::{self, Decoder, FrameError, READ_SIZE};

/// Small packets are sent once they add up to this many bytes; larger ones are not copied.
const COALESCE: usize = 64 * 1024;
/// Framed bytes of this many are sent at once where nothing is queued before them.
const DIRECT: usize = 16 * 1024;

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

    /// The packet read last, to keep; a large one is not copied.
    pub fn take(&mut self) -> Bytes {
        self.decoder.take()
    }

    /// Refuses packets over `limit` bytes from now on.
    pub fn set_limit(&mut self, limit: usize) {
        self.decoder.set_limit(limit);
    }

    /// Bytes that came and are no packet yet; after [`FrameError::TooLarge`], the refused frame's from its header on.
    pub fn unread(&self) -> &[u8] {
        self.decoder.unread()
    }

    /// Waits until the peer has sent something that was not read yet, without a deadline. Nothing is lost when the wait is
    /// given up.
    pub async fn wait(&mut self, from: &mut (impl AsyncRead + Unpin)) -> Result<(), ChannelError> {
        while !self.decoder.has_unread() {
            if from.read_buf(self.decoder.buffer()).await? == 0 {
                return Err(ChannelError::Eof);
            }
        }
        Ok(())
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

    /// The bytes received that no packet was made of yet; see [`Decoder::unframed`].
    pub(super) fn unframed(&mut self) -> &mut BytesMut {
        self.decoder.unframed()
    }

    /// Takes what has arrived, at most [`READ_SIZE`] or so, into [`PacketReader::unframed`] without waiting; false where
    /// nothing has.
    pub(super) fn arrived(&mut self, from: &mut (impl AsyncRead + Unpin)) -> Result<bool, ChannelError> {
        let buffer = self.decoder.unframed();
        buffer.reserve(READ_SIZE);
        match from.read_buf(buffer).now_or_never() {
            None => Ok(false),
            Some(Ok(0)) => Err(ChannelError::Eof),
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// Waits for bytes in [`PacketReader::unframed`].
    pub(super) async fn gather(&mut self, from: &mut (impl AsyncRead + Unpin)) -> Result<(), ChannelError> {
        let buffer = self.decoder.unframed();
        buffer.reserve(READ_SIZE);
        received(timeout(self.timeout, from.read_buf(buffer)).await, self.timeout)
    }

    async fn fill(&mut self, from: &mut (impl AsyncRead + Unpin)) -> Result<(), ChannelError> {
        let read = from.read_buf(self.decoder.buffer());
        received(timeout(self.timeout, read).await, self.timeout)
    }
}

fn received(read: Result<io::Result<usize>, Elapsed>, limit: Duration) -> Result<(), ChannelError> {
    match read {
        Err(_) => Err(ChannelError::Timeout(limit)),
        Ok(Ok(0)) => Err(ChannelError::Eof),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.into()),
    }
}

/// A place in a [`PacketWriter`]'s queue.
#[derive(Debug)]
pub(super) struct Mark {
    sends: u64,
    queued: usize,
    seq: u8,
}

/// Writes packets.
#[derive(Debug)]
pub struct PacketWriter {
    out: BytesMut,
    /// How often bytes were given to the stream.
    sends: u64,
    /// The sequence id of the next frame.
    pub seq: u8,
    /// The longest wait for bytes to leave.
    pub timeout: Duration,
}

impl PacketWriter {
    /// A writer with an empty buffer.
    pub fn new(timeout: Duration) -> Self {
        PacketWriter { out: BytesMut::new(), sends: 0, seq: 0, timeout }
    }

    /// Where the queue ends now, for [`PacketWriter::rewind`].
    pub(super) fn mark(&self) -> Mark {
        Mark { sends: self.sends, queued: self.out.len(), seq: self.seq }
    }

    /// Takes back everything written since the mark; false, and nothing done, where some of it may have left.
    pub(super) fn rewind(&mut self, mark: &Mark) -> bool {
        let held = self.sends == mark.sends;
        if held {
            self.out.truncate(mark.queued);
            self.seq = mark.seq;
        }
        held
    }

    /// True when something waits to be sent.
    pub(super) fn has_queued(&self) -> bool {
        !self.out.is_empty()
    }

    /// Queues bytes that are framed already, or sends them at once where that saves a copy.
    pub(super) async fn pass(&mut self, to: &mut (impl AsyncWrite + Unpin), framed: &[u8]) -> Result<(), ChannelError> {
        if self.out.is_empty() && framed.len() >= DIRECT {
            self.sends += 1;
            return write_all(to, framed, self.timeout).await;
        }
        self.out.extend_from_slice(framed);
        if self.out.len() >= COALESCE { self.send(to).await } else { Ok(()) }
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
                self.sends += 1;
                write_all(to, frame.body, self.timeout).await?;
            }
        }
        Ok(())
    }

    /// Sends whatever is queued.
    pub async fn flush(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), ChannelError> {
        self.send(to).await?;
        Ok(within(self.timeout, to.flush()).await??)
    }

    async fn send(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), ChannelError> {
        if !self.out.is_empty() {
            self.sends += 1;
            write_all(to, &self.out, self.timeout).await?;
            self.out.clear();
        }
        Ok(())
    }
}

async fn write_all(
    to: &mut (impl AsyncWrite + Unpin),
    mut bytes: &[u8],
    deadline: Duration,
) -> Result<(), ChannelError> {
    while !bytes.is_empty() {
        match within(deadline, to.write(bytes)).await?? {
            0 => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}

/// Waits for at most `limit`. A timer is made only for what does not end at once, which most writes do.
async fn within<F: Future>(limit: Duration, transfer: F) -> Result<F::Output, ChannelError> {
    let mut transfer = pin!(transfer);
    if let Some(done) = transfer.as_mut().now_or_never() {
        return Ok(done);
    }
    timeout(limit, transfer).await.map_err(|_| ChannelError::Timeout(limit))
}
