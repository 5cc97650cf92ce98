//! PREPARE with SQL text: the statement is in a literal, where it is judged but cannot be rewritten, or in a variable, where
//! it cannot be seen.

use super::{Refusal, Router, Statement};
use crate::gateway::sql::{Kind, analyze};

impl Router<'_> {
    /// Refuses to PREPARE what would not run on the session's own tablet as it is written.
    pub(super) fn look_into_prepared(&self, statement: &Statement) -> Result<(), Refusal> {
        let Kind::Prepare { source, .. } = &statement.kind else { return Ok(()) };
        match source {
            Some(text) => self.judge_text(text),
            None => self.judge_unseen(),
        }
    }

    fn judge_text(&self, text: &[u8]) -> Result<(), Refusal> {
        let inner = analyze(text, self.mode);
        self.permit(&inner)?;
        let (there, home) = (self.place(&inner)?, self.session_keyspace()?);
        if !inner.certain {
            self.check_tokens(there, text)?;
        }
        if let Some(there) = there.filter(|there| home.is_none_or(|home| home.name != there.name)) {
            let name = &there.name;
            return Err(cannot(&format!("its tables are in {name}; say `use {name}` first")));
        }
        let Some(home) = home else { return Ok(()) };
        let shard = self.shard(home, &inner, text)?;
        let edited = shard.tablets.iter().any(|tablet| !self.edits(&inner, text, tablet).is_empty());
        if edited {
            return Err(cannot("its text would have to be changed; leave the database's name out"));
        }
        Ok(())
    }

    fn judge_unseen(&self) -> Result<(), Refusal> {
        let home = self.session_keyspace()?;
        let home = home.map(|home| home.name.as_str());
        if let Some(why) = self.view.rules.blind() {
            return Err(cannot(why));
        }
        for table in self.view.rules.tables() {
            if let Some(to) = self.lookup(table.as_str(), home)?.filter(|to| Some(to.name.as_str()) != home) {
                return Err(cannot(&format!(
                    "it comes from a variable and might name table {table}, which routing rules lead to {}",
                    to.name
                )));
            }
        }
        Ok(())
    }
}

fn cannot(why: &str) -> Refusal {
    Refusal::unsupported(format!("this statement cannot be PREPAREd in SQL: {why}; or prepare it through the driver"))
}
