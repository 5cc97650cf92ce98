//! Cuts statement text into tokens as MySQL's own lexer (`sql/sql_lex.cc`) does.
//!
//! Invariants: tokens come in order, never overlap, and each but [`TokenKind::End`] is at least one byte long, so that
//! every loop over tokens ends. Any bytes are accepted: a quote or comment that is never closed reaches to the end.
//! The text must be in a character set whose multi-byte characters contain no ASCII byte (utf8mb4, latin1, …, but not
//! big5, cp932, gb18030, gbk or sjis, where a character may end in a backslash or a backtick).
//!
//! Comments and hints are skipped. What stands in `/*! … */` or `/*!80000 … */` is code; version 99999 and above is what
//! no server executes, so it is a comment.

use super::mode::SqlMode;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A bare word: a keyword or an identifier.
    Word,
    /// A bare word that touches a dot (`a.b`): never a keyword.
    Identifier,
    /// An identifier within backticks, or within `"` under ANSI_QUOTES.
    Quoted,
    /// A string literal, or a dollar-quoted text. Introducers such as `N` and `_utf8mb4` are words before it.
    Text,
    Number,
    /// `@name`, `@'name'`; the name may be empty.
    UserVariable,
    /// `@@name`, `@@scope.name`.
    SystemVariable,
    /// `:=`
    Assign,
    /// Any other byte.
    Symbol(u8),
    End,
}

/// A token and its place in the text.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
    /// Within an executed version comment.
    pub in_version: bool,
}

impl Token {
    /// Whether it can be a name: a word, possibly a keyword, or a quoted identifier.
    pub fn is_name(self) -> bool {
        matches!(self.kind, TokenKind::Word | TokenKind::Identifier | TokenKind::Quoted)
    }

    pub fn is_symbol(self, byte: u8) -> bool {
        self.kind == TokenKind::Symbol(byte)
    }
}

/// Whether a byte may be part of a bare identifier.
fn in_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'$' | 0x80..)
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The lexer at one place of a text.
#[derive(Clone)]
pub(in crate::gateway) struct Lexer<'a> {
    sql: &'a [u8],
    mode: SqlMode,
    at: usize,
    /// Within an executed version comment, where `*/` is its end.
    in_version: bool,
    /// Where the last token ended, if it was a name, and where the last dot ended: what touches them is a name too.
    name_end: usize,
    dot_end: usize,
    /// Whether `$tag$ … $tag$` is a text. Only the programs of CREATE statements may be written so, and older servers
    /// take `$tag$` for a name: so it is off until somebody who saw CREATE turns it on.
    pub(super) dollar_quotes: bool,
    /// Whether a quote was opened and never closed.
    pub(in crate::gateway) unclosed: bool,
}

impl<'a> Lexer<'a> {
    pub(in crate::gateway) fn new(sql: &'a [u8], mode: SqlMode) -> Self {
        let (name_end, dot_end) = (usize::MAX, usize::MAX);
        Self { sql, mode, at: 0, in_version: false, name_end, dot_end, dollar_quotes: false, unclosed: false }
    }

    pub(super) fn sql(&self) -> &'a [u8] {
        self.sql
    }

    pub(super) fn mode(&self) -> SqlMode {
        self.mode
    }

    /// The byte at a place; 0 beyond the end, as the server's buffer is terminated.
    fn byte(&self, at: usize) -> u8 {
        self.sql.get(at).copied().unwrap_or(0)
    }

    /// The next token; `End` for ever at the end.
    pub(in crate::gateway) fn next_token(&mut self) -> Token {
        self.skip_blanks();
        let start = self.at;
        let kind = match self.sql.get(start).copied() {
            None => TokenKind::End,
            Some(b'`') => self.quoted(b'`', false, TokenKind::Quoted),
            Some(b'"') if self.mode.ansi_quotes => self.quoted(b'"', false, TokenKind::Quoted),
            Some(quote @ (b'\'' | b'"')) => self.quoted(quote, !self.mode.no_backslash_escapes, TokenKind::Text),
            Some(b'@') => self.variable(),
            Some(b':') if self.byte(start + 1) == b'=' => {
                self.at = start + 2;
                TokenKind::Assign
            }
            Some(b'.') if self.byte(start + 1).is_ascii_digit() && self.name_end != start => self.number(),
            Some(byte) if byte.is_ascii_digit() && self.dot_end != start => self.number(),
            Some(b'$') if self.dollar_quotes && self.dollar_text() => TokenKind::Text,
            Some(byte) if in_name(byte) => {
                self.at = self.name_from(start);
                self.word_kind(start)
            }
            Some(byte) => {
                self.at = start + 1;
                TokenKind::Symbol(byte)
            }
        };
        let token = Token { kind, start, end: self.at, in_version: self.in_version };
        self.name_end = if token.is_name() { self.at } else { usize::MAX };
        self.dot_end = if kind == TokenKind::Symbol(b'.') { self.at } else { usize::MAX };
        token
    }

    /// Past blanks, comments and the ends of version comments.
    fn skip_blanks(&mut self) {
        while let Some(&byte) = self.sql.get(self.at) {
            match (byte, self.byte(self.at + 1)) {
                _ if is_blank(byte) => self.at += 1,
                (b'#', _) => self.skip_line(),
                // `a--1` is a subtraction: the comment needs a blank, a control character or the end after it.
                (b'-', b'-') if self.byte(self.at + 2) <= b' ' || self.byte(self.at + 2) == 0x7f => self.skip_line(),
                (b'/', b'*') if self.byte(self.at + 2) == b'!' => self.version_comment(),
                (b'/', b'*') => self.at = self.comment_end(self.at + 2, false),
                (b'*', b'/') if self.in_version => {
                    self.in_version = false;
                    self.at += 2;
                }
                _ => return,
            }
        }
    }

    fn skip_line(&mut self) {
        let rest = self.sql.get(self.at..).unwrap_or_default();
        self.at += rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    }

    /// The place after the `*/` that ends a comment whose content begins at `at`. A skipped version comment may hold
    /// one level of ordinary comments.
    fn comment_end(&self, mut at: usize, nested: bool) -> usize {
        while at < self.sql.len() {
            match (self.byte(at), self.byte(at + 1)) {
                (b'*', b'/') => return at + 2,
                (b'/', b'*') if nested => at = self.comment_end(at + 2, false),
                _ => at += 1,
            }
        }
        self.sql.len()
    }

    /// At `/*!`: enters it when servers execute it, skips it when none does.
    fn version_comment(&mut self) {
        let start = self.at + 3;
        let digits = (0..6).take_while(|&place| self.byte(start + place).is_ascii_digit()).count();
        // Fewer than five digits are code, as in the server.
        let (length, version) = if digits < 5 {
            (0, 0)
        } else {
            let number = |total: u32, place: usize| total * 10 + u32::from(self.byte(start + place) - b'0');
            (digits, (0..digits).fold(0, number))
        };
        if version < 99_999 {
            self.in_version = true;
            self.at = start + length;
        } else {
            self.at = self.comment_end(start, true);
        }
    }

    /// From an opening quote past its closing one; a doubled quote is content.
    fn quoted(&mut self, quote: u8, escapes: bool, kind: TokenKind) -> TokenKind {
        let mut at = self.at + 1;
        while let Some(&byte) = self.sql.get(at) {
            at += 1;
            if byte == quote {
                if self.sql.get(at) != Some(&quote) {
                    self.at = at;
                    return kind;
                }
                at += 1;
            } else if escapes && byte == b'\\' {
                at += 1;
            }
        }
        self.at = self.sql.len();
        self.unclosed = true;
        kind
    }

    /// The end of the run of name bytes at `at`.
    fn name_from(&self, at: usize) -> usize {
        let rest = self.sql.get(at..).unwrap_or_default();
        at + rest.iter().position(|&byte| !in_name(byte)).unwrap_or(rest.len())
    }

    /// What the bare word from `start` to here is.
    fn word_kind(&self, start: usize) -> TokenKind {
        let touches = self.dot_end == start || (self.byte(self.at) == b'.' && in_name(self.byte(self.at + 1)));
        if touches { TokenKind::Identifier } else { TokenKind::Word }
    }

    fn digits_from(&self, at: usize) -> usize {
        let rest = self.sql.get(at..).unwrap_or_default();
        at + rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len())
    }

    /// The end of an exponent at `at`, or `at` if there is none.
    fn exponent(&self, at: usize) -> usize {
        let sign = usize::from(matches!(self.byte(at + 1), b'+' | b'-'));
        let digits = at + 1 + sign;
        if matches!(self.byte(at), b'e' | b'E') && self.byte(digits).is_ascii_digit() {
            self.digits_from(digits)
        } else {
            at
        }
    }

    /// A number, or a name that begins with digits (`1st`).
    fn number(&mut self) -> TokenKind {
        let start = self.at;
        let run = self.name_from(start);
        let all = |from: usize, good: fn(&u8) -> bool| {
            let digits = self.sql.get(from..run).unwrap_or_default();
            !digits.is_empty() && digits.iter().all(good)
        };
        // Only the lower-case prefixes are hexadecimal and binary numbers; `0XFF` is a name.
        if self.byte(start) == b'0'
            && ((self.byte(start + 1) == b'x' && all(start + 2, u8::is_ascii_hexdigit))
                || (self.byte(start + 1) == b'b' && all(start + 2, |digit| matches!(digit, b'0' | b'1'))))
        {
            self.at = run;
            return TokenKind::Number;
        }
        let whole = self.digits_from(start);
        if self.byte(whole) == b'.' {
            self.at = self.digits_from(whole + 1);
            self.at = self.exponent(self.at);
            return TokenKind::Number;
        }
        let exponent = self.exponent(whole);
        if exponent > whole || run == whole {
            self.at = exponent;
            return TokenKind::Number;
        }
        self.at = run;
        self.word_kind(start)
    }

    /// At `@`.
    fn variable(&mut self) -> TokenKind {
        self.at += 1;
        if self.byte(self.at) != b'@' {
            match self.byte(self.at) {
                b'`' => return self.quoted(b'`', false, TokenKind::UserVariable),
                quote @ (b'\'' | b'"') => {
                    let identifier = quote == b'"' && self.mode.ansi_quotes;
                    let plain = identifier || self.mode.no_backslash_escapes;
                    return self.quoted(quote, !plain, TokenKind::UserVariable);
                }
                _ => {}
            }
            // A dot is part of the name.
            while self.at < self.sql.len() && (in_name(self.byte(self.at)) || self.byte(self.at) == b'.') {
                self.at += 1;
            }
            return TokenKind::UserVariable;
        }
        self.at += 1;
        loop {
            if self.byte(self.at) == b'`' {
                self.quoted(b'`', false, TokenKind::SystemVariable);
            } else {
                self.at = self.name_from(self.at);
            }
            let after = self.byte(self.at + 1);
            if self.byte(self.at) != b'.' || !(in_name(after) || after == b'`') {
                return TokenKind::SystemVariable;
            }
            self.at += 1;
        }
    }

    /// At `$`: past a dollar-quoted text if one begins here and ends somewhere.
    fn dollar_text(&mut self) -> bool {
        let rest = self.sql.get(self.at..).unwrap_or_default();
        let Some(length) = rest.iter().skip(1).position(|&byte| byte == b'$' || !in_name(byte)) else { return false };
        let (Some(tag), Some(content)) = (rest.get(..length + 2), rest.get(length + 2..)) else { return false };
        if !tag.ends_with(b"$") {
            return false;
        }
        let Some(close) = content.windows(tag.len()).position(|part| part == tag) else {
            // Not looked for again: many unclosed tags would make this quadratic.
            self.dollar_quotes = false;
            return false;
        };
        self.at += close + 2 * tag.len();
        true
    }
}
