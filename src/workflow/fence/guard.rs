//! Holding off DDL while a fence is closed (protocol-review A13): TRUNCATE, DROP, RENAME and ALTER do not fire triggers.
//!
//! An open transaction that has read a table, if only no row of it, holds its metadata: DDL waits, row changes do not.

use futures_util::future::{join_all, try_join_all};

use crate::mysql::admin::{Session, open_transactions};
use crate::mysql::quote;

use super::session::Silence;
use super::{Fence, FenceError, patience};

/// One session per fence with such a transaction. Dropping it ends them.
#[derive(Debug)]
pub struct Guard {
    sessions: Vec<(Fence, Session)>,
}

impl Guard {
    /// Takes every table of `fences`. Only what is [checked](super::check) after this stays as it was found.
    pub async fn take(fences: &[Fence]) -> Result<Self, FenceError> {
        Ok(Self { sessions: try_join_all(fences.iter().map(take)).await? })
    }

    /// Whether the transactions are still open; asking also keeps the server from ending them.
    pub async fn still_there(&mut self) -> Result<(), FenceError> {
        let asked = self
            .sessions
            .iter_mut()
            .map(|(fence, session)| async { session.execute("DO 1").await.map_err(|error| fence.server(error)) });
        try_join_all(asked).await.map(drop)
    }

    /// Lets go, and returns when that is done.
    pub async fn release(self) {
        join_all(self.sessions.into_iter().map(|(_, session)| session.close())).await;
    }
}

async fn take(fence: &Fence) -> Result<(Fence, Session), FenceError> {
    let mut session = fence.session(Silence::Tables).await?;
    session.execute("START TRANSACTION").await.map_err(|error| fence.server(error))?;
    for table in &fence.tables {
        let touch = format!("SELECT 1 FROM {} LIMIT 0", quote::table_name(&fence.side.database, table));
        match session.execute(&touch).await {
            Ok(_) => {}
            Err(error) if patience::is_wait(&error) => {
                let (workflow, side) = (fence.workflow.clone(), fence.side.label.clone());
                let blockers = open_transactions(&mut session, std::time::Duration::ZERO).await.unwrap_or_default();
                let (table, waited) = (table.clone(), std::time::Duration::from_secs(1));
                return Err(FenceError::Blocked { workflow, side, table, waited, blockers });
            }
            Err(error) => return Err(fence.server(error)),
        }
    }
    Ok((fence.clone(), session))
}
