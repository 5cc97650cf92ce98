//! The numbers of a gateway's write buffer.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::family::Family;
use super::gateway::{Counts, counter, gauge};
use super::labels;
use super::latency::Latency;

labels!(/// Why a held statement was held no longer.
    Released {
        /// It was planned again, and its tables had moved.
        Moved = "moved",
        /// It was planned again, and its tables were where they had been.
        Stayed = "stayed",
        /// Its time was over.
        Expired = "expired",
        /// Its client went away or was killed.
        Left = "left",
});

labels!(/// Which bound kept a statement from being held.
    Bound {
        /// How many statements.
        Statements = "statements",
        /// How many bytes they have.
        Bytes = "bytes",
});

labels!(/// Why a transaction was rolled back and its client told to begin again (1213).
    Aborted {
        /// A fence refused one of its writes.
        Fence = "fence",
        /// Its next statement's tables are on another tablet now.
        Moved = "moved",
});

/// Writes held while traffic is switched.
#[derive(Debug, Default)]
pub struct BufferMetrics {
    holds: AtomicI64,
    held: AtomicU64,
    seconds: Latency,
    pauses: Latency,
    released: Counts<{ Released::COUNT }>,
    refused: Counts<{ Bound::COUNT }>,
    aborted: Counts<{ Aborted::COUNT }>,
    fenced: AtomicU64,
}

impl BufferMetrics {
    /// A statement is held from now on.
    pub fn holds(&self) {
        self.held.fetch_add(1, Relaxed);
        self.holds.fetch_add(1, Relaxed);
    }

    /// It is held no longer.
    pub fn released(&self, why: Released, after: Duration) {
        self.holds.fetch_sub(1, Relaxed);
        self.released.add(why as usize);
        self.seconds.observe(after);
    }

    /// A pause as clients saw it: from the first statement held to the first released by its end.
    pub fn pause(&self, lasted: Duration) {
        self.pauses.observe(lasted);
    }

    /// There was no room for a statement.
    pub fn refused(&self, bound: Bound) {
        self.refused.add(bound as usize);
    }

    /// A fence refused a statement.
    pub fn fenced(&self) {
        self.fenced.fetch_add(1, Relaxed);
    }

    /// A transaction was rolled back.
    pub fn aborted(&self, why: Aborted) {
        self.aborted.add(why as usize);
    }

    pub(super) fn look(&self) -> Vec<Family> {
        let mut released = counter("released_statements_total", "Held statements that are held no longer, by reason");
        for (why, count) in Released::ALL.iter().zip(self.released.read()) {
            released.add(&[("reason", why.as_str())], count);
        }
        let mut refused = counter("unheld_statements_total", "Statements that found no room to be held, by bound");
        for (bound, count) in Bound::ALL.iter().zip(self.refused.read()) {
            refused.add(&[("bound", bound.as_str())], count);
        }
        let mut aborted = counter("aborted_transactions_total", "Transactions told to begin again (1213), by reason");
        for (why, count) in Aborted::ALL.iter().zip(self.aborted.read()) {
            aborted.add(&[("reason", why.as_str())], count);
        }
        let histogram = |name: &str, help: &str, from: &Latency| {
            let mut family = Family::histogram(&format!("shardlift_gateway_{name}"), help);
            if let Some(histogram) = from.read() {
                family.add_histogram(&[], histogram);
            }
            family
        };
        vec![
            released,
            refused,
            aborted,
            gauge("held_statements", "Statements held now").with(&[], self.holds.load(Relaxed) as f64),
            counter("held_statements_total", "Statements held").with(&[], self.held.load(Relaxed) as f64),
            counter("fence_refusals_total", "Writes that a closed fence refused")
                .with(&[], self.fenced.load(Relaxed) as f64),
            histogram("held_seconds", "How long statements were held", &self.seconds),
            histogram(
                "pause_seconds",
                "From the first statement held to the first released by a pause's end",
                &self.pauses,
            ),
        ]
    }
}
