//! `mysql_async` connections from a [`Login`]: ordinary queries and binlog dumps.
//!
//! Invariant: TLS means the same as for [`super::wire`]. Where the driver cannot keep to that (`VerifyCa`) it is refused by
//! name rather than weakened.

use std::time::Duration;

use mysql_async::{
    ClientIdentity, Conn, DriverError, Error, IoError, Opts, OptsBuilder, Row, SslOpts, prelude::Queryable,
};
use tokio::time::timeout;

use super::{
    endpoint::{Address, Endpoint, Login, TlsMode},
    error::MysqlError,
};

/// Connects and logs in within `limit`; `attributes` are connection attributes.
pub async fn connect(login: &Login, attributes: &[(String, String)], limit: Duration) -> Result<Conn, MysqlError> {
    let address = login.endpoint.address.to_string();
    let attempt = async {
        let tls = ssl_opts(&login.endpoint)?;
        let preferred = tls.is_some() && login.endpoint.tls == TlsMode::Preferred;
        match Conn::new(options(login, attributes, tls)).await {
            Err(Error::Driver(DriverError::NoClientSslFlagFromServer)) if preferred => {
                Conn::new(options(login, attributes, None)).await.map_err(|error| driver_error(&address, error))
            }
            connected => connected.map_err(|error| driver_error(&address, error)),
        }
    };
    within(&address, "the connection set-up", limit, attempt).await
}

/// All rows of a statement, within `limit`. After a timeout the answer is still to come: drop the connection.
pub async fn query_rows(
    conn: &mut Conn,
    sql: &str,
    address: &Address,
    limit: Duration,
) -> Result<Vec<Row>, MysqlError> {
    let address = address.to_string();
    let query = async { conn.query(sql).await.map_err(|error| driver_error(&address, error)) };
    within(&address, "a query", limit, query).await
}

/// Runs a future that talks to `address` with a deadline.
pub async fn within<T>(
    address: &str,
    doing: &'static str,
    limit: Duration,
    work: impl Future<Output = Result<T, MysqlError>>,
) -> Result<T, MysqlError> {
    match timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(MysqlError::Timeout { address: address.to_owned(), doing, after: limit }),
    }
}

/// The driver's error as ours: what the server said, what the network did, or the rest.
pub fn driver_error(address: &str, error: Error) -> MysqlError {
    let address = address.to_owned();
    match error {
        Error::Server(error) => MysqlError::Server { code: error.code, state: error.state, message: error.message },
        Error::Io(IoError::Io(source)) => MysqlError::Io { address, doing: "talking to it", source },
        Error::Io(IoError::Tls(error)) => MysqlError::Tls { address, reason: error.to_string() },
        error => MysqlError::Driver { address, source: Box::new(error) },
    }
}

fn options(login: &Login, attributes: &[(String, String)], tls: Option<SslOpts>) -> Opts {
    let builder = OptsBuilder::default()
        .user(Some(&login.user))
        .pass(Some(login.password.expose()))
        .db_name(login.database.as_ref())
        .prefer_socket(false)
        .tcp_nodelay(true)
        .client_found_rows(true)
        .ssl_opts(tls)
        .connect_attributes(attributes.iter().cloned().collect());
    match &login.endpoint.address {
        Address::Tcp { host, port } => builder.ip_or_hostname(host).tcp_port(*port),
        Address::Unix(path) => builder.socket(Some(path.to_string_lossy())),
    }
    .into()
}

fn ssl_opts(endpoint: &Endpoint) -> Result<Option<SslOpts>, MysqlError> {
    if matches!(endpoint.address, Address::Unix(_)) {
        return Ok(None);
    }
    let opts = match &endpoint.tls {
        TlsMode::Disabled => return Ok(None),
        TlsMode::Preferred | TlsMode::Required => SslOpts::default().with_danger_accept_invalid_certs(true),
        TlsMode::VerifyIdentity { ca: None } => SslOpts::default(),
        TlsMode::VerifyIdentity { ca: Some(path) } => {
            SslOpts::default().with_disable_built_in_roots(true).with_root_certs(vec![path.clone().into()])
        }
        // mysql_async 0.37 looks for "NotValidForName" in a text that rustls no longer words so, and verifies the name.
        TlsMode::VerifyCa { .. } => {
            let reason = "VERIFY_CA is not available here (driver limitation); use VERIFY_IDENTITY".to_owned();
            return Err(MysqlError::TlsOptions { reason });
        }
    };
    let identity = endpoint
        .client_certificate
        .as_ref()
        .map(|own| ClientIdentity::new(own.cert.clone().into(), own.key.clone().into()));
    Ok(Some(opts.with_client_identity(identity)))
}
