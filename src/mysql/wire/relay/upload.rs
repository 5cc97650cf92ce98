//! The data of LOAD DATA LOCAL on its way from the client to the server.
//!
//! Invariant: the server gets the packet that ends the data only from the client. If the client is lost before, the
//! server's connection is to be dropped, and the server fails the statement instead of taking what it has for the whole.

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::mysql::wire::{
    channel::ChannelError,
    connection::{Fault, Wire},
    frame::HEADER,
};

use super::{
    ClientSide, Stop,
    passage::{Cut, Judge, Passage},
};

/// Everything passes until the empty packet.
struct UntilEmpty;

impl Judge for UntilEmpty {
    fn holds(&self, _first: Option<u8>, len: usize) -> bool {
        len == 0
    }

    fn passed(&mut self) {}
}

impl Wire {
    /// Passes the client's file to the server, whose request for it the client has not seen before this flushes it.
    pub(super) async fn upload<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        client: &mut ClientSide<'_, S>,
    ) -> Result<(), Stop> {
        client.writer.flush(client.stream).await.map_err(Stop::Client)?;
        client.reader.expect(client.writer.seq);
        self.writer.seq = self.reader.seq();
        let mut passage = Passage::default();
        let mut lost = None;
        loop {
            let mut seq = client.reader.seq();
            let buffer = client.reader.unframed();
            let cut = passage.cut(buffer, &mut seq, &mut self.writer.seq, &mut UntilEmpty);
            match cut.map_err(|error| Stop::Client(error.into()))? {
                Cut::More if lost.is_none() => lost = self.hand_on(client).await?.err(),
                Cut::More => client.reader.gather(client.stream).await.map_err(Stop::Client)?,
                Cut::Pass(len) => {
                    // A client that is sending hears nothing: once the server is lost the rest is read and thrown away.
                    if lost.is_none() {
                        let framed = buffer.get(..len).unwrap_or_default();
                        lost = self.writer.pass(&mut self.stream, framed).await.err();
                    }
                    buffer.advance(len);
                    client.reader.expect(seq);
                }
                Cut::Packet(_) => {
                    buffer.advance(HEADER);
                    client.reader.expect(seq);
                    break;
                }
            }
        }
        client.writer.seq = client.reader.seq();
        if lost.is_none() {
            lost = self.end_upload().await.err();
        }
        match lost {
            Some(error) => Err(Stop::Server(Fault::Channel(error))),
            None => {
                self.reader.expect(self.writer.seq);
                Ok(())
            }
        }
    }

    /// Waits for more from the client; what is queued for the server goes out first. The inner error is the server's.
    async fn hand_on<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        client: &mut ClientSide<'_, S>,
    ) -> Result<Result<(), ChannelError>, Stop> {
        if client.reader.arrived(client.stream).map_err(Stop::Client)? {
            return Ok(Ok(()));
        }
        if self.writer.has_queued()
            && let Err(error) = self.writer.flush(&mut self.stream).await
        {
            return Ok(Err(error));
        }
        client.reader.gather(client.stream).await.map_err(Stop::Client)?;
        Ok(Ok(()))
    }

    async fn end_upload(&mut self) -> Result<(), ChannelError> {
        self.writer.write(&mut self.stream, &[], &[]).await?;
        self.writer.flush(&mut self.stream).await
    }
}
