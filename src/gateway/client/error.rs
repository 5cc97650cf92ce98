//! What a client is told when something is refused, and how its connection ends.
//!
//! Codes, states and wording are MySQL's own where it has them, so that drivers know them.

use std::{fmt, io, time::Duration};

use crate::mysql::wire::{channel::ChannelError, frame::FrameError};

/// Characters of a user's name that are repeated to its client; MySQL allows 32.
const LONGEST_NAME: usize = 80;

/// An error as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    /// MySQL's error number, e.g. 1045.
    pub code: u16,
    /// The SQLSTATE, five ASCII characters, e.g. `28000`.
    pub state: [u8; 5],
    /// What happened, to what, and what to do. The mysql client shows the first 511 bytes.
    pub message: String,
}

impl SqlError {
    /// An error from its parts.
    pub fn new(code: u16, state: &[u8; 5], message: impl Into<String>) -> Self {
        SqlError { code, state: *state, message: message.into() }
    }

    /// ER_PARSE_ERROR, `near` being what follows the place.
    pub fn syntax(near: &[u8]) -> Self {
        const SHOWN: usize = 80;
        let near = near.trim_ascii_start();
        let near = String::from_utf8_lossy(near.get(..SHOWN).unwrap_or(near)).into_owned();
        let text = format!(
            "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version for the \
             right syntax to use near '{near}' at line 1"
        );
        SqlError::new(1064, b"42000", text)
    }

    /// ER_HANDSHAKE_ERROR: what came instead of a login.
    pub(super) fn bad_handshake(what: &str) -> Self {
        SqlError::new(1043, b"08S01", format!("Bad handshake: {what}"))
    }

    /// ER_ACCESS_DENIED_ERROR, the same whatever was wrong.
    pub(super) fn access_denied(user: &str, host: &str, with_password: bool) -> Self {
        let using = if with_password { "YES" } else { "NO" };
        // The name is the client's own text, which must not fill or upset a log.
        let user: String = user.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
        SqlError::new(1045, b"28000", format!("Access denied for user '{user}'@'{host}' (using password: {using})"))
    }

    /// ER_NOT_SUPPORTED_AUTH_MODE: the client cannot switch to caching_sha2_password.
    pub(super) fn old_client() -> Self {
        let text =
            "Client does not support authentication protocol requested by server; consider upgrading MySQL client";
        SqlError::new(1251, b"08004", text)
    }

    /// ER_SECURE_TRANSPORT_REQUIRED.
    pub(super) fn transport_not_secure() -> Self {
        let text = "Connections using insecure transport are prohibited by this gateway; connect with TLS \
                    (--ssl-mode=REQUIRED) or over its Unix socket";
        SqlError::new(3159, b"HY000", text)
    }

    /// ER_MALFORMED_PACKET, the answer to [`super::Command::Malformed`].
    pub fn malformed_packet() -> Self {
        SqlError::new(1835, b"HY000", "Malformed communication packet.")
    }

    /// The last words to a client that sent what is no packet of this conversation, or too slowly. `None`: it is gone.
    pub(super) fn last_words(error: &ChannelError) -> Option<Self> {
        match error {
            ChannelError::Frame(FrameError::TooLarge { limit, .. }) => Some(SqlError::new(
                1153,
                b"08S01",
                format!("Got a packet bigger than 'max_allowed_packet' bytes; this gateway takes up to {limit}"),
            )),
            ChannelError::Frame(FrameError::OutOfOrder { .. }) => {
                Some(SqlError::new(1156, b"08S01", "Got packets out of order"))
            }
            ChannelError::Timeout(_) => {
                Some(SqlError::new(1159, b"08S01", "Got timeout reading communication packets"))
            }
            ChannelError::Io(_) | ChannelError::Eof => None,
        }
    }

    /// ER_OUT_OF_RESOURCES: too many long statements at a time.
    pub(super) fn no_room(size: usize) -> Self {
        let text =
            format!("Out of memory: no room for a packet of {size} bytes while other clients send theirs; try again");
        SqlError::new(1041, b"08000", text)
    }

    /// ER_CLIENT_INTERACTION_TIMEOUT.
    pub(super) fn idle() -> Self {
        let text = "The client was disconnected by the server because of inactivity. See wait_timeout and \
                    interactive_timeout for configuring this behavior.";
        SqlError::new(4031, b"HY000", text)
    }

    /// ER_UNKNOWN_ERROR: what went wrong within the gateway.
    pub(super) fn internal(what: &str) -> Self {
        SqlError::new(1105, b"HY000", what)
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error {} ({}): {}", self.code, String::from_utf8_lossy(&self.state), self.message)
    }
}

/// Why a client's connection is over. Nothing more can be done with the [`super::Client`].
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client was told this, and the connection closed.
    #[error("the client was refused: {0}")]
    Refused(SqlError),
    /// The client left.
    #[error("the client closed the connection")]
    Gone,
    /// The connection failed.
    #[error("the client's connection failed: {0}")]
    Channel(ChannelError),
    /// TLS did not come about.
    #[error("TLS with the client failed: {0}")]
    Tls(io::Error),
    /// The login took longer than allowed.
    #[error("the client did not log in within {0:?}")]
    LoginTimeout(Duration),
}

impl From<ChannelError> for ClientError {
    fn from(error: ChannelError) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match error {
            ChannelError::Eof => ClientError::Gone,
            ChannelError::Io(error)
                if matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe | ConnectionAborted) =>
            {
                ClientError::Gone
            }
            other => ClientError::Channel(other),
        }
    }
}
