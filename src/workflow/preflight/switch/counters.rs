//! AUTO_INCREMENT: whether the new side can go on where the old one ends.

use std::collections::BTreeMap;

use crate::mysql::MysqlError;
use crate::mysql::admin::Session;
use crate::mysql::quote;

use super::{Finding, Place, Question};

/// Ids that a switch leaves free, at most.
const HEADROOM: u64 = 1_000;

/// A table's counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counter {
    /// The next id.
    pub next: u64,
    /// The column's type, e.g. `int unsigned`.
    pub column: String,
}

impl Counter {
    /// The highest id its column can hold; `None` for types that are no integers.
    fn most(&self) -> Option<u64> {
        let bits: u32 = match self.column.split([' ', '(']).next()? {
            "tinyint" => 8,
            "smallint" => 16,
            "mediumint" => 24,
            "int" => 32,
            "bigint" => 64,
            _ => return None,
        };
        let signed = u32::from(!self.column.contains("unsigned"));
        Some(u64::MAX >> (64 - bits + signed))
    }
}

/// The counters of the moved tables.
pub(super) async fn read(
    session: &mut Session,
    place: &Place,
    question: &Question<'_>,
) -> Result<BTreeMap<String, Counter>, MysqlError> {
    // The server keeps such figures for a day unless told otherwise.
    session.execute("SET SESSION information_schema_stats_expiry = 0").await?;
    let names = quote::text_list(question.workflow.spec.tables.iter().map(|table| table.as_str()));
    let rows = session
        .rows(&format!(
            "SELECT TABLE_NAME, COALESCE(AUTO_INCREMENT, 1), COLUMN_TYPE FROM information_schema.COLUMNS
             JOIN information_schema.TABLES USING (TABLE_SCHEMA, TABLE_NAME)
             WHERE TABLE_SCHEMA = {} AND TABLE_NAME IN {names} AND EXTRA LIKE '%auto_increment%'",
            quote::text(place.server.database.as_str())
        ))
        .await?;
    let counter = |row: &crate::mysql::admin::Record| {
        Some((row.text(0)?, Counter { next: row.number(1)?, column: row.text(2)?.to_lowercase() }))
    };
    Ok(rows.iter().filter_map(counter).collect())
}

/// Compares the old side's with the new one's; `numbered` says of a table without a counter there whether a sequence numbers
/// its rows: `None` where neither is to be.
pub(super) fn judge(
    old: &BTreeMap<String, Counter>,
    name: &str,
    new: &BTreeMap<String, Counter>,
    numbered: impl Fn(&str) -> Option<bool>,
    findings: &mut Vec<Finding>,
) {
    for (table, counter) in old {
        let subject = format!("{table} on {name}");
        let Some(there) = new.get(table) else {
            match numbered(table) {
                Some(true) => continue,
                Some(false) => {
                    findings.push(Finding::warn(
                        "counter",
                        subject,
                        "its AUTO_INCREMENT was left out there and no sequence numbers its rows: inserts that leave the id \
                         out will fail",
                        format!("name a sequence for {table} in the VSchema (auto_increment)"),
                    ));
                    continue;
                }
                None => {}
            }
            findings.push(Finding::refuse(
                "counter",
                subject,
                "it has no AUTO_INCREMENT column there: inserts that leave the id out would fail",
                format!("ALTER TABLE {table} there so that the column is AUTO_INCREMENT again"),
            ));
            continue;
        };
        let Some(most) = there.most() else { continue };
        let problem = format!("the next id is {} and the column there ({}) ends at {most}", counter.next, there.column);
        let cure = format!("ALTER TABLE {table} on both sides so that the column is wider");
        if counter.next > most {
            findings.push(Finding::refuse("counter", subject, problem, cure));
        } else if most - counter.next < HEADROOM {
            findings.push(Finding::warn("counter", subject, problem, cure));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_that_cannot_go_on_are_told() {
        let counter = |next, column: &str| BTreeMap::from([("t".to_owned(), Counter { next, column: column.into() })]);
        let judged = |old: u64, column: &str| {
            let mut findings = Vec::new();
            judge(&counter(old, "bigint"), "there", &counter(1, column), |_| None, &mut findings);
            findings.pop().map(|finding| finding.refuses())
        };
        for (next, column, says) in [
            (5, "tinyint", Some(false)),
            (127, "tinyint", Some(false)),
            (128, "tinyint", Some(true)),
            (40_000, "smallint(5) unsigned", None),
            (66_000, "smallint(5) unsigned", Some(true)),
            (8_388_608, "mediumint", Some(true)),
            (1 << 31, "int", Some(true)),
            (1 << 31, "int unsigned", None),
            (1 << 62, "bigint", None),
            (u64::MAX, "bigint unsigned", Some(false)),
            (1 << 40, "double", None),
        ] {
            assert_eq!(judged(next, column), says, "{next} {column}");
        }
        let mut findings = Vec::new();
        judge(&counter(5, "int"), "there", &BTreeMap::new(), |_| None, &mut findings);
        assert!(findings[0].refuses());
        findings.clear();
        judge(&counter(5, "int"), "there", &BTreeMap::new(), |_| Some(false), &mut findings);
        assert!(!findings[0].refuses());
    }
}
