//! Gateways that do not listen, and what the others have seen: statements that the switch would part.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::EngineError;
use crate::topology::records::{GatewayPresence, Mix, Mixes};
use crate::topology::{TopologyError, paths};
use crate::workflow::carry::now;

use super::{Finding, Question};

/// Statements that are told each by itself.
const TOLD: usize = 50;

pub(super) async fn judge(question: &Question<'_>) -> Result<Vec<Finding>, EngineError> {
    let topology = question.topology;
    let all = topology.store().list(topology.paths().root()).await.map_err(TopologyError::from)?;
    let decides = |key: &str| topology.paths().path(key).is_some_and(|path| paths::decides_routes(&path));
    let newest = all.entries.iter().filter(|entry| decides(&entry.key)).map(|entry| entry.mod_revision).max();
    let gateways = topology.list::<GatewayPresence>(&paths::gateways()).await?.records;
    let mut findings = Vec::new();
    let mut present = BTreeSet::new();
    for (path, gateway) in &gateways {
        let GatewayPresence { host, pid, listen, revision, .. } = &gateway.record;
        present.insert(path.name());
        if Some(*revision) < newest {
            findings.push(Finding::refuse(
                "gateway-silent",
                format!("gateway {} ({listen}, process {pid} on {host})", path.name()),
                "it lives and has not taken in the last change of the topology: its clients would go on reading from where \
                 the tables were, and their writes would be refused",
                "restart it, or see why it does not hear of the topology (its log)",
            ));
        }
    }
    if gateways.is_empty() {
        findings.push(Finding::warn(
            "gateway",
            "gateways",
            "none is there: whoever connects to the servers directly is turned away by the fence, and not led to the new side",
            "let applications connect through `shardlift gateway run`, or be ready to move them yourself",
        ));
    }
    let spec = &question.workflow.spec;
    let set = paths::workflow_rules(&spec.target_keyspace, &spec.name);
    let reports = topology.list::<Mixes>(&paths::all_mixes()).await?.records;
    let reports = reports.into_iter().filter(|(path, _)| present.contains(path.name())).map(|(_, found)| found.record);
    statements(set.name(), reports, question.request.allow_cross_keyspace, &mut findings);
    Ok(findings)
}

/// The reports of all gateways, added up.
fn statements(set: &str, reports: impl Iterator<Item = Mixes>, allowed: bool, findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<String, (Mix, BTreeSet<String>, usize)> = BTreeMap::new();
    for report in reports {
        for mix in report.seen.into_iter().filter(|mix| mix.set == set) {
            let users = BTreeSet::from([mix.user.clone()]);
            match seen.get_mut(&mix.text) {
                Some((known, who, gateways)) => {
                    known.count += mix.count;
                    known.last = known.last.max(mix.last);
                    who.extend(users);
                    *gateways += 1;
                }
                None => drop(seen.insert(mix.text.clone(), (mix, users, 1))),
            }
        }
    }
    let mut seen: Vec<_> = seen.into_values().collect();
    seen.sort_by_key(|(mix, ..)| std::cmp::Reverse(mix.count));
    let make = |what: &str, problem: String, cure: &str| match allowed {
        true => Finding::warn("cross-keyspace", what, problem, cure),
        false => Finding::refuse("cross-keyspace", what, problem, cure),
    };
    for (mix, users, gateways) in seen.iter().take(TOLD) {
        let Mix { text, transaction, moved, staying, count, last, .. } = mix;
        let what = if *transaction { "a transaction" } else { "a statement" };
        let users: Vec<_> = users.iter().map(String::as_str).collect();
        let through = if *gateways > 1 { format!(" through {gateways} gateways") } else { String::new() };
        findings.push(make(
            what,
            format!(
                "`{text}` ({count} times, last {} s ago, by {}{through}) names {}, which move(s), together with {}, which \
                 stay(s): after the switch it is refused",
                now().saturating_sub(*last),
                users.join(", "),
                moved.join(", "),
                staying.join(", ")
            ),
            "change the application, or move these tables together; or switch with --allow-cross-keyspace if it may fail",
        ));
    }
    if seen.len() > TOLD {
        let more = format!("{} more statements of that kind were seen", seen.len() - TOLD);
        findings.push(make("more", more, "begin with those named"));
    }
}
