//! From a column's value to what vindexes are computed from: the one place where this is decided, for rows that are
//! copied, rows from the binlog, and statements.
//!
//! The first two come in the canonical form of [`ColumnKind`], and [`KeyType::stored`] takes that; a value in a statement
//! is first turned into what the server would store ([`KeyType::literal`]). Vitess hashes what its own connection shows:
//! text in utf8mb4, CHAR without its padding, BINARY with it.
//!
//! Invariant: a value has the same keyspace id whichever way it came. What cannot be promised that for is refused by the
//! column's type, before any row is read.

mod charset;
mod literal;

use std::borrow::Cow;

pub use self::charset::Charset;
pub use self::literal::{Literal, Purpose, Unroutable};
use super::vindex::{Function, KeyValue};
use crate::model::ColumnKind;

/// A type of column that rows can be sharded by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyType {
    /// TINYINT … BIGINT.
    Int {
        /// The least value.
        min: i64,
        /// The greatest.
        max: u64,
    },
    /// YEAR.
    Year,
    /// DATE.
    Date,
    /// CHAR, VARCHAR and the TEXT types.
    Text {
        /// The column's character set.
        charset: Charset,
        /// Whether values that compare as equal are always the same bytes.
        exact: bool,
        /// What statements need to know to tell what the server will store; not needed for rows that are stored already.
        declared: Option<DeclaredText>,
    },
    /// BINARY, VARBINARY and the BLOB types.
    Binary {
        /// For BINARY(n) its length in bytes.
        fixed: Option<u32>,
    },
}

/// How a text column is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclaredText {
    /// CHAR: trailing spaces are not kept.
    pub char: bool,
    /// The most characters a value has.
    pub max_chars: u64,
}

/// A type of column that rows cannot be sharded by, or not with a certain vindex.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RefusedType(pub String);

/// A stored value that its column's type cannot have: the row's bytes are not those of this column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value is not one its column's type can have: {0}")]
pub struct Misfit(pub &'static str);

impl KeyType {
    /// The type of a column as the data path has it.
    pub fn of(kind: &ColumnKind) -> Result<Self, RefusedType> {
        let refuse = |what: &str, why: &str| Err(RefusedType(format!("rows cannot be sharded by {what}: {why}")));
        match kind {
            ColumnKind::Int { width, unsigned } => {
                let bits = 8 * u32::from((*width).clamp(1, 8));
                Ok(match unsigned {
                    true => Self::Int { min: 0, max: u64::MAX >> (64 - bits) },
                    false => Self::Int { min: i64::MIN >> (64 - bits), max: (i64::MAX >> (64 - bits)) as u64 },
                })
            }
            ColumnKind::Year => Ok(Self::Year),
            ColumnKind::Date => Ok(Self::Date),
            ColumnKind::Text { charset, collation } => {
                let exact = kind.compares_as_bytes();
                match Charset::named(charset) {
                    Some(charset) => Ok(Self::Text { charset, exact, declared: None }),
                    None => {
                        let why = format!("only {} can be converted exactly", Charset::NAMES.join(", "));
                        refuse(&format!("text in character set {charset} (collation {collation})"), &why)
                    }
                }
            }
            ColumnKind::Binary { fixed } => Ok(Self::Binary { fixed: *fixed }),
            ColumnKind::Timestamp => refuse("TIMESTAMP", "its text depends on the session's time zone"),
            ColumnKind::Datetime => refuse("DATETIME", "one value has many spellings in statements"),
            ColumnKind::Time => refuse("TIME", "one value has many spellings in statements"),
            ColumnKind::Decimal => refuse("DECIMAL", "one value has many spellings in statements"),
            ColumnKind::Float | ColumnKind::Double => refuse("FLOAT and DOUBLE", "their text is not exact"),
            ColumnKind::Bit => refuse("BIT", "it is a number in statements and bytes in results"),
            ColumnKind::Enum => refuse("ENUM", "its number depends on the table's definition"),
            ColumnKind::Set => refuse("SET", "its number depends on the table's definition"),
            ColumnKind::Json => refuse("JSON", "one value has many texts"),
            ColumnKind::Geometry => refuse("spatial types", "one value has many texts"),
            ColumnKind::Vector => refuse("VECTOR", "its text is not exact"),
        }
    }

    /// The same, knowing how a text column is declared: its `DATA_TYPE` in information_schema, and its
    /// `CHARACTER_MAXIMUM_LENGTH`.
    pub fn declared(self, data_type: &str, max_chars: u64) -> Self {
        match self {
            Self::Text { charset, exact, .. } => {
                let declared = DeclaredText { char: data_type.eq_ignore_ascii_case("char"), max_chars };
                Self::Text { charset, exact, declared: Some(declared) }
            }
            other => other,
        }
    }

    /// Whether a vindex's function takes values of this type.
    pub fn check(&self, function: &Function) -> Result<(), RefusedType> {
        let refuse =
            |why: &str| Err(RefusedType(format!("vindex type `{}` cannot be over {self}: {why}", function.name())));
        match (function, self) {
            (
                Function::Hash | Function::Numeric | Function::ReverseBits | Function::NumericStaticMap(_),
                Self::Int { .. } | Self::Year,
            ) => Ok(()),
            (Function::Hash | Function::Numeric | Function::ReverseBits | Function::NumericStaticMap(_), _) => {
                refuse("it takes whole numbers")
            }
            (Function::UnicodeLooseMd5 | Function::UnicodeLooseXxhash, Self::Binary { .. }) => {
                refuse("it takes text, and these bytes may be anything")
            }
            _ => Ok(()),
        }
    }

    /// Why values that MySQL takes for equal may have different keyspace ids under this function, if so. A statement that
    /// looks for one of them by `=` or IN must then ask every shard; rows that MySQL would refuse as duplicates are not
    /// noticed where they are on different shards.
    pub fn equals_elsewhere(&self, function: &Function) -> Option<&'static str> {
        match (function, self) {
            (Function::Null, _) | (_, Self::Text { exact: true, .. }) => None,
            (Function::UnicodeLooseMd5 | Function::UnicodeLooseXxhash, Self::Text { .. }) => {
                Some("the collation is not the one the vindex knows (CLDR 23), and takes other characters for equal")
            }
            (_, Self::Text { .. }) => Some("the collation takes texts for equal that are not the same bytes"),
            _ => None,
        }
    }

    /// A value as it is stored: the canonical bytes of [`ColumnKind`], `None` for NULL.
    pub fn stored<'a>(&self, value: Option<&'a [u8]>) -> Result<KeyValue<'a>, Misfit> {
        let Some(bytes) = value else { return Ok(KeyValue::Null) };
        match self {
            Self::Int { .. } | Self::Year => {
                let number = str::from_utf8(bytes).ok().and_then(|digits| digits.parse::<i128>().ok());
                let value =
                    number.filter(|number| self.holds(*number)).ok_or(Misfit("it is no number in its range"))?;
                Ok(KeyValue::Int { value, digits: Cow::Borrowed(bytes) })
            }
            Self::Text { charset, .. } => charset.to_utf8(bytes).map(KeyValue::Bytes).ok_or(Misfit("it is not ASCII")),
            Self::Date => Ok(KeyValue::Bytes(Cow::Borrowed(bytes))),
            Self::Binary { fixed } => match fixed {
                Some(length) if bytes.len() != *length as usize => Err(Misfit("it lacks its padding")),
                _ => Ok(KeyValue::Bytes(Cow::Borrowed(bytes))),
            },
        }
    }

    /// Whether a number is in range.
    fn holds(&self, number: i128) -> bool {
        match self {
            Self::Int { min, max } => (i128::from(*min)..=i128::from(*max)).contains(&number),
            Self::Year => number == 0 || (1901..=2155).contains(&number),
            _ => false,
        }
    }
}

impl std::fmt::Display for KeyType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Int { .. } => "an integer",
            Self::Year => "YEAR",
            Self::Date => "DATE",
            Self::Text { .. } => "text",
            Self::Binary { .. } => "binary strings",
        })
    }
}

#[cfg(test)]
mod tests;
