//! How several shards' answers become one.

use std::ops::Range;

use super::value::Slot;

/// A query that several shards answer.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    /// Columns asked for besides, which clients do not get.
    pub hidden: Vec<Vec<Piece>>,
    /// The token they are put before, behind the one before it.
    pub behind: usize,
    /// What is done with the rows.
    pub merge: Merge,
    /// Which of them are wanted.
    pub limit: Option<Limit>,
    /// The token that LIMIT is put before where the statement has none and each shard's rows are all needed.
    pub tail: usize,
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Bytes(Vec<u8>),
    /// Tokens of the statement.
    Tokens(Range<usize>),
}

/// LIMIT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Its tokens.
    pub clause: Range<usize>,
    /// How many rows.
    pub count: Slot,
    /// How many are left out before them.
    pub offset: Option<Slot>,
    /// Whether shards may leave out what is beyond both.
    pub pushed: bool,
}

/// What is done with rows.
#[derive(Debug, Clone)]
pub enum Merge {
    /// Each is answered.
    Rows {
        /// In this order; each shard's come in it.
        order: Vec<Order>,
        /// Once for each value of these.
        distinct: Option<Vec<Key>>,
    },
    /// Those that agree in the keys become one.
    Groups {
        /// The keys; none where all become one.
        keys: Vec<Key>,
        /// What becomes of each column, the hidden ones included.
        folds: Vec<Fold>,
        /// In this order.
        order: Vec<Order>,
    },
}

impl Default for Merge {
    fn default() -> Self {
        Self::Rows { order: Vec::new(), distinct: None }
    }
}

/// A column of the shards' answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// One that clients get.
    Shown(usize),
    /// One asked for besides.
    Hidden(usize),
}

/// What rows are compared by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The column.
    pub place: Place,
    /// Its values are weights of text; else they are compared by the type the server tells.
    pub weight: bool,
    /// The weight of a blank, if blanks at the end do not count.
    pub blank: Option<Vec<u8>>,
}

/// A key rows are sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The key.
    pub key: Key,
    /// The greatest come first.
    pub descending: bool,
}

/// What becomes of a column's values in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fold {
    /// They are the same, or any will do.
    First,
    /// Any will do of those that are of rows: a part of which this is 0 has none.
    Some(Place),
    /// They are added; a count of nothing is 0.
    Sum,
    /// The least by a key.
    Least(Key),
    /// The greatest.
    Greatest(Key),
    /// The quotient of two other columns, when these are summed up.
    Average {
        /// The sum.
        sum: Place,
        /// The number of values.
        count: Place,
    },
}
