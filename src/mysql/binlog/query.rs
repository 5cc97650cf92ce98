//! Query events: what kind of statement the text is, decided by its words alone.
//!
//! Row-based binlogs hold no DML as text, so a text that changes rows was logged as a statement and cannot be honoured. A
//! statement we do not know counts as DDL of unknown scope: it stops the stream where DDL does, rather than pass unseen.

use super::cursor::{Cursor, Malformed};
use super::ddl::{self, Scope};
use super::tokens::{Token, Tokens};

const MODE_ANSI_QUOTES: u64 = 0x4;
const MODE_NO_BACKSLASH_ESCAPES: u64 = 0x10_0000;

/// A Query event's contents.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The default database it ran in; may be empty.
    pub database: &'a [u8],
    /// The statement, in the character set of its client.
    pub statement: &'a [u8],
    /// The SQL mode it ran in.
    pub sql_mode: Option<u64>,
}

/// What a statement is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// BEGIN.
    Begin,
    /// COMMIT.
    Commit,
    /// ROLLBACK of the whole transaction.
    Rollback,
    /// ROLLBACK TO SAVEPOINT: what was logged since is undone.
    RollbackTo,
    /// SAVEPOINT and RELEASE SAVEPOINT.
    Savepoint,
    /// XA START or XA BEGIN.
    XaStart,
    /// XA END.
    XaEnd,
    /// XA COMMIT or XA ROLLBACK of a prepared transaction.
    XaFinish,
    /// XA COMMIT … ONE PHASE, or an XA statement we do not know.
    XaOther,
    /// A statement that changes rows, or may.
    Dml,
    /// Anything else.
    Ddl {
        /// What it touches.
        scope: Scope,
        /// Whether it begins a transaction that rows follow in (`CREATE TABLE … SELECT` of MySQL 8.0.21 and later).
        starts_transaction: bool,
    },
}

impl<'a> Query<'a> {
    /// Reads an event's body.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body);
        cursor.take(8)?;
        let database_len = usize::from(cursor.u8()?);
        cursor.take(2)?;
        let variables_len = usize::from(cursor.u16()?);
        let sql_mode = sql_mode(cursor.take(variables_len)?);
        let database = cursor.take(database_len)?;
        cursor.take(1)?;
        Ok(Query { database, statement: cursor.rest(), sql_mode })
    }

    /// What the statement is.
    pub fn classify(&self) -> Statement {
        // A text that is not UTF-8 is ASCII-compatible in every character set a client may use; only its names are lost.
        let mode = self.sql_mode.unwrap_or(0);
        let (ansi, plain) = (mode & MODE_ANSI_QUOTES != 0, mode & MODE_NO_BACKSLASH_ESCAPES != 0);
        let text = String::from_utf8_lossy(self.statement);
        let database = String::from_utf8_lossy(self.database);
        let statement = classify(&text, &database, ansi, plain);
        match (statement, &text) {
            (Statement::Ddl { scope, starts_transaction }, std::borrow::Cow::Owned(_)) if scope != Scope::Nothing => {
                Statement::Ddl { scope: Scope::Unknown, starts_transaction }
            }
            (statement, _) => statement,
        }
    }
}

/// The SQL mode among the status variables. It stands second, behind the fixed-length flags (`Q_FLAGS2_CODE`).
fn sql_mode(variables: &[u8]) -> Option<u64> {
    const FLAGS2: u8 = 0;
    const SQL_MODE: u8 = 1;
    let mut cursor = Cursor::new(variables);
    let mut code = cursor.u8().ok()?;
    if code == FLAGS2 {
        cursor.take(4).ok()?;
        code = cursor.u8().ok()?;
    }
    if code == SQL_MODE { cursor.u64().ok() } else { None }
}

fn classify(text: &str, database: &str, ansi_quotes: bool, no_backslash_escapes: bool) -> Statement {
    let tokens = Tokens::new(text, ansi_quotes, no_backslash_escapes);
    let mut words = tokens.clone();
    let Some(Token::Word(first)) = words.next() else {
        // `(SELECT …)` may call a function that writes.
        return Statement::Dml;
    };
    let second = match words.next() {
        Some(Token::Word(word)) => word.to_ascii_uppercase(),
        _ => String::new(),
    };
    match first.to_ascii_uppercase().as_str() {
        "BEGIN" => Statement::Begin,
        "START" if second == "TRANSACTION" => Statement::Begin,
        "COMMIT" => Statement::Commit,
        "SAVEPOINT" | "RELEASE" => Statement::Savepoint,
        "ROLLBACK" if rolls_back_to(tokens.clone()) => Statement::RollbackTo,
        "ROLLBACK" => Statement::Rollback,
        "XA" => xa(text, &second),
        "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "LOAD" | "CALL" | "DO" | "SELECT" | "WITH" | "TABLE"
        | "VALUES" | "HANDLER" | "BINLOG" | "EXECUTE" | "IMPORT" => Statement::Dml,
        _ => ddl::classify(tokens, database),
    }
}

fn rolls_back_to(tokens: Tokens<'_>) -> bool {
    tokens.skip(1).take(2).any(|token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case("TO")))
}

fn xa(text: &str, verb: &str) -> Statement {
    match verb {
        "START" | "BEGIN" => Statement::XaStart,
        "END" => Statement::XaEnd,
        "COMMIT" | "ROLLBACK" => {
            let one_phase = text.trim_end().to_ascii_uppercase().ends_with("ONE PHASE");
            if one_phase { Statement::XaOther } else { Statement::XaFinish }
        }
        _ => Statement::XaOther,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Statement {
        classify(text, "db", false, false)
    }

    #[test]
    fn transaction_control() {
        for (text, expected) in [
            ("BEGIN", Statement::Begin),
            ("START TRANSACTION", Statement::Begin),
            ("COMMIT", Statement::Commit),
            ("ROLLBACK", Statement::Rollback),
            ("ROLLBACK TO `a`", Statement::RollbackTo),
            ("rollback work to savepoint a", Statement::RollbackTo),
            ("SAVEPOINT `to`", Statement::Savepoint),
            ("XA START X'61',X'',1", Statement::XaStart),
            ("XA END X'61',X'',1", Statement::XaEnd),
            ("XA COMMIT X'61',X'',1 ONE PHASE", Statement::XaOther),
            ("XA COMMIT X'61',X'62',1", Statement::XaFinish),
            ("XA ROLLBACK X'61',X'',1", Statement::XaFinish),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }

    #[test]
    fn what_changes_rows_is_dml() {
        for text in [
            "/* app */ insert into t values (1)",
            "# c\nUPDATE t SET a=1",
            "/*!50000 DELETE */ FROM t",
            "REPLACE t VALUES (1)",
            "LOAD DATA INFILE 'x' INTO TABLE t",
            "CALL p()",
            "SELECT `db`.`f`()",
            "WITH a AS (SELECT 1) DELETE FROM t",
            "(SELECT f())",
            "CREATE TABLE t2 AS SELECT f()",
            "CREATE TABLE t2 (a int) SELECT 1 a",
            "",
        ] {
            assert_eq!(of(text), Statement::Dml, "{text}");
        }
    }

    #[test]
    fn the_event_is_read() {
        let mut body = vec![0; 8];
        body.extend([2, 0, 0, 14, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0, 0, 0, b'd', b'b', 0]);
        body.extend(b"DROP TABLE \"x\"");
        let query = Query::parse(&body).unwrap();
        assert_eq!((query.database, query.sql_mode), (&b"db"[..], Some(4)));
        let scope = Scope::Tables(vec![("db".into(), "x".into())]);
        assert_eq!(query.classify(), Statement::Ddl { scope, starts_transaction: false });
        assert!(Query::parse(&body[..20]).is_err());

        let latin1 = Query { database: b"db", statement: b"DROP TABLE caf\xE9", sql_mode: None };
        assert_eq!(latin1.classify(), Statement::Ddl { scope: Scope::Unknown, starts_transaction: false });
    }
}
