//! `switch-traffic`, `reverse-traffic` and `complete` of a workflow.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::workflow::{Which, heard};
use super::{Context, Listed, Outcome};
use crate::model::switch::{Direction, Phase, Step, Switch, SwitchRequest};
use crate::model::workflow::{OldTables, TabletType};
use crate::topology::records::{Status, Workflow};
use crate::topology::{Topology, paths};
use crate::workflow::control::{Wish, wish};
use crate::workflow::preflight::Finding;
use crate::workflow::preflight::switch::{Look, Question, Stream, examine};
use crate::workflow::switch::ask::{Wanted, ask, judge};
use crate::workflow::switch::plan::{describe, plan};

const POLL: Duration = Duration::from_millis(50);
/// What the steps may take beyond the waiting that was asked for.
const STEPS: Duration = Duration::from_secs(90);
/// How long a completed workflow may take to be gone.
const COMPLETED: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub(super) struct Traffic {
    #[command(flatten)]
    which: Which,
    /// Types of traffic to switch: PRIMARY (writes), REPLICA, RDONLY [default: all]
    #[arg(long, value_delimiter = ',')]
    tablet_types: Vec<TabletType>,
    /// Print the steps and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Seconds to wait until the streams are level and long transactions have ended
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
    /// Refuse at once if the streams lag more than this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    max_replication_lag_allowed: u64,
    /// Replicate changes back afterwards, so that traffic can be switched back
    #[arg(long, num_args = 0..=1, default_value_t = true, default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    enable_reverse_replication: bool,
    /// Switch although statements, views or routines with tables of both sides will fail
    #[arg(long)]
    allow_cross_keyspace: bool,
}

#[derive(Debug, Args)]
pub(super) struct Complete {
    #[command(flatten)]
    which: Which,
    /// Drop the old tables instead of renaming them to _<table>_old
    #[arg(long, conflicts_with = "keep_data")]
    drop_tables: bool,
    /// Leave the old tables as they are
    #[arg(long)]
    keep_data: bool,
    /// Leave the routing rules as they are
    #[arg(long)]
    keep_routing_rules: bool,
    /// Print what would be done and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Line {
    step: Step,
    does: String,
}

impl Listed for Line {
    const COLUMNS: &'static [&'static str] = &["STEP", "WHAT"];

    fn cells(&self) -> Vec<String> {
        vec![self.step.to_string(), self.does.clone()]
    }
}

impl Traffic {
    pub(super) async fn run(self, context: &Context, topology: &Topology, direction: Direction) -> Result<Outcome> {
        let Which { keyspace, name } = &self.which;
        let timeout = Duration::from_secs(self.timeout);
        let wanted = Wanted {
            direction,
            types: self.tablet_types.iter().copied().collect(),
            timeout,
            max_lag: Duration::from_secs(self.max_replication_lag_allowed),
            way_back: self.enable_reverse_replication,
            allow_cross_keyspace: self.allow_cross_keyspace,
        };
        if self.dry_run {
            let workflow = topology.need::<Workflow>(&paths::workflow(keyspace, name)).await?.record;
            let request = judge(&workflow, &wanted).map_err(anyhow::Error::msg)?;
            return rehearse(context, topology, &workflow, &request).await;
        }
        let request = ask(topology, keyspace, name, &wanted).await?;
        if !heard(context, topology, &self.which).await? {
            return Ok(Outcome::Running);
        }
        let end = Instant::now() + timeout + STEPS;
        let mut shown = None;
        let (workflow, switch) = loop {
            let workflow = topology.need::<Workflow>(&paths::workflow(keyspace, name)).await?.record;
            let Some(switch) = workflow.switch.clone().filter(|switch| switch.request.uid == request.uid) else {
                bail!("workflow {keyspace}/{name}: the switch was replaced by another one; see `workflow show`");
            };
            if shown.as_ref() != Some(&switch.phase) {
                tell(&switch.phase, &workflow, &switch);
                shown = Some(switch.phase.clone());
            }
            if switch.phase.is_settled() {
                break (workflow, switch);
            }
            if Instant::now() > end {
                bail!(
                    "workflow {keyspace}/{name}: the switch has not ended; its engine goes on with it. See `workflow show` and \
                     `workflow logs`"
                );
            }
            sleep(POLL).await;
        };
        if let Phase::Undone { why } = &switch.phase {
            bail!("workflow {keyspace}/{name}: traffic is where it was: {why}");
        }
        if let Some(warning) = &switch.warning {
            eprintln!("warning: {warning}");
        }
        context.output.done(&result(&workflow, &switch))?;
        Ok(Outcome::Done)
    }
}

/// The steps, and what stands in the way now.
async fn rehearse(
    context: &Context,
    topology: &Topology,
    workflow: &Workflow,
    request: &SwitchRequest,
) -> Result<Outcome> {
    let spec = &workflow.spec;
    let status = topology.get::<Status>(&paths::status(&spec.target_keyspace, &spec.name)).await?;
    let status = status.map(|found| found.record);
    let stream = Stream {
        state: status.as_ref().map(|status| status.state),
        message: status.as_ref().map(|status| status.message.clone()).unwrap_or_default(),
        lag: status.and_then(|status| status.lag_ms).map(Duration::from_millis),
    };
    let question = Question { topology, credentials: &context.credentials(), workflow, request, stream };
    let findings = examine(&question, Look::All).await?;
    let line = |step| Line { step, does: describe(step, workflow, request) };
    let steps: Vec<_> = plan(request).into_iter().map(line).collect();
    match context.output.is_json() {
        true => context.output.json(&serde_json::json!({ "steps": steps, "findings": findings }))?,
        false => {
            context.output.list(&steps)?;
            for finding in &findings {
                context.output.done(&finding.to_string())?;
            }
        }
    }
    Ok(if findings.iter().any(Finding::refuses) { Outcome::Failed } else { Outcome::Done })
}

/// Says on stderr how far it is.
fn tell(phase: &Phase, workflow: &Workflow, switch: &Switch) {
    match phase {
        Phase::Doing { step } => eprintln!("{step}: {}", describe(*step, workflow, &switch.request)),
        Phase::Undoing { why } => eprintln!("undoing: {why}"),
        Phase::Finishing => eprintln!("{}: {}", Step::Open, describe(Step::Open, workflow, &switch.request)),
        Phase::Asked | Phase::Done | Phase::Undone { .. } => {}
    }
}

fn result(workflow: &Workflow, switch: &Switch) -> String {
    let spec = &workflow.spec;
    let (_, side) = spec.names(switch.request.direction);
    let types: Vec<_> = switch.request.types.iter().map(|one| one.as_str()).collect();
    let held = switch.pause_ms.map_or(String::new(), |ms| format!("; writes were held for {ms} ms"));
    format!(
        "workflow {}/{}: {} traffic of {} table(s) goes to {side}{held}",
        spec.target_keyspace,
        spec.name,
        types.join(", "),
        spec.tables.len()
    )
}

impl Complete {
    pub(super) async fn run(self, context: &Context, topology: &Topology) -> Result<Outcome> {
        let Which { keyspace, name } = &self.which;
        let old_tables = match (self.drop_tables, self.keep_data) {
            (true, _) => OldTables::Drop,
            (_, true) => OldTables::Keep,
            _ => OldTables::Rename,
        };
        let asked = Wish::Complete { old_tables, keep_routing_rules: self.keep_routing_rules };
        let path = paths::workflow(keyspace, name);
        let workflow = topology.need::<Workflow>(&path).await?.record;
        let (source, target) = workflow.spec.names(Direction::Forward);
        let fate = match old_tables {
            OldTables::Rename => format!("renamed to _<table>_old in {source}"),
            OldTables::Drop => format!("dropped in {source}"),
            OldTables::Keep => format!("left in {source}, open to writers again"),
        };
        let rules = if self.keep_routing_rules { "stay" } else { "go" };
        if self.dry_run {
            crate::workflow::control::judge(&workflow, &asked)?;
            let tables: Vec<_> = workflow.spec.tables.iter().map(|table| table.as_str()).collect();
            context.output.done(&format!(
                "would end the replication back; the old tables ({}) would be {fate}; the routing rules {rules}",
                tables.join(", ")
            ))?;
            return Ok(Outcome::Done);
        }
        wish(topology, keyspace, name, asked).await?;
        if !heard(context, topology, &self.which).await? {
            return Ok(Outcome::Running);
        }
        super::workflow::until_gone(topology, &self.which, "completed", COMPLETED).await?;
        context.output.done(&format!(
            "workflow {keyspace}/{name} is completed: its tables are {target}'s; the old ones are {fate}; the routing rules {rules}"
        ))?;
        Ok(Outcome::Done)
    }
}
