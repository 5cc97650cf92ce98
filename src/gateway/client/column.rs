//! Columns of the results that the gateway makes itself. Pure.

use mysql_common::constants::{ColumnFlags, ColumnType};

/// Decimals of a column that has none to speak of, in MySQL's words DECIMAL_NOT_SPECIFIED.
const NOT_SPECIFIED: u8 = 31;

/// A column of a result the gateway makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSpec {
    /// The name clients see.
    pub name: String,
    /// Its table's name, usually empty.
    pub table: String,
    /// Its type.
    pub kind: ColumnType,
    /// Its flags.
    pub flags: ColumnFlags,
    /// The longest value, in bytes.
    pub length: u32,
    /// Digits behind the point; 31 where the server has nothing to say of them.
    pub decimals: u8,
    /// Whether it is a table's column, which has its name there too.
    pub original: bool,
}

impl ColumnSpec {
    /// A text column.
    pub fn text(name: impl Into<String>) -> Self {
        ColumnSpec {
            name: name.into(),
            table: String::new(),
            kind: ColumnType::MYSQL_TYPE_VAR_STRING,
            flags: ColumnFlags::empty(),
            length: 4 * 1024,
            decimals: 0,
            original: true,
        }
    }

    /// The columns of SHOW WARNINGS, as MySQL 9.7 describes them.
    pub fn diagnostics() -> [Self; 3] {
        let text = |name: &str, length| ColumnSpec {
            flags: ColumnFlags::NOT_NULL_FLAG,
            length,
            decimals: NOT_SPECIFIED,
            original: false,
            ..ColumnSpec::text(name)
        };
        let code = ColumnSpec {
            kind: ColumnType::MYSQL_TYPE_LONG,
            flags: ColumnFlags::NOT_NULL_FLAG | ColumnFlags::UNSIGNED_FLAG | ColumnFlags::BINARY_FLAG,
            length: 5,
            decimals: 0,
            original: false,
            ..ColumnSpec::text("Code")
        };
        [text("Level", 28), code, text("Message", 2048)]
    }
}
