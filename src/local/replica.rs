//! Native MySQL replication between local servers, with GTID auto-positioning.

use std::path::Path;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row, Value};
use tokio::time::{Instant, sleep, timeout};

use super::{Account, LocalError, Mysqld};

const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
const DUMPS_DEADLINE: Duration = Duration::from_secs(2);

impl Mysqld {
    /// Makes this server a read-only replica of `primary`, as the primary's admin, and waits until both its threads run.
    ///
    /// Its data must be empty or come from that primary. With semi-sync, the roles of the plugins follow.
    pub async fn start_replica_of(&self, primary: &Self) -> Result<(), LocalError> {
        let quoted = |text: &str| Value::from(text).as_sql(false);
        let admin = &primary.spec().admin;
        let source = format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={}, SOURCE_USER={}, SOURCE_PASSWORD={}, \
             SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1, SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=100000",
            primary.port(),
            quoted(&admin.user),
            quoted(&admin.password),
        );
        let mut conn = self.admin_conn().await?;
        self.within("stopping replication", conn.query_drop("STOP REPLICA")).await?;
        self.within("becoming read-only", conn.query_drop("SET GLOBAL super_read_only = ON")).await?;
        self.set_read_only(true);
        if self.spec().semi_sync.is_some() {
            let roles = "SET GLOBAL rpl_semi_sync_source_enabled = OFF, GLOBAL rpl_semi_sync_replica_enabled = ON";
            self.within("enabling semi-sync", conn.query_drop(roles)).await?;
        }
        self.within("setting the replication source", conn.query_drop(source)).await?;
        self.within("starting replication", conn.query_drop("START REPLICA")).await?;

        let started = Instant::now();
        loop {
            let status: Option<Row> =
                self.within("asking for replica status", conn.query_first("SHOW REPLICA STATUS")).await?;
            let state = ReplicaState::read(status.as_ref());
            if state.runs() {
                return self.within("disconnecting", conn.disconnect()).await;
            }
            if state.gave_up() || started.elapsed() > CONNECT_DEADLINE {
                return Err(LocalError::Replication { replica: self.server_name(), why: state.to_string() });
            }
            sleep(POLL).await;
        }
    }

    /// Makes a replica a primary of its own: replication ends, writes are accepted.
    pub async fn promote(&self) -> Result<(), LocalError> {
        let mut conn = self.admin_conn().await?;
        self.within("stopping replication", conn.query_drop("STOP REPLICA")).await?;
        self.within("forgetting the source", conn.query_drop("RESET REPLICA ALL")).await?;
        if self.spec().semi_sync.is_some() {
            let roles = "SET GLOBAL rpl_semi_sync_replica_enabled = OFF, GLOBAL rpl_semi_sync_source_enabled = ON";
            self.within("enabling semi-sync", conn.query_drop(roles)).await?;
        }
        self.within("accepting writes", conn.query_drop("SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF"))
            .await?;
        self.set_read_only(false);
        self.within("disconnecting", conn.disconnect()).await
    }
}

/// Ends the sessions that read a server's binlog, as far as that is done in a moment: one of them, be its reader long gone,
/// keeps a shutdown waiting for 10 s.
pub(super) async fn end_dumps(socket: &Path, admin: &Account) {
    let ended = timeout(DUMPS_DEADLINE, async {
        let opts = OptsBuilder::default()
            .socket(Some(socket.to_string_lossy()))
            .user(Some(&admin.user))
            .pass(Some(&admin.password));
        let mut conn = Conn::new(opts).await?;
        let dumps = "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'";
        loop {
            let ids: Vec<u64> = conn.query(dumps).await?;
            if ids.is_empty() {
                return conn.disconnect().await;
            }
            for id in ids {
                // It may have ended by itself.
                let _ = conn.query_drop(format!("KILL {id}")).await;
            }
            sleep(POLL).await;
        }
    });
    match ended.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "readers of the binlog are left to the shutdown"),
        Err(_) => tracing::debug!("readers of the binlog are left to the shutdown"),
    }
}

/// The lines of `SHOW REPLICA STATUS` that say whether it works.
struct ReplicaState {
    receiver: String,
    applier: String,
    errors: String,
}

impl ReplicaState {
    fn read(status: Option<&Row>) -> Self {
        let column =
            |name: &str| status.and_then(|row| row.get_opt::<String, _>(name)).and_then(Result::ok).unwrap_or_default();
        Self {
            receiver: column("Replica_IO_Running"),
            applier: column("Replica_SQL_Running"),
            errors: [column("Last_IO_Error"), column("Last_SQL_Error")].join(" ").trim().to_owned(),
        }
    }

    fn runs(&self) -> bool {
        self.receiver == "Yes" && self.applier == "Yes"
    }

    /// A thread that retries says `Connecting`; one that says `No` has given up.
    fn gave_up(&self) -> bool {
        (self.receiver == "No" || self.applier == "No") && !self.errors.is_empty()
    }
}

impl std::fmt::Display for ReplicaState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "receiver {}, applier {}: {}", self.receiver, self.applier, self.errors)
    }
}
