//! Vindexes: from a row's sharding columns to its keyspace id, byte for byte as Vitess does it
//! (`go/vt/vtgate/vindexes` of release 21).
//!
//! A [`Vindex`] is made of its type's name and parameters, strictly: a parameter it does not know, or would not use, is
//! refused. Lookup vindexes are refused by name.
//!
//! Invariant: the same values give the same keyspace id, always; values without one are an error and have no shard.

mod function;
mod multicol;
mod static_map;
pub mod unicode;
mod value;

use std::collections::BTreeMap;

pub use self::function::Function;
pub use self::multicol::{Multicol, Region};
pub use self::value::KeyValue;

/// The parameters of a vindex as the VSchema has them.
pub type Params = BTreeMap<String, String>;

/// Vindexes that keep their keyspace ids in a table.
const LOOKUPS: [&str; 9] = [
    "lookup",
    "lookup_unique",
    "lookup_hash",
    "lookup_hash_unique",
    "lookup_unicodeloosemd5_hash",
    "lookup_unicodeloosemd5_hash_unique",
    "consistent_lookup",
    "consistent_lookup_unique",
    "lookup_cost",
];

/// Other types Vitess has.
const OTHERS: [&str; 2] = ["cfc", "region_json"];

/// Why a vindex cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VindexError {
    /// A lookup vindex.
    #[error("vindex type `{0}` keeps its keyspace ids in a table; lookup vindexes are not supported yet")]
    Lookup(String),
    /// A type of Vitess's that is not supported.
    #[error("vindex type `{0}` is not supported; {known}", known = known())]
    Unsupported(String),
    /// No type at all.
    #[error("there is no vindex type `{0}`; {known}", known = known())]
    Unknown(String),
    /// A parameter the type does not have.
    #[error("vindex type `{vindex}` has no parameter `{param}`{hint}")]
    UnknownParam {
        /// The type.
        vindex: String,
        /// The parameter.
        param: String,
        /// What it has, in words.
        hint: String,
    },
    /// A parameter that is missing or wrong.
    #[error("vindex type `{vindex}`, parameter `{param}`: {why}")]
    Param {
        /// The type.
        vindex: String,
        /// The parameter.
        param: &'static str,
        /// What is wrong.
        why: String,
    },
}

fn known() -> String {
    let functions = Function::TYPES.iter().copied();
    format!("these are: {}", functions.chain(["multicol", "region_experimental"]).collect::<Vec<_>>().join(", "))
}

/// Why values have no keyspace id. Says nothing of the values themselves: they are the user's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// NULL where a number is needed.
    #[error("vindex type `{0}` has no keyspace id for NULL")]
    Null(&'static str),
    /// A negative number where there are none.
    #[error("vindex type `{0}` has no keyspace id for a negative number")]
    Negative(&'static str),
    /// Something else than a number.
    #[error("vindex type `{0}` has keyspace ids for numbers only")]
    NotANumber(&'static str),
    /// A string that cannot be weighed.
    #[error("vindex type `{vindex}` has no keyspace id for this string: {why}")]
    Unicode {
        /// The type.
        vindex: &'static str,
        /// Why not.
        why: unicode::UnicodeError,
    },
    /// Another number of values than the vindex has columns.
    #[error("the vindex has {columns} columns and was given {values} values")]
    Arity {
        /// The columns.
        columns: usize,
        /// The values.
        values: usize,
    },
}

/// A vindex that can be computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vindex {
    /// Of one column.
    Single(Function),
    /// `multicol`.
    Multicol(Multicol),
    /// `region_experimental`.
    Region(Region),
}

impl Vindex {
    /// The vindex of a type, with its parameters.
    pub fn new(vindex: &str, params: &Params) -> Result<Self, VindexError> {
        match vindex {
            "multicol" => Multicol::new(params).map(Self::Multicol),
            "region_experimental" => Region::new(params).map(Self::Region),
            lookup if LOOKUPS.contains(&lookup) => Err(VindexError::Lookup(lookup.into())),
            other if OTHERS.contains(&other) => Err(VindexError::Unsupported(other.into())),
            single => Function::new(single, params).map(Self::Single),
        }
    }

    /// How many columns it is computed from.
    pub fn columns(&self) -> usize {
        match self {
            Self::Single(_) => 1,
            Self::Multicol(multicol) => multicol.columns(),
            Self::Region(_) => 2,
        }
    }

    /// The function that its column at `index` goes through: it says which types of columns there may be.
    pub fn function(&self, index: usize) -> Option<&Function> {
        match self {
            Self::Single(function) => Some(function).filter(|_| index == 0),
            Self::Multicol(multicol) => multicol.function(index),
            Self::Region(_) => Some(&Function::Numeric).filter(|_| index < 2),
        }
    }

    /// Vitess's measure of what it takes: 0 where the value is the keyspace id, 1 for a function.
    pub fn cost(&self) -> usize {
        match self {
            Self::Single(function) => function.cost(),
            Self::Multicol(multicol) => multicol.cost(),
            Self::Region(_) => 1,
        }
    }

    /// Appends the keyspace id of a row with these values, one for each column.
    pub fn keyspace_id(&self, values: &[KeyValue<'_>], out: &mut Vec<u8>) -> Result<(), MapError> {
        if values.len() != self.columns() {
            return Err(MapError::Arity { columns: self.columns(), values: values.len() });
        }
        match (self, values) {
            (Self::Single(function), [value]) => function.apply(value, out),
            (Self::Single(_), _) => Err(MapError::Arity { columns: 1, values: values.len() }),
            (Self::Multicol(multicol), _) => multicol.apply(values, out),
            (Self::Region(region), _) => region.apply(values, out),
        }
    }

    /// Appends what the keyspace ids of all rows begin with whose first columns have these values: at least one, and fewer
    /// than there are columns.
    pub fn prefix(&self, values: &[KeyValue<'_>], out: &mut Vec<u8>) -> Result<(), MapError> {
        match self {
            Self::Multicol(multicol) if (1..multicol.columns()).contains(&values.len()) => multicol.apply(values, out),
            Self::Region(region) if values.len() == 1 => region.apply(values, out),
            _ => Err(MapError::Arity { columns: self.columns(), values: values.len() }),
        }
    }
}

#[cfg(test)]
mod tests;
