//! Statements and transactions that name tables of a live workflow together with others: after the switch they are in two
//! keyspaces, and refused. The gateway is where they can be seen; the switch asks before it does anything ([`records::Mixes`]).
//!
//! Invariants:
//! - Nothing of a client's values is kept: texts are normalised before they come here.
//! - Memory is bounded: [`MOST`] texts of at most 1 KiB, the least seen making room.
//! - Where no workflow is live, or a statement names one table, nothing is done.

mod parted;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

pub use self::parted::{Parted, Touched, parted};
use crate::sharding::RoutingRules;
use crate::topology::records::{self, Mix};

/// Texts kept.
pub const MOST: usize = 512;
/// The longest report, bytes.
const REPORT: usize = 60 << 10;
/// One that was not seen for so long is forgotten, seconds: what has been mended should not be named for ever.
const FORGOTTEN: u64 = 24 * 3600;

/// What was seen; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Mixes {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    /// By text and set.
    seen: HashMap<(String, String), Mix>,
    /// Raised with each text that is new.
    novelties: u64,
    /// Raised with everything.
    changes: u64,
}

impl Mixes {
    /// Counts a text with what it parts.
    pub fn note(&self, text: &str, parted: Vec<Parted>, transaction: bool, user: &str) {
        let last = now();
        let mut table = self.table();
        for Parted { set, moved, staying } in parted {
            table.changes += 1;
            if let Some(mix) = table.seen.get_mut(&(text.to_owned(), set.clone())) {
                (mix.count, mix.last) = (mix.count + 1, last);
                if mix.user != user {
                    user.clone_into(&mut mix.user);
                }
                continue;
            }
            if table.seen.len() >= MOST {
                let least = table.seen.iter().min_by_key(|(_, mix)| (mix.count, mix.last)).map(|(key, _)| key.clone());
                least.and_then(|key| table.seen.remove(&key));
            }
            table.novelties += 1;
            let (key, text, user) = ((text.to_owned(), set.clone()), text.to_owned(), user.to_owned());
            table.seen.insert(key, Mix { set, text, transaction, moved, staying, count: 1, last, user });
        }
    }

    /// How many texts were new so far, and how often anything was seen.
    pub fn age(&self) -> (u64, u64) {
        let table = self.table();
        (table.novelties, table.changes)
    }

    /// What to tell the topology; what belongs to no live workflow any more is forgotten.
    pub fn report(&self, rules: &RoutingRules) -> records::Mixes {
        let since = now().saturating_sub(FORGOTTEN);
        let mut seen: Vec<Mix> = {
            let mut table = self.table();
            table.seen.retain(|(_, set), mix| mix.last >= since && rules.has_move(set));
            table.seen.values().cloned().collect()
        };
        seen.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.text.cmp(&b.text)));
        let mut bytes = 0;
        let fits = seen.iter().take_while(|mix| {
            bytes += serde_json::to_vec(mix).map_or(REPORT, |json| json.len() + 1);
            bytes <= REPORT
        });
        let fits = fits.count();
        let more = (seen.len() - fits) as u64;
        seen.truncate(fits);
        records::Mixes { seen, more }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::view::testing::{Cluster, view};
    use crate::topology::Record;

    fn one(set: &str) -> Vec<Parted> {
        vec![Parted { set: set.into(), moved: vec!["a".into()], staying: vec!["b".into()] }]
    }

    #[test]
    fn the_least_seen_make_room_and_a_report_is_bounded() {
        let rules = view(Cluster::default().moved(&["corder"], &[])).rules;
        let mixes = Mixes::default();
        for _ in 0..3 {
            mixes.note("often", one("legacy.move"), false, "app");
        }
        mixes.note("of another workflow", one("gone.move"), false, "app");
        for number in 0..2 * MOST {
            mixes.note(&format!("{number} {}", "\"".repeat(900)), one("legacy.move"), true, "app");
        }
        let report = mixes.report(&rules);
        assert_eq!((report.seen[0].text.as_str(), report.seen[0].count), ("often", 3));
        let (bytes, all) = (report.encode().unwrap().len(), report.seen.len() as u64 + report.more);
        assert!(
            bytes <= 64 << 10 && report.seen.len() > 20 && (MOST as u64 - 1..=MOST as u64).contains(&all),
            "{bytes} {all}"
        );
        assert!(mixes.report(&RoutingRules::default()).seen.is_empty());
    }
}
