//! COM_CHANGE_USER to the same user: the one way to make a used connection like a new one.
//!
//! The transaction is rolled back; temporary tables, locks, user variables and prepared statements are gone. Unlike
//! COM_RESET_CONNECTION it begins with the collation announced, and an account that was locked meanwhile is refused.

use mysql_common::{
    constants::CapabilityFlags,
    packets::{AuthPlugin, ComChangeUser, ComChangeUserMoreData},
};
use tokio::time::timeout;

use crate::mysql::{endpoint::Login, error::MysqlError};

use super::{
    connection::Wire,
    login::{ConnectOptions, LOGIN, attributes, authenticate, refused, serialized},
};

impl Wire {
    /// Logs in anew as `login.user`, with its database and the collation that `options` announce, within
    /// `options.connect_timeout`. A refusal leaves the connection unusable: the server closes it.
    pub async fn change_user(&mut self, login: &Login, options: &ConnectOptions) -> Result<(), MysqlError> {
        let after = options.connect_timeout;
        match timeout(after, self.log_in_again(login, options)).await {
            Ok(done) => done,
            Err(_) => Err(MysqlError::Timeout { address: self.address.clone(), doing: LOGIN, after }),
        }
    }

    async fn log_in_again(&mut self, login: &Login, options: &ConnectOptions) -> Result<(), MysqlError> {
        let database = login.database.as_deref().unwrap_or_default();
        if login.user.contains('\0') || database.contains('\0') {
            return Err(refused(login, "a name contains a NUL byte"));
        }
        // No proof: the server sends a fresh challenge with its switch request, as to the mysql client.
        let plugin = AuthPlugin::CachingSha2Password;
        let with_attributes = self.capabilities.contains(CapabilityFlags::CLIENT_CONNECT_ATTRS);
        let more = ComChangeUserMoreData::new(options.announce.collation)
            .with_auth_plugin(Some(plugin.clone()))
            .with_connect_attributes(with_attributes.then(|| attributes(options)));
        let request = ComChangeUser::new()
            .with_user(Some(login.user.as_bytes()))
            .with_database(Some(database.as_bytes()))
            .with_more_data(Some(more));
        self.begin()?;
        self.writer.seq = 0;
        // The command byte is part of the packet's serialised form.
        self.send(LOGIN, &serialized(&request)).await?;
        authenticate(self, login, plugin, Vec::new()).await?;
        self.settle();
        Ok(())
    }
}
