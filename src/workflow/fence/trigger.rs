//! A fence's triggers: their text, and whether what a server has is what it should have. Pure.

use crate::model::TableName;
use crate::model::fence::{Epoch, FENCE_ERRNO, FenceEvent, FenceTrigger};
use crate::mysql::quote;

use super::Fence;

/// The longest MESSAGE_TEXT of a SIGNAL, characters.
const LONGEST_MESSAGE: usize = 128;

/// A trigger that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Its name.
    pub name: FenceTrigger,
    /// Its table.
    pub table: &'a TableName,
    /// What it does.
    pub body: String,
}

/// A trigger that is there, as `information_schema` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: FenceTrigger,
    /// `INSERT`, `UPDATE` or `DELETE`.
    pub event: String,
    /// `BEFORE` or `AFTER`.
    pub timing: String,
    /// Its table.
    pub table: String,
    /// What it does.
    pub body: String,
    /// As whom: `user@host`.
    pub definer: String,
}

impl Wanted<'_> {
    /// The statement that makes it.
    pub fn create(&self, database: &str) -> String {
        let (name, event) = (quote::qualified(database, &self.name.to_string()), self.name.event.as_sql());
        let table = quote::qualified(database, self.table.as_str());
        format!("CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW {}", self.body)
    }

    /// What is wrong with `found`, which has its name; `None` if it is as it should be.
    pub fn differs(&self, found: &Found, account: &str) -> Option<String> {
        let name = self.name;
        if found.table != self.table.as_str() || found.event != self.name.event.as_sql() || found.timing != "BEFORE" {
            let Found { timing, event, table, .. } = found;
            return Some(format!("trigger {name} fires {timing} {event} on {table}"));
        }
        if found.body != self.body {
            return Some(format!("trigger {name} on table {} has another text", self.table));
        }
        // Another definer may be dropped, or lose its privileges, without notice: every write would fail then.
        (found.definer != account).then(|| format!("trigger {name} is defined by {}, not {account}", found.definer))
    }
}

impl Found {
    /// Whether `fence` made it, in whatever epoch.
    pub fn is_of(&self, fence: &Fence) -> bool {
        self.body.contains(&fence.key.condition())
    }
}

/// The triggers of one epoch, three a table.
pub fn wanted(fence: &Fence, epoch: Epoch) -> Vec<Wanted<'_>> {
    let of_table = |table| {
        let body = body(fence, table);
        FenceEvent::ALL.map(|event| Wanted {
            name: FenceTrigger::new(epoch, event, table.as_str()),
            table,
            body: body.clone(),
        })
    };
    fence.tables.iter().flat_map(of_table).collect()
}

/// What a trigger does, whatever the event.
///
/// - The row is read by equality on its whole key, and `closed` is tested outside the WHERE: under READ COMMITTED the lock of
///   a row that a condition rejects is dropped with the statement (protocol-review A15).
/// - The variable is NULL where there is no row. What is not known to be open is closed.
/// - A write that is not logged would never reach the other side (A13).
/// - The token is compared as bytes: a number in the variable would make numbers of both, and 'a…' equal to 0.
fn body(fence: &Fence, table: &TableName) -> String {
    let (uid, condition) = (&fence.key.uid, fence.key.condition());
    let [refused, hidden] = [
        message(fence, table),
        format!("shardlift: a write without binlog (sql_log_bin = 0) would be lost, workflow {}", fence.workflow),
    ]
    .map(|text| literal(&text));
    format!(
        "BEGIN DECLARE shardlift_closed TINYINT DEFAULT NULL; \
         IF NOT (CAST(@shardlift_stream AS BINARY) <=> CAST('{uid}' AS BINARY)) THEN \
         SELECT closed INTO shardlift_closed FROM _shardlift.fence WHERE {condition} FOR SHARE; \
         IF shardlift_closed IS NULL OR shardlift_closed <> 0 THEN \
         SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {FENCE_ERRNO}, MESSAGE_TEXT = {refused}; \
         ELSEIF @@SESSION.sql_log_bin = 0 THEN \
         SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {FENCE_ERRNO}, MESSAGE_TEXT = {hidden}; \
         END IF; END IF; END"
    )
}

/// Says where the write belongs; names are shortened where they do not all fit.
fn message(fence: &Fence, table: &TableName) -> String {
    let mut names =
        [table.as_str(), fence.home.as_str(), fence.workflow.as_str()].map(|name| name.chars().collect::<Vec<_>>());
    let text = |[table, home, workflow]: &[Vec<char>; 3]| {
        let [table, home, workflow] = [table, home, workflow].map(|name| name.iter().collect::<String>());
        format!("shardlift: writes to table {table} belong in keyspace {home} (workflow {workflow})")
    };
    while text(&names).chars().count() > LONGEST_MESSAGE
        && let Some(longest) = names.iter_mut().max_by_key(|name| name.len())
    {
        longest.truncate(longest.len().saturating_sub(2));
        longest.push('…');
    }
    text(&names)
}

/// A literal that `information_schema` shows as it was written, so that texts can be compared: it shows what escapes stand
/// for, and nothing beyond the basic plane. Only what people read is changed by that.
fn literal(text: &str) -> String {
    let plain = text.chars().map(|c| if matches!(c, '\'' | '\\' | '\u{10000}'..) { '?' } else { c });
    format!("'{}'", plain.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_hold_nothing_that_ends_them_or_is_shown_otherwise() {
        assert_eq!(literal("a'b\\c ü\u{1f600}"), "'a?b?c ü?'");
    }
}
