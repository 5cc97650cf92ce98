//! Does a stored SQL text name one of some tables? A scan of its tokens, not a parse.
//!
//! It errs on the side of yes: a column or variable of a table's name counts too, and so do texts within quotes that look
//! like SQL, since they may be prepared and run.

use std::collections::BTreeSet;

/// The first table of `tables` (of schema `database`) that `body` names. `home` is the schema in which unqualified names
/// are looked up; without it only qualified ones count. `fold`: table names do not depend on case.
pub(super) fn mentions<'a>(
    body: &str,
    home: Option<&str>,
    database: &str,
    tables: &BTreeSet<&'a str>,
    fold: bool,
) -> Option<&'a str> {
    let same = |a: &str, b: &str| if fold { a.to_lowercase() == b.to_lowercase() } else { a == b };
    let table = |name: &str| tables.iter().copied().find(|table| same(table, name));
    let at_home = home.is_some_and(|home| same(home, database));
    let mut words: Vec<String> = Vec::new();
    // One name is a run of words joined by dots; anything else ends it.
    let judge = |words: &[String]| -> Option<&'a str> {
        let unqualified = words.first().filter(|_| at_home).and_then(|word| table(word));
        let qualified = match words {
            [schema, name, ..] if same(schema, database) => table(name),
            _ => None,
        };
        qualified.or(unqualified)
    };
    let mut dot = false;
    for token in tokens(body) {
        match token {
            Token::Dot => dot = !words.is_empty(),
            Token::Word(word) => {
                if !dot {
                    if let found @ Some(_) = judge(&words) {
                        return found;
                    }
                    words.clear();
                }
                words.push(word);
                dot = false;
            }
            Token::Text(text) => {
                if text.contains(char::is_whitespace)
                    && let found @ Some(_) = mentions(&text, home, database, tables, fold)
                {
                    return found;
                }
                dot = false;
            }
            Token::Other => {
                if let found @ Some(_) = judge(&words) {
                    return found;
                }
                words.clear();
                dot = false;
            }
        }
    }
    judge(&words)
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// A name, quoted or not, or a keyword.
    Word(String),
    Dot,
    /// What stands within quotes.
    Text(String),
    Other,
}

fn tokens(body: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = body;
    while let Some(first) = rest.chars().next() {
        let (token, used) = match first {
            _ if first.is_whitespace() => (None, first.len_utf8()),
            '#' => (None, line(rest)),
            '-' if rest.starts_with("-- ") || rest.starts_with("--\n") || rest.starts_with("--\t") => {
                (None, line(rest))
            }
            // What MySQL alone reads of a comment is SQL.
            '/' if rest.starts_with("/*!") => {
                let digits = rest[3..].bytes().take_while(u8::is_ascii_digit).count();
                (Some(Token::Other), 3 + digits)
            }
            '/' if rest.starts_with("/*") => (None, rest.find("*/").map_or(rest.len(), |end| end + 2)),
            '.' => (Some(Token::Dot), 1),
            '`' => {
                let (text, used) = quoted(rest, '`');
                (Some(Token::Word(text)), used)
            }
            '"' => {
                // With ANSI_QUOTES a name, without a string.
                let (text, used) = quoted(rest, '"');
                let spaced = text.contains(char::is_whitespace);
                (Some(if spaced { Token::Text(text) } else { Token::Word(text) }), used)
            }
            '\'' => {
                let (text, used) = quoted(rest, '\'');
                (Some(Token::Text(text)), used)
            }
            _ if first.is_alphanumeric() || matches!(first, '_' | '$' | '@') => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$' | '@')));
                let word = &rest[..end.unwrap_or(rest.len())];
                (Some(Token::Word(word.to_owned())), word.len())
            }
            _ => (Some(Token::Other), first.len_utf8()),
        };
        tokens.extend(token);
        rest = &rest[used..];
    }
    tokens
}

fn line(rest: &str) -> usize {
    rest.find('\n').unwrap_or(rest.len())
}

/// The content of a quoted token and the bytes it takes.
fn quoted(rest: &str, quote: char) -> (String, usize) {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
            } else {
                return (text, at + 1);
            }
        } else if c == '\\' && quote != '`' {
            if let Some((_, escaped)) = chars.next() {
                text.push(escaped);
            }
            continue;
        }
        text.push(c);
    }
    (text, rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_where_they_mean_the_table() {
        let tables = BTreeSet::from(["customer", "weird name"]);
        for (body, home, found) in [
            ("insert into customer values (1)", Some("shop"), true),
            ("insert into customer values (1)", Some("other"), false),
            ("insert into shop.customer values (1)", Some("other"), true),
            ("insert into `shop` . `customer`(a) values (1)", Some("other"), true),
            ("select `shop`.`customer`.`id` AS `id` from `shop`.`customer`", None, true),
            ("select `a`.`customer` AS `customer` from `shop`.`a`", None, false),
            ("select c.customer from orders c", Some("shop"), false),
            ("select customer.id from other.customer", Some("shop"), true),
            ("update customers set customer_id = 1", Some("shop"), false),
            ("begin -- customer\n /* customer */ # customer\n end", Some("shop"), false),
            ("/*!50000 delete from customer */", Some("shop"), true),
            ("prepare s from 'delete from customer'", Some("shop"), true),
            ("select 'customer'", Some("shop"), false),
            ("select \"it''s a \\\" customer\"", Some("shop"), true),
            ("delete from `weird name`", Some("shop"), true),
            ("DELETE FROM CUSTOMER", Some("shop"), false),
            ("select 1 from shop.", Some("shop"), false),
        ] {
            assert_eq!(mentions(body, home, "shop", &tables, false).is_some(), found, "{body}");
        }
        assert_eq!(mentions("DELETE FROM Shop.CUSTOMER", None, "shop", &tables, true), Some("customer"));
    }
}
