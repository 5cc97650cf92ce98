//! Sessions that work on a fence: they wait little, they do not outlive their engine for long, and a successor can end them.

use std::time::Duration;

use crate::engine::EngineError;
use crate::mysql::MysqlError;
use crate::mysql::admin::{OWNER_SLOTS, Session, hold_owner_lock, kill_owner_sessions};

use super::{Fence, FenceError};

const CONNECT: Duration = Duration::from_secs(5);
/// A statement that does not wait for a lock is done by then, or the server is ill.
pub const STATEMENT: Duration = Duration::from_secs(10);
/// How long the sessions of a former owner may take to end.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// What a session may hold while its engine says nothing any more; by that, how long the server keeps it.
#[derive(Debug, Clone, Copy)]
pub enum Silence {
    /// The fence's row, for which every writer waits.
    Row,
    /// Tables' metadata, for which DDL waits.
    Tables,
    /// Nothing between statements.
    Nothing,
}

impl Silence {
    fn seconds(self) -> u32 {
        match self {
            Self::Row => 3,
            Self::Tables => 30,
            Self::Nothing => 3600,
        }
    }
}

impl Fence {
    /// A marked session whose waits for locks end after a second, the shortest the server knows.
    pub(super) async fn session(&self, silence: Silence) -> Result<Session, FenceError> {
        let mut session = Session::open(&self.side.login, CONNECT).await.map_err(|error| self.server(error))?;
        session.set_limit(STATEMENT);
        let seconds = silence.seconds();
        let setup = format!(
            "SET lock_wait_timeout = 1, innodb_lock_wait_timeout = 1, transaction_isolation = 'READ-COMMITTED', \
             wait_timeout = {seconds}"
        );
        session.execute(&setup).await.map_err(|error| self.server(error))?;
        let first: u32 = rand::random_range(0..OWNER_SLOTS);
        for slot in (0..OWNER_SLOTS).map(|n| (first + n) % OWNER_SLOTS) {
            let marked = session.value(&hold_owner_lock(&self.owner(), slot)).await;
            if marked.map_err(|error| self.server(error))?.as_deref() == Some("1") {
                return Ok(session);
            }
        }
        Err(self.wrap(EngineError::Slot { slot: first }))
    }

    /// A session for other work of the owner's on the fence's server, which [`take_over`] ends like the fence's own.
    pub async fn working_session(&self) -> Result<Session, FenceError> {
        self.session(Silence::Nothing).await
    }

    /// What its sessions are marked with.
    fn owner(&self) -> String {
        format!("fence/{}", self.key.uid.simple())
    }

    /// An error of its server's.
    pub(super) fn server(&self, error: MysqlError) -> FenceError {
        self.wrap(EngineError::at(&self.side.label)(error))
    }

    pub(super) fn wrap(&self, source: EngineError) -> FenceError {
        FenceError::Server { workflow: self.workflow.clone(), source }
    }
}

/// Ends every session that works on the workflow's fences there, whoever opened it: what an earlier owner left behind must
/// not take effect later (protocol-review A7). For whoever takes the workflow over, before anything else; how many there were.
pub async fn take_over(fence: &Fence) -> Result<usize, FenceError> {
    let mut session = Session::open(&fence.side.login, CONNECT).await.map_err(|error| fence.server(error))?;
    session.set_limit(STATEMENT);
    let killed = kill_owner_sessions(&mut session, &fence.owner(), KILL_WAIT).await;
    session.close().await;
    killed.map_err(|error| fence.server(error))
}
