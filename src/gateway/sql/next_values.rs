//! `SELECT NEXT VALUE FROM sequence` and `SELECT NEXT n VALUES FROM sequence`, as Vitess's parser takes them.
//!
//! MySQL takes the first for a column `next` called `value`; so it means a sequence only where the table is one.

use super::cursor::Cursor;
use super::lexer::TokenKind;
use super::mode::SqlMode;
use super::name::Name;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextValues {
    /// How many; `None` where it is a parameter, or no number.
    pub count: Option<u64>,
    /// The database the sequence is qualified with.
    pub database: Option<Name>,
    /// The sequence.
    pub table: Name,
}

/// Reads a text as one of these statements.
pub fn next_values(sql: &[u8], mode: SqlMode) -> Option<NextValues> {
    let mut at = Cursor::new(sql, mode);
    if !(at.skip("SELECT") && at.skip("NEXT")) {
        return None;
    }
    let count = if at.skip("VALUE") {
        Some(1)
    } else {
        let text = at.bytes(at.token);
        at.advance();
        if !at.skip("VALUES") {
            return None;
        }
        str::from_utf8(text).ok().and_then(|text| text.parse().ok())
    };
    if !at.skip("FROM") {
        return None;
    }
    let first = at.take_name()?;
    let (database, table) = match at.skip_symbol(b'.') {
        true => (Some(first), at.take_name()?),
        false => (None, first),
    };
    at.skip_symbol(b';');
    (at.token.kind == TokenKind::End).then_some(NextValues { count, database, table })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_of_sequences_is_read_and_nothing_else() {
        let read = |sql: &str| next_values(sql.as_bytes(), SqlMode::default());
        let one = read("select next value from customer_seq").unwrap();
        assert_eq!((one.count, one.table.text.as_str(), one.database), (Some(1), "customer_seq", None));
        let many = read("SELECT /* ids */ NEXT 5 VALUES FROM `commerce`.customer_seq;").unwrap();
        assert_eq!((many.count, many.database.unwrap().text.as_str()), (Some(5), "commerce"));
        assert_eq!(read("select next ? values from s").unwrap().count, None);
        for sql in [
            "select next from s",
            "select next value from s where id = 1",
            "select next value, id from s",
            "select next 5 values",
            "select next 5 rows from s",
            "select next value from s, t",
            "",
        ] {
            assert_eq!(read(sql), None, "{sql}");
        }
    }
}
