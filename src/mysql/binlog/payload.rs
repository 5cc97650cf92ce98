//! TRANSACTION_PAYLOAD events: a compressed transaction, unpacked event by event.
//!
//! Invariant: memory is bounded by the longest single event inside, never by what the payload claims or unpacks to; and a
//! payload that ends midway, or says less or more than it holds, is an error, never a shorter transaction.
//! Source: mysql-server/libs/mysql/binlog/event/codecs/binary.cpp.

use zstd::stream::raw::{Decoder, Operation};

use super::cursor::{Cursor, Malformed};
use super::event::{Event, HEADER, declared_size};

const END: u64 = 0;
const SIZE: u64 = 1;
const COMPRESSION: u64 = 2;
const UNCOMPRESSED_SIZE: u64 = 3;
const ZSTD: u64 = 0;
const NONE: u64 = 255;

/// The longest event MySQL writes: `max_allowed_packet` at its most, and the head.
pub const MAX_EVENT: usize = (1 << 30) + (1 << 20);
/// Bytes unpacked at a time.
const STEP: usize = 64 * 1024;
/// A buffer that one huge event has made bigger than this is given back after it.
const KEEP: usize = 1024 * 1024;

/// Unpacks one payload. The compressed bytes stay where they are and are given to each call.
pub struct Unpacker {
    decoder: Option<Decoder<'static>>,
    /// Where the compressed bytes begin in the event's body, and how far they were taken.
    at: usize,
    end: usize,
    /// What is unpacked and not handed out yet begins at `given`.
    unpacked: Vec<u8>,
    given: usize,
    total: u64,
    claimed: Option<u64>,
    /// Whether the decoder stands between two zstd frames.
    between_frames: bool,
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Unpacker { at, end, total, .. } = self;
        write!(f, "Unpacker({at} of {end}, {total} unpacked)")
    }
}

impl Unpacker {
    /// Reads the head of an event's body.
    pub fn new(body: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor::new(body);
        let (mut size, mut compression, mut claimed) = (None, NONE, None);
        loop {
            let field = cursor.lenenc()?;
            if field == END {
                break;
            }
            let mut value = Cursor::new(cursor.lenenc_bytes()?);
            match field {
                SIZE => size = Some(value.lenenc_usize()?),
                COMPRESSION => compression = value.lenenc()?,
                UNCOMPRESSED_SIZE => claimed = Some(value.lenenc()?),
                _ => {}
            }
        }
        let at = body.len() - cursor.rest().len();
        if size.is_some_and(|size| size != cursor.rest().len()) {
            return Err(Malformed("a compressed transaction is not as long as it says"));
        }
        let decoder = match compression {
            ZSTD => Some(Decoder::new().map_err(|_| Malformed("zstd cannot be set up"))?),
            NONE => None,
            _ => return Err(Malformed("a transaction is compressed in an unknown way")),
        };
        let unpacked = Vec::new();
        Ok(Unpacker { decoder, at, end: body.len(), unpacked, given: 0, total: 0, claimed, between_frames: true })
    }

    /// The next event; `body` is the same as before. `None` at the end.
    pub fn next<'a>(&'a mut self, body: &[u8]) -> Result<Option<Event<'a>>, Malformed> {
        if !self.fill(body, HEADER)? {
            return self.finish().map(|()| None);
        }
        let size = declared_size(&self.unpacked[self.given..])?;
        if size > MAX_EVENT {
            return Err(Malformed("an event is longer than MySQL writes them"));
        }
        if !self.fill(body, size)? {
            return Err(Malformed("a compressed transaction ends within an event"));
        }
        let start = self.given;
        self.given += size;
        Event::bare(&self.unpacked[start..self.given]).map(Some)
    }

    /// Unpacks until `len` bytes are there; false where the payload ends before.
    fn fill(&mut self, body: &[u8], len: usize) -> Result<bool, Malformed> {
        if self.unpacked.len() - self.given >= len {
            return Ok(true);
        }
        self.unpacked.drain(..self.given);
        self.given = 0;
        if self.unpacked.capacity() > KEEP && self.unpacked.len() < STEP {
            self.unpacked.shrink_to(STEP);
        }
        let packed = body.get(..self.end).ok_or(Malformed("a compressed transaction was cut"))?;
        while self.unpacked.len() < len {
            let start = self.unpacked.len();
            let rest = packed.get(self.at..).unwrap_or_default();
            let Some(decoder) = &mut self.decoder else {
                let now = &rest[..rest.len().min(STEP)];
                self.unpacked.extend_from_slice(now);
                (self.at, self.total) = (self.at + now.len(), self.total + now.len() as u64);
                if now.is_empty() {
                    return Ok(false);
                }
                continue;
            };
            self.unpacked.resize(start + STEP, 0);
            let status = decoder
                .run_on_buffers(rest, &mut self.unpacked[start..])
                .map_err(|_| Malformed("a compressed transaction cannot be unpacked"))?;
            self.unpacked.truncate(start + status.bytes_written);
            self.at += status.bytes_read;
            self.total += status.bytes_written as u64;
            if status.bytes_read > 0 || status.bytes_written > 0 {
                self.between_frames = status.remaining == 0;
            } else {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn finish(&self) -> Result<(), Malformed> {
        let whole = self.unpacked.len() == self.given && self.at == self.end && self.between_frames;
        if whole && self.claimed.is_none_or(|claimed| claimed == self.total) {
            return Ok(());
        }
        Err(Malformed("a compressed transaction is not whole"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(kind: u8, len: usize) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0, kind, 0, 0, 0, 0];
        bytes.extend(((HEADER + len) as u32).to_le_bytes());
        bytes.extend([0; 6]);
        bytes.extend((0..len).map(|i| (i * 7 % 251) as u8));
        bytes
    }

    fn payload(compression: u8, plain: usize, packed: &[u8]) -> Vec<u8> {
        let mut body = vec![2, 1, compression];
        if compression == 255 {
            body = vec![2, 3, 0xFC, 255, 0];
        }
        body.extend([3, 4, 0xFD]);
        body.extend(&(plain as u32).to_le_bytes()[..3]);
        body.extend([1, 4, 0xFD]);
        body.extend(&(packed.len() as u32).to_le_bytes()[..3]);
        body.push(0);
        body.extend_from_slice(packed);
        body
    }

    fn unpack(body: &[u8]) -> Result<Vec<(u8, usize)>, Malformed> {
        let mut unpacker = Unpacker::new(body)?;
        let mut events = Vec::new();
        while let Some(event) = unpacker.next(body)? {
            events.push((event.kind, event.body.len()));
        }
        Ok(events)
    }

    #[test]
    fn events_come_one_by_one() {
        let lens = [0, 5, 200_000, 1, STEP - HEADER, 3 * STEP];
        let plain: Vec<u8> = lens.iter().flat_map(|len| event(30, *len)).collect();
        let expected: Vec<_> = lens.iter().map(|len| (30, *len)).collect();
        let packed = zstd::encode_all(&plain[..], 3).unwrap();
        assert_eq!(unpack(&payload(0, plain.len(), &packed)).unwrap(), expected);
        assert_eq!(unpack(&payload(255, plain.len(), &plain)).unwrap(), expected);
        let (a, b) = plain.split_at(100_000);
        let frames = [zstd::encode_all(a, 3).unwrap(), zstd::encode_all(b, 3).unwrap()].concat();
        assert_eq!(unpack(&payload(0, plain.len(), &frames)).unwrap(), expected);
    }

    #[test]
    fn a_shorter_transaction_is_never_taken_for_whole() {
        let plain: Vec<u8> = [event(30, 50), event(16, 8)].concat();
        let packed = zstd::encode_all(&plain[..], 3).unwrap();
        for cut in 0..packed.len() {
            assert!(unpack(&payload(0, plain.len(), &packed[..cut])).is_err(), "cut at {cut}");
        }
        let first = zstd::encode_all(&plain[..50 + HEADER], 3).unwrap();
        assert!(unpack(&payload(0, plain.len(), &first)).is_err());
        assert!(unpack(&payload(255, plain.len(), &plain[..60])).is_err());
        assert!(unpack(&payload(7, plain.len(), &packed)).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut body in prop::collection::vec(any::<u8>(), 0..200), flip in any::<prop::sample::Index>()) {
            let _ = unpack(&body);
            body = payload(0, 400, &zstd::encode_all(&event(30, 400)[..], 1).unwrap());
            let at = flip.index(body.len());
            body[at] ^= 0x10;
            let _ = unpack(&body);
        }
    }
}
