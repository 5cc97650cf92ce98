//! The gateway's RSA key, for passwords that come without TLS.
//!
//! The key is made at the start, off the async threads, and lives as long as the process. It keeps out
//! those who listen, not those who pose as the gateway, and the `rsa` crate's private operations are not free of timing
//! differences (RUSTSEC-2023-0071; blinding is on): TLS is the better way, and [`super::Offer::require_tls`] the only
//! safe one across networks that are not trusted.

use std::{fmt, io, num::NonZero, sync::Arc, thread};

use rsa::{
    Oaep, RsaPrivateKey,
    pkcs8::{EncodePublicKey, LineEnding},
    rand_core::OsRng,
};
use sha1::Sha1;
use tokio::{
    sync::{OnceCell, Semaphore},
    task::spawn_blocking,
};

const BITS: usize = 2048;

/// A key pair, once somebody needed it.
#[derive(Clone)]
pub struct RsaKeys {
    key: Arc<OnceCell<Key>>,
    /// Bounds how many threads decrypt: logins must not starve what is running.
    decryptions: Arc<Semaphore>,
}

#[derive(Clone)]
struct Key {
    private: Arc<RsaPrivateKey>,
    pem: Arc<str>,
}

impl RsaKeys {
    /// Without a key yet.
    pub fn new() -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        RsaKeys { key: Arc::default(), decryptions: Arc::new(Semaphore::new(threads)) }
    }

    /// The public key as PEM text.
    pub async fn public(&self) -> io::Result<Arc<str>> {
        Ok(self.key().await?.pem)
    }

    /// What was encrypted with the public key (OAEP with SHA-1, as MySQL's clients do); `None` when it was not.
    pub async fn decrypt(&self, ciphertext: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        let private = self.key().await?.private;
        let permit = self.decryptions.clone().acquire_owned().await.map_err(io::Error::other)?;
        let decrypted = spawn_blocking(move || {
            // Held until the work is done, also when nobody waits for it any more.
            let _permit = permit;
            private.decrypt_blinded(&mut OsRng, Oaep::new::<Sha1>(), &ciphertext).ok()
        });
        decrypted.await.map_err(io::Error::other)
    }

    async fn key(&self) -> io::Result<Key> {
        if let Some(key) = self.key.get() {
            return Ok(key.clone());
        }
        // A task of its own: a client that gives up waiting must not stop the work that the next one waits for.
        let cell = self.key.clone();
        let made = tokio::spawn(async move { cell.get_or_try_init(make).await.cloned() });
        made.await.map_err(io::Error::other)?
    }
}

async fn make() -> io::Result<Key> {
    let made = spawn_blocking(|| -> io::Result<Key> {
        let private = RsaPrivateKey::new(&mut OsRng, BITS).map_err(io::Error::other)?;
        let pem = private.to_public_key().to_public_key_pem(LineEnding::LF).map_err(io::Error::other)?;
        Ok(Key { private: Arc::new(private), pem: pem.into() })
    });
    made.await.map_err(io::Error::other)?
}

impl Default for RsaKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RsaKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaKeys").field("made", &self.key.initialized()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::wire::auth;

    #[tokio::test]
    async fn what_our_own_client_encrypts_is_decrypted() {
        let keys = RsaKeys::new();
        let (first, second) = tokio::join!(keys.public(), keys.public());
        let pem = first.unwrap();
        assert_eq!(pem, second.unwrap());
        let nonce = [7; 20];
        let sent = auth::encrypted("pässword", &nonce, pem.as_bytes()).unwrap();
        let masked = keys.decrypt(sent).await.unwrap().unwrap();
        let password: Vec<u8> = masked.iter().map(|byte| byte ^ 7).collect();
        assert_eq!(password, auth::cleartext("pässword"));
        assert_eq!(keys.decrypt(vec![1; 256]).await.unwrap(), None);
        assert_eq!(keys.decrypt(Vec::new()).await.unwrap(), None);
    }
}
