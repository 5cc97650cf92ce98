//! Which tablet of a shard serves a type.

use std::sync::Arc;

use super::{Fitness, Refusal, Shard, Tablet};
use crate::model::workflow::TabletType;

/// The tablet to take and the others that would do, which share its schema's name.
pub(super) fn choose(
    shard: &Shard,
    tablet_type: TabletType,
    health: Fitness<'_>,
    seed: usize,
) -> Result<(Arc<Tablet>, Vec<Arc<Tablet>>), Refusal> {
    let (keyspace, name) = (&shard.keyspace, &shard.name);
    if tablet_type == TabletType::Primary {
        // Its health is not asked for: if it is down, the attempt says so better.
        return match (shard.primary(), &shard.primary) {
            (Some(tablet), _) => Ok((tablet.clone(), Vec::new())),
            (None, Some(alias)) => Err(Refusal::unknown(format!(
                "the primary of shard {keyspace}/{name} is {alias}, whose record is missing or cannot be read; see \
                 `shardlift topo get tablets/{alias}`"
            ))),
            (None, None) => Err(Refusal::unknown(format!(
                "shard {keyspace}/{name} has no primary; name one with `shardlift shard set-primary {keyspace}/{name}`"
            ))),
        };
    }
    let (mut fit, mut unfit) = (Vec::new(), Vec::new());
    for tablet in shard.of_type(tablet_type) {
        match health(tablet) {
            Ok(()) => fit.push(tablet.clone()),
            Err(why) => unfit.push(format!("{}: {why}", tablet.alias)),
        }
    }
    if !fit.is_empty() {
        let first = seed % fit.len();
        fit.rotate_left(first);
    }
    let mut fit = fit.into_iter();
    match (fit.next(), unfit.as_slice()) {
        (Some(tablet), _) => {
            let others = fit.filter(|other| other.record.database == tablet.record.database).collect();
            Ok((tablet, others))
        }
        (None, []) => Err(Refusal::unknown(format!(
            "shard {keyspace}/{name} has no {tablet_type} tablet; add one with `shardlift tablet add`, or `use {keyspace}`"
        ))),
        (None, unfit) => Err(Refusal::unknown(format!(
            "no {tablet_type} tablet of shard {keyspace}/{name} can serve: {}",
            unfit.join("; ")
        ))),
    }
}
