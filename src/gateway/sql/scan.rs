//! The walk over a statement's tokens: one state per parenthesis level, no recursion, no syntax tree.
//!
//! A level is a *query* level once a SELECT stands in it: only there does FROM name tables (in `EXTRACT(… FROM …)` or
//! `TRIM(… FROM …)` it does not). Words asked for without a look at their surroundings are reserved in MySQL 8.0, so they
//! are never names. What the walk does not understand where tables are named makes the statement uncertain; it never
//! makes it fail.
//!
//! Invariants: a step moves the cursor on, or changes the level's state in the direction Ctes → Start → Expression or
//! Table → AfterTable → Expression, so a walk ends. Depth and what is collected are bounded.

use std::borrow::Cow;

use super::cursor::Cursor;
use super::lexer::{Token, TokenKind};
use super::statement::{Access, Kind, Qualifier, Statement, TableRef, Uses};

/// Levels of parentheses beyond this are not looked into (the server's parser gives up at about 3,000 stack entries).
const DEEPEST: usize = 1_000;

/// What a level expects next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Its first word: a query, or anything else.
    Start,
    /// A statement of a stored program's body.
    Statement,
    /// After a common table expression.
    Ctes { recursive: bool },
    /// A table or what stands for one.
    Table,
    /// What may follow a table: alias, hints, joins.
    AfterTable { alias: bool },
    /// A join's condition.
    On,
    /// Whatever names no tables.
    Expression,
}

/// A level of parentheses.
#[derive(Clone, Copy)]
pub(super) struct Level {
    pub(super) state: State,
    pub(super) query: bool,
    /// What is done to the tables of its list.
    pub(super) access: Access,
    /// Open `{` of date literals and functions within a join's condition.
    braces: u32,
    /// How many common table expressions were known before it.
    ctes: usize,
    /// The name of the common table expression whose query is being read.
    cte: Option<Token>,
}

/// What ALTER … RENAME names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Renames {
    Nothing,
    Table,
    Event,
}

/// The walk and what it found.
pub(super) struct Scan<'a> {
    pub(super) at: Cursor<'a>,
    pub(super) kind: Kind,
    pub(super) tables: Vec<TableRef>,
    pub(super) qualifiers: Vec<Qualifier>,
    pub(super) uses: Uses,
    pub(super) certain: bool,
    pub(super) level: Level,
    parents: Vec<Level>,
    pub(super) ctes: Vec<Cow<'a, [u8]>>,
    /// The names DELETE … FROM deletes from, and the aliases seen with the tables they stand for.
    pub(super) targets: Vec<(Option<Token>, Token)>,
    pub(super) aliases: Vec<(Token, usize)>,
    /// The table an alias that follows belongs to.
    pub(super) aliased: Option<usize>,
    /// A stored program's body: semicolons part its statements.
    pub(super) body: bool,
    /// The word TABLE outside parentheses names a table for this.
    pub(super) table_word: Option<Access>,
    /// WITH outside parentheses may begin a query.
    pub(super) with_query: bool,
    /// UNION may be a table's option (MERGE tables).
    pub(super) union_option: bool,
    pub(super) renames: Renames,
    /// The kind to report in place of the explained statement's.
    pub(super) explained: Option<Kind>,
    /// Every user variable may be assigned: arguments of CALL, LOAD DATA, GET DIAGNOSTICS.
    pub(super) assigns: bool,
    /// A comma outside parentheses ends the walk: values of SET.
    pub(super) comma_ends: bool,
}

impl<'a> Scan<'a> {
    pub(super) fn new(at: Cursor<'a>) -> Self {
        let (state, access) = (State::Expression, Access::Read);
        Self {
            at,
            kind: Kind::Empty,
            tables: Vec::new(),
            qualifiers: Vec::new(),
            uses: Uses::default(),
            certain: true,
            level: Level { state, query: false, access, braces: 0, ctes: 0, cte: None },
            parents: Vec::new(),
            ctes: Vec::new(),
            targets: Vec::new(),
            aliases: Vec::new(),
            aliased: None,
            body: false,
            table_word: None,
            with_query: false,
            union_option: false,
            renames: Renames::Nothing,
            explained: None,
            assigns: false,
            comma_ends: false,
        }
    }

    /// Walks to the statement's end, not past its semicolon, or to a comma that ends it.
    pub(super) fn walk(&mut self) {
        loop {
            match self.at.token.kind {
                TokenKind::End => return,
                TokenKind::Symbol(b';') if self.body && self.at_root() => self.next_statement(),
                TokenKind::Symbol(b';') => return,
                TokenKind::Symbol(b',') if self.comma_ends && self.at_root() => return,
                _ => self.step(),
            }
        }
    }

    /// Walks over all that is left. Text behind a semicolon is not looked at.
    pub(super) fn run(&mut self) {
        self.walk();
        if self.at.token.is_symbol(b';') {
            self.at.advance();
            self.certain &= self.at.at_end();
        }
        self.certain &= self.at_root();
        self.resolve_targets();
    }

    pub(super) fn finish(mut self) -> Statement {
        if self.body {
            // Defining a program does not run it.
            self.uses = Uses::default();
            self.certain = false;
        }
        let Self { kind, explained, tables, qualifiers, uses, certain, .. } = self;
        let kind = explained.unwrap_or(kind);
        Statement { kind, tables, qualifiers, uses, certain }
    }

    fn step(&mut self) {
        match self.level.state {
            State::Start => self.start(),
            State::Statement => self.body_statement(),
            State::Ctes { recursive } => self.after_cte(recursive),
            State::Table => self.table_factor(),
            State::AfterTable { alias } => self.after_table(alias),
            State::On => self.condition(),
            State::Expression => self.expression(),
        }
    }

    /// After a semicolon in a body.
    fn next_statement(&mut self) {
        self.resolve_targets();
        self.at.advance();
        (self.level.query, self.level.state, self.level.access) = (false, State::Statement, Access::Read);
    }

    pub(super) fn at_root(&self) -> bool {
        self.parents.is_empty()
    }

    /// At `(`: a level within.
    pub(super) fn open(&mut self, state: State, access: Access) {
        self.at.advance();
        if self.parents.len() >= DEEPEST {
            self.give_up();
            return;
        }
        self.parents.push(self.level);
        self.level = Level { state, query: false, access, braces: 0, ctes: self.ctes.len(), cte: None };
    }

    /// At `)`.
    pub(super) fn close(&mut self) {
        self.at.advance();
        match self.parents.pop() {
            Some(parent) => {
                self.ctes.truncate(self.level.ctes);
                self.level = parent;
            }
            None => self.certain = false,
        }
    }

    pub(super) fn give_up(&mut self) {
        self.certain = false;
        self.at.finish();
    }

    /// The first word of a level or of a part of a UNION.
    fn start(&mut self) {
        self.level.state = State::Expression;
        match self.at.upper().as_str() {
            "WITH" => self.with(),
            "TABLE" => {
                self.at.advance();
                self.take_table(Access::Read);
            }
            "SELECT" => self.select(),
            _ if self.at.token.is_symbol(b'(') => self.open(State::Start, Access::Read),
            _ => {}
        }
    }

    /// At SELECT.
    pub(super) fn select(&mut self) {
        self.at.advance();
        (self.level.query, self.level.state, self.level.access) = (true, State::Expression, Access::Read);
    }

    /// At WITH.
    pub(super) fn with(&mut self) {
        self.at.advance();
        let recursive = self.at.skip("RECURSIVE");
        self.cte(recursive);
    }

    /// At the name of a common table expression.
    fn cte(&mut self, recursive: bool) {
        let name = self.at.token;
        self.level.state = State::Expression;
        if name.is_name() {
            self.at.advance();
            if self.at.token.is_symbol(b'(') {
                self.at.skip_parentheses();
            }
            if self.at.skip("AS") && self.at.token.is_symbol(b'(') {
                if recursive {
                    self.know_cte(name);
                }
                self.level.cte = (!recursive).then_some(name);
                self.level.state = State::Ctes { recursive };
                self.open(State::Start, Access::Read);
                return;
            }
        }
        self.certain = false;
    }

    /// After the query of a common table expression: another one, or the statement they are for.
    fn after_cte(&mut self, recursive: bool) {
        if let Some(name) = self.level.cte.take() {
            self.know_cte(name);
        }
        if self.at.skip_symbol(b',') {
            self.cte(recursive);
            return;
        }
        self.level.state = State::Start;
        if self.at_root() && self.kind == Kind::Query {
            match self.at.upper().as_str() {
                "UPDATE" => self.kind = self.update(),
                "DELETE" => self.kind = self.delete(),
                _ => {}
            }
        }
    }

    /// Within a join's condition: true if this brace belongs to an escape such as `{d '2020-01-01'}`.
    pub(super) fn closes_escape(&mut self) -> bool {
        let open = self.level.braces > 0;
        self.level.braces = self.level.braces.saturating_sub(1);
        open
    }

    pub(super) fn opens_escape(&mut self) {
        self.level.braces = self.level.braces.saturating_add(1);
    }
}
