//! Where a MySQL server is and how to log in to it.
//!
//! [`Endpoint`] is stored in the topology; [`Login`] adds what never is: a [`Secret`] has no `Display`, no serde, and a
//! `Debug` that shows nothing.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::error::MysqlError;

const DEFAULT_PORT: u16 = 3306;

/// A server's address. Written `host:port`, `[::1]:3306` or `unix:/path`; a host without a port means port 3306.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// A TCP address; the host is a name or an IP address without brackets.
    Tcp {
        /// Name or IP address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = MysqlError;

    fn from_str(text: &str) -> Result<Self, MysqlError> {
        let bad = |reason| MysqlError::Address { text: text.to_owned(), reason };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') {
                Ok(Address::Unix(PathBuf::from(path)))
            } else {
                Err(bad("the socket's path must be absolute"))
            };
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(|| bad("']' is missing"))?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| bad("no IPv6 address in the brackets"))?;
                let port = match after {
                    "" => None,
                    _ => Some(after.strip_prefix(':').ok_or_else(|| bad("a port must follow ']' and ':'"))?),
                };
                (host, port)
            }
            None => match text.split_once(':') {
                Some((_, port)) if port.contains(':') => return Err(bad("an IPv6 address needs brackets")),
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') {
            return Err(bad("the host is not a name or an address"));
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(bad("the port is not a number from 1 to 65535")),
                Ok(port) => port,
            },
        };
        Ok(Address::Tcp { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = MysqlError;

    fn try_from(text: String) -> Result<Self, MysqlError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

/// How far TLS is asked for, in the words of the mysql client's `--ssl-mode`. A Unix socket never uses TLS: it does not
/// leave the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum TlsMode {
    /// Never.
    Disabled,
    /// Where the server offers it; nothing is verified, and whoever sits between can strip it.
    #[default]
    Preferred,
    /// Always; nothing is verified.
    Required,
    /// Always, and the server's certificate must come from a known authority.
    VerifyCa {
        /// The authority's certificate (PEM); without one the public authorities count.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<PathBuf>,
    },
    /// As [`TlsMode::VerifyCa`], and the certificate must name the host we connect to in its subjectAltName.
    VerifyIdentity {
        /// The authority's certificate (PEM); without one the public authorities count.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<PathBuf>,
    },
}

impl TlsMode {
    /// From the mysql client's word (`DISABLED`, …, `VERIFY_IDENTITY`, any case, `-` or `_`) and `--ssl-ca`.
    pub fn from_words(mode: &str, ca: Option<PathBuf>) -> Result<Self, MysqlError> {
        let mode = match mode.to_ascii_lowercase().replace('-', "_").as_str() {
            "disabled" => TlsMode::Disabled,
            "preferred" => TlsMode::Preferred,
            "required" => TlsMode::Required,
            "verify_ca" => return Ok(TlsMode::VerifyCa { ca }),
            "verify_identity" => return Ok(TlsMode::VerifyIdentity { ca }),
            _ => {
                let words = "DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY";
                return Err(MysqlError::TlsOptions { reason: format!("'{mode}' is no TLS mode; use {words}") });
            }
        };
        match ca {
            None => Ok(mode),
            Some(_) => Err(MysqlError::TlsOptions {
                reason: "a CA file verifies nothing in this mode; use VERIFY_CA or VERIFY_IDENTITY".to_owned(),
            }),
        }
    }
}

/// A client certificate, for accounts that require one (`REQUIRE X509`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// Certificate chain (PEM).
    pub cert: PathBuf,
    /// Private key (PEM).
    pub key: PathBuf,
}

/// A server's address and how to reach it safely.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where it listens.
    pub address: Address,
    /// How far TLS is asked for.
    #[serde(default)]
    pub tls: TlsMode,
    /// What we show the server of ourselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
}

impl Endpoint {
    /// An endpoint with the default TLS mode (preferred) and no client certificate.
    pub fn new(address: Address) -> Self {
        Endpoint { address, tls: TlsMode::default(), client_certificate: None }
    }

    /// The endpoint of a Unix socket.
    pub fn unix(path: &Path) -> Self {
        Endpoint::new(Address::Unix(path.to_owned()))
    }
}

/// A password. It prints as `***` and is never serialised.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password.
    pub fn new(password: impl Into<String>) -> Self {
        Secret(password.into())
    }

    /// The password itself: for the login, never for a message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Everything a connection needs to exist.
#[derive(Debug, Clone)]
pub struct Login {
    /// The server.
    pub endpoint: Endpoint,
    /// The MySQL user.
    pub user: String,
    /// Its password; empty for none.
    pub password: Secret,
    /// The default database of the session.
    pub database: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_written() {
        for text in ["db1:3306", "[::1]:3307", "10.0.0.1:3306", "unix:/run/mysqld/mysqld.sock"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(serde_json::from_str::<Address>(&format!("\"{text}\"")).unwrap(), address);
        }
        assert_eq!("db1".parse::<Address>().unwrap().to_string(), "db1:3306");
        assert_eq!("[fe80::1]".parse::<Address>().unwrap().to_string(), "[fe80::1]:3306");
        for text in
            ["", ":3306", "db1:", "db1:0", "db1:70000", "::1:3306", "[x]:1", "[::1]3306", "unix:s.sock", "a b:1"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn tls_words_and_json() {
        let ca = Some(PathBuf::from("/ca.pem"));
        assert_eq!(TlsMode::from_words("VERIFY-CA", ca.clone()).unwrap(), TlsMode::VerifyCa { ca: ca.clone() });
        assert!(TlsMode::from_words("required", ca).is_err());
        assert!(TlsMode::from_words("on", None).is_err());
        let endpoint: Endpoint = serde_json::from_str(r#"{"address":"db1:3306"}"#).unwrap();
        assert_eq!(endpoint, Endpoint::new("db1:3306".parse().unwrap()));
        let text = serde_json::to_string(&endpoint).unwrap();
        assert_eq!(text, r#"{"address":"db1:3306","tls":{"mode":"preferred"}}"#);
    }

    #[test]
    fn a_login_does_not_print_its_password() {
        let login = Login {
            endpoint: Endpoint::unix(Path::new("/s")),
            user: "u".into(),
            password: Secret::new("hunter2"),
            database: None,
        };
        assert!(!format!("{login:?}").contains("hunter2"));
    }
}
