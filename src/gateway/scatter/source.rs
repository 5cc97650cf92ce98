//! One shard's answer, read packet by packet as the relay passes it on.
//!
//! The relay of [`crate::mysql::wire::relay`] writes into one end of a pipe as it would to a client; here is the other end. The
//! pipe is short, so that a shard is read only as fast as its rows are taken.

use bytes::Bytes;
use mysql_common::constants::CapabilityFlags;
use tokio::io::{AsyncReadExt, DuplexStream};

use super::column::{self, ColumnKind};
use crate::mysql::wire::channel::{ChannelError, PacketReader};
use crate::mysql::wire::frame::MAX_FRAME;
use crate::mysql::wire::reply::lenenc;

/// Bytes between a relay and the merge.
pub const PIPE: usize = 64 << 10;

/// A shard's answer.
#[derive(Debug)]
pub struct Source {
    reader: PacketReader,
    pipe: DuplexStream,
    capabilities: CapabilityFlags,
    over: bool,
}

/// How an answer begins.
#[derive(Debug)]
pub enum Head {
    /// With the definitions of columns, each a packet; rows follow.
    Columns(Vec<Bytes>, Vec<ColumnKind>),
    /// It has no rows: what it is the relay knows.
    Other,
}

impl Source {
    /// Reads what is written at the other end by a relay with these capabilities.
    pub fn new(pipe: DuplexStream, capabilities: CapabilityFlags) -> Self {
        // The relay watches the server; this end has nobody to wait for but the relay.
        let reader = PacketReader::new(usize::MAX, std::time::Duration::MAX);
        Self { reader, pipe, capabilities, over: false }
    }

    async fn packet(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        match self.reader.advance(&mut self.pipe).await {
            Ok(()) => Some(self.reader.take()),
            Err(ChannelError::Eof | ChannelError::Io(_) | ChannelError::Timeout(_) | ChannelError::Frame(_)) => {
                self.over = true;
                None
            }
        }
    }

    /// The beginning. `None`: it ended before it was whole.
    pub async fn head(&mut self) -> Option<Head> {
        let first = self.packet().await?;
        if matches!(first.first(), None | Some(0x00 | 0xFF | 0xFB)) {
            self.over = true;
            return Some(Head::Other);
        }
        // Whether definitions follow is said behind their number; without them rows cannot be told apart.
        let (count, told) = lenenc(&first)?;
        if told == [0] {
            self.over = true;
            return None;
        }
        let (mut packets, mut kinds) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let packet = self.packet().await?;
            kinds.push(column::parse(&packet)?);
            packets.push(packet);
        }
        if !self.capabilities.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF) {
            self.packet().await?;
        }
        Some(Head::Columns(packets, kinds))
    }

    /// The next row; `None` after the last, whatever came then.
    pub async fn row(&mut self) -> Option<Bytes> {
        let packet = self.packet().await?;
        let ends = match packet.first() {
            // A row may begin so too, with a value of 16 MiB and more: then it is longer than any end.
            Some(0xFE) => packet.len() < MAX_FRAME,
            Some(0xFF) | None => true,
            _ => false,
        };
        if ends {
            self.over = true;
            return None;
        }
        Some(packet)
    }

    /// Takes the rest, so that the relay comes to its end.
    pub async fn drain(&mut self) {
        let mut waste = vec![0u8; 16 << 10];
        while matches!(self.pipe.read(&mut waste).await, Ok(read) if read > 0) {}
        self.over = true;
    }
}
