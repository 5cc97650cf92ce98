//! Every key of the topology, and no other place knows one.
//!
//! A [`Path`] is relative to its cluster (`shards/commerce/-80`); [`Paths::key`] makes the store's key of it
//! (`/shardlift/main/shards/commerce/-80`). Names cannot contain `/`, so a path has one meaning.

use std::fmt;

use crate::model::{Cell, ClusterName, InstanceId, KeyspaceName, ShardName, TabletAlias, WorkflowName};

/// A record's place within its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(String);

impl Path {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment: the record's own name.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The segments.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// A path typed by the operator or read from an export, if it is one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let segments: Vec<&str> = text.split('/').collect();
        let known = match segments.as_slice() {
            ["cells", cell] => cell.parse::<Cell>().is_ok(),
            ["tablets", alias] => canonical::<TabletAlias>(alias),
            ["engines" | "gateways" | "mixes", id] => id.parse::<InstanceId>().is_ok(),
            ["keyspaces", keyspace] | ["keyspaces", keyspace, "vschema"] => keyspace.parse::<KeyspaceName>().is_ok(),
            ["shards", keyspace, shard] => keyspace.parse::<KeyspaceName>().is_ok() && canonical::<ShardName>(shard),
            ["schema_changes", keyspace] => keyspace.parse::<KeyspaceName>().is_ok(),
            ["rules", set] => !set.is_empty(),
            ["workflows" | "pauses" | "owners" | "status" | "logs", keyspace, name] => {
                keyspace.parse::<KeyspaceName>().is_ok() && name.parse::<WorkflowName>().is_ok()
            }
            _ => false,
        };
        known.then(|| Self(text.into()))
    }
}

/// Whether `text` is the one spelling of its name: `-80` and `zone1-0000000100`, not `-8000` and `zone1-100`.
fn canonical<T: std::str::FromStr + fmt::Display>(text: &str) -> bool {
    text.parse::<T>().is_ok_and(|name| name.to_string() == text)
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// All records of one kind: those `depth` segments below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: String,
    depth: usize,
}

impl Folder {
    /// The folder's path, ending in `/`; empty for the whole cluster.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// Whether `path` is one of the records meant.
    pub fn holds(&self, path: &Path) -> bool {
        path.0.strip_prefix(&self.path).is_some_and(|rest| rest.split('/').count() == self.depth)
    }
}

/// The keys of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    root: String,
}

impl Paths {
    /// The keys of `cluster`.
    pub fn new(cluster: &ClusterName) -> Self {
        Self { root: format!("/shardlift/{cluster}/") }
    }

    /// The prefix of all keys of the cluster.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// The store's key for `path`.
    pub fn key(&self, path: &Path) -> String {
        format!("{}{}", self.root, path.0)
    }

    /// The store's prefix for `folder`.
    pub fn prefix(&self, folder: &Folder) -> String {
        format!("{}{}", self.root, folder.path)
    }

    /// The path of one of this cluster's keys. Not checked further: what is stored is shown.
    pub fn path(&self, key: &str) -> Option<Path> {
        key.strip_prefix(&self.root).map(|path| Path(path.into()))
    }
}

/// A cell's record.
pub fn cell(cell: &Cell) -> Path {
    Path(format!("cells/{cell}"))
}

/// All cells.
pub fn cells() -> Folder {
    folder("cells/", 1)
}

/// A tablet's record.
pub fn tablet(alias: &TabletAlias) -> Path {
    Path(format!("tablets/{alias}"))
}

/// All tablets.
pub fn tablets() -> Folder {
    folder("tablets/", 1)
}

/// A keyspace's record.
pub fn keyspace(keyspace: &KeyspaceName) -> Path {
    Path(format!("keyspaces/{keyspace}"))
}

/// All keyspaces.
pub fn keyspaces() -> Folder {
    folder("keyspaces/", 1)
}

/// A keyspace's VSchema.
pub fn vschema(keyspace: &KeyspaceName) -> Path {
    Path(format!("keyspaces/{keyspace}/vschema"))
}

/// The VSchemas of all keyspaces.
pub fn vschemas() -> Folder {
    folder("keyspaces/", 2)
}

/// The DDL that not all shards of a keyspace have run yet.
pub fn schema_change(keyspace: &KeyspaceName) -> Path {
    Path(format!("schema_changes/{keyspace}"))
}

/// A shard's record.
pub fn shard(keyspace: &KeyspaceName, shard: &ShardName) -> Path {
    Path(format!("shards/{keyspace}/{shard}"))
}

/// The shards of one keyspace.
pub fn shards(keyspace: &KeyspaceName) -> Folder {
    folder(format!("shards/{keyspace}/"), 1)
}

/// The shards of all keyspaces.
pub fn all_shards() -> Folder {
    folder("shards/", 2)
}

/// The routing rules a workflow wrote.
pub fn workflow_rules(keyspace: &KeyspaceName, workflow: &WorkflowName) -> Path {
    Path(format!("rules/{keyspace}.{workflow}"))
}

/// The routing rules an operator wrote. No workflow's set has a name without a dot.
pub fn operator_rules() -> Path {
    Path("rules/operator".into())
}

/// All sets of routing rules.
pub fn rules() -> Folder {
    folder("rules/", 1)
}

/// A workflow's record.
pub fn workflow(keyspace: &KeyspaceName, workflow: &WorkflowName) -> Path {
    Path(format!("workflows/{keyspace}/{workflow}"))
}

/// The workflows into one keyspace.
pub fn workflows(keyspace: &KeyspaceName) -> Folder {
    folder(format!("workflows/{keyspace}/"), 1)
}

/// All workflows.
pub fn all_workflows() -> Folder {
    folder("workflows/", 2)
}

/// The keyspace and name a workflow's path is made of.
pub fn workflow_names(path: &Path) -> Option<(KeyspaceName, WorkflowName)> {
    let mut segments = path.segments().skip(1);
    Some((segments.next()?.parse().ok()?, segments.next()?.parse().ok()?))
}

/// A workflow's announced pause.
pub fn pause(keyspace: &KeyspaceName, workflow: &WorkflowName) -> Path {
    Path(format!("pauses/{keyspace}/{workflow}"))
}

/// All announced pauses.
pub fn pauses() -> Folder {
    folder("pauses/", 2)
}

/// Who carries a workflow; leased.
pub fn owner(keyspace: &KeyspaceName, workflow: &WorkflowName) -> Path {
    Path(format!("owners/{keyspace}/{workflow}"))
}

/// The owners of all workflows.
pub fn owners() -> Folder {
    folder("owners/", 2)
}

/// What a workflow's owner reports; leased.
pub fn status(keyspace: &KeyspaceName, workflow: &WorkflowName) -> Path {
    Path(format!("status/{keyspace}/{workflow}"))
}

/// The reports of all owners.
pub fn statuses() -> Folder {
    folder("status/", 2)
}

/// What happened to a workflow.
pub fn log(keyspace: &KeyspaceName, workflow: &WorkflowName) -> Path {
    Path(format!("logs/{keyspace}/{workflow}"))
}

/// An engine's presence; leased.
pub fn engine(id: &InstanceId) -> Path {
    Path(format!("engines/{id}"))
}

/// All engines.
pub fn engines() -> Folder {
    folder("engines/", 1)
}

/// A gateway's presence; leased.
pub fn gateway(id: &InstanceId) -> Path {
    Path(format!("gateways/{id}"))
}

/// All gateways.
pub fn gateways() -> Folder {
    folder("gateways/", 1)
}

/// What a gateway has seen that names tables of a workflow together with others; leased.
pub fn mixes(id: &InstanceId) -> Path {
    Path(format!("mixes/{id}"))
}

/// What all gateways have seen of that kind.
pub fn all_mixes() -> Folder {
    folder("mixes/", 1)
}

/// Whether gateways decide by this record: what they acknowledge has all such changes in it.
pub fn decides_routes(path: &Path) -> bool {
    [keyspaces(), vschemas(), all_shards(), tablets(), rules(), pauses()].iter().any(|folder| folder.holds(path))
}

fn folder(path: impl Into<String>, depth: usize) -> Folder {
    Folder { path: path.into(), depth }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_its_own_depth_only() {
        let commerce: KeyspaceName = "commerce".parse().unwrap();
        assert!(keyspaces().holds(&keyspace(&commerce)) && !keyspaces().holds(&vschema(&commerce)));
        assert!(vschemas().holds(&vschema(&commerce)) && !vschemas().holds(&keyspace(&commerce)));
        assert!(!shards(&commerce).holds(&shard(&"commerce2".parse().unwrap(), &ShardName::unsharded())));
    }

    #[test]
    fn only_our_own_canonical_paths_parse() {
        for good in
            ["cells/zone1", "shards/commerce/-80", "tablets/zone1-0000000100", "keyspaces/c/vschema", "rules/c.w"]
        {
            assert_eq!(Path::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "cells", "cells/a/b", "shards/commerce/-8000", "tablets/zone1-100", "other/x", "rules/"] {
            assert!(Path::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn keys_and_paths_are_one_to_one() {
        let paths = Paths::new(&"main".parse().unwrap());
        let path = Path::parse("cells/zone1").unwrap();
        assert_eq!(paths.key(&path), "/shardlift/main/cells/zone1");
        assert_eq!(paths.path("/shardlift/main/cells/zone1"), Some(path));
        assert_eq!(paths.path("/shardlift/main2/cells/zone1"), None);
    }
}
