//! The state of the walk that names no tables by itself: expressions, clauses, options. It looks for what leads to
//! tables (FROM, subqueries), for qualified columns and functions, variables, and locking clauses.

use super::lexer::{Token, TokenKind};
use super::name::unquoted;
use super::scan::{Renames, Scan, State};
use super::statement::{Access, Qualified};

impl Scan<'_> {
    pub(super) fn expression(&mut self) {
        match self.at.token.kind {
            TokenKind::Symbol(b'(') => self.open(State::Start, Access::Read),
            TokenKind::Symbol(b')') => self.close(),
            TokenKind::Word => self.word(),
            TokenKind::Identifier | TokenKind::Quoted => self.chain(),
            TokenKind::UserVariable => self.user_variable(),
            TokenKind::SystemVariable => self.system_variable(),
            _ => self.at.advance(),
        }
    }

    fn word(&mut self) {
        match self.at.upper().as_str() {
            "SELECT" => self.select(),
            "FROM" if self.level.query => self.from(),
            "INTO" => self.into(),
            "FOR" if self.at.next_is_any(&["UPDATE", "SHARE"]) => self.locking(),
            "LOCK" if self.at.next_is("IN") => {
                self.uses.locking_read = true;
                self.at.advance();
            }
            "ON" => self.on(),
            "UNION" | "EXCEPT" | "INTERSECT" => self.set_operation(),
            "SQL_CALC_FOUND_ROWS" => {
                self.uses.calc_found_rows = true;
                self.at.advance();
            }
            "REFERENCES" => {
                self.at.advance();
                self.take_table(Access::Read);
            }
            "WITH" if self.with_query && self.at_root() && !self.level.query => self.with(),
            "TABLE" => {
                self.at.advance();
                if let (Some(access), true) = (self.table_word, self.at_root()) {
                    self.take_table(access);
                }
            }
            "RENAME" if self.renames != Renames::Nothing && self.at_root() => self.rename(),
            // REPEAT() is a function, too.
            "BEGIN" | "THEN" | "ELSE" | "DO" | "LOOP" | "REPEAT"
                if self.body && self.at_root() && !self.at.next.is_symbol(b'(') =>
            {
                self.at.advance();
                self.level.state = State::Statement;
            }
            _ => self.chain(),
        }
    }

    /// At FROM of a query.
    fn from(&mut self) {
        self.at.advance();
        // NTH_VALUE(a, 2) FROM FIRST RESPECT NULLS OVER w
        if self.at.is_any(&["FIRST", "LAST"]) {
            let mut ahead = self.at.clone();
            ahead.advance();
            if ahead.is("OVER") || (ahead.is_any(&["RESPECT", "IGNORE"]) && ahead.next_is("NULLS")) {
                return;
            }
        }
        self.level.state = State::Table;
    }

    /// At INTO of a query: a file, or variables.
    fn into(&mut self) {
        self.at.advance();
        self.level.state = State::Expression;
        if self.at.is_any(&["OUTFILE", "DUMPFILE"]) {
            self.uses.into_outfile = true;
            self.at.advance();
            return;
        }
        loop {
            match self.at.token.kind {
                TokenKind::UserVariable => self.add_variable(self.at.token, true, false),
                TokenKind::Word | TokenKind::Quoted => {}
                _ => return,
            }
            self.at.advance();
            if !self.at.skip_symbol(b',') {
                return;
            }
        }
    }

    /// At FOR UPDATE or FOR SHARE.
    fn locking(&mut self) {
        self.uses.locking_read = true;
        self.level.state = State::Expression;
        self.at.advance();
        self.at.advance();
        if !self.at.skip("OF") {
            return;
        }
        while let Some((database, _)) = self.take_path() {
            if let Some(database) = database {
                self.add_qualifier(database, Qualified::Table);
            }
            if !self.at.skip_symbol(b',') {
                return;
            }
        }
    }

    /// At UNION, EXCEPT or INTERSECT: another query follows, or the list of tables of a MERGE table.
    fn set_operation(&mut self) {
        self.at.advance();
        if self.union_option && self.at_root() && !self.level.query {
            let option = self.at.skip_symbol(b'=');
            let query = self.at.next.is_symbol(b'(') || self.at.next_is_any(&["SELECT", "WITH", "TABLE", "VALUES"]);
            if self.at.token.is_symbol(b'(') && (option || !query) {
                self.at.advance();
                self.take_tables(Access::Read);
                self.at.skip_symbol(b')');
                return;
            }
        }
        self.at.skip_all(&["ALL", "DISTINCT"]);
        self.level.state = State::Start;
    }

    /// At RENAME of ALTER: only the table's or event's own new name matters.
    fn rename(&mut self) {
        self.at.advance();
        if self.at.is_any(&["COLUMN", "INDEX", "KEY"]) {
            return;
        }
        self.at.skip_all(&["TO", "AS"]);
        self.at.skip_symbol(b'=');
        if self.renames == Renames::Table {
            self.take_table(Access::Define);
        } else {
            self.take_routine();
        }
    }

    /// At a name: `c`, `t.c`, `db.t.c`, `f(`, `db.f(`.
    fn chain(&mut self) {
        let first = self.at.token;
        self.at.advance();
        let mut parts = 1;
        while self.at.token.is_symbol(b'.') && (self.at.next.is_name() || self.at.next.is_symbol(b'*')) {
            self.at.advance();
            self.at.advance();
            parts += 1;
        }
        let call = self.at.token.is_symbol(b'(');
        match parts {
            1 if call => self.function(first),
            2 if call => self.add_qualifier(first, Qualified::Routine),
            3 => self.add_qualifier(first, Qualified::Column),
            _ => {}
        }
    }

    /// At the parenthesis behind a function's name.
    fn function(&mut self, name: Token) {
        let no_arguments = self.at.next.is_symbol(b')');
        match self.at.upper_name(name).as_str() {
            "GET_LOCK"
            | "RELEASE_LOCK"
            | "RELEASE_ALL_LOCKS"
            | "SERVICE_GET_READ_LOCKS"
            | "SERVICE_GET_WRITE_LOCKS"
            | "SERVICE_RELEASE_LOCKS" => self.uses.advisory_locks = true,
            "IS_FREE_LOCK" | "IS_USED_LOCK" => self.uses.asks_for_locks = true,
            "LAST_INSERT_ID" => self.uses.previous_statement |= no_arguments,
            "FOUND_ROWS" | "ROW_COUNT" => self.uses.previous_statement = true,
            "CONNECTION_ID" | "PS_CURRENT_THREAD_ID" => self.uses.connection_id = true,
            "DATABASE" | "SCHEMA" if no_arguments && name.kind == TokenKind::Word => {
                self.uses.database_function.push(name.start..self.at.next.end);
            }
            _ => {}
        }
    }

    fn user_variable(&mut self) {
        let assigned = self.at.next.kind == TokenKind::Assign;
        self.add_variable(self.at.token, assigned || self.assigns, !assigned);
        self.at.advance();
    }

    fn system_variable(&mut self) {
        let written = self.at.bytes(self.at.token);
        let name = written.rsplit(|&byte| byte == b'.' || byte == b'@').next().unwrap_or_default();
        let is = |known: &str| unquoted(name).eq_ignore_ascii_case(known.as_bytes());
        self.uses.previous_statement |=
            ["warning_count", "error_count", "identity", "last_insert_id"].into_iter().any(is);
        self.uses.connection_id |= is("pseudo_thread_id");
        self.at.advance();
    }
}
