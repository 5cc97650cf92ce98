//! SQL text to tokens, as far as telling statements apart needs it: words, quoted names, strings, punctuation.
//!
//! Comments vanish; what MySQL executes in spite of them (`/*! … */`, MariaDB's `/*M! … */`) is read as code whatever version
//! it names: naming a table too many stops a stream, one too few loses rows.

use std::borrow::Cow;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token<'a> {
    /// A keyword, an unquoted name or a number.
    Word(&'a str),
    /// A quoted name, unquoted.
    Quoted(Cow<'a, str>),
    /// A string, contents left out.
    Text,
    /// Any other character.
    Sign(char),
    /// Quotes or a comment that never end.
    Unfinished,
}

/// The tokens of a statement.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    rest: &'a str,
    ansi_quotes: bool,
    backslash_escapes: bool,
    executed_comment: bool,
}

impl<'a> Tokens<'a> {
    /// Reads `sql` under the SQL mode it was run in: with ANSI_QUOTES, double quotes enclose names; with
    /// NO_BACKSLASH_ESCAPES, backslashes in strings are ordinary.
    pub fn new(sql: &'a str, ansi_quotes: bool, no_backslash_escapes: bool) -> Self {
        Tokens { rest: sql, ansi_quotes, backslash_escapes: !no_backslash_escapes, executed_comment: false }
    }

    /// Consumes white space and comments; false where a comment does not end.
    fn skip(&mut self) -> bool {
        loop {
            self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\x0b' || c == '\0');
            let line_comment = self.rest.starts_with('#')
                || self.rest.strip_prefix("--").is_some_and(|after| {
                    after.chars().next().is_none_or(|c| c.is_ascii_whitespace() || c.is_ascii_control())
                });
            if line_comment {
                self.rest = self.rest.find('\n').map_or("", |at| &self.rest[at + 1..]);
            } else if let Some(code) = self.rest.strip_prefix("/*!").or_else(|| self.rest.strip_prefix("/*M!")) {
                self.rest = code.trim_start_matches(|c: char| c.is_ascii_digit());
                self.executed_comment = true;
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let Some(end) = comment.find("*/") else { return false };
                self.rest = &comment[end + 2..];
            } else if self.executed_comment && self.rest.starts_with("*/") {
                self.rest = &self.rest[2..];
                self.executed_comment = false;
            } else {
                return true;
            }
        }
    }

    /// What follows an opening `quote`: the contents, and whether the quote ends. A doubled quote stands for itself.
    fn quoted(&mut self, quote: char, escapes: bool) -> (Cow<'a, str>, bool) {
        let body = &self.rest[quote.len_utf8()..];
        let mut doubled = false;
        let mut chars = body.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c == '\\' && escapes {
                chars.next();
            } else if c == quote {
                if chars.next_if(|(_, next)| *next == quote).is_some() {
                    doubled = true;
                    continue;
                }
                self.rest = &body[at + 1..];
                let inside = &body[..at];
                let twice: String = [quote, quote].iter().collect();
                let inside = if doubled { inside.replace(&twice, &quote.to_string()).into() } else { inside.into() };
                return (inside, true);
            }
        }
        self.rest = "";
        (Cow::Borrowed(""), false)
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if !self.skip() {
            self.rest = "";
            return Some(Token::Unfinished);
        }
        let first = self.rest.chars().next()?;
        match first {
            '`' => match self.quoted('`', false) {
                (name, true) => Some(Token::Quoted(name)),
                (_, false) => Some(Token::Unfinished),
            },
            '"' | '\'' => match self.quoted(first, self.backslash_escapes && !(self.ansi_quotes && first == '"')) {
                (name, true) if self.ansi_quotes && first == '"' => Some(Token::Quoted(name)),
                (_, true) => Some(Token::Text),
                (_, false) => Some(Token::Unfinished),
            },
            _ if is_word(first) => {
                let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                Some(Token::Word(word))
            }
            _ => {
                self.rest = &self.rest[first.len_utf8()..];
                Some(Token::Sign(first))
            }
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(sql: &str) -> Vec<Token<'_>> {
        Tokens::new(sql, false, false).collect()
    }

    #[test]
    fn comments_vanish_and_executed_ones_do_not() {
        use Token::{Quoted, Sign, Text, Unfinished, Word};
        let sql = "-- x\n/* a */ DROP /*!40005 TEMPORARY */ TABLE `a``b`.é # end";
        let expected = [Word("DROP"), Word("TEMPORARY"), Word("TABLE"), Quoted("a`b".into()), Sign('.'), Word("é")];
        assert_eq!(all(sql), expected);
        assert_eq!(all(r#"'a\'b' "c""d" x'00'"#), [Text, Text, Word("x"), Text]);
        assert_eq!(all("a /* b"), [Word("a"), Unfinished]);
        assert_eq!(all("a--b"), [Word("a"), Sign('-'), Sign('-'), Word("b")]);
        let ansi: Vec<_> = Tokens::new(r#""a\" 'b\' c"#, true, true).collect();
        assert_eq!(ansi, [Quoted(r"a\".into()), Text, Word("c")]);
    }

    proptest! {
        #[test]
        fn every_text_ends(sql in "[ a-c`'\"\\\\/*!#\\-\n.é]{0,40}", ansi in any::<bool>(), plain in any::<bool>()) {
            prop_assert!(Tokens::new(&sql, ansi, plain).count() <= sql.len() + 1);
        }
    }
}
