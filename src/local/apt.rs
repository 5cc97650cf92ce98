//! Fetches Debian's MySQL and etcd packages without root and without touching the machine's own package state.
//!
//! apt does the downloading and the verification, in folders of our own with an empty list of installed packages, so it
//! fetches every library down to libc. Unpacked beside each other they run through their own loader on any Linux.
//! Only the `sid` suite carries MySQL; its signature is checked against the stable Debian keyring.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::interval;

use super::cache::{publish, workplace, write_private};
use super::program::{find_on_path, output};
use super::servers::Unpacked;
use super::{LocalError, Progress, Stage};

/// The cache folder of unpacked servers.
pub(super) const FOLDER: &str = "servers";

const PACKAGES: [&str; 4] = ["mysql-server-core", "mysql-client-core", "etcd-server", "etcd-client"];
/// Dependencies of maintainer scripts only; no program of ours loads them, and they are a sixth of the bytes unpacked.
const NOT_UNPACKED: [&str; 5] = ["perl_", "perl-base_", "perl-modules-", "libperl", "systemd_"];
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian/";

const QUERY_DEADLINE: Duration = Duration::from_secs(60);
const INDEX_DEADLINE: Duration = Duration::from_secs(300);
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(1800);
const UNPACK_DEADLINE: Duration = Duration::from_secs(120);

/// The programs and keys of a Debian-like machine that fetching needs.
#[derive(Debug)]
pub(super) struct Tools {
    apt_get: PathBuf,
    dpkg: PathBuf,
    dpkg_deb: PathBuf,
    keyring: &'static str,
}

impl Tools {
    /// The error says what is missing.
    pub(super) fn find() -> Result<Self, String> {
        let program = |name: &str| {
            find_on_path(name, &["/usr/bin"])
                .ok_or_else(|| format!("this machine has no `{name}` (only Debian-like ones do)"))
        };
        let keyring = KEYRINGS
            .into_iter()
            .find(|path| Path::new(path).is_file())
            .ok_or("the package debian-archive-keyring, needed to verify Debian's packages, is not installed")?;
        Ok(Self { apt_get: program("apt-get")?, dpkg: program("dpkg")?, dpkg_deb: program("dpkg-deb")?, keyring })
    }
}

/// One package file apt means to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Package {
    file: String,
    size: u64,
}

/// Fetches, unpacks, checks, and puts the result under `folder`; returns where it is. The caller holds the cache's lock.
pub(super) async fn fetch(
    tools: &Tools,
    folder: &Path,
    mirror: Option<&str>,
    progress: &dyn Progress,
) -> Result<PathBuf, LocalError> {
    let work = workplace(folder)?;
    let apt = Apt::set_up(tools, work.path(), mirror).await?;

    progress.stage(Stage::Index);
    apt.run("reading the package index", &["update"], INDEX_DEADLINE).await?;
    let mut wanted = vec!["install", "--yes", "--download-only"];
    wanted.extend(PACKAGES);
    let listing = [&wanted[..], &["--print-uris"]].concat();
    let packages = parse_uris(&apt.run("choosing packages", &listing, QUERY_DEADLINE).await?);
    let key = entry_name(&packages).ok_or_else(|| LocalError::Failed {
        program: "apt-get".into(),
        doing: "choosing packages",
        detail: "mysql-server-core or etcd-server is not among them".into(),
    })?;

    progress.stage(Stage::Download);
    let total = packages.iter().map(|p| p.size).sum();
    apt.download(&wanted, total, progress).await?;

    progress.stage(Stage::Unpack);
    let root = work.path().join("root");
    unpack(tools, &packages, &apt.archives(), &root, total, progress).await?;

    progress.stage(Stage::Check);
    Unpacked::open(&root)?.check().await?;
    let place = folder.join(key);
    publish(&root, &place)?;
    Ok(place)
}

/// apt with its own sources, lists, cache and (empty) package database.
struct Apt<'a> {
    tools: &'a Tools,
    work: PathBuf,
}

impl<'a> Apt<'a> {
    async fn set_up(tools: &'a Tools, work: &Path, mirror: Option<&str>) -> Result<Self, LocalError> {
        let mirror = match mirror {
            Some(mirror) if mirror.chars().any(|c| c.is_whitespace() || c == '[') => {
                return Err(LocalError::Setting(format!("`{mirror}` is not the address of a Debian mirror")));
            }
            Some(mirror) => mirror.to_owned(),
            None => own_mirror(tools).await?,
        };
        let architecture = output("dpkg", "asking the architecture", arch_command(tools), QUERY_DEADLINE).await?;
        let keyring = tools.keyring;
        let source =
            format!("deb [arch={} target=Packages signed-by={keyring}] {mirror} sid main\n", architecture.trim());
        // The mirror's address may hold a password.
        write_private(&work.join("sources.list"), &source)?;
        write_private(&work.join("status"), "")?;
        write_private(&work.join("apt.conf"), &configuration(work))?;
        for folder in ["lists/partial", "cache/archives/partial"] {
            let path = work.join(folder);
            fs::create_dir_all(&path).map_err(LocalError::io("create folder", &path))?;
        }
        Ok(Self { tools, work: work.to_path_buf() })
    }

    async fn run(&self, doing: &'static str, args: &[&str], deadline: Duration) -> Result<String, LocalError> {
        let mut command = Command::new(&self.tools.apt_get);
        command.arg("--config-file").arg(self.work.join("apt.conf")).args(args);
        output("apt-get", doing, command, deadline).await
    }

    async fn download(&self, args: &[&str], total: u64, progress: &dyn Progress) -> Result<(), LocalError> {
        let mut ticks = interval(Duration::from_millis(200));
        let download = self.run("fetching packages", args, DOWNLOAD_DEADLINE);
        tokio::pin!(download);
        loop {
            tokio::select! {
                ended = &mut download => {
                    progress.bytes(total, total);
                    return ended.map(drop);
                }
                _ = ticks.tick() => {
                    let archives = self.archives();
                    let done = folder_bytes(&archives) + folder_bytes(&archives.join("partial"));
                    progress.bytes(done.min(total), total);
                }
            }
        }
    }

    fn archives(&self) -> PathBuf {
        self.work.join("cache/archives")
    }
}

async fn unpack(
    tools: &Tools,
    packages: &[Package],
    archives: &Path,
    root: &Path,
    total: u64,
    progress: &dyn Progress,
) -> Result<(), LocalError> {
    let mut done = 0;
    for package in packages {
        if !NOT_UNPACKED.iter().any(|prefix| package.file.starts_with(prefix)) {
            let mut command = Command::new(&tools.dpkg_deb);
            command.arg("--extract").arg(archives.join(&package.file)).arg(root);
            output("dpkg-deb", "unpacking a package", command, UNPACK_DEADLINE).await?;
        }
        done += package.size;
        progress.bytes(done, total);
    }
    Ok(())
}

/// The mirror this machine uses for Debian; asked of apt, for the source files may hold comments and two syntaxes.
async fn own_mirror(tools: &Tools) -> Result<String, LocalError> {
    let mut command = Command::new(&tools.apt_get);
    command.args(["indextargets", "--format", "$(REPO_URI)"]);
    let uris = output("apt-get", "asking for the mirror", command, QUERY_DEADLINE).await?;
    Ok(debian_mirror(&uris).unwrap_or(DEFAULT_MIRROR).to_owned())
}

/// The first address that is a full Debian archive; an Ubuntu or security one has no `sid`.
fn debian_mirror(uris: &str) -> Option<&str> {
    uris.lines().map(str::trim).find(|uri| uri.trim_end_matches('/').ends_with("/debian"))
}

fn arch_command(tools: &Tools) -> Command {
    let mut command = Command::new(&tools.dpkg);
    command.arg("--print-architecture");
    command
}

/// Read after the machine's own configuration, of which proxies are wanted, while hooks and pins are not.
fn configuration(work: &Path) -> String {
    let folder = |setting: &str, name: &str| format!("{setting} \"{}\";\n", work.join(name).display());
    [
        folder("Dir::Etc::sourcelist", "sources.list"),
        "Dir::Etc::sourceparts \"/dev/null\";\n".into(),
        "Dir::Etc::preferences \"/dev/null\";\n".into(),
        "Dir::Etc::preferencesparts \"/dev/null\";\n".into(),
        folder("Dir::State::lists", "lists"),
        folder("Dir::State::status", "status"),
        folder("Dir::State::extended_states", "extended_states"),
        folder("Dir::Cache", "cache"),
        "APT::Install-Recommends \"false\";\n".into(),
        // Otherwise a mirror that cannot be reached is only a warning.
        "APT::Update::Error-Mode \"any\";\n".into(),
        "Acquire::Languages \"none\";\n".into(),
        "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n".into(),
        "#clear APT::Update::Post-Invoke-Success;\n".into(),
    ]
    .concat()
}

/// Lines of `--print-uris`: `'address' file size hash`.
fn parse_uris(text: &str) -> Vec<Package> {
    let package = |line: &str| {
        let mut words = line.strip_prefix('\'')?.split_whitespace().skip(1);
        Some(Package { file: words.next()?.to_owned(), size: words.next()?.parse().ok()? })
    };
    text.lines().filter_map(package).collect()
}

/// `mysql-9.7.4-2_etcd-3.5.30-2_amd64`, from the file names of those packages.
fn entry_name(packages: &[Package]) -> Option<String> {
    let parts = |name: &str| {
        packages
            .iter()
            .find_map(|p| p.file.strip_prefix(name)?.strip_prefix('_')?.strip_suffix(".deb")?.split_once('_'))
    };
    let (mysql, architecture) = parts("mysql-server-core")?;
    let (etcd, _) = parts("etcd-server")?;
    Some(format!("mysql-{mysql}_etcd-{etcd}_{architecture}"))
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.filter_map(|entry| entry.ok()?.metadata().ok()).filter(|m| m.is_file()).map(|m| m.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_name_the_entry_and_the_bytes() {
        let text = "Reading package lists...\n\
            'http://m/debian/pool/main/m/mysql-9.7/mysql-server-core_9.7.4-2_amd64.deb' mysql-server-core_9.7.4-2_amd64.deb 26 SHA256:a\n\
            'http://m/debian/pool/e/etcd-server_3.5.30-2_amd64.deb' etcd-server_3.5.30-2_amd64.deb 12 SHA256:b\n";
        let packages = parse_uris(text);
        assert_eq!(packages.iter().map(|p| p.size).sum::<u64>(), 38);
        assert_eq!(entry_name(&packages).unwrap(), "mysql-9.7.4-2_etcd-3.5.30-2_amd64");
        assert_eq!(entry_name(&packages[..1]), None);
    }

    #[test]
    fn only_a_full_debian_archive_is_a_mirror() {
        assert_eq!(debian_mirror("http://d/debian-security/\nhttp://d/debian/\n"), Some("http://d/debian/"));
        assert_eq!(debian_mirror("http://archive.ubuntu.com/ubuntu/\n"), None);
    }
}
