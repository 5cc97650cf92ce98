//! What a gateway has seen that would not work any more once a workflow's traffic is switched.

use serde::{Deserialize, Serialize};

use super::Record;

/// Statements and transactions with tables of a workflow and others of the same keyspace, as one gateway has seen them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mixes {
    /// The most frequent first; as many as fit the record.
    pub seen: Vec<Mix>,
    /// How many more there are.
    pub more: u64,
}

impl Record for Mixes {
    const KIND: &'static str = "gateway's mixed statements";
    const VERSION: u32 = 1;
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mix {
    /// The workflow's set of rules: `customer.move`.
    pub set: String,
    /// The statement, or the two of a transaction, without values.
    pub text: String,
    /// Whether these are statements of one transaction.
    pub transaction: bool,
    /// Tables of the workflow that are named.
    pub moved: Vec<String>,
    /// Tables that are named and not the workflow's.
    pub staying: Vec<String>,
    /// How often it was seen.
    pub count: u64,
    /// When last, seconds since the Unix epoch.
    pub last: u64,
    /// Whose it was last.
    pub user: String,
}
