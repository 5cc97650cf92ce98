//! A part of a batch as SQL statements of bounded size. Pure.

use crate::model::{DatabaseName, Row, TableDef};
use crate::mysql::quote::{self, NullInKey};

use super::partition::Part;

/// Statements grow to about this many bytes; a single larger row makes a larger statement.
pub const STATEMENT_BYTES: usize = 1 << 20;
/// Keys in one DELETE: enough to share its cost, few enough for the range optimizer.
const DELETE_KEYS: usize = 1_000;

/// What an upsert may meet on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collision {
    /// The target may be ahead in places: another row may still hold a unique value that it has given up on the source.
    /// It is displaced; its own later event puts it back (design §4.2, one source).
    Displace,
    /// The target equals the source at the position: another row in the way is an error.
    Refuse,
}

/// One statement that writes rows.
#[derive(Debug)]
pub struct Statement {
    /// Its text.
    pub sql: Vec<u8>,
    /// How many warnings it gives when all is well: one for each ENUM error value, which strict mode would refuse.
    pub warnings: u64,
}

/// The statements of `part`, deletes first, in an order that depends on nothing but the part.
pub fn statements(database: &DatabaseName, part: &Part, collision: Collision) -> Result<Vec<Statement>, NullInKey> {
    let mut out = Vec::new();
    deletes(database, &part.table, &part.deletes, &mut out)?;
    upserts(database, part, collision, &mut out);
    Ok(out)
}

fn deletes(database: &DatabaseName, table: &TableDef, keys: &[Row], out: &mut Vec<Statement>) -> Result<(), NullInKey> {
    let mut keys = keys;
    while !keys.is_empty() {
        let mut bytes = 0;
        let fits = keys.iter().take(DELETE_KEYS).take_while(|key| {
            let fits = bytes < STATEMENT_BYTES;
            bytes += 2 * key.size();
            fits
        });
        let (now, later) = keys.split_at(fits.count());
        // Without the hint a small table is scanned, and every uncommitted row of it waited for.
        let hint = format!("/*+ INDEX({} {}) */", quote::ident(table.name.as_str()), quote::ident(&table.key.name));
        let mut sql = format!("DELETE {hint} FROM {} WHERE ", quote::table_name(database, &table.name)).into_bytes();
        quote::push_key_in(&mut sql, table, now)?;
        out.push(Statement { sql, warnings: 0 });
        keys = later;
    }
    Ok(())
}

fn upserts(database: &DatabaseName, part: &Part, collision: Collision, out: &mut Vec<Statement>) {
    let table = &part.table;
    let verb = match (part.slow, collision) {
        // On the slow path the row's own key was deleted before.
        (true, Collision::Displace) => "REPLACE",
        (true, Collision::Refuse) | (false, _) => "INSERT",
    };
    let tail = if part.slow { String::new() } else { overwrite(table) };
    let mut rows = part.upserts.iter().peekable();
    while let Some(first) = rows.peek() {
        let lenient = enum_errors(table, first) > 0;
        let hint = if lenient { quote::insert_hint() } else { String::new() };
        let mut sql = format!("{verb} {hint} INTO {} (", quote::table_name(database, &table.name)).into_bytes();
        quote::push_column_list(&mut sql, table);
        sql.extend_from_slice(b") VALUES ");
        let (mut count, mut warnings) = (0, 0);
        while let Some(row) =
            rows.next_if(|row| sql.len() < STATEMENT_BYTES && (enum_errors(table, row) > 0) == lenient)
        {
            if count > 0 {
                sql.push(b',');
            }
            quote::push_row(&mut sql, table, row);
            warnings += enum_errors(table, row);
            count += 1;
        }
        sql.extend_from_slice(tail.as_bytes());
        out.push(Statement { sql, warnings });
    }
}

/// How many ENUM error values (index 0) the row holds.
pub fn enum_errors(table: &TableDef, row: &Row) -> u64 {
    let values = table.columns.iter().zip(row.values());
    values.filter(|(column, value)| quote::is_enum_error(&column.kind, *value)).count() as u64
}

fn overwrite(table: &TableDef) -> String {
    let sets = table.columns.iter().map(|column| {
        let name = quote::ident(&column.name);
        format!("{name}=shardlift_new.{name}")
    });
    format!(" AS shardlift_new ON DUPLICATE KEY UPDATE {}", sets.collect::<Vec<_>>().join(","))
}
