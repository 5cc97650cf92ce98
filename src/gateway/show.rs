//! SHOW statements the gateway answers itself, with Vitess's columns in Vitess's order. Pure.
//!
//! Sources: vitess `planbuilder/show.go`, `executor.go` (`ShowTablets`, `ShowShards`, `ShowVitessReplicationStatus`). Unlike
//! there, LIKE does not depend on case, as in MySQL, and a WHERE is refused instead of being passed over.

mod like;
mod listings;
mod tablets;

pub use self::like::Like;
use super::backend::health::Health;
use super::route::Refusal;
use super::sql::{Filter, Kind, Show, Statement};
use super::view::{Tablet, View};
use crate::sharding::Target;

/// What is known of a tablet's server, if anything.
pub type Seen<'a> = &'a dyn Fn(&Tablet) -> Option<Health>;

/// A result: columns of VARCHAR NOT NULL, and rows with a value for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The columns' names.
    pub columns: &'static [&'static str],
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

/// Answers a SHOW that is not the server's to answer; `None` for all other statements.
pub fn answer(statement: &Statement, view: &View, target: &Target, seen: Seen<'_>) -> Option<Result<Answer, Refusal>> {
    let Kind::Show(show) = &statement.kind else { return None };
    let filtered = |filter: &Option<Filter>, list: &dyn Fn(&Like) -> Answer| match filter {
        None => Ok(list(&Like::any())),
        Some(Filter::Like(pattern)) => Ok(list(&Like::new(pattern))),
        Some(Filter::Where(_)) => {
            Err(Refusal::unsupported("WHERE is not supported in this statement; use LIKE".into()))
        }
    };
    Some(match show {
        Show::Databases { filter } => filtered(filter, &|like| listings::databases(view, like)),
        Show::Keyspaces { filter } => filtered(filter, &|like| listings::keyspaces(view, like)),
        Show::VschemaTables => listings::vschema_tables(view, target),
        Show::VschemaKeyspaces => Ok(listings::vschema_keyspaces(view)),
        Show::VschemaVindexes => Ok(listings::vschema_vindexes(view, target)),
        Show::Vitess { name, filter } => match name.as_str() {
            "vitess_keyspaces" => filtered(filter, &|like| listings::keyspaces(view, like)),
            "vitess_shards" => filtered(filter, &|like| listings::shards(view, target.tablet_type, like)),
            "vitess_tablets" => filtered(filter, &|like| tablets::tablets(view, seen, like)),
            "vitess_replication_status" => filtered(filter, &|like| tablets::replication_status(view, seen, like)),
            "vitess_target" => Ok(listings::target(target)),
            other => Err(Refusal::unsupported(format!(
                "SHOW {} is not supported; these are: vitess_keyspaces, vitess_replication_status, vitess_shards, \
                 vitess_tablets, vitess_target",
                other.to_uppercase()
            ))),
        },
        Show::Tables { .. } | Show::Other { .. } => return None,
    })
}

#[cfg(test)]
mod tests;
