//! `shardlift schema apply`: each statement on all shards at once, one statement after the other.
//!
//! How far each shard is stands in the topology until all are through, so that running the same again goes on where it
//! stopped. MySQL's DDL is atomic: of a statement whose answer was lost, the shard's binlog tells whether it was run.
//!
//! Invariant: a statement is never run on a shard that has run it, and none is skipped on one that has not. Where that cannot
//! be told nothing is run, and the operator is asked to look.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures_util::future::join_all;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::ApplyArgs;
use super::logged::{self, Fate};
use super::statements::{self, Statement};
use crate::cli::{Context, Listed, Outcome, document, primaries};
use crate::failpoint::Failpoints;
use crate::model::{DatabaseName, KeyspaceName, ShardName};
use crate::mysql::admin::Session;
use crate::mysql::{Login, quote};
use crate::topology::records::{Keyspace, SchemaChange, ShardProgress, Tablet};
use crate::topology::{Revision, Topology, Txn, paths};

/// MySQL's own default: every shard shall take the statements in the same way.
const SQL_MODE: &str = "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,\
                        ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";
/// Seconds a statement waits for others to let go of its table; MySQL's default is a year.
const LOCK_WAIT: u32 = 60;

#[derive(Serialize)]
struct Line {
    shard: String,
    done: usize,
    statements: usize,
    result: String,
}

impl Listed for Line {
    const COLUMNS: &'static [&'static str] = &["SHARD", "STATEMENTS", "RESULT"];

    fn cells(&self) -> Vec<String> {
        vec![self.shard.clone(), format!("{} of {}", self.done, self.statements), self.result.clone()]
    }
}

/// Error numbers of a statement that was broken off, perhaps at its very end: shutdown, commit, kill, binlog, kill.
const BROKEN_OFF: [u16; 5] = [1053, 1180, 1317, 1598, 3169];

/// A shard and a session on its primary.
struct Target {
    shard: ShardName,
    session: Session,
    login: Login,
    database: DatabaseName,
    /// Whether it is to run the statement whose turn it is.
    due: bool,
    /// What failed, if anything.
    result: String,
}

pub(super) async fn run(context: &Context, args: ApplyArgs) -> Result<Outcome> {
    let failpoints = Failpoints::from_env().map_err(anyhow::Error::msg)?;
    let statements = statements::read(&document::read(args.document.sql, args.document.sql_file)?)?;
    let keyspace = &args.keyspace;
    let topology = context.topology().await?;
    topology.need::<Keyspace>(&paths::keyspace(keyspace)).await?;
    let tablets = primaries::tablets(&topology, keyspace).await?;
    if tablets.is_empty() {
        bail!("keyspace {keyspace} has no serving shards");
    }
    let shards: Vec<ShardName> = tablets.iter().map(|(shard, _)| shard.clone()).collect();
    if args.dry_run {
        let names: Vec<&str> = shards.iter().map(ShardName::as_str).collect();
        let mut said: Vec<String> = statements.iter().map(|statement| format!("{};", statement.sql)).collect();
        said.push(format!("would be run on shards {} of {keyspace}", names.join(", ")));
        context.output.done(&said.join("\n"))?;
        return Ok(Outcome::Done);
    }
    let opened = tablets.iter().map(|(shard, tablet)| open(context, keyspace, shard, tablet, args.timeout));
    let mut targets: Vec<Target> = join_all(opened).await.into_iter().collect::<Result<_>>()?;
    let (mut change, revision) = begin(&topology, keyspace, &statements, &shards, args.abandon_unfinished).await?;
    let known = (&mut change, revision);
    let outcome = carry_out(&topology, keyspace, &statements, &mut targets, known, &failpoints, args.timeout).await;
    let line = |target: &Target| {
        let done = change.shards.get(&target.shard).map_or(0, |progress| progress.done);
        let result = match target.result.as_str() {
            "" if done == statements.len() => "done".into(),
            "" => "waits for the other shards".into(),
            failed => failed.into(),
        };
        Line { shard: format!("{keyspace}/{}", target.shard), done, statements: statements.len(), result }
    };
    let lines: Vec<Line> = targets.iter().map(line).collect();
    context.output.list(&lines)?;
    for target in targets {
        target.session.close().await;
    }
    outcome?;
    let through = change.shards.values().all(|progress| progress.done == statements.len());
    if through { Ok(Outcome::Done) } else { Ok(Outcome::Failed) }
}

async fn open(
    context: &Context,
    keyspace: &KeyspaceName,
    shard: &ShardName,
    tablet: &Tablet,
    timeout: Duration,
) -> Result<Target> {
    let on_shard = || format!("shard {keyspace}/{shard}; nothing was run on any shard");
    let login = context.credentials().resolve(tablet.credential.as_str())?.login(tablet.endpoint.clone(), None);
    let mut session = Session::open(&login, primaries::LIMIT).await.with_context(on_shard)?;
    let database = tablet.database.as_str();
    session.execute(&format!("USE {}", quote::ident(database))).await.with_context(on_shard)?;
    session
        .execute(&format!("SET SESSION sql_mode = '{SQL_MODE}', lock_wait_timeout = {LOCK_WAIT}"))
        .await
        .with_context(on_shard)?;
    // Held by the session, so that two operators do not run the same at the same time; and by one whose operator has gone,
    // for as long as its statement runs. The server takes names of up to 64 characters.
    let place = Sha256::digest(format!("{keyspace}/{shard}"));
    let place: String = place.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let lock = format!("SELECT GET_LOCK('shardlift schema {place}', 3)");
    if session.value(&lock).await.with_context(on_shard)?.as_deref() != Some("1") {
        bail!("another `schema apply` is running on shard {keyspace}/{shard}; wait for it");
    }
    session.set_limit(timeout);
    let (shard, database) = (shard.clone(), tablet.database.clone());
    Ok(Target { shard, session, login, database, due: false, result: String::new() })
}

/// The unfinished change of these statements, or a new one.
async fn begin(
    topology: &Topology,
    keyspace: &KeyspaceName,
    statements: &[Statement],
    shards: &[ShardName],
    abandon: bool,
) -> Result<(SchemaChange, Revision)> {
    let path = paths::schema_change(keyspace);
    let texts: Vec<String> = statements.iter().map(|statement| statement.sql.clone()).collect();
    let fresh = SchemaChange {
        statements: texts,
        shards: shards.iter().map(|shard| (shard.clone(), ShardProgress::default())).collect(),
    };
    let Some(found) = topology.get::<SchemaChange>(&path).await? else {
        let revision = topology.create(&path, &fresh).await?;
        return Ok((fresh, revision));
    };
    let same = found.record.statements == fresh.statements && found.record.shards.keys().eq(fresh.shards.keys());
    if same {
        return Ok((found.record, found.revision));
    }
    if !abandon {
        let all = found.record.statements.len();
        let shards = found.record.shards.iter();
        let told: Vec<String> = shards.map(|(shard, done)| format!("{shard}: {} of {all}", done.done)).collect();
        let first = found.record.statements.first().map(String::as_str).unwrap_or_default();
        bail!(
            "an earlier change of keyspace {keyspace} is unfinished ({}), beginning `{first}`; run that again until it is \
             through, or give it up with --abandon-unfinished and see `schema show` for what differs",
            told.join(", ")
        );
    }
    let revision = topology.put_if(&path, &fresh, found.revision).await?;
    Ok((fresh, revision))
}

/// Runs the statements one after the other on every shard that has yet to; stops behind the first that failed on any.
async fn carry_out(
    topology: &Topology,
    keyspace: &KeyspaceName,
    statements: &[Statement],
    targets: &mut [Target],
    (change, mut revision): (&mut SchemaChange, Revision),
    failpoints: &Failpoints,
    limit: Duration,
) -> Result<()> {
    let path = paths::schema_change(keyspace);
    for (place, statement) in statements.iter().enumerate() {
        let mut unknown = false;
        for target in targets.iter_mut() {
            let progress = change.shards.entry(target.shard.clone()).or_default();
            target.due = progress.done == place;
            let fate = if target.due { settle(target, statement, progress, limit).await } else { Fate::DidNot };
            match fate {
                Fate::DidNot => {}
                Fate::Ran => (*progress, target.due) = (done(place), false),
                Fate::Unknown(why) => {
                    target.result = doubt(keyspace, place, &why);
                    unknown = true;
                }
            }
        }
        if unknown {
            topology.put_if(&path, change, revision).await?;
            return Ok(());
        }
        let mut sent = BTreeMap::new();
        for target in targets.iter_mut().filter(|target| target.due) {
            let noted = logged::note(&mut target.session).await;
            let noted = noted.with_context(|| format!("shard {keyspace}/{}", target.shard))?;
            sent.insert(target.shard.clone(), logged::marked(&noted, &statement.sql));
            change.shards.entry(target.shard.clone()).or_default().sent = Some(noted);
        }
        // Before anything is sent: whoever comes after a crash must know what may have been.
        revision = topology.put_if(&path, change, revision).await?;
        failpoints.reach("schema-noted").await.map_err(|hit| anyhow::anyhow!("failpoint {}", hit.0))?;
        let due = targets.iter_mut().filter_map(|target| Some((sent.get(&target.shard)?, target)));
        let run = join_all(due.map(|(sql, target)| async move {
            let run = target.session.execute(sql).await;
            (target, run)
        }));
        let (answers, mut failed) = (run.await, false);
        failpoints.reach("schema-sent").await.map_err(|hit| anyhow::anyhow!("failpoint {}", hit.0))?;
        for (target, run) in answers {
            let progress = change.shards.entry(target.shard.clone()).or_default();
            match run {
                Ok(_) => *progress = done(place),
                Err(error) => {
                    // Where the server has said no it was not run; else its binlog will tell.
                    if error.code().is_some_and(|code| !BROKEN_OFF.contains(&code)) {
                        progress.sent = None;
                    }
                    target.result = format!("statement {} failed: {error}", place + 1);
                    failed = true;
                }
            }
        }
        revision = topology.put_if(&path, change, revision).await?;
        if failed {
            return Ok(());
        }
    }
    let txn = topology.delete(topology.unchanged(Txn::new(), &path, revision), &path);
    topology.txn(txn).await?;
    Ok(())
}

/// A shard that has run the statement at `place`.
fn done(place: usize) -> ShardProgress {
    ShardProgress { done: place + 1, ..ShardProgress::default() }
}

/// What became of a statement whose turn it is, if it was sent before.
async fn settle(target: &mut Target, statement: &Statement, progress: &ShardProgress, limit: Duration) -> Fate {
    match progress {
        ShardProgress { before: Some(_), .. } => Fate::Unknown("an earlier release has sent it".into()),
        ShardProgress { sent: Some(sent), .. } => {
            let Target { session, login, database, .. } = target;
            logged::fate(session, (login, database.as_str()), statement, sent, limit).await
        }
        _ => Fate::DidNot,
    }
}

fn doubt(keyspace: &KeyspaceName, place: usize, why: &str) -> String {
    let number = place + 1;
    format!(
        "statement {number} was sent here before, the answer was lost, and it may have been run or not: {why}; nothing was run \
         now. Look at the tables here; where statement {number} was not run, on this shard or another, run it by hand, then \
         apply those after it: `schema apply {keyspace} --abandon-unfinished`"
    )
}
