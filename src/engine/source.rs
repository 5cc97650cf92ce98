//! The server rows are read from: what it has, what it may have lost, and what of it can be seen.
//!
//! # Invariants
//! - [`Source::wait_visible`] is the barrier of design §4.1: *in `gtid_executed`* implies *visible to SELECT*; having
//!   received an event does not. Nothing else may stand in for it.
//! - A stream reads on only from a server that has everything that was read before ([`Source::check_history`]).

use std::time::Duration;

use crate::model::{DatabaseName, Gtid, GtidSet};
use crate::mysql::admin::{self, Session};
use crate::mysql::{Address, quote};

use super::checkpoint::Checkpoint;
use super::connect::Side;
use super::error::EngineError;

/// How long a received transaction may stay invisible (semi-sync without an acknowledgement) before we say so.
const VISIBLE: Duration = Duration::from_secs(30);

/// How long a server may lack what was read from another before it counts as lost.
const BEHIND: Duration = Duration::from_secs(10);

/// A connection to the source for questions about the server as a whole.
#[derive(Debug)]
pub struct Source {
    /// The end it is.
    pub side: Side,
    /// `@@server_uuid`.
    pub uuid: String,
    session: Session,
}

impl Source {
    /// Connects, and refuses a server that may forget commits unless that is allowed.
    pub async fn connect(side: &Side, allow_unsafe: bool) -> Result<Self, EngineError> {
        let mut session = side.session().await?;
        let ask = "SELECT @@server_uuid, @@sync_binlog, @@innodb_flush_log_at_trx_commit";
        let row = session.row(ask).await.map_err(EngineError::at(&side.label))?;
        let row = row.ok_or(EngineError::Sidecar("the source answered a settings query with nothing"))?;
        let cures = ["sync_binlog=1", "innodb_flush_log_at_trx_commit=1"];
        for (index, cure) in cures.into_iter().enumerate() {
            let value = row.text(index + 1).unwrap_or_default();
            if value != "1" && !allow_unsafe {
                let name = cure.trim_end_matches("=1");
                return Err(EngineError::UnsafeSource { setting: format!("{name}={value}"), cure });
            }
        }
        Ok(Self { side: side.clone(), uuid: row.text(0).unwrap_or_default(), session })
    }

    /// Its address.
    pub fn address(&self) -> &Address {
        self.session.address()
    }

    /// The connection, for reading its schema.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The name of the schema as the server stores it, which is how its binlog writes it.
    pub async fn database_as_stored(&mut self) -> Result<DatabaseName, EngineError> {
        let wanted = self.side.database.clone();
        let name = quote::text(wanted.as_str());
        let ask = format!("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {name}");
        let found = self.session.value(&ask).await.map_err(EngineError::at(&self.side.label))?;
        let stored = found
            .and_then(|name| DatabaseName::new(name).ok())
            .ok_or(EngineError::NoDatabase { side: self.side.label.clone(), database: wanted })?;
        self.side.database = stored.clone();
        Ok(stored)
    }

    /// Everything committed there.
    pub async fn gtid_executed(&mut self) -> Result<GtidSet, EngineError> {
        let state = admin::gtid_state(&mut self.session).await.map_err(EngineError::at(&self.side.label))?;
        Ok(state.executed)
    }

    /// After how long its binlogs may be purged; `None` for never.
    pub async fn retention(&mut self) -> Result<Option<Duration>, EngineError> {
        admin::retention(&mut self.session).await.map_err(EngineError::at(&self.side.label))
    }

    /// The server's clock, microseconds since 1970 UTC.
    pub async fn clock_us(&mut self) -> Result<u64, EngineError> {
        let ask = "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS UNSIGNED)";
        let row = self.session.row(ask).await.map_err(EngineError::at(&self.side.label))?;
        Ok(row.and_then(|row| row.number(0)).unwrap_or(0))
    }

    /// Waits until a SELECT on this server sees everything in `set`.
    pub async fn wait_visible(&mut self, set: &GtidSet) -> Result<(), EngineError> {
        if set.is_empty() {
            return Ok(());
        }
        let waited = admin::wait_for_executed_gtid_set(&mut self.session, set, VISIBLE).await;
        match waited.map_err(EngineError::at(&self.side.label))? {
            true => Ok(()),
            false => {
                let what =
                    "waiting for received transactions to be committed on the source (semi-sync without a replica?)";
                Err(EngineError::Timeout { what, seconds: VISIBLE.as_secs() })
            }
        }
    }

    /// Refuses a server that lacks what was read before, or that no longer has the binlog we need.
    pub async fn check_history(&mut self, checkpoint: &Checkpoint) -> Result<(), EngineError> {
        let state = admin::gtid_state(&mut self.session).await.map_err(EngineError::at(&self.side.label))?;
        let mut known = checkpoint.position.clone();
        known.union(&checkpoint.ceiling);
        if !known.is_subset(&state.executed) {
            // A replica that was just promoted, or that is read, may be a moment behind.
            let waited = admin::wait_for_executed_gtid_set(&mut self.session, &known, BEHIND).await;
            if !waited.map_err(EngineError::at(&self.side.label))? {
                let executed = self.gtid_executed().await?;
                return Err(EngineError::LostGtids { missing: known.minus(&executed) });
            }
        }
        let missing = state.purged.minus(&checkpoint.position);
        if !missing.is_empty() {
            return Err(EngineError::Purged { missing });
        }
        Ok(())
    }

    /// Whether the binlog that holds the transaction is gone there.
    pub async fn has_purged(&mut self, gtid: &Gtid) -> Result<bool, EngineError> {
        let state = admin::gtid_state(&mut self.session).await.map_err(EngineError::at(&self.side.label))?;
        Ok(state.purged.contains(gtid))
    }

    /// Refuses while prepared XA transactions hide rows: they are in `gtid_executed` and yet invisible. To be asked after the
    /// stream's first position was read and before its first chunk is: one that is prepared later is met in the binlog,
    /// where it stops the stream if it touches a moved table.
    pub async fn check_xa(&mut self) -> Result<(), EngineError> {
        let prepared = admin::xa_recover(&mut self.session).await.map_err(EngineError::at(&self.side.label))?;
        match prepared.first() {
            None => Ok(()),
            Some(first) => Err(EngineError::PreparedXa { count: prepared.len(), first: first.xid.clone() }),
        }
    }
}
