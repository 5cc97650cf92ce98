//! GTIDs on the wire: the events that begin transactions, and the dump request that names what we have.

use mysql_common::binlog::BinlogCtx;
use mysql_common::binlog::consts::BinlogVersion;
use mysql_common::binlog::events::{FormatDescriptionEvent, GtidEvent};
use mysql_common::io::ParseBuf;
use mysql_common::packets::{ComBinlogDumpGtid, GnoInterval, Sid, Tag};
use mysql_common::proto::MySerialize;
use uuid::Uuid;

use crate::model::{Gtid, GtidSet, position::GtidSource};

use super::cursor::{Cursor, Malformed};
use super::event::{HEADER, kind};

/// Where binlog files begin, behind their magic number.
const FIRST_POSITION: u64 = 4;

/// What a GTID event says of the transaction it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// The transaction.
    pub gtid: Gtid,
    /// When it was committed where it originated, microseconds since 1970 UTC; where that is unknown, on this server.
    pub committed_us: u64,
    /// Its bytes in the binlog; 0 before MySQL 8.0.2.
    pub length: u64,
}

impl Begin {
    /// Reads the body of a GTID event.
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        const LOGICAL_CLOCK: u8 = 2;
        const ORIGINAL_FOLLOWS: u64 = 1 << 55;
        let mut cursor = Cursor::new(body);
        cursor.u8()?;
        let uuid = Uuid::from_bytes(cursor.array()?);
        let number = cursor.u64()?;
        let gtid = gtid(uuid, String::new(), number)?;
        let mut begin = Begin { gtid, committed_us: 0, length: 0 };
        // Servers before 5.7 stop here, those before 8.0 before the times.
        if cursor.is_empty() || cursor.u8()? != LOGICAL_CLOCK {
            return Ok(begin);
        }
        cursor.take(16)?;
        if !cursor.is_empty() {
            let immediate = cursor.uint(7)?;
            let original = if immediate & ORIGINAL_FOLLOWS != 0 { cursor.uint(7)? } else { 0 };
            begin.committed_us = if original != 0 { original } else { immediate & !ORIGINAL_FOLLOWS };
        }
        if !cursor.is_empty() {
            begin.length = cursor.lenenc()?;
        }
        Ok(begin)
    }

    /// Reads the body of a tagged GTID event (MySQL 8.3 and later).
    pub fn parse_tagged(body: &[u8]) -> Result<Self, Malformed> {
        let format = FormatDescriptionEvent::new(BinlogVersion::Version4);
        let context = BinlogCtx::new(HEADER + body.len(), &format, kind::GTID_TAGGED);
        let event =
            ParseBuf(body).parse::<GtidEvent>(context).map_err(|_| Malformed("a tagged GTID event cannot be read"))?;
        let tag = event.tag().map(|tag| tag.as_str().to_owned()).unwrap_or_default();
        let gtid = gtid(Uuid::from_bytes(event.sid()), tag, event.gno())?;
        let (original, immediate) = (event.original_commit_timestamp(), event.immediate_commit_timestamp());
        Ok(Begin { gtid, committed_us: if original != 0 { original } else { immediate }, length: event.tx_length() })
    }
}

fn gtid(uuid: Uuid, tag: String, number: u64) -> Result<Gtid, Malformed> {
    if number == 0 || number >= i64::MAX as u64 {
        return Err(Malformed("a GTID has an impossible number"));
    }
    Ok(Gtid { source: GtidSource { uuid, tag }, number })
}

/// The body (without command byte) of COM_BINLOG_DUMP_GTID from the first transaction outside `from` on.
///
/// The file name is empty: with one MySQL skips its checks for purged gaps and lost logs.
pub fn dump_request(from: &GtidSet, server_id: u32) -> Result<Vec<u8>, Malformed> {
    let mut sids = Vec::new();
    for (source, intervals) in from.iter() {
        let mut sid = Sid::new(source.uuid.into_bytes());
        if !source.tag.is_empty() {
            let tag = Tag::new(source.tag.clone()).map_err(|_| Malformed("a GTID tag that MySQL does not allow"))?;
            sid = sid.with_tag(tag);
        }
        // The end is exclusive.
        let intervals = intervals.iter().map(|i| GnoInterval::new(i.first, i.last + 1)).collect();
        sids.push(sid.with_intervals(intervals));
    }
    let mut packet = Vec::new();
    ComBinlogDumpGtid::new(server_id).with_pos(FIRST_POSITION).with_sids(sids).serialize(&mut packet);
    packet.remove(0);
    Ok(packet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UUID: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn body(clock: &[u8]) -> Vec<u8> {
        let mut body = vec![1];
        body.extend(UUID.parse::<Uuid>().unwrap().as_bytes());
        body.extend(23u64.to_le_bytes());
        body.extend(clock);
        body
    }

    #[test]
    fn gtid_events_of_all_ages() {
        let old = Begin::parse(&body(&[])).unwrap();
        assert_eq!((old.gtid.to_string(), old.committed_us), (format!("{UUID}:23"), 0));
        let mut clock = vec![2];
        clock.extend([0; 16]);
        clock.extend(1_700_000_000_000_000u64.to_le_bytes()[..7].iter());
        clock.extend([0xFC, 0x34, 0x12, 0, 0, 0, 0]);
        let new = Begin::parse(&body(&clock)).unwrap();
        assert_eq!((new.committed_us, new.length), (1_700_000_000_000_000, 0x1234));
        assert!(Begin::parse(&body(&clock[..10])).is_err());
    }

    #[test]
    fn a_tag_is_a_sid_of_its_own() {
        let set: GtidSet = format!("{UUID}:1-9:blue:1-2").parse().unwrap();
        let packet = dump_request(&set, 7).unwrap();
        assert_eq!(packet[2..6], 7u32.to_le_bytes());
        assert_eq!(packet[6..10], [0; 4], "an empty file name");
        assert_eq!(packet[10..18], FIRST_POSITION.to_le_bytes());
        assert_eq!(packet[22..30], (2u64 << 8 | 1 << 56).to_le_bytes());
        assert!(packet.windows(4).any(|bytes| bytes == b"blue"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = (Begin::parse(&body), Begin::parse_tagged(&body));
        }
    }
}
