//! Declaring cells, keyspaces, shards and tablets, and taking them back.
//!
//! Invariant: nothing named by another record is missing, and no MySQL schema is two tablets. Each change is planned from
//! what was read and committed on the condition that it still holds, else planned anew.

use std::time::{SystemTime, UNIX_EPOCH};

use super::error::TopologyError;
use super::records::{CellRecord, Keyspace, Shard, Tablet, Workflow};
use super::store::{Compare, Txn, TxnOutcome};
use super::{Path, Records, TRIES, Topology, Versioned, back_off, paths};
use crate::model::workflow::TabletType;
use crate::model::{Cell, KeyspaceName, ShardName, TabletAlias};

/// Seconds since the Unix epoch.
fn now() -> Option<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

fn refuse<T>(why: String) -> Result<T, TopologyError> {
    Err(TopologyError::Refused(why))
}

/// Names of records, for a message.
fn names<'a>(found: impl Iterator<Item = &'a Path>) -> String {
    let names: Vec<&str> = found.map(Path::name).collect();
    match names.len() {
        0..=5 => names.join(", "),
        more => format!("{}, … ({more} in all)", names[..5].join(", ")),
    }
}

impl Topology {
    async fn commit<F>(&self, what: &str, plan: impl Fn() -> F) -> Result<(), TopologyError>
    where
        F: Future<Output = Result<Txn, TopologyError>>,
    {
        for attempt in 0..TRIES {
            match self.txn(plan().await?).await? {
                TxnOutcome::Committed { .. } => return Ok(()),
                TxnOutcome::Refused { .. } => back_off(attempt).await,
            }
        }
        Err(TopologyError::Contended { what: what.into() })
    }

    fn exists(&self, txn: Txn, path: &Path) -> Txn {
        txn.when(Compare::Exists(self.paths.key(path)))
    }

    async fn tablets(&self) -> Result<Records<Tablet>, TopologyError> {
        self.list(&paths::tablets()).await
    }

    /// Declares a cell.
    pub async fn add_cell(&self, cell: &Cell) -> Result<(), TopologyError> {
        self.create(&paths::cell(cell), &CellRecord {}).await.map(drop)
    }

    /// Takes a cell back that no tablet lives in.
    pub async fn remove_cell(&self, cell: &Cell) -> Result<(), TopologyError> {
        let plan = || async move {
            let path = paths::cell(cell);
            let found: Versioned<CellRecord> = self.need(&path).await?;
            let tablets = self.tablets().await?;
            let inside = |path: &Path| path.name().parse::<TabletAlias>().is_ok_and(|alias| alias.cell == *cell);
            let inside = names(tablets.records.iter().map(|(path, _)| path).filter(|path| inside(path)));
            if !inside.is_empty() {
                return refuse(format!("cell {cell} still has tablets: {inside}; remove them first"));
            }
            let txn = self.none_after(Txn::new(), &paths::tablets(), tablets.revision);
            Ok(self.delete(self.unchanged(txn, &path, found.revision), &path))
        };
        self.commit("the list of tablets", plan).await
    }

    /// Declares a keyspace.
    pub async fn add_keyspace(&self, name: &KeyspaceName, keyspace: &Keyspace) -> Result<(), TopologyError> {
        self.create(&paths::keyspace(name), keyspace).await.map(drop)
    }

    /// Takes a keyspace back, with its VSchema, that has no shards and that no workflow reads, writes or numbers rows from.
    pub async fn remove_keyspace(&self, name: &KeyspaceName) -> Result<(), TopologyError> {
        let plan = || async move {
            let path = paths::keyspace(name);
            let found: Versioned<Keyspace> = self.need(&path).await?;
            self.refuse_children(name, &paths::shards(name), "shards").await?;
            self.refuse_children(name, &paths::workflows(name), "workflows").await?;
            let workflows: Records<Workflow> = self.list(&paths::all_workflows()).await?;
            let needs = |workflow: &Workflow| {
                let spec = &workflow.spec;
                spec.source_keyspace == *name || spec.options.global_keyspace.as_ref() == Some(name)
            };
            let needed =
                names(workflows.records.iter().filter(|(_, found)| needs(&found.record)).map(|(path, _)| path));
            if !needed.is_empty() {
                return refuse(format!(
                    "keyspace {name} is needed by workflows: {needed}; complete or cancel them first"
                ));
            }
            let txn = self.none_after(Txn::new(), &paths::shards(name), 0);
            let txn = self.none_after(txn, &paths::all_workflows(), workflows.revision);
            let txn = self.none_after(txn, &paths::workflows(name), 0);
            let txn = self.unchanged(txn, &path, found.revision);
            let txn = self.delete(self.delete(txn, &path), &paths::vschema(name));
            Ok(self.delete(txn, &paths::schema_change(name)))
        };
        self.commit(&format!("keyspace {name}"), plan).await
    }

    async fn refuse_children(
        &self,
        name: &KeyspaceName,
        folder: &paths::Folder,
        what: &str,
    ) -> Result<(), TopologyError> {
        let listing = self.store.list(&self.paths.prefix(folder)).await?;
        let found: Vec<Path> = listing.entries.iter().filter_map(|entry| self.paths.path(&entry.key)).collect();
        if found.is_empty() {
            return Ok(());
        }
        refuse(format!("keyspace {name} still has {what}: {}; remove them first", names(found.iter())))
    }

    /// Declares a shard. As in Vitess it serves at once unless its key range overlaps another shard's: then it is the
    /// target of a reshard to come and serves nothing until that switches traffic.
    pub async fn add_shard(&self, keyspace: &KeyspaceName, name: &ShardName) -> Result<Shard, TopologyError> {
        let path = paths::shard(keyspace, name);
        let plan = || async {
            self.need::<Keyspace>(&paths::keyspace(keyspace)).await?;
            let shards: Records<Shard> = self.list(&paths::shards(keyspace)).await?;
            let mut shard = Shard {
                primary: None,
                term: 0,
                primary_since: None,
                serving: TabletType::ALL.iter().copied().collect(),
            };
            for (other, _) in &shards.records {
                if *other == path {
                    return Err(TopologyError::Exists { what: format!("shard {keyspace}/{name}") });
                }
                let range: Option<ShardName> = other.name().parse().ok();
                if range.is_none_or(|other| other.range().intersects(name.range())) {
                    shard.serving.clear();
                }
            }
            let txn = self.exists(Txn::new(), &paths::keyspace(keyspace));
            let txn = self.none_after(txn, &paths::shards(keyspace), shards.revision);
            self.put(txn, &path, &shard)
        };
        self.commit(&format!("keyspace {keyspace}"), plan).await?;
        Ok(self.need::<Shard>(&path).await?.record)
    }

    /// Takes a shard back that has no tablets. One that serves is refused unless `even_if_serving`, and so is any shard
    /// of a keyspace that workflows still move.
    pub async fn remove_shard(
        &self,
        keyspace: &KeyspaceName,
        name: &ShardName,
        even_if_serving: bool,
    ) -> Result<(), TopologyError> {
        let plan = || async move {
            let path = paths::shard(keyspace, name);
            let shard: Versioned<Shard> = self.need(&path).await?;
            self.refuse_children(keyspace, &paths::workflows(keyspace), "workflows").await?;
            let tablets = self.tablets().await?;
            let inside =
                tablets.records.iter().filter(|(_, t)| t.record.keyspace == *keyspace && t.record.shard == *name);
            let inside = names(inside.map(|(path, _)| path));
            if !inside.is_empty() {
                return refuse(format!("shard {keyspace}/{name} still has tablets: {inside}; remove them first"));
            }
            if !shard.record.serving.is_empty() && !even_if_serving {
                return refuse(format!(
                    "shard {keyspace}/{name} is serving; if nothing needs it any more, say --even-if-serving"
                ));
            }
            let txn = self.none_after(Txn::new(), &paths::tablets(), tablets.revision);
            let txn = self.none_after(txn, &paths::workflows(keyspace), 0);
            Ok(self.delete(self.unchanged(txn, &path, shard.revision), &path))
        };
        self.commit(&format!("shard {keyspace}/{name}"), plan).await
    }

    /// Makes a tablet its shard's primary and raises the term, also if it was the primary before. The former primary's
    /// record turns to REPLICA. Nothing is done on the servers.
    pub async fn set_primary(
        &self,
        keyspace: &KeyspaceName,
        name: &ShardName,
        alias: &TabletAlias,
    ) -> Result<Shard, TopologyError> {
        let path = paths::shard(keyspace, name);
        let new_path = paths::tablet(alias);
        let plan = || async {
            let mut shard: Versioned<Shard> = self.need(&path).await?;
            let mut new: Versioned<Tablet> = self.need(&new_path).await?;
            if (&new.record.keyspace, &new.record.shard) != (keyspace, name) {
                let (keyspace, shard) = (&new.record.keyspace, &new.record.shard);
                return refuse(format!("tablet {alias} belongs to shard {keyspace}/{shard}"));
            }
            if new.record.tablet_type == TabletType::Rdonly {
                return refuse(format!(
                    "tablet {alias} is RDONLY, which is never promoted; remove it and add it as REPLICA"
                ));
            }
            let mut txn = Txn::new();
            if let Some(old) = shard.record.primary.replace(alias.clone()).filter(|old| old != alias) {
                let old_path = paths::tablet(&old);
                if let Some(mut old) = self.get::<Tablet>(&old_path).await? {
                    old.record.tablet_type = TabletType::Replica;
                    txn = self.put(self.unchanged(txn, &old_path, old.revision), &old_path, &old.record)?;
                }
            }
            shard.record.term += 1;
            shard.record.primary_since = now();
            new.record.tablet_type = TabletType::Primary;
            txn = self.put(self.unchanged(txn, &new_path, new.revision), &new_path, &new.record)?;
            self.put(self.unchanged(txn, &path, shard.revision), &path, &shard.record)
        };
        self.commit(&format!("shard {keyspace}/{name}"), plan).await?;
        Ok(self.need::<Shard>(&path).await?.record)
    }

    /// Declares a tablet. One of type PRIMARY becomes its shard's primary, which must have none.
    pub async fn add_tablet(&self, alias: &TabletAlias, tablet: &Tablet) -> Result<(), TopologyError> {
        let (keyspace, name) = (&tablet.keyspace, &tablet.shard);
        let shard_path = paths::shard(keyspace, name);
        let plan = || async {
            self.need::<CellRecord>(&paths::cell(&alias.cell)).await?;
            self.need::<Keyspace>(&paths::keyspace(keyspace)).await?;
            let mut shard: Versioned<Shard> = self.need(&shard_path).await?;
            let tablets = self.tablets().await?;
            let path = paths::tablet(alias);
            for (other_path, other) in &tablets.records {
                if *other_path == path {
                    return Err(TopologyError::Exists { what: format!("tablet {alias}") });
                }
                let (address, database) = (&tablet.endpoint.address, &tablet.database);
                if (address, database) == (&other.record.endpoint.address, &other.record.database) {
                    let other = other_path.name();
                    return refuse(format!("tablet {other} is database {database} on {address} already"));
                }
            }
            let txn = self.exists(Txn::new(), &paths::cell(&alias.cell));
            let mut txn = self.none_after(txn, &paths::tablets(), tablets.revision);
            txn = self.unchanged(txn, &shard_path, shard.revision);
            if tablet.tablet_type == TabletType::Primary {
                if let Some(primary) = &shard.record.primary {
                    return refuse(format!(
                        "shard {keyspace}/{name} has a primary, {primary}; add {alias} as REPLICA, then use `shard set-primary`"
                    ));
                }
                shard.record.primary = Some(alias.clone());
                shard.record.term += 1;
                shard.record.primary_since = now();
                txn = self.put(txn, &shard_path, &shard.record)?;
            }
            self.put(txn, &path, tablet)
        };
        self.commit("the list of tablets", plan).await
    }

    /// Takes a tablet back. Its shard's primary only if `allow_primary`; the shard then has none.
    pub async fn remove_tablet(&self, alias: &TabletAlias, allow_primary: bool) -> Result<(), TopologyError> {
        let plan = || async move {
            let path = paths::tablet(alias);
            let tablet: Versioned<Tablet> = self.need(&path).await?;
            let (keyspace, name) = (&tablet.record.keyspace, &tablet.record.shard);
            let shard_path = paths::shard(keyspace, name);
            let mut txn = self.delete(self.unchanged(Txn::new(), &path, tablet.revision), &path);
            if let Some(mut shard) = self.get::<Shard>(&shard_path).await? {
                txn = self.unchanged(txn, &shard_path, shard.revision);
                if shard.record.primary.as_ref() == Some(alias) {
                    if !allow_primary {
                        return refuse(format!(
                            "tablet {alias} is the primary of shard {keyspace}/{name}; make another one primary with \
                             `shard set-primary`, or say --allow-primary to leave the shard without"
                        ));
                    }
                    shard.record.primary = None;
                    shard.record.primary_since = None;
                    shard.record.term += 1;
                    txn = self.put(txn, &shard_path, &shard.record)?;
                }
            }
            Ok(txn)
        };
        self.commit(&format!("tablet {alias}"), plan).await
    }
}
