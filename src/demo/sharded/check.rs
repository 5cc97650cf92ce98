//! Every row of every shard: whether it belongs there, is there once, and is what the ledger says.
//!
//! Memory grows with the number of orders: 8 bytes each, and those of the ledger.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use des::Des;
use des::cipher::{BlockEncrypt, KeyInit};
use mysql_async::prelude::Queryable;

use super::super::DemoError;
use super::ground::Shard;
use super::writers::Ledger;

/// How many differences are spelled out.
const SHOWN: usize = 10;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By shard.
    pub(super) rows: Vec<u64>,
    pub(super) misplaced: u64,
    /// Orders and customers whose number another one has, too.
    pub(super) numbered_twice: u64,
    /// Differences to the ledger, the first of them.
    pub(super) broken: Vec<String>,
}

/// Reads all rows. Nobody may be writing.
pub(super) async fn check(shards: &[Shard], ledger: &Ledger) -> Result<Found, DemoError> {
    let mut found = Found::default();
    let (mut customers, mut orders) = (HashSet::new(), HashSet::new());
    let mut left: BTreeMap<u64, BTreeSet<u64>> = ledger.orders.clone();
    let mut there = BTreeSet::new();
    for shard in shards {
        let database = &shard.database;
        let mut conn = database.connect().await?;
        let mut rows = 0;
        let mut take = |customer: i64, numbers: &mut HashSet<i64>, number: i64| {
            rows += 1;
            found.misplaced += u64::from(!belongs(shard.name, customer));
            found.numbered_twice += u64::from(!numbers.insert(number));
        };
        let doing = "reading rows to check";
        let mut answer = database.within(doing, conn.query_iter("SELECT customer_id FROM customer")).await?;
        while let Some(row) = database.within(doing, answer.next()).await? {
            let customer: i64 = mysql_async::from_row(row);
            take(customer, &mut customers, customer);
            there.extend(u64::try_from(customer).ok().filter(|customer| left.contains_key(customer)));
        }
        drop(answer);
        let mut answer = database.within(doing, conn.query_iter("SELECT order_id, customer_id FROM corder")).await?;
        while let Some(row) = database.within(doing, answer.next()).await? {
            let (order, customer): (i64, i64) = mysql_async::from_row(row);
            take(customer, &mut orders, order);
            if let (Ok(customer), Ok(order)) = (u64::try_from(customer), u64::try_from(order))
                && let Some(orders) = left.get_mut(&customer)
                && !orders.remove(&order)
                && found.broken.len() < SHOWN
            {
                found.broken.push(format!("customer {customer} has order {order}, of which nobody knows"));
            }
        }
        drop(answer);
        found.rows.push(rows);
    }
    for (customer, orders) in &left {
        if !there.contains(customer) || !orders.is_empty() {
            found.broken.push(format!("customer {customer} is missing, or orders {orders:?} of theirs are"));
        }
    }
    found.broken.truncate(SHOWN);
    Ok(found)
}

/// Whether a customer's keyspace id, by Vitess's vindex `hash` (DES with a key of zeros over the number), is in a shard's range,
/// by its first byte.
fn belongs(shard: &str, customer: i64) -> bool {
    let mut block = customer.to_be_bytes().into();
    Des::new(&[0; 8].into()).encrypt_block(&mut block);
    let (from, to) = shard.split_once('-').unwrap_or(("", ""));
    let bound = |text: &str, open: u16| u16::from_str_radix(text, 16).unwrap_or(open);
    (bound(from, 0)..bound(to, 0x100)).contains(&u16::from(block[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_belong_to_one_shard_each() {
        // Vitess's own vectors: 1 is 166b40b44aba4bd6, 5 is 70bb023c810ca87a, 4 is d2fd8867d50d2dfe.
        let home = |customer| ["-40", "40-80", "80-c0", "c0-"].iter().position(|shard| belongs(shard, customer));
        assert_eq!([1, 5, 4].map(home), [Some(0), Some(1), Some(3)]);
        assert!(belongs("-80", 1) && !belongs("80-", 1) && belongs("80-", 4));
    }
}
