//! What a client says of itself: its answer to the greeting and COM_CHANGE_USER. Pure; nothing here trusts a length.
//!
//! Where a flag announces a name that is not there, it counts as absent: old clients set CONNECT_WITH_DB without one.
//! Source: MySQL Internals, "Protocol::HandshakeResponse41", "COM_CHANGE_USER".

use std::collections::BTreeMap;

use mysql_common::constants::CapabilityFlags;

use crate::mysql::binlog::cursor::{Cursor, Malformed};

/// Bytes of an SSLRequest, which is the beginning of a response.
const SSL_REQUEST: usize = 32;
const FILLER: usize = 23;

/// The first packet of a client.
#[derive(Debug, PartialEq, Eq)]
pub enum First {
    /// TLS is to begin; the response follows inside.
    Tls,
    /// The login.
    Login(Response),
}

/// Who a client says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// What the client can do, the server's part not yet taken off. Empty for COM_CHANGE_USER, which cannot change it.
    pub capabilities: CapabilityFlags,
    /// The collation's id, 0 when the client named none.
    pub collation: u16,
    /// The user; bytes that are no UTF-8 are replaced.
    pub user: String,
    /// Its proof of the password, made for `plugin`.
    pub proof: Vec<u8>,
    /// The default database, if it wants one.
    pub database: Option<String>,
    /// The authentication plugin it used.
    pub plugin: Option<Vec<u8>>,
    /// What it tells of itself, as `performance_schema.session_connect_attrs` would show it.
    pub attributes: BTreeMap<String, String>,
    /// The zstd level it would compress with; compression is never offered.
    pub zstd_level: Option<u8>,
}

/// Reads a client's first packet, or the one that follows inside TLS.
pub fn first(packet: &[u8]) -> Result<First, Malformed> {
    let mut cursor = Cursor::new(packet);
    // Before protocol 4.1 (MySQL 4.0) the flags had two bytes; the bit we need is in the lower half.
    let capabilities = match *packet {
        [a, b, c, d, ..] => CapabilityFlags::from_bits_truncate(u32::from_le_bytes([a, b, c, d])),
        _ => return Err(Malformed("it is too short")),
    };
    if !capabilities.contains(CapabilityFlags::CLIENT_PROTOCOL_41) {
        return Err(Malformed("the client does not speak protocol 4.1"));
    }
    cursor.take(4)?;
    let _max_packet = cursor.u32()?;
    let collation = u16::from(cursor.u8()?);
    cursor.take(FILLER)?;
    if packet.len() == SSL_REQUEST && capabilities.contains(CapabilityFlags::CLIENT_SSL) {
        return Ok(First::Tls);
    }
    let user = text(terminated(&mut cursor)?);
    let proof = if capabilities.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) {
        cursor.lenenc_bytes()?
    } else if capabilities.contains(CapabilityFlags::CLIENT_SECURE_CONNECTION) {
        let len = cursor.u8()?;
        cursor.take(usize::from(len))?
    } else {
        terminated(&mut cursor)?
    };
    let database = match capabilities.contains(CapabilityFlags::CLIENT_CONNECT_WITH_DB) {
        true => name(&mut cursor).map(text),
        false => None,
    };
    let plugin = plugin(&mut cursor, capabilities);
    let attributes = attributes(&mut cursor, capabilities)?;
    let with_level = capabilities.contains(CapabilityFlags::CLIENT_ZSTD_COMPRESSION_ALGORITHM);
    let zstd_level = if with_level { cursor.u8().ok() } else { None };
    let proof = proof.to_vec();
    Ok(First::Login(Response { capabilities, collation, user, proof, database, plugin, attributes, zstd_level }))
}

/// Reads the body of COM_CHANGE_USER, the command's byte taken off. `agreed` are the connection's capabilities.
pub fn change_user(body: &[u8], agreed: CapabilityFlags) -> Result<Response, Malformed> {
    let mut cursor = Cursor::new(body);
    let user = text(terminated(&mut cursor)?);
    let proof = if agreed.contains(CapabilityFlags::CLIENT_SECURE_CONNECTION) {
        let len = cursor.u8()?;
        cursor.take(usize::from(len))?
    } else {
        terminated(&mut cursor)?
    };
    let proof = proof.to_vec();
    let database = name(&mut cursor).map(text);
    let collation = if cursor.is_empty() { 0 } else { cursor.u16()? };
    let plugin = plugin(&mut cursor, agreed);
    let attributes = attributes(&mut cursor, agreed)?;
    let capabilities = CapabilityFlags::empty();
    Ok(Response { capabilities, collation, user, proof, database, plugin, attributes, zstd_level: None })
}

fn plugin(cursor: &mut Cursor<'_>, capabilities: CapabilityFlags) -> Option<Vec<u8>> {
    if !capabilities.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH) {
        return None;
    }
    name(cursor).map(<[u8]>::to_vec)
}

fn attributes(cursor: &mut Cursor<'_>, capabilities: CapabilityFlags) -> Result<BTreeMap<String, String>, Malformed> {
    let mut attributes = BTreeMap::new();
    if !capabilities.contains(CapabilityFlags::CLIENT_CONNECT_ATTRS) || cursor.is_empty() {
        return Ok(attributes);
    }
    let mut pairs = Cursor::new(cursor.lenenc_bytes()?);
    while !pairs.is_empty() {
        let key = text(pairs.lenenc_bytes()?);
        attributes.insert(key, text(pairs.lenenc_bytes()?));
    }
    Ok(attributes)
}

/// The bytes before the next NUL, which must be there.
fn terminated<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8], Malformed> {
    let end = cursor.rest().iter().position(|&byte| byte == 0).ok_or(Malformed("a text does not end"))?;
    let text = cursor.take(end)?;
    cursor.take(1)?;
    Ok(text)
}

/// The bytes before the next NUL or the packet's end; `None` when there are none.
fn name<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let name = match terminated(cursor) {
        Ok(name) => name,
        Err(_) => cursor.take(cursor.rest().len()).ok()?,
    };
    (!name.is_empty()).then_some(name)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_common::{
        packets::{AuthPlugin, HandshakeResponse, SslRequest},
        proto::MySerialize,
    };
    use proptest::prelude::*;

    const USUAL: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41
        .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
        .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
        .union(CapabilityFlags::CLIENT_CONNECT_WITH_DB)
        .union(CapabilityFlags::CLIENT_CONNECT_ATTRS);

    fn serialized(packet: &impl MySerialize) -> Vec<u8> {
        let mut bytes = Vec::new();
        packet.serialize(&mut bytes);
        bytes
    }

    #[test]
    fn what_another_implementation_writes_is_read() {
        for lenenc in [CapabilityFlags::empty(), CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA] {
            let capabilities = USUAL | lenenc;
            let attributes = [("_os".to_owned(), "Linux".to_owned()), ("empty".to_owned(), String::new())];
            let packet = serialized(&HandshakeResponse::new(
                Some(vec![7; 32]),
                (8, 0, 0),
                Some(&b"app"[..]),
                Some(&b"commerce@replica"[..]),
                Some(AuthPlugin::CachingSha2Password),
                capabilities,
                Some(attributes.iter().cloned().collect()),
                1 << 24,
            ));
            let Ok(First::Login(read)) = first(&packet) else { panic!("not a login: {packet:?}") };
            assert_eq!(read.capabilities, capabilities);
            assert_eq!((read.user.as_str(), read.proof.as_slice()), ("app", &[7; 32][..]));
            assert_eq!(read.database.as_deref(), Some("commerce@replica"));
            assert_eq!(read.plugin.as_deref(), Some(&b"caching_sha2_password"[..]));
            assert_eq!(read.attributes, attributes.into_iter().collect());
            for cut in 0..packet.len() {
                let _ = first(&packet[..cut]);
            }
        }
        let request = serialized(&SslRequest::new(USUAL | CapabilityFlags::CLIENT_SSL, 1 << 24, 45));
        assert_eq!(first(&request), Ok(First::Tls));
        let without = serialized(&SslRequest::new(USUAL, 1 << 24, 45));
        assert!(first(&without).is_err());
    }

    #[test]
    fn old_clients_are_told_apart() {
        let mut old = (CapabilityFlags::CLIENT_LONG_PASSWORD.bits() as u16).to_le_bytes().to_vec();
        old.extend_from_slice(b"\0\0\0app\0scramble");
        assert_eq!(first(&old), Err(Malformed("the client does not speak protocol 4.1")));
        let mut bare = CapabilityFlags::CLIENT_PROTOCOL_41.bits().to_le_bytes().to_vec();
        bare.extend_from_slice(&[0; 28]);
        bare.extend_from_slice(b"app\0\0");
        let Ok(First::Login(read)) = first(&bare) else { panic!("not a login") };
        assert_eq!((read.user.as_str(), read.proof.len(), read.database, read.plugin), ("app", 0, None, None));
    }

    #[test]
    fn change_user_is_read() {
        let mut body = b"bob\0\x03abcks:-80\0\xff\x00caching_sha2_password\0\x04\x01a\x01b".to_vec();
        let read = change_user(&body, USUAL).unwrap();
        assert_eq!((read.user.as_str(), read.proof.as_slice(), read.collation), ("bob", &b"abc"[..], 255));
        assert_eq!(read.database.as_deref(), Some("ks:-80"));
        assert_eq!(read.attributes.get("a").map(String::as_str), Some("b"));
        body.truncate(b"bob\0\x03abc\0".len());
        let short = change_user(b"bob\0\0\0", USUAL).unwrap();
        assert_eq!((short.database, short.collation, short.plugin), (None, 0, None));
        assert!(change_user(b"bob\0\x09abc", USUAL).is_err());
        assert!(change_user(b"bob", USUAL).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_us_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), flags in any::<u32>()) {
            let _ = first(&bytes);
            let mut login = (flags | CapabilityFlags::CLIENT_PROTOCOL_41.bits()).to_le_bytes().to_vec();
            login.extend_from_slice(&[0; 28]);
            login.extend_from_slice(&bytes);
            if let Ok(First::Login(read)) = first(&login) {
                prop_assert!(read.proof.len() <= bytes.len() && read.attributes.len() <= bytes.len());
            }
            let _ = change_user(&bytes, CapabilityFlags::from_bits_truncate(flags));
        }
    }
}
