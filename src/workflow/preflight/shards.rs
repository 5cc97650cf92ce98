//! The shards a Reshard names: there, side by side, the ones serving and the others not. Pure.

use crate::model::workflow::{TabletType, WorkflowSpec};
use crate::model::{KeyspaceName, ShardName};
use crate::sharding::ShardMap;
use crate::topology::records::Shard;

use super::Finding;

/// A shard that is declared.
#[derive(Debug, Clone)]
pub struct Declared {
    /// Its name.
    pub name: ShardName,
    /// Its record.
    pub shard: Shard,
}

/// What is wrong with the shards that `spec` names, by those that are declared.
pub fn judge(spec: &WorkflowSpec, declared: &[Declared]) -> Vec<Finding> {
    let keyspace = &spec.target_keyspace;
    let mut findings = Vec::new();
    let named = |wanted: &ShardName| declared.iter().find(|one| one.name == *wanted);
    for source in &spec.source_shards {
        let Some(found) = named(source) else {
            findings.push(missing(keyspace, source));
            continue;
        };
        let idle: Vec<_> = TabletType::ALL.iter().filter(|one| !found.shard.serving.contains(one)).collect();
        if !idle.is_empty() {
            let idle: Vec<_> = idle.iter().map(|one| one.as_str()).collect();
            findings.push(Finding::refuse(
                "source-shard",
                format!("{keyspace}/{source}"),
                format!("it does not serve {}: rows are taken from shards that serve", idle.join(", ")),
                format!("name the shards that serve (`shardlift shard list {keyspace}`)"),
            ));
        }
    }
    for target in &spec.target_shards {
        let Some(found) = named(target) else {
            findings.push(missing(keyspace, target));
            continue;
        };
        if !found.shard.serving.is_empty() {
            let serves: Vec<_> = found.shard.serving.iter().map(|one| one.as_str()).collect();
            findings.push(Finding::refuse(
                "target-shard",
                format!("{keyspace}/{target}"),
                format!("it serves {}: rows move to shards that serve nothing yet", serves.join(", ")),
                "name shards that do not serve; one that is declared beside a shard with the same keyspace ids does not",
            ));
        }
        if found.shard.primary.is_none() {
            findings.push(Finding::refuse(
                "target-shard",
                format!("{keyspace}/{target}"),
                "it has no primary tablet",
                "add one (`shardlift tablet add … --type PRIMARY`)",
            ));
        }
    }
    let spans =
        [("--source-shards", &spec.source_shards), ("--target-shards", &spec.target_shards)].map(|(flag, shards)| {
            match ShardMap::span(shards.iter().cloned()) {
                Ok(map) => Some(map),
                Err(error) => {
                    let cure = "name shards that lie side by side";
                    findings.push(Finding::refuse("shards", flag, error.to_string(), cure));
                    None
                }
            }
        });
    if let [Some(sources), Some(targets)] = spans
        && let Err(error) = sources.flows(&targets)
    {
        let cure = "name source and target shards that cover the same keyspace ids";
        findings.push(Finding::refuse("shards", format!("keyspace {keyspace}"), error.to_string(), cure));
    }
    findings
}

fn missing(keyspace: &KeyspaceName, shard: &ShardName) -> Finding {
    Finding::refuse(
        "shard",
        format!("{keyspace}/{shard}"),
        "it is not declared",
        format!("`shardlift shard add {keyspace}/{shard}`, then its tablets; or check its name"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::workflow::{WorkflowKind, WorkflowOptions};

    fn judged(sources: &str, targets: &str) -> Vec<String> {
        let names = |text: &str| text.split(' ').map(|name| name.parse().unwrap()).collect::<Vec<ShardName>>();
        let spec = WorkflowSpec {
            kind: WorkflowKind::Reshard,
            source_keyspace: "customer".parse().unwrap(),
            target_keyspace: "customer".parse().unwrap(),
            source_shards: names(sources),
            target_shards: names(targets),
            name: "w".parse().unwrap(),
            tables: vec![],
            options: WorkflowOptions::default(),
        };
        let declared = |(name, serves): (&str, bool)| Declared {
            name: name.parse().unwrap(),
            shard: Shard {
                primary: Some("zone1-100".parse().unwrap()),
                term: 1,
                primary_since: None,
                serving: TabletType::ALL.iter().copied().filter(|_| serves).collect(),
            },
        };
        let all = [("-80", true), ("80-", true), ("0", false), ("-40", false), ("40-80", false), ("80-c0", false)];
        judge(&spec, &all.map(declared)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn shards_that_do_not_fit_are_named() {
        for (sources, targets) in [("-80 80-", "0"), ("-80", "-40 40-80")] {
            assert_eq!(judged(sources, targets), Vec::<String>::new(), "{sources} {targets}");
        }
        for (sources, targets, why) in [
            ("-80", "-40", "cover -80 and the target shards (-40) -40"),
            ("-80", "-40 80-c0", "keyspace ids 40-80"),
            ("-80", "-20 20-80", "not declared"),
            ("-80 80-", "-80 80-", "both a source and a target"),
            ("-80", "80-", "it serves PRIMARY, REPLICA, RDONLY"),
            ("-40 40-80", "-80", "does not serve PRIMARY, REPLICA, RDONLY"),
            ("-80 -80", "-40 40-80", "both have the keyspace ids"),
        ] {
            let found = judged(sources, targets);
            assert!(found.iter().any(|finding| finding.contains(why)), "{sources} {targets}: {found:?}");
        }
    }
}
