//! One connection to a tablet's server, with what is known of the session it has there.
//!
//! Invariants:
//! - [`Backend::settings`] are the variables that differ from a new connection's. What the server could not report is
//!   [read back](Backend::read_back) before another session gets the connection.
//! - Changes are tracked (`session_track_system_variables = '*'`) at all times. A client must not set the `session_track_*`
//!   variables of [`TRACKING`] on a server; the gateway keeps them for it.
//! - A session's leftovers (user variables, temporary tables, an open transaction) never reach another: whoever keeps a
//!   connection because of them says so with [`Backend::soil`], and it is reset before others get it.

use std::time::Duration;

use mysql_common::constants::{CapabilityFlags, StatusFlags};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::mysql::{
    Login, MysqlError,
    wire::{
        ConnectOptions, Done, RawRow, Wire,
        channel::{PacketReader, PacketWriter},
        frame::Decoder,
        ok::OkPacket,
        relay::{ClientSide, Outcome, RelayError, RelayOptions, Relayed, ReplyKind, Tracking},
        reply::lenenc,
    },
};

use super::{
    prepared::{Prepared, Statement},
    settings::Settings,
};

/// Makes the server report every change. The variable that the triggers of fences read is made here: where it is not there, the
/// read makes it, which is reported as a change that nothing explains, and would bind the session to its connection.
pub const TRACKING: &str = "SET session_track_system_variables = '*', session_track_schema = ON, session_track_state_change = ON, \
                            @shardlift_stream = NULL";
/// Queries of our own have small answers.
const OWN_ANSWER: usize = 1 << 20;
const QUERY: u8 = 0x03;
const STMT_PREPARE: u8 = 0x16;
const STMT_CLOSE: u8 = 0x19;
const SET_OPTION: u8 = 0x1B;
const MULTI_STATEMENTS_OFF: [u8; 2] = [1, 0];

/// A connection.
#[derive(Debug)]
pub struct Backend {
    wire: Wire,
    sql_mode: String,
    serializable: bool,
    login: Login,
    options: ConnectOptions,
    settings: Settings,
    prepared: Prepared,
    status: StatusFlags,
    soiled: bool,
    unreported: bool,
}

impl Backend {
    /// Connects and begins to track.
    pub async fn connect(login: Login, mut options: ConnectOptions) -> Result<Self, MysqlError> {
        options.session = vec![TRACKING.to_owned()];
        let wire = Wire::connect(&login, &options).await?;
        let mut backend = Backend {
            wire,
            sql_mode: String::new(),
            serializable: false,
            login,
            options,
            settings: Settings::default(),
            prepared: Prepared::default(),
            status: StatusFlags::SERVER_STATUS_AUTOCOMMIT,
            soiled: false,
            unreported: false,
        };
        let mut row = backend.row(b"SELECT @@sql_mode, @@transaction_isolation").await?.into_iter().flatten();
        backend.sql_mode = String::from_utf8_lossy(&row.next().unwrap_or_default()).into_owned();
        backend.serializable = row.next().is_some_and(|level| level == b"SERIALIZABLE");
        Ok(backend)
    }

    /// The id that KILL takes.
    pub fn connection_id(&self) -> u32 {
        self.wire.connection_id()
    }

    /// The server's version as it greets.
    pub fn server_version(&self) -> &str {
        self.wire.server_version()
    }

    /// The sql_mode of sessions that set none.
    pub fn sql_mode(&self) -> &str {
        &self.sql_mode
    }

    /// Whether SERIALIZABLE is the level of sessions that set none.
    pub fn serializable(&self) -> bool {
        self.serializable
    }

    /// Whether another command may be sent.
    pub fn is_usable(&self) -> bool {
        self.wire.is_usable()
    }

    /// False when the server has closed the connection, as far as that has arrived.
    pub fn is_quiet(&mut self) -> bool {
        self.wire.is_quiet()
    }

    /// What the session has set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The status the server told last.
    pub fn status(&self) -> StatusFlags {
        self.status
    }

    /// Whether the server said last that a transaction is open.
    pub fn in_transaction(&self) -> bool {
        self.status.contains(StatusFlags::SERVER_STATUS_IN_TRANS)
    }

    /// Says that the session leaves something behind that only a reset removes.
    pub fn soil(&mut self) {
        self.soiled = true;
    }

    /// Whether a reset must come before another session.
    pub fn is_soiled(&self) -> bool {
        self.soiled || self.in_transaction()
    }

    /// Makes it like new: logs in again.
    pub async fn reset(&mut self) -> Result<(), MysqlError> {
        self.wire.change_user(&self.login, &self.options).await?;
        self.prepared.clear();
        self.settings = Settings::default();
        (self.soiled, self.unreported) = (false, false);
        self.execute(TRACKING.as_bytes()).await.map(drop)
    }

    /// Makes it fit for a session that has set `wanted`; true if that took a reset. A refusal of one of the values
    /// leaves the connection soiled.
    pub async fn prepare_for(&mut self, wanted: &Settings) -> Result<bool, MysqlError> {
        if self.unreported && !self.soiled {
            // What the last session changed unreported belongs to nobody any more.
            let found = self.execute_tracked(b"DO 0").await?;
            self.soiled |= found.state_changed || !found.changed.is_empty();
        }
        let reset = self.is_soiled() || self.is_unread() || !self.settings.within(wanted);
        if reset {
            self.reset().await?;
        }
        if let Some(sql) = self.settings.statement(wanted) {
            self.soiled = true;
            self.execute(sql.as_bytes()).await?;
            self.settings = wanted.clone();
            self.soiled = false;
        }
        Ok(reset)
    }

    /// Brings a connection that its session has kept to what the session has set elsewhere since.
    pub async fn follow(&mut self, wanted: &Settings) -> Result<(), MysqlError> {
        if self.settings == *wanted {
            return Ok(());
        }
        if let Some(sql) = self.settings.statement(wanted) {
            self.execute(sql.as_bytes()).await?;
            self.settings = wanted.clone();
        }
        Ok(())
    }

    /// Runs a statement of the gateway's own, without rows and without what a session must know of; e.g. BEGIN.
    pub async fn execute(&mut self, sql: &[u8]) -> Result<Done, MysqlError> {
        let done = self.wire.execute(sql).await?;
        self.status = done.status;
        Ok(done)
    }

    /// Asks for a sign of life.
    pub async fn ping(&mut self) -> Result<StatusFlags, MysqlError> {
        self.status = self.wire.ping().await?.status;
        Ok(self.status)
    }

    /// The status after an error, which has none, and what the server had yet to report: what of it the client is to be
    /// told, and whether all of it can be carried to another connection. COM_SET_OPTION tells, and switches off what is
    /// off; unlike a ping it leaves ROW_COUNT() and the diagnostics as they are.
    pub async fn status_after_error(
        &mut self,
        tracking: &Tracking<'_>,
    ) -> Result<(StatusFlags, Vec<u8>, bool), MysqlError> {
        self.wire.request(SET_OPTION, &MULTI_STATEMENTS_OFF).await?;
        let (relayed, packets) = self.own(ReplyKind::Simple, tracking).await?;
        let Some(status) = relayed.status else { return Err(failure(relayed.outcome)) };
        let told = match packets.first().filter(|_| relayed.reported) {
            Some(packet) => OkPacket::parse(packet, true).map(|ok| ok.changes.to_vec()).unwrap_or_default(),
            None => Vec::new(),
        };
        self.soiled |= relayed.state_changed;
        Ok((status, told, self.settings.absorb(&relayed.changed)))
    }

    /// [`Backend::request`] with a body in two parts.
    pub async fn request_parts(&mut self, code: u8, head: &[u8], body: &[u8]) -> Result<(), MysqlError> {
        if head.is_empty() {
            return self.wire.request(code, body).await;
        }
        self.wire.request(code, &[head, body].concat()).await
    }

    /// Waits until a reply begins, or the connection ends; what it is, [`Backend::relay`] finds out.
    pub async fn begun(&mut self) {
        self.wire.begun().await;
    }

    /// Sends a command whose reply is read with [`Backend::relay`]; `body` is the command without its code.
    pub async fn request(&mut self, code: u8, body: &[u8]) -> Result<(), MysqlError> {
        self.wire.request(code, body).await
    }

    /// Queues a command that has no reply (COM_STMT_CLOSE, COM_STMT_SEND_LONG_DATA).
    pub async fn notify(&mut self, code: u8, body: &[u8]) -> Result<(), MysqlError> {
        self.wire.notify(code, body).await
    }

    /// Passes the reply on to the client, and takes in what it says of the session. `carried` in the result is false if a
    /// variable was set that cannot be carried to another connection. Nothing is flushed.
    pub async fn relay<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        client: &mut ClientSide<'_, S>,
        options: &RelayOptions<'_>,
    ) -> Result<(Relayed, bool), RelayError> {
        let relayed = self.wire.relay(client, options).await?;
        // Only statements change anything; but what one did not report, another command's reply does not either.
        self.unreported = !relayed.reported && (self.unreported || matches!(options.kind, ReplyKind::Query { .. }));
        self.status = relayed.status.unwrap_or(self.status);
        let carried = self.settings.absorb(&relayed.changed);
        Ok((relayed, carried))
    }

    /// Whether the server's report left something open.
    pub fn is_unread(&self) -> bool {
        self.settings.unknown().is_some()
    }

    /// Finds out what the server's report left open. It overwrites the diagnostics that SHOW WARNINGS would show, so
    /// where a statement left warnings it should wait until the session's next one.
    pub async fn read_back(&mut self) -> Result<(), MysqlError> {
        if let Some(sql) = self.settings.unknown() {
            let row = self.row(sql.as_bytes()).await?;
            self.settings.learn(&row);
        }
        Ok(())
    }

    /// The server's statement for a text, prepared if need be. Sessions share it: long data and cursors want one of
    /// their own, see [`Backend::prepare`].
    pub async fn statement(&mut self, sql: &[u8]) -> Result<Statement, MysqlError> {
        match self.prepared.get(sql, &self.settings.reading()) {
            Some(statement) => Ok(statement),
            None => {
                let statement = self.prepare(sql).await?;
                self.keep(sql, statement).await?;
                Ok(statement)
            }
        }
    }

    /// Shares a statement that was prepared here, by the client's COM_STMT_PREPARE or [`Backend::prepare`].
    pub async fn keep(&mut self, sql: &[u8], statement: Statement) -> Result<(), MysqlError> {
        for id in self.prepared.insert(sql, self.settings.reading(), statement) {
            self.notify(STMT_CLOSE, &id.to_le_bytes()).await?;
        }
        Ok(())
    }

    /// Prepares a statement that is nobody else's; [`Backend::close_statement`] ends it.
    pub async fn prepare(&mut self, sql: &[u8]) -> Result<Statement, MysqlError> {
        self.wire.request(STMT_PREPARE, sql).await?;
        let (relayed, _) = self.own(ReplyKind::Prepare { client_id: 0 }, &Tracking::SILENT).await?;
        match relayed.outcome {
            Outcome::Prepared { id, columns, params } => Ok(Statement { id, columns, params }),
            outcome => Err(failure(outcome)),
        }
    }

    /// Closes a statement on the server, shared or not.
    pub async fn close_statement(&mut self, id: u32) -> Result<(), MysqlError> {
        self.prepared.forget(id);
        self.notify(STMT_CLOSE, &id.to_le_bytes()).await
    }

    /// Says goodbye as far as that does not take waiting, and closes.
    pub fn close(self) {
        use futures_util::FutureExt;
        // Polled once: five bytes fit the socket's buffer, and if not, the server sees the end all the same.
        let _ = self.wire.close().now_or_never();
    }

    async fn execute_tracked(&mut self, sql: &[u8]) -> Result<Relayed, MysqlError> {
        self.request_query(sql).await?;
        let (relayed, _) = self.own(ReplyKind::Query { cursor: false }, &Tracking::SILENT).await?;
        self.unreported = false;
        match relayed.outcome {
            Outcome::Done { .. } => Ok(relayed),
            outcome => Err(failure(outcome)),
        }
    }

    /// The first row of a small answer.
    pub async fn row(&mut self, sql: &[u8]) -> Result<Vec<Option<Vec<u8>>>, MysqlError> {
        self.request_query(sql).await?;
        let (relayed, packets) = self.own(ReplyKind::Query { cursor: false }, &Tracking::SILENT).await?;
        let unexpected = MysqlError::Unexpected { what: "no single row from a query that had to return one" };
        let Outcome::Rows { rows: 1 } = relayed.outcome else { return Err(failure(relayed.outcome)) };
        // The row stands before the end; the count is the first packet.
        let columns =
            packets.first().and_then(|packet| lenenc(packet)).and_then(|(count, _)| usize::try_from(count).ok());
        let row = packets.len().checked_sub(2).and_then(|at| packets.get(at));
        let row = row.zip(columns).and_then(|(row, columns)| RawRow::parse(row, columns)).ok_or(unexpected)?;
        Ok(row.values().map(|value| value.map(<[u8]>::to_vec)).collect())
    }

    async fn request_query(&mut self, sql: &[u8]) -> Result<(), MysqlError> {
        let attributes = self.wire.capabilities().contains(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES);
        // No attributes, in one set.
        let body = if attributes { [&[0, 1], sql].concat() } else { sql.to_vec() };
        self.wire.request(QUERY, &body).await
    }

    /// Reads the reply to a command of our own, in whatever form the client's capabilities give it: its packets.
    async fn own(&mut self, kind: ReplyKind, tracking: &Tracking<'_>) -> Result<(Relayed, Vec<Vec<u8>>), MysqlError> {
        const FOREVER: Duration = Duration::MAX;
        let mut kept = tokio::io::join(tokio::io::empty(), Vec::new());
        let (mut reader, mut writer) = (PacketReader::new(0, FOREVER), PacketWriter::new(FOREVER));
        let options = RelayOptions {
            kind,
            client_capabilities: self.wire.capabilities(),
            more_follow: false,
            withhold: &[],
            tracking,
            in_transaction: StatusFlags::empty(),
        };
        let mut client = ClientSide { reader: &mut reader, writer: &mut writer, stream: &mut kept };
        let relayed = match self.wire.relay(&mut client, &options).await {
            Ok(relayed) => relayed,
            Err(RelayError::Server { error, .. }) => return Err(error),
            Err(RelayError::Client(_)) => {
                return Err(MysqlError::Unexpected { what: "a request for a file in place of an answer" });
            }
        };
        let unreadable = |_| MysqlError::Unexpected { what: "an answer that is too long" };
        writer.flush(&mut kept).await.map_err(|_| MysqlError::Unexpected { what: "an answer that does not end" })?;
        let (_, bytes) = kept.into_inner();
        let mut decoder = Decoder::new(OWN_ANSWER);
        decoder.buffer().extend_from_slice(&bytes);
        let mut packets = Vec::new();
        while decoder.advance().map_err(unreadable)? {
            packets.push(decoder.payload().to_vec());
        }
        self.status = relayed.status.unwrap_or(self.status);
        Ok((relayed, packets))
    }
}

/// The error of a command of our own that did not end as it had to.
fn failure(outcome: Outcome) -> MysqlError {
    match outcome {
        Outcome::Failed { code, state, message, .. } => MysqlError::Server { code, state, message },
        _ => MysqlError::Unexpected { what: "another kind of answer than the one a command has" },
    }
}
