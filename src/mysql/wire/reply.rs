//! What a server's packets mean. Pure: bytes in, meaning out; nothing here trusts a length it was sent.

use mysql_common::{
    constants::{CapabilityFlags, StatusFlags},
    io::ParseBuf,
    packets::{CommonOkPacket, ErrPacket, HandshakePacket, OkPacket, OkPacketDeserializer, ResultSetTerminator},
};

use crate::mysql::error::MysqlError;

use super::frame::MAX_FRAME;

/// Where a greeting holds the length of its challenge, counted from the NUL that ends the version text.
const CHALLENGE_LENGTH_AT: usize = 21;

/// How a statement without rows ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Rows affected. Connections ask for FOUND_ROWS, so an UPDATE counts the rows it matched, changed or not; INSERT …
    /// ON DUPLICATE KEY UPDATE counts 1 per inserted or unchanged row and 2 per changed one.
    pub affected_rows: u64,
    /// First generated AUTO_INCREMENT value, 0 for none.
    pub last_insert_id: u64,
    /// Number of warnings that `SHOW WARNINGS` would list (capped by the server at 65,535).
    pub warnings: u16,
    /// Session state after the statement (in transaction, autocommit, …).
    pub status: StatusFlags,
    /// The server's remark, usually empty.
    pub info: String,
}

/// The numbers in the remark of LOAD DATA and multi-row INSERT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadCounts {
    /// Rows read.
    pub records: u64,
    /// Rows removed by REPLACE.
    pub deleted: u64,
    /// Rows left out as duplicates.
    pub skipped: u64,
    /// Warnings, not capped.
    pub warnings: u64,
}

impl Done {
    /// Parses `Records: n  Deleted: n  Skipped: n  Warnings: n`. Only the numbers count, since `lc_messages` translates the
    /// words. `None` unless the remark has exactly four.
    pub fn load_counts(&self) -> Option<LoadCounts> {
        let mut numbers = self.info.split(|c: char| !c.is_ascii_digit()).filter(|s| !s.is_empty());
        let mut next = || numbers.next()?.parse().ok();
        let counts = LoadCounts { records: next()?, deleted: next()?, skipped: next()?, warnings: next()? };
        numbers.next().is_none().then_some(counts)
    }

    fn from_ok(ok: OkPacket<'_>) -> Self {
        Done {
            affected_rows: ok.affected_rows(),
            last_insert_id: ok.last_insert_id().unwrap_or(0),
            warnings: ok.warnings(),
            status: ok.status_flags(),
            info: ok.info_str().map(|info| info.into_owned()).unwrap_or_default(),
        }
    }

    /// True when another result of the same command follows.
    pub fn more_results(&self) -> bool {
        self.status.contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS)
    }
}

/// The first packet of an answer to a statement.
#[derive(Debug)]
pub enum Answer {
    /// The statement is over.
    Done(Done),
    /// The server refused.
    Refused(MysqlError),
    /// The server asks for the data of LOAD DATA LOCAL. The file name it sends is never looked at.
    LocalInfile,
    /// Rows follow, after this many column definitions.
    Columns(u64),
}

/// A packet within a result set.
#[derive(Debug)]
pub enum RowPacket {
    /// A row.
    Row,
    /// The end of the rows.
    End(Done),
    /// The statement failed midway.
    Refused(MysqlError),
}

/// Reads a server's greeting, which is no refusal; `Err` says what is malformed.
pub fn greeting(packet: &[u8]) -> Result<HandshakePacket<'static>, String> {
    // mysql_common computes with the challenge's length as an i8.
    let version_end = packet.iter().position(|&byte| byte == 0).unwrap_or(packet.len());
    if packet.first() != Some(&10) || packet.get(version_end + CHALLENGE_LENGTH_AT).is_none_or(|&len| len > 127) {
        return Err("its greeting is not protocol 10".to_owned());
    }
    let read = ParseBuf(packet).parse::<HandshakePacket<'_>>(());
    read.map(HandshakePacket::into_owned).map_err(|error| format!("malformed greeting: {error}"))
}

/// Reads the first packet of an answer; `Err` says what is malformed.
pub fn answer(packet: &[u8], capabilities: CapabilityFlags) -> Result<Answer, String> {
    match packet.first() {
        Some(0x00) => ok(packet, capabilities).map(Answer::Done),
        Some(0xFF) => refusal(packet, capabilities).map(Answer::Refused),
        Some(0xFB) => Ok(Answer::LocalInfile),
        Some(_) => match lenenc(packet) {
            Some((columns, [])) if columns > 0 => Ok(Answer::Columns(columns)),
            _ => Err("malformed column count".to_owned()),
        },
        None => Err("empty answer".to_owned()),
    }
}

/// Reads a packet of a text result set (with CLIENT_DEPRECATE_EOF: an OK with header 0xFE ends it).
pub fn row_packet(packet: &[u8], capabilities: CapabilityFlags) -> Result<RowPacket, String> {
    match packet.first() {
        // A row may begin with 0xFE too: a value of 16 MiB and more, so that the packet is longer than any terminator.
        Some(0xFE) if packet.len() < MAX_FRAME => {
            let ok = ParseBuf(packet)
                .parse::<OkPacketDeserializer<'_, ResultSetTerminator>>(capabilities)
                .map_err(|error| format!("malformed end of rows: {error}"))?;
            Ok(RowPacket::End(Done::from_ok(ok.into_inner())))
        }
        Some(0xFF) => refusal(packet, capabilities).map(RowPacket::Refused),
        Some(_) => Ok(RowPacket::Row),
        None => Err("empty packet among rows".to_owned()),
    }
}

/// Reads an OK packet.
pub fn ok(packet: &[u8], capabilities: CapabilityFlags) -> Result<Done, String> {
    let ok = ParseBuf(packet)
        .parse::<OkPacketDeserializer<'_, CommonOkPacket>>(capabilities)
        .map_err(|error| format!("malformed OK packet: {error}"))?;
    Ok(Done::from_ok(ok.into_inner()))
}

/// Reads an ERR packet as [`MysqlError::Server`].
pub fn refusal(packet: &[u8], capabilities: CapabilityFlags) -> Result<MysqlError, String> {
    // An ERR that comes before capabilities are agreed (too many connections) has no SQLSTATE.
    let with_state = packet.get(3) == Some(&b'#');
    let capabilities = if with_state { capabilities } else { capabilities - CapabilityFlags::CLIENT_PROTOCOL_41 };
    match ParseBuf(packet).parse::<ErrPacket<'_>>(capabilities) {
        Ok(ErrPacket::Error(error)) => Ok(MysqlError::Server {
            code: error.error_code(),
            state: error.sql_state_ref().map(|state| state.as_str().into_owned()).unwrap_or_default(),
            message: error.message_str().into_owned(),
        }),
        Ok(ErrPacket::Progress(_)) => Err("progress report that was not asked for".to_owned()),
        Err(error) => Err(format!("malformed error packet: {error}")),
    }
}

/// A length-encoded integer and what follows it; `None` for NULL (0xFB), 0xFF or too few bytes.
pub fn lenenc(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let width = match first {
        0..=0xFA => return Some((u64::from(first), rest)),
        0xFC => 2,
        0xFD => 3,
        0xFE => 8,
        0xFB | 0xFF => return None,
    };
    let (number, rest) = rest.split_at_checked(width)?;
    let mut le = [0; 8];
    le[..width].copy_from_slice(number);
    Some((u64::from_le_bytes(le), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CAPABILITIES: CapabilityFlags =
        CapabilityFlags::CLIENT_PROTOCOL_41.union(CapabilityFlags::CLIENT_DEPRECATE_EOF);

    #[test]
    fn load_remarks_are_read_in_any_language() {
        let done = |info: &str| Done {
            affected_rows: 0,
            last_insert_id: 0,
            warnings: 0,
            status: StatusFlags::empty(),
            info: info.to_owned(),
        };
        let counts = Some(LoadCounts { records: 12, deleted: 0, skipped: 3, warnings: 70000 });
        assert_eq!(done("Records: 12  Deleted: 0  Skipped: 3  Warnings: 70000").load_counts(), counts);
        assert_eq!(done("Datensätze: 12  Gelöscht: 0  Ausgelassen: 3  Warnungen: 70000").load_counts(), counts);
        assert_eq!(done("Rows matched: 1  Changed: 1  Warnings: 0").load_counts(), None);
        assert_eq!(done("").load_counts(), None);
    }

    #[test]
    fn errors_with_and_without_sqlstate() {
        let with = refusal(b"\xff\x26\x04#23000Duplicate", CAPABILITIES).unwrap();
        assert_eq!(with.to_string(), "server error 1062 (23000): Duplicate");
        let without = refusal(b"\xff\x10\x04Too many connections", CAPABILITIES).unwrap();
        assert_eq!(without.to_string(), "server error 1040 (): Too many connections");
    }

    proptest! {
        #[test]
        fn no_packet_makes_us_panic(packet in prop::collection::vec(any::<u8>(), 0..64), head in 0usize..5) {
            let mut packet = packet;
            if let (Some(first), Some(&kind)) = (packet.first_mut(), [0x00, 0xFF, 0xFE, 0xFB].get(head)) {
                *first = kind;
            }
            let _ = answer(&packet, CAPABILITIES);
            let _ = row_packet(&packet, CAPABILITIES);
        }
    }
}
