//! JSON: MySQL's binary form to the text that `SELECT` prints.
//!
//! Containers carry offsets, so hostile bytes could point many entries at one value and grow without end: depth is bounded
//! as MySQL bounds it, and the text by a multiple of the binary form that no real document reaches.
//! Source: mysql-server/sql-common/json_binary.h (the format) and json_dom.cc (`wrapper_to_string`).

use super::cursor::{Cursor, Malformed, le};
use super::{decimal, number, temporal};

/// MySQL refuses deeper documents (JSON_DOCUMENT_MAX_DEPTH).
const MAX_DEPTH: usize = 100;
/// Text bytes per binary byte. The worst real ones are a control character in a string (`\u0001`, 6) and small inlined
/// integers (`-32768, ` in 3).
const MAX_GROWTH: usize = 16;

const SMALL_OBJECT: u8 = 0x00;
const LARGE_OBJECT: u8 = 0x01;
const SMALL_ARRAY: u8 = 0x02;
const LARGE_ARRAY: u8 = 0x03;
const LITERAL: u8 = 0x04;
const INT16: u8 = 0x05;
const UINT16: u8 = 0x06;
const INT32: u8 = 0x07;
const UINT32: u8 = 0x08;
const INT64: u8 = 0x09;
const UINT64: u8 = 0x0A;
const DOUBLE: u8 = 0x0B;
const STRING: u8 = 0x0C;
const OPAQUE: u8 = 0x0F;

const TYPE_TIMESTAMP: u8 = 7;
const TYPE_DATE: u8 = 10;
const TYPE_TIME: u8 = 11;
const TYPE_DATETIME: u8 = 12;
const TYPE_NEWDECIMAL: u8 = 246;

/// Appends the text of a JSON document. No bytes at all are the null that MySQL takes them for.
pub fn render(out: &mut Vec<u8>, raw: &[u8]) -> Result<(), Malformed> {
    let Some((&kind, data)) = raw.split_first() else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    let limit = raw.len().saturating_mul(MAX_GROWTH).saturating_add(out.len() + 64);
    Renderer { out, limit }.value(kind, data, 0)
}

struct Renderer<'o> {
    out: &'o mut Vec<u8>,
    limit: usize,
}

impl Renderer<'_> {
    fn value(&mut self, kind: u8, data: &[u8], depth: usize) -> Result<(), Malformed> {
        if self.out.len() > self.limit {
            return Err(Malformed("a JSON document refers to itself"));
        }
        let mut cursor = Cursor::new(data);
        match kind {
            SMALL_OBJECT => self.container(data, 2, true, depth)?,
            LARGE_OBJECT => self.container(data, 4, true, depth)?,
            SMALL_ARRAY => self.container(data, 2, false, depth)?,
            LARGE_ARRAY => self.container(data, 4, false, depth)?,
            LITERAL => self.out.extend_from_slice(match cursor.u8()? {
                0 => b"null",
                1 => b"true",
                2 => b"false",
                _ => return Err(Malformed("an unknown JSON literal")),
            }),
            INT16 => number::signed(self.out, i64::from(cursor.u16()? as i16)),
            UINT16 => number::unsigned(self.out, u64::from(cursor.u16()?)),
            INT32 => number::signed(self.out, i64::from(cursor.u32()? as i32)),
            UINT32 => number::unsigned(self.out, u64::from(cursor.u32()?)),
            INT64 => number::signed(self.out, cursor.u64()? as i64),
            UINT64 => number::unsigned(self.out, cursor.u64()?),
            DOUBLE => {
                if !number::json_double(self.out, f64::from_bits(cursor.u64()?)) {
                    return Err(Malformed("a JSON number is not finite"));
                }
            }
            STRING => {
                let len = variable_len(&mut cursor)?;
                self.string(cursor.take(len)?)?;
            }
            OPAQUE => {
                let field_type = cursor.u8()?;
                let len = variable_len(&mut cursor)?;
                self.opaque(field_type, cursor.take(len)?)?;
            }
            _ => return Err(Malformed("an unknown JSON type")),
        }
        Ok(())
    }

    /// An object or array whose counts and offsets are `width` bytes wide.
    fn container(&mut self, data: &[u8], width: usize, object: bool, depth: usize) -> Result<(), Malformed> {
        if depth >= MAX_DEPTH {
            return Err(Malformed("a JSON document is too deep"));
        }
        let mut head = Cursor::new(data);
        let count = head.uint(width)? as usize;
        let size = head.uint(width)? as usize;
        let data = data.get(..size).ok_or(Malformed("a JSON container is longer than its document"))?;
        let mut head = Cursor::new(data);
        head.take(2 * width)?;
        let key_table = if object { count.saturating_mul(width + 2) } else { 0 };
        let mut keys = Cursor::new(head.take(key_table)?);
        let mut values = Cursor::new(head.take(count.saturating_mul(width + 1))?);
        self.out.push(if object { b'{' } else { b'[' });
        for index in 0..count {
            if index > 0 {
                self.out.extend_from_slice(b", ");
            }
            if object {
                let offset = keys.uint(width)? as usize;
                let len = usize::from(keys.u16()?);
                let key = offset.checked_add(len).and_then(|end| data.get(offset..end));
                self.string(key.ok_or(Malformed("a JSON key lies outside its object"))?)?;
                self.out.extend_from_slice(b": ");
            }
            let kind = values.u8()?;
            let slot = values.take(width)?;
            let inlined = match kind {
                LITERAL | INT16 | UINT16 => true,
                INT32 | UINT32 => width == 4,
                _ => false,
            };
            let value = if inlined { Some(slot) } else { data.get(le(slot) as usize..) };
            self.value(kind, value.ok_or(Malformed("a JSON value lies outside its container"))?, depth + 1)?;
        }
        self.out.push(if object { b'}' } else { b']' });
        Ok(())
    }

    fn string(&mut self, text: &[u8]) -> Result<(), Malformed> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        if self.out.len() > self.limit {
            return Err(Malformed("a JSON document refers to itself"));
        }
        self.out.push(b'"');
        let mut rest = text;
        while let Some(at) = rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\') {
            let (plain, special) = rest.split_at(at);
            self.out.extend_from_slice(plain);
            let byte = special[0];
            match byte {
                b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', byte]),
                8 => self.out.extend_from_slice(b"\\b"),
                9 => self.out.extend_from_slice(b"\\t"),
                10 => self.out.extend_from_slice(b"\\n"),
                12 => self.out.extend_from_slice(b"\\f"),
                13 => self.out.extend_from_slice(b"\\r"),
                _ => {
                    let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                    self.out.extend_from_slice(b"\\u00");
                    self.out.extend_from_slice(&digits);
                }
            }
            rest = &special[1..];
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
        Ok(())
    }

    /// A value of an SQL type that JSON has no type for.
    fn opaque(&mut self, field_type: u8, data: &[u8]) -> Result<(), Malformed> {
        if field_type == TYPE_NEWDECIMAL {
            let [precision, scale, packed @ ..] = data else {
                return Err(Malformed("a JSON DECIMAL ends too early"));
            };
            return decimal::render(self.out, packed, *precision, *scale);
        }
        self.out.push(b'"');
        match (field_type, <[u8; 8]>::try_from(data)) {
            (TYPE_DATE, Ok(packed)) => temporal::packed_date(self.out, u64::from_le_bytes(packed))?,
            (TYPE_DATETIME | TYPE_TIMESTAMP, Ok(packed)) => {
                temporal::packed_datetime(self.out, u64::from_le_bytes(packed), 6)?;
            }
            (TYPE_TIME, Ok(packed)) => temporal::packed_time(self.out, i64::from_le_bytes(packed), 6)?,
            (TYPE_DATE | TYPE_DATETIME | TYPE_TIMESTAMP | TYPE_TIME, Err(_)) => {
                return Err(Malformed("a JSON date or time of the wrong length"));
            }
            _ => {
                self.out.extend_from_slice(b"base64:type");
                number::unsigned(self.out, u64::from(field_type));
                self.out.push(b':');
                base64(self.out, data);
            }
        }
        self.out.push(b'"');
        Ok(())
    }
}

/// A length in groups of seven bits, the lowest first.
fn variable_len(cursor: &mut Cursor<'_>) -> Result<usize, Malformed> {
    let mut len = 0u64;
    for shift in (0..35).step_by(7) {
        let byte = cursor.u8()?;
        len |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(len).map_err(|_| Malformed("a JSON length is too large"));
        }
    }
    Err(Malformed("a JSON length is too large"))
}

/// MySQL breaks base64 after 76 characters, and the line feed is escaped in the string.
fn base64(out: &mut Vec<u8>, data: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const GROUPS_PER_LINE: usize = 76 / 4;
    for (index, group) in data.chunks(3).enumerate() {
        if index > 0 && index % GROUPS_PER_LINE == 0 {
            out.extend_from_slice(b"\\n");
        }
        let mut bytes = [0u8; 3];
        bytes[..group.len()].copy_from_slice(group);
        let [a, b, c] = bytes.map(usize::from);
        let digits = [a >> 2, (a & 3) << 4 | b >> 4, (b & 15) << 2 | c >> 6, c & 63];
        for (place, digit) in digits.into_iter().enumerate() {
            out.push(if place <= group.len() { ALPHABET[digit] } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(raw: &[u8]) -> Result<String, Malformed> {
        let mut out = Vec::new();
        render(&mut out, raw).map(|()| String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn scalars_and_containers() {
        assert_eq!(shown(&[]).unwrap(), "null");
        assert_eq!(shown(&[STRING, 3, b'a', b'"', 1]).unwrap(), r#""a\"\u0001""#);
        // {"a": [true, -2]}
        let raw =
            [0, 1, 0, 22, 0, 11, 0, 1, 0, SMALL_ARRAY, 12, 0, b'a', 2, 0, 10, 0, LITERAL, 1, 0, INT16, 0xFE, 0xFF];
        assert_eq!(shown(&raw).unwrap(), r#"{"a": [true, -2]}"#);
        let mut one = vec![DOUBLE];
        one.extend_from_slice(&1f64.to_le_bytes());
        assert_eq!(shown(&one).unwrap(), "1.0");
    }

    #[test]
    fn a_document_that_refers_to_itself_is_refused() {
        // An array whose elements are all the array itself.
        let mut raw = vec![SMALL_ARRAY, 20, 0, 64, 0];
        raw.extend([SMALL_ARRAY, 0, 0].repeat(20));
        assert!(shown(&raw).is_err());
        // 60 nested arrays of many twins each would print 4^60 values.
        let mut raw = vec![SMALL_ARRAY];
        for level in 0..60u16 {
            let start = 16 * level;
            raw.extend([4, 0]);
            raw.extend((960u16 + 4 - start).to_le_bytes());
            raw.extend([SMALL_ARRAY, 16, 0].repeat(4));
        }
        raw.extend([0, 0, 4, 0]);
        assert_eq!(shown(&raw), Err(Malformed("a JSON document refers to itself")));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut raw in prop::collection::vec(any::<u8>(), 0..200), kind in 0u8..16) {
            if let Some(first) = raw.first_mut() {
                *first = kind;
            }
            let _ = shown(&raw);
        }
    }
}
