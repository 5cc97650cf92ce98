//! Adding servers to a cluster that is up: further keyspaces, or further shards of the ones it has.

use std::path::Path;

use super::folder::{ClusterState, refuse, try_lock};
use super::secrets::Secrets;
use super::spec::LocalKeyspace;
use super::{Cluster, ClusterSpec};
use crate::local::{Lifetime, LocalError, Ports, Progress, Servers};

impl Cluster {
    /// Starts the servers of `additions` beside those that run in `dir` and registers them; what it gives has only these as
    /// its members. They live as the others do, in the background. If it fails, everything is as before.
    pub async fn grow(
        dir: &Path,
        additions: &[LocalKeyspace],
        servers: &Servers,
        progress: &dyn Progress,
    ) -> Result<Self, LocalError> {
        let dir = std::path::absolute(dir).map_err(LocalError::io("resolve", dir))?;
        let missing = || refuse(&dir, "there is no local cluster; `shardlift local up --background` makes one".into());
        let busy = "another process holds it: a `local up` in the foreground cannot be added to; end that one and start it \
                    with --background";
        ClusterState::read(&dir)?.ok_or_else(missing)?;
        let lock = try_lock(&dir)?.ok_or_else(|| refuse(&dir, busy.into()))?;
        let mut state = ClusterState::read(&dir)?.ok_or_else(missing)?;
        if state.alive().count() < state.members.len() + usize::from(state.etcd.is_some()) {
            return Err(refuse(
                &dir,
                "not all of its servers run; `shardlift local up --background` starts them".into(),
            ));
        }
        let before = state.clone();
        let spec = ClusterSpec { dir: dir.clone(), lifetime: Lifetime::Detached, ..state.spec.clone() };
        state.spec = grown(spec, additions)?;
        state.spec.check()?;
        let first = state.add_missing_members();
        let secrets = Secrets::open(&dir, servers)?;
        let ports = Ports::open(&servers.cache)?;
        let topology = crate::topology::Topology::open(&state.spec.topology_address(&state), &state.spec.name).await?;
        let spec = state.spec.clone();
        let mut cluster = Self { members: Vec::new(), spec, secrets, etcd: None, topology, _lock: lock };
        match cluster.start(&mut state, first, servers, &ports, None, progress).await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                for member in &cluster.members {
                    if let Err(second) = member.server.stop().await {
                        tracing::warn!(%second, "a server that did not join the cluster could not be stopped");
                    }
                }
                before.write(&dir)?;
                for member in &state.members[first..] {
                    // It may not have come so far as to have one.
                    let _ = std::fs::remove_dir_all(dir.join(member.alias.to_string()));
                }
                Err(error)
            }
        }
    }
}

/// `spec` with `additions`; a shard that is there already is refused.
fn grown(mut spec: ClusterSpec, additions: &[LocalKeyspace]) -> Result<ClusterSpec, LocalError> {
    for addition in additions {
        let Some(keyspace) = spec.keyspaces.iter_mut().find(|known| known.name == addition.name) else {
            spec.keyspaces.push(addition.clone());
            continue;
        };
        for shard in &addition.shards {
            if keyspace.shards.contains(shard) {
                return Err(LocalError::Setting(format!("the cluster has {}/{shard} already", keyspace.name)));
            }
            keyspace.shards.push(shard.clone());
        }
    }
    Ok(spec)
}
