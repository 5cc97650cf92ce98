//! `shardlift tablet`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Context, Listed, Outcome, tablet_check};
use crate::model::workflow::TabletType;
use crate::model::{CredentialName, DatabaseName, KeyspaceName, ShardName, TabletAlias};
use crate::mysql::endpoint::{Address, ClientCertificate, Endpoint, TlsMode};
use crate::topology::paths;
use crate::topology::records::{Keyspace, Tablet};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Declare a tablet
    Add(Box<AddArgs>),
    /// List the tablets
    List {
        /// Only this keyspace's
        #[arg(long)]
        keyspace: Option<KeyspaceName>,
    },
    /// Show one tablet
    Show {
        /// Its alias, e.g. zone1-100
        tablet: TabletAlias,
    },
    /// Connect to tablets and report what would hinder a move
    Check {
        /// Their aliases [default: all]
        tablets: Vec<TabletAlias>,
    },
    /// Remove a tablet; nothing is done on its server
    Remove {
        /// Its alias
        tablet: TabletAlias,
        /// Also if it is its shard's primary, which then has none
        #[arg(long)]
        allow_primary: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// Its alias: cell and number, e.g. zone1-100
    tablet: TabletAlias,
    /// The keyspace it belongs to
    #[arg(long)]
    keyspace: KeyspaceName,
    /// The shard it belongs to
    #[arg(long, allow_hyphen_values = true, default_value = "0")]
    shard: ShardName,
    /// PRIMARY, REPLICA or RDONLY
    #[arg(long = "type", default_value = "REPLICA")]
    tablet_type: TabletType,
    /// The MySQL server: host:port, [ipv6]:port or unix:/path
    #[arg(long, value_name = "ADDRESS")]
    mysql: Address,
    /// The MySQL schema on that server [default: the keyspace's]
    #[arg(long)]
    database: Option<DatabaseName>,
    /// The name of the credential to log in with
    #[arg(long, default_value = "shardlift")]
    credential: CredentialName,
    /// DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY
    #[arg(long, default_value = "PREFERRED", value_name = "MODE")]
    ssl_mode: String,
    /// The certificate authority's file (PEM), for VERIFY_CA and VERIFY_IDENTITY
    #[arg(long, value_name = "FILE")]
    ssl_ca: Option<PathBuf>,
    /// Our own certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "ssl_key")]
    ssl_cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "ssl_cert")]
    ssl_key: Option<PathBuf>,
}

#[derive(Serialize)]
struct Line {
    alias: String,
    #[serde(flatten)]
    tablet: Tablet,
}

impl Listed for Line {
    const COLUMNS: &'static [&'static str] =
        &["TABLET", "KEYSPACE", "SHARD", "TYPE", "ADDRESS", "DATABASE", "CREDENTIAL"];

    fn cells(&self) -> Vec<String> {
        let tablet = &self.tablet;
        vec![
            self.alias.clone(),
            tablet.keyspace.to_string(),
            tablet.shard.to_string(),
            tablet.tablet_type.to_string(),
            tablet.endpoint.address.to_string(),
            tablet.database.to_string(),
            tablet.credential.to_string(),
        ]
    }
}

impl Verb {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        let topology = context.topology().await?;
        match self {
            Self::Add(args) => {
                let tls = TlsMode::from_words(&args.ssl_mode, args.ssl_ca)?;
                let pair = args.ssl_cert.zip(args.ssl_key);
                let client_certificate = pair.map(|(cert, key)| ClientCertificate { cert, key });
                let database = match args.database {
                    Some(database) => database,
                    None => topology.need::<Keyspace>(&paths::keyspace(&args.keyspace)).await?.record.database,
                };
                let tablet = Tablet {
                    keyspace: args.keyspace,
                    shard: args.shard,
                    tablet_type: args.tablet_type,
                    endpoint: Endpoint { address: args.mysql, tls, client_certificate },
                    database,
                    credential: args.credential,
                };
                topology.add_tablet(&args.tablet, &tablet).await?;
                context.output.done(&format!("added tablet {}", args.tablet))?;
            }
            Self::List { keyspace } => {
                let found = topology.list::<Tablet>(&paths::tablets()).await?;
                let lines: Vec<Line> = found
                    .records
                    .into_iter()
                    .filter(|(_, tablet)| keyspace.as_ref().is_none_or(|keyspace| tablet.record.keyspace == *keyspace))
                    .map(|(path, tablet)| Line { alias: path.name().into(), tablet: tablet.record })
                    .collect();
                context.output.list(&lines)?;
            }
            Self::Show { tablet } => {
                let found = topology.need::<Tablet>(&paths::tablet(&tablet)).await?;
                context.output.show(&Line { alias: tablet.to_string(), tablet: found.record })?;
            }
            Self::Check { tablets } => return tablet_check::run(context, &topology, tablets).await,
            Self::Remove { tablet, allow_primary } => {
                topology.remove_tablet(&tablet, allow_primary).await?;
                context.output.done(&format!("removed tablet {tablet}"))?;
            }
        }
        Ok(Outcome::Done)
    }
}
