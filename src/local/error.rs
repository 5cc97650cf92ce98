//! What can go wrong with local servers, said so that the reader knows what to do next.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::topology::TopologyError;

/// Why a local server could not be found, fetched, started or steered.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A file or folder could not be used.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried, as a verb ("create", "copy").
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// There is no folder for the per-user cache.
    #[error("no folder for the server cache: set HOME, or name one with SHARDLIFT_CACHE")]
    NoCache,
    /// A program could not be started at all.
    #[error("cannot start {program}: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("{program} failed while {doing}: {detail}")]
    Failed {
        /// The program.
        program: String,
        /// What it was to do.
        doing: &'static str,
        /// The end of what it said.
        detail: String,
    },
    /// Something took longer than it may.
    #[error("{doing} did not finish within {} s", after.as_secs())]
    Timeout {
        /// What was waited for.
        doing: String,
        /// How long.
        after: Duration,
    },
    /// A program is missing and could not be fetched.
    #[error("no {what}: {why}\ninstall it, or name an existing one with {option}")]
    NotFound {
        /// What is missing, with the versions accepted.
        what: &'static str,
        /// Where it was looked for, or why fetching failed.
        why: String,
        /// The option and variable that name an existing program.
        option: &'static str,
    },
    /// The program named by the user cannot serve.
    #[error("{path} cannot be used: {why}")]
    Unsuitable {
        /// The program.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A server ended or stayed deaf while starting.
    #[error("{server} did not start: {why}\nlast lines of {log}:\n{tail}")]
    NotStarted {
        /// Which server.
        server: String,
        /// What was seen.
        why: String,
        /// Its log.
        log: PathBuf,
        /// The end of that log.
        tail: String,
    },
    /// The server is not running, so it cannot be signalled or asked.
    #[error("{0} is not running")]
    NotRunning(String),
    /// The operating system refused a signal.
    #[error("cannot signal {server}: {source}")]
    Signal {
        /// Which server.
        server: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A server refused a statement or a connection.
    #[error("{server} failed while {doing}: {source}")]
    Sql {
        /// Which server.
        server: String,
        /// What it was to do.
        doing: &'static str,
        /// Its answer.
        source: mysql_async::Error,
    },
    /// A replica's threads did not come up.
    #[error("{replica} does not replicate: {why}")]
    Replication {
        /// Which server.
        replica: String,
        /// What `SHOW REPLICA STATUS` says.
        why: String,
    },
    /// No loopback port is free.
    #[error("no free TCP port on 127.0.0.1 between {low} and {high}")]
    NoPort {
        /// First port tried.
        low: u16,
        /// Last port tried.
        high: u16,
    },
    /// A folder's cluster cannot be worked with as asked.
    #[error("{dir}: {why}")]
    Cluster {
        /// The folder.
        dir: PathBuf,
        /// What is in the way, and what to do.
        why: String,
    },
    /// A local cluster's topology failed.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// A setting of the caller cannot be honoured.
    #[error("{0}")]
    Setting(String),
}

impl LocalError {
    /// For `map_err` on file operations.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { doing, path, source }
    }
}
