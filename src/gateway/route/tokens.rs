//! Statements that are not understood well enough: their tokens decide, and only to refuse.
//!
//! Such a statement may name tables that the scan has not found. So it goes nowhere but to the session's own keyspace, and
//! only if no word in it can be a table that rules lead elsewhere: sent after one table to another keyspace, it might
//! meet a namesake of another there and read or write that in silence.

use super::{Keyspace, Refusal, Router};
use crate::gateway::sql::{Name, identifiers};

impl Router<'_> {
    /// Checks an uncertain statement whose known tables are in `there`.
    pub(super) fn check_tokens(&self, there: Option<&Keyspace>, sql: &[u8]) -> Result<(), Refusal> {
        let home = self.session_keyspace()?;
        if let Some(there) = there.filter(|there| home.is_none_or(|home| home.name != there.name)) {
            return Err(self.not_understood(&format!("it names tables in {}", there.name), there.name.as_str()));
        }
        let mut before: Option<Name> = None;
        for name in identifiers(sql, self.mode) {
            let database = before.filter(|before| is_qualified_by(sql, before, &name));
            if self.view.rules.mentions(&name.text) {
                self.check_mention(&name, None, home)?;
                if let Some(database) = &database {
                    self.check_mention(&name, Some(&database.text), home)?;
                }
            }
            if let Some(database) = &database {
                self.check_schema(&database.text)?;
            }
            before = Some(name);
        }
        Ok(())
    }

    /// Refuses if rules lead this word, should it be a table, away from the session's keyspace.
    fn check_mention(&self, name: &Name, database: Option<&str>, home: Option<&Keyspace>) -> Result<(), Refusal> {
        let home_name = home.map(|home| home.name.as_str());
        match self.lookup(&name.text, database.or(home_name))? {
            Some(to) if Some(to.name.as_str()) != home_name => Err(self
                .not_understood(&format!("routing rules lead table {} to {}", name.text, to.name), to.name.as_str())),
            _ => Ok(()),
        }
    }

    /// Refuses if this word, should it be a keyspace, is not what its schema is called: it cannot be translated here.
    fn check_schema(&self, database: &str) -> Result<(), Refusal> {
        let Some(keyspace) = self.view.keyspace(database) else { return Ok(()) };
        let mut tablets = keyspace.shards.iter().flat_map(|shard| &shard.tablets);
        match tablets.find(|tablet| tablet.record.database.as_str() != database) {
            Some(tablet) => {
                let schema = &tablet.record.database;
                Err(self.not_understood(&format!("keyspace {database} is schema {schema} on its server"), database))
            }
            None => Ok(()),
        }
    }

    fn not_understood(&self, why: &str, keyspace: &str) -> Refusal {
        Refusal::unsupported(format!(
            "the gateway does not understand this statement well enough to send it anywhere but to the session's own \
             keyspace, and {why}; say `use {keyspace}` and leave the database out, or write it more simply"
        ))
    }
}

/// Whether all that stands between the two names is a dot.
fn is_qualified_by(sql: &[u8], database: &Name, name: &Name) -> bool {
    sql.get(database.span.end..name.span.start).is_some_and(|between| between.trim_ascii() == b".")
}
