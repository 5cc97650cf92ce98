//! Where etcd is and how to log in to it, from a URL.
//!
//! `etcd://[user@]host:port[,host:port…][?ca=FILE&cert=FILE&key=FILE&server-name=NAME&tls=true]`; `http://` and
//! `https://` do as well. A password never stands in the URL: `ps` would show it.

use std::path::Path;
use std::time::Duration;

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};

use super::super::error::TopologyError;
use crate::mysql::endpoint::Secret;

const CONNECT: Duration = Duration::from_secs(2);
/// etcd answers pings more frequent than every 5 s with GOAWAY.
const PING: Duration = Duration::from_secs(6);
const PONG: Duration = Duration::from_secs(2);

/// A parsed etcd URL with the files it names.
#[derive(Clone)]
pub struct EtcdOptions {
    pub(super) endpoints: Vec<String>,
    user: Option<(String, Secret)>,
    tls: Option<TlsOptions>,
}

impl std::fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdOptions").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

impl EtcdOptions {
    /// Parses `url` and reads the certificates it names. `password` belongs to the URL's user.
    pub fn parse(url: &str, password: Option<Secret>) -> Result<Self, TopologyError> {
        let bad = |why: String| TopologyError::Address { address: without_secrets(url), why };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("expected etcd://host:port".into()))?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (user, hosts) = match place.trim_end_matches('/').rsplit_once('@') {
            None => (None, place.trim_end_matches('/')),
            Some((user, _)) if user.contains(':') => {
                return Err(bad("a password must not stand in the URL; put it into SHARDLIFT_ETCD_PASSWORD".into()));
            }
            Some((user, hosts)) => (Some(user.to_string()), hosts),
        };
        let mut files = Files::default();
        for (name, value) in
            query.split('&').filter(|pair| !pair.is_empty()).map(|p| p.split_once('=').unwrap_or((p, "")))
        {
            match name {
                "ca" => files.ca = Some(value),
                "cert" => files.cert = Some(value),
                "key" => files.key = Some(value),
                "server-name" => files.server_name = Some(value),
                "tls" if value == "true" => files.tls = true,
                _ => {
                    return Err(bad(format!(
                        "option `{name}={value}` is not known; use ca, cert, key, server-name, tls=true"
                    )));
                }
            }
        }
        let secure = match scheme {
            "http" if files == Files::default() => false,
            "http" => return Err(bad("TLS options need https:// or etcd://".into())),
            "https" => true,
            "etcd" => files != Files::default(),
            other => return Err(bad(format!("scheme `{other}` is not known; use etcd, http or https"))),
        };
        let mut endpoints = Vec::new();
        for host in hosts.split(',') {
            let port = host.rsplit_once(':').and_then(|(name, port)| (!name.is_empty()).then(|| port.parse::<u16>()));
            if !matches!(port, Some(Ok(1..))) || host.contains('/') {
                return Err(bad(format!("`{host}` is not host:port")));
            }
            endpoints.push(format!("{}://{host}", if secure { "https" } else { "http" }));
        }
        let user = match (user, password) {
            (Some(user), Some(password)) => Some((user, password)),
            (Some(user), None) => return Err(bad(format!("user {user} has no password; set SHARDLIFT_ETCD_PASSWORD"))),
            (None, _) => None,
        };
        let tls = if secure { Some(files.read().map_err(bad)?) } else { None };
        Ok(Self { endpoints, user, tls })
    }

    pub(super) fn connect_options(&self) -> ConnectOptions {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT)
            .with_keep_alive(PING, PONG)
            .with_keep_alive_while_idle(false)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some((user, password)) = &self.user {
            options = options.with_user(user, password.expose());
        }
        if let Some(tls) = &self.tls {
            options = options.with_tls(tls.clone());
        }
        options
    }
}

/// A URL fit for messages, whatever was put into it.
pub(in super::super) fn without_secrets(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => url.to_string(),
    }
}

#[derive(Default, PartialEq, Eq)]
struct Files<'a> {
    ca: Option<&'a str>,
    cert: Option<&'a str>,
    key: Option<&'a str>,
    server_name: Option<&'a str>,
    tls: bool,
}

impl Files<'_> {
    fn read(&self) -> Result<TlsOptions, String> {
        let read = |path: &str| std::fs::read(Path::new(path)).map_err(|e| format!("{path} cannot be read: {e}"));
        let mut tls = TlsOptions::new();
        tls = match self.ca {
            Some(path) => tls.ca_certificate(Certificate::from_pem(read(path)?)),
            None => tls.trust_anchors(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        };
        match (self.cert, self.key) {
            (Some(cert), Some(key)) => tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?)),
            (None, None) => {}
            _ => return Err("cert and key belong together".into()),
        }
        Ok(match self.server_name {
            Some(name) => tls.domain_name(name),
            None => tls,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let parse = |url| EtcdOptions::parse(url, Some(Secret::new("pw")));
        assert_eq!(parse("etcd://a:1,b:2").unwrap().endpoints, ["http://a:1", "http://b:2"]);
        assert_eq!(parse("https://u@a:1/").unwrap().endpoints, ["https://a:1"]);
        assert_eq!(parse("etcd://a:1?tls=true").unwrap().endpoints, ["https://a:1"]);
        assert_eq!(parse("http://[::1]:2379").unwrap().endpoints, ["http://[::1]:2379"]);
        for bad in ["etcd://a", "etcd://", "http://a:1?tls=true", "ftp://a:1", "etcd://a:1?x=y", "etcd://a:1?ca=/none"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        let error = EtcdOptions::parse("etcd://root:hunter2@a:1", None).unwrap_err().to_string();
        assert!(error.contains("SHARDLIFT_ETCD_PASSWORD") && !error.contains("hunter2"), "{error}");
    }
}
