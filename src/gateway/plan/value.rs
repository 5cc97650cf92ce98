//! Values in statements: literals in the text and parameters bound to it.

use std::borrow::Cow;

use super::text::Text;
use crate::gateway::sql::{TokenKind, literal};
use crate::sharding::Literal;

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The token it is.
    pub token: usize,
    /// A minus stands before it.
    pub negative: bool,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// A whole number.
    Int(i128),
    /// Text in UTF-8.
    Text(Cow<'a, str>),
    /// Bytes without a character set.
    Bytes(Cow<'a, [u8]>),
    /// Something rows cannot be found by: a fraction, a moment, a text in another character set.
    Other,
}

/// The values that were bound to a statement's parameters, in order.
pub type Bound<'a> = &'a [Value<'a>];

/// What values are read with.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// The statement.
    pub text: &'a Text<'a>,
    /// Its parameters' values; `None` while it is not executed.
    pub bound: Option<Bound<'a>>,
    /// Whether texts are in UTF-8; else only those in ASCII can be read.
    pub utf8: bool,
}

impl<'a> Values<'a> {
    /// The value at a place. `None`: it is a parameter that is not bound.
    pub fn read(&self, slot: Slot) -> Option<Value<'a>> {
        let token = self.text.tokens.get(slot.token)?;
        let bytes = self.text.bytes(slot.token);
        let value = match token.kind {
            TokenKind::Symbol(b'?') => {
                let place = self.text.parameters.binary_search(&slot.token).ok()?;
                self.bound?.get(place)?.clone()
            }
            TokenKind::Number => number(bytes),
            TokenKind::Text => self.string(literal(bytes, self.text.mode)),
            TokenKind::Word if bytes.eq_ignore_ascii_case(b"NULL") => Value::Null,
            TokenKind::Word if bytes.eq_ignore_ascii_case(b"TRUE") => Value::Int(1),
            TokenKind::Word if bytes.eq_ignore_ascii_case(b"FALSE") => Value::Int(0),
            _ => Value::Other,
        };
        Some(match value {
            Value::Int(number) if slot.negative => Value::Int(-number),
            Value::Null => Value::Null,
            _ if slot.negative => Value::Other,
            value => value,
        })
    }

    fn string(&self, bytes: Vec<u8>) -> Value<'a> {
        match String::from_utf8(bytes) {
            Ok(text) if self.utf8 || text.is_ascii() => Value::Text(Cow::Owned(text)),
            _ => Value::Other,
        }
    }
}

impl Value<'_> {
    /// It as vindexes take it.
    pub fn literal(&self) -> Option<Literal<'_>> {
        Some(match self {
            Self::Null => Literal::Null,
            Self::Int(number) => Literal::Int(*number),
            Self::Text(text) => Literal::Text(text),
            Self::Bytes(bytes) => Literal::Bytes(bytes),
            Self::Other => return None,
        })
    }
}

fn number(bytes: &[u8]) -> Value<'static> {
    // Longer ones are no whole numbers to MySQL but decimals.
    let digits = str::from_utf8(bytes).ok().filter(|text| text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).map_or(Value::Other, Value::Int)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::sql::SqlMode;

    #[test]
    fn values_are_read_as_mysql_reads_them() {
        let text = Text::new(br"1 'a\'b' NULL 1.5 ? TRUE 0x41 'h\xc3\xa9' ?", SqlMode::default());
        let bound = [Value::Int(7), Value::Null];
        let values = Values { text: &text, bound: Some(&bound), utf8: true };
        let read = |token| values.read(Slot { token, negative: false });
        assert_eq!((read(0), read(1)), (Some(Value::Int(1)), Some(Value::Text("a'b".into()))));
        assert_eq!((read(2), read(3)), (Some(Value::Null), Some(Value::Other)));
        assert_eq!((read(4), read(5), read(6)), (Some(Value::Int(7)), Some(Value::Int(1)), Some(Value::Other)));
        assert_eq!(read(8), Some(Value::Null));
        assert_eq!(values.read(Slot { token: 0, negative: true }), Some(Value::Int(-1)));
        let unbound = Values { bound: None, ..values };
        assert_eq!(unbound.read(Slot { token: 4, negative: false }), None);
    }
}
