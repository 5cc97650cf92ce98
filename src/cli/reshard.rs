//! `shardlift reshard`.

use clap::Args;

use super::start::Start;
use super::verbs;
use crate::model::ShardName;
use crate::model::workflow::WorkflowKind;
use crate::workflow::request::Request;

pub(super) type Verb = verbs::Verb<Shards>;

/// Which shards become which.
#[derive(Debug, Args)]
pub(super) struct Shards {
    /// The shards whose rows move, e.g. 0 or -80,80-
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    source_shards: Vec<ShardName>,
    /// The shards they move to; declared with `shard add`, not serving yet
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    target_shards: Vec<ShardName>,
    /// Use the tables that are on the target shards, empty, instead of creating them like the source's
    #[arg(long)]
    skip_schema_copy: bool,
}

impl Start for Shards {
    const KIND: WorkflowKind = WorkflowKind::Reshard;

    fn own(self) -> Request {
        Request {
            source_shards: self.source_shards,
            target_shards: self.target_shards,
            skip_schema_copy: self.skip_schema_copy,
            ..Request::default()
        }
    }
}
