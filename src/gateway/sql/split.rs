//! Splits a text into its statements at the semicolons, as a server with CLIENT_MULTI_STATEMENTS does.
//!
//! A stored program's body is one statement with semicolons in it. It is followed by its blocks: BEGIN, IF, CASE, LOOP,
//! WHILE and REPEAT open one where a statement may begin, CASE elsewhere is an expression, END closes the innermost. So
//! `IF(a, b, c)`, `REPEAT('x', 3)`, `DROP TABLE IF EXISTS t` and a column named `end` are told from blocks.

use std::ops::Range;

use super::cursor::Cursor;
use super::lexer::{TokenKind, is_blank};
use super::mode::SqlMode;

/// One range per statement, without its semicolon; blanks around are not part of it, comments are. What the server does
/// (tried on 9.7): semicolons and blanks at the text's end do not count. A statement of comments alone is one, and is
/// answered with OK. Where a statement is missing between semicolons the text from there on is refused as one, so it is
/// one range; and a semicolon within a version comment makes the server refuse the statement, so it does not split.
///
/// There is always at least one range; it is empty if the text is.
pub fn split(sql: &[u8], mode: SqlMode) -> Vec<Range<usize>> {
    let length = sql.iter().rposition(|&byte| !is_blank(byte) && byte != b';').map_or(0, |last| last + 1);
    let sql = sql.get(..length).unwrap_or_default();
    if !sql.contains(&b';') {
        // Nearly every text; its tokens are then read once only, by who looks into the statement.
        return vec![trimmed(sql, 0..length)];
    }
    let mut at = Cursor::new(sql, mode);
    let (mut statements, mut start) = (Vec::new(), 0);
    loop {
        let missing = at.token.is_symbol(b';');
        to_semicolon(&mut at);
        if at.at_end() || missing {
            statements.push(trimmed(sql, start..length));
            return statements;
        }
        statements.push(trimmed(sql, start..at.token.start));
        start = at.token.end;
        at.advance();
    }
}

fn trimmed(sql: &[u8], range: Range<usize>) -> Range<usize> {
    let text = sql.get(range.clone()).unwrap_or_default();
    let blanks = |at: Option<usize>| at.unwrap_or(text.len());
    let start = blanks(text.iter().position(|&byte| !is_blank(byte)));
    let end = blanks(text.iter().rposition(|&byte| !is_blank(byte)).map(|last| last + 1));
    range.start + start..range.start + end
}

/// Moves to the semicolon that ends the statement here, or to the end.
fn to_semicolon(at: &mut Cursor<'_>) {
    at.dollar_quotes(at.is_any(&["CREATE", "ALTER"]));
    let mut body = program(at);
    while !at.at_end() {
        let inside = body.as_mut().is_some_and(|body| body.read(at));
        if at.token.is_symbol(b';') && !inside && !at.token.in_version {
            break;
        }
        at.advance();
    }
    at.dollar_quotes(false);
}

/// If a stored program is defined here, moves past its name.
fn program(at: &mut Cursor<'_>) -> Option<Body> {
    if !at.is_any(&["CREATE", "ALTER"]) {
        return None;
    }
    at.advance();
    while !(at.at_end() || at.token.is_symbol(b';')) {
        let header = match at.upper().as_str() {
            "PROCEDURE" | "FUNCTION" => Header::Routine,
            "TRIGGER" => Header::Until("ROW"),
            "EVENT" => Header::Until("DO"),
            // The name of another kind of object could be any of these words.
            "TABLE" | "VIEW" | "INDEX" | "DATABASE" | "SCHEMA" | "USER" | "ROLE" | "SERVER" => return None,
            _ => {
                at.advance();
                continue;
            }
        };
        at.advance();
        at.skip_if_exists();
        at.take_name();
        if at.skip_symbol(b'.') {
            at.take_name();
        }
        return Some(Body {
            header,
            blocks: Vec::new(),
            parentheses: 0,
            may_begin: false,
            handler: false,
            closed: false,
        });
    }
    None
}

/// What comes before a program's first statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Header {
    /// All up to this word.
    Until(&'static str),
    /// Parameters and characteristics, FOLLOWS and PRECEDES: whatever is no verb.
    Routine,
    /// It has been read.
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    /// BEGIN, IF, LOOP, WHILE, or CASE as a statement.
    Statement,
    Repeat,
    /// CASE within an expression.
    Case,
}

/// A program's body as far as it has been read.
struct Body {
    header: Header,
    blocks: Vec<Block>,
    parentheses: usize,
    /// A statement may begin here.
    may_begin: bool,
    /// Within DECLARE … HANDLER FOR …, whose statement is announced by no keyword.
    handler: bool,
    /// The word here belongs to an END before it.
    closed: bool,
}

/// Blocks within blocks beyond this are not followed; the server's parser gives up before.
const DEEPEST: usize = 10_000;

impl Body {
    /// Reads one token. True while within a block.
    fn read(&mut self, at: &Cursor<'_>) -> bool {
        let begins = std::mem::replace(&mut self.may_begin, false);
        let closed = std::mem::replace(&mut self.closed, false);
        match at.token.kind {
            TokenKind::Symbol(b'(') => self.parentheses += 1,
            TokenKind::Symbol(b')') => self.parentheses = self.parentheses.saturating_sub(1),
            TokenKind::Symbol(b';') => {
                self.parentheses = 0;
                self.handler = false;
                self.may_begin = true;
            }
            // `label: LOOP`
            TokenKind::Symbol(b':') => self.may_begin = true,
            TokenKind::Word if !closed => self.word(at, begins),
            _ => {}
        }
        !self.blocks.is_empty()
    }

    fn word(&mut self, at: &Cursor<'_>, begins: bool) {
        let upper = at.upper();
        let word = upper.as_str();
        if let Header::Until(last) = self.header {
            if word == last {
                self.header = Header::Routine;
            }
            return;
        }
        let header = self.header == Header::Routine && self.parentheses == 0;
        let begins = begins || header || (self.handler && self.parentheses == 0);
        match word {
            "END" => self.end(at, begins),
            "CASE" => self.open(if begins { Block::Statement } else { Block::Case }, false),
            "IF" | "WHILE" if begins => self.open(Block::Statement, false),
            "BEGIN" | "LOOP" if begins => self.open(Block::Statement, true),
            "REPEAT" if begins => self.open(Block::Repeat, true),
            "THEN" | "ELSE" => self.may_begin = self.blocks.last() != Some(&Block::Case),
            "DO" if !begins => self.may_begin = true, // of WHILE
            "HANDLER" if !begins => self.handler = true,
            // All that may be followed by IF or the like as part of an expression or name.
            "RETURN" | "SELECT" | "INSERT" | "REPLACE" | "UPDATE" | "DELETE" | "CALL" | "WITH" | "DO" | "CREATE"
            | "DROP" | "ALTER" | "SHOW" | "KILL"
                if begins =>
            {
                self.verb();
            }
            // RETURNS SET('a', 'b') is a type.
            "SET" if begins && !(header && at.next.is_symbol(b'(')) => self.verb(),
            _ => {}
        }
    }

    /// An ordinary statement has begun: what follows are its expressions.
    fn verb(&mut self) {
        (self.header, self.handler) = (Header::Done, false);
    }

    /// `statements`: its statements follow at once, not a condition.
    fn open(&mut self, block: Block, statements: bool) {
        if self.blocks.len() < DEEPEST {
            self.blocks.push(block);
        }
        if block != Block::Case {
            self.verb();
        }
        self.may_begin = statements;
    }

    /// At END. Elsewhere than behind a statement it is a name, unless it ends what goes on with an expression.
    fn end(&mut self, at: &Cursor<'_>, begins: bool) {
        let ends = match self.blocks.last() {
            Some(Block::Statement) => begins,
            Some(Block::Repeat) => begins || at.next_is("REPEAT"),
            Some(Block::Case) => true,
            None => false,
        };
        if ends {
            let case = self.blocks.pop() == Some(Block::Case);
            self.closed = !case && at.next_is_any(&["IF", "CASE", "LOOP", "WHILE", "REPEAT"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::split;
    use crate::gateway::sql::SqlMode;

    fn parts(sql: &str) -> Vec<&str> {
        split(sql.as_bytes(), SqlMode::default()).into_iter().map(|range| &sql[range]).collect()
    }

    #[test]
    fn semicolons_in_literals_and_comments_do_not_split() {
        assert_eq!(
            parts("SELECT 1; SELECT ';', \";\", `;` /* ; */ -- ;\n # ;\n ;b"),
            ["SELECT 1", "SELECT ';', \";\", `;` /* ; */ -- ;\n # ;", "b"]
        );
        assert_eq!(parts("SELECT 'a\\';' ; SELECT 'it''s;'"), ["SELECT 'a\\';'", "SELECT 'it''s;'"]);
        assert_eq!(parts("SELECT 1--1; SELECT 2"), ["SELECT 1--1", "SELECT 2"]);
    }

    #[test]
    fn empty_statements_are_as_the_server_takes_them() {
        assert_eq!(parts("a;"), ["a"]);
        assert_eq!(parts("a; ;\n;"), ["a"]);
        assert_eq!(parts(" ; "), [""]);
        assert_eq!(parts(""), [""]);
        assert_eq!(parts("a; -- end"), ["a", "-- end"]);
        assert_eq!(parts("/* only */;"), ["/* only */"]);
        assert_eq!(parts("a;;b; c;"), ["a", ";b; c"]);
        assert_eq!(parts("a; /* x */; b"), ["a", "/* x */; b"]);
        assert_eq!(parts("/*!40101 SET NAMES utf8 */; b"), ["/*!40101 SET NAMES utf8 */", "b"]);
        assert_eq!(parts("a /*! ; b */ c"), ["a /*! ; b */ c"]);
    }

    #[test]
    fn bodies_stay_whole() {
        for body in [
            "CREATE PROCEDURE p() BEGIN SELECT 1; BEGIN END; IF a THEN SELECT 2; END IF; SELECT end FROM t; END",
            "CREATE PROCEDURE p() l: LOOP SET @x = CASE WHEN a THEN IF(b, 1, 2) ELSE 3 END; LEAVE l; END LOOP l",
            "CREATE DEFINER=`a`@`%` PROCEDURE IF NOT EXISTS p(IN begin INT) COMMENT 'x' REPEAT SET @x = 1; UNTIL @x END REPEAT",
            "CREATE TRIGGER begin BEFORE INSERT ON t FOR EACH ROW FOLLOWS u IF NEW.a THEN SET NEW.b = 1; END IF",
            "CREATE TRIGGER x AFTER UPDATE ON t FOR EACH ROW BEGIN CASE a WHEN 1 THEN SELECT 1; ELSE BEGIN END; END CASE; END",
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN DELETE FROM t; WHILE x DO SET x = REPEAT('a', 2); END WHILE; END",
            "ALTER EVENT e DO BEGIN SELECT 1; END",
            "CREATE PROCEDURE p() IF IF(a, 1, 2) THEN DO IF(b, 1, 2); ELSEIF CASE WHEN a THEN 1 END THEN DO 1; END IF",
            "CREATE PROCEDURE p() BEGIN DECLARE EXIT HANDLER FOR 1062 DROP TABLE IF EXISTS t; DO REPEAT('a', 2); END",
            "CREATE PROCEDURE p() BEGIN DECLARE EXIT HANDLER FOR 1062 IF a THEN DO 1; END IF; WHILE IF(a, b, c) DO DO 1; END WHILE; END",
            "CREATE PROCEDURE IF NOT EXISTS d.begin() IF EXISTS (SELECT 1) THEN SELECT 1; ELSEIF b THEN SELECT 2; END IF",
            "CREATE FUNCTION f(a INT) RETURNS SET('a') DETERMINISTIC BEGIN DROP TABLE IF EXISTS t; RETURN a; END",
            "CREATE PROCEDURE p() BEGIN DECLARE EXIT HANDLER FOR SQLEXCEPTION, NOT FOUND BEGIN ROLLBACK; RESIGNAL; END; SELECT 1; END",
            "CREATE FUNCTION f() RETURNS INT LANGUAGE JAVASCRIPT AS $js$ let a = 1; return a; $js$",
        ] {
            assert_eq!(parts(&format!("{body}; SELECT 2")), [body, "SELECT 2"]);
            assert_eq!(parts(body), [body]);
        }
    }

    #[test]
    fn simple_bodies_end_at_their_semicolon() {
        for body in [
            "CREATE PROCEDURE p() SELECT CASE WHEN a THEN 1 END",
            "CREATE FUNCTION f() RETURNS INT RETURN IF(a, 1, 2)",
            "CREATE FUNCTION f() RETURNS INT RETURN CASE a WHEN 1 THEN REPEAT('a', 2) ELSE 'b' END",
            "CREATE TRIGGER t BEFORE INSERT ON u FOR EACH ROW SET NEW.a = IF(NEW.b, 1, 2)",
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t",
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO CREATE TABLE IF NOT EXISTS t (a INT)",
            "CREATE TRIGGER t BEFORE INSERT ON u FOR EACH ROW DO IF(1, 2, 3)",
            "CREATE TABLE event (begin INT, `case` INT)",
            "CREATE USER event",
        ] {
            assert_eq!(parts(&format!("{body}; SELECT 2")), [body, "SELECT 2"]);
        }
    }

    proptest! {
        #[test]
        fn ranges_are_in_order_and_within(sql in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut last = 0;
            for range in split(&sql, SqlMode::default()) {
                prop_assert!(last <= range.start && range.start <= range.end && range.end <= sql.len());
                last = range.end;
            }
        }
    }
}
