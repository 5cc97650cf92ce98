//! What vindexes are computed from.

use std::borrow::Cow;

/// A value of a sharding column, in the one form it has wherever it comes from. Made by
/// [`KeyType`](crate::sharding::KeyType).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyValue<'a> {
    /// NULL.
    Null,
    /// A whole number, with the decimal digits MySQL prints for it.
    Int {
        /// The number.
        value: i128,
        /// Its text.
        digits: Cow<'a, [u8]>,
    },
    /// Bytes; of text in UTF-8.
    Bytes(Cow<'a, [u8]>),
}

impl KeyValue<'_> {
    /// A number.
    pub fn int(value: i128) -> KeyValue<'static> {
        KeyValue::Int { value, digits: Cow::Owned(value.to_string().into_bytes()) }
    }

    /// The bytes of its text; none for NULL, as in Vitess.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Null => &[],
            Self::Int { digits, .. } => digits,
            Self::Bytes(bytes) => bytes,
        }
    }
}
