//! Values as literals of `INSERT … VALUES`, and what to select so that they come in canonical form.

use crate::model::{Column, ColumnKind, Row, TableDef};

use super::json::push_document;
use super::{ident, push_double, push_ident, push_number, push_quoted, session::LENIENT_SQL_MODE};

/// Appends the literal that stores `value` (canonical bytes; `None` for NULL) into a column of `kind`.
///
/// ENUM's index 0 is refused by strict mode: see [`is_enum_error`].
pub fn push_value(out: &mut Vec<u8>, kind: &ColumnKind, value: Option<&[u8]>) {
    let Some(value) = value else {
        return out.extend_from_slice(b"NULL");
    };
    match kind {
        ColumnKind::Int { .. } | ColumnKind::Decimal | ColumnKind::Enum | ColumnKind::Set => push_number(out, value),
        ColumnKind::Float | ColumnKind::Double => push_double(out, value),
        // Quoted years too: the number 0 and the text '0' are different years, '0000' is what it says.
        ColumnKind::Year | ColumnKind::Date | ColumnKind::Time | ColumnKind::Datetime | ColumnKind::Timestamp => {
            push_quoted(out, value);
        }
        // A binary string is stored byte by byte, in columns of any character set.
        ColumnKind::Text { .. }
        | ColumnKind::Binary { .. }
        | ColumnKind::Bit
        | ColumnKind::Geometry
        | ColumnKind::Vector => {
            out.extend_from_slice(b"_binary");
            push_quoted(out, value);
        }
        ColumnKind::Json => push_document(out, value),
    }
}

/// Appends `(v1,v2,…)`: one row of `INSERT … VALUES`, in the order of [`push_column_list`].
pub fn push_row(out: &mut Vec<u8>, table: &TableDef, row: &Row) {
    out.push(b'(');
    for (index, (column, value)) in table.columns.iter().zip(row.values()).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_value(out, &column.kind, value);
    }
    out.push(b')');
}

/// Appends `` `a`,`b`,… ``: the table's stored columns.
pub fn push_column_list(out: &mut Vec<u8>, table: &TableDef) {
    for (index, column) in table.columns.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_ident(out, &column.name);
    }
}

/// Whether the value is an ENUM's error value, which a non-strict session of the application left behind. It can be
/// stored only without strict mode: put such rows into statements of their own, right behind `INSERT` with
/// [`insert_hint`], and expect exactly one warning 1265 per such value.
pub fn is_enum_error(kind: &ColumnKind, value: Option<&[u8]>) -> bool {
    *kind == ColumnKind::Enum && value == Some(b"0")
}

/// The optimizer hint that turns strict mode off for one statement (`INSERT /*+ … */ INTO …`).
pub fn insert_hint() -> String {
    format!("/*+ SET_VAR(sql_mode='{LENIENT_SQL_MODE}') */")
}

/// What to select so that the text protocol sends the column's canonical bytes.
///
/// A FLOAT printed as such is cut to six digits; ENUM and SET would come as labels, and `col + 0` computes in doubles,
/// which breaks SETs beyond 53 members.
pub fn select_expr(column: &Column) -> String {
    let (name, zerofill) = (ident(&column.name), column.zerofill);
    match column.kind {
        ColumnKind::Enum | ColumnKind::Set => format!("CAST({name} AS UNSIGNED)"),
        // DOUBLE(10,3) prints 1 as 1.000.
        ColumnKind::Float | ColumnKind::Double => format!("CAST({name} AS DOUBLE)"),
        ColumnKind::Int { .. } if zerofill => format!("CAST({name} AS UNSIGNED)"),
        ColumnKind::Decimal if zerofill => format!("({name} + 0)"),
        _ => name,
    }
}

/// The select list of the copy reader, in column order.
pub fn select_list<'a>(columns: impl IntoIterator<Item = &'a Column>) -> String {
    let list: Vec<String> = columns.into_iter().map(select_expr).collect();
    list.join(",")
}
