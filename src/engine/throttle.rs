//! The valve that slows copying down (P14): by rate, by number of connections, and while replicas of the target lag.
//!
//! # Invariants
//! - Copying waits between chunks only, and chunks shrink to what the rates allow in a moment: whatever waits holds no
//!   snapshot, no lock and no half-sent statement, and can be told to stop at once.
//! - What is applied from the binlog counts against the same rates but never waits: it only leaves less for copying. So a
//!   throttled stream falls behind in copying, not in following.
//! - A limit that is changed or lifted holds from the next look on, also for what waits already.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::model::workflow::Throttle;

/// How often a held copier looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Unused budget is kept for this long, so that pauses of a moment do not lower the rate.
const BURST: Duration = Duration::from_millis(250);
/// A chunk is no larger than what the rates allow in this time.
const CHUNK: Duration = Duration::from_millis(250);
/// No more is owed than what the rates allow in this time: a limit set while large chunks were under way, or a load of
/// changes applied, must not stop the copy for hours.
const MOST_OWED: Duration = Duration::from_secs(30);
/// Copying counts as throttled for this long after it last had to wait.
const REMEMBERED: Duration = Duration::from_secs(2);

/// What holds copying back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Rows,
    Bytes,
    ReplicaLag,
}

impl Cause {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Rows, "rows"), (Self::Bytes, "bytes"), (Self::ReplicaLag, "replica_lag")];
}

/// The limits as they stand, and whatever else holds copying back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// What the operator asked for.
    pub throttle: Throttle,
    /// Why copying must rest altogether now, e.g. a replica's lag.
    pub hold: Option<String>,
}

/// A share in the valve of one workflow. Clones are the same valve.
#[derive(Debug, Clone)]
pub struct Valve {
    limits: watch::Receiver<Limits>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    rows: Account,
    bytes: Account,
    settled: Instant,
    waited: Option<(Instant, String)>,
    /// When it was last found closed, and not open since.
    closed: Option<(Instant, Cause)>,
    /// How long it was closed to somebody in all, by cause.
    held: [Duration; Cause::ALL.len()],
}

/// What was used beyond what the rate has allowed so far; negative: what it allowed and was not used.
#[derive(Debug, Default)]
struct Account(f64);

impl Account {
    fn settle(&mut self, rate: Option<u64>, elapsed: Duration) {
        let Some(rate) = rate else {
            self.0 = 0.0;
            return;
        };
        let allowed = |time: Duration| rate.max(1) as f64 * time.as_secs_f64();
        self.0 = (self.0 - allowed(elapsed)).clamp(-allowed(BURST), allowed(MOST_OWED));
    }
}

impl Valve {
    /// A valve obeying `limits` as they change.
    pub fn new(limits: watch::Receiver<Limits>) -> Self {
        let (rows, bytes, held) = Default::default();
        let state = State { rows, bytes, settled: Instant::now(), waited: None, closed: None, held };
        Self { limits, state: Arc::new(Mutex::new(state)) }
    }

    /// Connections that may be used, of `wanted`.
    pub fn connections(&self, wanted: u32) -> usize {
        self.limits.borrow().throttle.connections.map_or(wanted, |most| most.min(wanted)).max(1) as usize
    }

    /// Rows of a chunk, of `wanted`, where a row has about `row_bytes` bytes; at least 1.
    pub fn chunk_rows(&self, wanted: u64, row_bytes: u64) -> u64 {
        let throttle = self.limits.borrow().throttle;
        let allowed = |rate: u64| (rate as f64 * CHUNK.as_secs_f64()) as u64;
        let by_rows = throttle.rows_per_second.map_or(wanted, allowed);
        let by_bytes = throttle.bytes_per_second.map_or(wanted, |rate| allowed(rate) / row_bytes.max(1));
        wanted.min(by_rows).min(by_bytes).max(1)
    }

    /// Notes work, copied or applied.
    pub fn charge(&self, rows: u64, bytes: u64) {
        let throttle = self.limits.borrow().throttle;
        let mut state = self.settled(&throttle);
        state.rows.0 += rows as f64;
        state.bytes.0 += bytes as f64;
    }

    /// Why no chunk may be begun now; `None` where one may.
    pub fn closed(&self) -> Option<String> {
        let limits = self.limits.borrow().clone();
        let mut state = self.settled(&limits.throttle);
        let limit =
            |rate: Option<u64>, what: &str| format!("limited to {} {what} per second", rate.unwrap_or_default());
        let (cause, reason) = match limits.hold {
            Some(hold) => (Cause::ReplicaLag, hold),
            None if state.rows.0 > 0.0 => (Cause::Rows, limit(limits.throttle.rows_per_second, "rows")),
            None if state.bytes.0 > 0.0 => (Cause::Bytes, limit(limits.throttle.bytes_per_second, "bytes")),
            None => {
                state.hold(None);
                return None;
            }
        };
        state.hold(Some(cause));
        state.waited = Some((Instant::now(), reason.clone()));
        Some(reason)
    }

    /// How long copying was held back in all, by cause; however many waited at a time.
    pub fn held(&self) -> Vec<(&'static str, Duration)> {
        let state = self.state();
        Cause::ALL.map(|(cause, word)| (word, state.held[cause as usize])).into()
    }

    /// Waits until a chunk may be begun. Cancel by dropping.
    pub async fn opened(&self) {
        while self.closed().is_some() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether a chunk may be begun: now, or at least before `until` and before `cancel` is called.
    pub async fn admits(&self, until: Instant, cancel: &CancellationToken) -> bool {
        tokio::select! {
            biased;
            () = cancel.cancelled() => false,
            () = self.opened() => true,
            () = tokio::time::sleep_until(until) => false,
        }
    }

    /// Why copying waits, or had to a moment ago.
    pub fn reason(&self) -> Option<String> {
        let state = self.state();
        let (at, reason) = state.waited.as_ref()?;
        (at.elapsed() < REMEMBERED).then(|| reason.clone())
    }

    fn settled(&self, throttle: &Throttle) -> MutexGuard<'_, State> {
        let mut state = self.state();
        let now = Instant::now();
        let elapsed = now - state.settled;
        state.settled = now;
        state.rows.settle(throttle.rows_per_second, elapsed);
        state.bytes.settle(throttle.bytes_per_second, elapsed);
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes what it was found closed by, or that it was found open. Time counts as held if somebody looked at both ends.
    fn hold(&mut self, cause: Option<Cause>) {
        let now = Instant::now();
        if let Some((at, cause)) = self.closed.take().filter(|(at, _)| now - *at < REMEMBERED) {
            self.held[cause as usize] += now - at;
        }
        self.closed = cause.map(|cause| (now, cause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valve(throttle: Throttle) -> (watch::Sender<Limits>, Valve) {
        let (sender, limits) = watch::channel(Limits { throttle, hold: None });
        (sender, Valve::new(limits))
    }

    fn rows(rate: u64) -> Throttle {
        Throttle { rows_per_second: Some(rate), ..Throttle::default() }
    }

    async fn opens_within(valve: &Valve, limit: Duration) -> bool {
        tokio::time::timeout(limit, valve.opened()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn rates_hold_over_time() {
        let (_sender, valve) = valve(rows(100));
        let start = Instant::now();
        for _ in 0..10 {
            valve.opened().await;
            valve.charge(50, 1);
        }
        valve.opened().await;
        let took = start.elapsed().as_secs_f64();
        assert!((4.5..5.5).contains(&took), "500 rows at 100 a second took {took} s");
        let held: Vec<_> = valve.held().into_iter().map(|(word, time)| (word, time.as_secs_f64())).collect();
        assert!(held[0].0 == "rows" && held[0].1 > took - 0.5 && held[0].1 <= took, "held of {took} s: {held:?}");
        assert!(held[1..].iter().all(|(_, time)| *time == 0.0), "{held:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_limit_holds_at_once_and_debts_are_bounded() {
        let (sender, valve) = valve(rows(1_000));
        valve.charge(20_000, 1);
        assert!(!opens_within(&valve, Duration::from_secs(5)).await);
        assert_eq!(valve.reason().as_deref(), Some("limited to 1000 rows per second"));
        sender.send_modify(|limits| limits.throttle = rows(10_000));
        assert!(opens_within(&valve, Duration::from_secs(2)).await);
        // Far more than the rate allows, by chunks planned without a limit.
        sender.send_modify(|limits| limits.throttle = rows(1));
        valve.charge(1_000_000, 1);
        assert!(!opens_within(&valve, Duration::from_secs(20)).await);
        assert!(opens_within(&valve, Duration::from_secs(15)).await);
        valve.charge(1_000, 1);
        sender.send_modify(|limits| limits.throttle = Throttle::default());
        assert!(valve.closed().is_none());
        tokio::time::sleep(REMEMBERED).await;
        assert!(valve.reason().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_rests_copying_until_it_is_lifted_or_the_copy_is_to_stop() {
        let (sender, valve) = valve(Throttle::default());
        sender.send_modify(|limits| limits.hold = Some("replica lag".into()));
        let (cancel, later) = (CancellationToken::new(), Instant::now() + Duration::from_secs(60));
        assert!(!valve.admits(later, &cancel).await);
        assert_eq!(valve.reason().as_deref(), Some("replica lag"));
        cancel.cancel();
        let began = Instant::now();
        assert!(!valve.admits(began + Duration::from_secs(60), &cancel).await);
        assert_eq!(Instant::now(), began);
        sender.send_modify(|limits| limits.hold = None);
        assert!(valve.admits(began, &CancellationToken::new()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn chunks_shrink_to_what_the_rates_allow() {
        let (sender, valve) = valve(rows(1_000));
        assert_eq!(valve.chunk_rows(100_000, 100), 250);
        sender.send_modify(|limits| limits.throttle.bytes_per_second = Some(4_000));
        assert_eq!(valve.chunk_rows(100_000, 100), 10);
        assert_eq!(valve.chunk_rows(100_000, 1 << 20), 1);
        sender.send_modify(|limits| limits.throttle = Throttle::default());
        assert_eq!(valve.chunk_rows(100_000, 100), 100_000);
    }
}
