//! What can go wrong between us and a MySQL server.

use std::{io, path::PathBuf, time::Duration};

/// The error of everything under `mysql/`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MysqlError {
    /// The server refused a statement (or the login). The connection stays usable, unless this was the server's last word
    /// (1153, 4031, …): `Wire::is_usable` knows.
    #[error("server error {code} ({state}): {message}")]
    Server {
        /// MySQL's error number, e.g. 1062.
        code: u16,
        /// The SQLSTATE, e.g. `23000`.
        state: String,
        /// The server's words.
        message: String,
    },
    /// No connection came about.
    #[error("cannot connect to MySQL at {address}: {source}; check that the server runs and the address is right")]
    Connect {
        /// The server's address.
        address: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The connection broke.
    #[error("connection to MySQL at {address} failed while {doing}: {source}")]
    Io {
        /// The server's address.
        address: String,
        /// What was under way.
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The server closed the connection (killed, shut down, idle too long).
    #[error("MySQL at {address} closed the connection: {reason}")]
    Closed {
        /// The server's address.
        address: String,
        /// Its last words, if any.
        reason: String,
    },
    /// The server did not answer in time. Whether the statement took effect is unknown.
    #[error("MySQL at {address} did not finish {doing} within {after:?}")]
    Timeout {
        /// The server's address.
        address: String,
        /// What was under way.
        doing: &'static str,
        /// The limit that passed.
        after: Duration,
    },
    /// The peer does not speak the protocol we know. The connection is unusable.
    #[error("protocol violation by MySQL at {address}: {what}")]
    Protocol {
        /// The server's address.
        address: String,
        /// What was wrong.
        what: String,
    },
    /// An earlier command on this connection failed midway or was cancelled, so replies can no longer be told apart.
    #[error("the connection to MySQL at {address} is unusable since an earlier command was cut short; open a new one")]
    Broken {
        /// The server's address.
        address: String,
    },
    /// TLS could not be set up.
    #[error("TLS with MySQL at {address} failed: {reason}")]
    Tls {
        /// The server's address.
        address: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The login cannot be carried out on our side.
    #[error("cannot log in to MySQL at {address} as '{user}': {reason}")]
    Login {
        /// The server's address.
        address: String,
        /// The user name.
        user: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A statement answered with something its caller did not ask for; the answer was read and thrown away.
    #[error("unexpected answer to a statement: {what}")]
    Unexpected {
        /// What came.
        what: &'static str,
    },
    /// A result that had to be small was not; the rest of it was read and thrown away.
    #[error("the result has more than the {cap} rows expected")]
    TooManyRows {
        /// The limit that was passed.
        cap: usize,
    },
    /// An address that cannot be understood.
    #[error("'{text}' is not a MySQL address ({reason}); use host:port, [ipv6]:port or unix:/path/to/socket")]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// TLS options that do not fit together.
    #[error("TLS options: {reason}")]
    TlsOptions {
        /// What is wrong, and what to do.
        reason: String,
    },
    /// No credential of this name.
    #[error(
        "no credential named '{name}' ({looked}); add it to the credentials file (--credentials or SHARDLIFT_CREDENTIALS) \
         or set {variable}_USER and {variable}_PASSWORD"
    )]
    UnknownCredential {
        /// The credential's name.
        name: String,
        /// Where it was looked for.
        looked: String,
        /// Stem of the environment variables that would define it.
        variable: String,
    },
    /// The credentials file cannot be used.
    #[error("credentials file {}: {reason}", path.display())]
    CredentialFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do. Never quotes the content.
        reason: String,
    },
    /// An error of the `mysql_async` driver that is neither the server's nor the network's.
    #[error("MySQL driver, {address}: {source}")]
    Driver {
        /// The server's address.
        address: String,
        /// The driver's error.
        source: Box<mysql_async::Error>,
    },
}

impl MysqlError {
    /// The server's error number, where the server said so.
    pub fn code(&self) -> Option<u16> {
        match self {
            MysqlError::Server { code, .. } => Some(*code),
            _ => None,
        }
    }
}
