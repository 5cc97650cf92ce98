//! Which tablet a statement goes to, and how its text must change for it. Pure: View, session and statement in, decision out.
//!
//! Invariants:
//! - Every table is sought through the routing rules, unless the session names a shard; a statement goes to one tablet that
//!   has them all, or is refused. It is never sent to where a table used to be.
//! - In a keyspace whose rows are spread over shards it goes to those that may have its rows ([`spread`]).
//! - What is not understood well enough ([`Statement::certain`]) goes only where the session already is, and only if it
//!   names no table that rules lead away from there.
//! - To tablets other than primaries goes nothing that is known to write or to lock.
//! - Clients know keyspaces, servers know schemas; every name of a keyspace in a statement's text is translated.

mod database;
mod permit;
mod place;
mod prepare;
mod refusal;
mod sequences;
mod show_tables;
mod spread;
mod tablets;
mod target;
mod tokens;

use std::fmt;
use std::sync::Arc;

pub use self::refusal::Refusal;
pub use self::sequences::tablet_of_sequence;
pub use self::spread::{Columns, Spreading, Wanted};
pub use self::target::{check_target, parse_target};
use super::plan::bind::Answer;
use super::sql::{Edit, SqlMode, Statement};
use super::view::{Keyspace, Serving, Shard, Tablet, View};
use crate::model::KeyspaceName;
use crate::sharding::Target;

/// Why a tablet should get no reads now, if so; asked of tablets that are no primaries.
pub type Fitness<'a> = &'a dyn Fn(&Tablet) -> Result<(), String>;

/// What a decision rests on besides the statement.
#[derive(Clone, Copy)]
pub struct Router<'a> {
    /// The cluster.
    pub view: &'a View,
    /// The state of its servers.
    pub health: Fitness<'a>,
    /// What the session is aimed at.
    pub target: &'a Target,
    /// How its text is read.
    pub mode: SqlMode,
    /// Any number; it decides among tablets that serve equally well.
    pub seed: usize,
    /// What is needed where rows are spread over shards; without it what is about rows is refused there.
    pub spreading: Option<Spreading<'a>>,
}

impl fmt::Debug for Router<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { view, target, mode, seed, health: _, spreading: _ } = self;
        let mut shown = f.debug_struct("Router");
        shown.field("revision", &view.revision).field("target", target).field("mode", mode).field("seed", seed);
        shown.finish_non_exhaustive()
    }
}

/// Where a statement goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The tablet; its record names keyspace and shard.
    pub tablet: Arc<Tablet>,
    /// Others that would do, with the same schema name, in the order to try them.
    pub others: Vec<Arc<Tablet>>,
    /// What to change in the text.
    pub edits: Vec<Edit>,
}

/// Where a statement goes: to one shard, or several.
#[derive(Debug, Clone)]
pub enum Destination {
    /// One.
    One(Stop),
    /// Several, whose answers become one.
    Several(Several),
}

impl Destination {
    /// The first tablet.
    pub fn first(&self) -> Option<&Route> {
        match self {
            Self::One(stop) => Some(&stop.route),
            Self::Several(several) => several.stops.first().map(|stop| &stop.route),
        }
    }
}

/// A shard's tablet on a statement's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The tablet, and the text for it.
    pub route: Route,
    /// The parameters that are sent, by their number; all of them where it does not say.
    pub kept: Option<Vec<usize>>,
}

/// Several shards.
#[derive(Debug, Clone)]
pub struct Several {
    /// Their keyspace.
    pub keyspace: KeyspaceName,
    /// Each, with its text; in the order of their ranges.
    pub stops: Vec<Stop>,
    /// What is made of their answers.
    pub answer: Answer,
}

impl<'a> Router<'a> {
    /// Decides on one statement that goes to one tablet, `sql` being its text.
    pub fn route(&self, statement: &Statement, sql: &[u8]) -> Result<Route, Refusal> {
        match self.destination(statement, sql)? {
            Destination::One(stop) => Ok(stop.route),
            Destination::Several(several) => Err(Refusal::unsupported(format!(
                "this needs one tablet, and the statement is about several shards of keyspace {}",
                several.keyspace
            ))),
        }
    }

    /// Decides on one statement, `sql` being its text.
    pub fn destination(&self, statement: &Statement, sql: &[u8]) -> Result<Destination, Refusal> {
        self.permit(statement)?;
        self.look_into_prepared(statement)?;
        let there = self.place(statement)?;
        if !statement.certain {
            self.check_tokens(there, sql)?;
        }
        let home = match there {
            Some(there) => Some(there),
            None => self.session_keyspace()?,
        };
        let (tablet, others) = match home {
            Some(keyspace) => {
                if self.view.spreads
                    && let Some(decided) = self.spread(keyspace, statement, sql)
                {
                    return decided;
                }
                let shard = self.shard(keyspace, statement, sql)?;
                tablets::choose(shard, self.target.tablet_type, self.health, self.seed)?
            }
            None => self.anywhere(statement, sql)?,
        };
        let edits = self.edits(statement, sql, &tablet);
        Ok(Destination::One(Stop { route: Route { tablet, others, edits }, kept: None }))
    }

    /// The keyspace that all the statement's tables and programs are in; `None` if it names none that are in one.
    fn place(&self, statement: &Statement) -> Result<Option<&'a Keyspace>, Refusal> {
        let mut there: Option<&Keyspace> = None;
        for reference in place::references(statement) {
            let Some(keyspace) = self.resolve(reference)? else { continue };
            match there {
                Some(other) if other.name != keyspace.name => return Err(self.apart(statement)),
                _ => there = Some(keyspace),
            }
        }
        Ok(there)
    }

    /// Refuses a statement whose tables are in several keyspaces, saying where each is.
    fn apart(&self, statement: &Statement) -> Refusal {
        let mut places: Vec<String> = Vec::new();
        for reference in place::references(statement) {
            if let Ok(Some(keyspace)) = self.resolve(reference) {
                let rule = if self.moved(reference, keyspace) { " (by routing rules)" } else { "" };
                let place = format!("{reference} is in {}{rule}", keyspace.name);
                if !places.contains(&place) {
                    places.push(place);
                }
            }
        }
        Refusal::unsupported(format!(
            "statements across keyspaces are not supported: {}; ask each keyspace by itself, or move the tables together",
            places.join(", ")
        ))
    }

    /// The session's keyspace, unless that is one of the schemas every server has.
    fn session_keyspace(&self) -> Result<Option<&'a Keyspace>, Refusal> {
        match &self.target.keyspace {
            Some(name) if !super::view::is_system_schema(name.as_str()) => self.keyspace(name.as_str()).map(Some),
            _ => Ok(None),
        }
    }

    /// The shard of a keyspace that has all that is asked for.
    fn shard(&self, keyspace: &'a Keyspace, statement: &Statement, sql: &[u8]) -> Result<&'a Shard, Refusal> {
        let name = &keyspace.name;
        if let (Some(wanted), true) = (&self.target.shard, self.target.keyspace.as_ref() == Some(name)) {
            return match keyspace.shard(wanted) {
                Some(shard) if shard.serving.contains(&self.target.tablet_type) => Ok(shard),
                Some(_) => Err(Refusal::unknown(format!(
                    "shard {name}/{wanted} does not serve {}: its traffic is, or has been switched, elsewhere; see \
                     `shardlift shard list {name}`",
                    self.target.tablet_type
                ))),
                None => Err(target::no_shard(keyspace, wanted)),
            };
        }
        let tablet_type = self.target.tablet_type;
        match keyspace.serving(tablet_type) {
            Serving::Whole(shard) => Ok(shard),
            Serving::Nothing => Err(Refusal::unknown(format!(
                "no shard of keyspace {name} serves {tablet_type} (its shards: {}); see `shardlift shard list {name}`",
                keyspace.shard_names()
            ))),
            // Any shard does for what touches no rows, e.g. what drivers ask when they connect.
            Serving::Sharded(shards) if permit::without_rows(statement) => {
                self.check_calls(keyspace, statement, sql)?;
                shards.first().copied().ok_or_else(|| Refusal::unknown(format!("keyspace {name} has no shards")))
            }
            Serving::Sharded(shards) => {
                let names: Vec<&str> = shards.iter().map(|shard| shard.name.as_str()).collect();
                Err(Refusal::unsupported(format!(
                    "keyspace {name} is sharded ({}) and statements are not spread over shards yet; name the shard, \
                     e.g. `use {name}:{}`",
                    names.join(", "),
                    names.first().copied().unwrap_or("-80")
                )))
            }
        }
    }

    /// A tablet for what needs no keyspace, in a session without one.
    fn anywhere(&self, statement: &Statement, sql: &[u8]) -> Result<(Arc<Tablet>, Vec<Arc<Tablet>>), Refusal> {
        let system_schema = self.target.keyspace.as_ref();
        if !permit::without_keyspace(statement, sql, system_schema.is_some()) {
            let refusal = Refusal::no_database();
            return Err(match system_schema {
                None => refusal,
                Some(name) => Refusal {
                    message: format!("{}: {name} is on every server; choose a keyspace first", refusal.message),
                    ..refusal
                },
            });
        }
        let tablet_type = self.target.tablet_type;
        let mut why = Vec::new();
        for keyspace in self.view.keyspaces.values().filter(|keyspace| keyspace.unreadable.is_none()) {
            let shard = match keyspace.serving(tablet_type) {
                Serving::Whole(shard) => shard,
                Serving::Sharded(shards) if permit::without_rows(statement) => match shards.first() {
                    Some(shard) => shard,
                    None => continue,
                },
                Serving::Sharded(_) | Serving::Nothing => continue,
            };
            match tablets::choose(shard, tablet_type, self.health, self.seed) {
                Ok(found) => return Ok(found),
                Err(refusal) => why.push(refusal.message),
            }
        }
        if why.is_empty() {
            why.push("no keyspace has a serving shard".into());
        }
        Err(Refusal::unknown(format!("no {tablet_type} tablet can answer: {}", why.join("; "))))
    }
}

#[cfg(test)]
mod tests;
