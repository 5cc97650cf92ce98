//! Decisions of the gateway alone: from a statement's text to the text each shard gets, without network or servers.
//!
//! All of what the gateway does for a statement is in it: its text is analysed, its tables are sought by the routing rules, it
//! is planned, its values are read, and what each shard gets is written out. With the plan kept the plan of an earlier text
//! with other values serves; without, the statement is parsed and planned each time. Rates are per second of processor time of
//! one thread, so that what else the machine does counts little.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail, ensure};
use nix::time::{ClockId, clock_gettime};
use shardlift::gateway::plan::cache::Plans;
use shardlift::gateway::plan::{Column, TableColumns};
use shardlift::gateway::route::{Destination, Router, Spreading};
use shardlift::gateway::sql::{SqlMode, analyze, splice};
use shardlift::gateway::view::{Builder, View};
use shardlift::model::workflow::TabletType;
use shardlift::model::{ColumnKind, KeyspaceName, ShardName, TabletAlias};
use shardlift::mysql::Endpoint;
use shardlift::sharding::{KeyType, Target};
use shardlift::topology::{Entry, Path, Record, paths, records};

use super::results::Results;
use super::stage::{KEYSPACE, SHARDS, VSCHEMA};
use super::testbed::say;

/// Texts of a statement that differ in values.
const TEXTS: u64 = 256;
/// How long each is measured, of processor time; the best of so many counts.
const WINDOW: Duration = Duration::from_millis(200);
const WINDOWS: usize = 5;

/// Measures, and adds to `results`.
pub fn measure(results: &mut Results) -> Result<()> {
    say("routes");
    let world = World::new()?;
    let list =
        |from: u64, count: u64, one: fn(u64) -> String| (from..from + count).map(one).collect::<Vec<_>>().join(", ");
    let point: Texts = &|n| format!("SELECT c FROM sbtest1 WHERE id = {n}");
    let among: Texts = &|n| format!("SELECT c FROM sbtest1 WHERE id IN ({})", list(n * 8, 8, |id| id.to_string()));
    let row = |id: u64| format!("({id}, {}, 'text {id} of it', 'and its end')", id * 7);
    let insert: Texts = &|n| format!("INSERT INTO sbtest1 (id, k, c, pad) VALUES {}", list(n * 10, 10, row));
    let update: Texts = &|n| format!("UPDATE sbtest1 SET k = k + 1, c = 'text {n}' WHERE id = {n}");
    let ordered: Texts = &|n| format!("SELECT id, k, c FROM sbtest1 WHERE k >= {n} ORDER BY k, id LIMIT 20");
    let groups: Texts = &|n| format!("SELECT k, COUNT(*), MAX(id) FROM sbtest1 WHERE k < {n} GROUP BY k ORDER BY k");
    for (what, texts) in [
        ("point", point),
        ("IN of 8", among),
        ("INSERT of 10 rows", insert),
        ("UPDATE by key", update),
        ("ORDER BY, LIMIT", ordered),
        ("GROUP BY", groups),
    ] {
        let texts: Vec<_> = (1_000..1_000 + TEXTS).map(texts).collect();
        let shards = world.decide(texts[0].as_bytes(), &Plans::default())?;
        let plans = Plans::default();
        let kept = rate(|| texts.iter().try_for_each(|text| world.decide(text.as_bytes(), &plans).map(drop)))?;
        let made =
            rate(|| texts.iter().try_for_each(|text| world.decide(text.as_bytes(), &Plans::default()).map(drop)))?;
        results.route(what, kept, made, shards);
    }
    Ok(())
}

/// The text with values made of a number.
type Texts<'a> = &'a dyn Fn(u64) -> String;

/// Decisions per second; `all` makes [`TEXTS`] of them.
fn rate(mut all: impl FnMut() -> Result<()>) -> Result<f64> {
    let now = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    let mut best = 0.0;
    for _ in 0..WINDOWS {
        let (began, mut made) = (now()?, 0);
        let took = loop {
            all()?;
            made += TEXTS;
            let took = now()? - began;
            if took >= WINDOW {
                break took;
            }
        };
        best = f64::max(best, made as f64 / took.as_secs_f64());
    }
    Ok(best)
}

/// A cluster whose keyspace four shards serve, as a gateway knows it.
struct World {
    view: View,
    target: Target,
    columns: Arc<TableColumns>,
}

impl World {
    fn new() -> Result<Self> {
        let mut entries = BTreeMap::new();
        let keyspace: KeyspaceName = KEYSPACE.parse()?;
        put(&mut entries, paths::keyspace(&keyspace), &records::Keyspace { database: KEYSPACE.parse()? })?;
        put(&mut entries, paths::vschema(&keyspace), &shardlift::sharding::vschema::parse(VSCHEMA)?)?;
        for (place, name) in SHARDS.iter().enumerate() {
            let shard: ShardName = name.parse()?;
            let alias: TabletAlias = format!("zone1-{}", 100 * (place + 1)).parse()?;
            let serving = TabletType::ALL.iter().copied().collect();
            let record = records::Shard { primary: Some(alias.clone()), term: 1, primary_since: None, serving };
            put(&mut entries, paths::shard(&keyspace, &shard), &record)?;
            let tablet = records::Tablet {
                keyspace: keyspace.clone(),
                shard,
                tablet_type: TabletType::Primary,
                endpoint: Endpoint::new(format!("db{place}:3306").parse()?),
                // Names of databases are left as they are, as they are where keyspaces are called after them.
                database: KEYSPACE.parse()?,
                credential: "app".parse()?,
            };
            put(&mut entries, paths::tablet(&alias), &tablet)?;
        }
        let view = Builder::default().build(1, &entries);
        ensure!(view.spreads, "the keyspace is not spread over shards");
        let int = || ColumnKind::Int { width: 8, unsigned: false };
        let text = || ColumnKind::Text { charset: "utf8mb4".into(), collation: "utf8mb4_0900_ai_ci".into() };
        let column = |(name, kind): (&str, ColumnKind)| Column {
            name: name.into(),
            key: KeyType::of(&kind).ok().map(|key| key.declared("char", 120)),
            kind: Some(kind),
            blank: None,
            generated: false,
            invisible: false,
            counts: false,
        };
        let columns = [("id", int()), ("k", int()), ("c", text()), ("pad", text())].map(column).to_vec();
        Ok(Self { view, target: KEYSPACE.parse()?, columns: Arc::new(TableColumns { columns }) })
    }

    /// Decides on a statement, and writes out what each shard gets; how many there are.
    fn decide(&self, sql: &[u8], plans: &Plans) -> Result<usize> {
        let mode = SqlMode::default();
        let columns = |_: &KeyspaceName, table: &str| (table == "sbtest1").then(|| self.columns.clone());
        let spreading = Spreading { plans, columns: &columns, bound: None, utf8: true, given: &[], asked: false };
        let router = Router {
            view: &self.view,
            health: &|_| Ok(()),
            target: &self.target,
            mode,
            seed: 0,
            spreading: Some(spreading),
        };
        let statement = analyze(sql, mode);
        let destination = router.destination(&statement, sql).map_err(|refusal| anyhow!("{}", refusal.message))?;
        let stops = match destination {
            Destination::One(stop) => vec![stop],
            Destination::Several(several) => several.stops,
        };
        if stops.is_empty() {
            bail!("it goes nowhere");
        }
        for stop in &stops {
            black_box(splice(sql, &mut stop.route.edits.clone()));
        }
        Ok(stops.len())
    }
}

fn put(entries: &mut BTreeMap<Path, Entry>, path: Path, record: &impl Record) -> Result<()> {
    let (key, value) = (path.to_string(), record.encode()?);
    entries.insert(path, Entry { key, value, mod_revision: 1, lease: None });
    Ok(())
}
