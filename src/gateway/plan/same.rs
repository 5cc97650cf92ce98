//! Whether a statement does the same on every shard: else the copies of a reference table would differ for good.

use super::text::Text;
use crate::gateway::sql::{TokenKind, stored_function};

/// Functions that say something else each time, on each server or on each connection.
const OTHERWISE: [&str; 21] = [
    "CONNECTION_ID",
    "CURDATE",
    "CURTIME",
    "FOUND_ROWS",
    "LAST_INSERT_ID",
    "LOAD_FILE",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "NOW",
    "PS_CURRENT_THREAD_ID",
    "RAND",
    "RANDOM_BYTES",
    "ROW_COUNT",
    "SYSDATE",
    "UNIX_TIMESTAMP",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
    "UUID",
    "UUID_SHORT",
    "VERSION",
];
/// Those that stand without parentheses, too.
const BARE: [&str; 8] = [
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
];

/// Refuses what may do something else on each shard, from a token on.
pub(super) fn check(text: &Text<'_>, from: usize) -> Result<(), String> {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for at in from..text.tokens.len() {
        let variable = text
            .tokens
            .get(at)
            .is_some_and(|token| matches!(token.kind, TokenKind::SystemVariable | TokenKind::UserVariable));
        if text.is(at, "LIMIT") {
            return Err(
                "LIMIT may take other rows on each shard, and a reference table's rows are to be the same on all; say in WHERE which \
                 are meant"
                    .into(),
            );
        }
        let called = text.is_symbol(at + 1, b'(') && text.is_any(at, &OTHERWISE);
        if variable || called || text.is_any(at, &BARE) {
            return Err(format!(
                "{} may be something else on each shard, and a reference table's rows are to be the same on all; give the value itself",
                shown(text.bytes(at))
            ));
        }
    }
    match stored_function(text.sql, text.tokens.get(from..).unwrap_or_default()) {
        Some(name) => Err(format!(
            "what function {} does cannot be seen, and a reference table's rows are to be the same on all shards; give the value itself",
            shown(name)
        )),
        None => Ok(()),
    }
}
