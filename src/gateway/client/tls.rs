//! The gateway's own TLS towards clients: TLS 1.2 or later, and no certificate is asked of them.
//!
//! Invariants: keys that are made here stay in memory; files that cannot be used change nothing, and connections keep what they
//! began with.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use crate::mysql::{MysqlError, tls};

/// What is shown to clients: a certificate of the gateway's own, or one from files that can be read again.
#[derive(Debug)]
pub struct Certificate {
    /// The chain's file and its key's, PEM.
    files: Option<(PathBuf, PathBuf)>,
    now: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads a certificate chain and its key (PEM).
    pub fn load(chain: PathBuf, key: PathBuf) -> Result<Self, MysqlError> {
        let now = RwLock::new(read(&chain, &key)?);
        Ok(Self { files: Some((chain, key)), now })
    }

    /// One made now, for a gateway that was given none: as mysqld's own it keeps out those who listen, and verifies nothing.
    /// Names `host` and this machine's loopback.
    pub fn self_signed(host: &str) -> Result<Self, MysqlError> {
        let (chain, secret) = make(host).map_err(|error| failed(&error))?;
        let now = certified(chain, secret).map_err(|error| failed(&error))?;
        Ok(Self { files: None, now: RwLock::new(now) })
    }

    /// Reads the files again, for connections to come; false where there are none.
    pub fn reload(&self) -> Result<bool, MysqlError> {
        let Some((chain, key)) = &self.files else { return Ok(false) };
        let read = read(chain, key)?;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(true)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// TLS that shows `certificate` as it is at each connection.
pub fn server_config(certificate: Arc<Certificate>) -> Result<Arc<ServerConfig>, MysqlError> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| MysqlError::TlsOptions { reason: error.to_string() })?;
    Ok(Arc::new(builder.with_no_client_auth().with_cert_resolver(certificate)))
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, MysqlError> {
    let chain = tls::certificates(certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| tls::unreadable(key, &error))?;
    let unfit = |error| tls::unreadable(key, &format_args!("it does not fit {}: {error}", certificate.display()));
    certified(chain, secret).map_err(unfit)
}

fn make(host: &str) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), rcgen::Error> {
    // A certificate's names are ASCII.
    let host = if host.is_ascii() && !host.is_empty() { host } else { "localhost" };
    let mut names: Vec<String> = [host, "localhost", "127.0.0.1", "::1"].map(Into::into).to_vec();
    names.dedup();
    // Valid at any time (rcgen's default): it lives no longer than this process, and a wrong clock must not matter.
    let mut wanted = CertificateParams::new(names)?;
    wanted.distinguished_name = DistinguishedName::new();
    wanted.distinguished_name.push(DnType::CommonName, host);
    let key = KeyPair::generate()?;
    let certificate = wanted.self_signed(&key)?;
    Ok((vec![certificate.into()], PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
}

fn failed(error: &dyn Display) -> MysqlError {
    MysqlError::TlsOptions { reason: format!("no certificate could be made: {error}") }
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    secret: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, rustls::Error> {
    CertifiedKey::from_der(chain, secret, &ring::default_provider()).map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

    #[test]
    fn a_client_that_knows_the_certificate_finds_its_names_in_it() {
        for (host, known) in [("db-7.example", true), ("bücher", false), ("", false)] {
            let (chain, secret) = make(host).unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(chain[0].clone()).unwrap();
            let trusting = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let shown = Certificate { files: None, now: RwLock::new(certified(chain, secret).unwrap()) };
            let (trusting, server) = (Arc::new(trusting), server_config(Arc::new(shown)).unwrap());
            for (name, right) in
                [("db-7.example", known), ("localhost", true), ("127.0.0.1", true), ("::1", true), ("else", false)]
            {
                let client = ClientConnection::new(trusting.clone(), name.try_into().unwrap()).unwrap();
                let server = ServerConnection::new(server.clone()).unwrap();
                assert_eq!(agree(client, server).is_ok(), right, "{host}: {name}");
            }
        }
    }

    fn agree(mut client: ClientConnection, mut server: ServerConnection) -> Result<(), rustls::Error> {
        while client.is_handshaking() || server.is_handshaking() {
            let (mut sent, mut answered) = (Vec::new(), Vec::new());
            client.write_tls(&mut sent).unwrap();
            server.read_tls(&mut &sent[..]).unwrap();
            server.process_new_packets()?;
            server.write_tls(&mut answered).unwrap();
            client.read_tls(&mut &answered[..]).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }
}
