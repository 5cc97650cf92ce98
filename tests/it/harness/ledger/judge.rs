//! Holds servers to what the writers were told.

use std::collections::BTreeMap;

use super::{Content, Db, Record, Rows, Told};

/// How many differences are spelled out per writer.
const SHOWN: usize = 10;

impl Record {
    /// Everything in table `ledger` of `shards`, taken together, that is not as the writers were told; empty if all is well.
    pub async fn verify(&self, shards: impl AsRef<[Db]>) -> Vec<String> {
        let mut found: BTreeMap<i64, Rows> = BTreeMap::new();
        let mut wrong = Vec::new();
        for db in shards.as_ref() {
            for row in db.rows("SELECT id, uniq, val, num, writer FROM ledger").await {
                let [Some(id), uniq, Some(val), Some(num), Some(writer)] = row.as_slice() else { panic!("{row:?}") };
                let (id, writer): (i64, i64) = (id.parse().unwrap(), writer.parse().unwrap());
                let uniq = uniq.as_ref().map(|text| text.parse().unwrap());
                let content = Content { uniq, val: val.clone(), num: num.parse().unwrap() };
                if found.entry(writer).or_default().insert(id, content).is_some() {
                    wrong.push(format!("writer {writer}: row {id} is on two shards"));
                }
            }
        }
        for (number, told) in &self.told {
            let rows = found.remove(&i64::from(*number)).unwrap_or_default();
            wrong.extend(told.judge(&rows).into_iter().map(|what| format!("writer {number}: {what}")));
        }
        wrong.extend(found.keys().map(|number| format!("rows of a writer {number} that there is not")));
        wrong
    }

    /// Panics unless `shards` are as the writers were told.
    pub async fn must_hold(&self, shards: impl AsRef<[Db]>) {
        let shards = shards.as_ref();
        let wrong = self.verify(shards).await;
        assert!(wrong.is_empty(), "{} …: the ledger does not hold:\n{}", shards[0].name(), wrong.join("\n"));
    }
}

impl Told {
    fn judge(&self, rows: &Rows) -> Vec<String> {
        if self.or_else.as_ref() == Some(rows) {
            return Vec::new();
        }
        let mut wrong: Vec<String> = self
            .rows
            .iter()
            .filter_map(|(id, told)| match rows.get(id) {
                None => Some(format!("row {id} is lost: {told:?}")),
                Some(there) if there != told => Some(format!("row {id} is {there:?}, and was told to be {told:?}")),
                Some(_) => None,
            })
            .collect();
        let extra = rows.iter().filter(|(id, _)| !self.rows.contains_key(*id));
        wrong.extend(extra.map(|(id, there)| format!("row {id} should not be: {there:?}")));
        let more = wrong.len().saturating_sub(SHOWN);
        wrong.truncate(SHOWN);
        if more > 0 {
            wrong.push(format!("and {more} more"));
        }
        wrong
    }
}
