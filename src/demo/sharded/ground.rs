//! What resharding needs: sequences, VSchemas, shards with databases.

use super::super::DemoError;
use super::super::database::Database;
use super::super::journey::{MOVED, SOURCE, TARGET};
use crate::local::cluster::{Cluster, Member};
use crate::model::workflow::TabletType;
use crate::model::{TabletAlias, VSchema};
use crate::sharding::vschema::parse;
use crate::topology::records::Tablet;
use crate::topology::{Topology, Txn, TxnOutcome, paths};

const SEQUENCES: &str = r#"{"tables": {"customer_seq": {"type": "sequence"}, "corder_seq": {"type": "sequence"}}}"#;
const SHARDED: &str = r#"{"sharded": true, "vindexes": {"hash": {"type": "hash"}}, "tables": {
    "customer": {"column_vindexes": [{"column": "customer_id", "name": "hash"}],
        "auto_increment": {"column": "customer_id", "sequence": "customer_seq"}},
    "corder": {"column_vindexes": [{"column": "customer_id", "name": "hash"}],
        "auto_increment": {"column": "order_id", "sequence": "corder_seq"}}}}"#;
/// Numbers a sequence reserves at a time.
const CACHE: u64 = 100;
/// Where the tablets of the shards are numbered from.
const FIRST: u32 = 1_000;

/// A shard with its database, as whoever checks asks it.
pub(super) struct Shard {
    pub(super) name: &'static str,
    pub(super) database: Database,
}

/// The ground that is laid.
pub(super) struct Ground<'a> {
    cluster: &'a Cluster,
    declared: Vec<(&'static str, usize)>,
}

impl<'a> Ground<'a> {
    /// Makes sequences above every number that was given, and declares the keyspace to be sharded.
    pub(super) async fn lay(cluster: &'a Cluster) -> Result<Self, DemoError> {
        let (source, target) =
            (Database::new(cluster, SOURCE, cluster.engine())?, Database::new(cluster, TARGET, cluster.engine())?);
        let (mut there, mut here) = (source.connect().await?, target.connect().await?);
        let doing = "making sequences";
        target.execute(&mut here, doing, "SET information_schema_stats_expiry = 0").await?;
        for (table, _) in MOVED {
            let next = format!(
                "SELECT CAST(AUTO_INCREMENT AS CHAR) FROM information_schema.tables
                 WHERE table_schema = DATABASE() AND table_name = '{table}'"
            );
            let next = target.value(&mut here, doing, &next).await?;
            let create = format!(
                "CREATE TABLE {table}_seq (id INT PRIMARY KEY, next_id BIGINT, cache BIGINT) COMMENT 'vitess_sequence'"
            );
            source.execute(&mut there, doing, &create).await?;
            source.execute(&mut there, doing, &format!("INSERT INTO {table}_seq VALUES (0, {next}, {CACHE})")).await?;
        }
        let topology = cluster.topology();
        apply(topology, SOURCE, SEQUENCES).await?;
        apply(topology, TARGET, SHARDED).await?;
        Ok(Self { cluster, declared: Vec::new() })
    }

    /// How many rows the keyspace has, in the one shard it begins with. Nobody may be writing.
    pub(super) async fn rows(&self) -> Result<u64, DemoError> {
        let target = Database::new(self.cluster, TARGET, self.cluster.app())?;
        let (mut conn, mut rows) = (target.connect().await?, 0);
        for (table, _) in MOVED {
            let found =
                target.value(&mut conn, "counting", &format!("SELECT CAST(COUNT(*) AS CHAR) FROM {table}")).await?;
            rows += found.parse::<u64>().unwrap_or_default();
        }
        Ok(rows)
    }

    /// Declares shards, those that are not yet, with databases on one server and the other by turns.
    pub(super) async fn declare(&mut self, names: &[&'static str]) -> Result<Vec<Shard>, DemoError> {
        let mut shards = Vec::new();
        for name in names {
            let known = self.declared.iter().find(|(known, _)| known == name).map(|(_, number)| *number);
            let number = known.unwrap_or(self.declared.len() + 1);
            let member = self.member(number)?;
            let schema = format!("customer_{number}");
            if known.is_none() {
                self.declared.push((name, number));
                self.add(name, number, member, &schema).await?;
            }
            let database = Database::on(member, TARGET, &schema, self.cluster.app());
            shards.push(Shard { name, database });
        }
        Ok(shards)
    }

    fn member(&self, number: usize) -> Result<&'a Member, DemoError> {
        let members = self.cluster.members();
        let none = || DemoError::Unexpected { database: TARGET, what: "the cluster has no server".into() };
        members.get(number % members.len().max(1)).ok_or_else(none)
    }

    async fn add(&self, name: &str, number: usize, member: &Member, schema: &str) -> Result<(), DemoError> {
        let server = Database::on(member, TARGET, "mysql", self.cluster.engine());
        let mut conn = server.connect().await?;
        server.execute(&mut conn, "making a shard's database", &format!("CREATE DATABASE {schema}")).await?;
        let topology = self.cluster.topology();
        let (keyspace, shard) = (TARGET.parse()?, name.parse()?);
        topology.add_shard(&keyspace, &shard).await?;
        let beside = topology.need::<Tablet>(&paths::tablet(&member.alias)).await?.record;
        let tablet = Tablet { keyspace, shard, tablet_type: TabletType::Primary, database: schema.parse()?, ..beside };
        let alias = TabletAlias { cell: member.alias.cell.clone(), uid: FIRST + number as u32 };
        Ok(topology.add_tablet(&alias, &tablet).await?)
    }
}

/// Applies a VSchema of this file's.
async fn apply(topology: &Topology, keyspace: &'static str, text: &str) -> Result<(), DemoError> {
    let odd = |what: String| DemoError::Unexpected { database: keyspace, what };
    let vschema: VSchema = parse(text).map_err(|error| odd(error.to_string()))?;
    let txn = topology.put(Txn::new(), &paths::vschema(&keyspace.parse()?), &vschema)?;
    match topology.txn(txn).await? {
        TxnOutcome::Committed { .. } => Ok(()),
        TxnOutcome::Refused { .. } => Err(odd("its VSchema was refused".into())),
    }
}
