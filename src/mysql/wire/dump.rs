//! COM_BINLOG_DUMP_GTID: a connection that from then on carries binlog events only.

use std::time::Duration;

use crate::mysql::error::MysqlError;

use super::{connection::Wire, reply};

const BINLOG_DUMP_GTID: u8 = 0x1E;
const DOING: &str = "the binlog dump";

/// A server's binlog, event by event. The connection serves nothing else any more.
#[derive(Debug)]
pub struct Dump {
    wire: Wire,
}

impl Wire {
    /// Sends the request `body` (COM_BINLOG_DUMP_GTID without its command byte). Whether the server agrees shows at the first
    /// event.
    pub async fn dump(mut self, body: &[u8]) -> Result<Dump, MysqlError> {
        self.command(DOING, BINLOG_DUMP_GTID, body).await?;
        Ok(Dump { wire: self })
    }
}

impl Dump {
    /// Waits for the next event, then at [`Dump::event`]; false where the server has ended the stream. Waits as long as
    /// [`Wire::set_read_timeout`] says. Cancelling loses nothing.
    pub async fn advance(&mut self) -> Result<bool, MysqlError> {
        self.wire.receive(DOING).await?;
        let packet = self.wire.reader.payload();
        match packet {
            [0x00, ..] => Ok(true),
            [0xFE, ..] if packet.len() < 9 => Ok(false),
            [0xFF, ..] => Err(match reply::refusal(packet, self.wire.capabilities) {
                Ok(error) => error,
                Err(what) => self.wire.violation(what),
            }),
            _ => Err(self.wire.violation("a packet of the binlog dump is neither event, end nor error".to_owned())),
        }
    }

    /// The event read last, header and checksum included; it stays until the next call of `advance` or `release`.
    pub fn event(&self) -> &[u8] {
        self.wire.reader.payload().get(1..).unwrap_or_default()
    }

    /// The longest wait for the next bytes from now on.
    pub fn set_read_timeout(&mut self, limit: Duration) {
        self.wire.set_read_timeout(limit);
    }

    /// Gives the event's memory back.
    pub fn release(&mut self) {
        self.wire.reader.release();
    }

    /// Closes the connection. There is no goodbye: the server would not read it.
    pub async fn close(self) {
        drop(self.wire);
    }
}
