//! The accounts of a local cluster: random passwords, in files that only their owner can read.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rand::Rng;
use rand::distr::Alphanumeric;
use serde_json::json;

use super::folder::refuse;
use crate::local::cache::write_private;
use crate::local::{Account, LocalError, Servers};
use crate::model::CredentialName;
use crate::mysql::credential::Credentials;

const FILE: &str = "credentials.json";
const PASSWORD_LENGTH: usize = 24;
/// Credential names, and the MySQL users of the same name.
pub(super) const ENGINE: &str = "engine";
const APP: &str = "app";

#[derive(Debug)]
pub(super) struct Secrets {
    pub(super) engine: Account,
    pub(super) app: Account,
    pub(super) app_credential: CredentialName,
}

impl Secrets {
    /// Those of the folder, made if it has none; with them the client script, whose program may have moved.
    pub(super) fn open(dir: &Path, servers: &Servers) -> Result<Self, LocalError> {
        let path = dir.join(FILE);
        if !path.exists() {
            let file = json!({
                ENGINE: { "user": ENGINE, "password": password() },
                APP: { "user": APP, "password": password() },
            });
            write_private(&path, &format!("{file:#}\n"))?;
        }
        let secrets = Self::read(dir)?;
        secrets.write_client_script(dir, servers)?;
        Ok(secrets)
    }

    /// Those the folder has.
    pub(super) fn read(dir: &Path) -> Result<Self, LocalError> {
        let credentials = Credentials::new(Some(dir.join(FILE)));
        let find = |name: &str| credentials.resolve(name).map_err(|error| refuse(dir, error.to_string()));
        let (engine, app) = (find(ENGINE)?, find(APP)?);
        let app_credential = CredentialName::new(APP).map_err(|error| LocalError::Setting(error.to_string()))?;
        Ok(Self {
            engine: Account::engine(engine.user, engine.password.expose()),
            app: Account::application(app.user, app.password.expose()),
            app_credential,
        })
    }

    /// A script is shorter to type than the loader's command line, and keeps the password off it.
    fn write_client_script(&self, dir: &Path, servers: &Servers) -> Result<(), LocalError> {
        let Ok(client) = servers.mysql() else { return Ok(()) };
        let options = dir.join("app.cnf");
        let (user, password) = (&self.app.user, &self.app.password);
        write_private(&options, &format!("[client]\nuser=\"{user}\"\npassword=\"{password}\"\n"))?;
        let words = std::iter::once(client.exe.as_os_str()).chain(client.prefix_args.iter().map(AsRef::as_ref));
        let command: Vec<String> = words.map(|word| quoted(&word.to_string_lossy())).collect();
        let extra = quoted(&options.display().to_string());
        let script = dir.join("mysql");
        let text = format!("#!/bin/sh\nexec {} --defaults-extra-file={extra} \"$@\"\n", command.join(" "));
        write_private(&script, &text)?;
        fs::set_permissions(&script, Permissions::from_mode(0o700)).map_err(LocalError::io("make executable", &script))
    }
}

fn password() -> String {
    rand::rng().sample_iter(Alphanumeric).take(PASSWORD_LENGTH).map(char::from).collect()
}

/// As one word of a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
