//! The moved tables themselves: there, fit, alike on all sources, and not moved by anyone else.

use crate::mysql::schema::{Unfit, define, differences};

use super::{Asked, Finding, Request};

/// Judges every table on every source.
pub(super) fn judge(sources: &[&Asked<'_>], request: &Request, findings: &mut Vec<Finding>) {
    for (workflow, table) in request.options.busy.iter().filter(|(_, table)| request.tables.contains(table)) {
        findings.push(Finding::refuse(
            "other-workflow",
            table.as_str(),
            format!("workflow {workflow} already moves it"),
            format!("complete or cancel {workflow} first"),
        ));
    }
    let mut first: Option<&&Asked<'_>> = None;
    for source in sources {
        let database = source.server.database.as_str();
        for table in &request.tables {
            let subject = format!("{database}.{table} on {}", source.server.name);
            let Some(info) = source.facts.table(table.as_str()) else {
                findings.push(Finding::refuse(
                    "missing-table",
                    subject,
                    "it does not exist, or the account may not see it",
                    "check its spelling and the account's grants, or leave it out",
                ));
                continue;
            };
            for reason in define(info).err().into_iter().flatten() {
                let (check, cure) = cure(&reason, database, table.as_str());
                findings.push(Finding::refuse(check, &subject, format!("it {reason}"), cure));
            }
            let elsewhere = first.and_then(|first| Some((first, first.facts.table(table.as_str())?)));
            if let Some((first, other)) = elsewhere {
                let unlike = differences(other, info);
                if !unlike.is_empty() {
                    findings.push(Finding::refuse(
                        "sources-differ",
                        &subject,
                        format!("it is not like the one on {}: {}", first.server.name, unlike.join("; ")),
                        "ALTER TABLE one of them until they are alike",
                    ));
                }
            }
        }
        first = first.or(Some(source));
    }
}

fn cure(reason: &Unfit, database: &str, table: &str) -> (&'static str, String) {
    match reason {
        Unfit::View => ("not-a-table", "leave it out; create the view on the target by hand".to_owned()),
        Unfit::Engine(_) => ("engine", format!("ALTER TABLE `{database}`.`{table}` ENGINE = InnoDB")),
        Unfit::Name(_) => ("table-name", format!("RENAME TABLE `{database}`.`{table}` to a name without `/`")),
        Unfit::Column { column, .. } => {
            ("column-type", format!("ALTER TABLE `{database}`.`{table}` MODIFY `{column}` to a type of MySQL's own"))
        }
        Unfit::ZonedGenerated { column, .. } => (
            "zoned-generated",
            format!("make `{database}`.`{table}`.`{column}` VIRTUAL without an index, or compute it from a DATETIME"),
        ),
        Unfit::NoKey(_) => (
            "missing-key",
            format!("ALTER TABLE `{database}`.`{table}` ADD PRIMARY KEY (…), or a UNIQUE KEY over NOT NULL columns"),
        ),
    }
}
