//! CREATE, ALTER, DROP, RENAME and TRUNCATE: what is defined, and every table named on the way.

use super::lexer::TokenKind;
use super::scan::{Renames, Scan, State};
use super::statement::{Access, Ddl, Kind, Qualified};

impl Scan<'_> {
    /// At CREATE.
    pub(super) fn create(&mut self) -> Kind {
        self.at.dollar_quotes(true);
        self.at.advance();
        let mut temporary = false;
        loop {
            match self.at.upper().as_str() {
                "TEMPORARY" => temporary = true,
                "OR" | "REPLACE" | "UNIQUE" | "FULLTEXT" | "AGGREGATE" | "JSON" | "RELATIONAL" | "DUALITY" => {}
                "SPATIAL" if self.at.next_is("INDEX") => {}
                "ALGORITHM" | "DEFINER" | "SQL" => {
                    self.attribute();
                    continue;
                }
                "TABLE" => return self.create_table(temporary),
                "INDEX" => return self.index(),
                "VIEW" => return self.view(),
                "TRIGGER" => return self.trigger(),
                "PROCEDURE" | "FUNCTION" => return self.create_routine(),
                "EVENT" => return self.event(),
                "DATABASE" | "SCHEMA" => return self.database(),
                _ => return self.other_object("CREATE"),
            }
            self.at.advance();
        }
    }

    /// At ALTER.
    pub(super) fn alter(&mut self) -> Kind {
        self.at.dollar_quotes(true);
        self.at.advance();
        loop {
            match self.at.upper().as_str() {
                "IGNORE" | "JSON" | "RELATIONAL" | "DUALITY" => self.at.advance(),
                "ALGORITHM" | "DEFINER" | "SQL" => self.attribute(),
                "TABLE" => {
                    self.at.advance();
                    self.take_table(Access::Define);
                    (self.renames, self.union_option) = (Renames::Table, true);
                    self.table_word = Some(Access::Define);
                    return Kind::Ddl(Ddl::Table);
                }
                "VIEW" => return self.view(),
                "PROCEDURE" | "FUNCTION" => {
                    self.at.advance();
                    self.take_routine();
                    return Kind::Ddl(Ddl::Routine);
                }
                "EVENT" => {
                    self.renames = Renames::Event;
                    return self.event();
                }
                "DATABASE" | "SCHEMA" => return self.database(),
                "INSTANCE" => return self.server(),
                _ => return self.other_object("ALTER"),
            }
        }
    }

    /// At DROP.
    pub(super) fn drop_statement(&mut self) -> Kind {
        self.at.advance();
        let temporary = self.at.skip("TEMPORARY");
        match self.at.upper().as_str() {
            "TABLE" | "TABLES" => {
                self.named_tables();
                if temporary { Kind::DropTemporary } else { Kind::Ddl(Ddl::Table) }
            }
            "VIEW" => {
                self.named_tables();
                Kind::Ddl(Ddl::View)
            }
            "INDEX" => self.index(),
            what @ ("TRIGGER" | "PROCEDURE" | "FUNCTION" | "EVENT") => {
                self.at.advance();
                self.at.skip_if_exists();
                self.take_routine();
                Kind::Ddl(match what {
                    "TRIGGER" => Ddl::Trigger,
                    "EVENT" => Ddl::Event,
                    _ => Ddl::Routine,
                })
            }
            "DATABASE" | "SCHEMA" => self.database(),
            "PREPARE" => Kind::Deallocate { name: self.name_after_verb() },
            _ => self.other_object("DROP"),
        }
    }

    /// At RENAME.
    pub(super) fn rename_statement(&mut self) -> Kind {
        self.at.advance();
        if !self.at.is_any(&["TABLE", "TABLES"]) {
            return self.other_object("RENAME");
        }
        self.at.advance();
        loop {
            self.take_table(Access::Define);
            self.certain &= self.at.skip("TO");
            self.take_table(Access::Define);
            if !self.at.skip_symbol(b',') {
                return Kind::Ddl(Ddl::Table);
            }
        }
    }

    /// At TRUNCATE.
    pub(super) fn truncate(&mut self) -> Kind {
        self.at.advance();
        self.at.skip("TABLE");
        self.take_table(Access::Write);
        Kind::Ddl(Ddl::Truncate)
    }

    /// `ALGORITHM = x`, `SQL SECURITY x`, `DEFINER = user`.
    fn attribute(&mut self) {
        let definer = self.at.is("DEFINER");
        self.at.advance();
        if !self.at.skip_symbol(b'=') {
            self.at.skip("SECURITY");
        }
        self.at.advance();
        if definer && self.at.token.kind == TokenKind::UserVariable {
            self.at.advance(); // the host of 'user'@'host'
        }
        if definer && self.at.token.is_symbol(b'(') {
            self.at.skip_parentheses();
        }
    }

    /// What holds no tables of ours.
    fn other_object(&mut self, verb: &str) -> Kind {
        match self.at.upper().as_str() {
            "USER" | "ROLE" => {
                self.at.finish();
                Kind::Account
            }
            "RESOURCE" => self.server(),
            "TABLESPACE" | "UNDO" | "SERVER" | "LOGFILE" | "SPATIAL" | "LIBRARY" => {
                self.at.finish();
                Kind::Ddl(Ddl::Other)
            }
            _ => {
                self.certain = false;
                Kind::Other(verb.to_owned())
            }
        }
    }

    fn server(&mut self) -> Kind {
        self.at.finish();
        Kind::Server
    }

    /// At TABLE of CREATE.
    fn create_table(&mut self, temporary: bool) -> Kind {
        self.at.advance();
        self.at.skip_if_exists();
        self.take_table(Access::Define);
        let within = self.at.token.is_symbol(b'(') && self.at.next_is("LIKE");
        if within {
            self.at.advance();
        }
        if self.at.skip("LIKE") {
            self.take_table(Access::Read);
            if within {
                self.certain &= self.at.skip_symbol(b')');
            }
        }
        (self.with_query, self.union_option, self.table_word) = (true, true, Some(Access::Read));
        if temporary { Kind::CreateTemporary } else { Kind::Ddl(Ddl::Table) }
    }

    /// At TABLE or VIEW of DROP.
    fn named_tables(&mut self) {
        self.at.advance();
        self.at.skip_if_exists();
        self.take_tables(Access::Define);
    }

    /// At INDEX of CREATE or DROP.
    fn index(&mut self) -> Kind {
        self.skip_to("ON");
        self.take_table(Access::Define);
        Kind::Ddl(Ddl::Index)
    }

    /// Past the next such word.
    fn skip_to(&mut self, word: &str) {
        while !(self.at.at_end() || self.at.is(word)) {
            self.at.advance();
        }
        self.at.advance();
    }

    /// At VIEW of CREATE or ALTER.
    fn view(&mut self) -> Kind {
        self.at.advance();
        self.at.skip_if_exists();
        self.take_table(Access::Define);
        if self.at.token.is_symbol(b'(') {
            self.at.skip_parentheses();
        }
        self.certain &= self.at.skip("AS");
        self.level.state = State::Start;
        Kind::Ddl(Ddl::View)
    }

    /// At TRIGGER of CREATE.
    fn trigger(&mut self) -> Kind {
        self.at.advance();
        self.at.skip_if_exists();
        self.take_routine();
        self.skip_to("ON");
        self.take_table(Access::Define);
        self.skip_to("ROW");
        if self.at.is_any(&["FOLLOWS", "PRECEDES"]) {
            self.at.advance();
            self.take_routine();
        }
        (self.body, self.level.state) = (true, State::Statement);
        Kind::Ddl(Ddl::Trigger)
    }

    /// At PROCEDURE or FUNCTION of CREATE.
    fn create_routine(&mut self) -> Kind {
        self.at.advance();
        self.at.skip_if_exists();
        self.take_routine();
        if self.at.token.is_symbol(b'(') {
            self.at.skip_parentheses();
        }
        // Characteristics are single words and strings; the first statement's verb ends them.
        let verbs = ["BEGIN", "SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE", "TRUNCATE", "CALL", "WITH"];
        while !(self.at.at_end() || self.at.token.is_symbol(b';') || self.at.is_any(&verbs)) {
            self.at.advance();
        }
        (self.body, self.level.state) = (true, State::Statement);
        Kind::Ddl(Ddl::Routine)
    }

    /// At EVENT of CREATE or ALTER. The walk finds DO.
    fn event(&mut self) -> Kind {
        self.at.advance();
        self.at.skip_if_exists();
        self.take_routine();
        self.body = true;
        Kind::Ddl(Ddl::Event)
    }

    /// At DATABASE or SCHEMA of CREATE, ALTER or DROP; ALTER may do without a name.
    fn database(&mut self) -> Kind {
        self.at.advance();
        self.at.skip_if_exists();
        let option = self.at.is_any(&["READ", "DEFAULT", "CHARACTER", "CHAR", "COLLATE"])
            || (self.at.is_any(&["CHARSET", "ENCRYPTION"]) && self.at.next.kind != TokenKind::End);
        if self.at.token.is_name() && !option {
            self.add_qualifier(self.at.token, Qualified::Database);
        }
        self.at.finish();
        Kind::Ddl(Ddl::Database)
    }
}
