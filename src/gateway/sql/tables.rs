//! The states of the walk in which tables are named: FROM lists, joins, and the targets of DELETE.

use super::lexer::{Token, TokenKind};
use super::name::unquoted;
use super::scan::{Scan, State};
use super::statement::{Access, Dml, Kind};

/// More targets of one DELETE than this are taken for tables (the server joins at most 61).
const MOST_TARGETS: usize = 64;

impl Scan<'_> {
    /// Where a table, a derived table, a parenthesised join or a table function stands.
    pub(super) fn table_factor(&mut self) {
        self.aliased = None;
        let after = State::AfterTable { alias: false };
        match self.at.token.kind {
            TokenKind::Symbol(b'(') => {
                self.level.state = after;
                self.open(State::Table, self.level.access);
            }
            TokenKind::Symbol(b'{') => {
                // { OJ a LEFT OUTER JOIN b ON … }
                self.at.advance();
                if self.at.token.is_name() {
                    self.at.advance();
                }
            }
            TokenKind::Symbol(b')') => {
                self.certain = false;
                self.close();
            }
            TokenKind::Word => match self.at.upper().as_str() {
                "SELECT" | "WITH" | "TABLE" | "VALUES" => self.level.state = State::Start,
                "LATERAL" => self.at.advance(),
                "DUAL" => {
                    self.at.advance();
                    self.level.state = after;
                }
                "JSON_TABLE" if self.at.next.is_symbol(b'(') => {
                    self.at.advance();
                    self.level.state = after;
                    self.open(State::Start, Access::Read);
                }
                _ => self.plain_table(),
            },
            TokenKind::Identifier | TokenKind::Quoted | TokenKind::Symbol(b'.') => self.plain_table(),
            _ => {
                self.certain = false;
                self.level.state = State::On;
                self.at.advance();
            }
        }
    }

    fn plain_table(&mut self) {
        let tables = self.tables.len();
        self.aliased = self.take_table(self.level.access);
        self.level.state = State::AfterTable { alias: false };
        if self.at.token.is_symbol(b'(') {
            // A table function unknown to us.
            self.tables.truncate(tables);
            self.aliased = None;
            self.certain = false;
        }
    }

    /// Behind a table.
    pub(super) fn after_table(&mut self, alias: bool) {
        match self.at.token.kind {
            TokenKind::Symbol(b',') => self.expect_table(),
            TokenKind::Symbol(b'(') => self.open(State::Start, Access::Read),
            TokenKind::Symbol(b')') => self.close(),
            TokenKind::Symbol(b'}') => self.at.advance(),
            TokenKind::Word => match self.at.upper().as_str() {
                "JOIN" | "STRAIGHT_JOIN" => self.expect_table(),
                "NATURAL" | "LEFT" | "RIGHT" | "INNER" | "CROSS" | "OUTER" | "USING" | "PARTITION" => self.at.advance(),
                "ON" => self.on(),
                "USE" | "FORCE" | "IGNORE" => self.index_hint(),
                "AS" if self.at.next.is_name() => {
                    self.at.advance();
                    self.alias(alias);
                }
                // No reserved word before 8.0.31.
                "INTERSECT" if !self.query_follows() => self.alias(alias),
                "FOR" if !self.at.next_is_any(&["UPDATE", "SHARE"]) => {
                    self.certain = false;
                    self.at.advance();
                }
                "WHERE" | "GROUP" | "HAVING" | "ORDER" | "LIMIT" | "WINDOW" | "INTO" | "FOR" | "LOCK" | "SET"
                | "WITH" | "UNION" | "EXCEPT" | "INTERSECT" | "PROCEDURE" | "SELECT" | "VALUES" => {
                    self.level.state = State::Expression;
                }
                "THEN" | "ELSE" | "DO" | "LOOP" | "END" if self.body => self.level.state = State::Expression,
                _ => self.alias(alias),
            },
            TokenKind::Identifier | TokenKind::Quoted => self.alias(alias),
            _ => {
                self.certain = false;
                self.level.state = State::On;
                self.at.advance();
            }
        }
    }

    /// At a comma or JOIN.
    fn expect_table(&mut self) {
        self.at.advance();
        self.level.state = State::Table;
    }

    /// At a name behind a table. A second one is nothing we know.
    fn alias(&mut self, another: bool) {
        if another {
            self.certain = false;
            self.level.state = State::On;
        } else {
            self.level.state = State::AfterTable { alias: true };
            // Only DELETE asks, of the tables of its own list.
            if let Some(table) = self.aliased
                && !self.targets.is_empty()
                && !self.level.query
            {
                self.aliases.push((self.at.token, table));
            }
        }
        self.at.advance();
    }

    /// At USE, FORCE or IGNORE: the list in parentheses follows.
    fn index_hint(&mut self) {
        self.at.advance();
        self.at.skip_all(&["INDEX", "KEY"]);
        if self.at.skip("FOR") {
            self.at.skip_all(&["JOIN", "ORDER", "GROUP", "BY"]);
        }
    }

    /// At ON: a condition, or ON DUPLICATE KEY UPDATE (DUPLICATE alone may be a column).
    pub(super) fn on(&mut self) {
        let mut ahead = self.at.clone();
        ahead.advance();
        if ahead.is("DUPLICATE") && ahead.next_is("KEY") {
            (self.level.state, self.level.query) = (State::Expression, false);
        } else if self.level.state != State::Expression {
            self.level.state = State::On;
        }
        self.at.advance();
    }

    /// A join's condition: an expression after which the list goes on.
    pub(super) fn condition(&mut self) {
        match self.at.token.kind {
            TokenKind::Symbol(b',') => self.expect_table(),
            TokenKind::Symbol(b'{') => {
                self.opens_escape();
                self.at.advance();
            }
            TokenKind::Symbol(b'}') => {
                if !self.closes_escape() {
                    self.level.state = State::AfterTable { alias: true };
                }
                self.at.advance();
            }
            TokenKind::Word => match self.at.upper().as_str() {
                "JOIN" | "STRAIGHT_JOIN" => self.expect_table(),
                "ON" => self.on(),
                "WHERE" | "GROUP" | "HAVING" | "ORDER" | "LIMIT" | "WINDOW" | "INTO" | "LOCK" | "SET" | "WITH"
                | "PROCEDURE" | "UNION" | "EXCEPT" => self.level.state = State::Expression,
                "FOR" if self.at.next_is_any(&["UPDATE", "SHARE"]) => self.level.state = State::Expression,
                "INTERSECT" if self.query_follows() => self.level.state = State::Expression,
                _ => self.expression(),
            },
            _ => self.expression(),
        }
    }

    /// Whether the word here is followed by what begins a query.
    fn query_follows(&self) -> bool {
        self.at.next.is_symbol(b'(') || self.at.next_is_any(&["SELECT", "TABLE", "VALUES", "WITH", "ALL", "DISTINCT"])
    }

    /// At UPDATE.
    pub(super) fn update(&mut self) -> Kind {
        self.at.advance();
        self.at.skip_all(&["LOW_PRIORITY", "IGNORE"]);
        (self.level.state, self.level.access, self.level.query) = (State::Table, Access::Write, false);
        Kind::Dml(Dml::Update)
    }

    /// At DELETE.
    pub(super) fn delete(&mut self) -> Kind {
        self.at.advance();
        self.at.skip_all(&["LOW_PRIORITY", "QUICK", "IGNORE"]);
        self.level.query = false;
        let from = self.at.skip("FROM");
        let names = self.target_list();
        if self.at.skip(if from { "USING" } else { "FROM" }) {
            self.targets = names;
            (self.level.state, self.level.access) = (State::Table, Access::Read);
            return Kind::Dml(Dml::Delete);
        }
        self.certain &= from && names.len() == 1;
        for (database, table) in names {
            self.add_table(database, table, Access::Write);
        }
        (self.level.state, self.aliased) = (State::AfterTable { alias: false }, None);
        Kind::Dml(Dml::Delete)
    }

    /// `a, db.b, c.*`
    fn target_list(&mut self) -> Vec<(Option<Token>, Token)> {
        let mut names = Vec::new();
        while let Some(name) = self.take_path() {
            names.push(name);
            if self.at.token.is_symbol(b'.') && self.at.next.is_symbol(b'*') {
                self.at.advance();
                self.at.advance();
            }
            if !self.at.skip_symbol(b',') {
                break;
            }
        }
        names
    }

    /// Tells which tables a multi-table DELETE writes. A target that is an alias is no table of its own.
    pub(super) fn resolve_targets(&mut self) {
        let (targets, aliases) = (std::mem::take(&mut self.targets), std::mem::take(&mut self.aliases));
        if targets.len() > MOST_TARGETS {
            self.certain = false;
        }
        for (place, (database, table)) in targets.into_iter().enumerate() {
            let name = unquoted(self.at.bytes(table)).into_owned();
            let mut alias = false;
            if place < MOST_TARGETS && database.is_none() {
                for &(token, index) in &aliases {
                    if unquoted(self.at.bytes(token)).eq_ignore_ascii_case(&name)
                        && let Some(meant) = self.tables.get_mut(index)
                    {
                        meant.access = Access::Write;
                        alias = true;
                    }
                }
            }
            if alias {
                continue;
            }
            if place < MOST_TARGETS {
                let name = String::from_utf8_lossy(&name);
                for listed in &mut self.tables {
                    if listed.table.text.eq_ignore_ascii_case(&name) {
                        listed.access = Access::Write;
                    }
                }
            }
            self.add_table(database, table, Access::Write);
        }
    }
}
