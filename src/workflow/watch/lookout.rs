//! Looking at the closed side's binlog from the closing of its fence to the commit, so that a stranger's change undoes the
//! switch.
//!
//! The connection is made before the pause and left unread until F is known: reading begins within the pause, and has only
//! what was written in between to get through.

use std::sync::{Arc, OnceLock};

use tokio_util::task::AbortOnDropHandle;

use crate::engine::EngineError;
use crate::model::GtidSet;
use crate::mysql::admin::gtid_state;
use crate::mysql::binlog::BinlogReader;
use crate::mysql::binlog::outline::{Glance, Outliner};
use crate::workflow::fence::Fence;

use super::judge::Judge;

/// A binlog that is going to be looked at.
#[derive(Debug)]
pub struct Lookout {
    label: String,
    judge: Judge,
    reader: BinlogReader<Outliner>,
}

/// One that is. Dropping it ends it.
#[derive(Debug)]
pub struct Watcher {
    found: Arc<OnceLock<String>>,
    _task: AbortOnDropHandle<()>,
}

impl Lookout {
    /// Connects; what is written from now on will be looked at.
    pub async fn prepare(fence: &Fence) -> Result<Self, EngineError> {
        let at = EngineError::at(&fence.side.label);
        let mut session = fence.side.session().await?;
        let case = session.row("SELECT @@global.lower_case_table_names").await.map_err(&at)?;
        let judge = Judge::new(fence, case.and_then(|row| row.number(0)).unwrap_or_default());
        let executed = gtid_state(&mut session).await.map_err(&at)?.executed;
        session.close().await;
        let reader = BinlogReader::outlines(fence.side.binlog().await?, &executed).await?;
        Ok(Self { label: fence.side.label.clone(), judge, reader })
    }

    /// Looks at whatever comes that is not in `drained`.
    pub fn begin(self, drained: GtidSet) -> Watcher {
        let Self { label, judge, mut reader } = self;
        let found = Arc::<OnceLock<String>>::default();
        let seen = found.clone();
        let look = async move {
            loop {
                match reader.next().await {
                    Ok(Glance::Txn(txn)) if !drained.contains(&txn.gtid) => {
                        if let Some(did) = judge.stranger(&txn) {
                            let _ = seen.set(told(&label, &txn.gtid.to_string(), &did));
                            return;
                        }
                    }
                    Ok(_) => {}
                    // Whoever watches after the commit begins where this did.
                    Err(error) => return tracing::warn!(side = label, %error, "the closed side is not looked at"),
                }
            }
        };
        Watcher { found, _task: AbortOnDropHandle::new(tokio::spawn(look)) }
    }
}

impl Watcher {
    /// What was seen.
    pub fn found(&self) -> Option<&str> {
        self.found.get().map(String::as_str)
    }
}

/// What a stranger did, in words.
pub fn told(side: &str, gtid: &str, did: &str) -> String {
    format!("{side}: although the tables are closed there, transaction {gtid} {did}")
}
