//! Credentials by name, so that the topology never holds one.
//!
//! A name is looked up first in the environment (`SHARDLIFT_CREDENTIAL_<NAME>_USER` and `…_PASSWORD`, the name in capitals,
//! every other character than a letter or digit as `_`), then in a JSON file: `{"app": {"user": "u", "password": "p"}}`.
//! Invariant: no message quotes the file's content.

use std::{
    collections::HashMap,
    fs::File,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    endpoint::{Endpoint, Login, Secret},
    error::MysqlError,
};

/// The environment variable that names the credentials file when no option does.
pub const FILE_VARIABLE: &str = "SHARDLIFT_CREDENTIALS";

/// A MySQL user and its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The MySQL user.
    pub user: String,
    /// Its password.
    pub password: Secret,
}

impl Credential {
    /// The login at `endpoint` with this credential.
    pub fn login(&self, endpoint: Endpoint, database: Option<String>) -> Login {
        Login { endpoint, user: self.user.clone(), password: self.password.clone(), database }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    user: String,
    #[serde(default)]
    password: String,
}

/// Resolves credential names. Cheap to ask; the file is read at every question, so that a changed password needs no restart.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    file: Option<PathBuf>,
}

impl Credentials {
    /// From the option's path, else from the path in `SHARDLIFT_CREDENTIALS`, else from single variables only.
    pub fn new(file: Option<PathBuf>) -> Self {
        Credentials { file: file.or_else(|| std::env::var_os(FILE_VARIABLE).map(PathBuf::from)) }
    }

    /// The credential called `name`.
    pub fn resolve(&self, name: &str) -> Result<Credential, MysqlError> {
        let variable = variable(name);
        let env = |suffix: &str| std::env::var(format!("{variable}_{suffix}")).ok();
        if let Some(user) = env("USER") {
            return Ok(Credential { user, password: Secret::new(env("PASSWORD").unwrap_or_default()) });
        }
        let looked = match &self.file {
            None => "no credentials file is configured".to_owned(),
            Some(path) => {
                if let Some(entry) = read(path)?.remove(name) {
                    return Ok(Credential { user: entry.user, password: Secret::new(entry.password) });
                }
                format!("not in {}", path.display())
            }
        };
        Err(MysqlError::UnknownCredential { name: name.to_owned(), looked, variable })
    }
}

fn variable(name: &str) -> String {
    let capitals = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    format!("SHARDLIFT_CREDENTIAL_{}", capitals.collect::<String>())
}

/// The text of a file that holds secrets; refused while others than its owner may read it. What root hands to a process by
/// its group, as Kubernetes does with secrets, is no leak. The error never quotes the text.
pub fn private_text(path: &Path) -> Result<String, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    let (mode, handed) = (metadata.mode(), metadata.uid() == 0 && !rustix::process::geteuid().is_root());
    let forbidden = if handed { 0o037 } else { 0o077 };
    if mode & forbidden != 0 {
        let mode = mode & 0o777;
        return Err(format!("mode {mode:03o} lets other users at the passwords; run chmod 600 on it"));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

fn read(path: &Path) -> Result<HashMap<String, Entry>, MysqlError> {
    let failed = |reason: String| MysqlError::CredentialFile { path: path.to_owned(), reason };
    let text = private_text(path).map_err(failed)?;
    serde_json::from_str(&text).map_err(|error| {
        // serde_json's own message may quote a value.
        let at = format!("line {}, column {}", error.line(), error.column());
        failed(format!(r#"not of the form {{"name": {{"user": "…", "password": "…"}}}} at {at}"#))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn file_credentials_resolve_and_leak_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.json");
        let write = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let credentials = Credentials { file: Some(path.clone()) };
        write(r#"{"app": {"user": "u", "password": "hunter2"}}"#, 0o600);
        let app = credentials.resolve("app").unwrap();
        assert_eq!((app.user.as_str(), app.password.expose()), ("u", "hunter2"));
        assert!(!format!("{app:?}").contains("hunter2"));
        let unknown = credentials.resolve("nobody-else").unwrap_err().to_string();
        assert!(unknown.contains("SHARDLIFT_CREDENTIAL_NOBODY_ELSE_USER") && unknown.contains("c.json"), "{unknown}");
        write(r#"{"app": {"user": "u", "password": "hunter2"}}"#, 0o640);
        assert!(credentials.resolve("app").unwrap_err().to_string().contains("chmod 600"));
        write(r#"{"app": {"user": "u", "pass": "hunter2"}}"#, 0o600);
        let malformed = credentials.resolve("app").unwrap_err().to_string();
        assert!(
            malformed.contains("line 1") && !malformed.contains("hunter2") && !malformed.contains("pass\""),
            "{malformed}"
        );
    }
}
