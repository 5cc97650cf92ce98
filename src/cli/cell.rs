//! `shardlift cell`.

use anyhow::Result;
use clap::Subcommand;
use serde::Serialize;

use super::{Context, Listed, Outcome};
use crate::model::Cell;
use crate::topology::paths;
use crate::topology::records::CellRecord;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Declare a cell
    Add {
        /// Its name, e.g. zone1
        cell: Cell,
    },
    /// List the cells
    List,
    /// Show one cell
    Show {
        /// Its name
        cell: Cell,
    },
    /// Remove a cell without tablets
    Remove {
        /// Its name
        cell: Cell,
    },
}

#[derive(Serialize)]
struct Line {
    name: String,
}

impl Listed for Line {
    const COLUMNS: &'static [&'static str] = &["CELL"];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}

impl Verb {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        let topology = context.topology().await?;
        match self {
            Self::Add { cell } => {
                topology.add_cell(&cell).await?;
                context.output.done(&format!("added cell {cell}"))?;
            }
            Self::List => {
                let found = topology.list::<CellRecord>(&paths::cells()).await?;
                let lines: Vec<Line> =
                    found.records.iter().map(|(path, _)| Line { name: path.name().into() }).collect();
                context.output.list(&lines)?;
            }
            Self::Show { cell } => {
                topology.need::<CellRecord>(&paths::cell(&cell)).await?;
                context.output.show(&Line { name: cell.to_string() })?;
            }
            Self::Remove { cell } => {
                topology.remove_cell(&cell).await?;
                context.output.done(&format!("removed cell {cell}"))?;
            }
        }
        Ok(Outcome::Done)
    }
}
