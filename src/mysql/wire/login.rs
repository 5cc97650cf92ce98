//! How a connection comes about: greeting, TLS, authentication, session set-up.
//!
//! Invariants: the password leaves us in clear only inside TLS or a Unix socket; nothing received before TLS is read after
//! it; [`Wire::connect`] as a whole has one deadline.

use std::{collections::HashMap, time::Duration};

use mysql_common::{
    constants::CapabilityFlags,
    io::ParseBuf,
    packets::{AuthPlugin, AuthSwitchRequest, HandshakePacket, HandshakeResponse, SslRequest},
    proto::MySerialize,
};
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::mysql::{
    endpoint::{Address, Login, TlsMode},
    error::MysqlError,
    tls,
};

use super::{
    auth,
    channel::{PacketReader, PacketWriter},
    connection::Wire,
    reply,
    stream::Stream,
};

/// What a connection needs beside the login.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// From the first byte to a session that is ready.
    pub connect_timeout: Duration,
    /// The longest wait for the next bytes of an answer; see [`Wire::set_read_timeout`].
    pub read_timeout: Duration,
    /// The longest wait for bytes to leave.
    pub write_timeout: Duration,
    /// The longest packet accepted from the server, in bytes: no row may be longer.
    pub max_packet: usize,
    /// Connection attributes, shown in `performance_schema.session_connect_attrs`.
    pub attributes: Vec<(String, String)>,
    /// Statements that set the session up (SET …). If one is refused there is no connection.
    pub session: Vec<String>,
    /// What we announce of ourselves.
    pub announce: Announce,
}

/// What a connection announces of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announce {
    /// What the server must offer.
    pub needed: CapabilityFlags,
    /// What is used where the server offers it, `needed` included.
    pub wanted: CapabilityFlags,
    /// The collation, and with it the character set, that the session begins with, by its number.
    pub collation: u16,
}

impl Announce {
    /// What a connection that relays a client's statements announces: the client's capabilities among [`RELAYED`], all of
    /// them needed, and session tracking. Never CLIENT_MULTI_STATEMENTS.
    pub fn relaying(client: CapabilityFlags, collation: u16) -> Self {
        let needed = SPOKEN | CapabilityFlags::CLIENT_SESSION_TRACK | (client & RELAYED);
        Announce { needed, wanted: needed | OPTIONAL, collation }
    }
}

impl Default for Announce {
    fn default() -> Self {
        Announce { needed: NEEDED, wanted: WANTED, collation: UTF8MB4.into() }
    }
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            max_packet: 128 << 20,
            attributes: Vec::new(),
            session: Vec::new(),
            announce: Announce::default(),
        }
    }
}

/// The capabilities that change what statements mean or how replies look, so that a client and the connection its
/// statements are relayed over must agree on them.
pub const RELAYED: CapabilityFlags = CapabilityFlags::CLIENT_FOUND_ROWS
    .union(CapabilityFlags::CLIENT_IGNORE_SPACE)
    .union(CapabilityFlags::CLIENT_INTERACTIVE)
    .union(CapabilityFlags::CLIENT_LOCAL_FILES)
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PS_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_DEPRECATE_EOF)
    .union(CapabilityFlags::CLIENT_OPTIONAL_RESULTSET_METADATA)
    .union(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES);

/// What every server must offer.
const SPOKEN: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS);

/// What a server must offer for our own statements.
const NEEDED: CapabilityFlags = SPOKEN
    .union(CapabilityFlags::CLIENT_DEPRECATE_EOF)
    .union(CapabilityFlags::CLIENT_MULTI_STATEMENTS)
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS);

/// What makes no difference to statements and replies.
const OPTIONAL: CapabilityFlags = CapabilityFlags::CLIENT_LONG_PASSWORD
    .union(CapabilityFlags::CLIENT_LONG_FLAG)
    .union(CapabilityFlags::CLIENT_CONNECT_ATTRS)
    .union(CapabilityFlags::CLIENT_CONNECT_WITH_DB)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA);

/// What we use for our own statements where the server offers it. No CLIENT_SESSION_TRACK: answers stay short.
const WANTED: CapabilityFlags =
    NEEDED.union(OPTIONAL).union(CapabilityFlags::CLIENT_FOUND_ROWS).union(CapabilityFlags::CLIENT_LOCAL_FILES);

/// The packet size we announce; the server does not act on it.
const ANNOUNCED_PACKET: u32 = 1 << 30;
/// utf8mb4_general_ci, the character set before the session's own SET NAMES.
const UTF8MB4: u8 = 45;
/// Where the answer to a greeting holds the collation, in one byte: after capabilities and packet size.
const COLLATION_AT: usize = 8;

const GREETING: &str = "the greeting";
pub(super) const LOGIN: &str = "the login";

impl Wire {
    /// Connects, logs in and sets the session up, within `options.connect_timeout`.
    pub async fn connect(login: &Login, options: &ConnectOptions) -> Result<Wire, MysqlError> {
        let (address, after) = (login.endpoint.address.to_string(), options.connect_timeout);
        match timeout(after, connect(login, options)).await {
            Ok(connected) => connected,
            Err(_) => Err(MysqlError::Timeout { address, doing: "the connection set-up", after }),
        }
    }
}

async fn connect(login: &Login, options: &ConnectOptions) -> Result<Wire, MysqlError> {
    let address = login.endpoint.address.to_string();
    if [Some(login.user.as_str()), login.database.as_deref()].into_iter().flatten().any(|name| name.contains('\0')) {
        return Err(refused(login, "a name contains a NUL byte"));
    }
    let stream = Stream::open(&login.endpoint.address)
        .await
        .map_err(|source| MysqlError::Connect { address: address.clone(), source })?;
    let reader = PacketReader::new(options.max_packet, options.read_timeout);
    let mut wire = Wire::new(stream, reader, PacketWriter::new(options.write_timeout), address);

    wire.receive(GREETING).await?;
    let greeting = greeting(&wire)?;
    let announce = options.announce;
    let missing = announce.needed - greeting.capabilities();
    if !missing.is_empty() {
        return Err(wire.violation(format!("the server lacks {missing:?}; MySQL 5.7 or MariaDB 10.2 is the least")));
    }
    wire.capabilities = announce.wanted & greeting.capabilities();
    if login.database.is_none() {
        wire.capabilities.remove(CapabilityFlags::CLIENT_CONNECT_WITH_DB);
    }
    wire.server_version = greeting.server_version_str().into_owned();
    wire.connection_id = greeting.connection_id();
    wire.writer.seq = wire.reader.seq();
    // A number that does not fit a byte is announced by COM_CHANGE_USER, which has two for it.
    let collation = u8::try_from(announce.collation).unwrap_or(UTF8MB4);
    let mut wire = encrypt(wire, login, greeting.capabilities(), collation).await?;

    let plugin = match greeting.auth_plugin() {
        Some(plugin @ AuthPlugin::MysqlNativePassword) => plugin.into_owned(),
        _ => AuthPlugin::CachingSha2Password,
    };
    let nonce = greeting.nonce();
    let proof = auth::proof(&plugin, login.password.expose(), &nonce).map_err(|why| refused(login, why))?;
    let with_attributes = wire.capabilities.contains(CapabilityFlags::CLIENT_CONNECT_ATTRS);
    let response = HandshakeResponse::new(
        Some(proof),
        (8, 0, 0),
        Some(login.user.as_bytes()),
        login.database.as_deref().map(str::as_bytes),
        Some(plugin.clone()),
        wire.capabilities,
        with_attributes.then(|| attributes(options)),
        ANNOUNCED_PACKET,
    );
    let mut response = serialized(&response);
    if let Some(byte) = response.get_mut(COLLATION_AT) {
        *byte = collation;
    }
    wire.send(LOGIN, &response).await?;
    authenticate(&mut wire, login, plugin, nonce).await?;
    wire.settle();
    if u16::from(collation) != announce.collation {
        wire.change_user(login, options).await?;
    }

    let session: Vec<&[u8]> = options.session.iter().map(String::as_bytes).collect();
    for outcome in wire.execute_all(&session).await? {
        outcome?;
    }
    Ok(wire)
}

fn greeting(wire: &Wire) -> Result<HandshakePacket<'static>, MysqlError> {
    let packet = wire.reader.payload();
    if packet.first() == Some(&0xFF) {
        let refusal = reply::refusal(packet, CapabilityFlags::CLIENT_PROTOCOL_41);
        return Err(refusal.unwrap_or_else(|what| wire.violation(what)));
    }
    reply::greeting(packet).map_err(|what| wire.violation(what))
}

/// Goes over to TLS where the endpoint's mode and the server say so.
async fn encrypt(mut wire: Wire, login: &Login, offered: CapabilityFlags, collation: u8) -> Result<Wire, MysqlError> {
    let Address::Tcp { host, .. } = &login.endpoint.address else { return Ok(wire) };
    let Some(config) = tls::client_config(&login.endpoint)? else { return Ok(wire) };
    let failed = |address: &str, reason: String| MysqlError::Tls { address: address.to_owned(), reason };
    if !offered.contains(CapabilityFlags::CLIENT_SSL) {
        return match login.endpoint.tls {
            TlsMode::Preferred => Ok(wire),
            _ => Err(failed(&wire.address, "the server offers none; give it a certificate".to_owned())),
        };
    }
    wire.capabilities.insert(CapabilityFlags::CLIENT_SSL);
    let request = SslRequest::new(wire.capabilities, ANNOUNCED_PACKET, collation);
    wire.send("the TLS request", &serialized(&request)).await?;
    if wire.reader.has_unread() {
        return Err(wire.violation("bytes in clear where TLS was to begin".to_owned()));
    }
    let name = ServerName::try_from(host.clone()).map_err(|error| failed(&wire.address, error.to_string()))?;
    let Stream::Tcp(tcp) = wire.stream else { return Ok(wire) };
    match TlsConnector::from(config).connect(name, tcp).await {
        Ok(tls) => wire.stream = Stream::Tls(Box::new(tls)),
        Err(error) => return Err(failed(&wire.address, error.to_string())),
    }
    Ok(wire)
}

/// Answers the server until it is content or refuses.
pub(super) async fn authenticate(
    wire: &mut Wire,
    login: &Login,
    mut plugin: AuthPlugin<'static>,
    mut nonce: Vec<u8>,
) -> Result<(), MysqlError> {
    let password = login.password.expose();
    let mut switched = false;
    loop {
        wire.receive(LOGIN).await?;
        let packet = wire.reader.payload();
        let reply = match packet {
            [0x00, ..] => return Ok(()),
            [0xFF, ..] => {
                return Err(reply::refusal(packet, wire.capabilities).unwrap_or_else(|what| wire.violation(what)));
            }
            [0xFE, _, ..] if !switched => {
                switched = true;
                let request = ParseBuf(packet)
                    .parse::<AuthSwitchRequest<'_>>(())
                    .map_err(|error| wire.violation(format!("malformed authentication switch: {error}")))?;
                plugin = request.auth_plugin().into_owned();
                nonce = request.plugin_data().to_vec();
                auth::proof(&plugin, password, &nonce).map_err(|why| refused(login, why))?
            }
            [0x01, 0x03] if plugin == AuthPlugin::CachingSha2Password => continue,
            [0x01, 0x04] if plugin == AuthPlugin::CachingSha2Password => {
                if wire.stream.is_secure() {
                    auth::cleartext(password)
                } else if nonce.is_empty() {
                    return Err(wire.violation("full authentication without a challenge".to_owned()));
                } else {
                    wire.writer.seq = wire.reader.seq();
                    wire.send(LOGIN, &[0x02]).await?;
                    wire.receive(LOGIN).await?;
                    match wire.reader.payload() {
                        [0x01, key @ ..] => {
                            auth::encrypted(password, &nonce, key).map_err(|why| refused(login, why))?
                        }
                        _ => return Err(wire.violation("no RSA key where one was asked for".to_owned())),
                    }
                }
            }
            _ => return Err(wire.violation("unknown step in the login".to_owned())),
        };
        wire.writer.seq = wire.reader.seq();
        wire.send(LOGIN, &reply).await?;
    }
}

pub(super) fn attributes(options: &ConnectOptions) -> HashMap<String, String> {
    let own = [
        ("_client_name", env!("CARGO_PKG_NAME").to_owned()),
        ("_client_version", env!("CARGO_PKG_VERSION").to_owned()),
        ("_pid", std::process::id().to_string()),
    ];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
    own.chain(options.attributes.iter().cloned()).collect()
}

pub(super) fn refused(login: &Login, reason: impl Into<String>) -> MysqlError {
    MysqlError::Login { address: login.endpoint.address.to_string(), user: login.user.clone(), reason: reason.into() }
}

pub(super) fn serialized(packet: &impl MySerialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.serialize(&mut bytes);
    bytes
}
