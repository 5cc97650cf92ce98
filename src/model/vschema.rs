//! A keyspace's VSchema: which tables there are, and how the rows of each are spread over the shards.
//!
//! The types are those of Vitess's `vschema.proto`, fields in its order; serialised they are what `vtctldclient
//! GetVSchema` prints. What may stand in them is decided in [`crate::model`]'s users: `sharding::vschema`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `vschema.Keyspace`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VSchema {
    /// Whether rows are spread by vindexes.
    pub sharded: bool,
    /// The vindexes by name.
    pub vindexes: BTreeMap<String, VindexSpec>,
    /// The tables by name.
    pub tables: BTreeMap<String, TableSpec>,
    /// Whether tables are found only by their keyspace's name.
    pub require_explicit_routing: bool,
    /// What is done about foreign keys.
    pub foreign_key_mode: ForeignKeyMode,
    /// Not supported, hence always `None`; printed because Vitess prints it.
    pub multi_tenant_spec: Option<()>,
}

/// `vschema.Keyspace.ForeignKeyMode`, as far as it is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForeignKeyMode {
    /// Not said: unmanaged.
    #[default]
    Unspecified,
    /// They are left to MySQL.
    Unmanaged,
}

/// `vschema.Vindex`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VindexSpec {
    /// The type's name.
    #[serde(rename = "type")]
    pub vindex_type: String,
    /// Its parameters.
    pub params: BTreeMap<String, String>,
    /// For lookup vindexes the table that owns it.
    pub owner: String,
}

/// `vschema.Table`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TableSpec {
    /// `sequence`, `reference` or nothing.
    #[serde(rename = "type")]
    pub table_type: String,
    /// The vindexes over its columns; the first one decides where a row is.
    pub column_vindexes: Vec<ColumnVindexSpec>,
    /// The column that a sequence numbers.
    pub auto_increment: Option<AutoIncrementSpec>,
    /// Its columns, as far as they are known.
    pub columns: Vec<ColumnSpec>,
    /// The keyspace id all its rows have, in hexadecimal.
    pub pinned: String,
    /// Whether `columns` are all there are.
    pub column_list_authoritative: bool,
    /// For a reference table the table it is filled from, `keyspace.table`.
    pub source: String,
}

/// `vschema.ColumnVindex`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColumnVindexSpec {
    /// The column, if `columns` names none.
    pub column: String,
    /// The vindex.
    pub name: String,
    /// The columns in the vindex's order.
    pub columns: Vec<String>,
}

impl ColumnVindexSpec {
    /// The columns, whichever way they are given.
    pub fn column_names(&self) -> &[String] {
        if self.columns.is_empty() { std::slice::from_ref(&self.column) } else { &self.columns }
    }
}

/// `vschema.AutoIncrement`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoIncrementSpec {
    /// The column.
    pub column: String,
    /// The sequence, `keyspace.table` or `table`.
    pub sequence: String,
}

/// `vschema.Column`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColumnSpec {
    /// Its name.
    pub name: String,
    /// Its type by Vitess's name (`query.Type`), e.g. `VARCHAR`.
    #[serde(rename = "type")]
    pub column_type: String,
    /// Whether `*` leaves it out.
    pub invisible: bool,
    /// Its default as SQL.
    pub default: String,
    /// Its collation.
    pub collation_name: String,
    /// Its length.
    pub size: i32,
    /// Its digits after the point.
    pub scale: i32,
    /// Whether it may be NULL, if said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nullable: Option<bool>,
    /// The members of an ENUM or SET.
    pub values: Vec<String>,
}
