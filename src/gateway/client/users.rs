//! Who may log in: the users file, and what was learnt of passwords since.
//!
//! The file is JSON, readable by its owner alone:
//! `{"app": {"hash": "24412430…", "credential": "app"}}`. `hash` is `mysql.user.authentication_string` of a
//! `caching_sha2_password` account, as it is or as `HEX()` gives it (salts hold odd bytes); `credential` names the login
//! used towards the servers and is `app` when left out.
//!
//! Invariants: no password is kept, only SHA256(SHA256(password)) after a full authentication, and that only for the hash
//! it was checked against; a user who does not exist costs the same work as one who does; no message quotes the file.

use std::{
    collections::HashMap,
    fmt,
    io::{ErrorKind, Write},
    num::NonZero,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    thread,
};

use serde::Deserialize;
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::{
    greeting::NONCE,
    password::{LONGEST, PasswordHash, Verifier},
};
use crate::{model::CredentialName, mysql::credential};

/// The users file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("users file {}: {reason}", path.display())]
pub struct UsersError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and what to do. Never quotes the content.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    hash: String,
    #[serde(default = "usual_credential")]
    credential: String,
}

fn usual_credential() -> String {
    "app".to_owned()
}

#[derive(Debug, Clone)]
struct Account {
    hash: PasswordHash,
    credential: CredentialName,
}

#[derive(Debug)]
struct Accounts {
    by_user: HashMap<String, Account>,
    /// Checked where there is no such user.
    decoy: PasswordHash,
}

/// The users of the gateway.
pub struct Users {
    path: PathBuf,
    accounts: RwLock<Arc<Accounts>>,
    learnt: Mutex<HashMap<String, (PasswordHash, Verifier)>>,
    decoy: Verifier,
    /// Bounds how many threads check passwords: logins must not starve what is running.
    checks: Arc<Semaphore>,
}

impl Users {
    /// Reads the file.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, UsersError> {
        let path = path.into();
        let accounts = RwLock::new(Arc::new(read(&path)?));
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let (learnt, checks) = (Mutex::default(), Arc::new(Semaphore::new(threads)));
        Ok(Users { path, accounts, learnt, decoy: Verifier::decoy(), checks })
    }

    /// Reads the file again, for logins from now on. When it cannot be read, the users stay as they were. Returns how many
    /// there are.
    pub fn reload(&self) -> Result<usize, UsersError> {
        let accounts = Arc::new(read(&self.path)?);
        let count = accounts.by_user.len();
        let valid = |user: &String, of: &PasswordHash| accounts.by_user.get(user).is_some_and(|a| a.hash == *of);
        self.learnt().retain(|user, (hash, _)| valid(user, hash));
        *self.accounts.write().unwrap_or_else(PoisonError::into_inner) = accounts;
        Ok(count)
    }

    /// How many users there are.
    pub fn count(&self) -> usize {
        self.accounts().by_user.len()
    }

    /// Fast authentication: the credential of `user` if it is known that its proof is right. `None` when it is wrong, the
    /// user does not exist, or its password was not seen yet: then [`Users::check`] decides.
    pub fn recognise(&self, user: &str, nonce: &[u8; NONCE], proof: &[u8]) -> Option<CredentialName> {
        let accounts = self.accounts();
        let account = accounts.by_user.get(user);
        let learnt = self.learnt().get(user).cloned();
        let known = account.zip(learnt).filter(|(account, (hash, _))| account.hash == *hash);
        let accepted = known.as_ref().map_or(&self.decoy, |(_, (_, verifier))| verifier).accepts(nonce, proof);
        known.filter(|_| accepted).map(|(account, _)| account.credential.clone())
    }

    /// Full authentication: the credential of `user` if this is its password. Milliseconds of work on a thread of its own.
    pub async fn check(&self, user: &str, password: Vec<u8>) -> Option<CredentialName> {
        let accounts = self.accounts();
        let account = accounts.by_user.get(user).cloned();
        let hash = account.as_ref().map_or(&accounts.decoy, |account| &account.hash).clone();
        let permit = self.checks.clone().acquire_owned().await.ok()?;
        let checked = spawn_blocking(move || {
            // Held until the work is done, also when nobody waits for it any more.
            let _permit = permit;
            (hash.fits(&password), Verifier::new(&password))
        });
        // Waited for whoever asks: an answer that comes sooner tells that there is no such user.
        let (fits, verifier) = checked.await.ok()?;
        let account = account.filter(|_| fits)?;
        self.learnt().insert(user.to_owned(), (account.hash, verifier));
        Some(account.credential)
    }

    fn accounts(&self) -> Arc<Accounts> {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learnt(&self) -> MutexGuard<'_, HashMap<String, (PasswordHash, Verifier)>> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("path", &self.path).field("count", &self.count()).finish()
    }
}

/// Makes a users file with this one user, unless there is a file already. Hashing takes some milliseconds.
pub fn create(path: &Path, user: &str, password: &str, credential: &CredentialName) -> Result<(), UsersError> {
    let failed = |reason: String| UsersError { path: path.to_owned(), reason };
    let text = entry(user, password.as_bytes(), credential).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let whole = || {
        // Its owner's alone from the first byte on, and in its place when it is complete.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        match file.persist_noclobber(path) {
            Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
            _ => Ok(()),
        }
    };
    whole().map_err(|error| failed(error.to_string()))
}

/// The users file's content for one user. The error says what is wrong with the password.
fn entry(user: &str, password: &[u8], credential: &CredentialName) -> Result<String, String> {
    if password.is_empty() || password.len() > LONGEST {
        return Err(format!("a password has 1 to {LONGEST} bytes, this one {}", password.len()));
    }
    let hash = PasswordHash::new(password).to_hex();
    let entry = serde_json::json!({ user: { "hash": hash, "credential": credential.as_str() } });
    Ok(format!("{entry:#}"))
}

fn read(path: &Path) -> Result<Accounts, UsersError> {
    let failed = |reason: String| UsersError { path: path.to_owned(), reason };
    parse(&credential::private_text(path).map_err(failed)?).map_err(failed)
}

fn parse(text: &str) -> Result<Accounts, String> {
    let entries: HashMap<String, Entry> = serde_json::from_str(text).map_err(|error| {
        // serde_json's own message may quote a value.
        let at = format!("line {}, column {}", error.line(), error.column());
        format!(r#"not of the form {{"user": {{"hash": "…", "credential": "app"}}}} at {at}"#)
    })?;
    let mut by_user = HashMap::with_capacity(entries.len());
    for (user, entry) in entries {
        let hash = PasswordHash::parse(entry.hash.as_bytes()).map_err(|why| {
            format!("the hash of user '{user}' cannot be used: {why}; `shardlift gateway hash-password` makes one")
        })?;
        let credential = CredentialName::new(entry.credential).map_err(|error| format!("user '{user}': {error}"))?;
        by_user.insert(user, Account { hash, credential });
    }
    let slowest = by_user.values().map(|account| &account.hash).max_by_key(|hash| hash.rounds());
    let decoy = PasswordHash::decoy(slowest);
    Ok(Accounts { by_user, decoy })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_common::scramble::scramble_sha256;
    use std::os::unix::fs::PermissionsExt;

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn passwords_are_checked_then_recognised_until_the_hash_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.json");
        let app = CredentialName::new("app_rw").unwrap();
        create(&path, "app", "hunter2", &app).unwrap();
        create(&path, "app", "is not overwritten", &app).unwrap();
        let users = Users::load(&path).unwrap();
        let nonce = [3; NONCE];
        let proof = scramble_sha256(&nonce, b"hunter2").unwrap();
        assert_eq!(users.recognise("app", &nonce, &proof), None);
        assert_eq!(users.check("app", b"hunter3".to_vec()).await, None);
        assert_eq!(users.check("nobody", b"hunter2".to_vec()).await, None);
        assert_eq!(users.recognise("app", &nonce, &proof), None);
        assert_eq!(users.check("app", b"hunter2".to_vec()).await, Some(app.clone()));
        assert_eq!(users.recognise("app", &nonce, &proof), Some(app.clone()));
        assert_eq!(users.recognise("nobody", &nonce, &proof), None);
        assert_eq!(users.recognise("app", &[4; NONCE], &proof), None);
        assert_eq!(users.reload().unwrap(), 1);
        assert_eq!(users.recognise("app", &nonce, &proof), Some(app.clone()));
        write(&path, "{", 0o600);
        assert!(users.reload().is_err());
        assert_eq!(users.recognise("app", &nonce, &proof), Some(app.clone()));
        write(&path, &entry("app", b"hunter2", &app).unwrap(), 0o600);
        users.reload().unwrap();
        assert_eq!(users.recognise("app", &nonce, &proof), None);
        assert!(!format!("{users:?} {:?}", users.accounts()).contains("24412430"));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_without_quoting_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.json");
        let hash = PasswordHash::new(b"x").to_hex();
        let refusal = |text: &str, mode| {
            write(&path, text, mode);
            let error = Users::load(&path).unwrap_err().to_string();
            assert!(error.contains("users.json") && !error.contains("hunter2"), "{error}");
            error
        };
        assert!(refusal("{}", 0o644).contains("chmod 600"));
        assert!(refusal(r#"{"app": {"hash": "hunter2"}}"#, 0o600).contains("hash-password"));
        assert!(refusal(r#"{"app": {"password": "hunter2"}}"#, 0o600).contains("line 1"));
        assert!(refusal(&format!(r#"{{"app": {{"hash": "{hash}", "credential": "a/b"}}}}"#), 0o600).contains("'app'"));
        write(&path, &format!(r#"{{"app": {{"hash": "{hash}"}}}}"#), 0o600);
        let users = Users::load(&path).unwrap();
        assert_eq!((users.count(), users.accounts().by_user["app"].credential.as_str()), (1, "app"));
    }
}
