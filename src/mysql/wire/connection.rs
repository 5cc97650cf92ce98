//! A client connection and its statements.
//!
//! Invariant: **a reply is never taken for another statement's.** A connection is marked broken before a command's first
//! byte leaves and unmarked when its last byte was read, so an error midway, a cancelled future or an abandoned result
//! leaves it broken for good, and it refuses further use. Sequence ids are checked beneath.

use std::{io::ErrorKind, time::Duration};

use mysql_common::constants::CapabilityFlags;
use tokio::{
    io::{AsyncRead, AsyncWriteExt},
    time::timeout,
};

use crate::mysql::error::MysqlError;

use super::{
    channel::{ChannelError, PacketReader, PacketWriter},
    frame::{FrameError, MAX_FRAME},
    reply::{self, Answer, Done, RowPacket},
    stream::Stream,
};

const QUIT: u8 = 0x01;
const QUERY: u8 = 0x03;
const PING: u8 = 0x0E;
/// How long to look for a server's last words once the connection failed.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How the system reports a peer that is gone; UnexpectedEof is TLS's word for it.
const HANG_UPS: [ErrorKind; 4] =
    [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::ConnectionAborted];
/// More columns than any server has; what claims more is not a result set.
pub(super) const MAX_COLUMNS: u64 = 65_535;

/// A client connection that hands out rows as bytes.
#[derive(Debug)]
pub struct Wire {
    pub(super) stream: Stream,
    pub(super) reader: PacketReader,
    pub(super) writer: PacketWriter,
    pub(super) address: String,
    pub(super) capabilities: CapabilityFlags,
    pub(super) server_version: String,
    pub(super) connection_id: u32,
    broken: bool,
}

/// One result of a command.
pub(super) struct Outcome {
    pub(super) result: Result<Done, MysqlError>,
    pub(super) more: bool,
}

/// What ends a conversation.
pub(super) enum Fault {
    Channel(ChannelError),
    Protocol(String),
}

impl From<ChannelError> for Fault {
    fn from(error: ChannelError) -> Self {
        Fault::Channel(error)
    }
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Fault::Protocol(what)
    }
}

impl Wire {
    pub(super) fn new(stream: Stream, reader: PacketReader, writer: PacketWriter, address: String) -> Self {
        let (capabilities, server_version) = (CapabilityFlags::CLIENT_PROTOCOL_41, String::new());
        Wire { stream, reader, writer, address, capabilities, server_version, connection_id: 0, broken: true }
    }

    /// The server's version as it greets, e.g. `9.7.4`.
    pub fn server_version(&self) -> &str {
        &self.server_version
    }

    /// The id that `KILL` takes.
    pub fn connection_id(&self) -> u32 {
        self.connection_id
    }

    /// What is agreed with the server.
    pub fn capabilities(&self) -> CapabilityFlags {
        self.capabilities
    }

    /// The server's address, for messages.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// True when the connection is encrypted with TLS.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// False when an earlier command was cut short: no further command will be sent.
    pub fn is_usable(&self) -> bool {
        !self.broken
    }

    /// The longest wait for the next bytes of an answer, from the next command on. It must outlast the slowest statement's
    /// first row; a result that keeps coming may take longer. Returns the limit so far.
    pub fn set_read_timeout(&mut self, limit: Duration) -> Duration {
        std::mem::replace(&mut self.reader.timeout, limit)
    }

    /// Runs one statement that returns no rows. Rows are read, thrown away and an error, and so are several statements.
    pub async fn execute(&mut self, sql: &[u8]) -> Result<Done, MysqlError> {
        let mut results = self.execute_script(sql).await?;
        match (results.pop(), results.is_empty()) {
            (Some(result), true) => result,
            (Some(Err(error)), false) => Err(error),
            _ => Err(MysqlError::Unexpected { what: "several results from what had to be one statement" }),
        }
    }

    /// [`Wire::execute`] with a read timeout of its own.
    pub async fn execute_within(&mut self, sql: &[u8], limit: Duration) -> Result<Done, MysqlError> {
        let usual = self.set_read_timeout(limit);
        let result = self.execute(sql).await;
        self.set_read_timeout(usual);
        result
    }

    /// Runs statements joined by `;` in one packet. The server stops at the first that fails, so only the last result can be
    /// an error and what follows it was not run: a script may end in COMMIT.
    pub async fn execute_script(&mut self, sql: &[u8]) -> Result<Vec<Result<Done, MysqlError>>, MysqlError> {
        const DOING: &str = "a statement";
        self.statement(DOING, sql).await?;
        let mut results = Vec::with_capacity(1);
        loop {
            match outcome(&mut self.reader, &mut self.stream, self.capabilities).await {
                Ok(Outcome { result, more }) => {
                    results.push(result);
                    if !more {
                        self.settle();
                        return Ok(results);
                    }
                }
                Err(fault) => return Err(self.fault(DOING, fault).await),
            }
        }
    }

    /// Sends all statements without waiting between them, and reads all replies meanwhile; one result per statement.
    ///
    /// **Every statement runs, also after one that failed.** So never put a COMMIT among them: look at the results first,
    /// or use [`Wire::execute_script`]. A LOAD DATA LOCAL among them breaks the connection (what follows it would reach the
    /// server as the file; it rolls the load back, on InnoDB). An outer error leaves open how many ran.
    pub async fn execute_all(&mut self, sqls: &[&[u8]]) -> Result<Vec<Result<Done, MysqlError>>, MysqlError> {
        const DOING: &str = "pipelined statements";
        self.begin()?;
        let prefix = self.query_prefix();
        let Wire { stream, reader, writer, capabilities, .. } = self;
        let write_timeout = writer.timeout;
        // While the server is busy with one statement it reads no further ones.
        writer.timeout = write_timeout.max(reader.timeout);
        let (mut from, mut to) = tokio::io::split(stream);
        let send = async {
            for sql in sqls {
                writer.seq = 0;
                writer.write(&mut to, prefix, sql).await?;
            }
            writer.flush(&mut to).await.map_err(Fault::from)
        };
        let receive = async {
            let mut results = Vec::with_capacity(sqls.len());
            for sql in sqls {
                reader.expect(((prefix.len() + sql.len()) / MAX_FRAME + 1) as u8);
                let Outcome { result, mut more } = outcome(reader, &mut from, *capabilities).await?;
                let several = more;
                while more {
                    more = outcome(reader, &mut from, *capabilities).await?.more;
                }
                results.push(match result {
                    Ok(_) if several => Err(MysqlError::Unexpected { what: "several results from one statement" }),
                    result => result,
                });
            }
            Ok(results)
        };
        let finished = tokio::try_join!(send, receive);
        self.writer.timeout = write_timeout;
        match finished {
            Ok(((), results)) => {
                self.settle();
                Ok(results)
            }
            Err(fault) => Err(self.fault(DOING, fault).await),
        }
    }

    /// Asks the server for a sign of life; it comes with the session's status.
    pub async fn ping(&mut self) -> Result<Done, MysqlError> {
        const DOING: &str = "a ping";
        self.command(DOING, PING, &[]).await?;
        match outcome(&mut self.reader, &mut self.stream, self.capabilities).await {
            Ok(Outcome { result, .. }) => {
                self.settle();
                result
            }
            Err(fault) => Err(self.fault(DOING, fault).await),
        }
    }

    /// Sends a command whose reply is then read with [`Wire::relay`]. `body` is the command without its code.
    pub async fn request(&mut self, code: u8, body: &[u8]) -> Result<(), MysqlError> {
        self.command("a command", code, body).await
    }

    /// Queues a command that has no reply. It leaves with the next command, or before where it is long.
    pub async fn notify(&mut self, code: u8, body: &[u8]) -> Result<(), MysqlError> {
        self.begin()?;
        self.writer.seq = 0;
        match self.writer.write(&mut self.stream, &[code], body).await {
            Ok(()) => {
                self.settle();
                Ok(())
            }
            Err(error) => Err(self.fault("a command", error.into()).await),
        }
    }

    /// False when the server has closed the connection or said something unasked, as far as that has arrived; it is not
    /// waited for. The connection is then unusable.
    pub fn is_quiet(&mut self) -> bool {
        self.broken |= self.reader.has_unread() || !matches!(self.reader.arrived(&mut self.stream), Ok(false));
        !self.broken
    }

    /// Says goodbye and closes. A connection that is merely dropped is closed too, but the server logs it as aborted.
    pub async fn close(mut self) {
        if self.command("the goodbye", QUIT, &[]).await.is_ok() {
            // The server answers by closing; whether it does is no longer our concern.
            let _ = timeout(LAST_WORDS, self.stream.shutdown()).await;
        }
    }

    /// Marks the connection as being in a command; refuses where an earlier one never ended.
    pub(super) fn begin(&mut self) -> Result<(), MysqlError> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(MysqlError::Broken { address: self.address.clone() });
        }
        if self.reader.has_unread() {
            return Err(self.violation("it sent more than its last answer".to_owned()));
        }
        Ok(())
    }

    /// The command is over, its last byte read.
    pub(super) fn settle(&mut self) {
        self.broken = false;
    }

    /// Begins a command and sends it.
    pub(super) async fn command(&mut self, doing: &'static str, code: u8, body: &[u8]) -> Result<(), MysqlError> {
        self.begin()?;
        self.writer.seq = 0;
        self.transmit(doing, &[code], body).await
    }

    /// Begins a statement and sends it.
    pub(super) async fn statement(&mut self, doing: &'static str, sql: &[u8]) -> Result<(), MysqlError> {
        self.begin()?;
        self.writer.seq = 0;
        self.transmit(doing, self.query_prefix(), sql).await
    }

    /// What stands before a statement's text: the command, and that there are no query attributes where they are agreed on.
    fn query_prefix(&self) -> &'static [u8] {
        match self.capabilities.contains(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES) {
            true => &[QUERY, 0, 1],
            false => &[QUERY],
        }
    }

    /// Sends a packet of a conversation under way.
    pub(super) async fn send(&mut self, doing: &'static str, packet: &[u8]) -> Result<(), MysqlError> {
        self.transmit(doing, &[], packet).await
    }

    async fn transmit(&mut self, doing: &'static str, prefix: &[u8], body: &[u8]) -> Result<(), MysqlError> {
        let sent = async {
            self.writer.write(&mut self.stream, prefix, body).await?;
            self.writer.flush(&mut self.stream).await
        };
        match sent.await {
            Ok(()) => {
                self.reader.expect(self.writer.seq);
                Ok(())
            }
            Err(error) => Err(self.fault(doing, error.into()).await),
        }
    }

    /// Waits for the next packet, then at `self.reader.payload()`.
    pub(super) async fn receive(&mut self, doing: &'static str) -> Result<(), MysqlError> {
        match self.reader.advance(&mut self.stream).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.fault(doing, error.into()).await),
        }
    }

    pub(super) fn violation(&self, what: String) -> MysqlError {
        MysqlError::Protocol { address: self.address.clone(), what }
    }

    /// The error that a fault amounts to. A server that hangs up (killed, idle, packet too large) often says why, out of
    /// turn; then that is the error.
    pub(super) async fn fault(&mut self, doing: &'static str, fault: Fault) -> MysqlError {
        let error = match fault {
            Fault::Channel(error) => error,
            Fault::Protocol(what) => return self.violation(what),
        };
        let hung_up = matches!(error, ChannelError::Io(_) | ChannelError::Frame(FrameError::OutOfOrder { got: 0, .. }));
        if hung_up {
            self.reader.timeout = LAST_WORDS;
            let words = self.reader.out_of_turn(&mut self.stream).await;
            if let Some(words @ [0xFF, ..]) = words
                && let Ok(refusal) = reply::refusal(words, self.capabilities)
            {
                return refusal;
            }
        }
        let address = self.address.clone();
        let closed = format!("without a word during {doing}; it was killed, restarted or shut down");
        match error {
            ChannelError::Eof => MysqlError::Closed { address, reason: closed },
            ChannelError::Io(source) if HANG_UPS.contains(&source.kind()) => {
                MysqlError::Closed { address, reason: closed }
            }
            ChannelError::Io(source) => MysqlError::Io { address, doing, source },
            ChannelError::Timeout(after) => MysqlError::Timeout { address, doing, after },
            ChannelError::Frame(error @ FrameError::TooLarge { .. }) => {
                self.violation(format!("{error}; raise the connection's max_packet if rows may be that long"))
            }
            ChannelError::Frame(error) => self.violation(error.to_string()),
        }
    }
}

/// Reads one result. Rows are thrown away and make the result an error.
pub(super) async fn outcome(
    reader: &mut PacketReader,
    from: &mut (impl AsyncRead + Unpin),
    capabilities: CapabilityFlags,
) -> Result<Outcome, Fault> {
    let columns = match reply::answer(reader.read(from).await?, capabilities)? {
        Answer::Done(done) => return Ok(Outcome { more: done.more_results(), result: Ok(done) }),
        Answer::Refused(error) => return Ok(Outcome { more: false, result: Err(error) }),
        Answer::LocalInfile => {
            return Err("it asked for a file where no LOAD DATA LOCAL was under way".to_owned().into());
        }
        Answer::Columns(columns) if columns > MAX_COLUMNS => return Err(format!("{columns} columns").into()),
        Answer::Columns(columns) => columns,
    };
    for _ in 0..columns {
        reader.advance(from).await?;
    }
    loop {
        match reply::row_packet(reader.read(from).await?, capabilities)? {
            RowPacket::Row => {}
            RowPacket::Refused(error) => return Ok(Outcome { more: false, result: Err(error) }),
            RowPacket::End(done) => {
                let rows = MysqlError::Unexpected { what: "rows from a statement that had to return none" };
                return Ok(Outcome { more: done.more_results(), result: Err(rows) });
            }
        }
    }
}
