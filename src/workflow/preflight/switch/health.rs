//! Whether tablets are fit for what the switch sends them. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::workflow::TabletType;

use super::ask::Answer;
use super::{Finding, LEVEL, Place, Question};

/// A replica that is further behind is no use to readers.
const BEHIND: Duration = Duration::from_secs(30);

/// What is wrong with a replica, if anything.
pub(super) fn ill(answer: &Answer) -> Option<String> {
    let running = answer.facts.channels.iter().find(|channel| channel.running);
    let Some(channel) = running.or(answer.facts.channels.first()) else {
        return Some("it replicates from nowhere".into());
    };
    let error = if channel.last_error.is_empty() { String::new() } else { format!(": {}", channel.last_error) };
    match channel.lag_seconds.map(Duration::from_secs) {
        _ if channel.receiver == "No" || channel.applier == "No" => Some(format!("its replication is stopped{error}")),
        None => Some(format!("its replication does not run{error}")),
        Some(lag) if lag > BEHIND => Some(format!("it lags {} s", lag.as_secs())),
        Some(_) => None,
    }
}

/// Judges each side's tablets by what they are needed for.
pub(super) fn judge(
    places: &[Place],
    health: &[(&Place, Option<String>)],
    question: &Question<'_>,
    findings: &mut Vec<Finding>,
) {
    let request = question.request;
    for (place, ill) in health {
        let Some(ill) = ill else { continue };
        let (name, cure) = (&place.server.name, "see to it (`shardlift tablet check`), or remove the tablet");
        findings.push(match place.is_primary() {
            true => Finding::refuse(
                "server",
                name,
                ill,
                "make it reachable at the tablet's address with its credential (`shardlift tablet check`)",
            ),
            false => Finding::warn("replica", name, ill, cure),
        });
    }
    let fit = |shard: &str, wanted: TabletType| {
        health.iter().any(|(place, ill)| place.shard == shard && place.tablet_type == wanted && ill.is_none())
    };
    let shards: BTreeSet<(bool, &str)> = places.iter().map(|place| (place.closing, place.shard.as_str())).collect();
    let in_shard = |shard: &str, wanted: TabletType| {
        places.iter().any(|place| place.shard == shard && place.tablet_type == wanted)
    };
    // What writes on either side must be on a server that may be promoted before it counts.
    for (_, shard) in &shards {
        if request.writes() && in_shard(shard, TabletType::Replica) && !fit(shard, TabletType::Replica) {
            findings.push(Finding::refuse(
                "replicas",
                format!("shard {shard}"),
                format!(
                    "none of its replicas keeps up within {} s: what is written would be on the primary alone when \
                     traffic moves, and the pause would not end in time",
                    LEVEL.as_secs().max(BEHIND.as_secs())
                ),
                "see to one of them (`shardlift tablet check`), or remove the tablets",
            ));
        }
    }
    let (old, _) = question.workflow.spec.names(request.direction);
    for wanted in request.types.iter().copied().filter(|wanted| *wanted != TabletType::Primary) {
        let on_old = places.iter().any(|place| place.closing && place.tablet_type == wanted);
        for (_, shard) in shards.iter().filter(|(closing, _)| !closing) {
            let problem = match (in_shard(shard, wanted), fit(shard, wanted)) {
                (true, true) => continue,
                (false, _) if !on_old => continue,
                (true, false) => format!("no {wanted} tablet of it is fit to be read"),
                (false, _) => format!("it has no {wanted} tablet, and {old} has: {wanted} reads would be refused"),
            };
            let others: Vec<_> = request.types.iter().filter(|one| **one != wanted).map(|one| one.as_str()).collect();
            let less = match others.is_empty() {
                true => String::new(),
                false => format!(", or switch --tablet-types {}", others.join(",")),
            };
            findings.push(Finding::refuse(
                "replicas",
                format!("shard {shard}"),
                problem,
                format!("add one (`shardlift tablet add`), or mend one{less}"),
            ));
        }
    }
}
