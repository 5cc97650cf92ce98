//! Where the server programs are, and how each is called.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::program::{find_on_path, is_executable};
use super::{Cache, LocalError, Program, ServerVersion};

/// How long a program may take to say its version.
const VERSION_DEADLINE: Duration = Duration::from_secs(30);

/// Ready-to-run server programs.
#[derive(Debug, Clone)]
pub struct Servers {
    /// The MySQL server.
    pub mysqld: Program,
    /// What `mysqld` says it is.
    pub version: ServerVersion,
    /// The cache the programs, templates and port locks live in.
    pub cache: Cache,
    pub(super) mysql_home: Home,
    pub(super) etcd_home: Option<Home>,
}

impl Servers {
    /// The `mysql` command-line client.
    pub fn mysql(&self) -> Result<Program, LocalError> {
        self.mysql_tool("mysql")
    }

    /// A client program by name: `mysqldump`, `mysqlbinlog`, …
    pub fn mysql_tool(&self, name: &str) -> Result<Program, LocalError> {
        self.mysql_home.program(name).ok_or_else(|| LocalError::NotFound {
            what: "MySQL client program",
            why: format!("there is no `{name}` beside {} nor on PATH", self.mysqld.path().display()),
            option: "PATH",
        })
    }

    /// The `etcd` server, when one was found or fetched.
    pub fn etcd(&self) -> Result<Program, LocalError> {
        self.etcd_program("etcd")
    }

    /// Its command-line client.
    pub fn etcdctl(&self) -> Result<Program, LocalError> {
        self.etcd_program("etcdctl")
    }

    fn etcd_program(&self, name: &str) -> Result<Program, LocalError> {
        self.etcd_home.as_ref().and_then(|home| home.program(name)).ok_or_else(|| LocalError::NotFound {
            what: "etcd 3.4 or newer",
            why: format!("there is no `{name}` on PATH nor in the cache"),
            option: "--etcd-program (SHARDLIFT_ETCD)",
        })
    }

    /// Where `mysqld` finds its own files, for a server that does not stand where it was built for.
    pub(super) fn mysqld_layout(&self) -> Vec<OsString> {
        match &self.mysql_home {
            Home::System(_) => Vec::new(),
            Home::Unpacked(unpacked) => {
                let option = |name: &str, path: &str| {
                    let mut option = OsString::from(format!("--{name}="));
                    option.push(unpacked.root.join(path));
                    option
                };
                vec![
                    option("basedir", "usr"),
                    option("plugin-dir", "usr/lib/mysql/plugin"),
                    option("lc-messages-dir", "usr/share/mysql"),
                    option("character-sets-dir", "usr/share/mysql/charsets"),
                ]
            }
        }
    }
}

/// Where a family of programs stands.
#[derive(Debug, Clone)]
pub(super) enum Home {
    /// Installed for this system: these folders first, then PATH.
    System(Vec<PathBuf>),
    /// Unpacked packages of another distribution.
    Unpacked(Unpacked),
}

impl Home {
    /// Programs standing beside this one.
    pub(super) fn beside(exe: &Path) -> Self {
        let folder = exe.parent().unwrap_or(Path::new("/"));
        Self::System(vec![folder.to_path_buf(), folder.join("../bin")])
    }

    pub(super) fn program(&self, name: &str) -> Option<Program> {
        match self {
            Self::System(folders) => folders
                .iter()
                .map(|folder| folder.join(name))
                .find(|path| is_executable(path))
                .or_else(|| find_on_path(name, &[]))
                .map(Program::direct),
            Self::Unpacked(unpacked) => unpacked.program(name),
        }
    }
}

/// A folder into which packages were unpacked, with the loader and libraries they need.
#[derive(Debug, Clone)]
pub(super) struct Unpacked {
    root: PathBuf,
    loader: PathBuf,
    libraries: PathBuf,
}

impl Unpacked {
    /// Finds the loader by its name's shape, since that name differs per architecture.
    pub(super) fn open(root: &Path) -> Result<Self, LocalError> {
        let lib = root.join("usr/lib");
        let libraries = find_entry(&lib, |name| name.contains("-linux-gnu"));
        let loader = [root.join("usr/lib64"), lib]
            .iter()
            .chain(&libraries)
            .find_map(|folder| find_entry(folder, |name| name.starts_with("ld-linux") || name.starts_with("ld64.so")));
        match (loader, libraries) {
            (Some(loader), Some(libraries)) => Ok(Self { root: root.to_path_buf(), loader, libraries }),
            _ => Err(LocalError::Unsuitable { path: root.to_path_buf(), why: "it holds no libc6 loader".into() }),
        }
    }

    /// One of its programs, called through its loader.
    pub(super) fn program(&self, name: &str) -> Option<Program> {
        ["usr/sbin", "usr/bin"]
            .iter()
            .map(|folder| self.root.join(folder).join(name))
            .find(|path| is_executable(path))
            .map(|path| Program::through_loader(&self.loader, &self.libraries, &path))
    }

    /// Runs everything once, so that what is missing is known now and not in the middle of a test.
    pub(super) async fn check(&self) -> Result<(Program, ServerVersion), LocalError> {
        for (name, argument) in [("mysql", "--version"), ("etcd", "--version"), ("etcdctl", "version")] {
            self.require(name)?.output("saying its version", &[argument], VERSION_DEADLINE).await?;
        }
        let mysqld = self.require("mysqld")?;
        let version = version_of(&mysqld).await?;
        Ok((mysqld, version))
    }

    fn require(&self, name: &str) -> Result<Program, LocalError> {
        let why = || format!("`{name}` is not in it");
        self.program(name).ok_or_else(|| LocalError::Unsuitable { path: self.root.clone(), why: why() })
    }
}

/// Runs `mysqld --version`; fails if it cannot run here, is too old, or is not MySQL.
pub(super) async fn version_of(mysqld: &Program) -> Result<ServerVersion, LocalError> {
    let said = mysqld.output("saying its version", &["--version"], VERSION_DEADLINE).await?;
    ServerVersion::parse(&said).map_err(|why| LocalError::Unsuitable { path: mysqld.path().to_path_buf(), why })
}

/// Checks that this etcd runs here.
pub(super) async fn check_etcd(etcd: &Program) -> Result<(), LocalError> {
    etcd.output("saying its version", &["--version"], VERSION_DEADLINE).await.map(drop)
}

fn find_entry(folder: &Path, wanted: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    let mut names: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(&wanted))
        .map(|entry| entry.path())
        .collect();
    names.sort();
    names.into_iter().next()
}
