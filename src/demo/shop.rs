//! The shop: Vitess's example tables, and the rows they begin with. Pure; the same rows every time.

use std::fmt::Write;
use std::ops::RangeInclusive;

/// One of the shop's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Product,
    Customer,
    Corder,
}

impl Table {
    pub(super) const ALL: [Self; 3] = [Self::Product, Self::Customer, Self::Corder];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Customer => "customer",
            Self::Corder => "corder",
        }
    }

    /// As in Vitess's examples, with keys that the workflow builds after the copy.
    pub(super) fn create(self) -> &'static str {
        match self {
            Self::Product => {
                "CREATE TABLE product (
                    sku VARBINARY(128) NOT NULL PRIMARY KEY, description VARBINARY(128), price BIGINT)"
            }
            Self::Customer => {
                "CREATE TABLE customer (
                    customer_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, email VARBINARY(128),
                    UNIQUE KEY email (email))"
            }
            Self::Corder => {
                "CREATE TABLE corder (
                    order_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
                    customer_id BIGINT, sku VARBINARY(128), price BIGINT,
                    KEY customer_id (customer_id), KEY sku (sku, price))"
            }
        }
    }
}

/// How many rows each table begins with; their ids run from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) product: u64,
    pub(super) customer: u64,
    pub(super) corder: u64,
}

impl Sizes {
    /// A few products, four orders a customer.
    pub(super) fn of(rows: u64) -> Self {
        let product = (rows / 100).clamp(1, 10_000);
        let customer = (rows.saturating_sub(product) / 5).max(1);
        let corder = rows.saturating_sub(product + customer).max(1);
        Self { product, customer, corder }
    }

    pub(super) fn rows(&self, table: Table) -> u64 {
        match table {
            Table::Product => self.product,
            Table::Customer => self.customer,
            Table::Corder => self.corder,
        }
    }

    pub(super) fn all(&self) -> u64 {
        Table::ALL.iter().map(|table| self.rows(*table)).sum()
    }

    /// An INSERT of the rows with these ids.
    pub(super) fn insert(&self, table: Table, ids: RangeInclusive<u64>) -> String {
        let mut sql = format!("INSERT INTO {} VALUES ", table.name());
        for (n, id) in ids.enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let noise = scramble(id);
            // Writing to a String cannot fail.
            let _ = match table {
                Table::Product => {
                    write!(
                        sql,
                        "{comma}('{}','Widget number {id}, shade {:06x}',{})",
                        sku(id),
                        noise >> 40,
                        1 + noise % 500
                    )
                }
                Table::Customer => write!(sql, "{comma}({id},'customer{id}@{:04x}.example')", noise >> 48),
                Table::Corder => {
                    let (customer, product) = (1 + noise % self.customer, 1 + (noise >> 20) % self.product);
                    write!(sql, "{comma}({id},{customer},'{}',{})", sku(product), 1 + (noise >> 40) % 500)
                }
            };
        }
        sql
    }
}

/// A product's key.
pub(super) fn sku(number: u64) -> String {
    format!("SKU-{number:06}")
}

/// Bits that look random: the finalizer of SplitMix64 (S. Vigna, <https://prng.di.unimi.it/splitmix64.c>).
fn scramble(id: u64) -> u64 {
    let mut z = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_add_up_to_what_was_asked() {
        for rows in [100, 12_345, 1_000_000, 50_000_000] {
            let sizes = Sizes::of(rows);
            assert_eq!(sizes.all(), rows);
            assert!(Table::ALL.iter().all(|table| sizes.rows(*table) > 0), "{rows}");
        }
    }

    #[test]
    fn rows_refer_to_rows_that_are_there() {
        let sizes = Sizes { product: 1, customer: 1, corder: 2 };
        let sql = sizes.insert(Table::Corder, 1..=2);
        assert!(sql.starts_with("INSERT INTO corder VALUES (1,1,'SKU-000001',"), "{sql}");
        assert_eq!(sql.matches("),(2,1,'SKU-000001',").count(), 1, "{sql}");
    }
}
