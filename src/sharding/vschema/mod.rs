//! VSchemas: read strictly, printed as Vitess prints them, and made ready to be asked where rows are.
//!
//! [`parse`] takes a document apart and refuses what it does not know; [`KeyspaceSchema::new`] checks what it says and
//! names everything that is wrong at once; [`references`] checks what it says of other keyspaces.

mod document;
mod plan;
mod print;
mod read;
mod references;
mod schema;

pub use self::plan::{Change, moves, plan};
pub use self::print::print;
pub use self::read::{DocumentError, parse};
pub use self::references::{References, find_sequence, references};
pub use self::schema::{AutoIncrement, ColumnVindex, KeyspaceSchema, Placement, Table, TableRef};

#[cfg(test)]
mod tests;
