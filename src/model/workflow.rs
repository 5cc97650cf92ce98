//! What a workflow is: its kind, states, options and the words of Vitess for them.

use serde::{Deserialize, Serialize};

use super::names::{KeyspaceName, ShardName, TableName, WorkflowName};
use super::switch::Direction;

macro_rules! words {
    ($(#[$doc:meta])* $type:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $type { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $type {
            /// Every value, in declaration order.
            pub const ALL: &'static [$type] = &[$($type::$variant),+];

            /// The word it is written as.
            pub fn as_str(self) -> &'static str {
                match self { $($type::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::model::NameError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|value| value.as_str().eq_ignore_ascii_case(text))
                    .ok_or_else(|| $crate::model::NameError::new($what, text, concat!("expected one of:" $(, " ", $word)+)))
            }
        }
    };
}

pub(super) use words;

words!(/// What a tablet serves.
    TabletType, "tablet type" {
        /// Takes writes.
        Primary = "PRIMARY",
        /// Serves reads and may be promoted.
        Replica = "REPLICA",
        /// Serves batch reads, never promoted.
        Rdonly = "RDONLY",
});

words!(/// What a workflow moves.
    WorkflowKind, "workflow kind" {
        /// Tables from one keyspace to another.
        MoveTables = "MoveTables",
        /// All tables of a keyspace from one set of shards to another.
        Reshard = "Reshard",
});

impl WorkflowKind {
    /// The noun of the command line.
    pub fn noun(self) -> &'static str {
        match self {
            Self::MoveTables => "movetables",
            Self::Reshard => "reshard",
        }
    }
}

words!(/// What the operator wants of a workflow.
    Desired, "desired state" {
        /// The streams should move.
        Running = "Running",
        /// The streams should rest where they are.
        Paused = "Paused",
        /// Everything the workflow made should go.
        Cancelled = "Cancelled",
        /// The tables are the target's for good: what is left of them at the source, and the workflow, should go.
        Completed = "Completed",
});

words!(/// Where a stream is. The words are those of Vitess's VReplication.
    StreamState, "stream state" {
        /// Created, nothing copied yet.
        Init = "Init",
        /// Copying snapshots in rounds.
        Copying = "Copying",
        /// Copied; applying the backlog of the binlog.
        Lagging = "Lagging",
        /// Level with the source but for the lag shown.
        Running = "Running",
        /// At rest: paused, or stopped after the copy as asked.
        Stopped = "Stopped",
        /// At rest after an error that retrying does not cure.
        Error = "Error",
});

words!(/// What a DDL statement on a moved table does to the stream.
    OnDdl, "on-ddl action" {
        /// The stream stops at that GTID.
        Stop = "STOP",
        /// The statement is skipped.
        Ignore = "IGNORE",
        /// The statement is run on the target.
        Exec = "EXEC",
        /// The statement is run on the target; an error there is logged and skipped.
        ExecIgnore = "EXEC_IGNORE",
});

words!(/// What becomes of AUTO_INCREMENT columns in tables that are spread over shards, each of which would number for itself.
    AutoIncrementHandling, "handling of auto_increment" {
        /// They stay.
        Leave = "LEAVE",
        /// They are left out on the target; sequences number instead.
        Remove = "REMOVE",
        /// They are left out, and each gets a sequence of its own.
        Replace = "REPLACE",
});

impl AutoIncrementHandling {
    /// Whether the target's tables lack AUTO_INCREMENT.
    pub fn leaves_out(self) -> bool {
        self != Self::Leave
    }
}

/// What the operator asked for when the workflow was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkflowSpec {
    /// What is moved.
    pub kind: WorkflowKind,
    /// Where the tables are.
    pub source_keyspace: KeyspaceName,
    /// Where they go; the workflow's record lives under this keyspace.
    pub target_keyspace: KeyspaceName,
    /// The shards they are in. None named, in records of earlier releases: those that serve the source keyspace.
    #[serde(default)]
    pub source_shards: Vec<ShardName>,
    /// The shards they go to; likewise.
    #[serde(default)]
    pub target_shards: Vec<ShardName>,
    /// The workflow's name, unique within the target keyspace.
    pub name: WorkflowName,
    /// The moved tables, resolved from whatever selection was given.
    pub tables: Vec<TableName>,
    /// How.
    pub options: WorkflowOptions,
}

/// One end of a workflow: a keyspace and its shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SideSpec<'a> {
    /// The keyspace.
    pub keyspace: &'a KeyspaceName,
    /// The shards; none named: those that serve it.
    pub shards: &'a [ShardName],
}

impl WorkflowSpec {
    /// Where the tables are when the workflow is started.
    pub fn source(&self) -> SideSpec<'_> {
        SideSpec { keyspace: &self.source_keyspace, shards: &self.source_shards }
    }

    /// Where they go.
    pub fn target(&self) -> SideSpec<'_> {
        SideSpec { keyspace: &self.target_keyspace, shards: &self.target_shards }
    }

    /// Both in the order of a flow: out of, and into.
    pub fn sides(&self, direction: Direction) -> (SideSpec<'_>, SideSpec<'_>) {
        match direction {
            Direction::Forward => (self.source(), self.target()),
            Direction::Backward => (self.target(), self.source()),
        }
    }

    /// What to call them in messages: keyspaces, or, where these are the same, their shards.
    pub fn names(&self, direction: Direction) -> (String, String) {
        let name = |side: SideSpec<'_>| match self.kind {
            WorkflowKind::MoveTables => side.keyspace.to_string(),
            WorkflowKind::Reshard => {
                let shards: Vec<_> = side.shards.iter().map(ShardName::as_str).collect();
                format!("{}/{}", side.keyspace, shards.join(","))
            }
        };
        let (out_of, into) = self.sides(direction);
        (name(out_of), name(into))
    }

    /// Whether rows flow between the two shards, in whichever direction. Between keyspaces any may be spread to any; within
    /// one, shards are connected that no bound parts which both the sources and the targets have.
    pub fn connects(&self, one: &ShardName, other: &ShardName) -> bool {
        self.kind != WorkflowKind::Reshard || self.part(one) == self.part(other)
    }

    /// The last bound that both sides have at or before a shard's own.
    fn part(&self, shard: &ShardName) -> Option<&[u8]> {
        let starts = |shards: &[ShardName], bound: &[u8]| shards.iter().any(|one| one.range().start() == bound);
        let bounds = self.source_shards.iter().map(|one| one.range().start());
        let common = bounds.filter(|bound| *bound <= shard.range().start() && starts(&self.target_shards, bound));
        common.max()
    }
}

/// The choices a workflow is started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkflowOptions {
    /// What a DDL statement on a moved table does.
    pub on_ddl: OnDdl,
    /// Which types of source tablets may be read, in order of preference.
    pub tablet_types: Vec<TabletType>,
    /// Whether secondary keys are built after the copy instead of during it.
    pub defer_secondary_keys: bool,
    /// Whether the streams rest once the copy is complete.
    pub stop_after_copy: bool,
    /// Whether a source that may forget commits in a crash is accepted.
    pub allow_unsafe_source: bool,
    /// Whether triggers on moved tables are accepted that test `@shardlift_stream`.
    pub allow_triggers: bool,
    /// Whether views, routines, events and triggers elsewhere may name a moved table.
    pub allow_cross_keyspace: bool,
    /// What becomes of AUTO_INCREMENT columns where tables get spread over shards.
    pub sharded_auto_increment: AutoIncrementHandling,
    /// The unsharded keyspace that gets the sequences they are replaced by.
    pub global_keyspace: Option<KeyspaceName>,
    /// Connections on which chunks are copied and batches applied side by side.
    pub workers: u32,
    /// Rough size of one copied chunk, bytes.
    pub chunk_bytes: u64,
    /// How long a round of copying lasts before the binlog is caught up with, milliseconds.
    pub round_ms: u64,
}

impl Default for WorkflowOptions {
    fn default() -> Self {
        Self {
            on_ddl: OnDdl::Stop,
            tablet_types: vec![TabletType::Primary],
            defer_secondary_keys: true,
            stop_after_copy: false,
            allow_unsafe_source: false,
            allow_triggers: false,
            allow_cross_keyspace: false,
            // Records of earlier releases knew no other.
            sharded_auto_increment: AutoIncrementHandling::Leave,
            global_keyspace: None,
            workers: 4,
            chunk_bytes: 16 << 20,
            round_ms: 60_000,
        }
    }
}

words!(/// What becomes of the old tables when a workflow is completed.
    OldTables, "fate of old tables" {
        /// They are renamed to `_<table>_old`.
        Rename = "rename",
        /// They are dropped.
        Drop = "drop",
        /// They stay as they are.
        Keep = "keep",
});

/// How a workflow is completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    /// What becomes of the old tables.
    pub old_tables: OldTables,
    /// Whether the routing rules stay.
    pub keep_routing_rules: bool,
}

/// Limits on what a workflow may cost. `None` means no limit. May be changed while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Throttle {
    /// Rows per second, copied and applied together.
    pub rows_per_second: Option<u64>,
    /// Bytes per second, copied and applied together.
    pub bytes_per_second: Option<u64>,
    /// Connections used side by side, at most the workflow's `workers`.
    pub connections: Option<u32>,
    /// Greatest lag of a target replica at which copying goes on, milliseconds.
    pub replica_lag_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_parse_in_any_case_and_print_as_vitess_does() {
        assert_eq!("replica".parse::<TabletType>().unwrap(), TabletType::Replica);
        assert_eq!(OnDdl::ExecIgnore.to_string(), "EXEC_IGNORE");
        assert!("MASTER".parse::<TabletType>().unwrap_err().to_string().contains("PRIMARY REPLICA RDONLY"));
    }
}
