//! Names and literals as they are meant: without quotes, doubling and escapes.

use std::borrow::Cow;
use std::ops::Range;

use super::mode::SqlMode;

/// An identifier and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// The bytes it occupies in the statement, quotes included.
    pub span: Range<usize>,
    /// It without quotes; bytes that are no UTF-8 are replaced, so this is for comparing, not for sending.
    pub text: String,
}

impl Name {
    /// The name written in `sql` at `span`.
    pub(super) fn at(sql: &[u8], span: Range<usize>) -> Self {
        let text = String::from_utf8_lossy(&unquoted(sql.get(span.clone()).unwrap_or_default())).into_owned();
        Self { span, text }
    }
}

/// An identifier's bytes without its quotes, if it has any.
pub(in crate::gateway) fn unquoted(name: &[u8]) -> Cow<'_, [u8]> {
    let (Some(&quote @ (b'`' | b'"')), Some(rest)) = (name.first(), name.get(1..)) else { return Cow::Borrowed(name) };
    let content = rest.strip_suffix(&[quote]).unwrap_or(rest);
    if !content.contains(&quote) {
        return Cow::Borrowed(content);
    }
    let mut plain = Vec::with_capacity(content.len());
    let mut bytes = content.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        plain.push(byte);
        if byte == quote {
            bytes.next_if_eq(&quote);
        }
    }
    Cow::Owned(plain)
}

/// A string literal's value, as `get_text` of `sql_lex.cc` reads it: `\%` and `\_` keep their backslash.
pub(in crate::gateway) fn literal(text: &[u8], mode: SqlMode) -> Vec<u8> {
    let (Some(&quote @ (b'\'' | b'"')), Some(rest)) = (text.first(), text.get(1..)) else { return text.to_vec() };
    let content = rest.strip_suffix(&[quote]).unwrap_or(rest);
    let mut plain = Vec::with_capacity(content.len());
    let mut bytes = content.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == quote {
            bytes.next_if_eq(&quote);
        } else if byte == b'\\' && !mode.no_backslash_escapes {
            match bytes.next() {
                Some(kept @ (b'%' | b'_')) => plain.extend([b'\\', kept]),
                Some(escaped) => plain.push(match escaped {
                    b'0' => 0,
                    b'b' => 8,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'Z' => 26,
                    other => other,
                }),
                None => {}
            }
            continue;
        }
        plain.push(byte);
    }
    plain
}

/// The bytes between the quotes of `@name`, in lower case: user variables do not depend on case.
pub(super) fn user_variable(token: &[u8]) -> String {
    let name = token.strip_prefix(b"@").unwrap_or(token);
    let plain = match name.first() {
        Some(b'\'') => Cow::Owned(literal(name, SqlMode::default())),
        _ => unquoted(name),
    };
    String::from_utf8_lossy(&plain).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::{literal, unquoted, user_variable};
    use crate::gateway::sql::SqlMode;

    #[test]
    fn quotes_go() {
        for (written, meant) in
            [("a", "a"), ("`a b`", "a b"), ("`a``b`", "a`b"), ("````", "`"), ("\"x\"\"y\"", "x\"y"), ("`", "")]
        {
            assert_eq!(unquoted(written.as_bytes()), meant.as_bytes(), "{written}");
        }
        assert_eq!(user_variable(b"@`A``b`"), "a`b");
        assert_eq!(user_variable(b"@'X'"), "x");
        assert_eq!(user_variable(b"@a.B"), "a.b");
        assert_eq!(user_variable(b"@"), "");
    }

    #[test]
    fn escapes_are_read() {
        let plain = |text: &str| String::from_utf8(literal(text.as_bytes(), SqlMode::default())).unwrap();
        assert_eq!(plain(r"'it''s \'a\' \\ \n\_\%x'"), "it's 'a' \\ \n\\_\\%x");
        assert_eq!(plain(r#""a""b'c""#), "a\"b'c");
        let mode = SqlMode { no_backslash_escapes: true, ..SqlMode::default() };
        assert_eq!(literal(br"'a\n'", mode), br"a\n");
    }
}
