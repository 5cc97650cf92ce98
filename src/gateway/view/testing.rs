//! A topology's records for tests of what is decided on a View: `commerce` (tablets 100 and 101), `legacy` (200, 201) and
//! `customer` with the halves -80 (300, 301) and 80- (400, 401) and a shard c0- (500, 501) that serves nothing yet.

use std::collections::BTreeMap;

use super::*;
use crate::model::routing::TableMove;
use crate::mysql::endpoint::Endpoint;
use crate::topology::store::Entry;
use crate::topology::{Path, Record, paths};

/// The records.
#[derive(Debug, Clone)]
pub(in crate::gateway) struct Cluster {
    pub(super) revision: Revision,
    entries: BTreeMap<Path, Entry>,
}

/// The View of a cluster.
pub(in crate::gateway) fn view(cluster: Cluster) -> View {
    cluster.view(&mut Builder::default())
}

impl Default for Cluster {
    fn default() -> Self {
        let mut cluster = Self { revision: 0, entries: BTreeMap::new() };
        let shards = [
            ("commerce", "0", 100),
            ("legacy", "0", 200),
            ("customer", "-80", 300),
            ("customer", "80-", 400),
            ("customer", "c0-", 500),
        ];
        for (keyspace, shard, primary) in shards {
            let (name, shard): (KeyspaceName, ShardName) = (keyspace.parse().unwrap(), shard.parse().unwrap());
            cluster.put(paths::keyspace(&name), &records::Keyspace { database: keyspace.parse().unwrap() });
            let serving: &[TabletType] = if primary == 500 { &[] } else { TabletType::ALL };
            let record = records::Shard {
                primary: Some(format!("zone1-{primary}").parse().unwrap()),
                term: 1,
                primary_since: Some(1_700_000_000),
                serving: serving.iter().copied().collect(),
            };
            cluster.put(paths::shard(&name, &shard), &record);
            cluster.tablet(primary, keyspace, &shard, keyspace, TabletType::Primary);
            cluster.tablet(primary + 1, keyspace, &shard, keyspace, TabletType::Replica);
        }
        cluster
    }
}

impl Cluster {
    pub(super) fn bytes(&mut self, path: Path, value: &[u8]) -> &mut Self {
        self.revision += 1;
        let (key, value) = (path.to_string(), value.to_vec());
        self.entries.insert(path, Entry { key, value, mod_revision: self.revision, lease: None });
        self
    }

    pub(super) fn put(&mut self, path: Path, record: &impl Record) -> &mut Self {
        let value = record.encode().unwrap();
        self.bytes(path, &value)
    }

    pub(super) fn view(&self, builder: &mut Builder) -> View {
        builder.build(self.revision, &self.entries)
    }

    fn tablet(&mut self, uid: u32, keyspace: &str, shard: &ShardName, database: &str, tablet_type: TabletType) {
        let record = records::Tablet {
            keyspace: keyspace.parse().unwrap(),
            shard: shard.clone(),
            tablet_type,
            endpoint: Endpoint::new(format!("db{uid}:3306").parse().unwrap()),
            database: database.parse().unwrap(),
            credential: "app".parse().unwrap(),
        };
        self.put(paths::tablet(&format!("zone1-{uid}").parse().unwrap()), &record);
    }

    /// With a VSchema of customer's.
    pub(in crate::gateway) fn vschema(mut self, text: &str) -> Self {
        let vschema = crate::sharding::vschema::parse(text).unwrap();
        self.put(paths::vschema(&"customer".parse().unwrap()), &vschema);
        self
    }

    /// With another replica of commerce.
    pub(in crate::gateway) fn replica(mut self, uid: u32) -> Self {
        self.tablet(uid, "commerce", &ShardName::unsharded(), "commerce", TabletType::Replica);
        self
    }

    /// With commerce in a schema of another name on both its tablets.
    pub(in crate::gateway) fn in_schema(mut self, name: &str) -> Self {
        self.tablet(100, "commerce", &ShardName::unsharded(), name, TabletType::Primary);
        self.tablet(101, "commerce", &ShardName::unsharded(), name, TabletType::Replica);
        self
    }

    /// With a workflow that moves tables from commerce to legacy.
    pub(in crate::gateway) fn moved(mut self, tables: &[&str], switched: &[TabletType]) -> Self {
        let record = TableMove {
            source: "commerce".parse().unwrap(),
            target: "legacy".parse().unwrap(),
            tables: tables.iter().map(|table| table.parse().unwrap()).collect(),
            switched: switched.iter().copied().collect(),
        };
        self.put(paths::workflow_rules(&record.target, &"move".parse().unwrap()), &record);
        self
    }

    /// With a pause of the workflow that moves tables from commerce to legacy.
    pub(in crate::gateway) fn paused(mut self, tables: &[&str], holds: bool) -> Self {
        let pause = records::Pause {
            epoch: 1,
            source: "commerce".parse().unwrap(),
            target: "legacy".parse().unwrap(),
            tables: tables.iter().map(|table| table.parse().unwrap()).collect(),
            closing: "commerce".parse().unwrap(),
            uid: uuid::Uuid::nil(),
            holds,
        };
        self.put(paths::pause(&pause.target, &"move".parse().unwrap()), &pause);
        self
    }
}
