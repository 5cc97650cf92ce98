//! A workflow's rules as Vitess writes them: three names of each table, each for three types of traffic.
//!
//! Before the switch all nine lead to the source (`MoveTables create`). Switching REPLICA or RDONLY turns the three rules
//! of that type round (`switchTableReads`); switching PRIMARY turns the two plain ones of `table` and `source.table` round
//! and removes `target.table`, which then needs none (`changeWriteRoute`).

use std::collections::BTreeSet;

use super::{FromTable, TabletType};
use crate::model::KeyspaceName;
use crate::model::routing::{RoutingRule, RuleSet, TableMove};

/// Whether a table of the move, called by this keyspace or none, is meant by its rules.
pub(super) fn concerns(moved: &TableMove, keyspace: Option<&str>) -> bool {
    keyspace.is_none_or(|name| name == moved.source.as_str() || name == moved.target.as_str())
}

/// The rules `moved` stands for.
pub fn expand(moved: &TableMove) -> RuleSet {
    // One and the same keyspace on both sides would be named twice.
    let keyspaces: BTreeSet<&KeyspaceName> = [&moved.source, &moved.target].into();
    let names = || std::iter::once(None).chain(keyspaces.iter().copied().map(Some));
    let written_to_target = moved.switched.contains(&TabletType::Primary);
    let mut rules = Vec::new();
    for table in &moved.tables {
        for (served, tablet_type) in [
            (TabletType::Primary, None),
            (TabletType::Replica, Some(TabletType::Replica)),
            (TabletType::Rdonly, Some(TabletType::Rdonly)),
        ] {
            for keyspace in names() {
                if tablet_type.is_none() && written_to_target && keyspace == Some(&moved.target) {
                    continue;
                }
                let from = FromTable { keyspace: keyspace.cloned(), table: table.clone(), tablet_type };
                let to_tables = vec![format!("{}.{table}", moved.side(served))];
                rules.push(RoutingRule { from_table: from.to_string(), to_tables });
            }
        }
    }
    RuleSet { rules }
}
