//! A place in a statement's tokens with one token of lookahead. Moving at the end stays at the end.

use std::ops::Range;

use super::lexer::{Lexer, Token, TokenKind};
use super::mode::SqlMode;
use super::name::{Name, unquoted};

/// A bare word in upper case, for matching against keywords. Empty for what is no bare word or too long for a keyword.
#[derive(Clone, Copy)]
pub(super) struct Upper {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl Upper {
    /// Longer than any keyword asked for.
    const LONGEST: usize = 28;

    fn of(word: &[u8]) -> Self {
        let mut upper = Self { bytes: [0; Self::LONGEST], length: 0 };
        if word.is_ascii()
            && let Some(place) = upper.bytes.get_mut(..word.len())
        {
            place.copy_from_slice(word);
            place.make_ascii_uppercase();
            upper.length = word.len();
        }
        upper
    }

    pub(super) fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|word| str::from_utf8(word).ok()).unwrap_or_default()
    }
}

/// The cursor; cloning it is how to look further ahead.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    lexer: Lexer<'a>,
    /// The token here.
    pub(super) token: Token,
    /// The token after it.
    pub(super) next: Token,
    /// Where the token before this one ended.
    pub(super) last_end: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(sql: &'a [u8], mode: SqlMode) -> Self {
        let mut lexer = Lexer::new(sql, mode);
        let (token, next) = (lexer.next_token(), lexer.next_token());
        Self { lexer, token, next, last_end: 0 }
    }

    pub(super) fn sql(&self) -> &'a [u8] {
        self.lexer.sql()
    }

    pub(super) fn mode(&self) -> SqlMode {
        self.lexer.mode()
    }

    /// Whether dollar-quoted texts may follow: a stored program is being defined.
    pub(super) fn dollar_quotes(&mut self, expected: bool) {
        self.lexer.dollar_quotes = expected;
    }

    pub(super) fn advance(&mut self) {
        if self.at_end() {
            return; // also after `finish`, where the lexer still has text before it
        }
        self.last_end = self.token.end;
        self.token = self.next;
        self.next = self.lexer.next_token();
    }

    /// To the end: nothing more is of interest.
    pub(super) fn finish(&mut self) {
        let end = self.sql().len();
        self.token = Token { kind: TokenKind::End, start: end, end, in_version: false };
        self.next = self.token;
    }

    pub(super) fn at_end(&self) -> bool {
        self.token.kind == TokenKind::End
    }

    /// The bytes of a token.
    pub(super) fn bytes(&self, token: Token) -> &'a [u8] {
        self.sql().get(token.start..token.end).unwrap_or_default()
    }

    /// The bare word here.
    pub(super) fn upper(&self) -> Upper {
        self.upper_of(self.token)
    }

    pub(super) fn upper_of(&self, token: Token) -> Upper {
        Upper::of(if token.kind == TokenKind::Word { self.bytes(token) } else { b"" })
    }

    /// A token's name in upper case, be it bare or quoted.
    pub(super) fn upper_name(&self, token: Token) -> Upper {
        Upper::of(&unquoted(self.bytes(token)))
    }

    /// Whether the token here is this keyword.
    pub(super) fn is(&self, word: &str) -> bool {
        self.token.kind == TokenKind::Word && self.bytes(self.token).eq_ignore_ascii_case(word.as_bytes())
    }

    pub(super) fn next_is(&self, word: &str) -> bool {
        self.next.kind == TokenKind::Word && self.bytes(self.next).eq_ignore_ascii_case(word.as_bytes())
    }

    pub(super) fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    pub(super) fn next_is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.next_is(word))
    }

    /// Past this keyword, if it is here.
    pub(super) fn skip(&mut self, word: &str) -> bool {
        let found = self.is(word);
        if found {
            self.advance();
        }
        found
    }

    /// Past any run of these keywords.
    pub(super) fn skip_all(&mut self, words: &[&str]) {
        while self.is_any(words) {
            self.advance();
        }
    }

    pub(super) fn skip_symbol(&mut self, byte: u8) -> bool {
        let found = self.token.is_symbol(byte);
        if found {
            self.advance();
        }
        found
    }

    /// Past `IF EXISTS` or `IF NOT EXISTS`.
    pub(super) fn skip_if_exists(&mut self) {
        if self.is("IF") && self.next_is_any(&["EXISTS", "NOT"]) {
            self.skip_all(&["IF", "NOT", "EXISTS"]);
        }
    }

    /// Past a pair of parentheses and all within.
    pub(super) fn skip_parentheses(&mut self) {
        let mut depth = 0_usize;
        while !self.at_end() {
            match self.token.kind {
                TokenKind::Symbol(b'(') => depth += 1,
                TokenKind::Symbol(b')') => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.advance();
            if depth == 0 {
                return;
            }
        }
    }

    /// The name here, passing it.
    pub(super) fn take_name(&mut self) -> Option<Name> {
        let name = self.token.is_name().then(|| self.name_of(self.token.start..self.token.end))?;
        self.advance();
        Some(name)
    }

    pub(super) fn name_of(&self, span: Range<usize>) -> Name {
        Name::at(self.sql(), span)
    }
}
