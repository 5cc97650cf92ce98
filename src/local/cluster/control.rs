//! A cluster seen and stopped from another process than the one that started it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::try_join_all;
use rustix::process::Signal;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::folder::{ClusterState, ServerMark, refuse, try_lock};
use super::mark::ProcessMark;
use super::secrets::Secrets;
use crate::local::LocalError;
use crate::local::replica::end_dumps;
use crate::model::workflow::TabletType;

const STOP_DEADLINE: Duration = Duration::from_secs(60);
const KILL_DEADLINE: Duration = Duration::from_secs(20);
/// Whoever holds the folder may be starting servers, or stopping them one after the other.
const LOCK_DEADLINE: Duration = Duration::from_secs(180);
const LOCK_POLL: Duration = Duration::from_millis(50);
const ASK_DEADLINE: Duration = Duration::from_secs(1);

/// Whether a server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// Runs and accepts connections.
    Running,
    /// Its process runs, but nothing listens on its port.
    Silent,
    /// It was running and has ended by itself.
    Died,
    /// At rest.
    Stopped,
}

/// One server of a local cluster.
#[derive(Debug, Clone, Serialize)]
pub struct ServerStatus {
    /// The tablet's alias, or `etcd`.
    pub name: String,
    /// Keyspace and shard of a tablet.
    pub shard: Option<String>,
    /// Type of a tablet, as the topology had it at the last start.
    #[serde(rename = "type")]
    pub tablet_type: Option<TabletType>,
    /// Whether it runs.
    pub state: ServerState,
    /// Process id while it runs.
    pub pid: Option<u32>,
    /// TCP port on 127.0.0.1.
    pub port: u16,
    /// Unix socket while it runs.
    pub socket: Option<PathBuf>,
}

/// The servers of the cluster in `dir`.
pub async fn status(dir: &Path) -> Result<Vec<ServerStatus>, LocalError> {
    let state = read(dir)?;
    let mut servers = Vec::with_capacity(state.members.len() + 1);
    for member in state.members {
        let shard = format!("{}/{}", member.keyspace.name, member.shard);
        let (name, tablet_type) = (member.alias.to_string(), Some(member.tablet_type));
        servers.push(look(name, Some(shard), tablet_type, member.port, member.server).await);
    }
    if let Some(etcd) = state.etcd {
        servers.push(look("etcd".into(), None, None, etcd.client, etcd.server).await);
    }
    Ok(servers)
}

async fn look(
    name: String,
    shard: Option<String>,
    tablet_type: Option<TabletType>,
    port: u16,
    mark: Option<ServerMark>,
) -> ServerStatus {
    let alive = mark.as_ref().filter(|mark| mark.process.is_alive());
    let state = match (&mark, alive) {
        (None, _) => ServerState::Stopped,
        (Some(_), None) => ServerState::Died,
        (Some(_), Some(_)) => match timeout(ASK_DEADLINE, TcpStream::connect(("127.0.0.1", port))).await {
            Ok(Ok(_)) => ServerState::Running,
            _ => ServerState::Silent,
        },
    };
    let (pid, socket) = (alive.map(|mark| mark.process.pid), alive.and_then(|mark| mark.socket.clone()));
    ServerStatus { name, shard, tablet_type, state, pid, port, socket }
}

/// Stops the cluster in `dir`, replicas first; how many servers were running. The data stays.
///
/// One that a foreground `local up` keeps is stopped by that process, which is asked to.
pub async fn down(dir: &Path) -> Result<usize, LocalError> {
    let dir = std::path::absolute(dir).map_err(LocalError::io("resolve", dir))?;
    let running = read(&dir)?.alive().count();
    let until = Instant::now() + LOCK_DEADLINE;
    let mut asked = false;
    let _lock = loop {
        if let Some(lock) = try_lock(&dir)? {
            break lock;
        }
        if let (false, Some(keeper)) = (asked, read(&dir)?.keeper) {
            asked = keeper.signal(Signal::TERM)?;
        }
        if Instant::now() > until {
            let doing = format!("waiting for the process that holds {}", dir.display());
            return Err(LocalError::Timeout { doing, after: LOCK_DEADLINE });
        }
        sleep(LOCK_POLL).await;
    };
    let state = read(&dir)?;
    let engine = Secrets::read(&dir)?.engine;
    let of_type = |primary: bool| {
        let members = state.members.iter().filter(move |m| (m.tablet_type == TabletType::Primary) == primary);
        let running = members.filter_map(|m| m.server.as_ref()).filter(|server| server.process.is_alive());
        try_join_all(running.map(|server| async {
            if let Some(socket) = &server.socket {
                end_dumps(socket, &engine).await;
            }
            stop(&server.process).await
        }))
    };
    of_type(false).await?;
    of_type(true).await?;
    if let Some(server) = state.etcd.as_ref().and_then(|etcd| etcd.server.as_ref()) {
        stop(&server.process).await?;
    }
    ClusterState::at_rest(&dir)?;
    Ok(running)
}

async fn stop(process: &ProcessMark) -> Result<(), LocalError> {
    // A paused process does not hear SIGTERM.
    if !process.signal(Signal::TERM)? || !process.signal(Signal::CONT)? || process.ends_within(STOP_DEADLINE).await {
        return Ok(());
    }
    tracing::warn!(process.pid, "did not stop within {} s; killing it", STOP_DEADLINE.as_secs());
    if !process.signal(Signal::KILL)? || process.ends_within(KILL_DEADLINE).await {
        return Ok(());
    }
    Err(LocalError::Timeout { doing: format!("killing process {}", process.pid), after: KILL_DEADLINE })
}

fn read(dir: &Path) -> Result<ClusterState, LocalError> {
    let missing = || {
        let why = format!("there is no local cluster; `shardlift local up --dir {}` makes one", dir.display());
        refuse(dir, why)
    };
    ClusterState::read(dir)?.ok_or_else(missing)
}
