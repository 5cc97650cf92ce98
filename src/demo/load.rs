//! Fills the shop: multi-row INSERTs on several connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::interval;

use super::DemoError;
use super::console::Step;
use super::database::Database;
use super::shop::{Sizes, Table};

const CONNECTIONS: usize = 4;
const ROWS: u64 = 5_000;
const TICK: Duration = Duration::from_millis(100);

/// Creates the tables and loads their first rows.
pub(super) async fn load(database: &Database, sizes: Sizes, step: &Step) -> Result<(), DemoError> {
    let mut conn = database.connect().await?;
    for table in Table::ALL {
        database.execute(&mut conn, "creating the shop's tables", table.create()).await?;
    }
    let taken = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        tasks.spawn(fill(database.clone(), sizes, taken.clone(), done.clone()));
    }
    let mut tick = interval(TICK);
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(ended) => ended??,
                None => return Ok(()),
            },
            _ = tick.tick() => step.rows(done.load(Ordering::Relaxed), sizes.all()),
        }
    }
}

/// Takes one statement's worth of rows after the other until none is left.
async fn fill(database: Database, sizes: Sizes, taken: Arc<AtomicU64>, done: Arc<AtomicU64>) -> Result<(), DemoError> {
    let mut conn = database.connect().await?;
    loop {
        let Some((table, first, last)) = piece(&sizes, taken.fetch_add(1, Ordering::Relaxed)) else { return Ok(()) };
        database.execute(&mut conn, "loading rows", &sizes.insert(table, first..=last)).await?;
        done.fetch_add(last - first + 1, Ordering::Relaxed);
    }
}

/// Statement number `n`: a table and its first and last id.
fn piece(sizes: &Sizes, mut n: u64) -> Option<(Table, u64, u64)> {
    for table in Table::ALL {
        let pieces = sizes.rows(table).div_ceil(ROWS);
        if n < pieces {
            return Some((table, n * ROWS + 1, ((n + 1) * ROWS).min(sizes.rows(table))));
        }
        n -= pieces;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_each_table_once() {
        let sizes = Sizes { product: 3, customer: ROWS, corder: ROWS + 1 };
        let all: Vec<_> = (0..10).map_while(|n| piece(&sizes, n)).collect();
        let corder = [(Table::Corder, 1, ROWS), (Table::Corder, ROWS + 1, ROWS + 1)];
        assert_eq!(all, [&[(Table::Product, 1, 3), (Table::Customer, 1, ROWS)], &corder[..]].concat());
    }
}
