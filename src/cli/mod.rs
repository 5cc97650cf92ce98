//! The command line: one file per noun, one variant per noun here.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 usage (clap's own), 3 detached or still running.
//!
//! To add a noun: a file with a clap `Subcommand` and a `run(&Context) -> Result<Outcome>`, a variant of [`Noun`] that
//! wraps it, and an arm in [`run`].

mod cell;
mod clock;
mod config;
mod demo;
mod document;
mod engine;
mod gateway;
mod health;
mod keyspace;
mod local;
mod movetables;
mod output;
mod primaries;
mod repair;
mod reshard;
mod rules;
mod schema;
mod shard;
mod start;
mod status;
mod tablet;
mod tablet_check;
mod topo;
mod traffic;
mod verbs;
mod vschema;
mod workflow;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

pub use self::config::parse;
pub use self::output::{Format, Listed, Output};
use crate::model::ClusterName;
use crate::mysql::Credentials;
use crate::topology::{Topology, default_address};

/// Moves MySQL tables between keyspaces and splits or merges shards while applications keep writing.
#[derive(Debug, Parser)]
#[command(name = "shardlift", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    noun: Noun,
}

/// Flags every command takes, before or after its verb.
#[derive(Debug, Args)]
struct Global {
    /// The topology: etcd://host:port,… or the path of an embedded one [default: a file in the user's data folder]
    #[arg(long, global = true, env = "SHARDLIFT_TOPO", hide_env_values = true, value_name = "URL|PATH")]
    topo: Option<String>,
    /// The cluster within the topology
    #[arg(long, global = true, env = "SHARDLIFT_CLUSTER", default_value = "main", value_name = "NAME")]
    cluster: ClusterName,
    /// The file credentials are looked up in, by name [default: environment variables]
    #[arg(long, global = true, env = "SHARDLIFT_CREDENTIALS", value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// How to print listings
    #[arg(long, global = true, default_value = "table", value_name = "FORMAT")]
    format: Format,
    /// What to log on stderr: error, warn, info, debug or trace, also by module (`warn,shardlift::engine=debug`)
    #[arg(long, global = true, env = "SHARDLIFT_LOG", default_value = "warn", value_name = "LEVEL", value_parser = filter)]
    log: String,
}

fn filter(text: &str) -> Result<String, ParseError> {
    text.parse::<EnvFilter>().map(|_| text.to_owned())
}

impl Cli {
    /// What is logged; an empty filter if it cannot be read, which parsing has ruled out.
    pub fn log(&self) -> EnvFilter {
        self.global.log.parse().unwrap_or_default()
    }
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Failure domains that tablets live in
    #[command(subcommand)]
    Cell(cell::Verb),
    /// Logical databases
    #[command(subcommand)]
    Keyspace(keyspace::Verb),
    /// Parts of a keyspace
    #[command(subcommand)]
    Shard(shard::Verb),
    /// MySQL servers, each with the schema it holds
    #[command(subcommand)]
    Tablet(tablet::Verb),
    /// Which keyspace a table's traffic goes to, whatever the statement says
    #[command(subcommand)]
    Rules(rules::Verb),
    /// How tables are spread over a keyspace's shards
    #[command(subcommand, name = "vschema")]
    VSchema(vschema::Verb),
    /// What tables look like, on every shard of a keyspace
    #[command(subcommand)]
    Schema(schema::Verb),
    /// Move tables from one keyspace to another
    #[command(subcommand, name = "movetables", alias = "MoveTables")]
    MoveTables(movetables::Verb),
    /// Split, merge or cut anew the shards of a keyspace
    #[command(subcommand, name = "reshard", alias = "Reshard")]
    Reshard(reshard::Verb),
    /// All workflows, whatever they move
    #[command(subcommand)]
    Workflow(workflow::Verb),
    /// The process that carries workflows out
    #[command(subcommand)]
    Engine(engine::Verb),
    /// The process that applications connect to
    #[command(subcommand)]
    Gateway(gateway::Verb),
    /// Ask an engine or gateway whether it is well; for the health checks of containers
    Health(health::Flags),
    /// The topology itself
    #[command(subcommand)]
    Topo(topo::Verb),
    /// A cluster on this machine, to try things out
    #[command(subcommand)]
    Local(local::Verb),
    /// The whole story on servers of its own: a move under load, proven, and nothing left behind
    Demo(demo::Flags),
}

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// What was asked was looked into and found wanting; the output says why.
    Failed,
    /// Left to run on its own, or still running.
    Running,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Failed => Self::from(1),
            Outcome::Running => Self::from(3),
        }
    }
}

/// What commands work with.
#[derive(Debug)]
pub struct Context {
    global: Global,
    /// Where listings go.
    pub output: Output,
}

impl Context {
    /// Where logins are looked up.
    pub fn credentials(&self) -> Credentials {
        Credentials::new(self.global.credentials.clone())
    }

    /// The topology named by the flags.
    pub async fn topology(&self) -> Result<Topology> {
        let address = match &self.global.topo {
            Some(address) => address.clone(),
            None => default_address()
                .context("there is no home folder to keep a topology in; name one with --topo")?
                .display()
                .to_string(),
        };
        Ok(Topology::open(&address, &self.global.cluster).await?)
    }
}

/// Runs a parsed command.
pub async fn run(cli: Cli) -> Result<Outcome> {
    let context = Context { output: Output::new(cli.global.format), global: cli.global };
    match cli.noun {
        Noun::Cell(verb) => verb.run(&context).await,
        Noun::Keyspace(verb) => verb.run(&context).await,
        Noun::Shard(verb) => verb.run(&context).await,
        Noun::Tablet(verb) => verb.run(&context).await,
        Noun::Rules(verb) => verb.run(&context).await,
        Noun::VSchema(verb) => verb.run(&context).await,
        Noun::Schema(verb) => verb.run(&context).await,
        Noun::MoveTables(verb) => verb.run(&context).await,
        Noun::Reshard(verb) => verb.run(&context).await,
        Noun::Workflow(verb) => verb.run(&context).await,
        Noun::Engine(verb) => verb.run(&context).await,
        Noun::Gateway(verb) => verb.run(&context).await,
        Noun::Health(flags) => flags.run().await,
        Noun::Topo(verb) => verb.run(&context).await,
        Noun::Local(verb) => verb.run(&context).await,
        Noun::Demo(flags) => flags.run(&context).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_log_filter_is_held_to_its_rules() {
        let log = |filter| {
            Cli::try_parse_from(["shardlift", "cell", "list", "--log", filter]).map(|cli| cli.log().to_string())
        };
        assert_eq!(log("warn,shardlift::engine=debug").unwrap(), "shardlift::engine=debug,warn");
        assert!(log("shardlift=loud").is_err());
    }

    #[test]
    fn global_flags_may_stand_before_or_after_the_verb() {
        for line in ["shardlift --topo /t --format json cell list", "shardlift cell list --format json --topo /t"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!((cli.global.topo.as_deref(), cli.global.format), (Some("/t"), Format::Json));
        }
    }
}
