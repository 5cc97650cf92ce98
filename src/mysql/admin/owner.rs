//! Which sessions belong to an owner of a workflow, so that whoever takes over can end them.
//!
//! Connection attributes would say so, but only with performance_schema, and ids written down in a table would point at
//! strangers after a restart. A user-level lock does not: the server frees it with its session, names the session that
//! holds it, and needs no privilege. Each session of an owner holds one of [`OWNER_SLOTS`] locks named after the owner.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::mysql::{MysqlError, quote};

use super::session::Session;

/// How many sessions one owner may have on one server.
pub const OWNER_SLOTS: u32 = 128;

fn lock_name(owner: &str, slot: u32) -> String {
    quote::text(&format!("shardlift/{owner}/{slot}"))
}

/// The statement that marks the session it runs in as `owner`'s, in `slot` (below [`OWNER_SLOTS`], a different one for
/// each session of the owner on this server); it answers 1 on success. `owner` is a token of at most 40 characters.
/// Resetting the connection or changing its user loses the mark.
pub fn hold_owner_lock(owner: &str, slot: u32) -> String {
    format!("SELECT GET_LOCK({}, 0)", lock_name(owner, slot))
}

/// Kills every session that holds a mark of `owner` and returns once they are gone: how many there were. Fails with
/// [`MysqlError::Timeout`] if one is still there after `wait` (a rollback may take long).
pub async fn kill_owner_sessions(session: &mut Session, owner: &str, wait: Duration) -> Result<usize, MysqlError> {
    let deadline = Instant::now() + wait;
    let slots: Vec<String> = (0..OWNER_SLOTS).map(|slot| format!("IS_USED_LOCK({})", lock_name(owner, slot))).collect();
    let holders = format!("SELECT {}", slots.join(","));
    let mut killed = std::collections::BTreeSet::new();
    loop {
        let row = session.row(&holders).await?;
        let alive: Vec<u64> =
            row.map(|row| (0..OWNER_SLOTS as usize).filter_map(|slot| row.number(slot)).collect()).unwrap_or_default();
        if alive.is_empty() {
            return Ok(killed.len());
        }
        for id in alive {
            if killed.insert(id) {
                match session.execute(&format!("KILL {id}")).await {
                    // 1094: it went away by itself.
                    Err(error) if error.code() != Some(1094) => return Err(error),
                    _ => {}
                }
            }
        }
        if Instant::now() >= deadline {
            let address = session.address().to_string();
            return Err(MysqlError::Timeout {
                address,
                doing: "the end of the previous owner's sessions",
                after: wait,
            });
        }
        sleep(Duration::from_millis(20)).await;
    }
}
