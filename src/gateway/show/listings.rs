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

/// SHOW VSCHEMA TABLES. Every keyspace has `dual`; unsharded ones pass all other tables on without knowing them.
pub(super) fn vschema_tables(view: &View, target: &Target) -> Result<Answer, Refusal> {
    let name = target.keyspace.as_ref().ok_or_else(Refusal::no_database)?.as_str();
    if view.keyspace(name).is_none() || is_system_schema(name) {
        let unknown = Refusal::unknown_database(name);
        return Err(Refusal { message: format!("{} in vschema", unknown.message), ..unknown });
    }
    Ok(Answer { columns: &["Tables"], rows: vec![vec!["dual".into()]] })
}

/// SHOW VSCHEMA KEYSPACES. The comment is what is wrong with one.
pub(super) fn vschema_keyspaces(view: &View) -> Answer {
    let row = |(name, keyspace): (&String, &crate::gateway::view::Keyspace)| {
        let comment = keyspace.unreadable.clone().unwrap_or_default();
        vec![name.clone(), keyspace.is_sharded().to_string(), "unmanaged".into(), comment]
    };
    Answer {
        columns: &["Keyspace", "Sharded", "Foreign Key", "Comment"],
        rows: view.keyspaces.iter().map(row).collect(),
    }
}

/// SHOW VSCHEMA VINDEXES. Only sharded keyspaces' VSchemas have any.
pub(super) fn vschema_vindexes() -> Answer {
    Answer { columns: &["Keyspace", "Name", "Type", "Params", "Owner"], rows: Vec::new() }
}
