//! MySQL packet framing, the same for clients and servers and free of I/O.
//!
//! A *packet* travels as one or more *frames*: a 3-byte little-endian length, a sequence id, then the payload. A frame of
//! [`MAX_FRAME`] bytes is continued by the next one, so a packet of exactly that length ends with an empty frame.
//!
//! Invariants: sequence ids are checked on every frame (a shifted reply is an error, never a wrong answer); a packet over
//! the limit is refused from its header, before memory is spent on it; a payload is handed out only when it is whole.
//! Source: MySQL Internals, "MySQL Packets".

use bytes::{Buf, Bytes, BytesMut};

/// Payload bytes of the longest frame.
pub const MAX_FRAME: usize = 0xFF_FFFF;
/// Bytes before each frame's payload.
pub const HEADER: usize = 4;
/// Bytes asked of the stream at a time.
pub const READ_SIZE: usize = 64 * 1024;
/// A buffer that one huge packet has made bigger than this is given back once it is empty.
const KEEP: usize = 1024 * 1024;
/// Packets below this are cheaper copied than handed out with the buffer they came in.
const COPY: usize = 4 * 1024;

/// Why bytes are not a packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame belongs to another conversation.
    #[error("packet out of order: expected sequence id {expected}, got {got}")]
    OutOfOrder {
        /// The id that had to come.
        expected: u8,
        /// The id that came.
        got: u8,
    },
    /// The packet is longer than this side accepts.
    #[error("packet of at least {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Bytes announced so far.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

/// One frame to send: header, then `prefix`, then `body`.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Length and sequence id.
    pub header: [u8; HEADER],
    /// The part of the packet's prefix in this frame (only the first frame has one).
    pub prefix: &'a [u8],
    /// The part of the packet's body in this frame.
    pub body: &'a [u8],
}

/// Splits the packet `prefix` + `body` into frames, starting at sequence id `seq`. The prefix (a command byte) must be
/// shorter than a frame. The sequence id to use afterwards is `seq` plus the number of frames, wrapping.
pub fn frames<'a>(prefix: &'a [u8], body: &'a [u8], seq: u8) -> impl Iterator<Item = Frame<'a>> {
    debug_assert!(prefix.len() < MAX_FRAME);
    let mut rest = Some((prefix, body));
    let mut seq = seq;
    std::iter::from_fn(move || {
        let (prefix, body) = rest.take()?;
        let (now, later) = body.split_at(body.len().min(MAX_FRAME - prefix.len()));
        let len = prefix.len() + now.len();
        if len == MAX_FRAME {
            rest = Some((&[], later));
        }
        let [a, b, c, ..] = (len as u32).to_le_bytes();
        let header = [a, b, c, seq];
        seq = seq.wrapping_add(1);
        Some(Frame { header, prefix, body: now })
    })
}

/// Appends the packet `prefix` + `body` to `out` and moves `seq` on.
pub fn encode(out: &mut BytesMut, seq: &mut u8, prefix: &[u8], body: &[u8]) {
    for frame in frames(prefix, body, *seq) {
        out.extend_from_slice(&frame.header);
        out.extend_from_slice(frame.prefix);
        out.extend_from_slice(frame.body);
        *seq = seq.wrapping_add(1);
    }
}

/// Turns received bytes into packets. Fill [`Decoder::buffer`], then [`Decoder::advance`] until it says no.
#[derive(Debug)]
pub struct Decoder {
    buf: BytesMut,
    /// Bytes at the front of `buf` that belong to the packet handed out last.
    taken: usize,
    /// Where the next frame header of the packet being assembled stands in `buf`.
    scanned: usize,
    /// Payload bytes already joined at `buf[HEADER..]`.
    joined: usize,
    /// Frames of this packet already joined.
    parts: usize,
    seq: u8,
    limit: usize,
}

impl Decoder {
    /// A decoder that refuses packets over `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Decoder { buf: BytesMut::new(), taken: 0, scanned: 0, joined: 0, parts: 0, seq: 0, limit }
    }

    /// The sequence id the next frame must carry.
    pub fn expect(&mut self, seq: u8) {
        self.seq = seq;
    }

    /// The sequence id the next frame must carry, which is also the one an answer to it would carry.
    pub fn seq(&self) -> u8 {
        self.seq
    }

    /// True when bytes of a further packet (or of the one being assembled) are waiting.
    pub fn has_unread(&self) -> bool {
        self.buf.len() > self.taken
    }

    /// The buffer to append received bytes to, with room for more of them: what the packet under way still lacks, at
    /// least [`READ_SIZE`].
    pub fn buffer(&mut self) -> &mut BytesMut {
        self.release();
        let lacking = match self.frame_len() {
            Some(len) => (self.scanned + HEADER + len).saturating_sub(self.buf.len()),
            None => 0,
        };
        self.buf.reserve(lacking.max(READ_SIZE));
        &mut self.buf
    }

    /// The received bytes that no packet was made of yet, with no packet handed out; for those who frame by themselves. What
    /// is left here must begin at a frame's header again before [`Decoder::advance`] is called.
    pub fn unframed(&mut self) -> &mut BytesMut {
        self.release();
        &mut self.buf
    }

    /// Moves to the next packet, whose bytes are then at [`Decoder::payload`]. False: more bytes are needed.
    pub fn advance(&mut self) -> Result<bool, FrameError> {
        self.release();
        loop {
            let Some(len) = self.frame_len() else { return Ok(false) };
            let got = self.buf[self.scanned + 3];
            if got != self.seq {
                return Err(FrameError::OutOfOrder { expected: self.seq, got });
            }
            if self.joined + len > self.limit {
                return Err(FrameError::TooLarge { size: self.joined + len, limit: self.limit });
            }
            let body = self.scanned + HEADER;
            if self.buf.len() < body + len {
                return Ok(false);
            }
            self.seq = self.seq.wrapping_add(1);
            if self.parts > 0 {
                self.buf.copy_within(body..body + len, HEADER + self.joined);
            }
            self.joined += len;
            self.scanned = body + len;
            self.parts += 1;
            if len < MAX_FRAME {
                self.taken = self.scanned;
                return Ok(true);
            }
        }
    }

    /// The packet that [`Decoder::advance`] moved to; it stays until the next call of `advance` or `buffer`.
    pub fn payload(&self) -> &[u8] {
        if self.taken == 0 { &[] } else { &self.buf[HEADER..HEADER + self.joined] }
    }

    /// [`Decoder::payload`] to keep. A large one is not copied: it takes the buffer along.
    pub fn take(&mut self) -> Bytes {
        if self.taken == 0 || self.joined < COPY {
            let packet = Bytes::copy_from_slice(self.payload());
            self.release();
            return packet;
        }
        let rest = BytesMut::from(&self.buf[self.taken..]);
        let mut packet = std::mem::replace(&mut self.buf, rest);
        packet.advance(HEADER);
        packet.truncate(self.joined);
        (self.taken, self.scanned, self.joined, self.parts) = (0, 0, 0, 0);
        packet.freeze()
    }

    /// Changes the limit, from the next frame on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The bytes not yet made into a packet, from the header of the frame that is next (after a refusal: that frame's).
    pub fn unread(&self) -> &[u8] {
        &self.buf[self.scanned..]
    }

    /// The first frame's payload whatever its sequence id, once it is whole: what a peer said out of turn.
    pub fn out_of_turn(&self) -> Option<&[u8]> {
        let len = if self.parts == 0 { self.frame_len()? } else { return None };
        self.buf.get(self.scanned + HEADER..self.scanned + HEADER + len)
    }

    fn frame_len(&self) -> Option<usize> {
        let header = self.buf.get(self.scanned..self.scanned + HEADER)?;
        Some(usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16)
    }

    /// Gives back the packet handed out last. What [`Decoder::advance`] and [`Decoder::buffer`] do anyway.
    pub fn release(&mut self) {
        if self.taken == 0 {
            return;
        }
        // Asked before, since what is advanced over no longer counts and yet stays.
        let capacity = self.buf.capacity();
        self.buf.advance(self.taken);
        (self.taken, self.scanned, self.joined, self.parts) = (0, 0, 0, 0);
        if capacity > KEEP && self.buf.len() < READ_SIZE {
            self.buf = BytesMut::from(&self.buf[..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn feed(wire: &[u8], cuts: &[usize], limit: usize) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut decoder = Decoder::new(limit);
        let mut packets = Vec::new();
        let mut rest = wire;
        let mut cuts = cuts.iter().copied().cycle();
        loop {
            while decoder.advance()? {
                packets.push(decoder.payload().to_vec());
                if packets.len() % 2 == 0 {
                    assert_eq!(Some(&decoder.take()[..]), packets.last().map(Vec::as_slice));
                }
            }
            if rest.is_empty() {
                assert!(!decoder.has_unread());
                return Ok(packets);
            }
            let (now, later) = rest.split_at(cuts.next().unwrap_or(1).clamp(1, rest.len()));
            decoder.buffer().extend_from_slice(now);
            rest = later;
        }
    }

    proptest! {
        #[test]
        fn any_fragmentation_gives_the_same_packets(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..300),
            cuts in prop::collection::vec(1usize..400, 1..20),
        ) {
            let (mut wire, mut seq) = (BytesMut::new(), 0);
            for packet in &packets {
                encode(&mut wire, &mut seq, &[], packet);
            }
            prop_assert_eq!(feed(&wire, &cuts, 1 << 20), Ok(packets));
        }
    }

    #[test]
    fn packets_around_the_frame_limit_survive() {
        for size in [MAX_FRAME - 1, MAX_FRAME, MAX_FRAME + 1, 2 * MAX_FRAME, 2 * MAX_FRAME + 7] {
            let body: Vec<u8> = (0..size - 1).map(|i| (i % 251) as u8).collect();
            let (mut wire, mut seq) = (BytesMut::new(), 250);
            encode(&mut wire, &mut seq, b"\x03", &body);
            encode(&mut wire, &mut seq, &[], b"next");
            let frames = size / MAX_FRAME + 2;
            assert_eq!(wire.len(), size + 4 + HEADER * frames);
            assert_eq!(seq, 250u8.wrapping_add(frames as u8));
            let mut decoder = Decoder::new(size);
            decoder.expect(250);
            let mut got = Vec::new();
            for part in wire.chunks(7_000_001) {
                decoder.buffer().extend_from_slice(part);
                while decoder.advance().unwrap() {
                    got.push(decoder.take());
                    assert!(decoder.payload().is_empty());
                }
            }
            assert_eq!(got.len(), 2);
            assert_eq!((got[0][0], &got[0][1..]), (3, &body[..]));
            assert_eq!(got[1], &b"next"[..]);
        }
    }

    #[test]
    fn a_huge_packet_leaves_no_huge_buffer() {
        let (mut wire, mut seq) = (BytesMut::new(), 0);
        encode(&mut wire, &mut seq, &[], &vec![7; 8 * KEEP]);
        let mut decoder = Decoder::new(usize::MAX);
        for part in wire.chunks(READ_SIZE) {
            decoder.buffer().extend_from_slice(part);
            while decoder.advance().unwrap() {}
        }
        decoder.release();
        assert!(decoder.buffer().capacity() < KEEP);
    }

    #[test]
    fn wrong_order_and_size_are_refused_from_the_header() {
        let mut decoder = Decoder::new(10);
        decoder.expect(1);
        decoder.buffer().extend_from_slice(&[2, 0, 0, 0, 0xFF, 1]);
        assert_eq!(decoder.advance(), Err(FrameError::OutOfOrder { expected: 1, got: 0 }));
        assert_eq!(decoder.out_of_turn(), Some(&[0xFF, 1][..]));
        let mut decoder = Decoder::new(10);
        decoder.buffer().extend_from_slice(&[11, 0, 0, 0]);
        assert_eq!(decoder.advance(), Err(FrameError::TooLarge { size: 11, limit: 10 }));
        assert_eq!(decoder.unread(), [11, 0, 0, 0]);
    }
}
