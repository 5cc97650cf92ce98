//! What VSchemas say of each other: sequences, and the sources of reference tables.

use std::collections::BTreeMap;

use super::schema::{KeyspaceSchema, Placement, TableRef};
use crate::model::KeyspaceName;

/// The VSchemas of all keyspaces; a keyspace without one has an empty one.
pub type References = BTreeMap<KeyspaceName, KeyspaceSchema>;

/// What is wrong with the references between keyspaces, each with the keyspace that refers.
pub fn references(all: &References) -> Vec<(KeyspaceName, String)> {
    let mut wrong = Vec::new();
    for (keyspace, schema) in all {
        for (name, table) in &schema.tables {
            let mut say = |why: String| wrong.push((keyspace.clone(), format!("table {name}: {why}")));
            if let Some(auto_increment) = &table.auto_increment {
                let sequence = &auto_increment.sequence;
                if let Err(why) = find_sequence(all.iter(), sequence) {
                    say(format!("sequence {sequence}: {why}"));
                }
            }
            if let Placement::Reference { source: Some(source) } = &table.placement {
                match &source.keyspace {
                    Some(other) if other == keyspace => say(format!("source {source} is in the same keyspace")),
                    Some(other) if !all.contains_key(other) => say(format!("source {source}: no such keyspace")),
                    Some(other) if all.get(other).is_some_and(|other| other.sharded) => {
                        say(format!("source {source}: a source must be in an unsharded keyspace"));
                    }
                    Some(_) => {}
                    None => say(format!("source {source}: name its keyspace too, <keyspace>.<table>")),
                }
            }
        }
    }
    wrong
}

/// The keyspace of a sequence that a table names, among `all` keyspaces with their VSchemas.
pub fn find_sequence<'a>(
    all: impl Iterator<Item = (&'a KeyspaceName, &'a KeyspaceSchema)> + Clone,
    sequence: &TableRef,
) -> Result<KeyspaceName, String> {
    let is = |schema: &KeyspaceSchema| {
        let table = schema.tables.get(sequence.table.as_str());
        table.is_some_and(|table| matches!(table.placement, Placement::Sequence))
    };
    match &sequence.keyspace {
        Some(keyspace) => match all.clone().find(|(name, _)| *name == keyspace).map(|(_, schema)| schema) {
            None => Err(format!("there is no keyspace {keyspace}")),
            Some(schema) if is(schema) => Ok(keyspace.clone()),
            Some(_) => Err(format!(
                "the VSchema of keyspace {keyspace} has no table {} of type sequence; apply that first",
                sequence.table
            )),
        },
        None => {
            let mut found = all.filter(|(_, schema)| is(schema)).map(|(keyspace, _)| keyspace);
            match (found.next(), found.next()) {
                (Some(only), None) => Ok(only.clone()),
                (Some(one), Some(two)) => {
                    Err(format!("keyspaces {one} and {two} both have one; name the keyspace too"))
                }
                (None, _) => Err("no keyspace's VSchema has such a table of type sequence; apply that first".into()),
            }
        }
    }
}
