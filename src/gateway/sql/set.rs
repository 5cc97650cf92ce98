//! SET: assignments, and the statements that merely begin with the word.

use super::lexer::TokenKind;
use super::name::{unquoted, user_variable};
use super::scan::{Scan, State};
use super::statement::{Assignment, Kind, Scope, TransactionScope};

/// Assignments beyond this are not collected.
const MOST: usize = 10_000;

impl Scan<'_> {
    /// At SET.
    pub(super) fn set(&mut self) -> Kind {
        self.at.advance();
        let other = match self.at.upper().as_str() {
            "PASSWORD" if self.equals_next() || self.at.next_is_any(&["FOR", "TO"]) => Kind::Account,
            "DEFAULT" if self.at.next_is("ROLE") => Kind::Account,
            "ROLE" if !self.equals_next() => Kind::SetRole,
            "RESOURCE" if self.at.next_is("GROUP") => Kind::Server,
            "TRANSACTION" if !self.equals_next() => Kind::SetTransaction { scope: TransactionScope::Next },
            "SESSION" | "LOCAL" if self.at.next_is("TRANSACTION") => {
                Kind::SetTransaction { scope: TransactionScope::Session }
            }
            "GLOBAL" if self.at.next_is("TRANSACTION") => Kind::SetTransaction { scope: TransactionScope::Global },
            _ => return self.assignments(),
        };
        self.at.finish();
        other
    }

    fn equals_next(&self) -> bool {
        self.at.next.is_symbol(b'=') || self.at.next.kind == TokenKind::Assign
    }

    fn assignments(&mut self) -> Kind {
        let mut all = Vec::new();
        // The last scope named holds for what follows without one.
        let mut scope = Scope::Session;
        self.comma_ends = true;
        loop {
            let assignment = self.assignment(&mut scope);
            self.certain &= assignment.scope != Scope::Unknown;
            all.push(assignment);
            if all.len() >= MOST {
                self.certain = false;
                self.at.finish();
            }
            if !self.at.skip_symbol(b',') {
                break;
            }
        }
        self.comma_ends = false;
        Kind::Set(all)
    }

    fn assignment(&mut self, sticky: &mut Scope) -> Assignment {
        let (scope, name) = match self.at.upper().as_str() {
            "NAMES" if !self.equals_next() => {
                self.at.advance();
                return self.with_value(Scope::Names, String::new());
            }
            "CHARACTER" | "CHAR" if self.at.next_is("SET") => {
                self.at.advance();
                self.at.advance();
                return self.with_value(Scope::CharacterSet, String::new());
            }
            "CHARSET" if !self.equals_next() => {
                self.at.advance();
                return self.with_value(Scope::CharacterSet, String::new());
            }
            word => match scope_named(word.as_bytes()).filter(|_| self.at.next.is_name()) {
                Some(scope) => {
                    *sticky = scope;
                    self.at.advance();
                    (scope, self.system_name())
                }
                None => match self.at.token.kind {
                    TokenKind::UserVariable => {
                        self.add_variable(self.at.token, true, false);
                        let name = user_variable(self.at.bytes(self.at.token));
                        self.at.advance();
                        (Scope::User, name)
                    }
                    TokenKind::SystemVariable => {
                        let (scope, name) = system_variable(self.at.bytes(self.at.token));
                        self.at.advance();
                        (scope, name)
                    }
                    _ => (*sticky, self.system_name()),
                },
            },
        };
        let equals = self.at.token.is_symbol(b'=') || self.at.token.kind == TokenKind::Assign;
        if equals {
            self.at.advance();
        }
        let known = equals && (!name.is_empty() || scope == Scope::User);
        self.with_value(if known { scope } else { Scope::Unknown }, name)
    }

    /// A bare variable's name in lower case: `a`, or `a.b` of key caches and components; empty if there is none.
    fn system_name(&mut self) -> String {
        let Some(first) = self.at.take_name() else { return String::new() };
        let mut name = first.text.to_lowercase();
        if self.at.token.is_symbol(b'.') && self.at.next.is_name() {
            self.at.advance();
            name.push('.');
            name.push_str(&self.at.take_name().map(|second| second.text.to_lowercase()).unwrap_or_default());
        }
        name
    }

    fn with_value(&mut self, scope: Scope, name: String) -> Assignment {
        let start = self.at.token.start;
        self.level.state = State::Expression;
        self.walk();
        Assignment { scope, name, value: start..self.at.last_end.max(start) }
    }
}

fn scope_named(word: &[u8]) -> Option<Scope> {
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    match () {
        () if is("GLOBAL") => Some(Scope::Global),
        () if is("SESSION") || is("LOCAL") => Some(Scope::Session),
        () if is("PERSIST") => Some(Scope::Persist),
        () if is("PERSIST_ONLY") => Some(Scope::PersistOnly),
        () => None,
    }
}

/// The scope and name of `@@name` or `@@scope.name`.
fn system_variable(token: &[u8]) -> (Scope, String) {
    let path = token.strip_prefix(b"@@").unwrap_or(token);
    let lower = |name: &[u8]| String::from_utf8_lossy(&unquoted(name)).to_lowercase();
    let dot = path.iter().position(|&byte| byte == b'.');
    let split = dot.and_then(|at| Some((path.get(..at)?, path.get(at + 1..)?)));
    match split.and_then(|(first, rest)| Some((scope_named(first)?, rest))) {
        Some((scope, rest)) => (scope, lower(rest)),
        None => (Scope::Session, lower(path)),
    }
}
