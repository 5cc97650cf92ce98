//! Why a session must not give its connection back: what it has made there lives in that connection only. Pure.

use std::collections::BTreeSet;

use crate::gateway::sql::{Handler, Kind, Scope, Statement, TransactionScope, Xa};
use crate::mysql::wire::relay::Relayed;

/// The reasons, each until what it names is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// Names of user variables in use.
    pub variables: BTreeSet<String>,
    /// Prepared statements with a cursor open or long data sent, by their ids towards the client.
    pub statements: BTreeSet<u32>,
    /// SET TRANSACTION for the next transaction only.
    next_transaction: bool,
    /// LOCK TABLES, FLUSH TABLES WITH READ LOCK, LOCK INSTANCE.
    table_locks: bool,
    /// An XA transaction that is not over.
    xa: bool,
    /// Temporary tables, named locks, handlers, PREPARE in SQL, or something that only the server knows of: until the
    /// session is reset.
    for_good: bool,
}

impl Keep {
    /// Whether there is any.
    pub fn any(&self) -> bool {
        let flags = self.next_transaction || self.table_locks || self.xa || self.for_good;
        flags || !self.variables.is_empty() || !self.statements.is_empty()
    }

    /// What a statement that succeeded leaves behind.
    pub fn learn(&mut self, statement: &Statement, relayed: &Relayed) {
        let uses = &statement.uses;
        self.variables.extend(uses.variables_assigned.iter().cloned());
        self.for_good |= uses.advisory_locks;
        match &statement.kind {
            Kind::LockTables | Kind::FlushTablesWithLock | Kind::LockInstance => self.table_locks = true,
            Kind::UnlockTables | Kind::UnlockInstance => self.table_locks = false,
            Kind::Xa(Xa::Commit | Xa::Rollback) => self.xa = false,
            Kind::Xa(Xa::Recover) => {}
            Kind::Xa(_) => self.xa = true,
            Kind::CreateTemporary | Kind::Handler(Handler::Open) | Kind::Prepare { .. } | Kind::SetRole => self.for_good = true,
            Kind::SetTransaction { scope: TransactionScope::Next } => self.next_transaction = true,
            // Only the statement's own words can tell `@@transaction_isolation`, for the next transaction, from the session's.
            Kind::Set(assignments) => {
                let next = |name: &str| name.starts_with("transaction_");
                self.next_transaction |= assignments.iter().any(|one| one.scope == Scope::Session && next(&one.name));
            }
            _ => {
                self.next_transaction = false;
                // Something changed that nothing above accounts for, as in a procedure.
                let told = !relayed.changed.is_empty() || relayed.schema.is_some();
                let known = !uses.variables_assigned.is_empty()
                    || matches!(statement.kind, Kind::DropTemporary | Kind::Deallocate { .. } | Kind::Execute { .. });
                self.for_good |= relayed.state_changed && !told && !known;
            }
        }
    }

    /// Something that cannot be told from the statement.
    pub fn for_good(&mut self) {
        self.for_good = true;
    }
}
