//! What the walk takes along: tables, qualifiers and variables, within bounds.

use super::lexer::Token;
use super::name::{self, Name};
use super::scan::Scan;
use super::statement::{Access, Qualified, Qualifier, TableRef};

/// Tables, qualifiers and variables beyond this are not collected: a statement of many megabytes must not become
/// gigabytes.
const MOST: usize = 100_000;

impl Scan<'_> {
    /// Takes the table named here. None if none is, or if it is a common table expression.
    pub(super) fn take_table(&mut self, access: Access) -> Option<usize> {
        let (database, table) = self.take_path()?;
        let name = self.at.bytes(table);
        // Exact comparison: where the server is less exact we only name a table too many.
        if database.is_none() && !self.ctes.is_empty() && self.ctes.contains(&name::unquoted(name)) {
            return None;
        }
        self.add_table(database, table, access)
    }

    /// Takes `t`, `db.t` or `.t`; uncertain if there is none.
    pub(super) fn take_path(&mut self) -> Option<(Option<Token>, Token)> {
        self.at.skip_symbol(b'.');
        let first = self.at.token;
        if !first.is_name() {
            self.certain = false;
            return None;
        }
        self.at.advance();
        if !(self.at.token.is_symbol(b'.') && self.at.next.is_name()) {
            return Some((None, first));
        }
        self.at.advance();
        let second = self.at.token;
        self.at.advance();
        Some((Some(first), second))
    }

    pub(super) fn add_table(&mut self, database: Option<Token>, table: Token, access: Access) -> Option<usize> {
        if !self.has_room() {
            return None;
        }
        let (database, table) = (database.map(|token| self.name(token)), self.name(table));
        self.tables.push(TableRef { database, table, access });
        Some(self.tables.len() - 1)
    }

    pub(super) fn add_qualifier(&mut self, database: Token, what: Qualified) {
        let database = self.name(database);
        self.add_named_qualifier(database, what);
    }

    pub(super) fn add_named_qualifier(&mut self, database: Name, what: Qualified) {
        if self.has_room() {
            self.qualifiers.push(Qualifier { database, what });
        }
    }

    /// Takes the tables of a list, each perhaps with partitions or indexes behind it.
    pub(super) fn take_tables(&mut self, access: Access) {
        loop {
            self.take_table(access);
            while self.at.is_any(&["PARTITION", "INDEX", "KEY"]) || self.at.token.is_symbol(b'(') {
                if self.at.token.is_symbol(b'(') {
                    self.at.skip_parentheses();
                } else {
                    self.at.advance();
                }
            }
            self.at.skip_all(&["IGNORE", "LEAVES"]);
            if !self.at.skip_symbol(b',') {
                return;
            }
        }
    }

    /// Takes the name of a stored program.
    pub(super) fn take_routine(&mut self) {
        if let Some((Some(database), _)) = self.take_path() {
            self.add_qualifier(database, Qualified::Routine);
        }
    }

    fn name(&self, token: Token) -> Name {
        self.at.name_of(token.start..token.end)
    }

    pub(super) fn add_variable(&mut self, token: Token, assigned: bool, read: bool) {
        if !self.has_room() {
            return;
        }
        let name = name::user_variable(self.at.bytes(token));
        if assigned {
            self.uses.variables_assigned.insert(name.clone());
        }
        if read {
            self.uses.variables_read.insert(name);
        }
    }

    /// Whether more may be collected; the walk ends when not.
    fn has_room(&mut self) -> bool {
        let uses = &self.uses;
        let found =
            [self.tables.len(), self.qualifiers.len(), uses.variables_assigned.len(), uses.variables_read.len()];
        let room = found.iter().sum::<usize>() + uses.database_function.len() < MOST;
        if !room {
            self.give_up();
        }
        room
    }

    pub(super) fn know_cte(&mut self, name: Token) {
        if self.ctes.len() < MOST {
            self.ctes.push(name::unquoted(self.at.bytes(name)));
        }
    }
}
