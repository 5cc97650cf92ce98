//! Versions and variables of a server: what the binlog must hold, and how long and how safely.

use std::time::Duration;

use crate::mysql::flavor::OLDEST;

use super::{Asked, Finding, Request, Role, Side};

/// Retention under this is worth a warning.
const COMFORTABLE: Duration = Duration::from_secs(24 * 3600);

/// What a binlog must be like, on the source to copy and follow, on the target for the way back:
/// (check, variable, value wanted, what else goes wrong, cure).
const BINLOG: [(&str, &str, &str, &str, &str); 5] = [
    (
        "binlog",
        "log_bin",
        "ON",
        "there is no binlog to follow",
        "remove skip-log-bin from its configuration and restart it",
    ),
    (
        "binlog-format",
        "binlog_format",
        "ROW",
        "statements do not say which rows they change",
        "SET PERSIST binlog_format = 'ROW', then reconnect the applications: sessions keep their format",
    ),
    (
        "binlog-row-image",
        "binlog_row_image",
        "FULL",
        "updates do not carry the whole row",
        "SET PERSIST binlog_row_image = 'FULL', then reconnect the applications: sessions keep their setting",
    ),
    (
        "binlog-partial-json",
        "binlog_row_value_options",
        "",
        "updates of JSON do not carry the whole value",
        "SET PERSIST binlog_row_value_options = '', then reconnect the applications: sessions keep their setting",
    ),
    (
        "gtid-mode",
        "gtid_mode",
        "ON",
        "positions have no meaning beyond this server",
        "SET PERSIST enforce_gtid_consistency = ON, then SET PERSIST gtid_mode = OFF_PERMISSIVE, ON_PERMISSIVE and ON, one after the other",
    ),
];

/// Version, binlog, durability, retention, prepared XA, and whether a primary takes writes.
pub(super) fn judge(asked: &Asked<'_>, request: &Request, findings: &mut Vec<Finding>) {
    let (facts, subject) = (&asked.facts, &asked.server.name);
    let is = |name: &str, wanted: &str| {
        let value = facts.variable(name);
        value.eq_ignore_ascii_case(wanted) || (wanted == "ON" && value == "1")
    };
    match facts.flavor {
        Some(flavor) if flavor.supported() => {}
        flavor => {
            let what = flavor.map_or_else(|| facts.version.clone(), |flavor| flavor.to_string());
            let (major, minor, patch) = OLDEST;
            findings.push(Finding::refuse(
                "version",
                subject,
                format!("it runs {what}, which is not supported"),
                format!("use MySQL or Percona Server {major}.{minor}.{patch} or newer"),
            ));
        }
    }
    for (check, variable, wanted, consequence, cure) in BINLOG {
        if facts.variables.contains_key(variable) && !is(variable, wanted) {
            let problem = format!("{variable} is {}: {consequence}", facts.variable(variable));
            findings.push(Finding::refuse(check, subject, problem, cure));
        }
    }
    for variable in ["sync_binlog", "innodb_flush_log_at_trx_commit"] {
        if !is(variable, "1") {
            let value = facts.variable(variable);
            let problem = format!("{variable} is {value}: a crash may take back commits that were already copied");
            let cure = format!("SET PERSIST {variable} = 1");
            findings.push(if asked.side == Side::Source && !request.options.allow_unsafe_source {
                Finding::refuse("durability", subject, problem, format!("{cure}, or start with --allow-unsafe-source"))
            } else {
                Finding::warn("durability", subject, problem, cure)
            });
        }
    }
    if is("innodb_deadlock_detect", "OFF") {
        findings.push(Finding::warn(
            "deadlock-detect",
            subject,
            "innodb_deadlock_detect is OFF: a switch then waits for lock timeouts, many seconds under load",
            "SET PERSIST innodb_deadlock_detect = ON",
        ));
    }
    if asked.server.role == Role::Primary && (is("read_only", "ON") || is("super_read_only", "ON")) {
        findings.push(Finding::refuse(
            "read-only",
            subject,
            "it is read-only, so it is no primary",
            "name the right primary with `shardlift shard set-primary`, or SET GLOBAL read_only = OFF",
        ));
    }
    if asked.server.role == Role::Replica && !is("log_replica_updates", "ON") && !is("log_slave_updates", "ON") {
        findings.push(Finding::refuse(
            "replica-binlog",
            subject,
            "log_replica_updates is OFF: its binlog lacks what it replicates, so it can be neither read from nor promoted",
            "set log_replica_updates = ON in its configuration and restart it",
        ));
    }
    if asked.server.role == Role::Replica && asked.server.read {
        commit_order(asked, findings);
    }
    for xa in &facts.prepared {
        findings.push(Finding::refuse(
            "prepared-xa",
            subject,
            format!(
                "XA transaction {} is prepared and undecided: its rows are in the binlog but cannot be read",
                xa.xid
            ),
            format!("XA COMMIT {0}, or XA ROLLBACK {0}", xa.xid),
        ));
    }
    retention(asked, request, findings);
}

/// A replica that is read must show transactions in the order of its binlog, and of its source's.
fn commit_order(asked: &Asked<'_>, findings: &mut Vec<Finding>) {
    let facts = &asked.facts;
    let either = |new: &'static str, old: &'static str| {
        let name = if facts.variables.contains_key(new) { new } else { old };
        (name, facts.variable(name))
    };
    let (workers, count) = either("replica_parallel_workers", "slave_parallel_workers");
    let (preserve, value) = either("replica_preserve_commit_order", "slave_preserve_commit_order");
    let mut refuse = |problem: String, cure: String| {
        findings.push(Finding::refuse("commit-order", &asked.server.name, problem, cure));
    };
    if count.parse().unwrap_or(0) > 1 && value == "OFF" {
        refuse(
            format!(
                "{preserve} is OFF and {workers} {count}: what is read there may show a transaction without one before it"
            ),
            format!(
                "STOP REPLICA SQL_THREAD; SET PERSIST {preserve} = ON; START REPLICA SQL_THREAD; or read PRIMARY tablets \
                 (--tablet-types)"
            ),
        );
    }
    if facts.variable("binlog_order_commits") == "OFF" {
        refuse(
            "binlog_order_commits is OFF: what is read there may show a transaction without one before it".into(),
            "SET PERSIST binlog_order_commits = ON, or read PRIMARY tablets (--tablet-types)".into(),
        );
    }
}

fn retention(asked: &Asked<'_>, request: &Request, findings: &mut Vec<Finding>) {
    let facts = &asked.facts;
    let seconds: u64 = facts.variable("binlog_expire_logs_seconds").parse().unwrap_or_default();
    let purges = facts.variable("binlog_expire_logs_auto_purge") != "OFF";
    if seconds == 0 || !purges {
        return;
    }
    let kept = Duration::from_secs(seconds);
    let problem = format!(
        "binlog_expire_logs_seconds is {seconds}: what is not copied and followed within that time is lost to the stream"
    );
    let wanted = COMFORTABLE.max(request.options.min_retention).as_secs();
    let cure = format!("SET PERSIST binlog_expire_logs_seconds = {wanted} or more");
    if kept < request.options.min_retention && asked.side == Side::Source {
        findings.push(Finding::refuse("retention", &asked.server.name, problem, cure));
    } else if kept < COMFORTABLE {
        findings.push(Finding::warn("retention", &asked.server.name, problem, cure));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::DatabaseName,
        mysql::{Endpoint, Login, Secret, flavor::Flavor},
        workflow::preflight::{Options, Server, facts::Facts},
    };

    /// No server at hand is old enough, or MariaDB, to refuse by version.
    #[test]
    fn old_and_other_servers_are_refused() {
        let endpoint = Endpoint::unix("/s".as_ref());
        let login = Login { endpoint, user: "u".into(), password: Secret::default(), database: None };
        let database = DatabaseName::new("d").unwrap();
        let server = Server { name: "s".into(), login, database, role: Role::Primary, read: true };
        let request = Request { sources: vec![], targets: vec![], tables: vec![], options: Options::default() };
        for (version, refused) in
            [("5.7.44", true), ("8.0.21", true), ("10.11.6-MariaDB", true), ("odd", true), ("8.0.22", false)]
        {
            let (flavor, version) = (Flavor::parse(version, ""), version.to_owned());
            let facts = Facts { flavor, version: version.clone(), ..Facts::default() };
            let mut findings = Vec::new();
            judge(&Asked { side: Side::Source, server: &server, facts }, &request, &mut findings);
            assert_eq!(findings.iter().any(|finding| finding.check == "version"), refused, "{version}");
        }
    }
}
