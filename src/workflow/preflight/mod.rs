//! Preflight: every reason why tables cannot be moved, found at once and before anything is touched.
//!
//! [`run`] asks all servers at the same time (`facts`: queries, no judgement) and judges what they say (the other
//! files: judgement, no queries). Each [`Finding`] names its cure. Nothing is changed on any server, except that `probe`
//! makes a table and a trigger of its own and takes them away again.
//!
//! Invariants: a server that does not answer is a finding, never an omission; [`run`] returns within [`DEADLINE`].

mod facts;
mod finding;
mod foreign;
mod grants;
mod mentions;
pub mod placement;
mod privileges;
mod probe;
mod programs;
mod replication;
mod settings;
pub mod shards;
pub mod switch;
mod tables;
mod target;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::{
    engine::{connect, places::Places},
    model::{
        DatabaseName, TableName,
        workflow::{TabletType, WorkflowSpec},
    },
    mysql::{Login, MysqlError},
};

use facts::Facts;
pub use finding::{Finding, Severity};

/// Preflight answers within this time, whatever the servers do.
pub const DEADLINE: Duration = Duration::from_secs(25);

/// What a server does in its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes the writes.
    Primary,
    /// It may be read from, or be promoted.
    Replica,
}

/// A server taking part.
#[derive(Debug, Clone)]
pub struct Server {
    /// What to call it in findings, e.g. `source commerce/0 (zone1-0000000100)`.
    pub name: String,
    /// How to reach it, with the account the engine will use.
    pub login: Login,
    /// Its database for the keyspace.
    pub database: DatabaseName,
    /// What it does.
    pub role: Role,
    /// Whether streams may read it, now or on the way back.
    pub read: bool,
}

/// What the operator allowed, and what is known from elsewhere.
#[derive(Debug, Clone)]
pub struct Options {
    /// A source that may forget commits in a crash is accepted.
    pub allow_unsafe_source: bool,
    /// Triggers on moved tables are accepted if they test `@shardlift_stream`.
    pub allow_triggers: bool,
    /// Programs elsewhere that name a moved table are accepted.
    pub allow_cross_keyspace: bool,
    /// The least time that sources must keep their binlogs.
    pub min_retention: Duration,
    /// Live workflows that already move a table: the workflow, `keyspace/name`, and the table.
    pub busy: Vec<(String, TableName)>,
    /// The tables must be on the target already.
    pub skip_schema_copy: bool,
    /// Tables that sequences number on one side, which the other's AUTO_INCREMENT may do there.
    pub other_numbering: BTreeSet<TableName>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allow_unsafe_source: false,
            allow_triggers: false,
            allow_cross_keyspace: false,
            min_retention: Duration::from_secs(3600),
            busy: Vec::new(),
            skip_schema_copy: false,
            other_numbering: BTreeSet::new(),
        }
    }
}

/// What is to be moved, from where, to where.
#[derive(Debug, Clone)]
pub struct Request {
    /// The source shards' servers: primaries, and replicas that may be read or promoted.
    pub sources: Vec<Server>,
    /// The target shards' servers.
    pub targets: Vec<Server>,
    /// The tables.
    pub tables: Vec<TableName>,
    /// The rest.
    pub options: Options,
}

/// Which side of the move a server is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Target,
}

/// A server with what it said.
#[derive(Debug)]
struct Asked<'a> {
    side: Side,
    server: &'a Server,
    facts: Facts,
}

/// The findings for a workflow between these shards. What the operator allowed is in `spec`, the rest is `known`.
pub async fn judge(places: &Places, spec: &WorkflowSpec, known: Options) -> Vec<Finding> {
    let server = |side: &connect::Side, serves: TabletType| Server {
        name: side.label.clone(),
        login: side.login.clone(),
        database: side.database.clone(),
        role: if serves == TabletType::Primary { Role::Primary } else { Role::Replica },
        read: spec.options.tablet_types.contains(&serves),
    };
    let sources = places.sources.iter().flat_map(|source| {
        let others = source.others.iter().map(|(other, serves)| server(other, *serves));
        std::iter::once(server(&source.side, source.serves)).chain(others).collect::<Vec<_>>()
    });
    let targets = places.targets.iter().flat_map(|target| {
        let replicas = target.replicas.iter().map(|side| server(side, TabletType::Replica));
        std::iter::once(server(&target.side, TabletType::Primary)).chain(replicas).collect::<Vec<_>>()
    });
    let request = Request {
        sources: sources.collect(),
        targets: targets.collect(),
        tables: spec.tables.clone(),
        options: Options {
            allow_unsafe_source: spec.options.allow_unsafe_source,
            allow_triggers: spec.options.allow_triggers,
            allow_cross_keyspace: spec.options.allow_cross_keyspace,
            ..known
        },
    };
    run(&request).await
}

/// Every finding, refusals first. No refusal means that the workflow may start.
pub async fn run(request: &Request) -> Vec<Finding> {
    let mut findings = Vec::new();
    let sources = request.sources.iter().map(|server| (Side::Source, server));
    let targets = request.targets.iter().map(|server| (Side::Target, server));
    let asking = sources.chain(targets).map(|(side, server)| async move {
        let found = tokio::time::timeout(DEADLINE, ask(side, server, request)).await;
        (side, server, found)
    });
    let mut asked = Vec::new();
    for (side, server, found) in futures_util::future::join_all(asking).await {
        match found {
            Ok(Ok((facts, probed))) => {
                findings.extend(probed);
                asked.push(Asked { side, server, facts });
            }
            Ok(Err(error)) => findings.push(Finding::refuse(
                "server",
                &server.name,
                format!("it could not be examined: {error}"),
                "make it reachable at the tablet's address with its credential (`shardlift tablet check`), then try again",
            )),
            Err(_) => findings.push(Finding::refuse(
                "server",
                &server.name,
                format!("it did not answer all questions within {} s", DEADLINE.as_secs()),
                "find what it is busy with (SHOW PROCESSLIST), then try again",
            )),
        }
    }
    for one in &asked {
        settings::judge(one, request, &mut findings);
        replication::judge(one, request, &mut findings);
        privileges::judge(one, request, &mut findings);
    }
    let (sources, targets) = (leading(&asked, Side::Source), leading(&asked, Side::Target));
    tables::judge(&sources, request, &mut findings);
    target::presence(&targets, request, &mut findings);
    for source in &sources {
        foreign::judge(source, request, &mut findings);
        programs::judge(source, request, &mut findings);
    }
    for target in &targets {
        programs::on_moved_tables(target, request, &mut findings);
        for source in &sources {
            target::judge(source, target, request, &mut findings);
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

/// The servers whose tables count: the primaries of a side, or all of it where no primary takes part.
fn leading<'a>(asked: &'a [Asked<'a>], side: Side) -> Vec<&'a Asked<'a>> {
    let all = || asked.iter().filter(|one| one.side == side);
    let primaries: Vec<_> = all().filter(|one| one.server.role == Role::Primary).collect();
    if primaries.is_empty() { all().collect() } else { primaries }
}

async fn ask(side: Side, server: &Server, request: &Request) -> Result<(Facts, Vec<Finding>), MysqlError> {
    let facts = facts::gather(side, server, &request.tables).await?;
    let mut probed = Vec::new();
    if server.role == Role::Primary && !facts.on("read_only") {
        probed = probe::arm(server, &facts).await;
    }
    Ok((facts, probed))
}
