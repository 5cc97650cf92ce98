//! What statements are counted as. Pure.

use crate::gateway::sql::{Dml, Kind};
use crate::metrics::Verb;

/// What a statement of this kind counts as.
pub(super) fn verb(kind: &Kind) -> Verb {
    match kind {
        Kind::Query => Verb::Select,
        Kind::Dml(Dml::Insert) => Verb::Insert,
        Kind::Dml(Dml::Replace) => Verb::Replace,
        Kind::Dml(Dml::Update) => Verb::Update,
        Kind::Dml(Dml::Delete) => Verb::Delete,
        Kind::Dml(Dml::LoadData { .. } | Dml::LoadXml { .. }) => Verb::Load,
        Kind::Call | Kind::Do => Verb::Call,
        Kind::Ddl(_) | Kind::CreateTemporary | Kind::DropTemporary | Kind::TableAdmin => Verb::Ddl,
        Kind::Show(_) | Kind::Describe | Kind::Explain { .. } | Kind::Diagnostics | Kind::Help => Verb::Show,
        Kind::Set(_) | Kind::SetTransaction { .. } | Kind::SetRole => Verb::Set,
        Kind::Commit { .. } | Kind::Rollback { .. } | Kind::Savepoint | Kind::RollbackTo | Kind::ReleaseSavepoint => {
            Verb::Transaction
        }
        Kind::Begin { .. } | Kind::Xa(_) => Verb::Transaction,
        Kind::Prepare { .. } | Kind::Execute { .. } | Kind::Deallocate { .. } => Verb::Prepare,
        _ => Verb::Other,
    }
}
