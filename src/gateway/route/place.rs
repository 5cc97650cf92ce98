//! Where one name in a statement lives.

use std::fmt;

use super::{Keyspace, Refusal, Router, Statement};
use crate::gateway::sql::{Ddl, Kind, Name, Qualified, Show};
use crate::gateway::view::is_system_schema;

/// Something that is in one place: a table, or what stands in a database and is not moved by rules.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reference<'s> {
    /// A table, perhaps with its database.
    Table(Option<&'s Name>, &'s Name),
    /// A database, by itself or with a stored program in it.
    Database(&'s Name),
}

impl fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(Some(database), table) => write!(f, "{}.{}", database.text, table.text),
            Self::Table(None, table) => f.write_str(&table.text),
            Self::Database(database) => write!(f, "database {}", database.text),
        }
    }
}

/// All that decides where a statement goes.
pub(super) fn references(statement: &Statement) -> impl Iterator<Item = Reference<'_>> {
    let tables = statement.tables.iter().map(|table| Reference::Table(table.database.as_ref(), &table.table));
    // A trigger is where its table is.
    let follows = statement.kind == Kind::Ddl(Ddl::Trigger) && !statement.tables.is_empty();
    let programs = statement.qualifiers.iter().filter(move |qualifier| match qualifier.what {
        Qualified::Routine => !follows,
        Qualified::Database => true,
        Qualified::Column | Qualified::Table => false,
    });
    let programs = programs.map(|qualifier| Reference::Database(&qualifier.database));
    tables.chain(programs).chain(shown_database(statement).map(Reference::Database))
}

/// The database a SHOW is about, if it names one apart from a table.
pub(super) fn shown_database(statement: &Statement) -> Option<&Name> {
    match &statement.kind {
        Kind::Show(Show::Tables { database, .. } | Show::Other { database }) => database.as_ref(),
        _ => None,
    }
}

impl<'a> Router<'a> {
    /// The keyspace a reference leads to; `None` for what every server has.
    pub(super) fn resolve(&self, reference: Reference<'_>) -> Result<Option<&'a Keyspace>, Refusal> {
        let (database, table) = match reference {
            Reference::Database(name) if is_system_schema(&name.text) => return Ok(None),
            Reference::Database(name) => return self.keyspace(&name.text).map(Some),
            Reference::Table(database, table) => (database, table),
        };
        let home = self.target.keyspace.as_ref().map(|name| name.as_str());
        let Some(named) = database.map(|name| name.text.as_str()).or(home) else {
            return match self.lookup(&table.text, None)? {
                Some(keyspace) => Ok(Some(keyspace)),
                None => Err(Refusal::no_database()),
            };
        };
        if is_system_schema(named) {
            return Ok(None);
        }
        match self.lookup(&table.text, Some(named))? {
            Some(keyspace) => Ok(Some(keyspace)),
            None => self.keyspace(named).map(Some),
        }
    }

    /// Where rules lead a table to that is called by this keyspace or by none.
    pub(super) fn lookup(&self, table: &str, keyspace: Option<&str>) -> Result<Option<&'a Keyspace>, Refusal> {
        let home = self.target.keyspace.as_ref().map(|name| name.as_str());
        if self.target.shard.is_some() && keyspace == home {
            // Who names a shard means that shard.
            return Ok(None);
        }
        match self.view.rules.lookup(table, keyspace, self.target.tablet_type) {
            Ok(None) => Ok(None),
            Ok(Some(to)) => self.keyspace(to.as_str()).map(Some).map_err(|refusal| {
                Refusal::unknown(format!("routing rules lead table {table} to keyspace {to}: {refusal}"))
            }),
            Err(why) => Err(Refusal::unknown(format!("table {table} is not served: {why}"))),
        }
    }

    /// Whether it is not where its name says.
    pub(super) fn moved(&self, reference: Reference<'_>, keyspace: &Keyspace) -> bool {
        let home = self.target.keyspace.as_ref().map(|name| name.as_str());
        let named = match reference {
            Reference::Table(database, _) => database.map(|name| name.text.as_str()).or(home),
            Reference::Database(name) => Some(name.text.as_str()),
        };
        named != Some(keyspace.name.as_str())
    }

    /// A keyspace by name, if it can be served.
    pub(super) fn keyspace(&self, name: &str) -> Result<&'a Keyspace, Refusal> {
        let keyspace = self.view.keyspace(name).ok_or_else(|| Refusal::unknown_database(name))?;
        match &keyspace.unreadable {
            Some(why) => Err(Refusal::unknown(format!("keyspace {name} is not served: {why}"))),
            None => Ok(keyspace),
        }
    }
}
