//! From the topology's records to a View. Pure; what it keeps between Views are the rule sets it has read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use super::pauses;
use super::unreadable::tables_of;
use super::{Keyspace, Serving, Shard, Tablet, View};
use crate::model::routing::{RuleSet, TableMove};
use crate::model::workflow::TabletType;
use crate::model::{KeyspaceName, ShardName, TabletAlias, VSchema};
use crate::sharding::rules::{Rule, check};
use crate::sharding::vschema::KeyspaceSchema;
use crate::sharding::{RoutingRules, ShardMap};
use crate::topology::store::{Entry, Revision};
use crate::topology::{Path, Record, paths, records};

/// Builds one View after the other.
#[derive(Debug, Default)]
pub struct Builder {
    /// Each readable set of rules as last read, with the revision that wrote it.
    sets: BTreeMap<Path, (Revision, Set)>,
    /// Each VSchema as last read, with the revision that wrote it.
    vschemas: BTreeMap<Path, (Revision, Arc<KeyspaceSchema>)>,
    /// The rules of the last View and the revisions that wrote their sets, if all of them could be read.
    rules: Option<(Written, Arc<RoutingRules>)>,
    /// What was wrong in the last View, by path, so that it is logged once.
    wrong: BTreeMap<Path, String>,
}

/// Records, each with the revision that wrote it.
type Written = Vec<(Path, Revision)>;

/// A set of routing rules.
#[derive(Debug, Clone)]
pub(super) enum Set {
    Operator(Vec<Rule>),
    Workflow(Arc<TableMove>),
}

type Wrong = BTreeMap<Path, String>;

impl Builder {
    /// The View of these records.
    pub fn build(&mut self, revision: Revision, entries: &BTreeMap<Path, Entry>) -> View {
        let mut wrong = Wrong::new();
        let mut keyspaces = read_keyspaces(entries, &mut wrong);
        self.read_vschemas(entries, &mut keyspaces, &mut wrong);
        read_shards(entries, &mut keyspaces, &mut wrong);
        read_tablets(entries, &mut keyspaces, &mut wrong);
        let rules = self.rules(entries, &mut wrong);
        let pauses = pauses::read(entries, |path, why| drop(note(&mut wrong, path, why)));
        for (path, why) in &wrong {
            if self.wrong.get(path) != Some(why) {
                tracing::error!(%path, %why, "a topology record cannot be used; what it is about is refused");
            }
        }
        self.wrong = wrong;
        let replicas = replicas(&keyspaces);
        keyspaces.values_mut().for_each(spread);
        let spreads = keyspaces.values().any(|keyspace| !keyspace.spread.is_empty());
        View { revision, since: Some(SystemTime::now()), keyspaces, replicas, rules, pauses, spreads }
    }

    fn read_vschemas(
        &mut self,
        entries: &BTreeMap<Path, Entry>,
        keyspaces: &mut BTreeMap<String, Keyspace>,
        wrong: &mut Wrong,
    ) {
        let mut read = BTreeMap::new();
        for (path, entry) in entries.iter().filter(|(path, _)| paths::vschemas().holds(path)) {
            let Some(keyspace) = path.segments().nth(1).and_then(|name| keyspaces.get_mut(name)) else { continue };
            let known = self.vschemas.remove(path).filter(|(revision, _)| *revision == entry.mod_revision);
            let schema = known.map_or_else(|| read_vschema(&entry.value), |(_, schema)| Ok(schema));
            match schema {
                Ok(schema) => {
                    keyspace.vschema = Some(schema.clone());
                    read.insert(path.clone(), (entry.mod_revision, schema));
                }
                // Where its rows are is not known then.
                Err(why) => {
                    let said = note(wrong, path, why);
                    keyspace.unreadable.get_or_insert(said);
                }
            }
        }
        self.vschemas = read;
    }

    fn rules(&mut self, entries: &BTreeMap<Path, Entry>, wrong: &mut Wrong) -> Arc<RoutingRules> {
        let sets = entries.iter().filter(|(path, _)| paths::rules().holds(path));
        let written: Written = sets.map(|(path, entry)| (path.clone(), entry.mod_revision)).collect();
        if let Some((_, rules)) = self.rules.as_ref().filter(|(known, _)| *known == written) {
            return rules.clone();
        }
        let before = wrong.len();
        let rules = Arc::new(self.read_rules(entries, wrong));
        self.rules = (wrong.len() == before).then(|| (written, rules.clone()));
        rules
    }

    fn read_rules(&mut self, entries: &BTreeMap<Path, Entry>, wrong: &mut Wrong) -> RoutingRules {
        let mut rules = RoutingRules::default();
        let mut sets = BTreeMap::new();
        for (path, entry) in entries.iter().filter(|(path, _)| paths::rules().holds(path)) {
            let known = self.sets.remove(path);
            let set = match &known {
                Some((revision, set)) if *revision == entry.mod_revision => Ok(set.clone()),
                _ => read_set(path, &entry.value),
            };
            match set {
                Ok(set) => {
                    match &set {
                        Set::Operator(list) => rules.add_rules(path.name(), list.clone()),
                        Set::Workflow(moved) => rules.add_move(path.name(), moved),
                    }
                    sets.insert(path.clone(), (entry.mod_revision, set));
                }
                Err(why) => {
                    let known = known.map(|(revision, set)| {
                        // Kept for its names only: the revision that cannot be read is another one.
                        sets.insert(path.clone(), (revision, set.clone()));
                        set
                    });
                    match tables_of(path, &entry.value, known.as_ref(), entries) {
                        Some(tables) => rules.add_unreadable(path.name(), &why, tables),
                        None => rules.set_blind(path.name(), &why),
                    }
                    wrong.insert(path.clone(), why);
                }
            }
        }
        self.sets = sets;
        rules
    }
}

fn read_vschema(value: &[u8]) -> Result<Arc<KeyspaceSchema>, String> {
    let vschema = VSchema::decode(value).map_err(|error| error.to_string())?;
    KeyspaceSchema::new(&vschema).map(Arc::new).map_err(|wrong| wrong.join("; "))
}

fn read_set(path: &Path, value: &[u8]) -> Result<Set, String> {
    if *path == paths::operator_rules() {
        let set = RuleSet::decode(value).map_err(|error| error.to_string())?;
        return check(&set).map(Set::Operator).map_err(|error| error.to_string());
    }
    TableMove::decode(value).map(|moved| Set::Workflow(Arc::new(moved))).map_err(|error| error.to_string())
}

fn read_keyspaces(entries: &BTreeMap<Path, Entry>, wrong: &mut Wrong) -> BTreeMap<String, Keyspace> {
    let mut keyspaces = BTreeMap::new();
    for (path, entry) in entries.iter().filter(|(path, _)| paths::keyspaces().holds(path)) {
        let unreadable =
            records::Keyspace::decode(&entry.value).err().map(|error| note(wrong, path, error.to_string()));
        match path.name().parse::<KeyspaceName>() {
            Ok(name) => {
                keyspaces.insert(path.name().into(), {
                    let (shards, spread) = (Vec::new(), BTreeMap::new());
                    Keyspace { name, shards, vschema: None, spread, unreadable }
                });
            }
            Err(error) => drop(note(wrong, path, error.to_string())),
        }
    }
    keyspaces
}

/// Remembers what is wrong with a record, and says it for those who ask for what it is about.
fn note(wrong: &mut Wrong, path: &Path, why: String) -> String {
    let said = format!("topology record {path} cannot be read: {why}");
    wrong.insert(path.clone(), why);
    said
}

fn read_shards(entries: &BTreeMap<Path, Entry>, keyspaces: &mut BTreeMap<String, Keyspace>, wrong: &mut Wrong) {
    for (path, entry) in entries.iter().filter(|(path, _)| paths::all_shards().holds(path)) {
        let Some(keyspace) = path.segments().nth(1).and_then(|name| keyspaces.get_mut(name)) else {
            note(wrong, path, "its keyspace does not exist".into());
            continue;
        };
        let read = path.name().parse::<ShardName>().map_err(|error| error.to_string()).and_then(|name| {
            let record = records::Shard::decode(&entry.value).map_err(|error| error.to_string())?;
            Ok((name, record))
        });
        match read {
            Ok((name, record)) => keyspace.shards.push(Shard {
                keyspace: keyspace.name.clone(),
                name,
                primary: record.primary,
                term: record.term,
                primary_since: record.primary_since,
                serving: record.serving,
                tablets: Vec::new(),
            }),
            // Which shards serve is not known then.
            Err(why) => {
                let said = note(wrong, path, why);
                keyspace.unreadable.get_or_insert(said);
            }
        }
    }
}

fn read_tablets(entries: &BTreeMap<Path, Entry>, keyspaces: &mut BTreeMap<String, Keyspace>, wrong: &mut Wrong) {
    for (path, entry) in entries.iter().filter(|(path, _)| paths::tablets().holds(path)) {
        let read = path.name().parse::<TabletAlias>().map_err(|error| error.to_string()).and_then(|alias| {
            let record = records::Tablet::decode(&entry.value).map_err(|error| error.to_string())?;
            Ok(Tablet { alias, record })
        });
        match read {
            Ok(tablet) => {
                let keyspace = keyspaces.get_mut(tablet.record.keyspace.as_str());
                let shard = keyspace
                    .and_then(|keyspace| keyspace.shards.iter_mut().find(|shard| shard.name == tablet.record.shard));
                match shard {
                    Some(shard) => shard.tablets.push(Arc::new(tablet)),
                    None => drop(note(wrong, path, "its shard does not exist".into())),
                }
            }
            Err(why) => drop(note(wrong, path, why)),
        }
    }
}

/// Notes which shards have which keyspace ids, for each type that several serve, or one where sequences number its rows.
fn spread(keyspace: &mut Keyspace) {
    let numbered = keyspace
        .vschema
        .as_ref()
        .is_some_and(|schema| schema.sharded && schema.tables.values().any(|table| table.auto_increment.is_some()));
    let of_type = |tablet_type: &TabletType| match keyspace.serving(*tablet_type) {
        Serving::Sharded(shards) => {
            let map = ShardMap::complete(shards.into_iter().map(|shard| shard.name.clone()));
            Some((*tablet_type, map.map_err(|error| error.to_string())))
        }
        Serving::Whole(shard) if numbered => {
            Some((*tablet_type, ShardMap::complete([shard.name.clone()]).map_err(|e| e.to_string())))
        }
        Serving::Whole(_) | Serving::Nothing => None,
    };
    keyspace.spread = TabletType::ALL.iter().filter_map(of_type).collect();
}

fn replicas(keyspaces: &BTreeMap<String, Keyspace>) -> BTreeSet<TabletAlias> {
    let shards = keyspaces.values().flat_map(|keyspace| &keyspace.shards);
    let replicas = shards.flat_map(|shard| {
        shard.tablets.iter().filter(|tablet| shard.type_of(tablet) != TabletType::Primary).map(|it| it.alias.clone())
    });
    replicas.collect()
}
