//! A statement's first words: its kind, and where the walk over the rest begins.
//!
//! What names tables in a list of its own is read here and in [`super::define`]; queries and expressions are left to the
//! walk. A kind whose rest cannot matter ends the walk at once.

use super::cursor::Cursor;
use super::lexer::TokenKind;
use super::mode::SqlMode;
use super::name::{Name, literal, unquoted};
use super::scan::{Scan, State};
use super::statement::{Access, Dml, Handler, Kind, Qualified, Statement, Xa};

/// What is known of one statement, after reading its text once. Never fails: see [`Statement::certain`].
pub fn analyze(sql: &[u8], mode: SqlMode) -> Statement {
    let mut scan = Scan::new(Cursor::new(sql, mode));
    scan.head();
    scan.run();
    scan.finish()
}

impl Scan<'_> {
    /// Reads the first words. The kind is set before anything is read that may change it (WITH … UPDATE).
    fn head(&mut self) {
        let word = self.at.upper();
        self.kind = match word.as_str() {
            "SELECT" => {
                self.uses.next_values = self.at.next_is("NEXT");
                Kind::Query
            }
            "VALUES" => Kind::Query,
            "WITH" | "TABLE" => self.query(),
            "INSERT" => self.insert(Dml::Insert),
            "REPLACE" => self.insert(Dml::Replace),
            "UPDATE" => self.update(),
            "DELETE" => self.delete(),
            "LOAD" => self.load(),
            "IMPORT" => Kind::Import,
            "CALL" => self.call(),
            "DO" => Kind::Do,
            "HANDLER" => self.handler(),
            "CREATE" => self.create(),
            "ALTER" => self.alter(),
            "DROP" => self.drop_statement(),
            "RENAME" => self.rename_statement(),
            "TRUNCATE" => self.truncate(),
            "ANALYZE" | "OPTIMIZE" | "REPAIR" => self.table_admin(Access::Define),
            "CHECK" => self.table_admin(Access::Read),
            "CHECKSUM" => {
                self.table_admin(Access::Read);
                Kind::Query
            }
            "CACHE" => self.table_admin(Access::Define),
            "EXPLAIN" | "DESCRIBE" | "DESC" => return self.explain(),
            "SET" => self.set(),
            "SHOW" => self.show(),
            "USE" => self.use_statement(),
            "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" => self.transaction(),
            "LOCK" => self.lock(),
            "UNLOCK" if self.at.next_is("INSTANCE") => Kind::UnlockInstance,
            "UNLOCK" => Kind::UnlockTables,
            "FLUSH" => self.flush(),
            "XA" => self.xa(),
            "PREPARE" => self.prepare(),
            "EXECUTE" => Kind::Execute { name: self.name_after_verb() },
            "DEALLOCATE" => {
                self.at.advance();
                Kind::Deallocate { name: self.name_after_verb() }
            }
            "KILL" => self.kill(),
            "GET" => {
                (self.assigns, self.uses.previous_statement) = (true, true);
                Kind::Diagnostics
            }
            "SIGNAL" | "RESIGNAL" => Kind::Signal,
            "HELP" => self.nothing_more(Kind::Help),
            "GRANT" | "REVOKE" => self.nothing_more(Kind::Account),
            "SHUTDOWN" | "RESTART" | "CLONE" | "INSTALL" | "UNINSTALL" | "CHANGE" | "STOP" | "RESET" | "PURGE"
            | "BINLOG" => self.nothing_more(Kind::Server),
            _ if self.at.token.is_symbol(b'(') => self.query(),
            _ if self.at.at_end() => Kind::Empty,
            _ if self.at.token.is_symbol(b';') && self.at.next.kind == TokenKind::End => Kind::Empty,
            other => {
                self.certain = false;
                Kind::Other(other.to_owned())
            }
        };
    }

    fn nothing_more(&mut self, kind: Kind) -> Kind {
        self.at.finish();
        kind
    }

    fn query(&mut self) -> Kind {
        self.level.state = State::Start;
        Kind::Query
    }

    /// At INSERT or REPLACE.
    fn insert(&mut self, verb: Dml) -> Kind {
        self.at.advance();
        self.at.skip_all(&["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"]);
        self.take_table(Access::Write);
        (self.with_query, self.table_word) = (true, Some(Access::Read));
        (self.level.state, self.level.query) = (State::Expression, false);
        Kind::Dml(verb)
    }

    /// A statement within a stored program's body.
    pub(super) fn body_statement(&mut self) {
        self.level.state = State::Expression;
        let function = self.at.next.is_symbol(b'(');
        let program = self.kind.clone();
        self.kind = match self.at.upper().as_str() {
            "INSERT" | "REPLACE" if !function => self.insert(Dml::Insert),
            "UPDATE" => self.update(),
            "DELETE" => self.delete(),
            "TRUNCATE" if !function => self.truncate(),
            "CALL" => self.call(),
            "WITH" => return self.with(),
            _ => return,
        };
        // These were steps into the statement; what it is for the router is the program's definition.
        self.kind = program;
    }

    fn load(&mut self) -> Kind {
        let local = |this: &mut Self| {
            let mut local = false;
            while !(this.at.at_end() || this.at.is("INTO")) {
                local |= this.at.is("LOCAL");
                this.at.advance();
            }
            this.at.advance();
            this.certain &= this.at.skip("TABLE");
            this.take_table(Access::Write);
            this.assigns = true;
            local
        };
        self.at.advance();
        match self.at.upper().as_str() {
            "DATA" => Kind::Dml(Dml::LoadData { local: local(self) }),
            "XML" => Kind::Dml(Dml::LoadXml { local: local(self) }),
            "INDEX" => {
                self.at.skip_all(&["INDEX", "INTO", "CACHE"]);
                self.take_tables(Access::Define);
                Kind::TableAdmin
            }
            _ => {
                self.certain = false;
                Kind::Other("LOAD".to_owned())
            }
        }
    }

    fn call(&mut self) -> Kind {
        self.at.advance();
        self.take_routine();
        self.assigns = true;
        Kind::Call
    }

    fn handler(&mut self) -> Kind {
        self.at.advance();
        let Some((database, table)) = self.take_path() else { return Kind::Handler(Handler::Open) };
        if self.at.is("OPEN") {
            self.add_table(database, table, Access::Read);
            Kind::Handler(Handler::Open)
        } else {
            // The name is the handler's, which the connection knows.
            Kind::Handler(if self.at.is("CLOSE") { Handler::Close } else { Handler::Read })
        }
    }

    fn table_admin(&mut self, access: Access) -> Kind {
        self.at.advance();
        self.at.skip_all(&["NO_WRITE_TO_BINLOG", "LOCAL", "TABLE", "TABLES", "INDEX"]);
        self.take_tables(access);
        Kind::TableAdmin
    }

    fn explain(&mut self) {
        self.at.advance();
        let mut analyze = false;
        loop {
            match self.at.upper().as_str() {
                "ANALYZE" => analyze = true,
                "EXTENDED" | "PARTITIONS"
                    if self.at.next_is_any(&["SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE"]) => {}
                "FORMAT" if self.at.next.is_symbol(b'=') => {
                    self.at.advance();
                    self.at.advance();
                }
                "INTO" => {
                    self.at.advance();
                    if self.at.token.kind == TokenKind::UserVariable {
                        self.add_variable(self.at.token, true, false);
                    }
                }
                "FOR" if self.at.next_is("CONNECTION") => {
                    self.kind = Kind::ExplainConnection;
                    return;
                }
                "FOR" => {
                    // Unqualified tables are those of that database, whatever the session's is.
                    self.certain = false;
                    self.at.advance();
                    self.at.advance();
                    if self.at.token.is_name() {
                        self.add_qualifier(self.at.token, Qualified::Database);
                    }
                }
                _ => break,
            }
            self.at.advance();
        }
        let statement = ["SELECT", "WITH", "TABLE", "VALUES", "INSERT", "REPLACE", "UPDATE", "DELETE"];
        if self.at.token.is_symbol(b'(') || self.at.is_any(&statement) {
            self.head();
            self.explained = Some(Kind::Explain { analyze });
        } else {
            self.take_table(Access::Read);
            self.kind = Kind::Describe;
        }
    }

    /// At USE. What follows is taken as it is written, for `ks:-80` and `ks/-80@rdonly` are no identifiers.
    fn use_statement(&mut self) -> Kind {
        self.at.advance();
        let start = self.at.token.start;
        let quoted = if self.at.token.kind == TokenKind::Quoted { self.at.token.end } else { start };
        let rest = self.at.sql().get(quoted..).unwrap_or_default();
        let ends = |pair: &[u8]| {
            let blank =
                pair.first().is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b';' | b'#' | 0x0b));
            blank || pair == b"/*" || pair == b"*/"
        };
        let bare = (0..rest.len()).find(|&at| ends(rest.get(at..rest.len().min(at + 2)).unwrap_or_default()));
        let end = quoted + bare.unwrap_or(rest.len());
        let mut text = unquoted(self.at.sql().get(start..quoted).unwrap_or_default()).into_owned();
        text.extend_from_slice(self.at.sql().get(quoted..end).unwrap_or_default());
        let text = String::from_utf8_lossy(&text).into_owned();
        self.nothing_more(Kind::Use(Name { span: start..end, text }))
    }

    fn transaction(&mut self) -> Kind {
        let verb = self.at.upper();
        self.at.advance();
        if verb.as_str() == "START" && !self.at.skip("TRANSACTION") {
            return self.nothing_more(Kind::Server);
        }
        if verb.as_str() == "RELEASE" {
            return self.nothing_more(Kind::ReleaseSavepoint);
        }
        if verb.as_str() == "SAVEPOINT" {
            return self.nothing_more(Kind::Savepoint);
        }
        if verb.as_str() == "START" {
            let kind = self.start_transaction();
            return self.nothing_else(kind);
        }
        self.at.skip("WORK");
        if verb.as_str() == "BEGIN" {
            return self.nothing_else(Kind::Begin { consistent_snapshot: false, read_only: None });
        }
        if verb.as_str() == "ROLLBACK" && self.at.is("TO") {
            return self.nothing_more(Kind::RollbackTo);
        }
        let (mut chain, mut release) = (false, false);
        if self.at.skip("AND") {
            chain = !self.at.skip("NO");
            self.certain &= self.at.skip("CHAIN");
        }
        if self.at.is("RELEASE") || self.at.is("NO") {
            release = !self.at.skip("NO");
            self.certain &= self.at.skip("RELEASE") && !(chain && release);
        }
        self.nothing_else(match verb.as_str() {
            "COMMIT" => Kind::Commit { chain, release },
            _ => Kind::Rollback { chain, release },
        })
    }

    /// Behind START TRANSACTION.
    fn start_transaction(&mut self) -> Kind {
        let (mut consistent_snapshot, mut read_only) = (false, None);
        while !self.is_over() {
            if self.at.skip("WITH") {
                self.certain &= self.at.skip("CONSISTENT") && self.at.skip("SNAPSHOT");
                consistent_snapshot = true;
            } else {
                let only = self.at.next_is("ONLY");
                self.certain &= self.at.is("READ") && self.at.next_is_any(&["ONLY", "WRITE"]);
                // Not both.
                self.certain &= read_only != Some(!only);
                read_only = Some(only);
                self.at.advance();
                self.at.advance();
            }
            self.certain &= self.is_over() || self.at.skip_symbol(b',') && !self.is_over();
        }
        Kind::Begin { consistent_snapshot, read_only }
    }

    fn is_over(&self) -> bool {
        self.at.at_end() || self.at.token.is_symbol(b';')
    }

    /// The statement must be over here; if not, it is no statement the server takes.
    fn nothing_else(&mut self, kind: Kind) -> Kind {
        self.certain &= self.is_over();
        self.nothing_more(kind)
    }

    /// At LOCK.
    fn lock(&mut self) -> Kind {
        self.at.advance();
        if self.at.is("INSTANCE") {
            return self.nothing_more(Kind::LockInstance);
        }
        self.at.skip_all(&["TABLE", "TABLES"]);
        while let Some((database, table)) = self.take_path() {
            // An alias, READ [LOCAL] or [LOW_PRIORITY] WRITE.
            let mut write = false;
            while !(self.at.at_end() || self.at.token.is_symbol(b',') || self.at.token.is_symbol(b';')) {
                write |= self.at.is("WRITE");
                self.at.advance();
            }
            self.add_table(database, table, Access::Lock { write });
            if !self.at.skip_symbol(b',') {
                break;
            }
        }
        Kind::LockTables
    }

    /// At FLUSH.
    fn flush(&mut self) -> Kind {
        self.at.advance();
        self.at.skip_all(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
        if !self.at.is_any(&["TABLE", "TABLES"]) {
            return self.nothing_more(Kind::Flush);
        }
        self.at.advance();
        if self.at.token.is_name() && !self.at.is_any(&["WITH", "FOR"]) {
            self.take_tables(Access::Lock { write: false });
        }
        let locks = self.at.is_any(&["WITH", "FOR"]);
        if locks { Kind::FlushTablesWithLock } else { Kind::Flush }
    }

    fn xa(&mut self) -> Kind {
        self.at.advance();
        let verb = match self.at.upper().as_str() {
            "START" | "BEGIN" => Xa::Start,
            "END" => Xa::End,
            "PREPARE" => Xa::Prepare,
            "COMMIT" => Xa::Commit,
            "ROLLBACK" => Xa::Rollback,
            "RECOVER" => Xa::Recover,
            _ => return self.nothing_more(Kind::Other("XA".to_owned())),
        };
        self.nothing_more(Kind::Xa(verb))
    }

    fn prepare(&mut self) -> Kind {
        let name = self.name_after_verb();
        self.at.skip("FROM");
        let text = self.at.token.kind == TokenKind::Text;
        let source = text.then(|| literal(self.at.bytes(self.at.token), self.at.mode()));
        Kind::Prepare { name, source }
    }

    pub(super) fn name_after_verb(&mut self) -> Option<Name> {
        self.at.advance();
        self.at.take_name()
    }

    fn kill(&mut self) -> Kind {
        self.at.advance();
        let query_only = self.at.is("QUERY");
        self.at.skip_all(&["QUERY", "CONNECTION"]);
        let alone = self.at.next.kind == TokenKind::End || self.at.next.is_symbol(b';');
        let number = str::from_utf8(self.at.bytes(self.at.token)).ok().and_then(|digits| digits.parse().ok());
        Kind::Kill { query_only, id: number.filter(|_| alone) }
    }
}
