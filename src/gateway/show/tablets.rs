//! What the View and the state of the servers tell together.

use std::sync::Arc;

use serde::Serialize;

use super::{Answer, Like, Seen};
use crate::gateway::view::{Shard, Tablet, View};
use crate::model::TabletAlias;
use crate::model::workflow::TabletType;
use crate::mysql::binlog::temporal::civil;
use crate::mysql::endpoint::Address;

/// The column `ReplicationHealth`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReplicationHealth<'a> {
    event_stream_running: &'a str,
    event_applier_running: &'a str,
    last_error: &'a str,
}

/// SHOW VITESS_TABLETS; LIKE looks at the host's name.
pub(super) fn tablets(view: &View, seen: Seen<'_>, like: &Like) -> Answer {
    let row = |shard: &Shard, tablet: &Tablet| {
        let tablet_type = shard.type_of(tablet);
        let serving =
            shard.serving.contains(&tablet_type) && seen(tablet).is_some_and(|health| health.unreachable.is_none());
        let since = shard.primary_since.filter(|_| tablet_type == TabletType::Primary);
        vec![
            tablet.alias.cell.to_string(),
            shard.keyspace.to_string(),
            shard.name.to_string(),
            tablet_type.to_string(),
            if serving { "SERVING" } else { "NOT_SERVING" }.into(),
            tablet.alias.to_string(),
            host(tablet).into(),
            since.map(rfc3339).unwrap_or_default(),
        ]
    };
    let listed = in_order(view).into_iter().filter(|(_, tablet)| like.matches(host(tablet)));
    Answer {
        columns: &["Cell", "Keyspace", "Shard", "TabletType", "State", "Alias", "Hostname", "PrimaryTermStartTime"],
        rows: listed.map(|(shard, tablet)| row(shard, tablet)).collect(),
    }
}

/// SHOW VITESS_REPLICATION_STATUS; LIKE looks at `keyspace/shard`. There is no throttler on tablets here.
pub(super) fn replication_status(view: &View, seen: Seen<'_>, like: &Like) -> Answer {
    let row = |shard: &Shard, tablet: &Tablet| {
        let channel = seen(tablet).and_then(|health| health.channel);
        // Vitess's words for what could not be asked, and for what the server does not know.
        let lag = match &channel {
            None => "-1".into(),
            Some(channel) => channel.lag_seconds.map_or("NULL".into(), |seconds| seconds.to_string()),
        };
        let channel = channel.unwrap_or_default();
        let health = ReplicationHealth {
            event_stream_running: &channel.receiver,
            event_applier_running: &channel.applier,
            last_error: &channel.last_error,
        };
        let health = serde_json::to_string(&health).unwrap_or_default();
        let source = if channel.source.is_empty() { ":0".into() } else { channel.source.clone() };
        vec![
            shard.keyspace.to_string(),
            shard.name.to_string(),
            shard.type_of(tablet).to_string(),
            tablet.alias.to_string(),
            host(tablet).into(),
            source,
            health,
            lag,
            String::new(),
        ]
    };
    let listed = in_order(view).into_iter().filter(|(shard, tablet)| {
        shard.type_of(tablet) != TabletType::Primary && like.matches(&format!("{}/{}", shard.keyspace, shard.name))
    });
    Answer {
        columns: &[
            "Keyspace",
            "Shard",
            "TabletType",
            "Alias",
            "Hostname",
            "ReplicationSource",
            "ReplicationHealth",
            "ReplicationLag",
            "ThrottlerStatus",
        ],
        rows: listed.map(|(shard, tablet)| row(shard, tablet)).collect(),
    }
}

/// By cell, keyspace, shard, type and alias, as Vitess's gateways list their health checks.
fn in_order(view: &View) -> Vec<(&Shard, &Arc<Tablet>)> {
    type Order<'a> = (&'a str, &'a str, &'a str, TabletType, &'a TabletAlias);
    fn order<'a>((shard, tablet): &(&'a Shard, &'a Arc<Tablet>)) -> Order<'a> {
        let alias = &tablet.alias;
        (alias.cell.as_str(), shard.keyspace.as_str(), shard.name.as_str(), shard.type_of(tablet), alias)
    }
    let mut tablets: Vec<_> = view.tablets().collect();
    tablets.sort_by(|a, b| order(a).cmp(&order(b)));
    tablets
}

fn host(tablet: &Tablet) -> &str {
    match &tablet.record.endpoint.address {
        Address::Tcp { host, .. } => host,
        Address::Unix(_) => "localhost",
    }
}

fn rfc3339(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86_400);
    let second = seconds % 86_400;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}
