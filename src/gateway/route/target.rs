//! What a session may be aimed at: USE, COM_INIT_DB and the database of a login.

use super::{Keyspace, Refusal};
use crate::gateway::view::{View, is_system_schema};
use crate::model::ShardName;
use crate::sharding::Target;

/// The target that a text stands for, if the cluster has it.
pub fn parse_target(view: &View, text: &str) -> Result<Target, Refusal> {
    // A name that no keyspace can have is an unknown database like any other.
    let target: Target = text.parse().map_err(|error| {
        let unknown = Refusal::unknown_database(text);
        Refusal { message: format!("{}: {error}", unknown.message), ..unknown }
    })?;
    check_target(view, &target)?;
    Ok(target)
}

/// Refuses a target that the cluster does not have.
pub fn check_target(view: &View, target: &Target) -> Result<(), Refusal> {
    let Some(name) = &target.keyspace else { return Ok(()) };
    let Some(keyspace) = view.keyspace(name.as_str()) else {
        return match target.shard {
            None if is_system_schema(name.as_str()) => Ok(()),
            _ => Err(Refusal::unknown_database(name.as_str())),
        };
    };
    if let Some(why) = &keyspace.unreadable {
        return Err(Refusal::unknown(format!("keyspace {name} is not served: {why}")));
    }
    match &target.shard {
        Some(shard) if keyspace.shard(shard).is_none() => Err(no_shard(keyspace, shard)),
        _ => Ok(()),
    }
}

pub(super) fn no_shard(keyspace: &Keyspace, shard: &ShardName) -> Refusal {
    let name = &keyspace.name;
    let unknown = Refusal::unknown_database(&format!("{name}:{shard}"));
    Refusal { message: format!("{}: the shards of {name} are {}", unknown.message, keyspace.shard_names()), ..unknown }
}
