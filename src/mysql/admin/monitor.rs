//! Open transactions as InnoDB's monitor prints them: for where INNODB_TRX gives no row at all, because the text of one
//! statement on the server, run by whomever, cannot be shown in utf8mb3 (error 3854). Pure.

use std::time::Duration;

/// A transaction of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its connection; 0 where it has none.
    pub connection: u64,
    /// How long it has been open.
    pub age: Duration,
    /// Whether it has changed or locked rows.
    pub has_written: bool,
}

/// Those that are active in the text of `SHOW ENGINE INNODB STATUS`.
pub(super) fn active(status: &str) -> Vec<Listed> {
    let list = status.split_once("LIST OF TRANSACTIONS FOR EACH SESSION:").map(|(_, list)| list).unwrap_or_default();
    // Behind it stand other sections, under lines of dashes alone.
    let list = list.split("\n--------\n").next().unwrap_or_default();
    list.split("\n---TRANSACTION ").skip(1).filter_map(listed).collect()
}

fn listed(text: &str) -> Option<Listed> {
    let mut lines = text.lines();
    let (_, state) = lines.next()?.split_once(", ACTIVE")?;
    let age = number_before(state, " sec")?;
    let mut found = Listed { connection: 0, age: Duration::from_secs(age), has_written: false };
    for line in lines {
        // What follows this line is the statement, which may say anything.
        if let Some(rest) = line.strip_prefix("MySQL thread id ") {
            found.connection = rest.split(',').next()?.parse().ok()?;
            break;
        }
        found.has_written |= number_before(line, " row lock(s)").is_some_and(|locks| locks > 0);
        found.has_written |= line.contains("undo log entries ");
    }
    Some(found)
}

/// The number that stands before `word`.
fn number_before(text: &str, word: &str) -> Option<u64> {
    let before = text.split_once(word)?.0;
    before.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "------------
TRANSACTIONS
------------
Trx id counter 1861
LIST OF TRANSACTIONS FOR EACH SESSION:
---TRANSACTION 421, not started
0 lock struct(s), heap size 1128, 0 row lock(s)
---TRANSACTION 1860, ACTIVE 12 sec
2 lock struct(s), heap size 1128, 1 row lock(s), undo log entries 1
MySQL thread id 12, OS thread handle 1402, query id 345 localhost root
---TRANSACTION 1859, ACTIVE (PREPARED) 7 sec
1 lock struct(s), heap size 1128, 0 row lock(s), undo log entries 4
---TRANSACTION 4219, ACTIVE 0 sec fetching rows
mysql tables in use 1, locked 0
0 lock struct(s), heap size 1128, 0 row lock(s)
MySQL thread id 14, OS thread handle 1403, query id 346 localhost root executing
SELECT '5 row lock(s)'
--------
FILE I/O
--------
";

    #[test]
    fn active_ones_are_found() {
        let one = |connection, age, has_written| Listed { connection, age: Duration::from_secs(age), has_written };
        assert_eq!(active(STATUS), [one(12, 12, true), one(0, 7, true), one(14, 0, false)]);
        assert_eq!(active(""), []);
    }
}
