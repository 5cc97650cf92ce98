//! Data directories: made once per server build by `mysqld --initialize-insecure`, then copied (0.1 s instead of 5 s).
//!
//! Invariants: a template and a data directory appear by one rename, so each is complete or absent. A template has no
//! `auto.cnf`, so each server makes its own server_uuid; and it holds a root without password, so it is closed to other
//! users, and servers lock root before they accept connections.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::cache::{publish, workplace, write_private};
use super::program::last_lines;
use super::{LocalError, Servers};

const FOLDER: &str = "templates";
const INITIALIZE_DEADLINE: Duration = Duration::from_secs(300);

/// Settings that a server must be initialized with, and cannot change afterwards.
const INITIAL_SETTINGS: [&str; 4] =
    ["lower-case-table-names", "innodb-page-size", "innodb-data-file-path", "innodb-undo-directory"];

/// Creates `data`, which must not exist, for a server started with `extra_args`.
pub(super) async fn create_data_dir(servers: &Servers, extra_args: &[String], data: &Path) -> Result<(), LocalError> {
    let initial: Vec<&String> = extra_args.iter().filter(|arg| is_initial(arg)).collect();
    let mut key = servers.version.file_name();
    for arg in &initial {
        key.push('_');
        key.extend(arg.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-'));
    }
    let folder = servers.cache.folder(FOLDER)?;
    let template = folder.join(key);
    if !template.is_dir() {
        let _lock = servers.cache.lock(FOLDER, || tracing::info!("another process is making the template")).await?;
        if !template.is_dir() {
            make_template(servers, &initial, &folder, &template).await?;
        }
    }
    let half = data.with_extension("incomplete");
    copy(template, half.clone()).await?;
    fs::rename(&half, data).map_err(LocalError::io("rename into place", data))
}

async fn make_template(
    servers: &Servers,
    initial: &[&String],
    folder: &Path,
    template: &Path,
) -> Result<(), LocalError> {
    let work = workplace(folder)?;
    let (data, log, settings) = (work.path().join("data"), work.path().join("error.log"), work.path().join("my.cnf"));
    write_private(&settings, "")?;
    let option = |name: &str, path: &Path| {
        let mut option = OsString::from(format!("--{name}="));
        option.push(path);
        option
    };
    let mut args = vec![option("defaults-file", &settings)];
    args.extend(servers.mysqld_layout());
    args.extend([option("datadir", &data), option("log-error", &log)]);
    args.extend(user_arg().map(OsString::from));
    args.extend(initial.iter().map(OsString::from));
    // The log grows to its run-time size at the first start; a small one makes every copy 90 MB smaller.
    args.extend(
        ["--initialize-insecure", "--mysqlx=OFF", "--secure-file-priv=NULL", "--loose-innodb-redo-log-capacity=8M"]
            .map(OsString::from),
    );
    let ended = servers.mysqld.output("initializing a data directory", &args, INITIALIZE_DEADLINE).await;
    if let Err(LocalError::Failed { program, doing, detail }) = ended {
        let log = fs::read_to_string(&log).unwrap_or_default();
        return Err(LocalError::Failed { program, doing, detail: format!("{detail}\n{}", last_lines(&log, 15)) });
    }
    ended?;
    let auto = data.join("auto.cnf");
    fs::remove_file(&auto).map_err(LocalError::io("remove", &auto))?;
    publish(&data, template)
}

/// mysqld refuses to run as root unless told to.
pub(super) fn user_arg() -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;
    let is_root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    is_root.then_some("--user=root")
}

fn is_initial(arg: &str) -> bool {
    let name = arg.trim_start_matches('-').split('=').next().unwrap_or_default().replace('_', "-");
    INITIAL_SETTINGS.contains(&name.as_str())
}

async fn copy(from: PathBuf, to: PathBuf) -> Result<(), LocalError> {
    let copied = spawn_blocking(move || {
        if to.exists() {
            fs::remove_dir_all(&to).map_err(LocalError::io("remove the half-made", &to))?;
        }
        copy_tree(&from, &to)
    });
    copied
        .await
        .unwrap_or_else(|error| Err(LocalError::Setting(format!("copying a template was interrupted: {error}"))))
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), LocalError> {
    let failed = || LocalError::io("copy", from);
    super::cache::private_dir(to)?;
    for entry in fs::read_dir(from).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let target = to.join(entry.file_name());
        if entry.file_type().map_err(failed())?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).map_err(LocalError::io("copy", &entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_fixed_at_initialization_are_known_in_both_spellings() {
        assert!(is_initial("--lower_case_table_names=1"));
        assert!(is_initial("--innodb-page-size=4096"));
        assert!(!is_initial("--innodb-buffer-pool-size=1G"));
    }
}
