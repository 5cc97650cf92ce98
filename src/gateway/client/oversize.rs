//! Goes past a packet that is too large without holding it, so that its sender can be told so. Pure.
//!
//! A client reads an answer only once it has sent its packet, and only if the answer continues the packet's sequence ids.

use crate::mysql::wire::frame::{HEADER, MAX_FRAME};

/// Where in the packet we are. Starts before a frame's header.
#[derive(Debug, Default)]
pub struct Skip {
    header: [u8; HEADER],
    /// Bytes of the header that came.
    got: usize,
    /// Bytes of the frame that did not come yet.
    left: usize,
    last: bool,
    next: u8,
}

impl Skip {
    /// Takes the next bytes. `Some` once the packet is over: the sequence id of an answer to it.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Option<u8> {
        loop {
            let (passed, rest) = bytes.split_at(self.left.min(bytes.len()));
            self.left -= passed.len();
            if self.left > 0 {
                return None;
            }
            if self.last {
                return Some(self.next);
            }
            let (&byte, rest) = rest.split_first()?;
            bytes = rest;
            self.header[self.got] = byte;
            self.got += 1;
            if self.got == HEADER {
                let [a, b, c, seq] = self.header;
                self.left = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
                (self.got, self.last, self.next) = (0, self.left < MAX_FRAME, seq.wrapping_add(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::wire::frame;
    use bytes::BytesMut;
    use proptest::prelude::*;

    fn skipped(wire: &[u8], step: usize) -> Option<u8> {
        let mut skip = Skip::default();
        wire.chunks(step).find_map(|part| skip.feed(part))
    }

    #[test]
    fn a_packet_of_several_frames_is_passed() {
        for size in [0, 1, MAX_FRAME - 1, MAX_FRAME, 2 * MAX_FRAME + 5] {
            let (mut wire, mut seq) = (BytesMut::new(), 254);
            frame::encode(&mut wire, &mut seq, &[], &vec![0xFF; size]);
            assert_eq!(skipped(&wire, 1_000_003), Some(seq));
            assert_eq!(skipped(&wire[..wire.len() - 1], 1_000_003), None);
        }
    }

    proptest! {
        #[test]
        fn how_it_is_cut_does_not_matter(
            body in prop::collection::vec(any::<u8>(), 0..200), seq in any::<u8>(), step in 1usize..60,
        ) {
            let (mut wire, mut next) = (BytesMut::new(), seq);
            frame::encode(&mut wire, &mut next, &[], &body);
            wire.extend_from_slice(b"more");
            prop_assert_eq!(skipped(&wire, step), Some(next));
        }
    }
}
