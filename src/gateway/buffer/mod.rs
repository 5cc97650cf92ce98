//! Statements held while the traffic of their tables is switched (design §5.2, §6).
//!
//! [`grip`] says what a statement would lock, [`plan`] whether it is held and whether it may be sent again; both are pure,
//! as is [`words`], what clients are told. A [`Buffer`] counts what is held and keeps the bounds; the sessions do the waiting (`session::hold`).
//!
//! Invariants:
//! - Only a statement that would open a transaction is held: whoever waits here holds no lock that another one waits for, so
//!   that every cycle is MySQL's to see.
//! - Nothing rests on holding: what gets past a pause is refused by the fence on the server, before it has done anything.
//! - What is held is bounded in number, bytes and time, and one that finds no room is told so; nothing of it was executed.
//! - A session waits with its own statement only: the order within a session stays.

pub mod grip;
pub mod plan;
pub mod words;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::metrics::{Bound, GatewayMetrics, Released};

/// The least and most time between two attempts at a fence, while few statements wait for it.
const AGAIN: std::ops::RangeInclusive<u64> = 5..=20;
/// So many statements may try at that pace; where more wait, each tries less often.
const TRYING: usize = 16;

/// How much may be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferLimits {
    /// Most statements.
    pub statements: usize,
    /// Most bytes of their texts and parameters; a statement that is alone may have more.
    pub bytes: usize,
    /// The longest that one is held.
    pub window: Duration,
}

impl Default for BufferLimits {
    /// Vitess's defaults (`--buffer-size`, `--buffer-window`), and 64 MiB.
    fn default() -> Self {
        Self { statements: 1_000, bytes: 64 << 20, window: Duration::from_secs(10) }
    }
}

/// What a gateway holds. Clones are the same.
#[derive(Debug, Clone)]
pub struct Buffer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: BufferLimits,
    metrics: GatewayMetrics,
    state: Mutex<State>,
    opened: Notify,
    complained: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    statements: usize,
    bytes: usize,
    /// By the workflow's identity, where it is known.
    pauses: BTreeMap<Option<Uuid>, Paused>,
}

/// What is held for one workflow's pause.
#[derive(Debug)]
struct Paused {
    statements: usize,
    /// When the first was held; `None` once the pause has ended.
    began: Option<Instant>,
}

/// A statement's place in the buffer; leaving it frees the room.
#[derive(Debug)]
pub struct Place {
    buffer: Buffer,
    bytes: usize,
    since: Instant,
    pause: Option<Uuid>,
    left: bool,
}

impl Buffer {
    /// An empty one.
    pub fn new(limits: BufferLimits, metrics: GatewayMetrics) -> Self {
        Self(Arc::new(Inner {
            limits,
            metrics,
            state: Mutex::default(),
            opened: Notify::new(),
            complained: AtomicBool::new(false),
        }))
    }

    /// How much may be held.
    pub fn limits(&self) -> &BufferLimits {
        &self.0.limits
    }

    /// A place for a statement of so many bytes, held for this workflow's pause, if one is known.
    ///
    /// # Errors
    /// The bound that leaves no room.
    pub fn enter(&self, bytes: usize, pause: Option<Uuid>) -> Result<Place, Bound> {
        let Inner { limits, metrics, .. } = &*self.0;
        let mut state = self.state();
        let full = match state.statements {
            statements if statements >= limits.statements => Some(Bound::Statements),
            1.. if state.bytes.saturating_add(bytes) > limits.bytes => Some(Bound::Bytes),
            _ => None,
        };
        if let Some(bound) = full {
            metrics.buffer().refused(bound);
            return Err(bound);
        }
        let since = Instant::now();
        state.statements += 1;
        state.bytes += bytes;
        let paused = state.pauses.entry(pause).or_insert(Paused { statements: 0, began: None });
        paused.statements += 1;
        paused.began.get_or_insert(since);
        metrics.buffer().holds();
        Ok(Place { buffer: self.clone(), bytes, since, pause, left: false })
    }

    /// How long to wait before a closed fence is tried again; `random` is any number.
    pub fn until_next_try(&self, random: u64) -> Duration {
        let (least, most) = (*AGAIN.start(), *AGAIN.end());
        let crowd = self.state().statements.div_ceil(TRYING).max(1) as u64;
        Duration::from_millis((least + random % (most - least + 1)).saturating_mul(crowd))
    }

    /// Resolves when a statement that a fence had refused has got through.
    pub async fn opened(&self) {
        self.0.opened.notified().await;
    }

    /// True the first time: that a fence's row cannot be read is worth saying once.
    pub fn complains(&self) -> bool {
        !self.0.complained.swap(true, Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Since when the statement is held.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// The statement is held no longer.
    pub fn leave(mut self, why: Released) {
        self.release(why);
        if matches!(why, Released::Moved | Released::Stayed) {
            self.buffer.0.opened.notify_waiters();
        }
    }

    fn release(&mut self, why: Released) {
        self.left = true;
        let metrics = self.buffer.0.metrics.buffer();
        let mut state = self.buffer.state();
        state.statements -= 1;
        state.bytes -= self.bytes;
        let mut ended = None;
        if let Some(paused) = state.pauses.get_mut(&self.pause) {
            paused.statements -= 1;
            if matches!(why, Released::Moved | Released::Stayed) {
                ended = paused.began.take();
            }
            if paused.statements == 0 {
                state.pauses.remove(&self.pause);
            }
        }
        drop(state);
        metrics.released(why, self.since.elapsed());
        if let Some(began) = ended {
            let lasted = began.elapsed();
            metrics.pause(lasted);
            tracing::info!(workflow = ?self.pause, ?lasted, "a pause has ended: the first held statement goes on");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.left {
            self.release(Released::Left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bounds_hold_and_room_comes_back() {
        let limits = BufferLimits { statements: 2, bytes: 100, window: Duration::from_secs(1) };
        let buffer = Buffer::new(limits, GatewayMetrics::default());
        let long = buffer.enter(1_000, None).unwrap();
        assert_eq!(buffer.enter(1, None).unwrap_err(), Bound::Bytes);
        drop(long);
        let (one, two) = (buffer.enter(60, None).unwrap(), buffer.enter(40, None).unwrap());
        assert_eq!(buffer.enter(0, None).unwrap_err(), Bound::Statements);
        one.leave(Released::Moved);
        two.leave(Released::Expired);
        let state = buffer.state();
        assert_eq!((state.statements, state.bytes, state.pauses.len()), (0, 0, 0));
    }

    #[tokio::test]
    async fn a_crowd_tries_less_often() {
        let limits = BufferLimits { statements: 1_000, ..BufferLimits::default() };
        let buffer = Buffer::new(limits, GatewayMetrics::default());
        let few: Vec<_> = (0..TRYING).map(|_| buffer.enter(1, None).unwrap()).collect();
        assert!((5..=20).contains(&buffer.until_next_try(u64::MAX).as_millis()));
        let more: Vec<_> = (0..9 * TRYING).map(|_| buffer.enter(1, None).unwrap()).collect();
        assert!((50..=200).contains(&buffer.until_next_try(7).as_millis()));
        drop((few, more));
    }
}
