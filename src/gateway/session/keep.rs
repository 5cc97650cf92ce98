//! Why a session must not give its connection back: what it has made there lives in that connection only. Pure.

use std::collections::BTreeSet;

use crate::gateway::sql::{Handler, Kind, Scope, Statement, Xa};
use crate::mysql::wire::relay::{Outcome, Relayed};

/// The reasons, each until what it names is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// Names of user variables in use.
    pub variables: BTreeSet<String>,
    /// Prepared statements with a cursor open or long data sent, by their ids towards the client.
    pub statements: BTreeSet<u32>,
    /// LOCK TABLES, FLUSH TABLES WITH READ LOCK, LOCK INSTANCE.
    table_locks: bool,
    /// An XA transaction that is not over.
    xa: bool,
    /// GET_LOCK and its like: until the session is reset.
    named_locks: bool,
    /// Temporary tables, named locks, handlers, PREPARE in SQL, what a procedure may have left, or something that only the
    /// server knows of: until the session is reset.
    for_good: bool,
}

impl Keep {
    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.table_locks || self.xa || self.for_good || !self.variables.is_empty() || !self.statements.is_empty()
    }

    /// Whether tables are locked, or an XA transaction is under way.
    pub fn locks_tables(&self) -> bool {
        self.table_locks || self.xa
    }

    /// Whether an XA transaction is under way.
    pub fn in_xa(&self) -> bool {
        self.xa
    }

    /// Whether there may be named locks.
    pub fn locks_names(&self) -> bool {
        self.named_locks
    }

    /// What a statement leaves behind.
    pub fn learn(&mut self, statement: &Statement, sql: &[u8], relayed: &Relayed) {
        let uses = &statement.uses;
        // One that fails may have assigned variables and taken locks before.
        self.variables.extend(uses.variables_assigned.iter().cloned());
        self.for_good |= uses.advisory_locks || statement.kind == Kind::Call;
        self.named_locks |= uses.advisory_locks;
        if matches!(relayed.outcome, Outcome::Failed { .. }) {
            return;
        }
        match &statement.kind {
            Kind::LockTables | Kind::FlushTablesWithLock | Kind::LockInstance => self.table_locks = true,
            Kind::UnlockTables | Kind::UnlockInstance => self.table_locks = false,
            Kind::Xa(Xa::Commit | Xa::Rollback) => self.xa = false,
            Kind::Xa(Xa::Recover) => {}
            Kind::Xa(_) => self.xa = true,
            Kind::CreateTemporary | Kind::Handler(Handler::Open) | Kind::Prepare { .. } | Kind::SetRole => {
                self.for_good = true
            }
            Kind::Set(assignments) => {
                // `@@transaction_isolation` without a scope is for the next transaction only, and not reported.
                let named =
                    assignments.iter().any(|one| one.scope == Scope::Session && one.name.starts_with("transaction_"));
                let bare = sql.to_ascii_lowercase().windows(13).any(|window| window == b"@@transaction");
                self.for_good |= named && bare;
            }
            kind => {
                // Something changed that nothing here accounts for.
                let known = !uses.variables_assigned.is_empty()
                    || matches!(kind, Kind::DropTemporary | Kind::Deallocate { .. } | Kind::Execute { .. });
                self.for_good |= relayed.state_changed && !known;
            }
        }
    }

    /// Something that cannot be told from the statement.
    pub fn for_good(&mut self) {
        self.for_good = true;
    }
}
