//! The server's first packet to a client. Pure.
//!
//! Source: MySQL Internals, "Protocol::HandshakeV10".

use mysql_common::constants::{CapabilityFlags, StatusFlags};
use rand::Rng;

/// The only authentication plugin spoken to clients.
pub const PLUGIN: &[u8] = b"caching_sha2_password";
/// Bytes of a challenge.
pub const NONCE: usize = 20;
/// utf8mb4_0900_ai_ci, the character set of the greeting's own text.
const COLLATION: u8 = 255;
const PROTOCOL: u8 = 10;

/// What the gateway can do for a client, TLS aside. No compression, and nothing MySQL itself no longer acts on.
const OFFERED: CapabilityFlags = CapabilityFlags::CLIENT_LONG_PASSWORD
    .union(CapabilityFlags::CLIENT_FOUND_ROWS)
    .union(CapabilityFlags::CLIENT_LONG_FLAG)
    .union(CapabilityFlags::CLIENT_CONNECT_WITH_DB)
    .union(CapabilityFlags::CLIENT_LOCAL_FILES)
    .union(CapabilityFlags::CLIENT_IGNORE_SPACE)
    .union(CapabilityFlags::CLIENT_PROTOCOL_41)
    .union(CapabilityFlags::CLIENT_INTERACTIVE)
    .union(CapabilityFlags::CLIENT_IGNORE_SIGPIPE)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_MULTI_STATEMENTS)
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PS_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_CONNECT_ATTRS)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(CapabilityFlags::CLIENT_SESSION_TRACK)
    .union(CapabilityFlags::CLIENT_DEPRECATE_EOF)
    .union(CapabilityFlags::CLIENT_OPTIONAL_RESULTSET_METADATA)
    .union(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES);

/// What is offered to a client that may go over to TLS, or not.
pub fn offered(tls: bool) -> CapabilityFlags {
    if tls { OFFERED | CapabilityFlags::CLIENT_SSL } else { OFFERED }
}

/// A fresh challenge: as mysqld's, 7-bit characters without NUL, which ends it, and `$`.
pub fn nonce() -> [u8; NONCE] {
    let mut rng = rand::rng();
    std::array::from_fn(|_| match rng.random_range(1..127) {
        b'$' => 127,
        byte => byte,
    })
}

/// The greeting. A NUL in `version` would end it, so the text is cut there.
pub fn greeting(version: &str, connection_id: u32, nonce: &[u8; NONCE], capabilities: CapabilityFlags) -> Vec<u8> {
    let version = version.split('\0').next().unwrap_or_default();
    let [low, more, high, highest] = capabilities.bits().to_le_bytes();
    let (first, second) = nonce.split_at(8);
    let mut packet = vec![PROTOCOL];
    packet.extend_from_slice(version.as_bytes());
    packet.push(0);
    packet.extend_from_slice(&connection_id.to_le_bytes());
    packet.extend_from_slice(first);
    packet.extend_from_slice(&[0, low, more, COLLATION]);
    packet.extend_from_slice(&StatusFlags::SERVER_STATUS_AUTOCOMMIT.bits().to_le_bytes());
    packet.extend_from_slice(&[high, highest, NONCE as u8 + 1]);
    packet.extend_from_slice(&[0; 10]);
    packet.extend_from_slice(second);
    packet.push(0);
    packet.extend_from_slice(PLUGIN);
    packet.push(0);
    packet
}

/// Asks a client that answered with another plugin for [`PLUGIN`] ("Protocol::AuthSwitchRequest").
pub fn switch(nonce: &[u8; NONCE]) -> Vec<u8> {
    let mut packet = vec![0xFE];
    packet.extend_from_slice(PLUGIN);
    packet.push(0);
    packet.extend_from_slice(nonce);
    packet.push(0);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_common::{
        io::ParseBuf,
        packets::{AuthPlugin, AuthSwitchRequest, HandshakePacket},
    };

    #[test]
    fn another_implementation_reads_what_we_greet_with() {
        for tls in [false, true] {
            let nonce = nonce();
            assert!(nonce.iter().all(|byte| !matches!(byte, 0 | b'$' | 128..)));
            let packet = greeting("9.7.4-shardlift\0x", 0xFEDC_BA98, &nonce, offered(tls));
            let read = ParseBuf(&packet).parse::<HandshakePacket<'_>>(()).unwrap();
            assert_eq!(read.server_version_str(), "9.7.4-shardlift");
            assert_eq!((read.connection_id(), read.nonce()), (0xFEDC_BA98, nonce.to_vec()));
            assert_eq!(read.capabilities(), offered(tls));
            assert_eq!(read.capabilities().contains(CapabilityFlags::CLIENT_SSL), tls);
            assert_eq!(read.auth_plugin(), Some(AuthPlugin::CachingSha2Password));
            let packet = switch(&nonce);
            let read = ParseBuf(&packet).parse::<AuthSwitchRequest<'_>>(()).unwrap();
            assert_eq!((read.auth_plugin(), read.plugin_data()), (AuthPlugin::CachingSha2Password, &nonce[..]));
        }
    }
}
