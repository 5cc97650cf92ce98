//! What tables are made of, read from information_schema, and what of it the data path needs.
//!
//! [`read_tables`] and [`read_foreign_keys`] give plain facts ([`TableInfo`], [`ForeignKey`]) for any number of tables in
//! a few statements; [`define`] judges whether a table can be moved and turns it into a [`TableDef`](crate::model::TableDef);
//! [`read_source_tables`] does all of it for tables that must be fit.

mod auto_increment;
mod define;
mod kind;
mod read;
mod secondary;
mod source;

pub use auto_increment::without_auto_increment;
pub use define::{Unfit, define, differences};
pub use kind::column_kind;
pub use read::{read_foreign_keys, read_tables};
pub use secondary::{SecondaryKey, deferrable_keys, drop_keys_statement};
pub use source::{SchemaError, SourceTable, other_uniques, read_source_tables};

/// A table or view as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// Whether it is a table with rows of its own, and not a view.
    pub base_table: bool,
    /// The storage engine.
    pub engine: String,
    /// The default collation; matters for columns added later.
    pub collation: String,
    /// Rows, as InnoDB estimates them.
    pub approx_rows: u64,
    /// Bytes of a row on average, as InnoDB estimates them.
    pub avg_row_bytes: u64,
    /// Bytes of the clustered index.
    pub data_bytes: u64,
    /// All columns, generated ones included, in order.
    pub columns: Vec<ColumnInfo>,
    /// All keys, in the server's order, PRIMARY first.
    pub keys: Vec<KeyInfo>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColumnInfo {
    /// Its name.
    pub name: String,
    /// Its type's name, e.g. `varchar`.
    pub data_type: String,
    /// Its whole type, e.g. `varchar(20)` or `int unsigned zerofill`.
    pub column_type: String,
    /// Character set, for text.
    pub charset: Option<String>,
    /// Collation, for text.
    pub collation: Option<String>,
    /// Longest value in bytes, for strings.
    pub octets: Option<u64>,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Whether it is computed from others, stored or not.
    pub generated: bool,
    /// What it is computed from, if it is.
    pub expression: String,
    /// Whether its computed value is stored.
    pub stored: bool,
    /// Whether it counts up by itself.
    pub auto_increment: bool,
}

impl ColumnInfo {
    /// Whether numbers are padded with zeros when shown.
    pub fn zerofill(&self) -> bool {
        self.column_type.contains(" zerofill")
    }
}

/// A key (index).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyInfo {
    /// Its name; `PRIMARY` for the primary key.
    pub name: String,
    /// Whether it forbids duplicates.
    pub unique: bool,
    /// Whether the optimizer may use it.
    pub visible: bool,
    /// `BTREE`, `FULLTEXT`, `SPATIAL`, …
    pub method: String,
    /// What it consists of, in order.
    pub parts: Vec<KeyPart>,
}

/// A part of a key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPart {
    /// The column; `None` for an expression.
    pub column: Option<String>,
    /// The number of leading characters or bytes, where not the whole column is in the key.
    pub prefix: Option<u64>,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// Its name.
    pub name: String,
    /// Schema and name of the table that has it.
    pub child: (String, String),
    /// The referring columns.
    pub child_columns: Vec<String>,
    /// Schema and name of the table it refers to.
    pub parent: (String, String),
    /// The columns referred to.
    pub parent_columns: Vec<String>,
    /// What happens to children on UPDATE of the parent, e.g. `CASCADE`.
    pub on_update: String,
    /// What happens to them on DELETE.
    pub on_delete: String,
}

impl ForeignKey {
    /// Whether a change of the parent changes children.
    pub fn cascades(&self) -> bool {
        [&self.on_update, &self.on_delete].iter().any(|rule| !matches!(rule.as_str(), "NO ACTION" | "RESTRICT"))
    }
}
