//! `shardlift keyspace`.

use anyhow::Result;
use clap::Subcommand;
use serde::Serialize;

use super::{Context, Listed, Outcome};
use crate::model::{DatabaseName, KeyspaceName};
use crate::topology::paths;
use crate::topology::records::Keyspace;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Declare a keyspace
    Add {
        /// Its name, e.g. commerce
        keyspace: KeyspaceName,
        /// The MySQL schema its tablets hold it in [default: the keyspace's name]
        #[arg(long)]
        database: Option<DatabaseName>,
    },
    /// List the keyspaces
    List,
    /// Show one keyspace
    Show {
        /// Its name
        keyspace: KeyspaceName,
    },
    /// Remove a keyspace without shards and workflows
    Remove {
        /// Its name
        keyspace: KeyspaceName,
    },
}

#[derive(Serialize)]
struct Line {
    name: String,
    database: String,
}

impl Listed for Line {
    const COLUMNS: &'static [&'static str] = &["KEYSPACE", "DATABASE"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone(), self.database.clone()]
    }
}

fn line(name: &str, keyspace: &Keyspace) -> Line {
    Line { name: name.into(), database: keyspace.database.to_string() }
}

impl Verb {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        let topology = context.topology().await?;
        match self {
            Self::Add { keyspace, database } => {
                let database = database.map_or_else(|| keyspace.as_str().parse(), Ok)?;
                topology.add_keyspace(&keyspace, &Keyspace { database }).await?;
                context.output.done(&format!("added keyspace {keyspace}"))?;
            }
            Self::List => {
                let found = topology.list::<Keyspace>(&paths::keyspaces()).await?;
                let lines: Vec<Line> = found.records.iter().map(|(path, k)| line(path.name(), &k.record)).collect();
                context.output.list(&lines)?;
            }
            Self::Show { keyspace } => {
                let found = topology.need::<Keyspace>(&paths::keyspace(&keyspace)).await?;
                context.output.show(&line(keyspace.as_str(), &found.record))?;
            }
            Self::Remove { keyspace } => {
                topology.remove_keyspace(&keyspace).await?;
                context.output.done(&format!("removed keyspace {keyspace}"))?;
            }
        }
        Ok(Outcome::Done)
    }
}
