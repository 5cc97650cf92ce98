//! Source and target beside each other: room for the tables, names, collations, limits.

use std::collections::BTreeSet;

use crate::mysql::schema::{define, differences};

use super::{Asked, Finding, Request};

/// The least `max_allowed_packet` of a target, bytes: batches are sent in scripts of up to 4 MiB.
const LEAST_PACKET: u64 = 16 << 20;

/// Judges one source against one target.
pub(super) fn judge(source: &Asked<'_>, target: &Asked<'_>, request: &Request, findings: &mut Vec<Finding>) {
    let subject = &target.server.name;
    let same_server = !source.facts.variable("server_uuid").is_empty()
        && source.facts.variable("server_uuid") == target.facts.variable("server_uuid");
    if same_server && source.server.database == target.server.database {
        findings.push(Finding::refuse(
            "same-database",
            subject,
            format!("it is the same server and schema {} as {}", target.server.database, source.server.name),
            "give the target keyspace's tablet another server or another database (`shardlift tablet add --database`)",
        ));
        // Every other finding would follow from this one.
        return;
    }
    servers(source, target, findings);
    for table in &request.tables {
        let Some(wanted) = source.facts.table(table.as_str()) else { continue };
        let subject = format!("{}.{table} on {}", target.server.database, target.server.name);
        let there = target.facts.tables.iter().find(|other| {
            other.name == table.as_str()
                || target.facts.variable("lower_case_table_names") != "0"
                    && other.name.eq_ignore_ascii_case(table.as_str())
        });
        if let Some(there) = there {
            let drop = format!("DROP TABLE `{}`.`{}`", target.server.database, there.name);
            if !there.base_table {
                let cure = drop.replace("TABLE", "VIEW");
                findings.push(Finding::refuse("target-name", &subject, "a view of this name is in the way", cure));
                continue;
            }
            if target.facts.occupied.contains(&there.name) {
                let cure = format!("empty it if its rows are not needed (TRUNCATE TABLE, or {drop})");
                findings.push(Finding::refuse("target-not-empty", &subject, "it exists and has rows", cure));
            }
            let mut like = there.clone();
            if request.options.other_numbering.contains(table) {
                for column in &mut like.columns {
                    let wanted = wanted.columns.iter().find(|wanted| wanted.name == column.name);
                    column.auto_increment = wanted.is_some_and(|wanted| wanted.auto_increment);
                }
            }
            let unlike = differences(wanted, &like);
            if !unlike.is_empty() {
                let problem = format!("it exists and is not like the source's: {}", unlike.join("; "));
                findings.push(Finding::refuse("target-differs", &subject, problem, drop));
            }
        }
        collations(wanted, target, &subject, findings);
        if target.facts.on("sql_require_primary_key") && define(wanted).is_ok_and(|def| def.key.name != "PRIMARY") {
            findings.push(Finding::refuse(
                "target-requires-primary-key",
                &subject,
                "the table has a unique key but no primary key, and the target has sql_require_primary_key = ON",
                "SET PERSIST sql_require_primary_key = OFF on the target, or ADD PRIMARY KEY on the source",
            ));
        }
    }
    constraints(source, target, request, findings);
}

/// Tables are on all targets, or on none.
pub(super) fn presence(targets: &[&Asked<'_>], request: &Request, findings: &mut Vec<Finding>) {
    for table in &request.tables {
        let (there, missing): (Vec<&Asked<'_>>, Vec<&Asked<'_>>) =
            targets.iter().partition(|target| target.facts.table(table.as_str()).is_some());
        if missing.is_empty() || (there.is_empty() && !request.options.skip_schema_copy) {
            continue;
        }
        let missing: Vec<_> = missing.iter().map(|target| target.server.name.as_str()).collect();
        let (problem, cure) = match there.first() {
            None => (
                "it does not exist there, and --skip-schema-copy was given".to_owned(),
                "create it there, or leave --skip-schema-copy out",
            ),
            Some(first) => (
                format!("it does not exist there, but it does on {}", first.server.name),
                "create it on all targets, or drop it from all of them",
            ),
        };
        findings.push(Finding::refuse("target-partly", format!("{table} on {}", missing.join(", ")), problem, cure));
    }
}

fn servers(source: &Asked<'_>, target: &Asked<'_>, findings: &mut Vec<Finding>) {
    let subject = &target.server.name;
    let pair = |name: &str| (source.facts.variable(name).to_owned(), target.facts.variable(name).to_owned());
    if !target.facts.on("local_infile") {
        findings.push(Finding::warn(
            "local-infile",
            subject,
            "local_infile is OFF: rows are copied with INSERT instead of LOAD DATA, at about half the speed",
            "SET PERSIST local_infile = ON",
        ));
    }
    let (theirs, ours) = pair("lower_case_table_names");
    if theirs != ours {
        findings.push(Finding::refuse(
            "lower-case-table-names",
            subject,
            format!(
                "lower_case_table_names is {ours} here and {theirs} on {}: names do not mean the same",
                source.server.name
            ),
            "use servers with the same lower_case_table_names; it is fixed when a data directory is made",
        ));
    }
    let (theirs, ours) = pair("max_allowed_packet");
    let number = |text: &str| text.parse::<u64>().unwrap_or_default();
    if number(&ours) < number(&theirs) {
        findings.push(Finding::refuse(
            "max-allowed-packet",
            subject,
            format!(
                "max_allowed_packet is {ours} here and {theirs} on {}: a row may be too large to arrive",
                source.server.name
            ),
            format!("SET PERSIST max_allowed_packet = {theirs}"),
        ));
    } else if number(&ours) < LEAST_PACKET {
        findings.push(Finding::refuse(
            "small-packet",
            subject,
            format!("max_allowed_packet is {ours}: statements of several MiB are written here"),
            format!("SET PERSIST max_allowed_packet = {LEAST_PACKET}, or more"),
        ));
    }
    if let (Some(from), Some(to)) = (source.facts.flavor, target.facts.flavor)
        && (to.version.0, to.version.1) < (from.version.0, from.version.1)
    {
        findings.push(Finding::warn(
            "older-target",
            subject,
            format!("it runs {to}, older than {from} on {}: types and collations may be missing", source.server.name),
            "upgrade the target first",
        ));
    }
}

fn collations(
    wanted: &crate::mysql::schema::TableInfo,
    target: &Asked<'_>,
    subject: &str,
    findings: &mut Vec<Finding>,
) {
    let of_columns = wanted.columns.iter().filter_map(|column| column.collation.as_ref());
    let used: BTreeSet<&String> = of_columns.chain(Some(&wanted.collation).filter(|name| !name.is_empty())).collect();
    for collation in used.into_iter().filter(|collation| !target.facts.collations.contains(*collation)) {
        findings.push(Finding::refuse(
            "collation",
            subject,
            format!("the table uses collation {collation}, which the target does not know"),
            format!(
                "upgrade the target, or change the collation on the source (ALTER TABLE `{}` CONVERT TO …)",
                wanted.name
            ),
        ));
    }
}

/// Names of CHECK and FOREIGN KEY constraints are unique within a schema.
fn constraints(source: &Asked<'_>, target: &Asked<'_>, request: &Request, findings: &mut Vec<Finding>) {
    let database = source.server.database.as_str();
    let moved = |table: &str| request.tables.iter().any(|name| name.as_str() == table);
    let coming: BTreeSet<String> = source
        .facts
        .constraints
        .iter()
        .filter(|(table, _)| moved(table))
        .map(|(_, name)| name.to_lowercase())
        .collect();
    for (table, name) in target.facts.constraints.iter().filter(|(table, _)| !moved(table)) {
        if coming.contains(&name.to_lowercase()) {
            findings.push(Finding::refuse(
                "constraint-name",
                format!("{}.{table} on {}", target.server.database, target.server.name),
                format!("its constraint {name} has the name of one on a moved table of {database}"),
                format!(
                    "ALTER TABLE `{}`.`{table}` DROP CONSTRAINT `{name}`, and add it under another name",
                    target.server.database
                ),
            ));
        }
    }
}
