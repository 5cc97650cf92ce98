//! A client of the test's own: it speaks just enough of the protocol to get a server's packets as they are.

use mysql_common::constants::CapabilityFlags;
use mysql_common::packets::AuthPlugin;
use shardlift::mysql::wire::auth;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Fixture, LIMIT, PASSWORD, USER};

const FULL: usize = 0xFF_FFFF;

/// The packets in `bytes`, at most `most`, whose frames must be numbered from `seq`, and what follows the last whole one.
pub fn packets(bytes: &[u8], seq: u8, most: usize) -> (Vec<Vec<u8>>, &[u8]) {
    let (mut packets, mut packet, mut seq) = (Vec::new(), Vec::new(), seq);
    let (mut rest, mut frames) = (bytes, bytes);
    while let ([a, b, c, number, after @ ..], true) = (frames, packets.len() < most) {
        let len = usize::from(*a) | usize::from(*b) << 8 | usize::from(*c) << 16;
        if after.len() < len {
            break;
        }
        assert_eq!(*number, seq, "sequence id of packet {}", packets.len());
        seq = seq.wrapping_add(1);
        packet.extend_from_slice(&after[..len]);
        frames = &after[len..];
        if len < FULL {
            packets.push(std::mem::take(&mut packet));
            rest = frames;
        }
    }
    (packets, rest)
}

/// Frames a packet.
pub fn framed(packet: &[u8], seq: &mut u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut pieces: Vec<&[u8]> = packet.chunks(FULL).collect();
    if packet.len().is_multiple_of(FULL) {
        pieces.push(&[]);
    }
    for piece in pieces {
        bytes.extend_from_slice(&(piece.len() as u32).to_le_bytes()[..3]);
        bytes.push(*seq);
        bytes.extend_from_slice(piece);
        *seq = seq.wrapping_add(1);
    }
    bytes
}

/// A connection.
pub struct Raw {
    stream: UnixStream,
    bytes: Vec<u8>,
}

impl Raw {
    /// Logs in, in database `shop`.
    pub async fn connect(fixture: &Fixture, capabilities: CapabilityFlags) -> Self {
        let stream = UnixStream::connect(fixture.server.socket()).await.unwrap();
        let mut raw = Raw { stream, bytes: Vec::new() };
        let greeting = raw.take(1, 0).await.remove(0);
        let at = greeting.iter().position(|byte| *byte == 0).unwrap() + 5;
        let nonce = [&greeting[at..at + 8], &greeting[at + 27..at + 39]].concat();
        let needed = CapabilityFlags::CLIENT_PROTOCOL_41
            | CapabilityFlags::CLIENT_SECURE_CONNECTION
            | CapabilityFlags::CLIENT_PLUGIN_AUTH
            | CapabilityFlags::CLIENT_TRANSACTIONS
            | CapabilityFlags::CLIENT_CONNECT_WITH_DB;
        let proof = auth::proof(&AuthPlugin::CachingSha2Password, PASSWORD, &nonce).unwrap();
        let mut answer = (capabilities | needed).bits().to_le_bytes().to_vec();
        answer.extend_from_slice(&[0, 0, 0, 64, 255]);
        answer.extend_from_slice(&[0; 23]);
        for part in [USER.as_bytes(), &[0, 32], &proof, b"shop\0caching_sha2_password\0"] {
            answer.extend_from_slice(part);
        }
        let mut seq = 1;
        raw.stream.write_all(&framed(&answer, &mut seq)).await.unwrap();
        loop {
            match raw.take(1, seq).await.remove(0).as_slice() {
                [0, ..] => return raw,
                [1, 3] => seq += 1,
                [1, 4] => {
                    seq += 1;
                    let password = format!("{PASSWORD}\0");
                    raw.stream.write_all(&framed(password.as_bytes(), &mut seq)).await.unwrap();
                }
                other => panic!("{:?}", other.escape_ascii().to_string()),
            }
        }
    }

    /// Sends a command.
    pub async fn send(&mut self, code: u8, body: &[u8]) {
        let packet = [&[code], body].concat();
        self.stream.write_all(&framed(&packet, &mut 0)).await.unwrap();
    }

    /// Sends a command and reads a reply of `count` packets.
    pub async fn command(&mut self, code: u8, body: &[u8], count: usize) -> Vec<Vec<u8>> {
        self.send(code, body).await;
        self.take(count, 1).await
    }

    /// That nothing more than the replies read was sent: a ping is answered at once.
    pub async fn ends_here(&mut self) {
        assert!(self.bytes.is_empty());
        assert_eq!(self.command(14, b"", 1).await[0][0], 0);
    }

    async fn take(&mut self, count: usize, seq: u8) -> Vec<Vec<u8>> {
        loop {
            // Replies of many megabytes come in large pieces: looking through all of it again each time does no harm.
            let (found, rest) = packets(&self.bytes, seq, count);
            if found.len() == count {
                self.bytes = rest.to_vec();
                return found;
            }
            self.bytes.reserve(8 << 20);
            let got = timeout(LIMIT, self.stream.read_buf(&mut self.bytes)).await;
            let got = got.unwrap_or_else(|_| panic!("{count} packets wanted, {} there", found.len())).unwrap();
            assert!(got > 0, "the server closed the connection");
        }
    }
}
