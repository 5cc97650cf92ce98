//! Meeting the last applied transaction again: what a reconnect must find unchanged on the source (protocol-review A5).
//!
//! A server that crashed without syncing its binlog, or was put back from a backup, may use GTIDs again for other
//! transactions; MySQL itself notices only while it is still shorter than our position. So before a stream reads on, the
//! newest transaction of its position is fetched once more, undecoded, and compared by commit time and length.

use std::sync::Arc;

use crate::model::{Gtid, GtidSet, TableDef};
use crate::mysql::binlog::{BinlogOptions, BinlogReader, SourceEvent, Tables};

use super::apply::batch::LastTxn;
use super::connect::Side;
use super::error::EngineError;

/// No table is decoded.
struct Nothing;

impl Tables for Nothing {
    fn table(&self, _database: &str, _table: &str) -> Option<Arc<TableDef>> {
        None
    }
}

/// Fetches `last` from the source, which has executed everything in `position`, and compares it. `same_server`: it was
/// read from this server, so its length must be the same too; another server's copy may be longer or shorter.
pub async fn check(source: &Side, position: &GtidSet, last: &LastTxn, same_server: bool) -> Result<(), EngineError> {
    let mut only = GtidSet::new();
    only.add(&last.gtid);
    let options = BinlogOptions::new(position.minus(&only), Arc::new(Nothing));
    let mut reader = BinlogReader::open(source.binlog().await?, options).await?;
    let (committed_us, length) = loop {
        let of = |gtid: &Gtid| *gtid == last.gtid;
        match reader.next().await {
            Ok(SourceEvent::Txn(txn)) if of(&txn.gtid) => break (txn.committed_us, txn.length),
            Ok(SourceEvent::Ddl(ddl)) if of(&ddl.gtid) => break (ddl.committed_us, ddl.length),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    };
    reader.close().await;
    let other_length = last.length != 0 && length != 0 && last.length != length;
    if committed_us != last.committed_us || (same_server && other_length) {
        return Err(EngineError::ReusedGtid { gtid: last.gtid.to_string() });
    }
    Ok(())
}
