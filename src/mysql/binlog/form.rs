//! How a column's values stand in a row image, and their canonical text.
//!
//! A [`Form`] comes from the table map, which describes the very bytes that follow, never from the table's definition; the
//! only thing the map may leave out is the sign of an integer. [`Form::value`] finds a value, [`Form::render`] writes its text.

use super::cursor::{Cursor, Malformed, le};
use super::{decimal, json, number, temporal};

/// MySQL's column types as the binlog numbers them (`enum_field_types`).
pub mod types {
    #![allow(missing_docs, reason = "the names are MySQL's own")]
    pub const TINY: u8 = 1;
    pub const SHORT: u8 = 2;
    pub const LONG: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DOUBLE: u8 = 5;
    pub const LONGLONG: u8 = 8;
    pub const INT24: u8 = 9;
    pub const DATE: u8 = 10;
    pub const YEAR: u8 = 13;
    pub const VARCHAR: u8 = 15;
    pub const BIT: u8 = 16;
    pub const TIMESTAMP2: u8 = 17;
    pub const DATETIME2: u8 = 18;
    pub const TIME2: u8 = 19;
    pub const VECTOR: u8 = 242;
    pub const JSON: u8 = 245;
    pub const NEWDECIMAL: u8 = 246;
    pub const ENUM: u8 = 247;
    pub const SET: u8 = 248;
    pub const BLOB: u8 = 252;
    pub const STRING: u8 = 254;
    pub const GEOMETRY: u8 = 255;
}

/// How a value stands in a row image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An integer of `width` bytes.
    Int {
        /// 1, 2, 3, 4 or 8.
        width: u8,
        /// Whether the top bit is a digit.
        unsigned: bool,
    },
    /// A 32-bit float.
    Float,
    /// A 64-bit float.
    Double,
    /// A packed DECIMAL.
    Decimal {
        /// All its digits.
        precision: u8,
        /// Those after the point.
        scale: u8,
        /// The bytes they take.
        len: u8,
    },
    /// One byte.
    Year,
    /// Three bytes.
    Date,
    /// TIME2 with so many digits of fraction.
    Time(u8),
    /// DATETIME2 with so many digits of fraction.
    Datetime(u8),
    /// TIMESTAMP2 with so many digits of fraction.
    Timestamp(u8),
    /// BIT in so many bytes.
    Bit(u8),
    /// ENUM in 1 or 2 bytes.
    Enum(u8),
    /// SET in 1 to 8 bytes.
    Set(u8),
    /// Bytes behind a length of `prefix` bytes: character and binary strings, spatial values, vectors.
    Bytes {
        /// 1 to 4.
        prefix: u8,
        /// For BINARY(n) the length to pad to with zeros, else 0.
        pad: u16,
    },
    /// Binary JSON behind a length of so many bytes.
    Json(u8),
}

impl Form {
    /// The next value of a row image, without its length.
    #[inline]
    pub fn value<'a>(&self, image: &mut Cursor<'a>) -> Result<&'a [u8], Malformed> {
        let len = match *self {
            Form::Int { width, .. } => usize::from(width),
            Form::Bytes { prefix, .. } | Form::Json(prefix) => image.uint(usize::from(prefix))? as usize,
            Form::Decimal { len, .. } => usize::from(len),
            Form::Float => 4,
            Form::Double => 8,
            Form::Year => 1,
            Form::Date => 3,
            Form::Time(fsp) => 3 + temporal::fraction_len(fsp),
            Form::Datetime(fsp) => 5 + temporal::fraction_len(fsp),
            Form::Timestamp(fsp) => 4 + temporal::fraction_len(fsp),
            Form::Bit(len) | Form::Enum(len) | Form::Set(len) => usize::from(len),
        };
        image.take(len)
    }

    /// About how many bytes the text of `raw` takes.
    #[inline]
    pub fn room(&self, raw: &[u8]) -> usize {
        match *self {
            Form::Bytes { pad, .. } => raw.len().max(usize::from(pad)),
            Form::Json(_) => raw.len() + raw.len() / 8,
            Form::Int { width, .. } => [0, 4, 6, 8, 11, 0, 0, 0, 20][usize::from(width.min(8))],
            Form::Decimal { precision, .. } => usize::from(precision) + 3,
            _ => 26,
        }
    }

    /// Appends the canonical text of `raw` (see `model::ColumnKind`).
    #[inline]
    pub fn render(&self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        match *self {
            Form::Bytes { pad, .. } => {
                out.extend_from_slice(raw);
                let missing = usize::from(pad).saturating_sub(raw.len());
                out.resize(out.len() + missing, 0);
            }
            Form::Int { unsigned: true, .. } | Form::Enum(_) | Form::Set(_) => number::unsigned(out, le(raw)),
            Form::Int { width, unsigned: false } => {
                let unused = 64 - 8 * u32::from(width.clamp(1, 8));
                number::signed(out, (le(raw) << unused) as i64 >> unused);
            }
            Form::Float => float(out, f64::from(f32::from_bits(le(raw) as u32)))?,
            Form::Double => float(out, f64::from_bits(le(raw)))?,
            Form::Decimal { precision, scale, .. } => decimal::render(out, raw, precision, scale)?,
            Form::Year => temporal::year(out, raw)?,
            Form::Date => temporal::date(out, raw)?,
            Form::Time(fsp) => temporal::time(out, raw, fsp)?,
            Form::Datetime(fsp) => temporal::datetime(out, raw, fsp)?,
            Form::Timestamp(fsp) => temporal::timestamp(out, raw, fsp)?,
            Form::Bit(_) => out.extend_from_slice(raw),
            Form::Json(_) => json::render(out, raw)?,
        }
        Ok(())
    }

    /// The form that a type code and its metadata stand for, integers taken as signed; `None` where we know no such form.
    pub fn of(code: u8, metadata: u16) -> Option<Form> {
        let [low, high] = metadata.to_le_bytes();
        let int = |width| Some(Form::Int { width, unsigned: false });
        let fsp = u8::try_from(metadata).ok().filter(|fsp| *fsp <= 6);
        let prefix = u8::try_from(metadata).ok().filter(|prefix| (1..=4).contains(prefix));
        match code {
            types::TINY => int(1),
            types::SHORT => int(2),
            types::INT24 => int(3),
            types::LONG => int(4),
            types::LONGLONG => int(8),
            types::FLOAT => (metadata == 4).then_some(Form::Float),
            types::DOUBLE => (metadata == 8).then_some(Form::Double),
            types::YEAR => Some(Form::Year),
            types::DATE => Some(Form::Date),
            types::TIME2 => fsp.map(Form::Time),
            types::DATETIME2 => fsp.map(Form::Datetime),
            types::TIMESTAMP2 => fsp.map(Form::Timestamp),
            types::NEWDECIMAL => {
                let len = decimal::binary_len(low, high)?;
                Some(Form::Decimal { precision: low, scale: high, len: u8::try_from(len).ok()? })
            }
            types::BIT => {
                let len = high.checked_add(u8::from(low > 0))?;
                (low < 8 && len <= 8).then_some(Form::Bit(len))
            }
            types::VARCHAR => Some(Form::Bytes { prefix: if metadata > 255 { 2 } else { 1 }, pad: 0 }),
            types::BLOB | types::GEOMETRY | types::VECTOR => prefix.map(|prefix| Form::Bytes { prefix, pad: 0 }),
            types::JSON => prefix.map(Form::Json),
            types::ENUM => (1..=2).contains(&high).then_some(Form::Enum(high)),
            types::SET => (1..=8).contains(&high).then_some(Form::Set(high)),
            types::STRING => Some(Form::Bytes { prefix: if char_len(metadata) > 255 { 2 } else { 1 }, pad: 0 }),
            _ => None,
        }
    }
}

/// CHAR, BINARY, ENUM and SET all have type STRING in a table map; the first metadata byte tells which, and holds the two top
/// bits of a length over 255 in inverted bits. Returns the real type.
pub fn real_type(metadata: u16) -> u8 {
    let [low, _] = metadata.to_le_bytes();
    if low & 0x30 == 0x30 { low } else { low | 0x30 }
}

/// The most bytes a CHAR or BINARY value takes, from the metadata of type STRING.
pub fn char_len(metadata: u16) -> u16 {
    let [low, high] = metadata.to_le_bytes();
    u16::from((low & 0x30) ^ 0x30) << 4 | u16::from(high)
}

fn float(out: &mut Vec<u8>, value: f64) -> Result<(), Malformed> {
    if number::double(out, value) { Ok(()) } else { Err(Malformed("a FLOAT or DOUBLE is not finite")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(form: Form, raw: &[u8]) -> String {
        let mut out = Vec::new();
        form.render(raw, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn signs_at_every_width() {
        assert_eq!(text(Form::Int { width: 3, unsigned: false }, &[0xFF; 3]), "-1");
        assert_eq!(text(Form::Int { width: 3, unsigned: true }, &[0xFF; 3]), "16777215");
        assert_eq!(text(Form::Int { width: 1, unsigned: false }, &[0x80]), "-128");
        assert_eq!(text(Form::Int { width: 8, unsigned: false }, &i64::MIN.to_le_bytes()), i64::MIN.to_string());
        assert_eq!(text(Form::Enum(1), &[200]), "200");
        assert_eq!(text(Form::Set(8), &[0xFF; 8]), u64::MAX.to_string());
    }

    #[test]
    fn long_char_lengths_hide_in_the_type() {
        // CHAR(255) utf8mb4: 1020 bytes, so 0xFE ^ 0x30 and 0xFC.
        let metadata = u16::from_le_bytes([0xCE, 0xFC]);
        assert_eq!((real_type(metadata), char_len(metadata)), (types::STRING, 1020));
        assert_eq!(Form::of(types::STRING, metadata), Some(Form::Bytes { prefix: 2, pad: 0 }));
        let short = u16::from_le_bytes([0xFE, 40]);
        assert_eq!((real_type(short), char_len(short)), (types::STRING, 40));
        assert_eq!(real_type(u16::from_le_bytes([types::ENUM, 1])), types::ENUM);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(code in any::<u8>(), metadata in any::<u16>(), image in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(form) = Form::of(code, metadata) {
                let mut cursor = Cursor::new(&image);
                if let Ok(raw) = form.value(&mut cursor) {
                    let _ = form.render(raw, &mut Vec::new());
                }
            }
        }
    }
}
