//! JSON documents that do not survive being read again from their own text.
//!
//! A JSON column can hold DECIMALs (`JSON_ARRAY(1.50)`), which no JSON text can say: the parser makes doubles of them, and
//! `1.50` comes back as `1.5`. Such a document goes in as `JSON_REPLACE(_utf8mb4'…',_utf8mb4'$."a"[0]',1.50,…)`, where SQL
//! reads the same digits as a DECIMAL literal.
//!
//! # Invariants
//! - The decision is made on the text alone, which is all a copied row comes with: one rule for copy and binlog, so one
//!   form on the target.
//! - A number that comes back with the same digits is left in the text, whatever its type was on the source.
//! - Only `-`, digits and one point between digits ever stand outside a literal.
//!
//! The server finds an element to replace by walking its container, so many in one array cost their square: 100,000 take
//! it two seconds.

use crate::mysql::binlog::number;

use super::push_quoted;

/// A number of so few bytes has at most 15 digits, which a double keeps, and is printed without an exponent.
const SHORT: usize = 16;

/// Whether MySQL would print `text`, a document as it prints them, differently after parsing it: it holds a DECIMAL that
/// is not a double. Only [`super::push_value`] stores it as it is; `LOAD DATA` cannot.
pub fn holds_decimal(text: &[u8]) -> bool {
    let mut scratch = Vec::new();
    Tokens { rest: text }.any(|token| matches!(token, Token::Number(number) if is_decimal(number, &mut scratch)))
}

/// Appends the expression that stores the document `text`.
pub(super) fn push_document(out: &mut Vec<u8>, text: &[u8]) {
    if !holds_decimal(text) {
        return push_text(out, text);
    }
    out.extend_from_slice(b"JSON_REPLACE(");
    push_text(out, text);
    let (mut place, mut path, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
    for token in (Tokens { rest: text }) {
        match token {
            Token::Mark(b'[') => place.push(Leg::Index(0)),
            Token::Mark(b'{') => place.push(Leg::Key(b"")),
            Token::Mark(b']' | b'}') => drop(place.pop()),
            Token::Mark(b',') => {
                if let Some(Leg::Index(index)) = place.last_mut() {
                    *index += 1;
                }
            }
            Token::Key(key) => {
                if let Some(leg) = place.last_mut() {
                    *leg = Leg::Key(key);
                }
            }
            Token::Number(number) if is_decimal(number, &mut scratch) => {
                path.clear();
                write_path(&mut path, &place);
                out.push(b',');
                push_text(out, &path);
                out.push(b',');
                out.extend_from_slice(number);
                if !number.contains(&b'.') {
                    // Without it `-9223372036854775809` would be the negative of an integer.
                    out.push(b'.');
                }
            }
            Token::Mark(_) | Token::Number(_) => {}
        }
    }
    out.push(b')');
}

fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(b"_utf8mb4");
    push_quoted(out, text);
}

/// A step into a container.
#[derive(Debug)]
enum Leg<'t> {
    Index(u64),
    /// With its quotes and escapes, as paths want them too.
    Key(&'t [u8]),
}

fn write_path(path: &mut Vec<u8>, place: &[Leg<'_>]) {
    path.push(b'$');
    for leg in place {
        match leg {
            Leg::Index(index) => {
                path.push(b'[');
                number::unsigned(path, *index);
                path.push(b']');
            }
            Leg::Key(key) => {
                path.push(b'.');
                path.extend_from_slice(key);
            }
        }
    }
}

/// Whether the number `token` is a DECIMAL that would come back otherwise as an integer or a double.
fn is_decimal(token: &[u8], scratch: &mut Vec<u8>) -> bool {
    let digits = token.strip_prefix(b"-").unwrap_or(token);
    let (whole, fraction) = match digits.iter().position(|&byte| byte == b'.') {
        Some(point) => (&digits[..point], Some(&digits[point + 1..])),
        None => (digits, None),
    };
    let plain = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let Some(text) = std::str::from_utf8(token).ok().filter(|_| plain(whole) && fraction.is_none_or(plain)) else {
        // DECIMALs are printed without an exponent.
        return false;
    };
    match fraction {
        None => text.parse::<i64>().is_err() && text.parse::<u64>().is_err(),
        Some(b"0") if digits.len() <= SHORT => false,
        Some(fraction) if digits.len() <= SHORT => fraction.ends_with(b"0"),
        Some(_) => {
            scratch.clear();
            !text.parse().is_ok_and(|double| number::json_double(scratch, double) && scratch == token)
        }
    }
}

/// What matters of a JSON text. Strings that are values, literals and spaces are passed over.
#[derive(Debug)]
enum Token<'t> {
    /// A bracket, brace or comma.
    Mark(u8),
    /// A member's name with its quotes and escapes.
    Key(&'t [u8]),
    Number(&'t [u8]),
}

#[derive(Debug)]
struct Tokens<'t> {
    rest: &'t [u8],
}

impl<'t> Iterator for Tokens<'t> {
    type Item = Token<'t>;

    fn next(&mut self) -> Option<Token<'t>> {
        loop {
            let (&first, rest) = self.rest.split_first()?;
            match first {
                b'"' => {
                    let (string, rest) = self.rest.split_at(1 + string_len(rest));
                    self.rest = rest;
                    // MySQL puts no space before the colon.
                    if rest.first() == Some(&b':') {
                        return Some(Token::Key(string));
                    }
                }
                b'-' | b'0'..=b'9' => {
                    let inside = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
                    let end = self.rest.iter().position(|byte| !inside(byte)).unwrap_or(self.rest.len());
                    let (number, rest) = self.rest.split_at(end);
                    self.rest = rest;
                    return Some(Token::Number(number));
                }
                b'[' | b']' | b'{' | b'}' | b',' => {
                    self.rest = rest;
                    return Some(Token::Mark(first));
                }
                _ => self.rest = rest,
            }
        }
    }
}

/// The length of a string behind its opening quote, the closing one included.
fn string_len(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(next) = text.get(at..).and_then(|rest| rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))) {
        at += next + 1;
        if text[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn document(text: &str) -> String {
        let mut out = Vec::new();
        push_document(&mut out, text.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_survives_stays_a_text() {
        for text in [
            "null",
            "1.0",
            "-0.0",
            "0.5",
            "[1e100, 1.5e-7, -2.25, 1.7976931348623157e308, 5e-324]",
            "[18446744073709551615, -9223372036854775808]",
            "[0.000000000000001, 123456789012345.6, 0.30000000000000004, 0.000000000000001234567890123456]",
            r#"{"1.50": "1.50", "\"": "\\\" 1.50"}"#,
        ] {
            assert_eq!(document(text), format!("_utf8mb4'{}'", text.replace('\\', r"\\").replace('\'', r"\'")));
        }
    }

    #[test]
    fn what_does_not_is_replaced_in_its_place() {
        for (text, arguments) in [
            ("1.50", "_utf8mb4'$',1.50"),
            ("-0.10", "_utf8mb4'$',-0.10"),
            ("0.00", "_utf8mb4'$',0.00"),
            ("18446744073709551616", "_utf8mb4'$',18446744073709551616."),
            ("[-9223372036854775809]", "_utf8mb4'$[0]',-9223372036854775809."),
            ("[1, [], {}, 0.0000000000000001]", "_utf8mb4'$[3]',0.0000000000000001"),
            ("[1234567890123456.0]", "_utf8mb4'$[0]',1234567890123456.0"),
            (r#"[{"a": [1], "b": {"": 2.50}}, 3.0]"#, r#"_utf8mb4'$[0]."b".""',2.50"#),
            (r#"{"a'\"": 1.10, "b": [2, 3.30]}"#, r#"_utf8mb4'$."a\'\\""',1.10,_utf8mb4'$."b"[1]',3.30"#),
        ] {
            let quoted = text.replace('\\', r"\\").replace('\'', r"\'");
            assert_eq!(document(text), format!("JSON_REPLACE(_utf8mb4'{quoted}',{arguments})"));
        }
    }

    #[test]
    fn nothing_but_a_number_leaves_the_literal() {
        for text in ["1.50-1", "1..50", "--1.50", "1.", ".50", "1.5.0", "[1.50e0", "-", "\"1.50", "\"\\"] {
            assert!(!holds_decimal(text.as_bytes()), "{text}");
        }
    }

    fn documents() -> impl Strategy<Value = String> {
        let key = "[a-c\"\\\\\u{1}'ä.*\\[😀]{0,4}";
        let leaf = prop_oneof![
            "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?",
            any::<f64>().prop_filter_map("finite", |number| {
                let mut out = Vec::new();
                number::json_double(&mut out, number).then(|| String::from_utf8(out).unwrap())
            }),
            key.prop_map(|text| serde_json::to_string(&text).unwrap()),
            Just("true".to_owned()),
        ];
        leaf.prop_recursive(6, 60, 6, move |inner| {
            let array = prop::collection::vec(inner.clone(), 0..6).prop_map(|all| format!("[{}]", all.join(", ")));
            let object = prop::collection::btree_map(key, inner, 0..6).prop_map(|all| {
                let member = |(key, value)| format!("{}: {value}", serde_json::to_string(&key).unwrap());
                format!("{{{}}}", all.into_iter().map(member).collect::<Vec<String>>().join(", "))
            });
            prop_oneof![array, object]
        })
    }

    /// Replaces by path what does not survive, using another parser for the places.
    fn expected(value: &serde_json::Value, raw: &mut std::vec::IntoIter<String>, path: &str, out: &mut Vec<String>) {
        match value {
            serde_json::Value::Number(_) => {
                let token = raw.next().unwrap();
                if changes(&token) {
                    let mut argument = b",".to_vec();
                    push_text(&mut argument, path.as_bytes());
                    let point = if token.contains('.') { "" } else { "." };
                    out.push(format!("{},{token}{point}", String::from_utf8(argument).unwrap()));
                }
            }
            serde_json::Value::Array(all) => {
                for (index, value) in all.iter().enumerate() {
                    expected(value, raw, &format!("{path}[{index}]"), out);
                }
            }
            serde_json::Value::Object(all) => {
                for (key, value) in all {
                    expected(value, raw, &format!("{path}.{}", serde_json::to_string(key).unwrap()), out);
                }
            }
            _ => {}
        }
    }

    /// The rule without its shortcuts.
    fn changes(token: &str) -> bool {
        let mut printed = Vec::new();
        let integer = token.parse::<i64>().is_ok() || token.parse::<u64>().is_ok();
        let double = number::json_double(&mut printed, token.parse().unwrap()) && printed == token.as_bytes();
        !(integer || double || token.contains('e'))
    }

    proptest! {
        #[test]
        fn every_number_that_changes_is_replaced_and_no_other(text in documents()) {
            let numbers = Tokens { rest: text.as_bytes() }.filter_map(|token| match token {
                Token::Number(number) => Some(String::from_utf8(number.to_vec()).unwrap()),
                _ => None,
            });
            let numbers: Vec<_> = numbers.collect();
            prop_assert_eq!(holds_decimal(text.as_bytes()), numbers.iter().any(|token| changes(token)));
            // serde_json's maps are ordered as the generator's are.
            let mut arguments = Vec::new();
            expected(&serde_json::from_str(&text).unwrap(), &mut numbers.into_iter(), "$", &mut arguments);
            let mut literal = Vec::new();
            push_text(&mut literal, text.as_bytes());
            let literal = String::from_utf8(literal).unwrap();
            let whole = match arguments.is_empty() {
                true => literal,
                false => format!("JSON_REPLACE({literal}{})", arguments.concat()),
            };
            prop_assert_eq!(document(&text), whole);
        }

        #[test]
        fn shortcuts_decide_as_the_rule_does(token in "-?(0|[1-9][0-9]{0,18})\\.[0-9]{1,22}", zeros in 0usize..20) {
            let small = format!("0.{}{}", "0".repeat(zeros), token.replace(['-', '.'], ""));
            for token in [token, small] {
                prop_assert_eq!(is_decimal(token.as_bytes(), &mut Vec::new()), changes(&token), "{}", token);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..60), json in "[-0-9.,\\[\\]{}:\"e\\\\]{0,40}") {
            push_document(&mut Vec::new(), &text);
            push_document(&mut Vec::new(), json.as_bytes());
        }
    }
}
