//! Which sequences number the rows of tables, and where their own tables are now.
//!
//! Invariants:
//! - A sequence's row only grows. Who raises it takes nothing from anybody: what lies between is a gap, never a double.
//! - Its table is sought where rules lead the writes of gateways, which draw from it all the while.

use std::fmt;

use crate::engine::EngineError;
use crate::engine::connect::Side;
use crate::engine::places;
use crate::model::workflow::{SideSpec, TabletType};
use crate::model::{KeyspaceName, TableName, VSchema};
use crate::mysql::admin::Session;
use crate::mysql::{Credentials, MysqlError, quote};
use crate::sharding::RoutingRules;
use crate::sharding::vschema::{KeyspaceSchema, References, find_sequence};
use crate::topology::records::Keyspace;
use crate::topology::{Topology, TopologyError, paths};

use super::flows::sound;
use super::rule_sets::RuleSets;

/// How many numbers gateways reserve at a time from a sequence whose row we make; Vitess's examples have it so.
pub const CACHE: u64 = 1_000;

/// A sequence, by the keyspace whose VSchema has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence {
    /// The keyspace.
    pub keyspace: KeyspaceName,
    /// Its table.
    pub table: TableName,
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.keyspace, self.table)
    }
}

/// A column whose numbers come from a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// The table.
    pub table: TableName,
    /// The column.
    pub column: String,
    /// The sequence.
    pub sequence: Sequence,
}

/// All VSchemas and rules, as the topology says now.
#[derive(Debug)]
pub struct Numbering {
    all: References,
    rules: RoutingRules,
}

impl Numbering {
    /// Reads them.
    pub async fn read(topology: &Topology) -> Result<Self, TopologyError> {
        let mut all = References::new();
        for (path, _) in topology.list::<Keyspace>(&paths::keyspaces()).await?.records {
            if let Ok(name) = path.name().parse() {
                all.insert(name, KeyspaceSchema::default());
            }
        }
        for (path, found) in topology.list::<VSchema>(&paths::vschemas()).await?.records {
            if let Some(Ok(name)) = path.segments().nth(1).map(str::parse::<KeyspaceName>) {
                let schema = sound(&name, &found.record)?;
                all.insert(name, schema);
            }
        }
        Ok(Self { all, rules: RuleSets::read(topology).await?.routing()? })
    }

    /// Those of `tables` that a sequence numbers in `keyspace`.
    pub fn of(&self, keyspace: &KeyspaceName, tables: &[TableName]) -> Result<Vec<Numbered>, TopologyError> {
        let Some(schema) = self.all.get(keyspace) else { return Ok(Vec::new()) };
        let numbered = |table: &TableName| {
            let given = schema.tables.get(table.as_str())?.auto_increment.as_ref()?;
            let found = find_sequence(self.all.iter(), &given.sequence).map_err(|why| {
                TopologyError::Refused(format!("sequence {} of table {keyspace}.{table}: {why}", given.sequence))
            });
            let sequence = found.map(|keyspace| Sequence { keyspace, table: given.sequence.table.clone() });
            Some(sequence.map(|sequence| Numbered { table: table.clone(), column: given.column.clone(), sequence }))
        };
        tables.iter().filter_map(numbered).collect()
    }

    /// The keyspace that has a sequence's table now.
    pub fn home<'a>(&'a self, sequence: &'a Sequence) -> Result<&'a KeyspaceName, TopologyError> {
        let Sequence { keyspace, table } = sequence;
        let led = self.rules.lookup(table.as_str(), Some(keyspace.as_str()), TabletType::Primary);
        Ok(led.map_err(TopologyError::Refused)?.unwrap_or(keyspace))
    }
}

/// The primary that has the tables of a keyspace's sequences.
pub async fn primary(topology: &Topology, credentials: &Credentials, home: &KeyspaceName) -> Result<Side, EngineError> {
    let serving = places::shards(topology, SideSpec { keyspace: home, shards: &[] }).await?;
    match serving.as_slice() {
        [one] => places::side("sequences of", credentials, one.pick(home, &[TabletType::Primary])?),
        _ => Err(TopologyError::Refused(format!(
            "keyspace {home} is sharded, and a sequence is one row: move it to an unsharded keyspace"
        ))
        .into()),
    }
}

/// The next number of a sequence; `None` where its table has no row yet.
pub async fn next(session: &mut Session, side: &Side, table: &TableName) -> Result<Option<u64>, MysqlError> {
    let name = quote::table_name(&side.database, table);
    let found = session.value(&format!("SELECT next_id FROM {name} WHERE id = 0")).await?;
    // One below 1 is taken for 1 by whoever draws.
    Ok(found.map(|text| text.parse().unwrap_or(1)))
}

/// Lets a sequence go on with `next` at the least.
pub async fn raise(session: &mut Session, side: &Side, table: &TableName, next: u64) -> Result<(), MysqlError> {
    let name = quote::table_name(&side.database, table);
    let update = format!("UPDATE {name} SET next_id = {next} WHERE id = 0 AND next_id < {next}");
    if session.execute(&update).await? == 0 && self::next(session, side, table).await?.is_none() {
        session.execute(&format!("INSERT INTO {name} (id, next_id, cache) VALUES (0, {next}, {CACHE})")).await?;
    }
    Ok(())
}

/// The table of a sequence, as Vitess has it.
pub fn create_sql(side: &Side, table: &TableName) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {} (id INT NOT NULL PRIMARY KEY, next_id BIGINT, cache BIGINT) \
         COMMENT 'vitess_sequence'",
        quote::table_name(&side.database, table)
    )
}
