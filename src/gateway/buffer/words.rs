//! What clients are told that wait in vain. Codes are MySQL's own, so that drivers know what may be tried again.

use std::time::Duration;

use super::BufferLimits;
use crate::gateway::client::SqlError;
use crate::gateway::view::Pause;
use crate::metrics::Bound;

/// ER_LOCK_DEADLOCK, as which drivers know it: the transaction, if there was one, is rolled back.
pub fn begin_again(why: &str) -> SqlError {
    let text = format!("Deadlock found when trying to get lock; try restarting transaction ({why})");
    SqlError::new(1213, b"40001", text)
}

/// ER_QUERY_INTERRUPTED: KILL.
pub fn interrupted() -> SqlError {
    SqlError::new(1317, b"70100", "Query execution was interrupted")
}

/// ER_LOCK_WAIT_TIMEOUT, which drivers take for worth another try, as nothing was executed.
pub fn no_room(bound: Bound, limits: &BufferLimits) -> SqlError {
    let (most, flag) = match bound {
        Bound::Statements => (format!("{} statements", limits.statements), "--buffer-size"),
        Bound::Bytes => (format!("{} bytes", limits.bytes), "--buffer-bytes"),
    };
    let text = format!(
        "writes are held while their tables' traffic is switched, and the gateway's buffer is full ({most}, see {flag});          nothing was executed, try again"
    );
    SqlError::new(1205, b"HY000", text)
}

/// The same code: its time is over. `refusal`: a fence's words, if one refused it.
pub fn expired(window: Duration, pause: Option<&Pause>, refusal: Option<&str>) -> SqlError {
    let whose = pause.map(|pause| format!(" by workflow {}", pause.workflow)).unwrap_or_default();
    let refusal = refusal.map(|words| format!("; the server said: {words}")).unwrap_or_default();
    let text = format!(
        "Lock wait timeout exceeded; try restarting transaction (held for {window:?}, see --buffer-window, while the          traffic of its tables was being switched{whose}; nothing was executed{refusal})"
    );
    SqlError::new(1205, b"HY000", text)
}
