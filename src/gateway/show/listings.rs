//! What the View alone tells: keyspaces, shards, the VSchema, the session's target.

use super::{Answer, Like, Refusal, View};
use crate::gateway::view::is_system_schema;
use crate::model::workflow::TabletType;
use crate::sharding::Target;

/// The schemas every server has, in the order in which Vitess appends them to the keyspaces.
const SYSTEM: [&str; 4] = ["information_schema", "mysql", "sys", "performance_schema"];

fn column<'a>(columns: &'static [&'static str], values: impl Iterator<Item = &'a str>, like: &Like) -> Answer {
    Answer { columns, rows: values.filter(|value| like.matches(value)).map(|value| vec![value.into()]).collect() }
}

/// SHOW DATABASES.
pub(super) fn databases(view: &View, like: &Like) -> Answer {
    column(&["Database"], view.keyspaces.keys().map(String::as_str).chain(SYSTEM), like)
}

/// SHOW KEYSPACES; the heading is Vitess's.
pub(super) fn keyspaces(view: &View, like: &Like) -> Answer {
    column(&["Database"], view.keyspaces.keys().map(String::as_str), like)
}

/// SHOW VITESS_SHARDS: those that serve the session's type.
pub(super) fn shards(view: &View, tablet_type: TabletType, like: &Like) -> Answer {
    let serving = view.shards().filter(|shard| shard.serving.contains(&tablet_type));
    let names: Vec<String> = serving.map(|shard| format!("{}/{}", shard.keyspace, shard.name)).collect();
    column(&["Shards"], names.iter().map(String::as_str), like)
}

/// SHOW VITESS_TARGET.
pub(super) fn target(target: &Target) -> Answer {
    Answer { columns: &["Target"], rows: vec![vec![target.to_string()]] }
}

/// SHOW VSCHEMA TABLES. Every keyspace has `dual`; unsharded ones have others besides, which they pass on unknown.
pub(super) fn vschema_tables(view: &View, target: &Target) -> Result<Answer, Refusal> {
    let name = target.keyspace.as_ref().ok_or_else(Refusal::no_database)?.as_str();
    let Some(keyspace) = view.keyspace(name).filter(|_| !is_system_schema(name)) else {
        let unknown = Refusal::unknown_database(name);
        return Err(Refusal { message: format!("{} in vschema", unknown.message), ..unknown });
    };
    let known = keyspace.vschema.iter().flat_map(|schema| schema.tables.keys().cloned());
    let mut tables: Vec<String> = known.chain(["dual".into()]).collect();
    tables.sort();
    tables.dedup();
    Ok(Answer { columns: &["Tables"], rows: tables.into_iter().map(|table| vec![table]).collect() })
}

/// SHOW VSCHEMA KEYSPACES. The comment is what is wrong with one.
pub(super) fn vschema_keyspaces(view: &View) -> Answer {
    let row = |(name, keyspace): (&String, &crate::gateway::view::Keyspace)| {
        let comment = keyspace.unreadable.clone().unwrap_or_default();
        let sharded = keyspace.vschema.as_ref().map_or_else(|| keyspace.is_sharded(), |schema| schema.sharded);
        vec![name.clone(), sharded.to_string(), "unmanaged".into(), comment]
    };
    Answer {
        columns: &["Keyspace", "Sharded", "Foreign Key", "Comment"],
        rows: view.keyspaces.iter().map(row).collect(),
    }
}

/// SHOW VSCHEMA VINDEXES of the session's keyspace, or of all where it has none.
pub(super) fn vschema_vindexes(view: &View, target: &Target) -> Answer {
    let mut rows = Vec::new();
    for (name, keyspace) in &view.keyspaces {
        let wanted = target.keyspace.as_ref().is_none_or(|keyspace| keyspace.as_str() == name);
        for schema in keyspace.vschema.iter().filter(|_| wanted) {
            for (vindex, spec) in &schema.specs {
                let params: Vec<String> = spec.params.iter().map(|(param, value)| format!("{param}={value}")).collect();
                let (kind, owner) = (spec.vindex_type.clone(), spec.owner.clone());
                rows.push(vec![name.clone(), vindex.clone(), kind, params.join("; "), owner]);
            }
        }
    }
    Answer { columns: &["Keyspace", "Name", "Type", "Params", "Owner"], rows }
}
