//! The server rows are read from: what it has, what it may have lost, and what of it can be seen.
//!
//! # Invariants
//! - [`Source::wait_visible`] is the barrier of design §4.1: *in `gtid_executed`* implies *visible to SELECT*; having
//!   received an event does not. Nothing else may stand in for it.
//! - It does not hold the other way round: locks fall at engine commit, before the GTID is in `gtid_executed`, so a SELECT may
//!   see more than that says, and with `binlog_order_commits=OFF` a transaction may be in it that builds upon one that is not
//!   yet. [`Source::covering`] is what a SELECT may have seen, and a set read from `gtid_executed` is a position to read on
//!   from only when the stream has passed all of what covers it (protocol-review, tests/it/model/seam.rs).
//! - A stream reads on only from a server that has everything that was read before ([`Source::check_history`]).

use std::time::Duration;

use crate::model::{DatabaseName, Gtid, GtidSet};
use crate::mysql::admin::{self, OWNED, Owned, Session};
use crate::mysql::wire::Wire;
use crate::mysql::{Address, quote};

use super::connect::Side;
use super::error::EngineError;
use super::fields;

/// What covers everything that `reader`, a connection to a source, has read: see [`Source::covering`].
pub async fn covering(reader: &mut Wire, label: &str) -> Result<GtidSet, EngineError> {
    let at = EngineError::at(label);
    let owned = reader.query_one(OWNED.as_bytes()).await.map_err(&at)?.unwrap_or_default();
    let text = |index: usize| owned.get(index).and_then(fields::text).unwrap_or_default();
    let owned = Owned::read(&text(0), &text(1)).ok_or(EngineError::Sidecar("gtid_owned of the source"))?;
    let seen = reader.query_one(b"SELECT @@global.gtid_executed").await.map_err(&at)?.unwrap_or_default();
    let executed: Option<GtidSet> = seen.first().map_or(Ok(None), |value| fields::parsed(value, "gtid_executed"))?;
    let mut covering = executed.unwrap_or_default();
    covering.union(&owned.own);
    Ok(covering)
}

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

    /// Everything whose effects a SELECT made before this may have shown: what is executed, and what is numbered and in the
    /// binlog but not executed yet.
    pub async fn covering(&mut self) -> Result<GtidSet, EngineError> {
        let owned = self.owned().await?;
        let mut covering = self.gtid_executed().await?;
        covering.union(&owned.own);
        Ok(covering)
    }

    /// The same with what others have numbered, as a replica's applier has from a transaction's start on: everything that
    /// may be missing before what a `gtid_executed` read earlier holds.
    pub async fn covering_all(&mut self) -> Result<GtidSet, EngineError> {
        let owned = self.owned().await?;
        let mut covering = self.gtid_executed().await?;
        covering.union(&owned.all);
        Ok(covering)
    }

    /// To be asked before what is executed: what becomes that in between is then in one of the two.
    async fn owned(&mut self) -> Result<Owned, EngineError> {
        admin::gtid_owned(&mut self.session).await.map_err(EngineError::at(&self.side.label))
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

    /// Refuses a server that lacks some of `known`, which was read before, or that no longer has the binlog we need from
    /// `position` on.
    pub async fn check_history(&mut self, position: &GtidSet, known: &GtidSet) -> Result<(), EngineError> {
        let state = admin::gtid_state(&mut self.session).await.map_err(EngineError::at(&self.side.label))?;
        if !known.is_subset(&state.executed) {
            // A replica that was just promoted, or that is read, may be a moment behind.
            let waited = admin::wait_for_executed_gtid_set(&mut self.session, known, BEHIND).await;
            if !waited.map_err(EngineError::at(&self.side.label))? {
                // What hangs in its commit was seen, and is not lost.
                let missing = known.minus(&self.covering_all().await?);
                if !missing.is_empty() {
                    return Err(EngineError::LostGtids { missing });
                }
            }
        }
        let missing = state.purged.minus(position);
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
