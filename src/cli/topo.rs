//! `shardlift topo`.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use serde::Serialize;

use super::{Context, Listed, Outcome};
use crate::topology::transfer::Document;
use crate::topology::{Path, Revision};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Print one record as it is stored
    Get {
        /// Its path, e.g. shards/commerce/0
        path: String,
    },
    /// List the records
    List {
        /// Only those whose path starts so
        #[arg(default_value = "")]
        prefix: String,
    },
    /// Print the whole cluster as one JSON document, without what lives by a lease
    Export {
        /// Write to this file instead
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Fill an empty cluster from an exported document, all of it or nothing
    Import {
        /// The document; `-` for standard input
        file: PathBuf,
        /// Replace all that the cluster holds
        #[arg(long)]
        force: bool,
    },
}

#[derive(Serialize)]
struct Line {
    path: String,
    revision: Revision,
    bytes: usize,
    leased: bool,
}

impl Listed for Line {
    const COLUMNS: &'static [&'static str] = &["PATH", "REVISION", "BYTES", "LEASED"];

    fn cells(&self) -> Vec<String> {
        let leased = if self.leased { "yes" } else { "" };
        vec![self.path.clone(), self.revision.to_string(), self.bytes.to_string(), leased.into()]
    }
}

impl Verb {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        let topology = context.topology().await?;
        match self {
            Self::Get { path } => {
                let Some(parsed) = Path::parse(&path) else {
                    bail!("`{path}` is not the path of a topology record; `shardlift topo list` shows them");
                };
                let found = topology.store().get(&topology.paths().key(&parsed)).await?;
                let entry = found.entry.with_context(|| format!("there is no record {path}"))?;
                let value: serde_json::Value =
                    serde_json::from_slice(&entry.value).context("the record is not JSON")?;
                context.output.json(&value)?;
            }
            Self::List { prefix } => {
                let listing = topology.store().list(&format!("{}{prefix}", topology.paths().root())).await?;
                let lines: Vec<Line> = listing
                    .entries
                    .iter()
                    .filter_map(|entry| {
                        let path = topology.paths().path(&entry.key)?.to_string();
                        let (revision, bytes) = (entry.mod_revision, entry.value.len());
                        Some(Line { path, revision, bytes, leased: entry.lease.is_some() })
                    })
                    .collect();
                context.output.list(&lines)?;
            }
            Self::Export { output } => {
                let document = topology.export().await?;
                match output {
                    None => context.output.json(&document)?,
                    Some(file) => {
                        let text = serde_json::to_vec_pretty(&document)?;
                        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
                        let count = document.records.len();
                        context.output.done(&format!("exported {count} records to {}", file.display()))?;
                    }
                }
            }
            Self::Import { file, force } => {
                let mut text = Vec::new();
                if file.as_os_str() == "-" {
                    std::io::stdin().lock().read_to_end(&mut text).context("reading standard input")?;
                } else {
                    text = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
                }
                let count = topology.import(&Document::parse(&text)?, force).await?;
                context.output.done(&format!("imported {count} records"))?;
            }
        }
        Ok(Outcome::Done)
    }
}
