//! Reads the source's binlog from a position on and hands out batches.
//!
//! A task of its own reads and folds while the last batch is being applied, so that a batch is as large as the applier is
//! slow, and a lone transaction is on its way at once. Memory is bounded: one batch in the channel, one being folded, each
//! up to [`BATCH_BYTES`] (a single larger row apart).

use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::model::{GtidSet, Txn};
use crate::mysql::binlog::{BinlogReader, SourceEvent};

use super::batch::{Batch, LastTxn};
use crate::engine::error::EngineError;

/// A batch is handed on when its rows take this many bytes.
pub const BATCH_BYTES: usize = 8 << 20;
/// Or when it holds this many transactions.
const BATCH_TXNS: u64 = 20_000;
/// Transactions that touch none of our tables move the position this often.
const IDLE_MOVE: Duration = Duration::from_millis(200);

/// What the binlog says next.
#[derive(Debug)]
pub enum Step {
    /// Transactions, folded.
    Batch(Batch),
    /// A statement that is not DML; a transaction of its own.
    Ddl(crate::mysql::binlog::Ddl),
    /// The server has nothing more at the moment.
    Level,
}

/// The reading task and its channel. Dropping it ends the task.
#[derive(Debug)]
pub struct Tail {
    steps: mpsc::Receiver<Result<Step, EngineError>>,
    task: JoinHandle<()>,
}

impl Tail {
    /// Starts reading. `known` is the transaction the position ends with, if the reader was opened so as to see it again.
    pub fn start(reader: BinlogReader, known: Option<Known>) -> Self {
        let (sender, steps) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            if let Err(error) = read(reader, known, &sender).await {
                // A receiver that is gone has no use for the error.
                let _ = sender.send(Err(error)).await;
            }
        });
        Self { steps, task }
    }

    /// The next step.
    pub async fn next(&mut self) -> Result<Step, EngineError> {
        match self.steps.recv().await {
            Some(step) => step,
            None => Err(EngineError::Task("the binlog reader".into())),
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // It only reads; nothing is half done when it ends.
        self.task.abort();
    }
}

/// The transaction a position ends with, to be met again and compared.
#[derive(Debug, Clone)]
pub struct Known {
    /// As it was applied.
    pub last: LastTxn,
    /// Whether the same server wrote it then, so that its length must be the same.
    pub same_server: bool,
}

impl Known {
    /// The position to open a reader at so that the known transaction is sent again.
    pub fn reopen(&self, position: &GtidSet) -> GtidSet {
        let mut only = GtidSet::new();
        only.add(&self.last.gtid);
        position.minus(&only)
    }

    fn check(&self, txn: &Txn) -> Result<(), EngineError> {
        let length = self.last.length != 0 && txn.length != 0 && self.last.length != txn.length;
        if txn.committed_us != self.last.committed_us || (self.same_server && length) {
            return Err(EngineError::ReusedGtid { gtid: txn.gtid.to_string() });
        }
        Ok(())
    }
}

async fn read(
    mut reader: BinlogReader,
    known: Option<Known>,
    sender: &mpsc::Sender<Result<Step, EngineError>>,
) -> Result<(), EngineError> {
    let mut batch = Batch::default();
    let mut began = Instant::now();
    loop {
        let event = {
            let mut next = pin!(reader.next());
            loop {
                let ready = began + if batch.is_empty() { IDLE_MOVE } else { Duration::ZERO };
                let pending = batch.txns > 0 || !batch.is_empty();
                tokio::select! {
                    event = &mut next => break event?,
                    permit = after(ready, sender), if pending => match permit {
                        Some(permit) => permit.send(Ok(Step::Batch(std::mem::take(&mut batch)))),
                        None => return Ok(()),
                    },
                }
            }
        };
        let step = match event {
            SourceEvent::Txn(txn) => {
                match &known {
                    Some(known) if known.last.gtid == txn.gtid => {
                        known.check(&txn)?;
                        continue;
                    }
                    _ => {}
                }
                if batch.txns == 0 && batch.is_empty() {
                    began = Instant::now();
                }
                batch.add(txn);
                if batch.size() < BATCH_BYTES && batch.txns < BATCH_TXNS {
                    continue;
                }
                Step::Batch(std::mem::take(&mut batch))
            }
            SourceEvent::Ddl(ddl) => {
                if known.as_ref().is_some_and(|known| known.last.gtid == ddl.gtid) {
                    continue;
                }
                if batch.txns > 0 && sender.send(Ok(Step::Batch(std::mem::take(&mut batch)))).await.is_err() {
                    return Ok(());
                }
                Step::Ddl(ddl)
            }
            SourceEvent::Heartbeat if batch.txns == 0 && batch.is_empty() => Step::Level,
            SourceEvent::Heartbeat => continue,
        };
        if sender.send(Ok(step)).await.is_err() {
            return Ok(());
        }
    }
}

async fn after<T>(at: Instant, sender: &mpsc::Sender<T>) -> Option<mpsc::Permit<'_, T>> {
    tokio::time::sleep_until(at).await;
    sender.reserve().await.ok()
}
