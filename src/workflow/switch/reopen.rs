//! An engine that is cut off while its fence is closed opens it again by itself.
//!
//! Nobody else may be there to do it: the topology may be gone for all. It is safe while the commit was never sent, for then
//! it cannot happen any more, and whoever takes the workflow over undoes what it finds; a later closing of theirs has a
//! higher epoch, against which this comes to nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::model::fence::Epoch;
use crate::workflow::fence::{Fence, FenceError, open};

const PATIENCE: Duration = Duration::from_secs(600);
const TRY: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(500);

/// Opens the fences when it is dropped, unless it was told to stand down.
#[derive(Debug)]
pub struct Reopen {
    fences: Vec<Fence>,
    epoch: Epoch,
}

impl Reopen {
    /// For fences about to be closed; `epoch` must be above that of the closing.
    pub fn new(fences: Vec<Fence>, epoch: Epoch) -> Self {
        Self { fences, epoch }
    }

    /// The commit is about to be sent, or somebody has opened them.
    pub fn stand_down(mut self) {
        self.fences.clear();
    }
}

impl Drop for Reopen {
    fn drop(&mut self) {
        for fence in std::mem::take(&mut self.fences) {
            let epoch = self.epoch;
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { reopen(&fence, epoch).await });
            }
        }
    }
}

async fn reopen(fence: &Fence, epoch: Epoch) {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        match open(fence, epoch, Instant::now() + TRY).await {
            Ok(_) => {
                return tracing::warn!(workflow = %fence.workflow, side = fence.side.label, "the fence is open again");
            }
            // Another engine has seen to it.
            Err(FenceError::Superseded { .. } | FenceError::Missing { .. }) => return,
            Err(error) => tracing::warn!(%error, "the fence cannot be opened yet"),
        }
        sleep(AGAIN).await;
    }
}
