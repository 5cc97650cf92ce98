//! What would hold the fence, or pass through it. Pure.

use std::time::Duration;

use crate::mysql::admin::OpenTransaction;

use super::super::Asked;
use super::ask::Answer;
use super::{Finding, LONG, Place, Question};

/// Statements that are only named as a warning.
const NAMED: usize = 5;

/// Transactions and XA of a primary.
pub(super) fn judge(place: &Place, answer: &Answer, question: &Question<'_>, findings: &mut Vec<Finding>) {
    if !question.request.writes() {
        return;
    }
    let server = &place.server.name;
    let open = answer.open.as_deref().unwrap_or_default();
    if answer.open.is_none() {
        findings.push(Finding::warn(
            "grants-to-see",
            server,
            format!(
                "without PROCESS the account {} sees no transactions that would hold the fence",
                answer.facts.account
            ),
            format!("GRANT PROCESS ON *.* TO {}, or see yourself that none is open for long", answer.facts.account),
        ));
    }
    let connected = |one: &&OpenTransaction| one.connection != 0 && one.age >= LONG;
    let (holding, reading): (Vec<_>, Vec<_>) =
        open.iter().filter(connected).partition(|one| one.has_written && place.closing);
    for one in holding {
        findings.push(Finding::refuse(
            "long-transaction",
            server,
            format!("a long transaction would hold the fence: {one}"),
            format!("let it end, or KILL {}", one.connection),
        ));
    }
    for one in reading.into_iter().take(NAMED) {
        findings.push(Finding::warn(
            "long-statement",
            server,
            format!("if it has the moved tables in use, the switch cannot arm them: {one}"),
            format!("let it end, or KILL {}", one.connection),
        ));
    }
    if !place.closing && !question.request.way_back {
        return;
    }
    let mut ages: Vec<Duration> = open.iter().filter(|one| one.connection == 0).map(|one| one.age).collect();
    ages.sort();
    let age = match (ages.as_slice(), answer.prepared.len()) {
        ([], _) => String::new(),
        ([age], 1) => format!(" for {} s", age.as_secs()),
        ([first, .., last], _) => format!(" (all for {} to {} s)", first.as_secs(), last.as_secs()),
        ([age], _) => format!(" (one of them for {} s)", age.as_secs()),
    };
    let harm = match place.closing {
        true => "it would hold the fence, or commit although it is closed",
        false => "the way back could not tell its rows",
    };
    for xa in &answer.prepared {
        findings.push(Finding::refuse(
            "prepared-xa",
            server,
            format!("XA transaction {} is prepared and undecided{age}: {harm}", xa.xid),
            format!("XA COMMIT {0}, or XA ROLLBACK {0}", xa.xid),
        ));
    }
}

/// Whether fences can be put up.
pub(super) fn may_create_triggers(asked: &Asked<'_>, findings: &mut Vec<Finding>) {
    let facts = &asked.facts;
    if facts.on("log_bin") && !facts.on("log_bin_trust_function_creators") && !facts.grants.global("SUPER") {
        findings.push(Finding::refuse(
            "fence",
            &asked.server.name,
            "the account may not create triggers while the binlog is on, so that the tables cannot be fenced",
            format!("SET PERSIST log_bin_trust_function_creators = ON, or GRANT SUPER ON *.* TO {}", facts.account),
        ));
    }
}
