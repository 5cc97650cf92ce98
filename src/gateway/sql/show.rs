//! SHOW: what the gateway may answer itself, and which database and table the rest speaks of.

use super::lexer::TokenKind;
use super::name::{Name, literal};
use super::scan::{Scan, State};
use super::statement::{Access, Filter, Kind, Qualified, Show};

impl Scan<'_> {
    /// At SHOW.
    pub(super) fn show(&mut self) -> Kind {
        self.at.advance();
        let (mut full, mut extended) = (false, false);
        loop {
            full |= self.at.is("FULL");
            extended |= self.at.is("EXTENDED");
            if !self.at.is_any(&["FULL", "EXTENDED", "GLOBAL", "SESSION", "LOCAL"]) {
                break;
            }
            self.at.advance();
        }
        let word = self.at.upper();
        if word.as_str().starts_with("VITESS_") {
            let name = word.as_str().to_ascii_lowercase();
            self.at.advance();
            return Kind::Show(Show::Vitess { name, filter: self.filter() });
        }
        let what = match word.as_str() {
            "DATABASES" | "SCHEMAS" => {
                self.at.advance();
                Show::Databases { filter: self.filter() }
            }
            "KEYSPACES" => {
                self.at.advance();
                Show::Keyspaces { filter: self.filter() }
            }
            "TABLES" => {
                self.at.advance();
                let database = self.take_from_database();
                Show::Tables { full, extended, database, filter: self.filter() }
            }
            "VSCHEMA" if self.at.next_is("TABLES") => Show::VschemaTables,
            "VSCHEMA" if self.at.next_is("KEYSPACES") => Show::VschemaKeyspaces,
            "VSCHEMA" if self.at.next_is("VINDEXES") => Show::VschemaVindexes,
            "WARNINGS" | "ERRORS" => return self.show_diagnostics(),
            "COUNT" if self.at.next.is_symbol(b'(') => return self.show_diagnostics(),
            "COLUMNS" | "FIELDS" | "INDEX" | "INDEXES" | "KEYS" => {
                self.at.advance();
                self.show_of_table();
                Show::Other { database: None }
            }
            "CREATE" => {
                self.at.advance();
                Show::Other { database: self.show_create() }
            }
            "TABLE" | "OPEN" | "TRIGGERS" | "EVENTS" => {
                self.at.skip_all(&["TABLE", "STATUS", "OPEN", "TABLES", "TRIGGERS", "EVENTS"]);
                Show::Other { database: self.take_from_database() }
            }
            "PROCEDURE" | "FUNCTION" if self.at.next_is("CODE") => {
                self.at.advance();
                self.at.advance();
                Show::Other { database: self.path_database() }
            }
            _ => Show::Other { database: None },
        };
        Kind::Show(what)
    }

    fn show_diagnostics(&mut self) -> Kind {
        self.uses.previous_statement = true;
        Kind::Diagnostics
    }

    /// `FROM db` or `IN db`, if it is here.
    fn take_from_database(&mut self) -> Option<Name> {
        if !self.at.is_any(&["FROM", "IN"]) {
            return None;
        }
        self.at.advance();
        self.at.take_name()
    }

    /// `FROM t`, `FROM db.t`, `FROM t FROM db`.
    fn show_of_table(&mut self) {
        if !self.at.is_any(&["FROM", "IN"]) {
            self.certain = false;
            return;
        }
        self.at.advance();
        let table = self.take_table(Access::Read);
        if let Some(database) = self.take_from_database()
            && let Some(table) = table.and_then(|index| self.tables.get_mut(index))
        {
            // The second one holds, but the first has to be known, too.
            let first = table.database.replace(database);
            if let Some(first) = first {
                self.add_named_qualifier(first, Qualified::Table);
            }
        }
    }

    /// Behind SHOW CREATE.
    fn show_create(&mut self) -> Option<Name> {
        match self.at.upper().as_str() {
            "TABLE" | "VIEW" => {
                self.at.advance();
                self.take_table(Access::Read);
                None
            }
            "DATABASE" | "SCHEMA" => {
                self.at.advance();
                self.at.skip_if_exists();
                self.at.take_name()
            }
            "PROCEDURE" | "FUNCTION" | "TRIGGER" | "EVENT" => {
                self.at.advance();
                self.path_database()
            }
            _ => None,
        }
    }

    fn path_database(&mut self) -> Option<Name> {
        let (database, _) = self.take_path()?;
        database.map(|token| self.at.name_of(token.start..token.end))
    }

    /// `LIKE 'pattern'` or `WHERE condition`; subqueries of the condition are walked.
    fn filter(&mut self) -> Option<Filter> {
        if self.at.skip("LIKE") && self.at.token.kind == TokenKind::Text {
            let pattern = literal(self.at.bytes(self.at.token), self.at.mode());
            self.at.advance();
            return Some(Filter::Like(String::from_utf8_lossy(&pattern).into_owned()));
        }
        if !self.at.skip("WHERE") {
            return None;
        }
        let start = self.at.token.start;
        self.level.state = State::Expression;
        self.walk();
        Some(Filter::Where(start..self.at.last_end.max(start)))
    }
}
