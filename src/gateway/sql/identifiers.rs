//! Every word that could be a table's name, for statements the walk is not certain of.

use super::lexer::{Lexer, TokenKind};
use super::mode::SqlMode;
use super::name::Name;

/// All identifiers of a text in order: bare words (keywords too, most may be names) and quoted ones, not strings, comments
/// or variables. `db.t` yields two.
pub fn identifiers(sql: &[u8], mode: SqlMode) -> impl Iterator<Item = Name> {
    let mut lexer = Lexer::new(sql, mode);
    std::iter::from_fn(move || {
        loop {
            let token = lexer.next_token();
            if token.is_name() {
                return Some(Name::at(sql, token.start..token.end));
            }
            if token.kind == TokenKind::End {
                return None;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::identifiers;
    use crate::gateway::sql::SqlMode;

    #[test]
    fn names_and_keywords_come_in_order() {
        let sql = b"SELECT `a b`.c, 'd', @e, @@f, 1.5, 2g /* h */ -- i\n FROM $j.k";
        let words: Vec<_> = identifiers(sql, SqlMode::default()).map(|name| name.text).collect();
        assert_eq!(words, ["SELECT", "a b", "c", "2g", "FROM", "$j", "k"]);
    }
}
