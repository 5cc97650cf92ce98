//! `shardlift shard`.

use std::str::FromStr;

use anyhow::Result;
use clap::Subcommand;
use serde::Serialize;

use super::{Context, Listed, Outcome};
use crate::model::workflow::TabletType;
use crate::model::{KeyspaceName, NameError, ShardName, TabletAlias};
use crate::topology::paths;
use crate::topology::records::Shard;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Declare a shard; it serves at once unless its key range overlaps another shard's
    Add {
        /// Keyspace and shard, e.g. commerce/0 or customer/-80
        shard: Target,
    },
    /// List the shards
    List {
        /// Only this keyspace's
        keyspace: Option<KeyspaceName>,
    },
    /// Show one shard
    Show {
        /// Keyspace and shard
        shard: Target,
    },
    /// Remove a shard without tablets
    Remove {
        /// Keyspace and shard
        shard: Target,
        /// Also if it serves
        #[arg(long)]
        even_if_serving: bool,
    },
    /// Name a shard's primary and raise its term; nothing is done on the servers
    SetPrimary {
        /// Keyspace and shard
        shard: Target,
        /// The tablet, e.g. zone1-100
        tablet: TabletAlias,
    },
}

/// `keyspace/shard`.
#[derive(Debug, Clone)]
pub(super) struct Target {
    keyspace: KeyspaceName,
    shard: ShardName,
}

impl FromStr for Target {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (keyspace, shard) = text.split_once('/').unwrap_or((text, ""));
        if shard.is_empty() {
            let why = "expected <keyspace>/<shard>, e.g. commerce/0 or customer/-80";
            return Err(NameError { what: "shard", text: text.into(), why });
        }
        Ok(Self { keyspace: keyspace.parse()?, shard: shard.parse()? })
    }
}

#[derive(Serialize)]
struct Line {
    keyspace: String,
    shard: String,
    primary: Option<TabletAlias>,
    term: u64,
    serving: Vec<TabletType>,
}

impl Listed for Line {
    const COLUMNS: &'static [&'static str] = &["KEYSPACE", "SHARD", "PRIMARY", "TERM", "SERVING"];

    fn cells(&self) -> Vec<String> {
        let serving: Vec<&str> = self.serving.iter().map(|t| t.as_str()).collect();
        let serving = if serving.is_empty() { "-".into() } else { serving.join(",") };
        let primary = self.primary.as_ref().map_or("-".into(), ToString::to_string);
        vec![self.keyspace.clone(), self.shard.clone(), primary, self.term.to_string(), serving]
    }
}

fn line(keyspace: &str, name: &str, shard: Shard) -> Line {
    let serving = shard.serving.into_iter().collect();
    Line { keyspace: keyspace.into(), shard: name.into(), primary: shard.primary, term: shard.term, serving }
}

impl Verb {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        let topology = context.topology().await?;
        match self {
            Self::Add { shard: Target { keyspace, shard } } => {
                let added = topology.add_shard(&keyspace, &shard).await?;
                let note = if added.serving.is_empty() { ", not serving: it overlaps another shard" } else { "" };
                context.output.done(&format!("added shard {keyspace}/{shard}{note}"))?;
            }
            Self::List { keyspace } => {
                let folder = keyspace.as_ref().map_or_else(paths::all_shards, paths::shards);
                let found = topology.list::<Shard>(&folder).await?;
                let lines: Vec<Line> = found
                    .records
                    .into_iter()
                    .map(|(path, shard)| line(path.segments().nth(1).unwrap_or_default(), path.name(), shard.record))
                    .collect();
                context.output.list(&lines)?;
            }
            Self::Show { shard: Target { keyspace, shard } } => {
                let found = topology.need::<Shard>(&paths::shard(&keyspace, &shard)).await?;
                context.output.show(&line(keyspace.as_str(), shard.as_str(), found.record))?;
            }
            Self::Remove { shard: Target { keyspace, shard }, even_if_serving } => {
                topology.remove_shard(&keyspace, &shard, even_if_serving).await?;
                context.output.done(&format!("removed shard {keyspace}/{shard}"))?;
            }
            Self::SetPrimary { shard: Target { keyspace, shard }, tablet } => {
                let changed = topology.set_primary(&keyspace, &shard, &tablet).await?;
                let term = changed.term;
                context.output.done(&format!("{tablet} is the primary of shard {keyspace}/{shard} (term {term})"))?;
            }
        }
        Ok(Outcome::Done)
    }
}
