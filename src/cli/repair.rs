//! `shardlift workflow repair`: what is so, the two ways out, and the chosen one.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::workflow::{Which, heard};
use super::{Context, Outcome};
use crate::model::TabletAlias;
use crate::model::workflow::TabletType;
use crate::progress::state_of;
use crate::topology::Topology;
use crate::topology::paths;
use crate::topology::records::{Status, Workflow};
use crate::workflow::repair::decide::{describe, losses};
use crate::workflow::repair::survey::{Server, State};
use crate::workflow::repair::{Action, Survey, Way, act, decide, survey};

#[derive(Debug, Args)]
pub(super) struct Repair {
    #[command(flatten)]
    which: Which,
    /// Let traffic end at the target
    #[arg(long, conflicts_with = "back")]
    forward: bool,
    /// Let traffic end at the source
    #[arg(long)]
    back: bool,
    /// Print what the chosen way would do and lose, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Primaries that cannot be reached and that nobody is to wait for: they are gone for good, or certain to take no writes
    #[arg(long, value_name = "TABLET", value_delimiter = ',')]
    drop_unreachable: Vec<TabletAlias>,
}

impl Repair {
    pub(super) async fn run(self, context: &Context, topology: &Topology) -> Result<Outcome> {
        let Which { keyspace, name } = &self.which;
        let found = survey(topology, &context.credentials(), keyspace, name).await?;
        let status = topology.get::<Status>(&paths::status(keyspace, name)).await?.map(|found| found.record);
        let chosen = match (self.forward, self.back) {
            (true, _) => Some(Way::Forward),
            (_, true) => Some(Way::Back),
            _ => None,
        };
        let Some(way) = chosen.filter(|_| !self.dry_run) else {
            return self.show(context, &found, status.as_ref(), chosen);
        };
        let action = decide(&found, way, &self.drop_unreachable).map_err(anyhow::Error::msg)?;
        for loss in losses(&action, &found, way) {
            eprintln!("lost: {loss}");
        }
        act(topology, &found, way, &action).await?;
        context.output.done(&describe(&action, &found, way))?;
        if action == Action::Nothing || heard(context, topology, &self.which).await? {
            return Ok(Outcome::Done);
        }
        Ok(Outcome::Running)
    }

    fn show(&self, context: &Context, found: &Survey, status: Option<&Status>, chosen: Option<Way>) -> Result<Outcome> {
        let record = &found.found.record;
        let (state, message) = state_of(record, status);
        let ways: Vec<_> = [Way::Forward, Way::Back]
            .into_iter()
            .filter(|way| chosen.is_none_or(|chosen| chosen == *way))
            .map(|way| {
                let decided = decide(found, way, &self.drop_unreachable);
                let lost = decided.as_ref().map(|action| losses(action, found, way)).unwrap_or_default();
                let (possible, says) = match &decided {
                    Ok(action) => (true, describe(action, found, way)),
                    Err(why) => (false, why.clone()),
                };
                (way.flag(), possible, says, lost)
            })
            .collect();
        if context.output.is_json() {
            let ways: Vec<_> = ways
                .iter()
                .map(|(flag, possible, says, lost)| json!({ "way": flag, "possible": possible, "says": says, "loses": lost }))
                .collect();
            context
                .output
                .json(&json!({ "state": state, "message": message, "servers": found.servers, "ways": ways }))?;
            return Ok(Outcome::Done);
        }
        let mut lines = vec![format!("workflow {}/{}: {state}", record.spec.target_keyspace, record.spec.name)];
        lines.extend((!message.is_empty()).then(|| format!("  {message}")));
        lines.extend(found.servers.iter().map(|server| told(server, record)));
        for (flag, possible, says, lost) in ways {
            lines.push(format!("{flag}: {}{says}", if possible { "" } else { "not as things are: " }));
            lines.extend(lost.into_iter().map(|loss| format!("  loses: {loss}")));
        }
        context.output.text(&lines.join("\n"))?;
        Ok(Outcome::Done)
    }
}

/// A server in a line, with what is wrong.
fn told(server: &Server, record: &Workflow) -> String {
    let role = if server.primary { "primary" } else { "replica" };
    let facts = match &server.state {
        State::Unreachable(why) => return format!("  {} {role}: CANNOT BE REACHED: {why}", server.label),
        State::Reached(facts) => facts,
    };
    let fence = match facts.fence {
        None => "no fence row".to_owned(),
        Some((true, epoch)) => format!("fence closed (epoch {epoch})"),
        Some((false, epoch)) => format!("fence open (epoch {epoch})"),
    };
    let armed = facts.armed.map_or("no triggers, or not all".to_owned(), |epoch| format!("triggers of epoch {epoch}"));
    let mut line = format!("  {} {role}: {fence}, {armed}, {} transactions", server.label, facts.executed.count());
    for (direction, shard, position) in &facts.streams {
        line += &format!("; {direction} stream from shard {shard} at {position}");
    }
    if server.primary && record.fenced && record.open_switch().is_none() {
        let takes_writes = server.at_source != record.switched.contains(&TabletType::Primary);
        let wrong = match (takes_writes, facts.fence, facts.armed) {
            (_, None, _) => Some("the fence's row is missing: pause and resume the workflow, which makes it anew"),
            (true, Some((true, _)), _) => Some("closed, although traffic goes there: pause and resume the workflow"),
            (false, Some((false, _)), _) => {
                Some("OPEN, although traffic does not go there: its engine closes it, if one runs")
            }
            (_, _, None) => Some("not armed: its engine, or the next switch, does that"),
            _ => None,
        };
        line += &wrong.map_or(String::new(), |wrong| format!("\n    WRONG: {wrong}"));
    }
    line
}
