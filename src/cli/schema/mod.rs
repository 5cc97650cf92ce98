//! `shardlift schema`: DDL on every shard of a keyspace, and what tables look like there.

mod apply;
mod logged;
mod statements;
mod tables;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::{Context, Outcome};
use crate::model::KeyspaceName;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run DDL on the primaries of all serving shards; run it again to go on where a shard failed
    Apply(ApplyArgs),
    /// Show the tables, and on which shards they differ
    Show {
        /// The keyspace
        keyspace: KeyspaceName,
    },
}

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// The keyspace
    keyspace: KeyspaceName,
    #[command(flatten)]
    document: Document,
    /// Only print the statements and the shards
    #[arg(long, short)]
    dry_run: bool,
    /// How long a statement may take
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Give up an unfinished change of other statements: shards stay as they are
    #[arg(long)]
    abandon_unfinished: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Document {
    /// The statements, separated by semicolons
    #[arg(long, value_name = "SQL")]
    sql: Option<String>,
    /// A file with the statements; `-` for standard input
    #[arg(long, value_name = "FILE")]
    sql_file: Option<PathBuf>,
}

impl Verb {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        match self {
            Self::Apply(args) => apply::run(context, args).await,
            Self::Show { keyspace } => tables::run(context, &keyspace).await,
        }
    }
}
