//! What a client answers to prove its password. Pure.
//!
//! Only `caching_sha2_password` and `mysql_native_password` are spoken. A server that asks for anything else, cleartext
//! plugins above all, is refused: it may not be the server.

use mysql_common::{
    packets::AuthPlugin,
    scramble::{scramble_native, scramble_sha256},
};
use rsa::{Oaep, RsaPublicKey, pkcs8::DecodePublicKey, rand_core::OsRng};
use sha1::Sha1;

/// Bytes of a challenge.
const NONCE: usize = 20;

/// The proof of `password` for the server's challenge. An empty password's proof is empty. `Err` says what cannot be done.
pub fn proof(plugin: &AuthPlugin<'_>, password: &str, nonce: &[u8]) -> Result<Vec<u8>, String> {
    if nonce.len() != NONCE {
        return Err(format!("the server's challenge has {} bytes instead of {NONCE}", nonce.len()));
    }
    match plugin {
        AuthPlugin::CachingSha2Password => {
            Ok(scramble_sha256(nonce, password.as_bytes()).map(Vec::from).unwrap_or_default())
        }
        AuthPlugin::MysqlNativePassword => {
            Ok(scramble_native(nonce, password.as_bytes()).map(Vec::from).unwrap_or_default())
        }
        other => Err(format!(
            "the account uses the authentication plugin '{}', which shardlift does not speak; use caching_sha2_password",
            String::from_utf8_lossy(other.as_bytes())
        )),
    }
}

/// The password as full authentication wants it inside TLS or a Unix socket.
pub fn cleartext(password: &str) -> Vec<u8> {
    let mut bytes = password.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// The password as full authentication wants it elsewhere: masked with the challenge, then encrypted with the server's RSA
/// key (PEM). It keeps out those who listen; whoever can pose as the server can send a key of their own, as with the mysql
/// client's `--get-server-public-key`.
pub fn encrypted(password: &str, nonce: &[u8], pem: &[u8]) -> Result<Vec<u8>, String> {
    let pem = std::str::from_utf8(pem).map_err(|_| "the server's RSA key is not text".to_owned())?;
    let key = RsaPublicKey::from_public_key_pem(pem.trim_end_matches('\0').trim())
        .map_err(|error| format!("the server's RSA key cannot be read: {error}"))?;
    let mut masked = cleartext(password);
    for (byte, mask) in masked.iter_mut().zip(nonce.iter().cycle()) {
        *byte ^= mask;
    }
    key.encrypt(&mut OsRng, Oaep::new::<Sha1>(), &masked)
        .map_err(|error| format!("the password does not fit the server's RSA key: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_plugins_and_whole_challenges_are_answered() {
        let nonce = [7; NONCE];
        assert_eq!(proof(&AuthPlugin::CachingSha2Password, "x", &nonce).unwrap().len(), 32);
        assert_eq!(proof(&AuthPlugin::MysqlNativePassword, "x", &nonce).unwrap().len(), 20);
        assert!(proof(&AuthPlugin::CachingSha2Password, "", &nonce).unwrap().is_empty());
        assert!(proof(&AuthPlugin::MysqlClearPassword, "x", &nonce).is_err());
        assert!(proof(&AuthPlugin::CachingSha2Password, "x", &[]).is_err());
        assert!(encrypted("x", &nonce, b"no key").is_err());
    }
}
