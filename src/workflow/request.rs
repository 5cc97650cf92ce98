//! What an operator asks for: from flags, from a YAML file, or a file with flags on top.

use serde::{Deserialize, Serialize};

use crate::model::workflow::{
    AutoIncrementHandling, OnDdl, TabletType, Throttle, WorkflowKind, WorkflowOptions, WorkflowSpec,
};
use crate::model::{KeyspaceName, ShardName, TableName, WorkflowName};

use super::WorkflowError;

/// A request for a workflow. Every field may come from the file or from a flag; what neither gives has Vitess's default or,
/// where that is unsafe, a safer one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", default)]
pub struct Request {
    /// `MoveTables` or `Reshard`; the command's noun says it, too.
    pub kind: Option<WorkflowKind>,
    /// The workflow's name.
    pub workflow: Option<WorkflowName>,
    /// Where the tables are; of a Reshard the target keyspace.
    pub source_keyspace: Option<KeyspaceName>,
    /// Where they go.
    pub target_keyspace: Option<KeyspaceName>,
    /// Of a Reshard: the shards whose rows move.
    pub source_shards: Vec<ShardName>,
    /// Of a Reshard: the shards they move to.
    pub target_shards: Vec<ShardName>,
    /// The tables are on the target shards already, empty.
    pub skip_schema_copy: bool,
    /// The tables, by name.
    pub tables: Vec<TableName>,
    /// All tables of the source keyspace.
    pub all_tables: bool,
    /// Less these.
    pub exclude_tables: Vec<TableName>,
    /// What DDL on a moved table does [default: STOP].
    pub on_ddl: Option<OnDdl>,
    /// Types of source tablets to read from, in order of preference [default: PRIMARY].
    pub tablet_types: Vec<TabletType>,
    /// Build secondary keys after the copy [default: true].
    pub defer_secondary_keys: Option<bool>,
    /// Begin at once [default: true].
    pub auto_start: Option<bool>,
    /// Rest once the copy is complete [default: false].
    pub stop_after_copy: Option<bool>,
    /// Accept a source that may forget commits in a crash.
    pub allow_unsafe_source: bool,
    /// Accept triggers on moved tables that test `@shardlift_stream`.
    pub allow_triggers: bool,
    /// Accept views, routines, events and triggers elsewhere that name a moved table.
    pub allow_cross_keyspace: bool,
    /// What becomes of AUTO_INCREMENT columns where MoveTables spreads tables over shards [default: REMOVE].
    pub sharded_auto_increment_handling: Option<AutoIncrementHandling>,
    /// The unsharded keyspace for the sequences that replace them.
    pub global_keyspace: Option<KeyspaceName>,
    /// Connections side by side [default: 4].
    pub workers: Option<u32>,
    /// Rough size of a chunk, bytes [default: 16 MiB].
    pub chunk_bytes: Option<u64>,
    /// Length of a round of copying, milliseconds [default: 60000].
    pub round_ms: Option<u64>,
    /// Limits.
    pub throttle: Throttle,
}

impl Request {
    /// Reads a YAML file's text.
    pub fn parse(text: &str) -> Result<Self, WorkflowError> {
        serde_norway::from_str(text).map_err(|error| WorkflowError::Request(error.to_string()))
    }

    /// This request with whatever `flags` gives instead.
    pub fn overridden(self, flags: Request) -> Request {
        fn list<T>(ours: Vec<T>, theirs: Vec<T>) -> Vec<T> {
            if theirs.is_empty() { ours } else { theirs }
        }
        Request {
            kind: self.kind.or(flags.kind),
            workflow: flags.workflow.or(self.workflow),
            source_keyspace: flags.source_keyspace.or(self.source_keyspace),
            target_keyspace: flags.target_keyspace.or(self.target_keyspace),
            source_shards: list(self.source_shards, flags.source_shards),
            target_shards: list(self.target_shards, flags.target_shards),
            skip_schema_copy: flags.skip_schema_copy || self.skip_schema_copy,
            tables: list(self.tables, flags.tables),
            all_tables: flags.all_tables || self.all_tables,
            exclude_tables: list(self.exclude_tables, flags.exclude_tables),
            on_ddl: flags.on_ddl.or(self.on_ddl),
            tablet_types: list(self.tablet_types, flags.tablet_types),
            defer_secondary_keys: flags.defer_secondary_keys.or(self.defer_secondary_keys),
            auto_start: flags.auto_start.or(self.auto_start),
            stop_after_copy: flags.stop_after_copy.or(self.stop_after_copy),
            allow_unsafe_source: flags.allow_unsafe_source || self.allow_unsafe_source,
            allow_triggers: flags.allow_triggers || self.allow_triggers,
            allow_cross_keyspace: flags.allow_cross_keyspace || self.allow_cross_keyspace,
            sharded_auto_increment_handling: flags
                .sharded_auto_increment_handling
                .or(self.sharded_auto_increment_handling),
            global_keyspace: flags.global_keyspace.or(self.global_keyspace),
            workers: flags.workers.or(self.workers),
            chunk_bytes: flags.chunk_bytes.or(self.chunk_bytes),
            round_ms: flags.round_ms.or(self.round_ms),
            throttle: Throttle {
                rows_per_second: flags.throttle.rows_per_second.or(self.throttle.rows_per_second),
                bytes_per_second: flags.throttle.bytes_per_second.or(self.throttle.bytes_per_second),
                connections: flags.throttle.connections.or(self.throttle.connections),
                replica_lag_ms: flags.throttle.replica_lag_ms.or(self.throttle.replica_lag_ms),
            },
        }
    }

    /// What it asks for, without its tables; or what is missing, or does not go together.
    pub fn spec(&self) -> Result<WorkflowSpec, WorkflowError> {
        let refuse = |text: String| Err(WorkflowError::Request(text));
        let missing = |what: &str| WorkflowError::Request(format!("{what} is not given"));
        let kind = self.kind.unwrap_or(WorkflowKind::MoveTables);
        let name = self.workflow.clone().ok_or_else(|| missing("--workflow"))?;
        let target_keyspace = self.target_keyspace.clone().ok_or_else(|| missing("--target-keyspace"))?;
        let source_keyspace = match (kind, &self.source_keyspace) {
            (_, Some(given)) => given.clone(),
            (WorkflowKind::Reshard, None) => target_keyspace.clone(),
            (WorkflowKind::MoveTables, None) => return Err(missing("--source-keyspace")),
        };
        let shards = [("--source-shards", &self.source_shards), ("--target-shards", &self.target_shards)];
        match kind {
            WorkflowKind::MoveTables if source_keyspace == target_keyspace => {
                return refuse(format!("source and target are the same keyspace, {target_keyspace}"));
            }
            WorkflowKind::Reshard if source_keyspace != target_keyspace => {
                return refuse(format!(
                    "a Reshard stays within a keyspace, and {source_keyspace} is not {target_keyspace}: movetables moves \
                     tables between keyspaces"
                ));
            }
            WorkflowKind::MoveTables => {
                if let Some((flag, _)) = shards.iter().find(|(_, given)| !given.is_empty()) {
                    return refuse(format!("{flag} goes with a Reshard: MoveTables takes the shards that serve"));
                }
            }
            WorkflowKind::Reshard => {
                if let Some((flag, _)) = shards.iter().find(|(_, given)| given.is_empty()) {
                    return Err(missing(flag));
                }
                if self.all_tables || !self.tables.is_empty() || !self.exclude_tables.is_empty() {
                    return refuse("a Reshard takes all tables of its keyspace: name none".into());
                }
            }
        }
        Ok(WorkflowSpec {
            kind,
            source_keyspace,
            target_keyspace,
            source_shards: self.source_shards.clone(),
            target_shards: self.target_shards.clone(),
            name,
            tables: Vec::new(),
            options: self.options()?,
        })
    }

    /// Which of the source's tables are meant, in their order there.
    pub fn select(&self, existing: &[TableName]) -> Result<Vec<TableName>, WorkflowError> {
        if self.kind == Some(WorkflowKind::Reshard) {
            return Ok(existing.to_vec());
        }
        let refuse = |text: String| Err(WorkflowError::Request(text));
        let unknown = |names: &[TableName]| -> Vec<String> {
            names.iter().filter(|name| !existing.contains(name)).map(ToString::to_string).collect()
        };
        match (self.all_tables, self.tables.is_empty()) {
            (true, false) => return refuse("--tables and --all-tables exclude each other".into()),
            (false, true) => return refuse("name tables with --tables a,b or take them all with --all-tables".into()),
            (false, false) if !self.exclude_tables.is_empty() => {
                return refuse("--exclude-tables goes with --all-tables".into());
            }
            _ => {}
        }
        let unknown = [unknown(&self.tables), unknown(&self.exclude_tables)].concat();
        if !unknown.is_empty() {
            return refuse(format!("no such table in the source keyspace: {}", unknown.join(", ")));
        }
        let wanted = |name: &&TableName| {
            if self.all_tables { !self.exclude_tables.contains(name) } else { self.tables.contains(name) }
        };
        let tables: Vec<_> = existing.iter().filter(wanted).cloned().collect();
        if tables.is_empty() { refuse("no table is left to move".into()) } else { Ok(tables) }
    }

    /// The options with their defaults, within sane bounds.
    fn options(&self) -> Result<WorkflowOptions, WorkflowError> {
        let default = WorkflowOptions::default();
        let options = WorkflowOptions {
            on_ddl: self.on_ddl.unwrap_or(default.on_ddl),
            tablet_types: if self.tablet_types.is_empty() { default.tablet_types } else { self.tablet_types.clone() },
            defer_secondary_keys: self.defer_secondary_keys.unwrap_or(default.defer_secondary_keys),
            stop_after_copy: self.stop_after_copy.unwrap_or(default.stop_after_copy),
            allow_unsafe_source: self.allow_unsafe_source,
            allow_triggers: self.allow_triggers,
            allow_cross_keyspace: self.allow_cross_keyspace,
            sharded_auto_increment: match self.kind {
                // What they are on the shards that serve, they are on the others.
                Some(WorkflowKind::Reshard) => AutoIncrementHandling::Leave,
                _ => self.sharded_auto_increment_handling.unwrap_or(AutoIncrementHandling::Remove),
            },
            global_keyspace: self.global_keyspace.clone(),
            workers: self.workers.unwrap_or(default.workers),
            chunk_bytes: self.chunk_bytes.unwrap_or(default.chunk_bytes),
            round_ms: self.round_ms.unwrap_or(default.round_ms),
        };
        let replaces = options.sharded_auto_increment == AutoIncrementHandling::Replace;
        if replaces != options.global_keyspace.is_some() {
            return Err(WorkflowError::Request(
                "--global-keyspace names the unsharded keyspace that gets the sequences of \
                 --sharded-auto-increment-handling REPLACE: give both, or neither"
                    .into(),
            ));
        }
        if !(1..=32).contains(&options.workers) {
            return Err(WorkflowError::Request(format!("--workers {} is not within 1 to 32", options.workers)));
        }
        if !(1 << 10..=1 << 30).contains(&options.chunk_bytes) {
            return Err(WorkflowError::Request("--chunk-bytes must be within 1 KiB and 1 GiB".into()));
        }
        if !(100..=3_600_000).contains(&options.round_ms) {
            return Err(WorkflowError::Request("--round-ms must be within 100 and 3600000".into()));
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<TableName> {
        list.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_file_is_strict_and_flags_win() {
        let file =
            Request::parse("workflow: w\nsource_keyspace: a\ntarget_keyspace: b\ntables: [x]\non_ddl: EXEC\n").unwrap();
        assert!(Request::parse("workflow: w\ntabels: [x]\n").unwrap_err().to_string().contains("tabels"));
        let flags = Request { on_ddl: Some(OnDdl::Ignore), tables: names(&["y"]), ..Request::default() };
        let both = file.overridden(flags);
        assert_eq!((both.on_ddl, both.tables), (Some(OnDdl::Ignore), names(&["y"])));
    }

    #[test]
    fn selections_that_make_no_sense_are_refused() {
        let existing = names(&["a", "b", "c"]);
        let select = |request: Request| request.select(&existing);
        let all = Request { all_tables: true, exclude_tables: names(&["b"]), ..Request::default() };
        assert_eq!(select(all.clone()).unwrap(), names(&["a", "c"]));
        assert!(select(Request { tables: names(&["a"]), ..all }).is_err());
        assert!(select(Request::default()).is_err());
        let unknown = select(Request { tables: names(&["a", "zz"]), ..Request::default() });
        assert!(unknown.unwrap_err().to_string().contains("zz"));
    }
}
