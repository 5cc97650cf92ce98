//! Replication channels that lead into a server, and what they filter.

use crate::mysql::MysqlError;

use super::session::{Record, Session};

/// A channel as `SHOW REPLICA STATUS` has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Channel {
    /// Its name; empty for the default channel.
    pub name: String,
    /// `host:port` it reads from.
    pub source: String,
    /// Whether its receiver or its applier runs (or tries to).
    pub running: bool,
    /// Whether its receiver runs, in the server's words: `Yes`, `No` or `Connecting`.
    pub receiver: String,
    /// Whether its applier runs: `Yes` or `No`.
    pub applier: String,
    /// How far it is behind, in seconds; `None` while it does not run.
    pub lag_seconds: Option<u64>,
    /// The last error of receiver or applier; empty for none.
    pub last_error: String,
    /// The filters in force as (rule, value), e.g. `("Replicate_Ignore_Table", "shop.t")`, values not split.
    pub filters: Vec<(&'static str, String)>,
}

const FILTERS: [&str; 7] = [
    "Replicate_Do_DB",
    "Replicate_Ignore_DB",
    "Replicate_Do_Table",
    "Replicate_Ignore_Table",
    "Replicate_Wild_Do_Table",
    "Replicate_Wild_Ignore_Table",
    "Replicate_Rewrite_DB",
];

/// All channels. Needs REPLICATION CLIENT. Filters come from here since `performance_schema` may be off.
pub async fn channels(session: &mut Session) -> Result<Vec<Channel>, MysqlError> {
    Ok(session.rows("SHOW REPLICA STATUS").await?.iter().map(channel).collect())
}

fn channel(row: &Record) -> Channel {
    let get = |name: &str| row.named(name).unwrap_or_default();
    let filters = FILTERS.into_iter().filter_map(|rule| {
        let value = get(rule);
        (!value.is_empty()).then_some((rule, value))
    });
    let errors = [get("Last_IO_Error"), get("Last_SQL_Error")];
    Channel {
        name: get("Channel_Name"),
        source: format!("{}:{}", get("Source_Host"), get("Source_Port")),
        running: get("Replica_IO_Running") != "No" || get("Replica_SQL_Running") != "No",
        receiver: get("Replica_IO_Running"),
        applier: get("Replica_SQL_Running"),
        lag_seconds: get("Seconds_Behind_Source").parse().ok(),
        last_error: errors.into_iter().find(|error| !error.is_empty()).unwrap_or_default(),
        filters: filters.collect(),
    }
}
