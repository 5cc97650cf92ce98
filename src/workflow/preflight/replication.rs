//! What replicates into a server, and what filters keep out of it or of its binlog.

use crate::mysql::admin::SIDECAR;

use super::{Asked, Finding, Request, Role, grants::like};

/// Binlog filters, replication filters, channels into primaries, groups with several primaries.
pub(super) fn judge(asked: &Asked<'_>, request: &Request, findings: &mut Vec<Finding>) {
    let (facts, subject) = (&asked.facts, &asked.server.name);
    let database = asked.server.database.as_str();
    if let Some(binlog) = &facts.binlog {
        for schema in [database, SIDECAR] {
            let has = |list: &[String]| list.iter().any(|name| name == schema);
            let option = if has(&binlog.ignore_db) {
                "binlog-ignore-db"
            } else if !binlog.do_db.is_empty() && !has(&binlog.do_db) {
                "binlog-do-db"
            } else {
                continue;
            };
            findings.push(Finding::refuse(
                "binlog-filter",
                subject,
                format!("{option} keeps schema {schema} out of its binlog"),
                format!("remove {option} from its configuration and restart it"),
            ));
        }
    }
    for channel in &facts.channels {
        if asked.server.role == Role::Primary && channel.running {
            let (name, from) = (format!("'{}'", channel.name.replace('\'', "''")), &channel.source);
            findings.push(Finding::refuse(
                "channel-into-primary",
                subject,
                format!("replication channel {name} from {from} writes into this primary, past any fence"),
                format!(
                    "STOP REPLICA FOR CHANNEL {name}, or name the right primary with `shardlift shard set-primary`"
                ),
            ));
        }
        for (rule, value) in &channel.filters {
            let touched = request.tables.iter().any(|table| filters(rule, value, database, table.as_str()))
                || filters(rule, value, SIDECAR, "stream");
            if touched {
                let name = format!("'{}'", channel.name.replace('\'', "''"));
                findings.push(Finding::refuse(
                    "replication-filter",
                    subject,
                    format!("{rule} = {value} on channel {name} keeps rows of moved tables or of {SIDECAR} out of it"),
                    format!(
                        "STOP REPLICA SQL_THREAD; CHANGE REPLICATION FILTER {} = () FOR CHANNEL {name}; START REPLICA",
                        rule.to_uppercase()
                    ),
                ));
            }
        }
    }
    if facts.variable("group_replication_single_primary_mode") == "OFF" {
        findings.push(Finding::refuse(
            "group-replication",
            subject,
            "group_replication_single_primary_mode is OFF: several members take writes, and a fence holds on one only",
            "SELECT group_replication_switch_to_single_primary_mode()",
        ));
    }
}

/// Whether a rule may keep a table's rows out. Lists of rules of one kind come joined by commas.
fn filters(rule: &str, value: &str, database: &str, table: &str) -> bool {
    let qualified = format!("{database}.{table}");
    let mut items = value.split(',').map(str::trim);
    match rule {
        "Replicate_Do_DB" => !items.any(|item| item == database),
        "Replicate_Ignore_DB" => items.any(|item| item == database),
        "Replicate_Do_Table" => !items.any(|item| item == qualified),
        "Replicate_Ignore_Table" => items.any(|item| item == qualified),
        "Replicate_Wild_Do_Table" => !items.any(|item| like(item.as_bytes(), qualified.as_bytes())),
        "Replicate_Wild_Ignore_Table" => items.any(|item| like(item.as_bytes(), qualified.as_bytes())),
        // `(from,to)` pairs: either name is enough.
        _ => value.split(['(', ')', ',']).any(|name| name.trim() == database),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_touch_a_table() {
        for (rule, value, touched) in [
            ("Replicate_Do_DB", "shop,x", false),
            ("Replicate_Do_DB", "x", true),
            ("Replicate_Ignore_DB", "shop", true),
            ("Replicate_Do_Table", "shop.t", false),
            ("Replicate_Do_Table", "shop.u", true),
            ("Replicate_Ignore_Table", "x.t,shop.t", true),
            ("Replicate_Wild_Do_Table", "shop.%", false),
            ("Replicate_Wild_Ignore_Table", "sh_p.t%", true),
            ("Replicate_Wild_Ignore_Table", "other.%", false),
            ("Replicate_Rewrite_DB", "(shop,x)", true),
            ("Replicate_Rewrite_DB", "(a,b)", false),
        ] {
            assert_eq!(filters(rule, value, "shop", "t"), touched, "{rule} {value}");
        }
    }
}
