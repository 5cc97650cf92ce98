//! What is known of a statement after reading its tokens: what the router decides on.

use std::collections::BTreeSet;
use std::ops::Range;

use super::name::Name;

/// One statement, understood as far as routing needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub kind: Kind,
    /// Every table named in a position where tables are named, in the order of the text. A table named twice is here twice.
    /// Common table expressions and aliases are not.
    pub tables: Vec<TableRef>,
    /// Databases named elsewhere: before columns, stored programs and repeated table names.
    pub qualifiers: Vec<Qualifier>,
    pub uses: Uses,
    /// False when `tables` and `qualifiers` may lack something: the text holds what the scan does not understand, or the
    /// body of a stored program. Then only [`super::identifiers`] tells what the statement may touch.
    pub certain: bool,
}

/// A table in a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRef {
    /// The database it is qualified with. In `SHOW COLUMNS FROM t FROM db` its place is *behind* the table's.
    pub database: Option<Name>,
    pub table: Name,
    pub access: Access,
}

/// What the statement does to a table. In UPDATE every table of the list counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    Read,
    Write,
    /// LOCK TABLES, FLUSH TABLES … WITH READ LOCK.
    Lock {
        write: bool,
    },
    /// Creates, changes or drops the table itself, or what belongs to it (index, trigger, view), or maintains it.
    Define,
}

/// A database named before something that is no table of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qualifier {
    pub database: Name,
    pub what: Qualified,
}

/// What follows the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qualified {
    /// `db.t.c`, `db.t.*`
    Column,
    /// A table the statement names elsewhere too: `FOR UPDATE OF db.t`.
    Table,
    /// A stored function, procedure, trigger or event.
    Routine,
    /// The database itself: CREATE / ALTER / DROP DATABASE, EXPLAIN FOR DATABASE.
    Database,
}

/// What else a statement does that ties it to a connection or changes one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// FOR UPDATE, FOR SHARE or LOCK IN SHARE MODE, anywhere.
    pub locking_read: bool,
    /// INTO OUTFILE or INTO DUMPFILE: a file on the server.
    pub into_outfile: bool,
    pub calc_found_rows: bool,
    /// GET_LOCK, RELEASE_LOCK and their like, including the locking service's.
    pub advisory_locks: bool,
    /// IS_FREE_LOCK, IS_USED_LOCK, which only ask.
    pub asks_for_locks: bool,
    /// Asks for what the statement before left on its connection: LAST_INSERT_ID(), FOUND_ROWS(), ROW_COUNT(),
    /// `@@warning_count`, SHOW WARNINGS, GET DIAGNOSTICS.
    pub previous_statement: bool,
    /// It begins with SELECT NEXT, so that it may ask a sequence for numbers.
    pub next_values: bool,
    /// CONNECTION_ID() or `@@pseudo_thread_id`.
    pub connection_id: bool,
    /// Each `DATABASE()` or `SCHEMA()`, from the word to the closing parenthesis.
    pub database_function: Vec<Range<usize>>,
    /// User variables it may assign and those it reads: in lower case, without `@`.
    pub variables_assigned: BTreeSet<String>,
    pub variables_read: BTreeSet<String>,
}

/// What kind of statement it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing but blanks, comments and a semicolon. Servers answer OK if there is a comment, else error 1065.
    Empty,
    /// SELECT, TABLE, VALUES and combinations of them; CHECKSUM TABLE, which only reads its tables, too.
    Query,
    Dml(Dml),
    Call,
    Do,
    Handler(Handler),
    /// IMPORT TABLE FROM.
    Import,
    Ddl(Ddl),
    /// ANALYZE, CHECK, OPTIMIZE, REPAIR TABLE; CACHE INDEX; LOAD INDEX INTO CACHE.
    TableAdmin,
    CreateTemporary,
    DropTemporary,
    /// EXPLAIN of a statement; `analyze` runs it.
    Explain {
        analyze: bool,
    },
    /// EXPLAIN FOR CONNECTION.
    ExplainConnection,
    /// DESCRIBE t.
    Describe,
    Set(Vec<Assignment>),
    SetTransaction {
        scope: TransactionScope,
    },
    SetRole,
    Show(Show),
    /// The text as written without quotes: `ks`, `ks@replica`, `ks:-80`, `ks/-80@rdonly`; empty if none was given.
    Use(Name),
    Begin {
        consistent_snapshot: bool,
        read_only: Option<bool>,
    },
    Commit {
        chain: bool,
        release: bool,
    },
    Rollback {
        chain: bool,
        release: bool,
    },
    Savepoint,
    RollbackTo,
    ReleaseSavepoint,
    LockTables,
    UnlockTables,
    LockInstance,
    UnlockInstance,
    /// FLUSH TABLES … WITH READ LOCK or FOR EXPORT.
    FlushTablesWithLock,
    Flush,
    Xa(Xa),
    Prepare {
        name: Option<Name>,
        /// The statement's text, if it is a literal; None when it comes from a user variable.
        source: Option<Vec<u8>>,
    },
    Execute {
        name: Option<Name>,
    },
    Deallocate {
        name: Option<Name>,
    },
    /// `id` is None for an expression.
    Kill {
        query_only: bool,
        id: Option<u64>,
    },
    /// GET DIAGNOSTICS, SHOW WARNINGS, SHOW ERRORS, SHOW COUNT(*) WARNINGS.
    Diagnostics,
    /// SIGNAL, RESIGNAL.
    Signal,
    /// Users, roles, privileges and passwords.
    Account,
    /// What concerns the server as a whole: SHUTDOWN, CLONE, plugins, replication, RESET, PURGE, resource groups.
    Server,
    Help,
    /// Anything else, by its first word in upper case; empty if it begins with no word.
    Other(String),
}

/// Statements that write rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dml {
    Insert,
    Replace,
    Update,
    Delete,
    /// `local`: the client sends the file.
    LoadData {
        local: bool,
    },
    LoadXml {
        local: bool,
    },
}

/// What a definition defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ddl {
    Table,
    /// TRUNCATE TABLE.
    Truncate,
    View,
    Index,
    Trigger,
    /// A procedure or function, stored or loadable.
    Routine,
    Event,
    Database,
    /// Tablespaces, servers, log file groups, spatial reference systems, libraries.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Handler {
    Open,
    Read,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Xa {
    Start,
    End,
    Prepare,
    Commit,
    Rollback,
    Recover,
}

/// Whose transactions SET TRANSACTION speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransactionScope {
    /// The next one of this session.
    Next,
    Session,
    Global,
}

/// One assignment of SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub scope: Scope,
    /// Of a system or user variable in lower case, without `@`. Empty for [`Scope::Names`] and [`Scope::CharacterSet`].
    pub name: String,
    /// From the value's first token to its last; empty if there is none. Of NAMES it includes COLLATE.
    pub value: Range<usize>,
}

/// What an assignment sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    Session,
    Global,
    Persist,
    PersistOnly,
    /// A user variable.
    User,
    /// SET NAMES.
    Names,
    /// SET CHARACTER SET.
    CharacterSet,
    /// Not understood.
    Unknown,
}

/// What a SHOW statement asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Show {
    Databases {
        filter: Option<Filter>,
    },
    Keyspaces {
        filter: Option<Filter>,
    },
    Tables {
        full: bool,
        extended: bool,
        database: Option<Name>,
        filter: Option<Filter>,
    },
    /// `vitess_tablets`, `vitess_shards`, …: the name in lower case.
    Vitess {
        name: String,
        filter: Option<Filter>,
    },
    VschemaTables,
    VschemaKeyspaces,
    VschemaVindexes,
    /// What the server answers. `database`: the one it speaks of, unless that stands with one of [`Statement::tables`].
    Other {
        database: Option<Name>,
    },
}

/// Which rows of a SHOW are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A LIKE pattern, its literal read: `\_` and `\%` stand for themselves.
    Like(String),
    /// The place of the condition after WHERE.
    Where(Range<usize>),
}

impl Kind {
    /// Whether the server commits an open transaction before it runs this ("Statements That Cause an Implicit Commit").
    /// SET autocommit and UNLOCK TABLES depend on the session's state and are not counted.
    pub fn commits_implicitly(&self) -> bool {
        matches!(
            self,
            Self::Ddl(_)
                | Self::TableAdmin
                | Self::Import
                | Self::Account
                | Self::Server
                | Self::Begin { .. }
                | Self::LockTables
                | Self::FlushTablesWithLock
                | Self::Flush
        )
    }
}
