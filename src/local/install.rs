//! Finds MySQL and etcd, or fetches them: a named program, then PATH, then the cache, then Debian's packages.
//!
//! Invariants: calling [`ensure`] again, or from two processes at once, fetches nothing twice; a program counts as found
//! only after it ran here.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use super::program::find_on_path;
use super::servers::{Home, Servers, Unpacked, check_etcd, version_of};
use super::{Cache, LocalError, Program, ServerVersion, apt};

/// Daemons are not on an ordinary user's PATH.
const DAEMON_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/mysql/bin"];
const PROGRAM_OPTIONS: &str = "--mysqld and --etcd-program (SHARDLIFT_MYSQLD, SHARDLIFT_ETCD)";

/// What to use, and what may be done to get it.
#[derive(Debug, Clone, Default)]
pub struct InstallOptions {
    /// An existing `mysqld`; it wins over everything, and failing to run it is an error.
    pub mysqld: Option<PathBuf>,
    /// An existing `etcd`; likewise.
    pub etcd: Option<PathBuf>,
    /// Fail, or fetch, when no etcd is found. Without it etcd is taken if it is there.
    pub need_etcd: bool,
    /// The cache folder; default `~/.cache/shardlift`.
    pub cache: Option<PathBuf>,
    /// The Debian mirror to fetch from; default the machine's own.
    pub mirror: Option<String>,
}

impl InstallOptions {
    /// Reads SHARDLIFT_MYSQLD, SHARDLIFT_ETCD, SHARDLIFT_CACHE and SHARDLIFT_DEBIAN_MIRROR.
    pub fn from_env() -> Self {
        let path = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        Self {
            mysqld: path("SHARDLIFT_MYSQLD"),
            etcd: path("SHARDLIFT_ETCD"),
            need_etcd: false,
            cache: path("SHARDLIFT_CACHE"),
            mirror: std::env::var("SHARDLIFT_DEBIAN_MIRROR").ok().filter(|v| !v.is_empty()),
        }
    }
}

/// A step of what takes a while: fetching servers, and starting them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Another process is fetching; its result will be used.
    Waiting,
    /// Reading the package index.
    Index,
    /// Fetching packages.
    Download,
    /// Unpacking them.
    Unpack,
    /// Running each program once.
    Check,
    /// Starting the servers.
    Start,
    /// Connecting the replicas to their primaries.
    Replicate,
    /// Telling the topology.
    Register,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting for another shardlift that is fetching the servers",
            Self::Index => "reading the Debian package index",
            Self::Download => "fetching MySQL and etcd",
            Self::Unpack => "unpacking",
            Self::Check => "checking that they run",
            Self::Start => "starting the servers",
            Self::Replicate => "connecting the replicas",
            Self::Register => "registering the tablets",
        })
    }
}

/// Is told how it goes. `()` ignores it.
pub trait Progress: Send + Sync {
    /// A step begins.
    fn stage(&self, stage: Stage);
    /// Bytes of packages done so far in this step, of how many.
    fn bytes(&self, done: u64, total: u64);
}

impl Progress for () {
    fn stage(&self, _: Stage) {}
    fn bytes(&self, _: u64, _: u64) {}
}

type FoundMysql = (Program, ServerVersion, Home);

/// Finds or fetches the servers. Needs no root. Takes about 20 s and 95 MB of network the first time, 0.1 s after that.
pub async fn ensure(options: &InstallOptions, progress: &dyn Progress) -> Result<Servers, LocalError> {
    let cache = Cache::open(options.cache.as_deref())?;
    let mysql = find_mysqld(options).await?;
    let etcd_home = find_etcd(options).await?;
    let enough = mysql.is_some() && (etcd_home.is_some() || !options.need_etcd);
    let unpacked = match (enough, find_unpacked(&cache).await?) {
        (_, Some(found)) => Some(found),
        (true, None) => None,
        (false, None) => Some(fetch(&cache, options, progress).await?),
    };
    let (from_cache, etcd_from_cache) = match unpacked {
        Some((mysqld, version, home)) => (Some((mysqld, version, home.clone())), Some(home)),
        None => (None, None),
    };
    let etcd_home = etcd_home.or(etcd_from_cache);
    let (mysqld, version, mysql_home) = mysql.or(from_cache).ok_or_else(|| missing("fetching brought none"))?;
    Ok(Servers { mysqld, version, cache, mysql_home, etcd_home })
}

async fn find_mysqld(options: &InstallOptions) -> Result<Option<FoundMysql>, LocalError> {
    let named = options.mysqld.is_some();
    let Some(path) = options.mysqld.clone().or_else(|| find_on_path("mysqld", &DAEMON_FOLDERS)) else {
        return Ok(None);
    };
    let mysqld = Program::direct(&path);
    match version_of(&mysqld).await {
        Ok(version) => Ok(Some((mysqld, version, Home::beside(&path)))),
        Err(error) if named => Err(error),
        Err(error) => {
            tracing::info!(%error, "not using the installed mysqld");
            Ok(None)
        }
    }
}

async fn find_etcd(options: &InstallOptions) -> Result<Option<Home>, LocalError> {
    let named = options.etcd.is_some();
    let Some(path) = options.etcd.clone().or_else(|| find_on_path("etcd", &DAEMON_FOLDERS)) else {
        return Ok(None);
    };
    match check_etcd(&Program::direct(&path)).await {
        Ok(()) => Ok(Some(Home::beside(&path))),
        Err(error) if named => Err(error),
        Err(error) => {
            tracing::info!(%error, "not using the installed etcd");
            Ok(None)
        }
    }
}

/// The newest unpacked servers that run. One that does not run is passed over: fetching replaces it.
async fn find_unpacked(cache: &Cache) -> Result<Option<FoundMysql>, LocalError> {
    let folder = cache.folder(apt::FOLDER)?;
    let entries = fs::read_dir(&folder).map_err(LocalError::io("list", &folder))?;
    let finished = |name: &str| !name.starts_with('.');
    let mut newest: Option<FoundMysql> = None;
    for entry in entries.filter_map(Result::ok).filter(|e| e.file_name().to_str().is_some_and(finished)) {
        let found = async {
            let unpacked = Unpacked::open(&entry.path())?;
            let (mysqld, version) = unpacked.check().await?;
            Ok::<_, LocalError>((mysqld, version, Home::Unpacked(unpacked)))
        };
        match found.await {
            Ok(found) if newest.as_ref().is_none_or(|best| best.1 < found.1) => newest = Some(found),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "passing over unpacked servers that do not run"),
        }
    }
    Ok(newest)
}

async fn fetch(cache: &Cache, options: &InstallOptions, progress: &dyn Progress) -> Result<FoundMysql, LocalError> {
    let tools = apt::Tools::find().map_err(missing)?;
    let _lock = cache.lock(apt::FOLDER, || progress.stage(Stage::Waiting)).await?;
    if let Some(found) = find_unpacked(cache).await? {
        return Ok(found);
    }
    let fetched = apt::fetch(&tools, &cache.folder(apt::FOLDER)?, options.mirror.as_deref(), progress).await;
    let root = fetched.map_err(|error| missing(error.to_string()))?;
    let unpacked = Unpacked::open(&root)?;
    let mysqld = unpacked.program("mysqld").ok_or_else(|| missing("the packages hold none"))?;
    let version = version_of(&mysqld).await?;
    Ok((mysqld, version, Home::Unpacked(unpacked)))
}

fn missing(why: impl Into<String>) -> LocalError {
    LocalError::NotFound { what: "MySQL server 8.0 or newer with etcd", why: why.into(), option: PROGRAM_OPTIONS }
}
