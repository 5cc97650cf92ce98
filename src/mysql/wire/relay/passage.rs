//! Frames on their way from one connection to another: cut apart in the buffer they came in, numbered anew in place. Pure.
//!
//! Invariants: a packet that nobody needs to see is never held whole, whatever its length; one that is needed is handed out
//! only when it is whole and at most [`HELD_MOST`] bytes long; sequence ids are checked on every frame.

use crate::mysql::wire::frame::{FrameError, HEADER, MAX_FRAME};

/// The longest packet that is held whole. OK packets with a large set of GTIDs are the longest ones that exist.
pub const HELD_MOST: usize = 8 << 20;

/// Says which packets must be seen whole.
pub trait Judge {
    /// Whether the packet beginning with this byte, in a first frame of `len` bytes, must be seen whole.
    fn holds(&self, first: Option<u8>, len: usize) -> bool;
    /// A packet has gone by that was not held.
    fn passed(&mut self);
}

/// What the front of a buffer is.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut {
    /// So many bytes can be passed on as they are.
    Pass(usize),
    /// A frame that is a whole packet with so many bytes of payload, to be seen.
    Packet(usize),
    /// Too little to say; the frame at the front lacks bytes.
    More,
}

/// Where in a sequence of frames a buffer begins.
#[derive(Debug, Default)]
pub struct Passage {
    /// Payload bytes of the present frame that are yet to pass.
    rest: usize,
    /// Inside a packet that passes.
    within: bool,
    /// The present frame is the packet's last.
    last: bool,
}

impl Passage {
    /// True between packets.
    pub fn at_boundary(&self) -> bool {
        !self.within
    }

    /// Looks at the front of `buf` and numbers the frames that can pass: they must carry `from` and its successors and
    /// get `to` and its successors instead. A frame held is not numbered.
    pub fn cut(
        &mut self,
        buf: &mut [u8],
        from: &mut u8,
        to: &mut u8,
        judge: &mut impl Judge,
    ) -> Result<Cut, FrameError> {
        let mut at = 0;
        loop {
            let step = self.rest.min(buf.len() - at);
            at += step;
            self.rest -= step;
            if self.rest > 0 {
                break;
            }
            if self.within && self.last {
                self.within = false;
                judge.passed();
            }
            let Some(&mut [a, b, c, ref mut seq]) = buf.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) else {
                break;
            };
            let len = u32::from_le_bytes([a, b, c, 0]) as usize;
            if *seq != *from {
                return Err(FrameError::OutOfOrder { expected: *from, got: *seq });
            }
            if !self.within {
                let first = match buf.get(at + HEADER) {
                    _ if len == 0 => None,
                    Some(&first) => Some(first),
                    None => break,
                };
                if judge.holds(first, len) {
                    if at > 0 {
                        break;
                    }
                    if len > HELD_MOST {
                        return Err(FrameError::TooLarge { size: len, limit: HELD_MOST });
                    }
                    if buf.len() < HEADER + len {
                        break;
                    }
                    *from = from.wrapping_add(1);
                    return Ok(Cut::Packet(len));
                }
            }
            if let Some(seq) = buf.get_mut(at + HEADER - 1) {
                *seq = *to;
            }
            *from = from.wrapping_add(1);
            *to = to.wrapping_add(1);
            at += HEADER;
            (self.rest, self.within, self.last) = (len, true, len < MAX_FRAME);
        }
        Ok(if at > 0 { Cut::Pass(at) } else { Cut::More })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::wire::frame::{self, Decoder};
    use bytes::{Buf, BytesMut};
    use proptest::prelude::*;

    /// Holds packets that begin with 7.
    #[derive(Default)]
    struct Sevens {
        passed: usize,
    }

    impl Judge for Sevens {
        fn holds(&self, first: Option<u8>, len: usize) -> bool {
            first == Some(7) && len < MAX_FRAME
        }

        fn passed(&mut self) {
            self.passed += 1;
        }
    }

    /// Feeds `wire` in pieces; what passed, what was held, how many packets passed.
    fn feed(wire: &[u8], pieces: &[usize], to: u8) -> (BytesMut, Vec<Vec<u8>>, usize) {
        let (mut passage, mut judge) = (Passage::default(), Sevens::default());
        let (mut buf, mut out, mut held) = (BytesMut::new(), BytesMut::new(), Vec::new());
        let (mut from, mut to) = (0, to);
        let (mut rest, mut pieces) = (wire, pieces.iter().cycle());
        loop {
            match passage.cut(&mut buf, &mut from, &mut to, &mut judge).unwrap() {
                Cut::Pass(len) => {
                    out.extend_from_slice(&buf[..len]);
                    buf.advance(len);
                }
                Cut::Packet(len) => {
                    held.push(buf[HEADER..HEADER + len].to_vec());
                    buf.advance(HEADER + len);
                }
                Cut::More if rest.is_empty() => break,
                Cut::More => {
                    let (now, later) = rest.split_at((*pieces.next().unwrap()).min(rest.len()));
                    buf.extend_from_slice(now);
                    rest = later;
                }
            }
        }
        assert!(buf.is_empty() && passage.at_boundary());
        (out, held, judge.passed)
    }

    fn packets(wire: &mut BytesMut, from: u8) -> Vec<Vec<u8>> {
        let mut decoder = Decoder::new(usize::MAX);
        decoder.expect(from);
        decoder.buffer().extend_from_slice(wire);
        let mut found = Vec::new();
        while decoder.advance().unwrap() {
            found.push(decoder.payload().to_vec());
        }
        assert!(!decoder.has_unread());
        found
    }

    proptest! {
        #[test]
        fn packets_pass_or_are_held_however_they_arrive(
            sent in prop::collection::vec(prop::collection::vec(6u8..9, 0..20), 0..300),
            pieces in prop::collection::vec(1usize..60, 1..9),
            to: u8,
        ) {
            let (mut wire, mut seq) = (BytesMut::new(), 0);
            for packet in &sent {
                frame::encode(&mut wire, &mut seq, &[], packet);
            }
            let (mut out, held, passed) = feed(&wire, &pieces, to);
            let (sevens, others): (Vec<_>, Vec<_>) = sent.into_iter().partition(|packet| packet.first() == Some(&7));
            prop_assert_eq!(held, sevens);
            prop_assert_eq!(passed, others.len());
            prop_assert_eq!(packets(&mut out, to), others);
        }
    }

    #[test]
    fn long_packets_pass_in_pieces() {
        for size in [MAX_FRAME - 1, MAX_FRAME, MAX_FRAME + 1, 2 * MAX_FRAME] {
            let mut long = vec![9; size];
            long[0] = 7 + u8::from(size < MAX_FRAME);
            let (mut wire, mut seq) = (BytesMut::new(), 0);
            frame::encode(&mut wire, &mut seq, &[], &long);
            frame::encode(&mut wire, &mut seq, &[], b"\x07end");
            let (mut out, held, passed) = feed(&wire, &[65_536, 1_000_003], 250);
            assert_eq!((held, passed), (vec![b"\x07end".to_vec()], 1));
            assert_eq!(packets(&mut out, 250), [long]);
        }
    }

    #[test]
    fn what_is_out_of_order_or_too_long_to_hold_is_refused() {
        let (mut passage, mut judge) = (Passage::default(), Sevens::default());
        let refused = passage.cut(&mut [1, 0, 0, 3, 8], &mut 2, &mut 0, &mut judge);
        assert_eq!(refused, Err(FrameError::OutOfOrder { expected: 2, got: 3 }));
        let refused = passage.cut(&mut [0xFE, 0xFF, 0xFF, 2, 7], &mut 2, &mut 0, &mut judge);
        assert_eq!(refused, Err(FrameError::TooLarge { size: 0xFF_FFFE, limit: HELD_MOST }));
    }
}
