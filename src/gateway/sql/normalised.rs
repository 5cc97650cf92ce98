//! A statement as it is written apart from its values: for telling operators of it without telling what clients keep.

use std::borrow::Cow;

use super::lexer::{Lexer, TokenKind};
use super::mode::SqlMode;

/// The longest text there is, bytes.
pub const LONGEST: usize = 1024;

/// The text with every literal as `?`, lists of them as `?, …`, no comments, and one blank where there were any. Nothing of
/// a literal is left in it, also where a quote is never closed.
pub fn normalised(sql: &[u8], mode: SqlMode) -> String {
    let mut lexer = Lexer::new(sql, mode);
    let (mut text, mut end) = (String::new(), 0);
    // How much of `?, ?` stands at the text's end: 1 after the value, 2 after the comma, 3 when the dots are there.
    let mut list = 0;
    loop {
        let token = lexer.next_token();
        if token.kind == TokenKind::End || text.len() > LONGEST {
            break;
        }
        let gap = token.start > end && !text.is_empty();
        end = token.end;
        let literal = matches!(token.kind, TokenKind::Text | TokenKind::Number) || token.is_symbol(b'?');
        match (list, literal) {
            (2.., true) => {
                if list == 2 {
                    text.push_str(" …");
                }
                list = 3;
                continue;
            }
            (1, false) if token.is_symbol(b',') => list = 2,
            (3, false) if token.is_symbol(b',') => continue,
            _ => list = u8::from(literal),
        }
        if gap {
            text.push(' ');
        }
        text.push_str(&match literal {
            true => Cow::Borrowed("?"),
            false => String::from_utf8_lossy(sql.get(token.start..token.end).unwrap_or_default()),
        });
    }
    while text.ends_with([';', ' ']) {
        text.pop();
    }
    cut(text)
}

/// No longer than [`LONGEST`].
pub fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST - '…'.len_utf8()).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sql: &str) -> String {
        normalised(sql.as_bytes(), SqlMode::default())
    }

    #[test]
    fn values_go_and_words_stay() {
        for (sql, text) in [
            ("SELECT *\n FROM  a /* why */ WHERE x = 'it''s' AND y=-1.5e3;", "SELECT * FROM a WHERE x = ? AND y=-?"),
            ("select 1", "select ?"),
            ("SELECT a FROM t WHERE b IN (1, 2,3 , 'x')", "SELECT a FROM t WHERE b IN (?, …)"),
            ("INSERT INTO `a b` (x) VALUES (1, 2), (3, 4)", "INSERT INTO `a b` (x) VALUES (?, …), (?, …)"),
            ("SELECT ?, a, ?", "SELECT ?, a, ?"),
            ("SELECT 1, 2, a FROM t", "SELECT ?, … a FROM t"),
            ("SELECT 'open secret", "SELECT ?"),
            ("SELECT \"s\\\"ecret\", @v, x'41', 0xFF", "SELECT ?, @v, x?, …"),
            ("SELECT /*!80000 a */ -- secret\n", "SELECT a"),
            ("", ""),
        ] {
            assert_eq!(of(sql), text, "{sql}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_become_a_short_text(sql in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..3000)) {
            proptest::prop_assert!(normalised(&sql, SqlMode::default()).len() <= LONGEST);
        }

        #[test]
        fn no_digit_or_text_of_a_value_is_left(value in "[A-Z]{8}|[0-9]{8}", quoted in proptest::prelude::any::<bool>()) {
            let literal = if quoted || value.starts_with(|c: char| c.is_ascii_uppercase()) { format!("'{value}'") } else { value.clone() };
            let text = of(&format!("select a from b where c = {literal} and d in ({literal},{literal}) /* {value} */"));
            proptest::prop_assert!(!text.contains(&value), "{}", text);
        }
    }
}
