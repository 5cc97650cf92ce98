//! Applying the binlog: transactions are folded into batches, batches are spread over connections and written.

pub mod batch;
pub mod partition;
pub mod shared;
pub mod sql;
pub mod tail;
pub mod writer;
