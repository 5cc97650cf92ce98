//! A histogram of durations that two additions feed.

use std::array::from_fn;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus::proto::{Bucket, Histogram};

/// Upper bounds in microseconds: 50 µs to 10 s.
const BOUNDS: [u64; 17] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000, 10_000_000,
];

/// Durations, counted by size.
#[derive(Debug)]
pub(super) struct Latency {
    /// By bound; the last is for what is longer than all of them.
    counts: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { counts: from_fn(|_| AtomicU64::new(0)), micros: AtomicU64::new(0) }
    }
}

impl Latency {
    /// Counts one.
    pub(super) fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS.partition_point(|&bound| bound < micros);
        self.counts[place].fetch_add(1, Relaxed);
        self.micros.fetch_add(micros, Relaxed);
    }

    /// As Prometheus wants it; `None` if there was none.
    pub(super) fn read(&self) -> Option<Histogram> {
        let mut seen = 0;
        let mut buckets = Vec::with_capacity(BOUNDS.len());
        for (count, bound) in self.counts.iter().zip(BOUNDS) {
            seen += count.load(Relaxed);
            let mut bucket = Bucket::default();
            bucket.set_cumulative_count(seen);
            bucket.set_upper_bound(bound as f64 / 1e6);
            buckets.push(bucket);
        }
        seen += self.counts.last().map_or(0, |longer| longer.load(Relaxed));
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(seen);
        histogram.set_sample_sum(self.micros.load(Relaxed) as f64 / 1e6);
        (seen > 0).then_some(histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_that_still_holds_them() {
        let latency = Latency::default();
        assert_eq!(latency.read(), None);
        for micros in [0, 50, 51, 10_000_000, 10_000_001, u64::MAX / 2] {
            latency.observe(Duration::from_micros(micros));
        }
        let read = latency.read().unwrap();
        let cumulative: Vec<_> = read.get_bucket().iter().map(Bucket::cumulative_count).collect();
        assert_eq!((cumulative[0], cumulative[1], cumulative[15], cumulative[16]), (2, 3, 3, 4));
        assert_eq!(read.get_sample_count(), 6);
        assert_eq!(read.get_bucket()[0].upper_bound(), 0.000_05);
    }
}
