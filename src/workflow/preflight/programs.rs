//! Triggers on moved tables, and triggers, routines, events and views elsewhere that name one.

use std::collections::BTreeSet;

use crate::model::FenceTrigger;
use crate::mysql::quote::{ident, qualified};

use super::{Asked, Finding, Request, facts::Program, mentions::mentions};

/// Judges what is stored on a source.
pub(super) fn judge(source: &Asked<'_>, request: &Request, findings: &mut Vec<Finding>) {
    on_moved_tables(source, request, findings);
    let database = source.server.database.as_str();
    let moved: BTreeSet<&str> = request.tables.iter().map(|table| table.as_str()).collect();
    let fold = source.facts.variable("lower_case_table_names") != "0";
    for program in source.facts.programs.iter().filter(|program| !is_on_moved(program, database, &moved)) {
        let Program { kind, schema, name, body, .. } = program;
        let subject = format!("{kind} {schema}.{name} on {}", source.server.name);
        let Some(body) = body else {
            findings.push(Finding::warn(
                "program-unread",
                subject,
                "its text may not be read, so it is not known whether it names a moved table",
                format!("GRANT SHOW_ROUTINE, SHOW VIEW, EVENT, TRIGGER ON *.* TO {}", source.facts.account),
            ));
            continue;
        };
        // The text of a view is stored with every name qualified.
        let home = (kind != "view").then_some(schema.as_str());
        let Some(table) = mentions(body, home, database, &moved, fold) else { continue };
        let problem = format!("it names table {database}.{table}, which will be elsewhere after the switch");
        findings.push(if request.options.allow_cross_keyspace {
            Finding::warn("program-names-table", subject, problem, "change or drop it before the switch")
        } else {
            let object = kind.to_uppercase();
            let cure = format!(
                "DROP {object} {} or change it, or allow it with --allow-cross-keyspace if you know that it does no harm",
                qualified(schema, name)
            );
            Finding::refuse("program-names-table", subject, problem, cure)
        });
    }
}

fn is_on_moved(program: &Program, database: &str, moved: &BTreeSet<&str>) -> bool {
    let table = program.table.as_deref();
    program.schema == database && table.is_some_and(|table| moved.contains(table))
}

/// Triggers on the moved tables themselves, on either side.
pub(super) fn on_moved_tables(asked: &Asked<'_>, request: &Request, findings: &mut Vec<Finding>) {
    let database = asked.server.database.as_str();
    let moved: BTreeSet<&str> = request.tables.iter().map(|table| table.as_str()).collect();
    let triggers = asked.facts.programs.iter().filter(|program| is_on_moved(program, database, &moved));
    for Program { schema, name, table, body, .. } in
        triggers.filter(|trigger| trigger.name.parse::<FenceTrigger>().is_err())
    {
        let subject = format!("{schema}.{} on {}", table.as_deref().unwrap_or_default(), asked.server.name);
        let tests = body.as_ref().is_some_and(|body| body.to_lowercase().contains("@shardlift_stream"));
        let problem = format!("its trigger {name} would fire again on every row that a stream writes");
        findings.push(match (request.options.allow_triggers, tests) {
            (true, true) => Finding::warn("trigger-on-table", subject, problem, "see that it does nothing where @shardlift_stream is set"),
            (true, false) => Finding::refuse(
                "trigger-on-table",
                subject,
                problem,
                "--allow-triggers needs a body that does nothing where @shardlift_stream is set, e.g. IF @shardlift_stream IS NULL THEN … END IF",
            ),
            (false, _) => Finding::refuse(
                "trigger-on-table",
                subject,
                problem,
                format!("DROP TRIGGER {}.{}, or let it test @shardlift_stream and start with --allow-triggers", ident(schema), ident(name)),
            ),
        });
    }
}
