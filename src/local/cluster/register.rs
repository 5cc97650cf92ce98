//! A local cluster and its topology: who tells whom.
//!
//! On the first start the topology learns what there is. From then on it belongs to the operator: a later start follows the
//! primaries it names and corrects only the addresses.

use super::folder::MemberState;
use super::secrets::ENGINE;
use super::{ClusterSpec, Member};
use crate::local::LocalError;
use crate::model::CredentialName;
use crate::model::workflow::TabletType;
use crate::mysql::endpoint::{Address, Endpoint, TlsMode};
use crate::topology::records::{Keyspace, Shard, Tablet};
use crate::topology::{Topology, TopologyError, paths};

/// Declares everything; what a start before this one declared may stand.
pub(super) async fn register(topology: &Topology, spec: &ClusterSpec, members: &[Member]) -> Result<(), LocalError> {
    declared(topology.add_cell(&spec.cell).await)?;
    for keyspace in &spec.keyspaces {
        let record = Keyspace { database: keyspace.database.clone() };
        declared(topology.add_keyspace(&keyspace.name, &record).await)?;
        for shard in &keyspace.shards {
            declared(topology.add_shard(&keyspace.name, shard).await)?;
        }
    }
    let credential = CredentialName::new(ENGINE).map_err(|error| LocalError::Setting(error.to_string()))?;
    for member in members {
        let tablet = Tablet {
            keyspace: member.keyspace.name.clone(),
            shard: member.shard.clone(),
            tablet_type: member.tablet_type,
            endpoint: endpoint(member),
            database: member.keyspace.database.clone(),
            credential: credential.clone(),
        };
        declared(topology.add_tablet(&member.alias, &tablet).await)?;
    }
    refresh(topology, members).await
}

/// Corrects the addresses of the tablets that are declared: a port may have been taken by someone else meanwhile.
pub(super) async fn refresh(topology: &Topology, members: &[Member]) -> Result<(), LocalError> {
    for member in members {
        let path = paths::tablet(&member.alias);
        let endpoint = endpoint(member);
        match topology.get::<Tablet>(&path).await? {
            Some(found) if found.record.endpoint.address != endpoint.address => {
                let correct = |tablet: &mut Tablet| {
                    tablet.endpoint = endpoint.clone();
                    Ok(())
                };
                topology.update(&path, correct).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Gives the members the roles the topology has for them, so that a former primary does not come back as one.
pub(super) async fn follow_primaries(topology: &Topology, members: &mut [MemberState]) -> Result<(), LocalError> {
    let shards = topology.list::<Shard>(&paths::all_shards()).await?;
    for (path, shard) in shards.records {
        let inside = |m: &&mut MemberState| paths::shard(&m.keyspace.name, &m.shard) == path;
        let Some(primary) = shard.record.primary else { continue };
        for member in members.iter_mut().filter(inside) {
            member.tablet_type = if member.alias == primary { TabletType::Primary } else { TabletType::Replica };
        }
    }
    Ok(())
}

/// Nobody listens on the loopback, so TLS would only cost.
fn endpoint(member: &Member) -> Endpoint {
    let address = Address::Tcp { host: "127.0.0.1".into(), port: member.server.port() };
    Endpoint { tls: TlsMode::Disabled, ..Endpoint::new(address) }
}

fn declared<T>(result: Result<T, TopologyError>) -> Result<(), TopologyError> {
    match result {
        Ok(_) | Err(TopologyError::Exists { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
