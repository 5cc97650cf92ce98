//! What the shop's writers do: one transaction at a time, chosen at random. Pure.
//!
//! A key changes by changing its sign: no other row can be in the way, and a second change brings the old key back.

use rand::Rng;

use super::shop::{Sizes, sku};

/// What a statement does to rows, for the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Insert,
    Update,
    Delete,
    /// Rows get another key, or keys change hands.
    Key,
    /// Session variables only.
    None,
}

/// A statement of a transaction.
pub(super) type Statement = (Effect, String);

/// Ids that are picked more often, so that the same rows change again and again.
const HOT: u64 = 200;

/// The next transaction.
pub(super) fn next(rng: &mut impl Rng, sizes: &Sizes) -> Vec<Statement> {
    match rng.random_range(0..100) {
        0..30 => {
            let customer = id(rng, sizes.customer).to_string();
            vec![(Effect::Insert, orders(rng, sizes, &customer))]
        }
        30..45 => {
            let email: u64 = rng.random();
            let customer = format!("INSERT INTO customer (email) VALUES ('{email:016x}@new.example')");
            vec![(Effect::Insert, customer), (Effect::Insert, orders(rng, sizes, "LAST_INSERT_ID()"))]
        }
        45..68 => {
            let (order, price) = (id(rng, sizes.corder), rng.random_range(1..500));
            vec![(Effect::Update, format!("UPDATE corder SET price = {price} WHERE order_id IN ({order}, -{order})"))]
        }
        68..72 => {
            let product = sku(id(rng, sizes.product));
            vec![(Effect::Update, format!("UPDATE product SET price = price + 1 WHERE sku = '{product}'"))]
        }
        72..80 => {
            let order = id(rng, sizes.corder);
            vec![(Effect::Delete, format!("DELETE FROM corder WHERE order_id IN ({order}, -{order})"))]
        }
        80..88 => {
            let order = id(rng, sizes.corder);
            let change = format!("UPDATE corder SET order_id = -order_id WHERE order_id IN ({order}, -{order})");
            vec![(Effect::Key, change)]
        }
        88..91 => {
            let customer = id(rng, sizes.customer);
            let change = |table| {
                format!("UPDATE {table} SET customer_id = -customer_id WHERE customer_id IN ({customer}, -{customer})")
            };
            vec![(Effect::Key, change("customer")), (Effect::Update, change("corder"))]
        }
        91..95 => swap(id(rng, sizes.customer), id(rng, sizes.customer)),
        95..97 => {
            let customer = id(rng, sizes.customer);
            let remove = |table| format!("DELETE FROM {table} WHERE customer_id IN ({customer}, -{customer})");
            vec![(Effect::Delete, remove("corder")), (Effect::Delete, remove("customer"))]
        }
        _ => {
            let order = id(rng, sizes.corder);
            let again = "REPLACE INTO corder SELECT order_id, customer_id, sku, price + 1 FROM corder";
            vec![(Effect::Update, format!("{again} WHERE order_id = {order}"))]
        }
    }
}

/// Two customers exchange their addresses, which are unique, within one transaction; if both are there.
fn swap(one: u64, other: u64) -> Vec<Statement> {
    let read = |variable: &str, customer: u64| {
        let from = format!("FROM customer WHERE customer_id = {customer} FOR UPDATE");
        (Effect::None, format!("SELECT email INTO @{variable} {from}"))
    };
    let write = |effect, value: &str, customer: u64| {
        let both = "@one IS NOT NULL AND @other IS NOT NULL AND @one <> @other";
        (effect, format!("UPDATE customer SET email = {value} WHERE customer_id = {customer} AND {both}"))
    };
    vec![
        (Effect::None, "SET @one = NULL, @other = NULL".into()),
        read("one", one),
        read("other", other),
        write(Effect::Update, "CONCAT('~', email)", one),
        write(Effect::Key, "@one", other),
        write(Effect::Key, "@other", one),
    ]
}

fn orders(rng: &mut impl Rng, sizes: &Sizes, customer: &str) -> String {
    let count = rng.random_range(1..=3);
    let mut order = || {
        let product = sku(id(rng, sizes.product));
        format!("({customer}, '{product}', {})", rng.random_range(1..500))
    };
    let rows: Vec<_> = (0..count).map(|_| order()).collect();
    format!("INSERT INTO corder (customer_id, sku, price) VALUES {}", rows.join(", "))
}

/// An id from 1 to `most`.
fn id(rng: &mut impl Rng, most: u64) -> u64 {
    let most = if rng.random_ratio(1, 4) { most.min(HOT) } else { most };
    rng.random_range(1..=most.max(1))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn every_kind_of_change_comes_up() {
        let (mut rng, sizes) = (StdRng::seed_from_u64(1), Sizes::of(10_000));
        let all: Vec<_> = (0..2_000).flat_map(|_| next(&mut rng, &sizes)).collect();
        for effect in [Effect::Insert, Effect::Update, Effect::Delete, Effect::Key] {
            assert!(all.iter().any(|(one, _)| *one == effect), "{effect:?}");
        }
    }
}
