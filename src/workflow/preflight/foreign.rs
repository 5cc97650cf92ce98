//! Foreign keys: they may connect moved tables with each other only, and must not change rows behind the binlog's back.

use std::collections::BTreeSet;

use crate::mysql::{quote::qualified, schema::ForeignKey};

use super::{Asked, Finding, Request};

/// Judges the foreign keys of and to the moved tables of one source.
pub(super) fn judge(source: &Asked<'_>, request: &Request, findings: &mut Vec<Finding>) {
    let database = source.server.database.as_str();
    let moved: BTreeSet<&str> = request.tables.iter().map(|table| table.as_str()).collect();
    let within = |(schema, table): &(String, String)| schema == database && moved.contains(table.as_str());
    let facts = &source.facts;
    let cascades_logged =
        facts.flavor.is_some_and(|flavor| flavor.logs_cascades()) && !facts.on("innodb_native_foreign_keys");
    for key in &facts.foreign_keys {
        let (child, parent) = (within(&key.child), within(&key.parent));
        let subject = format!("{}.{} on {}", key.child.0, key.child.1, source.server.name);
        match (child, parent) {
            (true, true) if key.cascades() && !cascades_logged => findings.push(Finding::refuse(
                "cascade",
                subject,
                format!(
                    "foreign key {} changes it ON UPDATE {} ON DELETE {}, and this server does not write that to the binlog",
                    key.name, key.on_update, key.on_delete
                ),
                format!("{}, and add it again with RESTRICT; or move from MySQL 9.6 or newer with innodb_native_foreign_keys = OFF", drop_key(key)),
            )),
            (true, false) => findings.push(Finding::refuse(
                "foreign-key-out",
                subject,
                format!("foreign key {} refers to {}.{}, which is not moved", key.name, key.parent.0, key.parent.1),
                outside(key, &key.parent.1, database == key.parent.0),
            )),
            (false, true) => findings.push(Finding::refuse(
                "foreign-key-in",
                subject,
                format!("its foreign key {} refers to {}.{}, which is moved", key.name, key.parent.0, key.parent.1),
                outside(key, &key.child.1, database == key.child.0),
            )),
            _ => {}
        }
    }
}

fn drop_key(key: &ForeignKey) -> String {
    format!("ALTER TABLE {} DROP FOREIGN KEY `{}`", qualified(&key.child.0, &key.child.1), key.name)
}

fn outside(key: &ForeignKey, other: &str, same_schema: bool) -> String {
    if same_schema { format!("move table {other} too, or {}", drop_key(key)) } else { drop_key(key) }
}
