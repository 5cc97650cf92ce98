//! Values in statements: what the server would store for them, or look for.

use std::borrow::Cow;

use super::{DeclaredText, KeyType};
use crate::sharding::vindex::KeyValue;

/// A value in a statement: a literal, or what was bound to a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literal<'a> {
    /// NULL.
    Null,
    /// A whole number.
    Int(i128),
    /// Text in UTF-8, without its quotes and escapes.
    Text(&'a str),
    /// Bytes without a character set: `X'…'`, `_binary '…'`, a parameter bound as BLOB.
    Bytes(&'a [u8]),
}

/// What a statement does with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Writes it into the column.
    Store,
    /// Looks for rows whose column equals it (`=`, IN).
    Compare,
}

/// Why it cannot be told where a value's rows are. A statement that looks for it must ask every shard; one that stores it
/// must be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unroutable(pub &'static str);

const SPELLING: Unroutable = Unroutable("the value is not written as the column's type is; its rows cannot be told");
const RANGE: Unroutable = Unroutable("the value is out of the column's range");
/// Whole numbers up to here are the same as doubles.
const EXACT: i128 = 1 << 53;

impl KeyType {
    /// The value of a column for which a statement has `literal`. For text the column's declaration must be known
    /// ([`KeyType::declared`]).
    pub fn literal<'a>(&self, literal: Literal<'a>, purpose: Purpose) -> Result<KeyValue<'a>, Unroutable> {
        match (self, literal) {
            (_, Literal::Null) => Ok(KeyValue::Null),
            (Self::Int { .. }, Literal::Int(number)) => self.number(number),
            (Self::Int { .. }, Literal::Text(text)) => {
                let number = canonical(text).ok_or(SPELLING)?;
                // Beyond, the server may compare as doubles.
                if purpose == Purpose::Compare && number.abs() > EXACT { Err(SPELLING) } else { self.number(number) }
            }
            // 70 is 1970, '0' is 2000, and 0 is neither.
            (Self::Year, Literal::Int(year)) if year > 99 => self.number(year),
            (Self::Year, Literal::Text(text)) if text.len() == 4 => {
                self.number(canonical(text).filter(|year| *year > 99).ok_or(SPELLING)?)
            }
            (Self::Date, Literal::Text(text)) if is_date(text) => Ok(KeyValue::Bytes(Cow::Borrowed(text.as_bytes()))),
            (Self::Text { charset, declared, .. }, Literal::Text(text)) => {
                let declared = declared.ok_or(Unroutable("the column's declaration is not known"))?;
                if !charset.holds(text) {
                    return Err(Unroutable("the column's character set does not have all of the value's characters"));
                }
                kept(text, declared, purpose).map(|text| KeyValue::Bytes(Cow::Borrowed(text.as_bytes())))
            }
            (Self::Text { .. }, Literal::Int(number)) if purpose == Purpose::Store => {
                self.literal(Literal::Text(&number.to_string()), purpose).map(owned)
            }
            (Self::Binary { fixed }, Literal::Text(text)) => pad(text.as_bytes(), *fixed),
            (Self::Binary { fixed }, Literal::Bytes(bytes)) => pad(bytes, *fixed),
            (Self::Binary { fixed }, Literal::Int(number)) if purpose == Purpose::Store => {
                pad(number.to_string().as_bytes(), *fixed).map(owned)
            }
            _ => Err(SPELLING),
        }
    }

    fn number(&self, number: i128) -> Result<KeyValue<'static>, Unroutable> {
        if self.holds(number) { Ok(KeyValue::int(number)) } else { Err(RANGE) }
    }
}

fn owned(value: KeyValue<'_>) -> KeyValue<'static> {
    match value {
        KeyValue::Null => KeyValue::Null,
        KeyValue::Int { value, digits } => KeyValue::Int { value, digits: Cow::Owned(digits.into_owned()) },
        KeyValue::Bytes(bytes) => KeyValue::Bytes(Cow::Owned(bytes.into_owned())),
    }
}

/// A whole number written as MySQL prints it.
fn canonical(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == text || !digits.starts_with('0'));
    let short = (1..=20).contains(&digits.len()) && (digits.len() == 1 || !digits.starts_with('0'));
    text.parse().ok().filter(|_| plain && short)
}

/// A date written as MySQL prints it.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shape = bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let part = |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<u32>().ok());
    let (Some(year), Some(month), Some(day), true) = (part(0..4), part(5..7), part(8..10), shape) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// What is kept of a text. CHAR loses its trailing spaces, and every type those that are too many for it.
fn kept(text: &str, declared: DeclaredText, purpose: Purpose) -> Result<&str, Unroutable> {
    let trimmed = text.trim_end_matches(' ');
    if declared.char {
        return if chars(trimmed) > declared.max_chars { Err(RANGE) } else { Ok(trimmed) };
    }
    if chars(text) <= declared.max_chars {
        return Ok(text);
    }
    let fits = text.char_indices().nth(usize::try_from(declared.max_chars).unwrap_or(usize::MAX));
    match fits.and_then(|(end, _)| text.get(..end)) {
        Some(fits) if purpose == Purpose::Store && chars(trimmed) <= declared.max_chars => Ok(fits),
        _ => Err(RANGE),
    }
}

fn chars(text: &str) -> u64 {
    text.chars().count() as u64
}

/// Bytes as a binary column keeps them.
fn pad(bytes: &[u8], fixed: Option<u32>) -> Result<KeyValue<'_>, Unroutable> {
    match fixed.map(|length| length as usize) {
        Some(length) if bytes.len() > length => Err(RANGE),
        Some(length) if bytes.len() < length => {
            let mut padded = bytes.to_vec();
            padded.resize(length, 0);
            Ok(KeyValue::Bytes(Cow::Owned(padded)))
        }
        _ => Ok(KeyValue::Bytes(Cow::Borrowed(bytes))),
    }
}
