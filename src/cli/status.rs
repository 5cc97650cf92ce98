//! `status` of a workflow: how far it is, by table and, where there are several, by stream.

use anyhow::{Result, bail};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use serde::Serialize;

use super::workflow::{Which, show};
use super::{Context, Listed, Outcome};
use crate::progress::{Bars, Sight, Watching, summary};
use crate::topology::Topology;
use crate::topology::records::StreamStatus;

#[derive(Debug, Args)]
pub(super) struct StatusFlags {
    #[command(flatten)]
    which: Which,
    /// Draw bars until Ctrl-C
    #[arg(long)]
    watch: bool,
}

#[derive(Serialize)]
struct Line {
    table: String,
    state: String,
    rows: u64,
    rows_expected: u64,
    bytes: u64,
}

impl Listed for Line {
    const COLUMNS: &'static [&'static str] = &["TABLE", "STATE", "ROWS", "OF ABOUT", "BYTES"];

    fn cells(&self) -> Vec<String> {
        let (rows, expected) = (HumanCount(self.rows).to_string(), HumanCount(self.rows_expected).to_string());
        vec![self.table.clone(), self.state.clone(), rows, expected, HumanBytes(self.bytes).to_string()]
    }
}

#[derive(Serialize)]
struct StreamLine {
    source_shard: String,
    state: String,
    rows: u64,
    lag_ms: Option<u64>,
    message: String,
}

impl StreamLine {
    fn of(stream: &StreamStatus) -> Self {
        let (source_shard, state) = (stream.source_shard.to_string(), stream.state.to_string());
        Self { source_shard, state, rows: stream.rows, lag_ms: stream.lag_ms, message: stream.message.clone() }
    }
}

impl Listed for StreamLine {
    const COLUMNS: &'static [&'static str] = &["FROM SHARD", "STATE", "ROWS", "LAG", "MESSAGE"];

    fn cells(&self) -> Vec<String> {
        let lag = self.lag_ms.map_or("-".into(), |ms| format!("{:.1} s", ms as f64 / 1_000.0));
        let rows = HumanCount(self.rows).to_string();
        vec![self.source_shard.clone(), self.state.clone(), rows, lag, self.message.clone()]
    }
}

impl StatusFlags {
    pub(super) async fn run(self, context: &Context, topology: &Topology) -> Result<Outcome> {
        let watching = Watching::new(topology, &self.which.keyspace, &self.which.name);
        if self.watch {
            let mut bars = Bars::on_stderr();
            tokio::select! {
                drawn = watching.draw(&mut bars, |_, _| false) => drawn?,
                interrupted = tokio::signal::ctrl_c() => interrupted?,
            }
            return Ok(Outcome::Running);
        }
        if context.output.is_json() {
            return show(context, topology, &self.which).await;
        }
        let Sight { state, message, status } = watching.look().await?;
        let Some(status) = status else { bail!("{state}: {message}") };
        context.output.done(&summary(&state, &message, &status))?;
        let lines: Vec<_> = status
            .tables
            .iter()
            .map(|(name, table)| Line {
                table: name.to_string(),
                state: table.state.clone(),
                rows: table.rows,
                rows_expected: table.rows_expected,
                bytes: table.bytes,
            })
            .collect();
        context.output.list(&lines)?;
        if status.streams.len() > 1 {
            let streams: Vec<_> = status.streams.iter().map(StreamLine::of).collect();
            context.output.list(&streams)?;
        }
        let more = status.table_count as usize - lines.len().min(status.table_count as usize);
        if more > 0 {
            context.output.done(&format!("and {more} more tables"))?;
        }
        Ok(Outcome::Done)
    }
}
