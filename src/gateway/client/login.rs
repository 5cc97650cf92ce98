//! How a client logs in: greeting, TLS, caching_sha2_password.
//!
//! Invariants: a password in clear is taken only inside TLS or a Unix socket; nothing that came before TLS is read after
//! it began; every refusal of a user is the same error 1045 after the same conversation and the same work, whether the
//! user exists or not; the whole has one deadline, before which a client has cost no more than one small packet's memory.
//!
//! Source: MySQL Internals, "Connection Phase", "caching_sha2_password".

use mysql_common::constants::CapabilityFlags;
use tokio::time::timeout;

use super::{
    Client, Identity, Offer,
    error::{ClientError, SqlError},
    greeting::{self, NONCE, PLUGIN},
    link::Link,
    password::LONGEST,
    response::{self, First, Response},
    stream::ClientStream,
};
use crate::model::CredentialName;

/// The longest packet of a login: connection attributes may take 64 KiB.
const LOGIN_PACKET: usize = 128 * 1024;
/// "Protocol::AuthMoreData" and what it says.
const MORE: u8 = 0x01;
const RECOGNISED: u8 = 0x03;
const SEND_PASSWORD: u8 = 0x04;
/// A client's question for the RSA key.
const KEY_REQUEST: &[u8] = &[0x02];

impl Client {
    /// The whole login of a client but its last packet: the caller decides about the database, then calls
    /// [`Client::admit`] or [`Client::refuse`].
    pub async fn accept(stream: ClientStream, offer: &Offer, connection_id: u32) -> Result<Client, ClientError> {
        match timeout(offer.login_timeout, log_in(stream, offer, connection_id)).await {
            Ok(done) => done,
            Err(_) => Err(ClientError::LoginTimeout(offer.login_timeout)),
        }
    }

    /// COM_CHANGE_USER: the login again, on the same connection; as after [`Client::accept`], the caller's
    /// [`Client::admit`] or [`Client::refuse`] ends it. A refused user is told so and the connection closed, as by mysqld.
    pub async fn change_user(&mut self, body: &[u8], offer: &Offer) -> Result<(), ClientError> {
        let capabilities = self.identity.capabilities;
        let response = match response::change_user(body, capabilities) {
            Ok(response) => response,
            Err(what) => return Err(self.link.refuse(SqlError::bad_handshake(what.0)).await),
        };
        // Always with a fresh challenge: the proof that came along was made for none or for the greeting's.
        let login = authenticate(&mut self.link, offer, &response, None);
        let credential = match timeout(offer.login_timeout, login).await {
            Ok(done) => done?,
            Err(_) => return Err(ClientError::LoginTimeout(offer.login_timeout)),
        };
        let collation = if response.collation == 0 { self.identity.collation } else { response.collation };
        self.identity = Identity { collation, ..identity(response, capabilities, credential) };
        Ok(())
    }
}

async fn log_in(stream: ClientStream, offer: &Offer, connection_id: u32) -> Result<Client, ClientError> {
    let mut link = Link::new(stream, LOGIN_PACKET);
    let tls = offer.tls.clone().filter(|_| matches!(link.stream, ClientStream::Tcp(_)));
    let (offered, nonce) = (greeting::offered(tls.is_some()), greeting::nonce());
    link.send(&greeting::greeting(&offer.version, connection_id, &nonce, offered)).await?;
    let packet = link.receive_alone(LOGIN_PACKET).await?;
    let response = match (response::first(&packet), tls) {
        (Ok(First::Login(response)), _) => Ok(response),
        (Ok(First::Tls), Some(config)) => {
            link = link.encrypt(config).await?;
            match response::first(&link.receive().await?) {
                Ok(First::Login(response)) => Ok(response),
                Ok(First::Tls) => Err("TLS was asked for inside TLS"),
                Err(what) => Err(what.0),
            }
        }
        (Ok(First::Tls), None) => Err("TLS was not offered here"),
        (Err(what), _) => Err(what.0),
    };
    let response = match response {
        Ok(response) => response,
        Err(what) => return Err(link.refuse(SqlError::bad_handshake(what)).await),
    };
    if offer.require_tls && !link.stream.is_secure() {
        return Err(link.refuse(SqlError::transport_not_secure()).await);
    }
    let capabilities = response.capabilities & offered;
    if !capabilities.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH) {
        return Err(link.refuse(SqlError::old_client()).await);
    }
    let credential = authenticate(&mut link, offer, &response, Some(nonce)).await?;
    link.open(offer.max_packet, offer.budget.clone());
    let identity = identity(response, capabilities, credential);
    Ok(Client { link, identity, connection_id, midway: false })
}

fn identity(response: Response, capabilities: CapabilityFlags, credential: CredentialName) -> Identity {
    let Response { collation, user, database, attributes, .. } = response;
    Identity { capabilities, collation, user, credential, database, attributes }
}

/// Finds out whether the client is who it says. `nonce` is the challenge that its proof may have been made for.
async fn authenticate(
    link: &mut Link,
    offer: &Offer,
    response: &Response,
    nonce: Option<[u8; NONCE]>,
) -> Result<CredentialName, ClientError> {
    let user = &response.user;
    let (nonce, proof) = match nonce {
        Some(nonce) if response.plugin.as_deref() == Some(PLUGIN) => (nonce, response.proof.clone()),
        _ => {
            let nonce = greeting::nonce();
            link.send(&greeting::switch(&nonce)).await?;
            (nonce, link.receive().await?.to_vec())
        }
    };
    // The client's word for "no password". No account is without one.
    if proof.is_empty() || proof == [0] {
        return Err(denied(link, user, false).await);
    }
    if let Some(credential) = offer.users.recognise(user, &nonce, &proof) {
        link.send(&[MORE, RECOGNISED]).await?;
        return Ok(credential);
    }
    link.send(&[MORE, SEND_PASSWORD]).await?;
    let Some(password) = password(link, offer, &nonce).await? else { return Err(denied(link, user, true).await) };
    match offer.users.check(user, password).await {
        Some(credential) => Ok(credential),
        None => Err(denied(link, user, true).await),
    }
}

/// What the client says its password is; `None` when it did not say it as it must.
async fn password(link: &mut Link, offer: &Offer, nonce: &[u8; NONCE]) -> Result<Option<Vec<u8>>, ClientError> {
    let mut packet = link.receive().await?.to_vec();
    if !link.stream.is_secure() {
        if packet == KEY_REQUEST {
            let pem = match offer.keys.public().await {
                Ok(pem) => pem,
                Err(error) => return Err(broken(link, &error).await),
            };
            link.send(&[&[MORE], pem.as_bytes()].concat()).await?;
            packet = link.receive().await?.to_vec();
        }
        packet = match offer.keys.decrypt(packet).await {
            Ok(Some(masked)) => masked.iter().zip(nonce.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect(),
            Ok(None) => return Ok(None),
            Err(error) => return Err(broken(link, &error).await),
        };
    }
    Ok((packet.pop() == Some(0) && packet.len() <= LONGEST).then_some(packet))
}

async fn denied(link: &mut Link, user: &str, with_password: bool) -> ClientError {
    let error = SqlError::access_denied(user, &link.host, with_password);
    link.refuse(error).await
}

async fn broken(link: &mut Link, error: &std::io::Error) -> ClientError {
    let what = format!("the gateway has no RSA key for passwords without TLS ({error}); connect with TLS");
    link.refuse(SqlError::internal(&what)).await
}
