//! Preflight of a switch: every reason why traffic cannot be switched now, found at once, on all servers at the same time.
//!
//! The engine asks before it begins, and waits for what passes by itself; `--dry-run` asks the same and changes nothing.
//!
//! Invariants: a server that does not answer is a finding, never an omission; [`examine`] returns within [`super::DEADLINE`]
//! and changes nothing anywhere.

mod ask;
mod counters;
mod gateways;
mod health;
mod held;
mod sequences;
mod stream;

use std::time::Duration;

use futures_util::future::join_all;

use crate::engine::EngineError;
use crate::engine::places;
use crate::model::switch::{Direction, SwitchRequest};
use crate::model::workflow::TabletType;
use crate::mysql::Credentials;
use crate::topology::Topology;
use crate::topology::records::Workflow;

use super::{Asked, Finding, Options, Request, Role, Server, Side, privileges, programs, replication, settings};
use crate::workflow::flows::schema;
use ask::Answer;
pub use stream::Stream;

/// A lag, or a transaction, that is shorter ends by itself within the pause.
pub const LEVEL: Duration = Duration::from_secs(1);
/// A transaction open for longer may be somebody's coffee break.
pub const LONG: Duration = Duration::from_secs(3);
/// What may pass by itself, and is waited for: names of checks.
const PASSING: [&str; 7] =
    ["stream", "level", "long-transaction", "prepared-xa", "table-in-use", "replicas", "gateway-silent"];

/// What is asked.
#[derive(Debug)]
pub struct Question<'a> {
    /// The cluster.
    pub topology: &'a Topology,
    /// Where logins come from.
    pub credentials: &'a Credentials,
    /// The workflow.
    pub workflow: &'a Workflow,
    /// The switch.
    pub request: &'a SwitchRequest,
    /// How its stream is.
    pub stream: Stream,
}

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Everything.
    All,
    /// What may pass by itself.
    Passing,
}

impl Finding {
    /// Whether this may pass by itself, so that a switch waits for it, be it a refusal or not.
    pub fn passes(&self) -> bool {
        PASSING.contains(&self.check)
    }
}

/// A tablet of either side.
#[derive(Debug)]
struct Place {
    /// Whether writes are here now.
    closing: bool,
    /// Its shard, with the keyspace.
    shard: String,
    tablet_type: TabletType,
    server: Server,
    /// Its place in the workflow.
    of: Side,
}

impl Place {
    fn is_primary(&self) -> bool {
        self.tablet_type == TabletType::Primary
    }
}

/// Every finding, refusals first. Fails only where the topology or a credential does.
pub async fn examine(question: &Question<'_>, look: Look) -> Result<Vec<Finding>, EngineError> {
    let places = places(question).await?;
    let mut findings = Vec::new();
    question.stream.judge(question.request, &mut findings);
    let asking = places.iter().map(|place| async move {
        (place, tokio::time::timeout(super::DEADLINE, ask::ask(place, question, look)).await)
    });
    let (answers, gateways) = tokio::join!(join_all(asking), gateways::judge(question));
    findings.extend(gateways?);
    let mut asked = Vec::new();
    let mut health = Vec::new();
    for (place, answer) in answers {
        let why = match answer {
            Ok(Ok(answer)) => {
                asked.push((place, answer));
                continue;
            }
            Ok(Err(error)) => format!("it could not be examined: {error}"),
            Err(_) => format!("it did not answer all questions within {} s", super::DEADLINE.as_secs()),
        };
        health.push((place, Some(why)));
    }
    for (place, answer) in &asked {
        if place.is_primary() {
            held::judge(place, answer, question, &mut findings);
        }
        let ill = if place.is_primary() { None } else { health::ill(answer) };
        health.push((place, ill));
    }
    health::judge(&places, &health, question, &mut findings);
    let (_, into) = question.workflow.spec.sides(question.request.direction);
    let removed = question.workflow.spec.options.sharded_auto_increment.leaves_out();
    let schema = schema(question.topology, into.keyspace).await?;
    let primaries = |closing| asked.iter().filter(move |(place, _)| place.is_primary() && place.closing == closing);
    for ((_, old), (new, there)) in primaries(true).flat_map(|old| primaries(false).map(move |new| (old, new))) {
        if question.request.writes() {
            let numbered = |table: &str| {
                let found = schema.as_ref().filter(|_| removed)?.tables.get(table)?;
                found.primary_vindex().map(|_| found.auto_increment.is_some())
            };
            counters::judge(&old.counters, &new.server.name, &there.counters, numbered, &mut findings);
        }
    }
    if look == Look::All {
        if question.request.writes() {
            findings.extend(sequences::judge(question).await?);
        }
        judge_servers(asked, question, &mut findings);
    }
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// What is judged as when the workflow was started: it may have changed since.
fn judge_servers(asked: Vec<(&Place, Answer)>, question: &Question<'_>, findings: &mut Vec<Finding>) {
    let spec = &question.workflow.spec;
    let request = Request {
        sources: Vec::new(),
        targets: Vec::new(),
        tables: spec.tables.clone(),
        options: Options {
            allow_unsafe_source: spec.options.allow_unsafe_source,
            allow_triggers: spec.options.allow_triggers,
            allow_cross_keyspace: question.request.allow_cross_keyspace,
            ..Options::default()
        },
    };
    for (place, Answer { facts, findings: found, .. }) in asked {
        findings.extend(found);
        let one = Asked { side: place.of, server: &place.server, facts };
        replication::judge(&one, &request, findings);
        if !place.is_primary() {
            continue;
        }
        if question.request.writes() {
            settings::judge(&one, &request, findings);
            privileges::judge(&one, &request, findings);
            held::may_create_triggers(&one, findings);
        }
        match place.closing {
            true => programs::judge(&one, &request, findings),
            false => programs::on_moved_tables(&one, &request, findings),
        }
    }
}

/// All tablets of both sides, as the topology says now.
async fn places(question: &Question<'_>) -> Result<Vec<Place>, EngineError> {
    let spec = &question.workflow.spec;
    let direction = question.request.direction;
    let (old, new) = spec.sides(direction);
    let mut found = Vec::new();
    for (end, closing) in [(old, true), (new, false)] {
        let of = if closing == (direction == Direction::Forward) { Side::Source } else { Side::Target };
        let role = if of == Side::Source { "source" } else { "target" };
        for place in places::shards(question.topology, end).await? {
            place.pick(end.keyspace, &[TabletType::Primary])?;
            for tablet in &place.tablets {
                let side = places::side(role, question.credentials, tablet)?;
                let tablet_type = tablet.1.tablet_type;
                let server = Server {
                    name: side.label,
                    login: side.login,
                    database: side.database,
                    role: if tablet_type == TabletType::Primary { Role::Primary } else { Role::Replica },
                    read: false,
                };
                let shard = format!("{}/{}", end.keyspace, place.name);
                found.push(Place { closing, shard, tablet_type, server, of });
            }
        }
    }
    Ok(found)
}
