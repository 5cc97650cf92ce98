//! A column's type as the server names it → the form its values travel in.

use crate::model::ColumnKind;

use super::ColumnInfo;

/// The kind of a column; `None` for a type we do not know and therefore do not move.
pub fn column_kind(column: &ColumnInfo) -> Option<ColumnKind> {
    let unsigned = column.column_type.contains(" unsigned");
    let int = |width| ColumnKind::Int { width, unsigned };
    Some(match column.data_type.to_ascii_lowercase().as_str() {
        "tinyint" => int(1),
        "smallint" => int(2),
        "mediumint" => int(3),
        "int" => int(4),
        "bigint" => int(8),
        "decimal" => ColumnKind::Decimal,
        "float" => ColumnKind::Float,
        "double" => ColumnKind::Double,
        "bit" => ColumnKind::Bit,
        "year" => ColumnKind::Year,
        "date" => ColumnKind::Date,
        "time" => ColumnKind::Time,
        "datetime" => ColumnKind::Datetime,
        "timestamp" => ColumnKind::Timestamp,
        "enum" => ColumnKind::Enum,
        "set" => ColumnKind::Set,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
            ColumnKind::Text { charset: column.charset.clone()?, collation: column.collation.clone()? }
        }
        "binary" => ColumnKind::Binary { fixed: Some(u32::try_from(column.octets?).ok()?) },
        "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => ColumnKind::Binary { fixed: None },
        "json" => ColumnKind::Json,
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
        | "geomcollection" | "geometrycollection" => ColumnKind::Geometry,
        "vector" => ColumnKind::Vector,
        _ => return None,
    })
}
