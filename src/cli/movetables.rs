//! `shardlift movetables`.

use clap::Args;

use super::start::Start;
use super::verbs;
use crate::model::workflow::{AutoIncrementHandling, WorkflowKind};
use crate::model::{KeyspaceName, TableName};
use crate::workflow::request::Request;

pub(super) type Verb = verbs::Verb<Tables>;

/// Which tables move.
#[derive(Debug, Args)]
pub(super) struct Tables {
    /// Where the tables are
    #[arg(long)]
    source_keyspace: Option<KeyspaceName>,
    /// The tables
    #[arg(long, value_delimiter = ',')]
    tables: Vec<TableName>,
    /// All tables of the source keyspace
    #[arg(long)]
    all_tables: bool,
    /// Less these
    #[arg(long, value_delimiter = ',')]
    exclude_tables: Vec<TableName>,
    /// AUTO_INCREMENT columns where the target's shards share a table: LEAVE, REMOVE for sequences of your own, or REPLACE by
    /// sequences that are made in --global-keyspace [default: REMOVE]
    #[arg(long)]
    sharded_auto_increment_handling: Option<AutoIncrementHandling>,
    /// The unsharded keyspace that gets the sequences of REPLACE, each called <table>_seq
    #[arg(long)]
    global_keyspace: Option<KeyspaceName>,
}

impl Start for Tables {
    const KIND: WorkflowKind = WorkflowKind::MoveTables;

    fn own(self) -> Request {
        Request {
            source_keyspace: self.source_keyspace,
            tables: self.tables,
            all_tables: self.all_tables,
            exclude_tables: self.exclude_tables,
            sharded_auto_increment_handling: self.sharded_auto_increment_handling,
            global_keyspace: self.global_keyspace,
            ..Request::default()
        }
    }
}
