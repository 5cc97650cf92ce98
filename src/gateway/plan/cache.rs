//! Plans that were made, kept for texts that differ in values only.
//!
//! Invariant: what is kept is bounded in bytes. Two halves take turns: when the newer one is full the older one is dropped, so
//! that what is asked for again and again stays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Plan;
use super::catalog::TableColumns;
use crate::sharding::vschema::KeyspaceSchema;

/// Texts longer than this are planned each time.
const LONGEST: usize = 8 << 10;
/// What a plan takes besides its text, as a multiple of that and at least.
const SIZE: usize = 2048;
/// Bytes of each half.
const HALF: usize = 8 << 20;

/// The plans.
#[derive(Debug, Default)]
pub struct Plans(Mutex<Halves>);

#[derive(Debug, Default)]
struct Halves {
    newer: HashMap<Vec<u8>, Kept>,
    older: HashMap<Vec<u8>, Kept>,
    bytes: usize,
}

/// A plan with what it rests on.
#[derive(Debug, Clone)]
struct Kept {
    plan: Arc<Plan>,
    schema: Arc<KeyspaceSchema>,
    columns: Vec<Arc<TableColumns>>,
}

impl Plans {
    /// The plan kept by this key, if it was made of this VSchema and these columns.
    pub fn get(&self, key: &[u8], schema: &Arc<KeyspaceSchema>, columns: &[Arc<TableColumns>]) -> Option<Arc<Plan>> {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = match halves.newer.get(key) {
            Some(kept) => kept.clone(),
            None => {
                let (key, kept) = halves.older.remove_entry(key)?;
                halves.insert(key, kept.clone());
                kept
            }
        };
        let same = Arc::ptr_eq(&kept.schema, schema)
            && kept.columns.len() == columns.len()
            && kept.columns.iter().zip(columns).all(|(one, other)| Arc::ptr_eq(one, other));
        same.then_some(kept.plan)
    }

    /// Keeps a plan.
    pub fn keep(&self, key: Vec<u8>, plan: &Arc<Plan>, schema: &Arc<KeyspaceSchema>, columns: Vec<Arc<TableColumns>>) {
        if !plan.cacheable || key.len() > LONGEST {
            return;
        }
        let kept = Kept { plan: plan.clone(), schema: schema.clone(), columns };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, kept);
    }
}

impl Halves {
    fn insert(&mut self, key: Vec<u8>, kept: Kept) {
        self.bytes += SIZE + 4 * key.len();
        self.newer.insert(key, kept);
        if self.bytes > HALF {
            self.older = std::mem::take(&mut self.newer);
            self.bytes = 0;
        }
    }
}
