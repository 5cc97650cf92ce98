//! A statement's tokens: the key its plan is kept by, the text the parser gets, and the places of clauses.
//!
//! The parser is given one token a line, so that the line of whatever it has found is the token's number, and never a
//! text's content: what a literal holds is read here, by MySQL's own rules.

use std::borrow::Cow;
use std::ops::Range;

use crate::gateway::sql::{Lexer, SqlMode, Token, TokenKind, quote_identifier, unquoted};

/// Operators of several symbols, as far as they may be told apart by their first two.
const OPERATORS: [&[u8; 2]; 9] = [b"<=", b">=", b"<>", b"!=", b"||", b"&&", b"<<", b">>", b"->"];
/// Words that may follow the verb and say nothing of where rows are; the parser does not know all of them.
const MODIFIERS: [&str; 5] = ["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "QUICK"];

/// A statement as tokens.
#[derive(Debug, Clone)]
pub struct Text<'a> {
    /// As it was sent.
    pub sql: &'a [u8],
    /// How it is read.
    pub mode: SqlMode,
    /// Its tokens, without the end and trailing semicolons.
    pub tokens: Vec<Token>,
    /// Which of them are `?`.
    pub parameters: Vec<usize>,
    /// Whether each quote has its end: else what is behind the text would belong to it.
    pub closed: bool,
}

impl<'a> Text<'a> {
    /// Cuts a text.
    pub fn new(sql: &'a [u8], mode: SqlMode) -> Self {
        let mut lexer = Lexer::new(sql, mode);
        let mut tokens = Vec::with_capacity(sql.len() / 6 + 4);
        loop {
            let token = lexer.next_token();
            if token.kind == TokenKind::End {
                break;
            }
            tokens.push(token);
        }
        while tokens.last().is_some_and(|token| token.is_symbol(b';')) {
            tokens.pop();
        }
        let parameters = (0..tokens.len()).filter(|at| tokens.get(*at).is_some_and(|token| token.is_symbol(b'?')));
        Self { sql, mode, parameters: parameters.collect(), tokens, closed: !lexer.unclosed }
    }

    /// A token's bytes.
    pub fn bytes(&self, at: usize) -> &'a [u8] {
        self.tokens.get(at).and_then(|token| self.sql.get(token.start..token.end)).unwrap_or_default()
    }

    /// The bytes from one token up to another.
    pub fn span(&self, tokens: &Range<usize>) -> Range<usize> {
        let start = self.tokens.get(tokens.start).map_or(self.sql.len(), |token| token.start);
        let end = tokens.end.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(start, |token| token.end);
        start..end.max(start)
    }

    /// Whether a token is this word (in upper case), not quoted.
    pub fn is(&self, at: usize, word: &str) -> bool {
        let bare = self.tokens.get(at).is_some_and(|token| token.kind == TokenKind::Word);
        bare && self.bytes(at).eq_ignore_ascii_case(word.as_bytes())
    }

    /// Whether it is one of these words.
    pub fn is_any(&self, at: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(at, word))
    }

    /// Whether it is this symbol.
    pub fn is_symbol(&self, at: usize, symbol: u8) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is_symbol(symbol))
    }

    /// The name at a place, without its quotes.
    pub fn name(&self, at: usize) -> Option<String> {
        self.tokens.get(at).filter(|token| token.is_name())?;
        Some(String::from_utf8_lossy(&unquoted(self.bytes(at))).into_owned())
    }

    /// Whether a part of it stands in an executed version comment.
    pub fn in_version(&self) -> bool {
        self.tokens.iter().any(|token| token.in_version)
    }

    /// The place of the parenthesis that closes the one at `open`.
    pub fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        for at in open..self.tokens.len() {
            if self.is_symbol(at, b'(') {
                depth += 1;
            } else if self.is_symbol(at, b')') {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        None
    }

    /// The first token from `from` on that stands in no parentheses and fits.
    pub fn find(&self, from: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let mut at = from;
        while at < self.tokens.len() {
            if fits(at) {
                return Some(at);
            }
            at = if self.is_symbol(at, b'(') { self.closing(at)? + 1 } else { at + 1 };
        }
        None
    }

    /// The parts of a range between commas that stand in no parentheses.
    pub fn list(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let (mut parts, mut start, mut at) = (Vec::new(), range.start, range.start);
        while at < range.end {
            if self.is_symbol(at, b'(') {
                at = self.closing(at).map_or(range.end, |close| close + 1);
                continue;
            }
            if self.is_symbol(at, b',') {
                parts.push(start..at);
                start = at + 1;
            }
            at += 1;
        }
        parts.push(start..range.end);
        parts
    }

    /// What a plan is kept by: the text with its values lifted out, which differ in kind only. All else that a plan rests on
    /// is in it: which tokens make one, which stand in a version comment, and whether the last text has its end.
    pub fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.sql.len().min(4096) + 8);
        let Self { mode, closed, .. } = self;
        key.push(u8::from(*closed) << 2 | u8::from(mode.ansi_quotes) << 1 | u8::from(mode.no_backslash_escapes));
        for (at, token) in self.tokens.iter().enumerate() {
            match token.kind {
                TokenKind::Text => key.extend_from_slice(b"\x01s"),
                TokenKind::Number if self.bytes(at).iter().all(u8::is_ascii_digit) => key.extend_from_slice(b"\x01i"),
                TokenKind::Number => key.extend_from_slice(b"\x01n"),
                _ => key.extend_from_slice(self.bytes(at)),
            }
            key.push(u8::from(token.in_version) << 1 | u8::from(self.touches(at)));
        }
        key
    }

    /// The text for the parser and, for each of its lines, the token it begins with. `None` where a name is no UTF-8.
    pub fn for_parser(&self) -> Option<(String, Vec<usize>)> {
        let (mut text, mut lines) = (String::with_capacity(self.sql.len() + self.tokens.len()), Vec::new());
        let tail = self.locking_tail();
        for (at, token) in self.tokens.iter().enumerate() {
            if at == 1 && self.is_any(at, &MODIFIERS)
                || at == 2 && self.is_any(1, &MODIFIERS) && self.is_any(2, &MODIFIERS)
            {
                continue;
            }
            if at >= tail {
                break;
            }
            if !self.touches(at) || lines.is_empty() {
                if !lines.is_empty() {
                    text.push('\n');
                }
                lines.push(at);
            }
            match token.kind {
                TokenKind::Text => text.push_str("'x'"),
                TokenKind::UserVariable => text.push_str("@v"),
                TokenKind::Quoted => {
                    let name = unquoted(self.bytes(at));
                    text.push_str(str::from_utf8(&quote_identifier(str::from_utf8(&name).ok()?)).ok()?);
                }
                _ => text.push_str(str::from_utf8(self.bytes(at)).ok()?),
            }
        }
        Some((text, lines))
    }

    /// Where LOCK IN SHARE MODE begins, which the parser does not know and which says nothing of where rows are.
    fn locking_tail(&self) -> usize {
        let end = self.tokens.len();
        match end.checked_sub(4) {
            Some(at) if self.is(at, "LOCK") && self.is(at + 1, "IN") && self.is(at + 3, "MODE") => at,
            _ => end,
        }
    }

    /// Whether a token belongs to the one before it.
    fn touches(&self, at: usize) -> bool {
        let Some((before, token)) =
            at.checked_sub(1).and_then(|before| self.tokens.get(before).zip(self.tokens.get(at)))
        else {
            return false;
        };
        if before.end != token.start {
            return false;
        }
        match (before.kind, token.kind) {
            (TokenKind::Symbol(a), TokenKind::Symbol(b)) => {
                // `->>` and `<=>`
                let third = matches!(a, b'>' | b'=') && b == b'>' && self.touches(at - 1);
                OPERATORS.contains(&&[a, b]) || third
            }
            // X'41', B'1', N'x'
            (TokenKind::Word, TokenKind::Text) => {
                matches!(self.bytes(at - 1), b"x" | b"X" | b"b" | b"B" | b"n" | b"N")
            }
            _ => false,
        }
    }
}

/// Bytes as a message shows them.
pub fn shown(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parser_gets_a_token_a_line() {
        let text = Text::new(
            b"UPDATE IGNORE t SET a='it''s',b=x'41' WHERE `c``d` >=-1 LOCK IN SHARE MODE;",
            SqlMode::default(),
        );
        let (fed, lines) = text.for_parser().unwrap();
        assert_eq!(fed.replace('\n', " "), "UPDATE t SET a = 'x' , b = x'x' WHERE `c``d` >= - 1");
        let token = |line: usize| shown(text.bytes(lines[line])).into_owned();
        assert_eq!((token(1), token(5), token(11)), ("t".into(), "'it''s'".into(), "`c``d`".into()));
        let arrows = Text::new(b"a->>b -> c", SqlMode::default());
        assert_eq!(arrows.for_parser().unwrap().0, "a\n->>\nb\n->\nc");
    }

    #[test]
    fn keys_tell_kinds_of_values_apart() {
        let key = |sql: &str| Text::new(sql.as_bytes(), SqlMode::default()).key();
        assert_eq!(key("SELECT * FROM t WHERE a = 1"), key("SELECT  *  FROM t WHERE a=234 -- x"));
        assert_ne!(key("SELECT * FROM t WHERE a = 1"), key("SELECT * FROM t WHERE a = '1'"));
        assert_ne!(key("SELECT * FROM t WHERE a = 1"), key("SELECT * FROM t WHERE a = 1.5"));
        assert_ne!(key("SELECT * FROM t WHERE a = 'x'"), key("SELECT * FROM t WHERE a = 'x"));
        assert_ne!(key("SELECT * FROM t WHERE a <= 1"), key("SELECT * FROM t WHERE a < = 1"));
        assert_ne!(key("SELECT * FROM t ORDER BY a"), key("SELECT * FROM t /*! ORDER BY a */"));
    }

    #[test]
    fn lists_are_parted_outside_of_parentheses() {
        let text = Text::new(b"a, (b, c), f(d, e) g", SqlMode::default());
        assert_eq!(text.list(0..text.tokens.len()), [0..1, 2..7, 8..15]);
        assert_eq!(text.find(0, |at| text.is(at, "G")), Some(14));
    }
}
