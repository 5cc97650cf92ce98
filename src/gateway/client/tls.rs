//! The gateway's own TLS towards clients.

use std::{path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, pem::PemObject},
    version::{TLS12, TLS13},
};

use crate::mysql::{MysqlError, tls};

/// Reads a certificate chain and its key (PEM). Clients need TLS 1.2 or later, and no certificate of their own.
pub fn server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, MysqlError> {
    let chain = tls::certificates(certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| tls::unreadable(key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| tls::unreadable(key, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| tls::unreadable(key, &format_args!("it does not fit {}: {error}", certificate.display())))?;
    Ok(Arc::new(config))
}
