//! The client side of the MySQL protocol, byte by byte, sharing nothing with the product or a driver.
//!
//! Invariants: every packet's sequence id is checked; every wait has a deadline; what was received is kept as it came.

use std::io::{Error, ErrorKind, Result};
use std::time::Duration;

use rsa::pkcs8::DecodePublicKey;
use rsa::{Oaep, RsaPublicKey};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::reply::{Answer, Bytes, Refusal};

pub const FOUND_ROWS: u32 = 1 << 1;
const CONNECT_WITH_DB: u32 = 1 << 3;
pub const LOCAL_FILES: u32 = 1 << 7;
pub const SSL: u32 = 1 << 11;
pub const MULTI_STATEMENTS: u32 = 1 << 16;
pub const MULTI_RESULTS: u32 = 1 << 17;
pub const PS_MULTI_RESULTS: u32 = 1 << 18;
pub const SESSION_TRACK: u32 = 1 << 23;
pub const DEPRECATE_EOF: u32 = 1 << 24;
pub const QUERY_ATTRIBUTES: u32 = 1 << 27;
/// Long passwords and flags, protocol 4.1, transactions, 20-byte nonces, authentication plugins: what everybody has.
pub const BASE: u32 = 1 | 1 << 2 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 19;

pub const QUIT: u8 = 1;
pub const QUERY: u8 = 3;
pub const CHANGE_USER: u8 = 17;
pub const PREPARE: u8 = 22;
pub const EXECUTE: u8 = 23;
pub const CLOSE: u8 = 25;

const LARGEST_FRAME: usize = 0xFF_FFFF;
const DEADLINE: Duration = Duration::from_secs(30);
const PLUGIN: &[u8] = b"caching_sha2_password\0";

/// Whom to log in as, where, and what to be able to do.
#[derive(Debug, Clone)]
pub struct Login {
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: Option<String>,
    /// Besides [`BASE`].
    pub capabilities: u32,
}

/// The server's first packet.
#[derive(Debug)]
pub struct Greeting {
    pub capabilities: u32,
    pub connection_id: u32,
    pub nonce: Vec<u8>,
}

impl Greeting {
    pub fn parse(packet: &[u8]) -> Result<Greeting> {
        let mut bytes = Bytes(packet);
        if bytes.u8()? != 10 {
            return Err(violation("the greeting is not protocol 10"));
        }
        bytes.until_zero()?;
        let connection_id = bytes.u32()?;
        let mut nonce = bytes.take(8)?.to_vec();
        bytes.take(1)?;
        let low = bytes.u16()?;
        bytes.take(3)?;
        let capabilities = u32::from(low) | u32::from(bytes.u16()?) << 16;
        bytes.take(11)?;
        nonce.extend_from_slice(bytes.take(12)?);
        bytes.take(1)?;
        if bytes.until_zero()? != &PLUGIN[..PLUGIN.len() - 1] {
            return Err(violation("the greeting names another plugin than caching_sha2_password"));
        }
        Ok(Greeting { capabilities, connection_id, nonce })
    }
}

/// A connection that is logged in.
#[derive(Debug)]
pub struct Raw {
    stream: BufReader<TcpStream>,
    seq: u8,
    pub capabilities: u32,
    pub connection_id: u32,
    /// The server's last packet of the login.
    pub welcome: Option<Answer>,
}

impl Raw {
    /// Connects and reads the greeting.
    pub async fn greet(port: u16) -> Result<(Raw, Greeting)> {
        let stream = BufReader::with_capacity(1 << 16, within(TcpStream::connect(("127.0.0.1", port))).await?);
        stream.get_ref().set_nodelay(true)?;
        let mut raw = Raw { stream, seq: 0, capabilities: BASE, connection_id: 0, welcome: None };
        let greeting = Greeting::parse(&raw.packet().await?)?;
        raw.connection_id = greeting.connection_id;
        Ok((raw, greeting))
    }

    /// Connects and logs in; the inner error is the server's refusal.
    pub async fn open(login: &Login) -> Result<std::result::Result<Raw, Refusal>> {
        let (mut raw, greeting) = Raw::greet(login.port).await?;
        let database = if login.database.is_some() { CONNECT_WITH_DB } else { 0 };
        raw.capabilities = BASE | login.capabilities | database;
        let missing = raw.capabilities & !greeting.capabilities;
        if missing != 0 {
            return Err(violation(&format!("it does not offer the capabilities {missing:#x}")));
        }
        raw.send(&response(login, raw.capabilities, &greeting.nonce)).await?;
        let entered = raw.authenticate(&login.password, greeting.nonce).await?;
        Ok(entered.map(|welcome| Raw { welcome: Some(welcome), ..raw }))
    }

    /// COM_CHANGE_USER with its conversation.
    pub async fn change_user(&mut self, login: &Login) -> Result<std::result::Result<Answer, Refusal>> {
        // The nonce of an earlier login is unknown here: an empty proof makes the server send another.
        let mut body = login.user.clone().into_bytes();
        body.extend_from_slice(b"\0\0");
        body.extend_from_slice(login.database.as_deref().unwrap_or_default().as_bytes());
        body.extend_from_slice(&[0, 255, 0]);
        body.extend_from_slice(PLUGIN);
        self.command(CHANGE_USER, &body).await?;
        self.authenticate(&login.password, vec![0; 20]).await
    }

    async fn authenticate(
        &mut self,
        password: &str,
        mut nonce: Vec<u8>,
    ) -> Result<std::result::Result<Answer, Refusal>> {
        loop {
            let packet = self.packet().await?;
            match packet.as_slice() {
                [0x00, ..] => return Ok(Ok(Answer::simple(&packet, self.capabilities)?)),
                [0xFF, ..] => return Ok(Err(Refusal::parse(&packet)?)),
                [0x01, 0x03] => {}
                [0x01, 0x04] => self.send(&[0x02]).await?,
                [0x01, key @ ..] => {
                    let key = RsaPublicKey::from_public_key_pem(std::str::from_utf8(key).map_err(Error::other)?);
                    let plain = password.bytes().chain([0]);
                    let hidden: Vec<u8> = plain.zip(nonce.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
                    let sealed = key.map_err(Error::other)?.encrypt(
                        &mut rsa::rand_core::OsRng,
                        Oaep::new::<sha1::Sha1>(),
                        &hidden,
                    );
                    self.send(&sealed.map_err(Error::other)?).await?;
                }
                [0xFE, switch @ ..] => {
                    let mut bytes = Bytes(switch);
                    if bytes.until_zero()? != &PLUGIN[..PLUGIN.len() - 1] {
                        return Err(violation("it switches to another plugin than caching_sha2_password"));
                    }
                    nonce = bytes.take(20)?.to_vec();
                    self.send(&proof(password, &nonce)).await?;
                }
                _ => return Err(violation(&format!("unknown step in the login: {}", packet.escape_ascii()))),
            }
        }
    }

    /// Sends a command: the sequence begins anew.
    pub async fn command(&mut self, code: u8, body: &[u8]) -> Result<()> {
        self.seq = 0;
        let mut payload = vec![code];
        payload.extend_from_slice(body);
        self.send(&payload).await
    }

    /// Sends a query's text; with no attributes where these were agreed on.
    pub async fn say(&mut self, sql: &[u8]) -> Result<()> {
        let prefix: &[u8] = if self.capabilities & QUERY_ATTRIBUTES == 0 { &[] } else { &[0, 1] };
        self.command(QUERY, &[prefix, sql].concat()).await
    }

    /// A query and its whole reply; `file` is what a LOAD DATA LOCAL gets.
    pub async fn query(&mut self, sql: impl AsRef<[u8]>, file: Option<&[u8]>) -> Result<Vec<Answer>> {
        self.say(sql.as_ref()).await?;
        Answer::all(self, false, file).await
    }

    /// Sends a packet as the next of the sequence, in as many frames as it takes.
    pub async fn send(&mut self, payload: &[u8]) -> Result<()> {
        let mut out = Vec::with_capacity(payload.len() + 4);
        let mut rest = payload;
        loop {
            let (frame, after) = rest.split_at(rest.len().min(LARGEST_FRAME));
            out.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_le_bytes()[..3]);
            out.push(self.seq);
            out.extend_from_slice(frame);
            self.seq = self.seq.wrapping_add(1);
            rest = after;
            if frame.len() < LARGEST_FRAME {
                break;
            }
        }
        within(self.stream.get_mut().write_all(&out)).await
    }

    /// The next packet, its frames joined.
    pub async fn packet(&mut self) -> Result<Vec<u8>> {
        let mut packet = Vec::new();
        loop {
            let mut header = [0; 4];
            within(self.stream.read_exact(&mut header)).await?;
            if header[3] != self.seq {
                return Err(violation(&format!("sequence id {} instead of {}", header[3], self.seq)));
            }
            self.seq = self.seq.wrapping_add(1);
            let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
            let start = packet.len();
            packet.resize(start + length, 0);
            within(self.stream.read_exact(&mut packet[start..])).await?;
            if length < LARGEST_FRAME {
                return Ok(packet);
            }
        }
    }

    /// Makes ready for the answer to a command that was sent before the last one was answered.
    pub fn next_answer(&mut self) {
        self.seq = 1;
    }

    /// The stream itself, for those who break the protocol.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }
}

/// A login's answer to a greeting.
pub fn response(login: &Login, capabilities: u32, nonce: &[u8]) -> Vec<u8> {
    let mut out = capabilities.to_le_bytes().to_vec();
    out.extend_from_slice(&(1u32 << 30).to_le_bytes());
    out.push(255);
    out.extend_from_slice(&[0; 23]);
    out.extend_from_slice(login.user.as_bytes());
    out.push(0);
    let proof = proof(&login.password, nonce);
    out.push(u8::try_from(proof.len()).unwrap());
    out.extend_from_slice(&proof);
    if let Some(database) = &login.database {
        out.extend_from_slice(database.as_bytes());
        out.push(0);
    }
    out.extend_from_slice(PLUGIN);
    out
}

/// SHA256(password) XOR SHA256(SHA256(SHA256(password)) + nonce).
fn proof(password: &str, nonce: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = Sha256::digest(password.as_bytes());
    let mask = Sha256::new().chain_update(Sha256::digest(once)).chain_update(nonce).finalize();
    once.iter().zip(mask).map(|(left, right)| left ^ right).collect()
}

pub fn violation(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}

async fn within<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(DEADLINE, work).await.unwrap_or_else(|_| Err(Error::new(ErrorKind::TimedOut, "no bytes in time")))
}
