//! `shardlift tablet check`: can each tablet be reached, and is it fit to be moved from and to?

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use tokio::task::JoinSet;

use super::{Context, Listed, Outcome};
use crate::model::TabletAlias;
use crate::model::workflow::TabletType;
use crate::mysql::admin::Session;
use crate::mysql::flavor::Flavor;
use crate::mysql::{Credentials, MysqlError, quote};
use crate::topology::records::Tablet;
use crate::topology::{Topology, paths};

/// How long connecting, and each statement, may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Tablets looked at in parallel.
const ABREAST: usize = 16;

#[derive(Serialize)]
struct Finding {
    alias: String,
    #[serde(rename = "type")]
    tablet_type: TabletType,
    address: String,
    server: Option<String>,
    /// Empty if all is well.
    problems: Vec<String>,
}

impl Listed for Finding {
    const COLUMNS: &'static [&'static str] = &["TABLET", "TYPE", "ADDRESS", "SERVER", "PROBLEMS"];

    fn cells(&self) -> Vec<String> {
        let server = self.server.clone().unwrap_or("-".into());
        let problems = if self.problems.is_empty() { "none".into() } else { self.problems.join("; ") };
        vec![self.alias.clone(), self.tablet_type.to_string(), self.address.clone(), server, problems]
    }
}

/// Checks the tablets named, or all of them.
pub(super) async fn run(context: &Context, topology: &Topology, aliases: Vec<TabletAlias>) -> Result<Outcome> {
    let credentials = context.credentials();
    let mut tablets = Vec::new();
    for alias in &aliases {
        tablets.push((alias.to_string(), topology.need::<Tablet>(&paths::tablet(alias)).await?.record));
    }
    if aliases.is_empty() {
        let all = topology.list::<Tablet>(&paths::tablets()).await?.records;
        tablets = all.into_iter().map(|(path, tablet)| (path.name().into(), tablet.record)).collect();
    }
    let mut findings = Vec::with_capacity(tablets.len());
    for some in tablets.chunks(ABREAST) {
        let mut checks: JoinSet<Finding> =
            some.iter().cloned().map(|(alias, tablet)| check(alias, tablet, credentials.clone())).collect();
        while let Some(finding) = checks.join_next().await {
            findings.push(finding?);
        }
    }
    findings.sort_by(|a, b| a.alias.cmp(&b.alias));
    context.output.list(&findings)?;
    Ok(if findings.iter().all(|finding| finding.problems.is_empty()) { Outcome::Done } else { Outcome::Failed })
}

async fn check(alias: String, tablet: Tablet, credentials: Credentials) -> Finding {
    let (tablet_type, address) = (tablet.tablet_type, tablet.endpoint.address.to_string());
    let mut finding = Finding { alias, tablet_type, address, server: None, problems: Vec::new() };
    if let Err(error) = look(&tablet, &credentials, &mut finding).await {
        finding.problems.push(error.to_string());
    }
    finding
}

async fn look(tablet: &Tablet, credentials: &Credentials, finding: &mut Finding) -> Result<(), MysqlError> {
    let login = credentials.resolve(tablet.credential.as_str())?.login(tablet.endpoint.clone(), None);
    let mut session = Session::open(&login, LIMIT).await?;
    let row = session.row("SELECT @@version, @@version_comment").await?;
    let text = |index| row.as_ref().and_then(|row| row.text(index)).unwrap_or_default();
    let Some(flavor) = Flavor::parse(&text(0), &text(1)) else {
        finding.problems.push(format!("its version `{}` is not understood", text(0)));
        return Ok(());
    };
    finding.server = Some(flavor.to_string());
    if !flavor.supported() {
        finding.problems.push(format!("{flavor} is not supported"));
        return Ok(());
    }
    let settings = "SELECT @@log_bin, @@gtid_mode, @@binlog_format, @@binlog_row_image, @@read_only";
    let row = session.row(settings).await?;
    let value = |index| row.as_ref().and_then(|row| row.text(index)).unwrap_or_default();
    let writable = tablet.tablet_type == TabletType::Primary;
    for (index, name, wanted) in [
        (0, "log_bin", "1"),
        (1, "gtid_mode", "ON"),
        (2, "binlog_format", "ROW"),
        (3, "binlog_row_image", "FULL"),
        (4, "read_only", if writable { "0" } else { "" }),
    ] {
        if !wanted.is_empty() && value(index) != wanted {
            finding.problems.push(format!("{name} is {}, it must be {wanted}", value(index)));
        }
    }
    let database = tablet.database.as_str();
    let schema = quote::text(database);
    let sql = format!("SELECT 1 FROM information_schema.schemata WHERE schema_name = {schema}");
    if session.value(&sql).await?.is_none() {
        let user = &login.user;
        finding.problems.push(format!("database {database} does not exist, or {user} has no privilege on it"));
    }
    session.close().await;
    Ok(())
}
