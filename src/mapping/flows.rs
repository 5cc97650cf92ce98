//! What flows from each source shard of a workflow: to which targets, and which tables. Pure.
//!
//! # Invariants
//! - A row reaches a target from one source: a table that is whole on every source flows to each target from one of them,
//!   and a table that is whole on one source flows from that one.
//! - Shards that are connected, by whatever others lie between them, are so all with all: sources that share one target
//!   share all of theirs.

use std::sync::Arc;

use crate::model::switch::Direction;
use crate::model::workflow::WorkflowSpec;
use crate::model::{KeyspaceName, ShardName, TableName};
use crate::sharding::vschema::{KeyspaceSchema, Placement};
use crate::sharding::{ShardMap, ShardMapError};

use super::Mapping;

/// What flows from one source shard.
#[derive(Debug, Clone)]
pub struct Flow {
    /// The source's place among the sources.
    pub source: usize,
    /// The targets' places among the targets, in order.
    pub targets: Vec<usize>,
    /// The tables that flow.
    pub tables: Vec<TableName>,
    /// Which rows go where, by the order of `targets`.
    pub mapping: Mapping,
    /// Where other sources feed the same targets: all of them.
    pub shared: Option<Shared>,
}

/// Sources that feed the same targets.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Their places among the sources, in order.
    pub sources: Vec<usize>,
    /// Which of them, counted from 0, this flow is of.
    pub own: usize,
    /// Which rows are whose, by the order of `sources`.
    pub mapping: Mapping,
}

/// Why rows cannot flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlowError {
    /// Nobody can tell to which of several shards a row belongs.
    #[error(
        "keyspace {keyspace} has {shards} shards and no sharded VSchema, so that nobody can tell where rows belong: \
         `shardlift vschema apply {keyspace} --vschema-file …` first"
    )]
    Unsharded {
        /// The keyspace.
        keyspace: String,
        /// How many shards.
        shards: usize,
    },
    /// The targets have gaps, or overlap.
    #[error("the target shards do not lie side by side: {0}")]
    Shards(#[from] ShardMapError),
    /// A source shard that no target takes rows of.
    #[error("no target shard takes rows of source shard {0}")]
    Nowhere(ShardName),
}

/// The flows of a workflow in `direction` between these shards, which are in the order of their ranges; `from` and `into` are the VSchemas
/// of the keyspaces that are read and written.
pub fn flows(
    spec: &WorkflowSpec,
    direction: Direction,
    sources: &[ShardName],
    targets: &[ShardName],
    from: Option<&Arc<KeyspaceSchema>>,
    into: Option<&Arc<KeyspaceSchema>>,
) -> Result<Vec<Flow>, FlowError> {
    let into = into.filter(|schema| schema.sharded);
    let from = from.filter(|schema| schema.sharded);
    let unsharded =
        |keyspace: &KeyspaceName, shards: usize| FlowError::Unsharded { keyspace: keyspace.to_string(), shards };
    let (out_of, to) = spec.sides(direction);
    let mut all = Vec::new();
    for (place, source) in sources.iter().enumerate() {
        let connected = |target: &usize| targets.get(*target).is_some_and(|target| spec.connects(source, target));
        let taken: Vec<usize> = (0..targets.len()).filter(connected).collect();
        let beside = |one: &usize| {
            let target = taken.first().and_then(|target| targets.get(*target));
            target.zip(sources.get(*one)).is_some_and(|(target, one)| spec.connects(one, target))
        };
        let together: Vec<usize> = (0..sources.len()).filter(beside).collect();
        let first = together.first() == Some(&place);
        let shared = match (from, together.len()) {
            (_, 0 | 1) => None,
            (None, several) => return Err(unsharded(out_of.keyspace, several)),
            (Some(schema), _) => {
                let shards = together.iter().filter_map(|one| sources.get(*one).cloned());
                let mapping = Mapping::sharded(schema.clone(), ShardMap::span(shards)?);
                let own = together.iter().position(|one| *one == place).unwrap_or_default();
                Some(Shared { sources: together, own, mapping })
            }
        };
        let flowing = |table: &&TableName| {
            if sources.len() == 1 {
                return true;
            }
            match from.and_then(|schema| schema.tables.get(table.as_str())).map(|table| &table.placement) {
                Some(Placement::Reference { .. }) => first,
                Some(Placement::Pinned(id)) => source.range().contains(id),
                _ => true,
            }
        };
        let tables = spec.tables.iter().filter(flowing).cloned().collect();
        let mapping = match (into, taken.as_slice()) {
            (_, []) => return Err(FlowError::Nowhere(source.clone())),
            (Some(schema), _) => {
                let shards = taken.iter().filter_map(|target| targets.get(*target).cloned());
                Mapping::sharded(schema.clone(), ShardMap::span(shards)?)
            }
            (None, [_]) => Mapping::whole(),
            (None, several) => return Err(unsharded(to.keyspace, several.len())),
        };
        all.push(Flow { source: place, targets: taken, tables, mapping, shared });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::workflow::{WorkflowKind, WorkflowOptions};
    use crate::sharding::vschema;

    fn spec(kind: WorkflowKind) -> WorkflowSpec {
        WorkflowSpec {
            kind,
            source_keyspace: "customer".parse().unwrap(),
            target_keyspace: "customer".parse().unwrap(),
            source_shards: vec![],
            target_shards: vec![],
            name: "w".parse().unwrap(),
            tables: ["corder", "country", "settings"].map(|name| name.parse().unwrap()).to_vec(),
            options: WorkflowOptions::default(),
        }
    }

    fn schema() -> Arc<KeyspaceSchema> {
        let text = r#"{"sharded": true, "vindexes": {"hash": {"type": "hash"}}, "tables": {
            "corder": {"column_vindexes": [{"column": "customer_id", "name": "hash"}]},
            "country": {"type": "reference"}, "settings": {"pinned": "c0"}}}"#;
        Arc::new(KeyspaceSchema::new(&vschema::parse(text).unwrap()).unwrap())
    }

    fn told(kind: WorkflowKind, sources: &str, targets: &str) -> Vec<String> {
        let shards = |text: &str| text.split(' ').map(|name| name.parse().unwrap()).collect::<Vec<ShardName>>();
        let (sources, targets, schema) = (shards(sources), shards(targets), schema());
        let spec = WorkflowSpec { source_shards: sources.clone(), target_shards: targets.clone(), ..spec(kind) };
        let flows = flows(&spec, Direction::Forward, &sources, &targets, Some(&schema), Some(&schema)).unwrap();
        let told = flows.iter().map(|flow| {
            let tables: Vec<_> = flow.tables.iter().map(|table| table.as_str()).collect();
            let shared = flow.shared.as_ref().map(|shared| shared.sources[shared.own]);
            assert!(shared.is_none_or(|own| own == flow.source));
            format!("{} > {:?}: {}", sources[flow.source], flow.targets, tables.join(" "))
        });
        told.collect()
    }

    #[test]
    fn each_target_gets_whole_tables_from_one_source() {
        assert_eq!(told(WorkflowKind::Reshard, "0", "-80 80-"), ["0 > [0, 1]: corder country settings"]);
        assert_eq!(
            told(WorkflowKind::Reshard, "-80 80-", "0"),
            ["-80 > [0]: corder country", "80- > [0]: corder settings"]
        );
        assert_eq!(
            told(WorkflowKind::Reshard, "-55 55-aa aa-", "-80 80-"),
            ["-55 > [0, 1]: corder country", "55-aa > [0, 1]: corder", "aa- > [0, 1]: corder settings"]
        );
        assert_eq!(
            told(WorkflowKind::Reshard, "-80 80-", "-40 40-80 80-c0 c0-"),
            ["-80 > [0, 1]: corder country", "80- > [2, 3]: corder country settings"]
        );
        assert_eq!(
            told(WorkflowKind::MoveTables, "-80 80-", "-40 40-"),
            ["-80 > [0, 1]: corder country", "80- > [0, 1]: corder settings"]
        );
    }

    #[test]
    fn rows_that_nobody_can_place_do_not_flow() {
        let shards = ["-80", "80-"].map(|name| name.parse().unwrap());
        let error =
            flows(&spec(WorkflowKind::Reshard), Direction::Forward, &[ShardName::unsharded()], &shards, None, None)
                .unwrap_err();
        assert!(error.to_string().contains("no sharded VSchema"), "{error}");
        let apart = ["-40", "80-"].map(|name| name.parse().unwrap());
        let schema = schema();
        let outcome = flows(
            &spec(WorkflowKind::Reshard),
            Direction::Forward,
            &[ShardName::unsharded()],
            &apart,
            None,
            Some(&schema),
        );
        assert!(matches!(outcome, Err(FlowError::Shards(_))));
    }
}
