//! `shardlift local`: servers, a topology and credentials on this machine, for trying things out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Context, Listed, Outcome};
use crate::gateway::client::users;
use crate::local::cluster::{self, Cluster, ClusterSpec, LocalKeyspace, ServerState, ServerStatus};
use crate::local::{self, InstallOptions, Lifetime, Progress, Stage};
use crate::model::workflow::TabletType;

/// How often a foreground `up` looks whether its servers still run.
const WATCH: Duration = Duration::from_secs(2);

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Fetch MySQL and etcd into the user's cache, unless they are there
    Install(Programs),
    /// Start a cluster and keep it until Ctrl-C
    Up(Box<UpArgs>),
    /// Add keyspaces or shards, with servers of their own, to a cluster that runs in the background
    Add(AddArgs),
    /// Stop a cluster; its data stays
    Down {
        #[command(flatten)]
        place: Place,
    },
    /// Show a cluster's servers
    Status {
        #[command(flatten)]
        place: Place,
    },
}

/// Which server programs to use.
#[derive(Debug, Args)]
pub(super) struct Programs {
    /// An existing MySQL server, 8.0 or newer [env: SHARDLIFT_MYSQLD]
    #[arg(long, value_name = "PATH")]
    mysqld: Option<PathBuf>,
    /// An existing etcd, 3.4 or newer [env: SHARDLIFT_ETCD]
    #[arg(long, value_name = "PATH")]
    etcd_program: Option<PathBuf>,
    /// Where fetched servers are kept [env: SHARDLIFT_CACHE] [default: the user's cache folder]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// The Debian mirror to fetch from [env: SHARDLIFT_DEBIAN_MIRROR] [default: this machine's]
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
}

impl Programs {
    pub(super) fn options(self, need_etcd: bool) -> InstallOptions {
        let env = InstallOptions::from_env();
        InstallOptions {
            mysqld: self.mysqld.or(env.mysqld),
            etcd: self.etcd_program.or(env.etcd),
            need_etcd,
            cache: self.cache.or(env.cache),
            mirror: self.mirror.or(env.mirror),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Place {
    /// The cluster's folder [default: a folder in the user's data folder]
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Place {
    fn folder(self) -> Result<PathBuf> {
        match self.dir {
            Some(dir) => std::path::absolute(&dir).with_context(|| format!("resolving {}", dir.display())),
            None => directories::ProjectDirs::from("", "", "shardlift")
                .map(|dirs| dirs.data_dir().join("local"))
                .context("there is no home folder to keep a cluster in; name a folder with --dir"),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct UpArgs {
    #[command(flatten)]
    place: Place,
    /// Replicas of each primary, by native replication [default: 0, or as the folder's cluster has it]
    #[arg(long)]
    replicas: Option<u32>,
    /// Keep the topology in etcd instead of a file
    #[arg(long)]
    etcd: bool,
    /// Keyspaces, one primary each [default: commerce,customer, or as the folder's cluster has it]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    keyspaces: Vec<String>,
    /// Leave the servers running and return when they are up
    #[arg(long, visible_alias = "detach")]
    background: bool,
    #[command(flatten)]
    programs: Programs,
}

impl UpArgs {
    /// The folder's cluster, or the usual one, with what the flags say.
    fn spec(&self, context: &Context, dir: PathBuf) -> Result<ClusterSpec> {
        let mut spec = match ClusterSpec::recorded(&dir)? {
            Some(spec) => spec,
            None => ClusterSpec { name: context.global.cluster.clone(), ..ClusterSpec::commerce_and_customer(dir)? },
        };
        if !self.keyspaces.is_empty() {
            let named = self.keyspaces.iter().map(|name| LocalKeyspace::unsharded(name));
            spec.keyspaces = named.collect::<Result<_, _>>()?;
        }
        spec.replicas = self.replicas.unwrap_or(spec.replicas);
        spec.etcd |= self.etcd;
        spec.lifetime = if self.background { Lifetime::Detached } else { Lifetime::Owned };
        Ok(spec)
    }
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    #[command(flatten)]
    place: Place,
    /// A keyspace, or one of its shards: customer customer/-80 customer/80-
    #[arg(required = true, value_name = "KEYSPACE[/SHARD]")]
    additions: Vec<String>,
    #[command(flatten)]
    programs: Programs,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Line(ServerStatus);

impl Listed for Line {
    const COLUMNS: &'static [&'static str] = &["SERVER", "SHARD", "TYPE", "STATE", "PORT", "PID", "SOCKET"];

    fn cells(&self) -> Vec<String> {
        let server = &self.0;
        let state = match server.state {
            ServerState::Running => "running",
            ServerState::Silent => "silent",
            ServerState::Died => "died",
            ServerState::Stopped => "stopped",
        };
        vec![
            server.name.clone(),
            server.shard.clone().unwrap_or_else(|| "-".into()),
            server.tablet_type.map_or("-".into(), |t| t.to_string()),
            state.into(),
            server.port.to_string(),
            server.pid.map_or("-".into(), |pid| pid.to_string()),
            server.socket.as_ref().map_or("-".into(), |socket| socket.display().to_string()),
        ]
    }
}

impl Verb {
    pub(super) async fn run(self, context: &Context) -> Result<Outcome> {
        match self {
            Self::Install(programs) => {
                let bar = Bar::new();
                let servers = local::ensure(&programs.options(true), &bar).await?;
                bar.0.finish_and_clear();
                let (version, mysqld) = (&servers.version, servers.mysqld.path().display());
                let etcd = servers.etcd()?;
                context.output.done(&format!("MySQL {version}: {mysqld}\netcd: {}", etcd.path().display()))?;
                Ok(Outcome::Done)
            }
            Self::Up(args) => up(context, *args).await,
            Self::Add(args) => add(context, args).await,
            Self::Down { place } => {
                let dir = place.folder()?;
                let count = cluster::down(&dir).await?;
                context.output.done(&format!("stopped {count} servers; the data stays in {}", dir.display()))?;
                Ok(Outcome::Done)
            }
            Self::Status { place } => {
                list(context, &place.folder()?).await?;
                Ok(Outcome::Done)
            }
        }
    }
}

async fn list(context: &Context, dir: &Path) -> Result<Vec<ServerStatus>> {
    let servers = cluster::status(dir).await?;
    let lines: Vec<Line> = servers.iter().cloned().map(Line).collect();
    context.output.list(&lines)?;
    Ok(servers)
}

async fn up(context: &Context, mut args: UpArgs) -> Result<Outcome> {
    let dir = std::mem::replace(&mut args.place, Place { dir: None }).folder()?;
    let spec = args.spec(context, dir.clone())?;
    let (bar, background) = (Bar::new(), args.background);
    let servers = local::ensure(&args.programs.options(spec.etcd), &bar).await?;
    let mut signals = Signals::new()?;
    // A start is never broken off: a server on its way up in the background would be left without a record of it.
    let mut starting = std::pin::pin!(Cluster::up(spec, &servers, &bar));
    let (cluster, asked_to_end) = tokio::select! {
        cluster = &mut starting => (cluster?, false),
        () = signals.next() => (starting.await?, true),
    };
    bar.0.finish_and_clear();
    if asked_to_end {
        cluster.stop().await?;
        return Ok(Outcome::Failed);
    }
    make_users(&cluster)?;
    let listed = list(context, &dir).await?;
    // Who reads JSON has all of this in the listing, and the paths follow from the folder.
    if !context.output.is_json() {
        context.output.done(&guide(&cluster, &listed, background))?;
    }
    if background {
        return Ok(Outcome::Done);
    }
    let mut known_dead = 0;
    loop {
        tokio::select! {
            () = signals.next() => break,
            () = tokio::time::sleep(WATCH) => {}
        }
        let dead: Vec<_> = cluster.members().iter().filter(|m| m.server.pid().is_none()).collect();
        if dead.len() > known_dead {
            for member in &dead {
                tracing::error!(
                    "the server of {} has ended; see {}",
                    member.alias,
                    member.server.error_log().display()
                );
            }
        }
        known_dead = dead.len();
    }
    if !context.output.is_json() {
        context.output.done("stopping the servers; the data stays")?;
    }
    cluster.stop().await?;
    Ok(Outcome::Done)
}

async fn add(context: &Context, args: AddArgs) -> Result<Outcome> {
    let dir = args.place.folder()?;
    let mut additions: Vec<LocalKeyspace> = Vec::new();
    for text in &args.additions {
        let (name, shard) = text.split_once('/').unwrap_or((text, "0"));
        let (mut addition, shard) = (LocalKeyspace::unsharded(name)?, shard.parse()?);
        match additions.iter_mut().find(|known| known.name == addition.name) {
            Some(known) => known.shards.push(shard),
            None => {
                addition.shards = vec![shard];
                additions.push(addition);
            }
        }
    }
    let recorded = ClusterSpec::recorded(&dir)?;
    let bar = Bar::new();
    let servers = local::ensure(&args.programs.options(recorded.is_some_and(|spec| spec.etcd)), &bar).await?;
    let cluster = Cluster::grow(&dir, &additions, &servers, &bar).await?;
    bar.0.finish_and_clear();
    drop(cluster);
    list(context, &dir).await?;
    Ok(Outcome::Done)
}

/// Who may log in to a gateway in front of it: applications, as on its servers.
fn make_users(cluster: &Cluster) -> Result<()> {
    let (file, app) = (cluster.spec().users_file(), cluster.app());
    Ok(users::create(&file, &app.user, &app.password, cluster.app_credential())?)
}

/// What to do with a cluster that is up.
pub(super) fn guide(cluster: &Cluster, servers: &[ServerStatus], background: bool) -> String {
    let spec = cluster.spec();
    let dir = shell_word(&spec.dir.display().to_string());
    let script = shell_word(&spec.client_script().display().to_string());
    let mut text = String::from("\nMySQL, as an application:\n");
    for (member, server) in cluster.members().iter().zip(servers) {
        if let (TabletType::Primary, Some(socket)) = (member.tablet_type, &server.socket) {
            let (socket, database) = (shell_word(&socket.display().to_string()), &member.keyspace.database);
            text.push_str(&format!("  {script} --socket={socket} {database}\n"));
        }
    }
    text.push_str("\nFor shardlift's other commands:\n");
    text.push_str(&format!("  export SHARDLIFT_TOPO={}\n", shell_word(&cluster.topology_address())));
    let credentials = shell_word(&cluster.credentials_file().display().to_string());
    text.push_str(&format!("  export SHARDLIFT_CREDENTIALS={credentials}\n"));
    if spec.name.as_str() != "main" {
        text.push_str(&format!("  export SHARDLIFT_CLUSTER={}\n", spec.name));
    }
    let users = shell_word(&spec.users_file().display().to_string());
    text.push_str(&format!("  export SHARDLIFT_GATEWAY_USERS={users}\n"));
    text.push_str("\nNext:\n  shardlift tablet list\n  shardlift tablet check\n  shardlift engine run\n");
    text.push_str("  shardlift gateway run\n");
    if let Some(keyspace) = spec.keyspaces.first() {
        let (port, name) = (super::gateway::PORT, &keyspace.name);
        text.push_str(&format!("\nMySQL through that gateway:\n  {script} --host=127.0.0.1 --port={port} {name}\n"));
    }
    text.push_str(&match background {
        true => format!("\nEnd it with: shardlift local down --dir {dir}"),
        false => "\nCtrl-C ends it.".into(),
    });
    text
}

/// As it must be typed, where it is not plain.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=,".contains(c);
    if text.chars().all(plain) { text.into() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The signals that end a foreground `up`.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Progress on stderr: a moving line on a terminal, else a line per step.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }
}

impl Progress for Bar {
    fn stage(&self, stage: Stage) {
        if self.0.is_hidden() {
            eprintln!("{stage} …");
        }
        self.0.set_style(ProgressStyle::default_spinner());
        self.0.set_message(stage.to_string());
    }

    fn bytes(&self, done: u64, total: u64) {
        if self.0.length() != Some(total) {
            let template = "{spinner} {msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.0.set_style(style.progress_chars("=> "));
            }
            self.0.set_length(total);
        }
        self.0.set_position(done);
    }
}
