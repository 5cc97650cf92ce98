//! Understands the text of MySQL statements as far as routing needs: what kind one is, which tables it names where, what
//! ties it to a connection. There is no syntax tree and no grammar of expressions; a token walk finds tables by the place
//! they stand in.
//!
//! Invariants:
//! - Nothing here does I/O, fails or panics, on any bytes.
//! - Every span lies within the text it was found in and covers whole tokens, so that [`splice`] never cuts one.
//! - A table reference is missed only in a statement that says `certain: false`, or that no server accepts.
//!
//! The text is bytes: literals may hold any. It must be in a character set whose multi-byte characters contain no ASCII
//! byte; a session in big5, cp932, gb18030, gbk or sjis must not be read with this.

mod built_in;
mod classify;
mod collect;
mod cursor;
mod define;
mod expression;
mod identifiers;
mod lexer;
mod mode;
mod name;
mod next_values;
mod normalised;
mod rewrite;
mod scan;
mod set;
mod show;
mod split;
mod statement;
mod tables;

#[cfg(test)]
mod tests;

pub use built_in::{is_built_in, stored_function};
pub use classify::analyze;
pub use identifiers::identifiers;
pub(in crate::gateway) use lexer::Lexer;
pub use lexer::{Token, TokenKind};
pub use mode::SqlMode;
pub use name::Name;
pub(in crate::gateway) use name::{literal, unquoted};
pub use next_values::{NextValues, next_values};
pub use normalised::{cut, normalised};
pub use rewrite::{Edit, quote_identifier, splice};
pub use split::split;
pub use statement::{
    Access, Assignment, Ddl, Dml, Filter, Handler, Kind, Qualified, Qualifier, Scope, Show, Statement, TableRef,
    TransactionScope, Uses, Xa,
};
