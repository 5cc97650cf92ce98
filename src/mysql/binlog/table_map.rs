//! TABLE_MAP events: which table an id stands for, and how its columns stand in row images.
//!
//! The optional metadata that `binlog_row_metadata` = MINIMAL or FULL adds is read where it is there: signs and collations
//! in both, names in FULL. Source: mysql-server/libs/mysql/binlog/event/rows_event.h, `Table_map_event`.

use super::cursor::{Cursor, Malformed};
use super::form::{real_type, types};

const SIGNEDNESS: u8 = 1;
const DEFAULT_CHARSET: u8 = 2;
const COLUMN_CHARSET: u8 = 3;
const COLUMN_NAME: u8 = 4;

/// The head of a table map: enough to tell whether the table is moved.
#[derive(Debug, Clone, Copy)]
pub struct TableMap<'a> {
    /// The id that row events name.
    pub id: u64,
    /// The table's database.
    pub database: &'a str,
    /// The table.
    pub table: &'a str,
    body: Cursor<'a>,
}

/// A column as a table map describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapColumn<'a> {
    /// Its type code, ENUM and SET told from STRING.
    pub code: u8,
    /// The type's metadata, 0 where it has none.
    pub metadata: u16,
    /// UNSIGNED, where the map says so and the type is numeric.
    pub unsigned: Option<bool>,
    /// The number of its collation, where the map says so and the type is a string's.
    pub collation: Option<u16>,
    /// Its name, where the map says so.
    pub name: Option<&'a str>,
}

impl<'a> TableMap<'a> {
    /// Reads an event's body.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body);
        let id = cursor.uint(6)?;
        cursor.take(2)?;
        let database = name(&mut cursor)?;
        let table = name(&mut cursor)?;
        Ok(TableMap { id, database, table, body: cursor })
    }

    /// Reads the columns.
    pub fn columns(&self) -> Result<Vec<MapColumn<'a>>, Malformed> {
        let mut cursor = self.body;
        let count = cursor.lenenc_usize()?;
        let codes = cursor.take(count)?;
        let mut metadata = Cursor::new(cursor.lenenc_bytes()?);
        let mut columns = Vec::with_capacity(count);
        for &code in codes {
            let metadata = match metadata_len(code)? {
                0 => 0,
                1 => u16::from(metadata.u8()?),
                _ => metadata.u16()?,
            };
            let code = if code == types::STRING { real_type(metadata) } else { code };
            columns.push(MapColumn { code, metadata, unsigned: None, collation: None, name: None });
        }
        cursor.take(count.div_ceil(8))?;
        while !cursor.is_empty() {
            let kind = cursor.u8()?;
            let mut value = Cursor::new(cursor.lenenc_bytes()?);
            match kind {
                SIGNEDNESS => signs(&mut columns, value.rest())?,
                DEFAULT_CHARSET => default_collation(&mut columns, &mut value)?,
                COLUMN_CHARSET => {
                    for column in columns.iter_mut().filter(|column| is_character(column)) {
                        column.collation = Some(collation(&mut value)?);
                    }
                }
                COLUMN_NAME => {
                    for column in &mut columns {
                        column.name = Some(utf8(value.lenenc_bytes()?)?);
                    }
                }
                _ => {}
            }
        }
        Ok(columns)
    }
}

fn name<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Malformed> {
    let name = cursor.lenenc_bytes()?;
    cursor.take(1)?;
    utf8(name)
}

fn utf8(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed("a name in a table map is not UTF-8"))
}

fn metadata_len(code: u8) -> Result<usize, Malformed> {
    match code {
        types::FLOAT | types::DOUBLE | types::TIME2 | types::DATETIME2 | types::TIMESTAMP2 => Ok(1),
        types::BLOB | types::GEOMETRY | types::JSON | types::VECTOR => Ok(1),
        types::VARCHAR | types::BIT | types::NEWDECIMAL | types::STRING | types::ENUM | types::SET => Ok(2),
        types::TINY | types::SHORT | types::INT24 | types::LONG | types::LONGLONG => Ok(0),
        types::DATE | types::YEAR => Ok(0),
        // TIMESTAMP, TIME and DATETIME as they were before MySQL 5.6.4.
        7 | 11 | 12 => Ok(0),
        _ => Err(Malformed("a table map has a column of an unknown type")),
    }
}

fn is_numeric(code: u8) -> bool {
    matches!(
        code,
        types::TINY
            | types::SHORT
            | types::INT24
            | types::LONG
            | types::LONGLONG
            | types::NEWDECIMAL
            | types::FLOAT
            | types::DOUBLE
            | types::YEAR
    )
}

/// Whether the collation lists count the column. They do count VECTOR, unlike other types derived from BLOB (seen in 9.7.4).
fn is_character(column: &MapColumn<'_>) -> bool {
    matches!(column.code, types::STRING | types::VARCHAR | types::BLOB | types::VECTOR)
}

/// One bit per numeric column, the highest first.
fn signs(columns: &mut [MapColumn<'_>], bits: &[u8]) -> Result<(), Malformed> {
    for (index, column) in columns.iter_mut().filter(|column| is_numeric(column.code)).enumerate() {
        let byte = bits.get(index / 8).ok_or(Malformed("a table map has too few signs"))?;
        column.unsigned = Some(byte << (index % 8) & 0x80 != 0);
    }
    Ok(())
}

/// The most frequent collation, then pairs of a character column's place and its collation for the others.
fn default_collation(columns: &mut [MapColumn<'_>], value: &mut Cursor<'_>) -> Result<(), Malformed> {
    let usual = collation(value)?;
    let mut others = Vec::new();
    while !value.is_empty() {
        others.push((value.lenenc_usize()?, collation(value)?));
    }
    for (index, column) in columns.iter_mut().filter(|column| is_character(column)).enumerate() {
        let other = others.iter().find(|(place, _)| *place == index);
        column.collation = Some(other.map_or(usual, |(_, collation)| *collation));
    }
    Ok(())
}

fn collation(value: &mut Cursor<'_>) -> Result<u16, Malformed> {
    u16::try_from(value.lenenc()?).map_err(|_| Malformed("a table map has an impossible collation"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn signs_and_collations_find_their_columns() {
        let mut body = vec![7, 0, 0, 0, 0, 0, 1, 0, 2, b'd', b'b', 0, 1, b't', 0];
        body.extend([4, types::LONG, types::VARCHAR, types::BLOB, types::TINY]); // columns
        body.extend([3, 80, 0, 2]); // metadata
        body.push(0); // which may be NULL
        body.extend([SIGNEDNESS, 1, 0b0100_0000]);
        body.extend([DEFAULT_CHARSET, 3, 45, 1, 63]);
        let map = TableMap::parse(&body).unwrap();
        assert_eq!((map.id, map.database, map.table), (7, "db", "t"));
        let columns = map.columns().unwrap();
        let signs: Vec<_> = columns.iter().map(|c| c.unsigned).collect();
        assert_eq!(signs, [Some(false), None, None, Some(true)]);
        let collations: Vec<_> = columns.iter().map(|c| c.collation).collect();
        assert_eq!(collations, [None, Some(45), Some(63), None]);
        assert_eq!((columns[1].metadata, columns[2].metadata), (80, 2));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut body = vec![7, 0, 0, 0, 0, 0, 1, 0, 1, b'd', 0, 1, b't', 0];
            body.extend(tail);
            let _ = TableMap::parse(&body).and_then(|map| map.columns().map(|_| ()));
        }
    }
}
