//! Reads the source's binlog from a position on and hands out batches.
//!
//! A task of its own reads and folds while the last batch is being applied, so that a batch is as large as the applier is
//! slow, and a lone transaction is on its way at once. Memory is bounded: one batch in the channel, one being folded, each
//! up to [`BATCH_BYTES`] and a piece of a transaction; a batch with a longer row is applied before anything more is read.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::mapping::Mapping;
use crate::mysql::binlog::{BinlogReader, SourceEvent};

use super::batch::Batch;
use crate::engine::error::EngineError;
use crate::engine::memory;

/// A batch is handed on when its rows take this many bytes.
pub const BATCH_BYTES: usize = 8 << 20;
/// After rows of this many bytes were handed on, what they took is given back to the system.
const GIVE_BACK: usize = 4 * BATCH_BYTES;
/// A batch of this many bytes holds a very long row.
const LARGE_BYTES: usize = 2 * BATCH_BYTES;
/// Or when it holds this many transactions.
const BATCH_TXNS: u64 = 20_000;
/// Transactions that touch none of our tables move the position this often; but one that writes a fence at once, and those that
/// follow it for a while: writers are held until the stream has passed it, and whatever else was committed by then.
const IDLE_MOVE: Duration = Duration::from_millis(200);
const HURRY: Duration = Duration::from_secs(1);

/// What the binlog says next.
#[derive(Debug)]
pub enum Step {
    /// Transactions, folded.
    Batch(Batch),
    /// A statement that is not DML; a transaction of its own.
    Ddl(crate::mysql::binlog::Ddl),
    /// The server lives and has nothing to say at the moment; it may still be looking for our place.
    Quiet,
}

/// The reading task and its channel. Dropping it ends the task.
#[derive(Debug)]
pub struct Tail {
    steps: mpsc::Receiver<Result<Step, EngineError>>,
    task: JoinHandle<()>,
}

impl Tail {
    /// Starts reading, for the targets of `mapping`.
    pub fn start(reader: BinlogReader, mapping: Arc<Mapping>) -> Self {
        let (sender, steps) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            if let Err(error) = read(reader, mapping, &sender).await {
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

async fn read(
    mut reader: BinlogReader,
    mapping: Arc<Mapping>,
    sender: &mpsc::Sender<Result<Step, EngineError>>,
) -> Result<(), EngineError> {
    let alone = Arc::new(Semaphore::new(1));
    let mut batch = Batch::new(mapping);
    let mut began = Instant::now();
    let mut hurry = began;
    let mut handed_on = 0;
    loop {
        let event = {
            let mut next = pin!(reader.next());
            loop {
                let idle = batch.is_empty() && Instant::now() >= hurry;
                let ready = began + if idle { IDLE_MOVE } else { Duration::ZERO };
                let pending = batch.txns > 0 || !batch.is_empty();
                tokio::select! {
                    event = &mut next => break event,
                    permit = after(ready, sender), if pending => match permit {
                        Some(permit) => permit.send(Ok(Step::Batch(batch.take()))),
                        None => return Ok(()),
                    },
                }
            }
        };
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                // What came before it is applied, so that the position stands right before what failed.
                if batch.txns > 0 {
                    let _ = sender.send(Ok(Step::Batch(batch))).await;
                }
                return Err(error.into());
            }
        };
        let step = match event {
            SourceEvent::Txn(txn) => {
                if batch.txns == 0 && batch.is_empty() {
                    began = Instant::now();
                }
                if let Err(error) = batch.add(txn) {
                    // What is folded in of this transaction must not be applied without the rest of it.
                    return Err(error.into());
                }
                if batch.fence {
                    hurry = Instant::now() + HURRY;
                }
                if batch.size() < BATCH_BYTES && batch.txns < BATCH_TXNS {
                    continue;
                }
                handed_on += batch.size();
                if handed_on >= GIVE_BACK {
                    handed_on = 0;
                    memory::give_back();
                }
                if batch.size() >= LARGE_BYTES {
                    // Rows this long are held one batch at a time: the next event is read when this one is applied.
                    batch.hold = alone.clone().acquire_owned().await.ok();
                    if sender.send(Ok(Step::Batch(batch.take()))).await.is_err() {
                        return Ok(());
                    }
                    drop(alone.acquire().await);
                    continue;
                }
                Step::Batch(batch.take())
            }
            SourceEvent::Ddl(ddl) => {
                if batch.txns > 0 && sender.send(Ok(Step::Batch(batch.take()))).await.is_err() {
                    return Ok(());
                }
                Step::Ddl(ddl)
            }
            SourceEvent::Heartbeat if batch.txns == 0 && batch.is_empty() => Step::Quiet,
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
