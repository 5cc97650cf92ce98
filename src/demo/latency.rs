//! How long statements took. Pure; memory does not depend on how many there were.
//!
//! Durations are counted by size, in steps of at most an eighth (as in HdrHistogram, G. Tene).

use std::time::Duration;

/// Steps to a power of two, as a power of two.
const FINE: u32 = 3;
const STEPS: usize = 1 << FINE;
/// Powers of two, in microseconds: up to more than an hour.
const POWERS: usize = 32;

/// Durations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Latencies {
    counts: [u64; STEPS * POWERS],
}

impl Latencies {
    pub(super) fn count(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(place(micros)) {
            *count += 1;
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
    }

    pub(super) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// At most this long did so many of a hundred take; `None` if there were none.
    pub(super) fn percentile(&self, percent: u64) -> Option<Duration> {
        let wanted = (self.total() * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(Duration::from_micros(most(found)))
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: [0; STEPS * POWERS] }
    }
}

/// Where a duration is counted: by its power of two and the bits behind the first.
fn place(micros: u64) -> usize {
    let power = micros.max(STEPS as u64).ilog2() - FINE;
    // Less than 2 * STEPS.
    let fine = (micros >> power) as usize;
    (power as usize * STEPS + fine).min(STEPS * POWERS - 1)
}

/// The longest duration that is counted there, microseconds.
fn most(place: usize) -> u64 {
    if place < 2 * STEPS {
        return place as u64;
    }
    let power = place / STEPS - 1;
    (((place - power * STEPS) as u64 + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_hold_neighbours_and_percentiles_are_found() {
        for micros in (0..100_000).chain([3_600_000_000]) {
            let most = most(place(micros));
            assert!(most >= micros && most - micros <= micros / 8, "{micros}: {most}");
        }
        assert_eq!(place(u64::MAX), STEPS * POWERS - 1);
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(50), None);
        (1..=100).for_each(|micros| latencies.count(Duration::from_micros(micros)));
        let mut all = latencies.clone();
        all.add(&latencies);
        let [half, most] = [50, 99].map(|percent| all.percentile(percent).unwrap().as_micros());
        assert!((50..=55).contains(&half) && (99..=111).contains(&most) && all.total() == 200, "{half} {most}");
    }
}
