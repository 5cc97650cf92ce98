//! A table as the data path sees it: columns with the form their values travel in, and the key rows are found by.

use super::names::TableName;

/// How a column's values are compared and travel. The comment gives the canonical text form of [`super::Row`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ColumnKind {
    /// TINYINT … BIGINT. Decimal digits, `-` in front where negative.
    Int {
        /// Width in bytes: 1, 2, 3, 4 or 8.
        width: u8,
        /// UNSIGNED (or ZEROFILL).
        unsigned: bool,
    },
    /// DECIMAL(p, s). As MySQL prints it: `-12.30`, `0.00`.
    Decimal,
    /// FLOAT. The shortest text that reads back as the same 64-bit value *of the float widened to double*.
    Float,
    /// DOUBLE. The shortest text that reads back as the same bits.
    Double,
    /// BIT(n). The ⌈n/8⌉ bytes, big-endian.
    Bit,
    /// YEAR. Four digits.
    Year,
    /// DATE. `YYYY-MM-DD`, zero and partial dates included.
    Date,
    /// TIME(fsp). `[-]HH:MM:SS[.f…]`, hours up to 838.
    Time,
    /// DATETIME(fsp). `YYYY-MM-DD HH:MM:SS[.f…]`.
    Datetime,
    /// TIMESTAMP(fsp). The same, in UTC; `0000-00-00 00:00:00` for zero.
    Timestamp,
    /// ENUM. Its index as decimal digits; 0 is the error value.
    Enum,
    /// SET. Its bits as an unsigned decimal number.
    Set,
    /// CHAR, VARCHAR and the TEXT types. The stored bytes in the column's own character set, CHAR without its pad.
    Text {
        /// The column's character set, e.g. `utf8mb4`.
        charset: String,
        /// The column's collation, e.g. `utf8mb4_0900_ai_ci`.
        collation: String,
    },
    /// BINARY(n), VARBINARY and the BLOB types. The stored bytes, BINARY with its zero padding.
    Binary {
        /// For BINARY(n) the length every value is padded to, in bytes.
        fixed: Option<u32>,
    },
    /// JSON. Text in utf8mb4 as MySQL prints it. Types inside are kept as far as the text tells them apart: a DATE becomes
    /// a STRING and the DECIMAL `1.5` a DOUBLE of the same text; `1.50` stays a DECIMAL (`mysql::quote::holds_decimal`).
    Json,
    /// Spatial types. SRID and WKB as stored.
    Geometry,
    /// VECTOR. Little-endian 32-bit floats as stored.
    Vector,
}

impl ColumnKind {
    /// Whether equal values always have equal canonical text *and* unequal text means unequal values, so that keys may
    /// be compared in our own process. `_bin` collations with PAD SPACE fail this: 'a' = 'a '.
    pub fn compares_as_bytes(&self) -> bool {
        match self {
            Self::Int { .. }
            | Self::Decimal
            | Self::Bit
            | Self::Year
            | Self::Date
            | Self::Time
            | Self::Datetime
            | Self::Timestamp
            | Self::Enum
            | Self::Set
            | Self::Binary { .. } => true,
            // utf8mb4_0900_bin is the one NO PAD _bin collation; `binary` never reaches here as Text.
            Self::Text { collation, .. } => collation == "utf8mb4_0900_bin",
            // −0.0 = 0.0 with two texts.
            Self::Float | Self::Double | Self::Json | Self::Geometry | Self::Vector => false,
        }
    }
}

/// One column that is copied. Generated columns are not in the list: the target computes them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Column {
    /// Its name as declared.
    pub name: String,
    /// How its values travel.
    pub kind: ColumnKind,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// Whether the server pads its numbers with zeros when it prints them (ZEROFILL); canonical text has none.
    pub zerofill: bool,
    /// Its place (from 0) among *all* columns of the table, generated ones included: binlog row images count these.
    pub ordinal: usize,
}

/// The key by which rows are chunked, found and deleted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// `PRIMARY` or the name of a unique index.
    pub name: String,
    /// Indexes into [`TableDef::columns`].
    pub columns: Vec<usize>,
}

/// A moved table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableDef {
    /// Its name.
    pub name: TableName,
    /// The stored columns in order.
    pub columns: Vec<Column>,
    /// How many columns the table has, generated ones included.
    pub column_count: usize,
    /// PRIMARY, or a unique key over NOT NULL whole columns.
    pub key: Key,
    /// Whether another unique index exists besides [`Self::key`]: writes may then collide on it.
    pub other_unique: bool,
    /// Whether a foreign key with CASCADE or SET NULL refers to it: changes of its rows change rows elsewhere.
    pub cascades: bool,
    /// Indexes into [`Self::columns`] of the columns whose values say to which shard a row belongs; empty where one shard
    /// takes all.
    pub sharding: Vec<usize>,
}

impl TableDef {
    /// Whether two keys are the same row exactly when their canonical bytes are equal.
    pub fn key_compares_as_bytes(&self) -> bool {
        self.key.columns.iter().all(|&index| self.columns[index].kind.compares_as_bytes())
    }

    /// Whether changes need the slow path: deletes of a batch committed on every connection before any upsert.
    pub fn needs_slow_path(&self) -> bool {
        self.other_unique || !self.key_compares_as_bytes()
    }

    /// The key columns in key order.
    pub fn key_columns(&self) -> impl ExactSizeIterator<Item = &Column> {
        self.key.columns.iter().map(|&index| &self.columns[index])
    }

    /// The columns that say to which shard a row belongs, in the order of their vindex.
    pub fn sharding_columns(&self) -> impl ExactSizeIterator<Item = &Column> {
        self.sharding.iter().map(|&index| &self.columns[index])
    }
}
