//! Vindexes of one column.

use des::Des;
use des::cipher::{BlockEncrypt, KeyInit};
use md5::{Digest, Md5};
use twox_hash::XxHash64;

use super::static_map::StaticMap;
use super::unicode::weigh;
use super::{KeyValue, LOOKUPS, MapError, OTHERS, Params, VindexError};

/// A vindex of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Function {
    /// DES of the number's 64 bits, big-endian, under a key of zeros.
    Hash,
    /// XXH64 of the text, little-endian.
    Xxhash,
    /// The number's 64 bits, big-endian.
    Numeric,
    /// The number's bits in reverse, big-endian.
    ReverseBits,
    /// The bytes themselves.
    Binary,
    /// MD5 of the bytes.
    BinaryMd5,
    /// MD5 of the collation weights.
    UnicodeLooseMd5,
    /// XXH64 of the collation weights, little-endian.
    UnicodeLooseXxhash,
    /// One zero byte, whatever the value.
    Null,
    /// A table of numbers, and another function for those not in it.
    NumericStaticMap(StaticMap),
}

impl Function {
    /// The types' names.
    pub const TYPES: [&'static str; 10] = [
        "binary",
        "binary_md5",
        "hash",
        "null",
        "numeric",
        "numeric_static_map",
        "reverse_bits",
        "unicode_loose_md5",
        "unicode_loose_xxhash",
        "xxhash",
    ];

    /// The function of a type.
    pub fn new(vindex: &str, params: &Params) -> Result<Self, VindexError> {
        let function = match vindex {
            "hash" => Self::Hash,
            "xxhash" => Self::Xxhash,
            "numeric" => Self::Numeric,
            "reverse_bits" => Self::ReverseBits,
            "binary" => Self::Binary,
            "binary_md5" => Self::BinaryMd5,
            "unicode_loose_md5" => Self::UnicodeLooseMd5,
            "unicode_loose_xxhash" => Self::UnicodeLooseXxhash,
            "null" => Self::Null,
            "numeric_static_map" => return StaticMap::new(params).map(Self::NumericStaticMap),
            lookup if LOOKUPS.contains(&lookup) => return Err(VindexError::Lookup(lookup.into())),
            other if OTHERS.contains(&other) => return Err(VindexError::Unsupported(other.into())),
            unknown => return Err(VindexError::Unknown(unknown.into())),
        };
        match params.keys().next() {
            None => Ok(function),
            Some(param) => {
                let (vindex, param) = (vindex.into(), param.clone());
                Err(VindexError::UnknownParam { vindex, param, hint: "; it takes none".into() })
            }
        }
    }

    /// Its type's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Xxhash => "xxhash",
            Self::Numeric => "numeric",
            Self::ReverseBits => "reverse_bits",
            Self::Binary => "binary",
            Self::BinaryMd5 => "binary_md5",
            Self::UnicodeLooseMd5 => "unicode_loose_md5",
            Self::UnicodeLooseXxhash => "unicode_loose_xxhash",
            Self::Null => "null",
            Self::NumericStaticMap(_) => "numeric_static_map",
        }
    }

    /// See [`super::Vindex::cost`].
    pub fn cost(&self) -> usize {
        match self {
            Self::Numeric | Self::Null => 0,
            _ => 1,
        }
    }

    /// Appends the keyspace id of a value.
    pub fn apply(&self, value: &KeyValue<'_>, out: &mut Vec<u8>) -> Result<(), MapError> {
        match self {
            Self::Hash => out.extend_from_slice(&des(self.wrapped(value)?)),
            Self::Xxhash => out.extend_from_slice(&xxhash(value.bytes())),
            Self::Numeric => out.extend_from_slice(&self.number(value)?.to_be_bytes()),
            Self::ReverseBits => out.extend_from_slice(&self.number(value)?.reverse_bits().to_be_bytes()),
            Self::Binary => out.extend_from_slice(value.bytes()),
            Self::BinaryMd5 => out.extend_from_slice(&Md5::digest(value.bytes())),
            Self::UnicodeLooseMd5 => out.extend_from_slice(&Md5::digest(self.weights(value)?)),
            Self::UnicodeLooseXxhash => out.extend_from_slice(&xxhash(&self.weights(value)?)),
            Self::Null => out.push(0),
            Self::NumericStaticMap(map) => map.apply(self.number(value)?, value, out)?,
        }
        Ok(())
    }

    /// A number, which must not be negative.
    pub(super) fn number(&self, value: &KeyValue<'_>) -> Result<u64, MapError> {
        match value {
            KeyValue::Int { value, .. } => u64::try_from(*value).map_err(|_| MapError::Negative(self.name())),
            KeyValue::Null => Err(MapError::Null(self.name())),
            KeyValue::Bytes(_) => Err(MapError::NotANumber(self.name())),
        }
    }

    /// A number; a negative one as its two's complement.
    fn wrapped(&self, value: &KeyValue<'_>) -> Result<u64, MapError> {
        match value {
            KeyValue::Int { value, .. } => Ok(*value as u64),
            other => self.number(other),
        }
    }

    fn weights(&self, value: &KeyValue<'_>) -> Result<Vec<u8>, MapError> {
        let mut weights = Vec::with_capacity(2 * value.bytes().len());
        weigh(value.bytes(), &mut weights).map_err(|why| MapError::Unicode { vindex: self.name(), why })?;
        Ok(weights)
    }
}

/// The block of `number` encrypted under the key of zeros.
pub(super) fn des(number: u64) -> [u8; 8] {
    let mut block = number.to_be_bytes().into();
    Des::new(&[0; 8].into()).encrypt_block(&mut block);
    block.into()
}

fn xxhash(bytes: &[u8]) -> [u8; 8] {
    XxHash64::oneshot(0, bytes).to_le_bytes()
}
