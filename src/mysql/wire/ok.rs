//! OK packets as they are on the wire, session tracking included, to be read, altered and written again. Pure.
//!
//! Invariants: every length is checked against the packet; what [`OkPacket::parse`] accepts, [`OkPacket::encode`] writes
//! back byte for byte. The remark is a length-encoded string whether or not CLIENT_SESSION_TRACK is agreed (the manual says
//! otherwise; mysqld 5.7 to 9.7 and libmysql do it so). Source: `net_send_ok` in sql/protocol_classic.cc.

use mysql_common::constants::StatusFlags;

use super::reply::lenenc;

/// The kinds of session state change that an OK packet may carry.
pub mod state {
    /// System variables: pairs of name and value.
    pub const SYSTEM_VARIABLES: u8 = 0;
    /// The default database.
    pub const SCHEMA: u8 = 1;
    /// Whether anything of the session's state changed at all.
    pub const STATE_CHANGE: u8 = 2;
}

/// An OK packet, or the one in an EOF's place that ends rows where CLIENT_DEPRECATE_EOF is agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OkPacket<'a> {
    /// 0x00, or 0xFE at the end of rows.
    pub header: u8,
    /// Rows affected.
    pub affected_rows: u64,
    /// First generated AUTO_INCREMENT value, 0 for none.
    pub last_insert_id: u64,
    /// The session's state.
    pub status: StatusFlags,
    /// Number of warnings.
    pub warnings: u16,
    /// The server's remark.
    pub info: &'a [u8],
    /// The session state changes; see [`changes`].
    pub changes: &'a [u8],
}

impl<'a> OkPacket<'a> {
    /// Reads a packet of a connection that has agreed on CLIENT_SESSION_TRACK or has not (`tracks`).
    pub fn parse(packet: &'a [u8], tracks: bool) -> Result<Self, String> {
        Self::read(packet, tracks).ok_or_else(|| "malformed OK packet".to_owned())
    }

    fn read(packet: &'a [u8], tracks: bool) -> Option<Self> {
        let (&header, rest) = packet.split_first()?;
        let (affected_rows, rest) = lenenc(rest)?;
        let (last_insert_id, rest) = lenenc(rest)?;
        let (&[a, b, c, d], mut rest) = rest.split_first_chunk::<4>()?;
        let status = StatusFlags::from_bits_retain(u16::from_le_bytes([a, b]));
        let (mut info, mut changes) = (&rest[..0], &rest[..0]);
        if !rest.is_empty() {
            (info, rest) = text(rest)?;
        }
        if tracks && status.contains(StatusFlags::SERVER_SESSION_STATE_CHANGED) && !rest.is_empty() {
            (changes, rest) = text(rest)?;
        }
        let warnings = u16::from_le_bytes([c, d]);
        rest.is_empty().then_some(OkPacket { header, affected_rows, last_insert_id, status, warnings, info, changes })
    }

    /// Appends the packet. The flag for session state changes is kept if the peer `tracks`, and cleared if not; without it
    /// there must be no changes.
    pub fn encode(&self, out: &mut Vec<u8>, tracks: bool) {
        let changed = tracks && self.status.contains(StatusFlags::SERVER_SESSION_STATE_CHANGED);
        let mut status = self.status;
        status.set(StatusFlags::SERVER_SESSION_STATE_CHANGED, changed);
        out.push(self.header);
        push_lenenc(out, self.affected_rows);
        push_lenenc(out, self.last_insert_id);
        out.extend_from_slice(&status.bits().to_le_bytes());
        out.extend_from_slice(&self.warnings.to_le_bytes());
        if changed || !self.info.is_empty() {
            push_text(out, self.info);
        }
        if changed {
            push_text(out, self.changes);
        }
    }
}

/// The changes in [`OkPacket::changes`] as (kind, data); `None` if they are malformed.
pub fn changes(mut block: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut found = Vec::new();
    while let Some((&kind, rest)) = block.split_first() {
        let (data, rest) = text(rest)?;
        found.push((kind, data));
        block = rest;
    }
    Some(found)
}

/// The variables in a change of kind [`state::SYSTEM_VARIABLES`] as (name, value); `None` if they are malformed.
pub fn variables(mut data: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut found = Vec::new();
    while !data.is_empty() {
        let (name, rest) = text(data)?;
        let (value, rest) = text(rest)?;
        found.push((name, value));
        data = rest;
    }
    Some(found)
}

/// A length-encoded string and what follows it.
pub fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = lenenc(bytes)?;
    rest.split_at_checked(usize::try_from(len).ok()?)
}

/// Appends a length-encoded string.
pub fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    push_lenenc(out, text.len() as u64);
    out.extend_from_slice(text);
}

/// Appends a length-encoded integer in its shortest form.
pub fn push_lenenc(out: &mut Vec<u8>, number: u64) {
    let le = number.to_le_bytes();
    match number {
        0..=0xFA => out.push(le[0]),
        0xFB..=0xFFFF => {
            out.push(0xFC);
            out.extend_from_slice(&le[..2]);
        }
        0x1_0000..=0xFF_FFFF => {
            out.push(0xFD);
            out.extend_from_slice(&le[..3]);
        }
        _ => {
            out.push(0xFE);
            out.extend_from_slice(&le);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_of_a_real_server_read_back() {
        // mysqld 9.7.4: an INSERT, and SET time_zone = '+01:00' with session tracking.
        let insert = b"\x00\x02\x00\x02\x00\x00\x00&Records: 2  Duplicates: 0  Warnings: 0";
        let set = b"\x00\x00\x00\x02@\x00\x00\x00\x13\x00\x11\ttime_zone\x06+01:00";
        for packet in [&insert[..], &set[..]] {
            let ok = OkPacket::parse(packet, true).unwrap();
            let mut again = Vec::new();
            ok.encode(&mut again, true);
            assert_eq!(again, packet);
        }
        let ok = OkPacket::parse(set, true).unwrap();
        let found = changes(ok.changes).unwrap();
        assert_eq!(found[0].0, state::SYSTEM_VARIABLES);
        assert_eq!(variables(found[0].1).unwrap(), [(&b"time_zone"[..], &b"+01:00"[..])]);
        let mut untracked = Vec::new();
        ok.encode(&mut untracked, false);
        assert_eq!(untracked, b"\x00\x00\x00\x02\x00\x00\x00");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(packet in prop::collection::vec(any::<u8>(), 0..80), tracks: bool) {
            if let Ok(ok) = OkPacket::parse(&packet, tracks)
                && let Some(found) = changes(ok.changes)
            {
                for (_, data) in found {
                    let _ = variables(data);
                }
            }
        }

        #[test]
        fn what_is_written_reads_back(
            numbers: (u64, u64, u16, u16),
            info in prop::collection::vec(any::<u8>(), 0..300),
            changes in prop::collection::vec(any::<u8>(), 0..300),
            tracks: bool,
        ) {
            let (affected_rows, last_insert_id, status, warnings) = numbers;
            let changes = if tracks { &changes[..] } else { &[] };
            let mut status = StatusFlags::from_bits_retain(status);
            status.set(StatusFlags::SERVER_SESSION_STATE_CHANGED, !changes.is_empty());
            let ok = OkPacket { header: 0, affected_rows, last_insert_id, status, warnings, info: &info, changes };
            let mut packet = Vec::new();
            ok.encode(&mut packet, tracks);
            prop_assert_eq!(OkPacket::parse(&packet, tracks), Ok(ok));
        }
    }
}
