//! Binlog events: headers, checksums, and the format description that says how the rest is written.
//!
//! Invariant: an event leaves here only with its CRC32 verified; inside a compressed payload events have none, and the
//! payload's own covers them. Source: mysql-server/libs/mysql/binlog/event/binlog_event.h.

use super::cursor::{Cursor, Malformed, le};

/// Event types.
pub mod kind {
    #![allow(missing_docs, reason = "the names are MySQL's own")]
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const INTVAR: u8 = 5;
    pub const LOAD: u8 = 6;
    pub const CREATE_FILE: u8 = 8;
    pub const APPEND_BLOCK: u8 = 9;
    pub const EXEC_LOAD: u8 = 10;
    pub const DELETE_FILE: u8 = 11;
    pub const NEW_LOAD: u8 = 12;
    pub const RAND: u8 = 13;
    pub const USER_VAR: u8 = 14;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const BEGIN_LOAD_QUERY: u8 = 17;
    pub const EXECUTE_LOAD_QUERY: u8 = 18;
    pub const TABLE_MAP: u8 = 19;
    pub const WRITE_ROWS_V1: u8 = 23;
    pub const UPDATE_ROWS_V1: u8 = 24;
    pub const DELETE_ROWS_V1: u8 = 25;
    pub const INCIDENT: u8 = 26;
    pub const HEARTBEAT: u8 = 27;
    pub const IGNORABLE: u8 = 28;
    pub const ROWS_QUERY: u8 = 29;
    pub const WRITE_ROWS: u8 = 30;
    pub const UPDATE_ROWS: u8 = 31;
    pub const DELETE_ROWS: u8 = 32;
    pub const GTID: u8 = 33;
    pub const ANONYMOUS_GTID: u8 = 34;
    pub const PREVIOUS_GTIDS: u8 = 35;
    pub const TRANSACTION_CONTEXT: u8 = 36;
    pub const VIEW_CHANGE: u8 = 37;
    pub const XA_PREPARE: u8 = 38;
    pub const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const HEARTBEAT_V2: u8 = 41;
    pub const GTID_TAGGED: u8 = 42;
}

/// Bytes of every event's header.
pub const HEADER: usize = 19;
const CHECKSUM: usize = 4;
/// Header flag: whoever does not know the type may skip the event.
const IGNORABLE_FLAG: u16 = 0x80;
/// Header flag of a format description whose file is still written; not covered by its checksum.
const IN_USE_FLAG: u16 = 0x1;

/// An event.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// Its type, see [`kind`].
    pub kind: u8,
    /// Whether its writer allows it to be skipped by those who do not know it.
    pub ignorable: bool,
    /// What follows the header, without checksum.
    pub body: &'a [u8],
}

/// Why bytes are not an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// They contradict the format.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The checksum is wrong.
    #[error("wrong checksum")]
    Checksum,
    /// There are no checksums.
    #[error("no checksums")]
    NoChecksums,
}

impl<'a> Event<'a> {
    /// Reads an event that stands alone: with checksum, as it comes from a server that was told we want them.
    pub fn checked(bytes: &'a [u8]) -> Result<Self, EventError> {
        let event = Event::bare(bytes)?;
        let is_format = event.kind == kind::FORMAT_DESCRIPTION;
        if is_format && !format_has_checksums(event.body)? {
            return Err(EventError::NoChecksums);
        }
        let (covered, checksum) =
            bytes.split_at_checked(bytes.len().wrapping_sub(CHECKSUM)).ok_or(EventError::Checksum)?;
        if covered.len() < HEADER {
            return Err(EventError::Checksum);
        }
        let mut hasher = crc32fast::Hasher::new();
        if is_format {
            let (before, flags, after) = (&covered[..17], &covered[17..HEADER], &covered[HEADER..]);
            hasher.update(before);
            hasher.update(&(le(flags) as u16 & !IN_USE_FLAG).to_le_bytes());
            hasher.update(after);
        } else {
            hasher.update(covered);
        }
        if u64::from(hasher.finalize()) != le(checksum) {
            return Err(EventError::Checksum);
        }
        Ok(Event { body: &covered[HEADER..], ..event })
    }

    /// Reads an event without checksum, from a compressed payload.
    pub fn bare(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let size = declared_size(bytes)?;
        if size != bytes.len() {
            return Err(Malformed("an event is not as long as it says"));
        }
        let flags = le(&bytes[17..HEADER]) as u16;
        Ok(Event { kind: bytes[4], ignorable: flags & IGNORABLE_FLAG != 0, body: &bytes[HEADER..] })
    }
}

/// How long the event is whose header `bytes` begin with.
pub fn declared_size(bytes: &[u8]) -> Result<usize, Malformed> {
    if bytes.len() < HEADER {
        return Err(Malformed("an event is shorter than its header"));
    }
    let size = le(&bytes[9..13]) as usize;
    if size < HEADER { Err(Malformed("an event is shorter than its header")) } else { Ok(size) }
}

/// Checks that the format is the one we read, and whether its events carry checksums.
fn format_has_checksums(body: &[u8]) -> Result<bool, Malformed> {
    /// Binlog version, server version, creation time.
    const FIXED: usize = 2 + 50 + 4;
    let mut cursor = Cursor::new(body);
    if cursor.u16()? != 4 {
        return Err(Malformed("the binlog is not of version 4"));
    }
    cursor.take(FIXED - 2)?;
    if usize::from(cursor.u8()?) != HEADER {
        return Err(Malformed("the binlog's events have a header of unknown length"));
    }
    let lengths_len =
        cursor.rest().len().checked_sub(1 + CHECKSUM).ok_or(Malformed("a format description ends early"))?;
    let lengths = cursor.take(lengths_len)?;
    // One length per type from 1 on: fixed parts that hold a table id of 6 bytes.
    let expected = [(kind::TABLE_MAP, 8), (kind::WRITE_ROWS, 10), (kind::UPDATE_ROWS, 10), (kind::DELETE_ROWS, 10)];
    for (kind, len) in expected {
        if lengths.get(usize::from(kind) - 1).is_some_and(|found| *found != len) {
            return Err(Malformed("the binlog's row events have a head of unknown length"));
        }
    }
    match cursor.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed("the binlog has checksums of an unknown kind")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 4];
        bytes.push(kind);
        bytes.extend([0; 4]);
        bytes.extend(((HEADER + body.len() + CHECKSUM) as u32).to_le_bytes());
        bytes.extend([0; 6]);
        bytes.extend(body);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    #[test]
    fn one_flipped_bit_is_found() {
        let good = event(kind::XID, &[1, 2, 3]);
        assert_eq!(Event::checked(&good).unwrap().body, [1, 2, 3]);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Event::checked(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn formats_without_checksums_are_told_apart() {
        let mut body = vec![4, 0];
        body.extend([0; 54]);
        body.push(HEADER as u8);
        body.extend([0; 18]);
        body.push(8);
        let with = |alg: u8| [&body[..], &[alg]].concat();
        assert!(Event::checked(&event(kind::FORMAT_DESCRIPTION, &with(1))).is_ok());
        let mut in_use = event(kind::FORMAT_DESCRIPTION, &with(1));
        in_use[17] |= IN_USE_FLAG as u8;
        assert!(Event::checked(&in_use).is_ok());
        let without = Event::checked(&event(kind::FORMAT_DESCRIPTION, &with(0))).unwrap_err();
        assert_eq!(without, EventError::NoChecksums);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..120), kind in any::<u8>()) {
            let _ = Event::checked(&bytes);
            let _ = Event::checked(&event(kind, &bytes));
        }
    }
}
