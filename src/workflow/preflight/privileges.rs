//! Which privileges the engine needs, from the first read to a switch back and the clean-up.

use crate::mysql::{admin::SIDECAR, quote};

use super::{Asked, Finding, Request, Role, Side};

/// Reading: positions, the binlog, prepared XA.
const GLOBAL: [&str; 3] = ["REPLICATION SLAVE", "REPLICATION CLIENT", "XA_RECOVER_ADMIN"];
/// Reading, applying in reverse, fencing by triggers, renaming or dropping at the end.
const ON_SOURCE: [&str; 8] = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "TRIGGER"];
/// Creating the tables and their keys, applying, fencing, dropping on cancel.
const ON_TARGET: [&str; 10] =
    ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES", "TRIGGER"];
/// Our own schema.
const ON_SIDECAR: [&str; 8] = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "TRIGGER"];

/// Names every missing privilege, one finding per scope.
pub(super) fn judge(asked: &Asked<'_>, request: &Request, findings: &mut Vec<Finding>) {
    let grants = &asked.facts.grants;
    let account = &asked.facts.account;
    let mut missing = |lacking: Vec<&str>, on: String, what: &str| {
        if !lacking.is_empty() {
            let lacking = lacking.join(", ");
            findings.push(Finding::refuse(
                "grants",
                &asked.server.name,
                format!("the account {account} lacks {lacking} on {what}"),
                format!("GRANT {lacking} ON {on} TO {account}"),
            ));
        }
    };
    missing(lacking(&GLOBAL, |word| grants.global(word)), "*.*".into(), "the server");
    let database = asked.server.database.as_str();
    let needed: &[&str] = match (asked.server.role, asked.side) {
        (Role::Replica, _) => &["SELECT"],
        (Role::Primary, Side::Source) => &ON_SOURCE,
        (Role::Primary, Side::Target) => &ON_TARGET,
    };
    let on_tables = |word: &str| {
        grants.on_database(word, database)
            || request.tables.iter().all(|table| grants.on_table(word, database, table.as_str()))
    };
    missing(
        lacking(needed, on_tables),
        format!("{}.*", quote::ident(database)),
        &format!("the moved tables of schema {database}"),
    );
    if asked.server.role == Role::Primary {
        let on = format!("{}.*", quote::ident(&SIDECAR.replace('_', "\\_")));
        missing(
            lacking(&ON_SIDECAR, |word| grants.on_database(word, SIDECAR)),
            on,
            &format!("schema {SIDECAR}, where checkpoints and fences are kept"),
        );
    }
    if (asked.side, asked.server.role) == (Side::Source, Role::Primary) {
        blind_spots(asked, findings);
    }
}

fn lacking<'a>(needed: &[&'a str], has: impl Fn(&str) -> bool) -> Vec<&'a str> {
    needed.iter().copied().filter(|word| !has(word)).collect()
}

/// Programs that the account cannot see may name a moved table all the same.
fn blind_spots(asked: &Asked<'_>, findings: &mut Vec<Finding>) {
    let grants = &asked.facts.grants;
    let mut unseen = lacking(&["TRIGGER", "EVENT", "SHOW VIEW"], |word| grants.global(word));
    if !grants.global("SHOW_ROUTINE") && !grants.global("SELECT") {
        unseen.push("SHOW_ROUTINE");
    }
    if !unseen.is_empty() {
        let unseen = unseen.join(", ");
        let account = &asked.facts.account;
        findings.push(Finding::warn(
            "grants-to-see",
            &asked.server.name,
            format!("without {unseen} on *.* the account {account} may not see every trigger, routine, event and view that names a moved table"),
            format!("GRANT {unseen} ON *.* TO {account}, or make sure yourself that there is none"),
        ));
    }
}
