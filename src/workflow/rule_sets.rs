//! All routing rules of the topology, as of one revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::routing::{RuleSet, TableMove};
use crate::sharding::RoutingRules;
use crate::sharding::rules::check;
use crate::topology::store::Entry;
use crate::topology::{Path, Record, Revision, Topology, TopologyError, paths};

/// The operator's rules, and those of workflows.
#[derive(Debug)]
pub struct RuleSets {
    /// As of when.
    pub revision: Revision,
    /// The operator's.
    pub operator: RuleSet,
    /// By the set's name, `<keyspace>.<workflow>`.
    pub workflows: BTreeMap<String, TableMove>,
}

impl RuleSets {
    /// Reads them; one that cannot be read is an error, for nobody can tell what it says.
    pub async fn read(topology: &Topology) -> Result<Self, TopologyError> {
        let listing = topology.store().list(&topology.paths().prefix(&paths::rules())).await?;
        let mut sets = Self { revision: listing.revision, operator: RuleSet::default(), workflows: BTreeMap::new() };
        for entry in &listing.entries {
            let Some(path) = topology.paths().path(&entry.key).filter(|path| paths::rules().holds(path)) else {
                continue;
            };
            if path == paths::operator_rules() {
                sets.operator = decode(&path, entry)?;
            } else {
                sets.workflows.insert(path.name().into(), decode(&path, entry)?);
            }
        }
        Ok(sets)
    }

    /// Ready to be asked where a table is.
    pub fn routing(self) -> Result<RoutingRules, TopologyError> {
        let mut rules = RoutingRules::default();
        let operator = check(&self.operator).map_err(|error| TopologyError::Refused(error.to_string()))?;
        rules.add_rules("operator", operator);
        for (name, moved) in self.workflows {
            rules.add_move(&name, &Arc::new(moved));
        }
        Ok(rules)
    }
}

fn decode<R: Record>(path: &Path, entry: &Entry) -> Result<R, TopologyError> {
    R::decode(&entry.value).map_err(|source| TopologyError::Record { path: path.to_string(), source })
}
