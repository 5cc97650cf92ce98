//! Asking and telling a server about itself: positions, prepared XA, replication, binlogs, sessions.
//!
//! Everything goes through [`Session`], which gives each statement a deadline. Nothing here needs performance_schema:
//! switched off, its tables are empty rather than absent, and would answer "no filters" where there are some.

mod binlogs;
mod monitor;
mod owner;
mod replica;
mod session;
mod sidecar;
mod state;
mod transactions;

pub use binlogs::{BinlogStatus, binlog_status, oldest_binlog_time, retention};
pub use owner::{OWNER_SLOTS, hold_owner_lock, kill_owner_sessions};
pub use replica::{Channel, channels};
pub use session::{Record, Session};
pub use sidecar::{
    FENCES, Part, SIDECAR, STREAMS, create_part, drop_part_if_empty, drop_sidecar_if_empty, lock_sidecar, part_exists,
    unlock_sidecar,
};
pub use state::{GtidState, OWNED, Owned, PreparedXa, gtid_owned, gtid_state, wait_for_executed_gtid_set, xa_recover};
pub use transactions::{OpenTransaction, open_transactions};
