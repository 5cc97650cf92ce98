//! What a MySQL server is made from, and the settings that follow.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::{Account, Lifetime, LocalError, Port};

/// `sun_path` holds 108 bytes, the last one zero.
const LONGEST_SOCKET: usize = 107;

/// What a server is for, when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Accepts writes.
    Primary,
    /// Starts with `super_read_only`.
    Replica,
}

/// Everything one server is made from.
#[derive(Debug, Clone)]
pub struct MysqldSpec {
    /// Its folder, created if needed: `data/`, `error.log`, `my.cnf` (for the user's own settings), `mysql.sock`.
    pub dir: PathBuf,
    /// TCP port on 127.0.0.1.
    pub port: Port,
    /// Unique in a replication topology, not 0.
    pub server_id: u32,
    /// Whether it starts read-only.
    pub role: Role,
    /// The account this handle itself uses; it must have `ALL`.
    pub admin: Account,
    /// Further accounts.
    pub accounts: Vec<Account>,
    /// Semi-synchronous replication: how long a commit waits for a replica. `None`: plain asynchronous.
    pub semi_sync: Option<Duration>,
    /// Further `mysqld` arguments. They come last, so they win.
    pub extra_args: Vec<String>,
    /// Whether it outlives this process.
    pub lifetime: Lifetime,
}

impl MysqldSpec {
    /// An asynchronous primary that dies with its handle.
    pub fn new(dir: impl Into<PathBuf>, port: Port, server_id: u32, admin: Account) -> Self {
        Self {
            dir: dir.into(),
            port,
            server_id,
            role: Role::Primary,
            admin,
            accounts: Vec::new(),
            semi_sync: None,
            extra_args: Vec::new(),
            lifetime: Lifetime::Owned,
        }
    }

    /// The settings of a start, without paths.
    pub(super) fn settings(&self, read_only: bool) -> Vec<String> {
        let port = self.port.number();
        let mut settings = vec![
            format!("--server-id={}", self.server_id),
            format!("--port={port}"),
            "--bind-address=127.0.0.1".into(),
            "--report-host=127.0.0.1".into(),
            format!("--report-port={port}"),
            "--skip-name-resolve".into(),
            "--mysqlx=OFF".into(),
            "--secure-file-priv=NULL".into(),
            "--local-infile=ON".into(),
            "--max-connections=500".into(),
            "--log-bin=binlog".into(),
            "--gtid-mode=ON".into(),
            "--enforce-gtid-consistency=ON".into(),
            "--binlog-format=ROW".into(),
            "--binlog-row-image=FULL".into(),
            "--sync-binlog=1".into(),
            "--innodb-flush-log-at-trx-commit=1".into(),
            "--relay-log=relay".into(),
            "--relay-log-recovery=ON".into(),
            "--innodb-buffer-pool-size=64M".into(),
            // 8.4 made it 64 MiB, and all of it is touched.
            "--innodb-log-buffer-size=16M".into(),
            "--performance-schema=OFF".into(),
        ];
        if let Some(wait) = self.semi_sync {
            let on = |yes: bool| if yes { "ON" } else { "OFF" };
            settings.extend([
                "--plugin-load-add=semisync_source.so".into(),
                "--plugin-load-add=semisync_replica.so".into(),
                format!("--loose-rpl-semi-sync-source-enabled={}", on(!read_only)),
                format!("--loose-rpl-semi-sync-replica-enabled={}", on(read_only)),
                format!("--loose-rpl-semi-sync-source-timeout={}", wait.as_millis()),
            ]);
        }
        settings
    }
}

/// The socket stands in the server's folder, or in a short private one if that path is too long.
pub(super) fn place_socket(dir: &Path, lifetime: Lifetime) -> Result<(PathBuf, Option<TempDir>), LocalError> {
    let socket = dir.join("mysql.sock");
    if socket.as_os_str().len() <= LONGEST_SOCKET {
        return Ok((socket, None));
    }
    let folder = tempfile::Builder::new()
        .prefix("shardlift-")
        .tempdir_in("/tmp")
        .map_err(LocalError::io("create a folder in", Path::new("/tmp")))?;
    let socket = folder.path().join("mysql.sock");
    match lifetime {
        Lifetime::Owned => Ok((socket, Some(folder))),
        Lifetime::Detached => {
            let _ = folder.keep();
            Ok((socket, None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_folder_gets_a_short_socket() {
        let (near, none) = place_socket(Path::new("/tmp/x"), Lifetime::Owned).unwrap();
        assert_eq!((near.as_path(), none.is_none()), (Path::new("/tmp/x/mysql.sock"), true));
        let long = PathBuf::from("/tmp").join("d".repeat(100));
        let (far, folder) = place_socket(&long, Lifetime::Owned).unwrap();
        assert!(far.as_os_str().len() <= LONGEST_SOCKET && folder.is_some());
    }
}
