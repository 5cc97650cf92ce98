//! The server side of the MySQL protocol, towards clients.
//!
//! - [`Client::accept`] greets a client and finds out who it is: [`Users`] holds password hashes, [`tls`] the
//!   certificate, [`RsaKeys`] what protects passwords without TLS.
//! - [`Client::command`] reads what it wants: [`Command`].
//! - [`packets`] is what the gateway says itself; what servers say is relayed through [`Client::parts`].
//!
//! Invariants: client bytes are trusted nowhere, and every length is checked before memory is spent on it; answers are
//! queued until [`Client::flush`] and carry the sequence ids that follow their command's; a connection that ends because
//! of us ends with an error the client can read. Every wait has a deadline: logging in, the next command (the caller's),
//! the rest of a packet (30 s), a client that takes nothing of its answer (60 s).

pub mod command;
pub mod error;
pub mod greeting;
pub mod keys;
pub mod oversize;
pub mod packets;
pub mod password;
pub mod prompt;
pub mod response;
pub mod stream;
pub mod tls;
pub mod users;

mod column;
mod link;
mod login;
mod result;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mysql_common::constants::{CapabilityFlags, StatusFlags};
use rustls::ServerConfig;
use tokio::time::timeout;

pub use self::link::Budget;
use self::link::Link;
pub use self::{
    column::ColumnSpec,
    command::Command,
    error::{ClientError, SqlError},
    keys::RsaKeys,
    packets::{OkPacket, StateChange},
    stream::ClientStream,
    users::{Users, UsersError},
};
use crate::{
    model::CredentialName,
    mysql::wire::channel::{PacketReader, PacketWriter},
};

/// What every client is offered.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The version text of the greeting: drivers derive abilities from it, so it begins like a server's.
    pub version: String,
    /// The certificate, if TLS is offered (over TCP; a Unix socket needs none).
    pub tls: Option<Arc<ServerConfig>>,
    /// The RSA key for passwords without TLS.
    pub keys: RsaKeys,
    /// Who may log in.
    pub users: Arc<Users>,
    /// The longest packet accepted from a client that has logged in, in bytes.
    pub max_packet: usize,
    /// What packets over 1 MiB of all clients may take together.
    pub budget: Budget,
    /// From the connection's first byte to its last packet of the login.
    pub login_timeout: Duration,
    /// Refuse logins over plain TCP.
    pub require_tls: bool,
}

/// Who a client is and what it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What both sides can do.
    pub capabilities: CapabilityFlags,
    /// The id of the collation it asked for; any number a client cares to send.
    pub collation: u16,
    /// The user, whose password it knows.
    pub user: String,
    /// The login used for it towards the servers.
    pub credential: CredentialName,
    /// The database it asked for, not checked.
    pub database: Option<String>,
    /// What it tells of itself (`_client_name`, `_pid`, `program_name`, …).
    pub attributes: BTreeMap<String, String>,
}

/// A client that has proved who it is.
#[derive(Debug)]
pub struct Client {
    link: Link,
    identity: Identity,
    connection_id: u32,
    /// A command is being read.
    midway: bool,
}

impl Client {
    /// Turns a connection away before it is greeted, e.g. with 1040. The client is told why.
    pub async fn turn_away(stream: ClientStream, error: &SqlError) {
        Link::new(stream, 0).farewell(error, false).await;
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The id it was greeted with.
    pub fn connection_id(&self) -> u32 {
        self.connection_id
    }

    /// Its host as MySQL names it in `'user'@'host'`: an IP address or `localhost`.
    pub fn host(&self) -> &str {
        &self.link.host
    }

    /// Its address, for messages: `10.0.0.7:51324` or `localhost`.
    pub fn peer(&self) -> String {
        match self.link.port {
            Some(port) if self.link.host.contains(':') => format!("[{}]:{port}", self.link.host),
            Some(port) => format!("{}:{port}", self.link.host),
            None => self.link.host.clone(),
        }
    }

    /// True when the connection is encrypted with TLS.
    pub fn is_encrypted(&self) -> bool {
        self.link.stream.is_encrypted()
    }

    /// The last packet of a login (or of COM_CHANGE_USER): it is accepted, with the database it asked for.
    pub async fn admit(&mut self, status: StatusFlags) -> Result<(), ClientError> {
        let database = self.identity.database.clone().filter(|name| !name.is_empty());
        let changes = database.map(|name| StateChange::Schema(name.into_bytes())).into_iter().collect();
        self.ok(&OkPacket { status, changes, ..OkPacket::default() }).await?;
        self.flush().await
    }

    /// Answers with an error and closes the connection.
    pub async fn refuse(&mut self, error: SqlError) -> ClientError {
        self.link.refuse(error).await
    }

    /// Closes the connection of a client that has asked nothing (it is idle, the gateway stops), and tells it why.
    pub async fn expel(&mut self, error: SqlError) -> ClientError {
        self.link.writer.seq = 0;
        self.link.refuse(error).await
    }

    /// The next command, waiting for `idle` at most until it begins; then the client is told (4031) and left. Cancelling
    /// loses nothing.
    pub async fn command(&mut self, idle: Duration) -> Result<Command, ClientError> {
        if !self.midway {
            self.link.release();
            self.link.reader.expect(0);
            self.midway = true;
        }
        let Link { reader, stream, .. } = &mut self.link;
        match timeout(idle, reader.wait(stream)).await {
            Ok(begun) => begun?,
            Err(_) => return Err(self.expel(SqlError::idle()).await),
        }
        let packet = self.link.receive().await?;
        self.midway = false;
        Ok(Command::parse(packet, self.identity.capabilities))
    }

    /// Resolves when the client has gone away; for use while a server works for it. Not noticed for a client that has
    /// already begun to send its next command.
    pub async fn closed(&mut self) {
        let Link { reader, stream, .. } = &mut self.link;
        if reader.has_unread() || reader.wait(stream).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }

    /// Queues an OK packet.
    pub async fn ok(&mut self, ok: &OkPacket) -> Result<(), ClientError> {
        let mut packet = Vec::new();
        packets::ok(&mut packet, ok, self.identity.capabilities);
        self.packet(&packet).await
    }

    /// Queues an ERR packet.
    pub async fn error(&mut self, error: &SqlError) -> Result<(), ClientError> {
        let mut packet = Vec::new();
        packets::error(&mut packet, error, true);
        self.packet(&packet).await
    }

    /// Queues any one packet, such as the line of text that answers COM_STATISTICS.
    pub async fn packet(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        Ok(self.link.writer.write(&mut self.link.stream, &[], payload).await?)
    }

    /// Sends whatever is queued.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        Ok(self.link.writer.flush(&mut self.link.stream).await?)
    }

    /// The connection's parts, for what is relayed. Frames written must go through the writer's sequence ids.
    pub fn parts(&mut self) -> (&mut PacketReader, &mut PacketWriter, &mut ClientStream) {
        let Link { reader, writer, stream, .. } = &mut self.link;
        (reader, writer, stream)
    }
}
