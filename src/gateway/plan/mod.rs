//! What statements on a sharded keyspace ask of its shards. Pure: text, VSchema and columns in, [`Plan`] out; then values and
//! shards in, [`Parts`](bind::Parts) out.
//!
//! A plan does not depend on the values in the text, so that it is kept for all texts that differ in values only. It says by
//! which values rows are found ([`Group`]), and what has to be made of several shards' answers ([`Spread`]).
//!
//! Invariants:
//! - A statement goes to every shard that may have rows it is about, and what is answered is what one server with all rows
//!   would answer; else it is refused with the reason.
//! - A row is written only to the shard of its keyspace id.
//! - Texts are changed by splicing; the parser's tree is never printed, nor walked where its depth might not fit ([`depth`]).

pub mod bind;
pub mod blocks;
pub mod cache;
pub mod catalog;
mod depth;
pub mod insert;
pub mod keys;
pub mod query;
pub mod same;
pub mod select;
pub mod spread;
pub mod text;
pub mod value;
pub mod write;

#[cfg(test)]
mod tests;

use crate::gateway::sql::{Dml, Kind, Statement};

pub use self::bind::{Part, Parts};
pub use self::catalog::{Catalog, Column, TableColumns};
pub use self::keys::Group;
pub use self::spread::Spread;
pub use self::text::Text;
pub use self::value::{Bound, Value, Values};

/// A statement's plan.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is done.
    pub work: Work,
    /// Whether it is good for all texts of the same key.
    pub cacheable: bool,
}

/// What a statement does.
#[derive(Debug, Clone)]
pub enum Work {
    /// It reads rows: these must all be found on one shard, or be spread.
    Read {
        /// By what rows are found.
        groups: Vec<Group>,
        /// How several shards' answers become one, or why they cannot.
        spread: Result<Box<Spread>, String>,
    },
    /// It changes or deletes rows.
    Write {
        /// By what rows are found.
        groups: Vec<Group>,
        /// Whether it may run on several shards, or why not.
        spread: Result<(), String>,
        /// Assigned keys, which must not lead elsewhere.
        assigned: Option<keys::Finder>,
        /// All shards have the same rows; what one says is the answer.
        everywhere: bool,
    },
    /// It adds rows.
    Insert(Box<insert::Insert>),
    /// It is about no rows of its own, or about the same on every shard.
    Anywhere,
}

/// Plans a statement. An error says why it is refused.
pub fn plan(statement: &Statement, text: &Text<'_>, catalog: &Catalog<'_>) -> Result<Plan, String> {
    if !text.closed {
        return Err("a quote in it has no end".into());
    }
    depth::with_room(text, || by_kind(statement, text, catalog))
}

fn by_kind(statement: &Statement, text: &Text<'_>, catalog: &Catalog<'_>) -> Result<Plan, String> {
    match &statement.kind {
        Kind::Dml(Dml::Insert | Dml::Replace) => insert::plan(statement, text, catalog),
        Kind::Query => query::plan(statement, text, catalog),
        Kind::Dml(Dml::Update | Dml::Delete) => write::plan(statement, text, catalog),
        Kind::Dml(Dml::LoadData { .. } | Dml::LoadXml { .. }) => {
            Err("LOAD DATA does not spread rows over shards; send them with INSERT, or load each shard's by itself"
                .into())
        }
        Kind::Explain { analyze: false } | Kind::Describe | Kind::Show(_) => {
            Ok(Plan { work: Work::Anywhere, cacheable: false })
        }
        Kind::Ddl(_) | Kind::TableAdmin => {
            Err(format!("a table is defined on all shards or none; use `shardlift schema apply {}`", catalog.keyspace))
        }
        Kind::Call => Err("what a procedure does cannot be seen; name the shard with `use`".into()),
        _ => Err("it is not spread over shards; name the shard with `use`".into()),
    }
}
