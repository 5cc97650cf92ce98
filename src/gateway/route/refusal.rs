//! Why a statement is not sent anywhere, as a client is told.

use std::fmt;

use crate::gateway::client::SqlError;

/// A refusal, with MySQL's own code where there is one that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// MySQL's error number.
    pub code: u16,
    /// The SQLSTATE.
    pub state: &'static [u8; 5],
    /// What is refused, why, and what to do.
    pub message: String,
}

impl Refusal {
    /// ER_NO_DB_ERROR.
    pub fn no_database() -> Self {
        Self { code: 1046, state: b"3D000", message: "No database selected".into() }
    }

    /// ER_BAD_DB_ERROR.
    pub fn unknown_database(name: &str) -> Self {
        Self { code: 1049, state: b"42000", message: format!("Unknown database '{name}'") }
    }

    /// ER_NOT_SUPPORTED_YET: nothing is wrong with the statement, but the gateway does not do it.
    pub fn unsupported(message: String) -> Self {
        Self { code: 1235, state: b"42000", message }
    }

    /// ER_OPTION_PREVENTS_STATEMENT: the session's target does not take it.
    pub fn read_only(message: String) -> Self {
        Self { code: 1290, state: b"HY000", message }
    }

    /// ER_UNKNOWN_ERROR: MySQL has no code for it.
    pub fn unknown(message: String) -> Self {
        Self { code: 1105, state: b"HY000", message }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Refusal> for SqlError {
    fn from(refusal: Refusal) -> Self {
        SqlError::new(refusal.code, refusal.state, refusal.message)
    }
}
