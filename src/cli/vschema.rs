//! `shardlift vschema`: how tables are spread over shards, in Vitess's own form.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};

use super::{Context, Outcome, primaries};
use crate::failpoint::{Failpoints, Hit};
use crate::model::{KeyspaceName, VSchema};
use crate::mysql::admin::Session;
use crate::mysql::schema::{TableInfo, column_kind, read_tables};
use crate::sharding::vindex::Function;
use crate::sharding::vschema::{Change, KeyspaceSchema, Placement, References, parse, plan, print, references};
use crate::sharding::{KeyType, ShardMap};
use crate::topology::records::{Keyspace, Workflow};
use crate::topology::{Topology, Txn, TxnOutcome, paths};
use crate::workflow::held::held;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Replace a keyspace's VSchema
    Apply(ApplyArgs),
    /// Show a keyspace's VSchema as Vitess's GetVSchema does
    Show {
        /// The keyspace
        keyspace: KeyspaceName,
        /// Leave out what says nothing
        #[arg(long)]
        compact: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// The keyspace
    keyspace: KeyspaceName,
    #[command(flatten)]
    document: Document,
    /// Only check it and print what would change
    #[arg(long, short)]
    dry_run: bool,
    /// Also if the rows of a table that is spread over several shards would then be sought where they are not
    #[arg(long)]
    allow_primary_vindex_change: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Document {
    /// The VSchema: {"sharded":true,"vindexes":{…},"tables":{…}}
    #[arg(long, value_name = "JSON")]
    vschema: Option<String>,
    /// A file with the VSchema; `-` for standard input
    #[arg(long, value_name = "FILE")]
    vschema_file: Option<PathBuf>,
}

impl Verb {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        match self {
            Self::Show { keyspace, compact } => {
                let topology = context.topology().await?;
                topology.need::<Keyspace>(&paths::keyspace(&keyspace)).await?;
                let found = topology.get::<VSchema>(&paths::vschema(&keyspace)).await?;
                let vschema = found.map(|found| found.record).unwrap_or_default();
                context.output.text(&print(&vschema, compact)?)?;
            }
            Self::Apply(args) => apply(context, args).await?,
        }
        Ok(Outcome::Done)
    }
}

async fn apply(context: &Context, args: ApplyArgs) -> Result<()> {
    let failpoints = Failpoints::from_env().map_err(anyhow::Error::msg)?;
    let text = super::document::read(args.document.vschema, args.document.vschema_file)?;
    let keyspace = &args.keyspace;
    let wanted = parse(&text)?;
    let schema =
        KeyspaceSchema::new(&wanted).map_err(|wrong| anyhow::anyhow!("VSchema of {keyspace}: {}", list(&wrong)))?;
    let topology = context.topology().await?;
    let record = topology.need::<Keyspace>(&paths::keyspace(keyspace)).await?;
    let stored = topology.list::<VSchema>(&paths::vschemas()).await?;
    let keyspaces = topology.list::<Keyspace>(&paths::keyspaces()).await?;
    let mut all = References::new();
    for (path, _) in &keyspaces.records {
        all.insert(path.name().parse()?, KeyspaceSchema::default());
    }
    let mut old = VSchema::default();
    for (path, vschema) in stored.records {
        let name: KeyspaceName = path.segments().nth(1).unwrap_or_default().parse()?;
        let read = KeyspaceSchema::new(&vschema.record);
        all.insert(name.clone(), read.map_err(|wrong| anyhow::anyhow!("stored VSchema of {name}: {}", list(&wrong)))?);
        if name == *keyspace {
            old = vschema.record;
        }
    }
    let before = references(&all);
    all.insert(keyspace.clone(), schema.clone());
    let broken: Vec<String> = references(&all)
        .into_iter()
        .filter(|wrong| wrong.0 == *keyspace || !before.contains(wrong))
        .map(|(of, why)| format!("keyspace {of}, {why}"))
        .collect();
    if !broken.is_empty() {
        bail!("VSchema of {keyspace}: {}", list(&broken));
    }
    let changes = plan(&old, &wanted);
    let workflows = topology.list::<Workflow>(&paths::all_workflows()).await?;
    let against = held(keyspace, (&old, &wanted), workflows.records.iter().map(|(_, workflow)| &workflow.record));
    if !against.is_empty() {
        bail!("VSchema of {keyspace}: {}", list(&against));
    }
    let shards = primaries::serving(&topology, keyspace).await?;
    check_shards(keyspace, &schema, &shards, &changes, args.allow_primary_vindex_change)?;
    let mut notes = Vec::new();
    match types(context, &topology, keyspace, &schema).await {
        Ok(None) => {}
        Ok(Some(note)) => notes.push(note),
        Err(Types::Wrong(wrong)) => bail!("VSchema of {keyspace}: {}", list(&wrong)),
        Err(Types::Unknown(why)) => notes.push(format!("note: the columns' types were not checked: {why:#}")),
    }
    if !args.dry_run && !changes.is_empty() {
        let txn = topology.unchanged(Txn::new(), &paths::keyspace(keyspace), record.revision);
        let txn = topology.none_after(txn, &paths::vschemas(), stored.revision);
        let txn = topology.none_after(txn, &paths::shards(keyspace), shards.revision);
        // Who starts a workflow meanwhile has judged by the old one, and may not have been heard of here.
        let txn = topology.none_after(txn, &paths::all_workflows(), workflows.revision);
        failpoints.reach("vschema-judged").await.map_err(|Hit(point)| anyhow::anyhow!("failpoint {point}"))?;
        match topology.txn(topology.put(txn, &paths::vschema(keyspace), &wanted)?).await? {
            TxnOutcome::Committed { .. } => {}
            TxnOutcome::Refused { .. } => {
                bail!(
                    "VSchemas, shards or workflows were changed by someone else at the same time; nothing was applied, try \
                     again"
                )
            }
        }
    }
    let mut said: Vec<String> = changes.iter().map(ToString::to_string).collect();
    let done = if args.dry_run { "nothing was applied (dry run)" } else { "applied" };
    said.push(if changes.is_empty() { "nothing changes".into() } else { format!("VSchema of {keyspace}: {done}") });
    said.extend(notes);
    context.output.done(&said.join("\n"))
}

fn list(lines: &[String]) -> String {
    if let [one] = lines { one.clone() } else { format!("{} problems\n  {}", lines.len(), lines.join("\n  ")) }
}

/// Whether the keyspace's shards can be routed by this VSchema, and their rows stay where they are sought.
fn check_shards(
    keyspace: &KeyspaceName,
    schema: &KeyspaceSchema,
    shards: &primaries::Serving,
    changes: &[Change],
    allowed: bool,
) -> Result<()> {
    if shards.names.is_empty() {
        return Ok(());
    }
    let cure = || {
        format!(
            "the serving shards of keyspace {keyspace} must have each keyspace id once, or gateways refuse every statement (one \
             that is missing is declared by `shardlift shard add`)"
        )
    };
    let map = ShardMap::complete(shards.names.clone()).with_context(cure)?;
    if !schema.sharded && map.shards().len() > 1 {
        bail!("keyspace {keyspace} has {} serving shards, so its VSchema must be sharded", map.shards().len());
    }
    let moving: Vec<String> = changes.iter().filter(|change| change.moves_rows).map(ToString::to_string).collect();
    if map.shards().len() > 1 && !moving.is_empty() && !allowed {
        bail!(
            "rows of keyspace {keyspace} are spread over {} shards, and with this VSchema they would be sought on other \
             ones: {}; move them to another keyspace instead (movetables), or, where the tables are empty, say \
             --allow-primary-vindex-change",
            map.shards().len(),
            moving.join(", ")
        );
    }
    Ok(())
}

/// Why the types of columns are not known to be right.
enum Types {
    Wrong(Vec<String>),
    Unknown(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Types {
    fn from(error: E) -> Self {
        Self::Unknown(error.into())
    }
}

/// Looks at the columns that vindexes are over, on the first serving shard's primary. Tables may be missing: the VSchema
/// usually comes first. Returns what to tell the operator besides.
async fn types(
    context: &Context,
    topology: &Topology,
    keyspace: &KeyspaceName,
    schema: &KeyspaceSchema,
) -> Result<Option<String>, Types> {
    let sharded: Vec<String> = schema
        .tables
        .iter()
        .filter(|(_, table)| table.primary_vindex().is_some())
        .map(|(name, _)| name.clone())
        .collect();
    if sharded.is_empty() {
        return Ok(None);
    }
    let tablets = primaries::tablets(topology, keyspace).await?;
    let Some((_, tablet)) = tablets.first() else {
        return Err(anyhow::anyhow!("keyspace {keyspace} has no serving shard with a primary yet").into());
    };
    let login = context.credentials().resolve(tablet.credential.as_str())?.login(tablet.endpoint.clone(), None);
    let mut session = Session::open(&login, primaries::LIMIT).await?;
    let found = read_tables(&mut session, tablet.database.as_str(), Some(&sharded)).await?;
    session.close().await;
    let (mut wrong, mut scattered) = (Vec::new(), Vec::new());
    for info in &found {
        let Some(table) = schema.tables.get(&info.name) else { continue };
        if let Placement::Sharded(vindexes) = &table.placement {
            for over in vindexes {
                for (place, column) in over.columns.iter().enumerate() {
                    let Some(function) = over.vindex.function(place) else { continue };
                    match check_column(info, column, function) {
                        Ok(false) => {}
                        Ok(true) => scattered.push(format!("{}.{column}", info.name)),
                        Err(why) => wrong.push(format!("table {}, column `{column}`: {why}", info.name)),
                    }
                }
            }
        }
    }
    if !wrong.is_empty() {
        return Err(Types::Wrong(wrong));
    }
    let note = format!(
        "note: the collations of {} take values for equal that may be on different shards; statements that look for them \
         ask every shard, and duplicates on different shards are not noticed",
        scattered.join(", ")
    );
    Ok((!scattered.is_empty()).then_some(note))
}

/// Whether a function takes a column, and whether equal values may be elsewhere.
fn check_column(info: &TableInfo, name: &str, function: &Function) -> Result<bool, String> {
    let column = info.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    let column = column.ok_or("there is no such column")?;
    if column.generated {
        return Err("it is generated; a vindex must be over stored values".into());
    }
    if *function == Function::Null {
        return Ok(false);
    }
    let kind = column_kind(column).ok_or_else(|| format!("its type {} is not supported", column.column_type))?;
    let key_type = KeyType::of(&kind).map_err(|why| why.to_string())?;
    key_type.check(function).map_err(|why| why.to_string())?;
    Ok(key_type.equals_elsewhere(function).is_some())
}
