//! Where a sequence's table is.

use std::sync::Arc;

use super::{Refusal, tablets};
use crate::gateway::sequence::SequenceName;
use crate::gateway::view::{Serving, Tablet, View};
use crate::model::workflow::TabletType;

/// The primary that has a sequence's table: rules lead there as they do to every table.
pub fn tablet_of_sequence(view: &View, name: &SequenceName) -> Result<Arc<Tablet>, Refusal> {
    let unknown = |why: String| Refusal::unknown(why);
    let led = view.rules.lookup(name.table.as_str(), Some(name.keyspace.as_str()), TabletType::Primary);
    let keyspace = led.map_err(unknown)?.unwrap_or(&name.keyspace);
    let found = view.keyspace(keyspace.as_str()).ok_or_else(|| Refusal::unknown_database(keyspace.as_str()))?;
    if let Some(why) = &found.unreadable {
        return Err(unknown(format!("keyspace {keyspace} is not served: {why}")));
    }
    match found.serving(TabletType::Primary) {
        Serving::Whole(shard) => {
            tablets::choose(shard, TabletType::Primary, &|_: &Tablet| Ok(()), 0).map(|(tablet, _)| tablet)
        }
        Serving::Nothing => Err(unknown(format!("no shard of keyspace {keyspace} serves PRIMARY"))),
        Serving::Sharded(_) => Err(unknown(format!(
            "keyspace {keyspace} is sharded, and a sequence is one row: move it to an unsharded one"
        ))),
    }
}
