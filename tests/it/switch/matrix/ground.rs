//! What is switched between which shards: tables that move to another keyspace, and a keyspace that is cut anew.

use std::fmt;

use serde_json::json;
use shardlift::local::cluster::ClusterSpec;

use super::cases::Side;
use crate::harness::{Db, Ledger, Shardlift, TestCluster};
use crate::reshard::place;

/// The tables, and their columns of lanes: a row's lane says which shard it belongs to. Nothing moves from lane to lane, so
/// that a transaction is of one shard.
pub const TABLES: [(&str, &str); 3] = [("ledger", "writer"), ("ledger_writer", "writer"), ("direct", "lane")];
/// One for each writer. Their keyspace ids begin with 80, 40, c0 and 20, so that each of four shards has one.
pub const LANES: [i64; 4] = [1, 2, 3, 4];

/// Which shards the tables are on, before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// MoveTables from `commerce` to `customer`, both unsharded.
    Move,
    /// Reshards of `customer`.
    TwoToFour,
    FourToTwo,
    ThreeToTwo,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Move => "move",
            Self::TwoToFour => "2to4",
            Self::FourToTwo => "4to2",
            Self::ThreeToTwo => "3to2",
        })
    }
}

impl Layout {
    pub fn keyspace(self, side: Side) -> &'static str {
        match (self, side) {
            (Self::Move, Side::Source) => "commerce",
            _ => "customer",
        }
    }

    pub fn shards(self, side: Side) -> &'static [&'static str] {
        const TWO: &[&str] = &["-80", "80-"];
        const THREE: &[&str] = &["-55", "55-aa", "aa-"];
        const FOUR: &[&str] = &["-40", "40-80", "80-c0", "c0-"];
        match (self, side) {
            (Self::Move, _) => &["0"],
            (Self::TwoToFour, Side::Source) | (Self::FourToTwo | Self::ThreeToTwo, Side::Target) => TWO,
            (Self::FourToTwo, Side::Source) | (Self::TwoToFour, Side::Target) => FOUR,
            (Self::ThreeToTwo, Side::Source) => THREE,
        }
    }

    /// The place among its side's of the shard that has `lane`'s rows.
    pub fn shard_of(self, side: Side, lane: i64) -> usize {
        self.shards(side).iter().position(|shard| has(shard, lane)).unwrap()
    }

    /// The command that works on the workflow.
    pub fn command(self) -> &'static str {
        match self {
            Self::Move => "movetables",
            _ => "reshard",
        }
    }

    /// What `start` is told besides the workflow's name.
    pub fn start_flags(self) -> String {
        match self {
            Self::Move => format!("--source-keyspace commerce --tables {}", TABLES.map(|(name, _)| name).join(",")),
            _ => {
                let [from, to] = [Side::Source, Side::Target].map(|side| self.shards(side).join(","));
                format!("--source-shards {from} --target-shards {to}")
            }
        }
    }

    /// Servers for each shard of the two sides.
    pub fn declare(self, spec: &mut ClusterSpec) {
        if self == Self::Move {
            return;
        }
        spec.keyspaces.retain(|keyspace| keyspace.name.as_str() == "customer");
        let shards = self.shards(Side::Source).iter().chain(self.shards(Side::Target));
        spec.keyspaces[0].shards = shards.map(|name| name.parse().unwrap()).collect();
    }

    /// The tables, empty, on the sources; and what says how they are sharded.
    pub async fn make_tables(self, cluster: &TestCluster, shardlift: &Shardlift, sources: &[Db]) {
        for db in sources {
            Ledger::create(db).await;
            db.exec("CREATE TABLE direct (id BIGINT PRIMARY KEY, n BIGINT NOT NULL, lane INT NOT NULL)").await;
        }
        if self == Self::Move {
            return;
        }
        let table = |column: &str| json!({ "column_vindexes": [{ "column": column, "name": "lane" }] });
        let tables: serde_json::Map<_, _> =
            TABLES.iter().map(|(name, column)| ((*name).to_owned(), table(column))).collect();
        let vschema = json!({ "sharded": true, "vindexes": { "lane": { "type": "reverse_bits" } }, "tables": tables });
        let path = cluster.folder().join("vschema.json");
        std::fs::write(&path, vschema.to_string()).unwrap();
        shardlift.must(&format!("vschema apply customer --vschema-file {}", path.display())).await;
    }
}

/// Whether a shard has a lane's rows: the bits of the number, the last first.
pub fn has(shard: &str, lane: i64) -> bool {
    place::covers(shard, u8::try_from((lane as u64).reverse_bits() >> 56).unwrap())
}

#[test]
fn every_shard_has_a_lane_and_every_lane_a_shard() {
    for layout in [Layout::Move, Layout::TwoToFour, Layout::FourToTwo, Layout::ThreeToTwo] {
        for side in [Side::Source, Side::Target] {
            let mut taken: Vec<_> = LANES.iter().map(|lane| layout.shard_of(side, *lane)).collect();
            taken.sort_unstable();
            taken.dedup();
            assert_eq!(taken.len(), layout.shards(side).len(), "{layout} {side:?}");
        }
    }
}
