//! The session state that an OK packet reports: what we learn from it, and what of it the client is told. Pure.

use crate::mysql::wire::ok::{self, state};

use super::{Relayed, Tracking};

/// The server reports the number of each statement as if it were a variable.
const STATEMENT_ID: &str = "statement_id";

/// Adds the changes in an OK packet's block to `relayed`. What is left of them for the client; `None` if they are malformed.
pub fn take(block: &[u8], tracking: &Tracking<'_>, relayed: &mut Relayed) -> Option<Vec<u8>> {
    let mut told = Vec::new();
    for (kind, data) in ok::changes(block)? {
        match kind {
            state::SYSTEM_VARIABLES => {
                let mut kept = Vec::new();
                for (name, value) in ok::variables(data)? {
                    let text = String::from_utf8_lossy(name);
                    if (tracking.variables)(&text) {
                        ok::push_text(&mut kept, name);
                        ok::push_text(&mut kept, value);
                    }
                    if text != STATEMENT_ID {
                        let value = String::from_utf8_lossy(value).into_owned();
                        relayed.changed.push((text.into_owned(), value));
                    }
                }
                if !kept.is_empty() {
                    push(&mut told, kind, &kept);
                }
            }
            state::SCHEMA => {
                let (schema, _) = ok::text(data)?;
                let schema = String::from_utf8_lossy(schema);
                if let Some(name) = (tracking.schema)(&schema) {
                    let mut kept = Vec::new();
                    ok::push_text(&mut kept, name.as_bytes());
                    push(&mut told, kind, &kept);
                }
                relayed.schema = Some(schema.into_owned());
            }
            state::STATE_CHANGE => {
                relayed.state_changed = true;
                if tracking.state_change {
                    push(&mut told, kind, data);
                }
            }
            // GTIDs, and what is known of the transaction: the server sends them to those who asked, by a variable of their own.
            _ => push(&mut told, kind, data),
        }
    }
    Some(told)
}

fn push(block: &mut Vec<u8>, kind: u8, data: &[u8]) {
    block.push(kind);
    ok::push_text(block, data);
}
