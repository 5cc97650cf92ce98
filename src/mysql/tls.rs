//! TLS for each [`TlsMode`]: what the client trusts and what it shows of itself.
//!
//! Invariant: `VerifyCa` and `VerifyIdentity` never fall back to anything weaker. `Preferred` and `Required` verify no
//! certificate, as the mysql client's modes of these names; they only keep out those who listen. Handshake signatures are
//! verified in every mode.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

use super::{
    endpoint::{Endpoint, TlsMode},
    error::MysqlError,
};

/// The client's TLS set-up for `endpoint`; `None` where its mode is `Disabled`. Reads the certificate files named in it.
pub fn client_config(endpoint: &Endpoint) -> Result<Option<Arc<ClientConfig>>, MysqlError> {
    let provider = Arc::new(ring::default_provider());
    let (roots, trust) = match &endpoint.tls {
        TlsMode::Disabled => return Ok(None),
        TlsMode::Preferred | TlsMode::Required => (RootCertStore::empty(), Trust::Anyone),
        TlsMode::VerifyCa { ca } => (roots(ca.as_deref())?, Trust::Chain),
        TlsMode::VerifyIdentity { ca } => (roots(ca.as_deref())?, Trust::ChainAndName),
    };
    let failed = |error: Error| MysqlError::TlsOptions { reason: error.to_string() };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { roots, trust, provider }));
    let config = match &endpoint.client_certificate {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::from_pem_file(&own.key).map_err(|error| unreadable(&own.key, &error))?;
            builder.with_client_auth_cert(certificates(&own.cert)?, key).map_err(failed)?
        }
    };
    Ok(Some(Arc::new(config)))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, MysqlError> {
    let mut store = RootCertStore::empty();
    match ca {
        None => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            for certificate in certificates(path)? {
                store.add(certificate).map_err(|error| unreadable(path, &error))?;
            }
        }
    }
    Ok(store)
}

/// The certificates of a PEM file, of which there must be one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, MysqlError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found = found.map_err(|error| unreadable(path, &error))?;
    if found.is_empty() {
        return Err(unreadable(path, &"no certificate in it; a PEM file is needed"));
    }
    Ok(found)
}

/// What is wrong with a file that TLS needs.
pub(crate) fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> MysqlError {
    MysqlError::TlsOptions { reason: format!("{}: {why}", path.display()) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Anyone,
    Chain,
    ChainAndName,
}

#[derive(Debug)]
struct Verifier {
    roots: RootCertStore,
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.trust != Trust::Anyone {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
            if self.trust == Trust::ChainAndName {
                verify_server_name(&certificate, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
