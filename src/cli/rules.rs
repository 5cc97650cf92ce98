//! `shardlift rules`: routing rules in Vitess's own form.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Context, Listed, Outcome, document};
use crate::model::KeyspaceName;
use crate::model::routing::RuleSet;
use crate::sharding::rules::{OperatorPlan, expand, parse, plan_operator_rules};
use crate::topology::records::Keyspace;
use crate::topology::{Revision, Topology, Txn, TxnOutcome, paths};
use crate::workflow::rule_sets::RuleSets;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Replace the operator's rules, all at once; those of workflows stay
    Apply(ApplyArgs),
    /// Show all rules; with --format json as Vitess's GetRoutingRules does
    Show,
}

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    document: Document,
    /// Only print what would change
    #[arg(long, short)]
    dry_run: bool,
}

/// Vitess's document: {"rules":[{"from_table":"ks.t@replica","to_tables":["ks2.t"]}]}.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Document {
    /// The rules: {"rules":[{"from_table":"…","to_tables":["…"]}]}
    #[arg(long, short, value_name = "JSON")]
    rules: Option<String>,
    /// A file with the rules; `-` for standard input
    #[arg(long, short = 'f', value_name = "FILE")]
    rules_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Line {
    from_table: String,
    to_table: String,
    set: String,
}

impl Listed for Line {
    const COLUMNS: &'static [&'static str] = &["FROM TABLE", "TO TABLE", "SET"];

    fn cells(&self) -> Vec<String> {
        vec![self.from_table.clone(), self.to_table.clone(), self.set.clone()]
    }
}

impl Verb {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        match self {
            Self::Apply(args) => {
                let wanted = parse(&document::read(args.document.rules, args.document.rules_file)?)?;
                let topology = context.topology().await?;
                let sets = RuleSets::read(&topology).await?;
                let keyspaces = topology.list::<Keyspace>(&paths::keyspaces()).await?;
                let keyspaces: BTreeSet<KeyspaceName> =
                    keyspaces.records.iter().filter_map(|(path, _)| path.name().parse().ok()).collect();
                let plan = plan_operator_rules(wanted, &sets.operator, &sets.workflows, &keyspaces)?;
                if !args.dry_run {
                    write(&topology, &plan, sets.revision).await?;
                }
                context.output.done(&report(&plan, args.dry_run))?;
            }
            Self::Show => {
                let topology = context.topology().await?;
                let sets = RuleSets::read(&topology).await?;
                if context.output.is_json() {
                    let rules = expanded(&sets).flat_map(|(_, set)| set.rules).collect();
                    context.output.json(&RuleSet { rules })?;
                } else {
                    let lines: Vec<Line> = expanded(&sets).flat_map(|(name, set)| lines(name, set)).collect();
                    context.output.list(&lines)?;
                }
            }
        }
        Ok(Outcome::Done)
    }
}

/// The sets by name, in Vitess's form; the operator's first.
fn expanded(sets: &RuleSets) -> impl Iterator<Item = (&str, RuleSet)> {
    let workflows = sets.workflows.iter().map(|(name, moved)| (name.as_str(), expand(moved)));
    std::iter::once(("operator", sets.operator.clone())).chain(workflows)
}

/// Writes the operator's rules if no set has changed since they were planned.
async fn write(topology: &Topology, plan: &OperatorPlan, revision: Revision) -> Result<()> {
    let txn = topology.none_after(Txn::new(), &paths::rules(), revision);
    match topology.txn(topology.put(txn, &paths::operator_rules(), &plan.rules)?).await? {
        TxnOutcome::Committed { .. } => Ok(()),
        TxnOutcome::Refused { .. } => {
            bail!("routing rules were changed by someone else at the same time; nothing was applied, try again")
        }
    }
}

fn lines(set: &str, rules: RuleSet) -> impl Iterator<Item = Line> {
    rules.rules.into_iter().map(move |rule| Line {
        from_table: rule.from_table,
        to_table: rule.to_tables.join(", "),
        set: set.to_owned(),
    })
}

fn report(plan: &OperatorPlan, dry_run: bool) -> String {
    let mut said: Vec<String> = Vec::new();
    said.extend(plan.removed.iter().map(|rule| format!("- {rule}")));
    said.extend(plan.added.iter().map(|rule| format!("+ {rule}")));
    let (added, removed, all) = (plan.added.len(), plan.removed.len(), plan.rules.rules.len());
    let would = if dry_run { "would be: " } else { "" };
    said.push(format!("{would}{added} added, {removed} removed, {all} rules in all"));
    if plan.kept_by_workflows > 0 {
        said.push(format!("{} rules are those of workflows already and stay theirs", plan.kept_by_workflows));
    }
    said.join("\n")
}
