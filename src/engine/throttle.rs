//! The valve that slows copying down (P14): by rate, by number of connections, and while replicas of the target lag.
//!
//! What is applied from the binlog counts against the same rates but never waits: it only leaves less for copying. So a
//! throttled stream falls behind in copying, not in following; and nothing here can hold up a stop or a switch.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::workflow::Throttle;

/// How often a held copier looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Unused budget is kept for this long, so that pauses of a moment do not lower the rate.
const BURST: Duration = Duration::from_millis(250);

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
    paid_until: Arc<Mutex<Instant>>,
    reason: Arc<Mutex<Option<String>>>,
}

impl Valve {
    /// A valve obeying `limits` as they change.
    pub fn new(limits: watch::Receiver<Limits>) -> Self {
        Self { limits, paid_until: Arc::new(Mutex::new(Instant::now())), reason: Arc::default() }
    }

    /// Connections that may be used, of `wanted`.
    pub fn connections(&self, wanted: u32) -> usize {
        self.limits.borrow().throttle.connections.map_or(wanted, |most| most.min(wanted)).max(1) as usize
    }

    /// Notes work that must not wait.
    pub fn charge(&self, rows: u64, bytes: u64) {
        self.pay(rows, bytes);
    }

    /// Notes work and waits until it is within the limits. Cancel by dropping.
    pub async fn spend(&self, rows: u64, bytes: u64) {
        let until = self.pay(rows, bytes);
        loop {
            let now = Instant::now();
            let limits = self.limits.borrow().clone();
            let limited = limits.throttle.rows_per_second.is_some() || limits.throttle.bytes_per_second.is_some();
            let reason = match (limits.hold, limited && until > now) {
                (Some(hold), _) => hold,
                (None, true) => "rows or bytes per second".to_string(),
                (None, false) => {
                    self.say(None);
                    return;
                }
            };
            self.say(Some(reason));
            // In small steps, so that a limit that is lifted lets go at once.
            tokio::time::sleep_until(until.max(now + Duration::from_millis(1)).min(now + LOOK_AGAIN)).await;
        }
    }

    /// Why copying waits at the moment, if it does.
    pub fn reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn say(&self, reason: Option<String>) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// The instant at which what was used so far is within the rates.
    fn pay(&self, rows: u64, bytes: u64) -> Instant {
        let throttle = self.limits.borrow().throttle;
        let share = |used: u64, rate: Option<u64>| rate.map_or(0.0, |rate| used as f64 / rate.max(1) as f64);
        let cost = share(rows, throttle.rows_per_second).max(share(bytes, throttle.bytes_per_second));
        let mut paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        *paid_until = (*paid_until).max(earliest) + Duration::from_secs_f64(cost.min(3_600.0));
        *paid_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rates_hold_over_time_and_lifting_them_lets_go() {
        let throttle = Throttle { rows_per_second: Some(100), ..Throttle::default() };
        let (sender, limits) = watch::channel(Limits { throttle, hold: None });
        let valve = Valve::new(limits);
        let start = Instant::now();
        for _ in 0..10 {
            valve.spend(50, 1).await;
        }
        let took = start.elapsed().as_secs_f64();
        assert!((4.5..5.5).contains(&took), "500 rows at 100 a second took {took} s");
        valve.charge(100_000, 1);
        let spend = valve.spend(1, 1);
        tokio::pin!(spend);
        assert!(tokio::time::timeout(Duration::from_secs(5), &mut spend).await.is_err());
        assert!(valve.reason().is_some());
        sender.send(Limits::default()).unwrap();
        tokio::time::timeout(Duration::from_secs(1), spend).await.unwrap();
        assert!(valve.reason().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_rests_copying_and_says_why() {
        let (sender, limits) = watch::channel(Limits { hold: Some("replica lag".into()), ..Limits::default() });
        let valve = Valve::new(limits);
        let spend = valve.spend(1, 1);
        tokio::pin!(spend);
        assert!(tokio::time::timeout(Duration::from_secs(60), &mut spend).await.is_err());
        assert_eq!(valve.reason().as_deref(), Some("replica lag"));
        valve.charge(1_000_000, 1_000_000);
        sender.send(Limits::default()).unwrap();
        tokio::time::timeout(Duration::from_secs(1), spend).await.unwrap();
    }
}
