//! The values in COM_STMT_EXECUTE: read to find rows by, and packed anew for a text that has fewer of them. Pure.

use std::borrow::Cow;
use std::ops::Range;

use mysql_common::constants::ColumnType;

use crate::gateway::client::packets;
use crate::gateway::plan::Value;
use crate::mysql::wire::reply::lenenc;

/// Bytes of the iteration count.
const ITERATIONS: usize = 4;
/// Set in the flags of an execution that says how many parameters it has.
const COUNT_AVAILABLE: u8 = 0x08;
/// In the second byte of a type: the number has no sign.
const UNSIGNED: u8 = 0x80;

/// Parameters as they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters<'a> {
    body: Cow<'a, [u8]>,
    list: Vec<Parameter>,
    attributes: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parameter {
    kind: [u8; 2],
    /// `None` is NULL.
    value: Option<Range<usize>>,
    /// What stands in the packet for it, its length included.
    whole: Range<usize>,
}

impl<'a> Parameters<'a> {
    /// Reads `body`, the packet after its flags, with its types in it. `None` if it is not what it says.
    pub fn read(body: Cow<'a, [u8]>, flags: u8, parameters: u16, attributes: bool) -> Option<Self> {
        let (mut at, mut count) = (ITERATIONS, usize::from(parameters));
        if attributes && flags & COUNT_AVAILABLE != 0 {
            let (told, after) = body.get(at..).and_then(lenenc)?;
            (count, at) = (usize::try_from(told).ok()?, body.len() - after.len());
        }
        if count == 0 {
            return Some(Self { body, list: Vec::new(), attributes });
        }
        let nulls = at..at + count.div_ceil(8);
        at = nulls.end;
        if body.get(at) != Some(&1) {
            return None;
        }
        at += 1;
        let mut kinds = Vec::with_capacity(count.min(body.len()));
        for _ in 0..count {
            kinds.push(*body.get(at..)?.first_chunk::<2>()?);
            at += 2;
            if attributes {
                let (length, after) = body.get(at..).and_then(lenenc)?;
                at = body.len() - after.len() + usize::try_from(length).ok()?;
            }
        }
        let mut list = Vec::with_capacity(kinds.len());
        for (number, kind) in kinds.into_iter().enumerate() {
            let null = body.get(nulls.start + number / 8)? & (1 << (number % 8)) != 0;
            let (value, whole) = if null || kind[0] == ColumnType::MYSQL_TYPE_NULL as u8 {
                (None, at..at)
            } else {
                let value = place(&body, at, kind[0])?;
                (Some(value.clone()), at..value.end)
            };
            at = whole.end;
            list.push(Parameter { kind, value, whole });
        }
        list.truncate(usize::from(parameters));
        Some(Self { body, list, attributes })
    }

    /// The values, in order.
    pub fn values(&self) -> Vec<Value<'static>> {
        self.list.iter().map(|parameter| self.value(parameter)).collect()
    }

    fn value(&self, parameter: &Parameter) -> Value<'static> {
        use ColumnType as T;
        let Some(bytes) = parameter.value.clone().and_then(|range| self.body.get(range)) else { return Value::Null };
        let Ok(kind) = T::try_from(parameter.kind[0]) else { return Value::Other };
        let signed = parameter.kind[1] & UNSIGNED == 0;
        match kind {
            T::MYSQL_TYPE_TINY
            | T::MYSQL_TYPE_SHORT
            | T::MYSQL_TYPE_YEAR
            | T::MYSQL_TYPE_INT24
            | T::MYSQL_TYPE_LONG
            | T::MYSQL_TYPE_LONGLONG => {
                let negative = signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
                let mut wide = [if negative { 0xFF } else { 0 }; 8];
                let Some(low) = wide.get_mut(..bytes.len()) else { return Value::Other };
                low.copy_from_slice(bytes);
                Value::Int(if signed { i64::from_le_bytes(wide).into() } else { u64::from_le_bytes(wide).into() })
            }
            T::MYSQL_TYPE_VARCHAR | T::MYSQL_TYPE_VAR_STRING | T::MYSQL_TYPE_STRING => match str::from_utf8(bytes) {
                Ok(text) => Value::Text(Cow::Owned(text.to_owned())),
                Err(_) => Value::Other,
            },
            T::MYSQL_TYPE_TINY_BLOB | T::MYSQL_TYPE_MEDIUM_BLOB | T::MYSQL_TYPE_LONG_BLOB | T::MYSQL_TYPE_BLOB => {
                Value::Bytes(Cow::Owned(bytes.to_vec()))
            }
            T::MYSQL_TYPE_DECIMAL | T::MYSQL_TYPE_NEWDECIMAL => {
                let whole =
                    str::from_utf8(bytes).ok().filter(|text| text.len() < 20).and_then(|text| text.parse().ok());
                whole.map_or(Value::Other, Value::Int)
            }
            T::MYSQL_TYPE_DATE if bytes.len() == 4 => {
                let year = u16::from_le_bytes([bytes[0], bytes[1]]);
                Value::Text(Cow::Owned(format!("{year:04}-{:02}-{:02}", bytes[2], bytes[3])))
            }
            _ => Value::Other,
        }
    }

    /// The body with only these of them.
    pub fn only(&self, kept: &[usize], flags: u8) -> Vec<u8> {
        let kept: Vec<&Parameter> = kept.iter().filter_map(|number| self.list.get(*number)).collect();
        let mut out = self.body.get(..ITERATIONS).unwrap_or(&[1, 0, 0, 0]).to_vec();
        if self.attributes && flags & COUNT_AVAILABLE != 0 {
            packets::lenenc(&mut out, kept.len() as u64);
        }
        if kept.is_empty() {
            return out;
        }
        let nulls = out.len();
        out.resize(nulls + kept.len().div_ceil(8), 0);
        out.push(1);
        for (number, parameter) in kept.iter().enumerate() {
            if let (None, Some(byte)) = (&parameter.value, out.get_mut(nulls + number / 8)) {
                *byte |= 1 << (number % 8);
            }
            out.extend_from_slice(&parameter.kind);
            if self.attributes {
                // Without a name.
                out.push(0);
            }
        }
        for parameter in kept {
            out.extend_from_slice(self.body.get(parameter.whole.clone()).unwrap_or_default());
        }
        out
    }
}

/// Where a value of a type is that begins at `at`, without the length before it.
fn place(body: &[u8], at: usize, kind: u8) -> Option<Range<usize>> {
    use ColumnType as T;
    let fixed = match T::try_from(kind).ok()? {
        T::MYSQL_TYPE_TINY => Some(1),
        T::MYSQL_TYPE_SHORT | T::MYSQL_TYPE_YEAR => Some(2),
        T::MYSQL_TYPE_LONG | T::MYSQL_TYPE_INT24 | T::MYSQL_TYPE_FLOAT => Some(4),
        T::MYSQL_TYPE_LONGLONG | T::MYSQL_TYPE_DOUBLE => Some(8),
        _ => None,
    };
    let (start, length) = match fixed {
        Some(length) => (at, length),
        None => {
            let (length, after) = body.get(at..).and_then(lenenc)?;
            (body.len() - after.len(), usize::try_from(length).ok()?)
        }
    };
    let range = start..start.checked_add(length)?;
    (range.end <= body.len()).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // Three parameters: BIGINT -2, NULL, a text.
    const BODY: &[u8] = b"\x01\0\0\0\x02\x01\x08\x00\x06\x00\xfd\x00\xfe\xff\xff\xff\xff\xff\xff\xff\x02ab";

    #[test]
    fn values_are_read_and_packed_anew() {
        let read = Parameters::read(BODY.into(), 0, 3, false).unwrap();
        assert_eq!(read.values(), [Value::Int(-2), Value::Null, Value::Text("ab".into())]);
        assert_eq!(read.only(&[0, 1, 2], 0), BODY);
        assert_eq!(read.only(&[1, 2], 0), b"\x01\0\0\0\x01\x01\x06\x00\xfd\x00\x02ab");
        assert_eq!(read.only(&[], 0), b"\x01\0\0\0");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(flags: u8, body in prop::collection::vec(any::<u8>(), 0..60), parameters in 0u16..9, attributes: bool) {
            if let Some(read) = Parameters::read(body.into(), flags, parameters, attributes) {
                let _ = (read.values(), read.only(&[0, 2], flags));
            }
        }
    }
}
