//! What the gateway itself says to clients: OK, ERR, EOF, columns and rows. Pure: appends a packet's payload.
//!
//! Relayed answers are not made here. Source: MySQL Internals, "Generic Response Packets", "Text Resultset".

use mysql_common::constants::{CapabilityFlags, ColumnFlags, ColumnType, SessionStateType, StatusFlags};

use super::column::ColumnSpec;
use super::error::SqlError;

/// utf8mb4_0900_ai_ci, what the gateway's own texts are in.
const UTF8MB4: u16 = 255;
/// Bytes of the fixed part of a column definition.
const FIXED: u8 = 0x0C;
const NULL: u8 = 0xFB;

/// How a statement that has no rows ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OkPacket {
    /// Rows affected.
    pub affected_rows: u64,
    /// First generated AUTO_INCREMENT value, 0 for none.
    pub last_insert_id: u64,
    /// The session's state. SERVER_SESSION_STATE_CHANGED is set and cleared as `changes` are sent or not.
    pub status: StatusFlags,
    /// Warnings that SHOW WARNINGS would list.
    pub warnings: u16,
    /// A remark, e.g. `Rows matched: 1  Changed: 0  Warnings: 0`.
    pub info: Vec<u8>,
    /// What the statement changed in the session, for clients that asked to hear of it.
    pub changes: Vec<StateChange>,
}

/// A change of the session, as CLIENT_SESSION_TRACK reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateChange {
    /// A system variable has a new value.
    SystemVariable {
        /// Its name, without scope.
        name: Vec<u8>,
        /// Its value as text.
        value: Vec<u8>,
    },
    /// The default database is now this one.
    Schema(Vec<u8>),
    /// Something changed, whatever it was.
    State(bool),
    /// A transaction was begun explicitly (true), or one that was is over. Told whatever `session_track_transaction_info`
    /// says; what more that variable asks for is the server's to tell.
    Transaction(bool),
    /// Something that is not told, only that it is: a transaction was followed by another.
    Untold,
    /// What a server reported, encoded.
    Reported(Vec<u8>),
}

/// Appends an OK packet.
pub fn ok(out: &mut Vec<u8>, ok: &OkPacket, capabilities: CapabilityFlags) {
    ok_with_header(out, 0x00, ok, capabilities);
}

/// Appends an ERR packet. Before capabilities are agreed (`known` false) it has no SQLSTATE.
pub fn error(out: &mut Vec<u8>, error: &SqlError, known: bool) {
    out.push(0xFF);
    out.extend_from_slice(&error.code.to_le_bytes());
    if known {
        out.push(b'#');
        out.extend_from_slice(&error.state);
    }
    out.extend_from_slice(error.message.as_bytes());
}

/// Appends what ends the columns of a result, or nothing where the client wants nothing there.
pub fn end_of_columns(out: &mut Vec<u8>, status: StatusFlags, capabilities: CapabilityFlags) -> bool {
    let wanted = !capabilities.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF);
    if wanted {
        eof(out, 0, status);
    }
    wanted
}

/// Appends what ends the rows of a result: EOF, or the OK packet that replaced it.
pub fn end_of_rows(out: &mut Vec<u8>, warnings: u16, status: StatusFlags, capabilities: CapabilityFlags) {
    if capabilities.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF) {
        ok_with_header(out, 0xFE, &OkPacket { warnings, status, ..OkPacket::default() }, capabilities);
    } else {
        eof(out, warnings, status);
    }
}

/// Appends the first packet of a result set.
pub fn column_count(out: &mut Vec<u8>, columns: usize, capabilities: CapabilityFlags) {
    lenenc(out, columns as u64);
    if capabilities.contains(CapabilityFlags::CLIENT_OPTIONAL_RESULTSET_METADATA) {
        // RESULTSET_METADATA_FULL: what the gateway answers itself is always described.
        out.push(1);
    }
}

/// Appends a column definition.
pub fn column(out: &mut Vec<u8>, column: &ColumnSpec) {
    let table = column.table.as_bytes();
    let original = if column.original { column.name.as_bytes() } else { b"" };
    for text in [b"def", &b""[..], table, table, column.name.as_bytes(), original] {
        lenenc_bytes(out, text);
    }
    let binary = column.flags.contains(ColumnFlags::BINARY_FLAG);
    out.push(FIXED);
    out.extend_from_slice(&if binary { 63 } else { UTF8MB4 }.to_le_bytes());
    out.extend_from_slice(&column.length.to_le_bytes());
    out.push(column.kind as u8);
    out.extend_from_slice(&column.flags.bits().to_le_bytes());
    out.extend_from_slice(&[column.decimals, 0, 0]);
}

/// Appends a row of the text protocol; `None` is NULL.
pub fn text_row(out: &mut Vec<u8>, values: impl IntoIterator<Item = Option<impl AsRef<[u8]>>>) {
    for value in values {
        match value {
            Some(value) => lenenc_bytes(out, value.as_ref()),
            None => out.push(NULL),
        }
    }
}

/// Appends a row of the binary protocol. Values come as texts; those of an integer column are digits.
pub fn binary_row(
    out: &mut Vec<u8>,
    columns: &[ColumnSpec],
    values: impl IntoIterator<Item = Option<impl AsRef<[u8]>>>,
) {
    // The bitmap of NULLs begins at its third bit.
    let bitmap = out.len() + 1;
    out.resize(bitmap + (columns.len() + 2).div_ceil(8), 0);
    for (index, value) in values.into_iter().enumerate() {
        let width = match columns.get(index).map(|column| column.kind) {
            Some(ColumnType::MYSQL_TYPE_LONG) => Some(4),
            Some(ColumnType::MYSQL_TYPE_LONGLONG) => Some(8),
            _ => None,
        };
        match (value, width) {
            (Some(digits), Some(width)) => {
                let number: u64 = str::from_utf8(digits.as_ref()).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
                out.extend_from_slice(number.to_le_bytes().get(..width).unwrap_or_default());
            }
            (Some(value), None) => lenenc_bytes(out, value.as_ref()),
            (None, _) => {
                let bit = index + 2;
                if let Some(byte) = out.get_mut(bitmap + bit / 8) {
                    *byte |= 1 << (bit % 8);
                }
            }
        }
    }
}

/// Appends the first packet of the answer to COM_STMT_PREPARE of a statement without parameters.
pub fn prepared(out: &mut Vec<u8>, id: u32, columns: usize, capabilities: CapabilityFlags) {
    let columns = u16::try_from(columns).unwrap_or(u16::MAX);
    out.push(0);
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&columns.to_le_bytes());
    // No parameters, a filler, no warnings.
    out.extend_from_slice(&[0; 5]);
    if capabilities.contains(CapabilityFlags::CLIENT_OPTIONAL_RESULTSET_METADATA) {
        out.push(1);
    }
}

/// Appends a length-encoded integer.
pub fn lenenc(out: &mut Vec<u8>, number: u64) {
    let bytes = number.to_le_bytes();
    let (head, width) = match number {
        0..=0xFA => (None, 1),
        0xFB..=0xFFFF => (Some(0xFC), 2),
        0x1_0000..=0xFF_FFFF => (Some(0xFD), 3),
        _ => (Some(0xFE), 8),
    };
    out.extend(head);
    out.extend_from_slice(&bytes[..width]);
}

/// Appends a length-encoded string.
pub fn lenenc_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    lenenc(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn eof(out: &mut Vec<u8>, warnings: u16, status: StatusFlags) {
    out.push(0xFE);
    out.extend_from_slice(&warnings.to_le_bytes());
    out.extend_from_slice(&status.bits().to_le_bytes());
}

fn ok_with_header(out: &mut Vec<u8>, header: u8, ok: &OkPacket, capabilities: CapabilityFlags) {
    let changed = capabilities.contains(CapabilityFlags::CLIENT_SESSION_TRACK) && !ok.changes.is_empty();
    let mut status = ok.status;
    status.set(StatusFlags::SERVER_SESSION_STATE_CHANGED, changed);
    out.push(header);
    lenenc(out, ok.affected_rows);
    lenenc(out, ok.last_insert_id);
    out.extend_from_slice(&status.bits().to_le_bytes());
    out.extend_from_slice(&ok.warnings.to_le_bytes());
    // As mysqld: the remark has its length also where the documentation has it end with the packet.
    if !ok.info.is_empty() || changed {
        lenenc_bytes(out, &ok.info);
    }
    if changed {
        lenenc_bytes(out, &state_changes(&ok.changes));
    }
}

fn state_changes(changes: &[StateChange]) -> Vec<u8> {
    let mut out = Vec::new();
    for change in changes {
        let mut data = Vec::new();
        let kind = match change {
            StateChange::SystemVariable { name, value } => {
                lenenc_bytes(&mut data, name);
                lenenc_bytes(&mut data, value);
                SessionStateType::SESSION_TRACK_SYSTEM_VARIABLES
            }
            StateChange::Schema(name) => {
                lenenc_bytes(&mut data, name);
                SessionStateType::SESSION_TRACK_SCHEMA
            }
            StateChange::State(changed) => {
                lenenc_bytes(&mut data, if *changed { b"1" } else { b"0" });
                SessionStateType::SESSION_TRACK_STATE_CHANGE
            }
            StateChange::Transaction(begun) => {
                lenenc_bytes(&mut data, if *begun { b"T_______" } else { b"________" });
                SessionStateType::SESSION_TRACK_TRANSACTION_STATE
            }
            StateChange::Untold => continue,
            StateChange::Reported(block) => {
                out.extend_from_slice(block);
                continue;
            }
        };
        out.push(kind as u8);
        lenenc_bytes(&mut out, &data);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::wire::{RawRow, reply};
    use mysql_common::{
        io::ParseBuf,
        packets::{Column, CommonOkPacket, OkPacketDeserializer, StmtPacket, session_state_change::SessionStateChange},
    };
    use proptest::prelude::*;

    const MODERN: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41
        .union(CapabilityFlags::CLIENT_SESSION_TRACK)
        .union(CapabilityFlags::CLIENT_DEPRECATE_EOF);
    const OLD: CapabilityFlags = CapabilityFlags::CLIENT_PROTOCOL_41;

    #[test]
    fn another_implementation_reads_our_ok_packets() {
        let sent = OkPacket {
            affected_rows: 300,
            last_insert_id: u64::MAX,
            status: StatusFlags::SERVER_STATUS_AUTOCOMMIT,
            warnings: 7,
            info: b"Rows matched: 1".to_vec(),
            changes: vec![
                StateChange::SystemVariable { name: b"autocommit".to_vec(), value: b"ON".to_vec() },
                StateChange::Schema(b"commerce".to_vec()),
                StateChange::State(true),
            ],
        };
        let mut packet = Vec::new();
        ok(&mut packet, &sent, MODERN);
        let read = ParseBuf(&packet).parse::<OkPacketDeserializer<'_, CommonOkPacket>>(MODERN).unwrap().into_inner();
        assert_eq!((read.affected_rows(), read.last_insert_id(), read.warnings()), (300, Some(u64::MAX), 7));
        assert_eq!(read.info_str().as_deref(), Some("Rows matched: 1"));
        assert!(read.status_flags().contains(StatusFlags::SERVER_SESSION_STATE_CHANGED));
        let changes = read.session_state_info().unwrap();
        let changes: Vec<_> = changes.iter().map(|change| change.decode().unwrap()).collect();
        assert!(matches!(&changes[1], SessionStateChange::Schema(name) if name.as_str() == "commerce"), "{changes:?}");
        assert!(matches!(&changes[2], SessionStateChange::IsTracked(true)), "{changes:?}");
        assert_eq!(changes.len(), 3);

        let begun = |changes| OkPacket { status: StatusFlags::from_bits_retain(3), changes, ..OkPacket::default() };
        packet.clear();
        ok(&mut packet, &begun(vec![StateChange::Transaction(true)]), MODERN);
        assert_eq!(packet, b"\0\0\0\x03\x40\0\0\0\x0b\x05\t\x08T_______");
        packet.clear();
        ok(&mut packet, &begun(vec![StateChange::Untold]), MODERN);
        assert_eq!(packet, b"\0\0\0\x03\x40\0\0\0\0");

        packet.clear();
        ok(&mut packet, &sent, OLD);
        assert_eq!(packet.split_at(packet.len() - 16).1, b"\x0fRows matched: 1");
        let done = reply::ok(&packet, OLD).unwrap();
        assert_eq!(done.status, StatusFlags::SERVER_STATUS_AUTOCOMMIT);
    }

    #[test]
    fn columns_and_errors_read_back() {
        let mut packet = Vec::new();
        column(&mut packet, &ColumnSpec::text("Keyspace"));
        let read = ParseBuf(&packet).parse::<Column>(()).unwrap();
        assert_eq!((read.name_str(), read.character_set()), ("Keyspace".into(), UTF8MB4));
        assert_eq!(read.column_type(), ColumnType::MYSQL_TYPE_VAR_STRING);
        packet.clear();
        error(&mut packet, &SqlError::new(1049, b"42000", "Unknown database 'x'"), true);
        let read = reply::refusal(&packet, MODERN).unwrap();
        assert_eq!(read.to_string(), "server error 1049 (42000): Unknown database 'x'");
        packet.clear();
        error(&mut packet, &SqlError::new(1040, b"08004", "Too many connections"), false);
        assert_eq!(packet, b"\xff\x10\x04Too many connections");
        packet.clear();
        end_of_rows(&mut packet, 3, StatusFlags::SERVER_STATUS_IN_TRANS, MODERN);
        let end = reply::row_packet(&packet, MODERN).unwrap();
        assert!(matches!(end, reply::RowPacket::End(done) if done.warnings == 3), "{packet:?}");
        packet.clear();
        end_of_rows(&mut packet, 3, StatusFlags::SERVER_STATUS_IN_TRANS, OLD);
        assert_eq!(packet, [0xFE, 3, 0, 1, 0]);
    }

    #[test]
    fn nulls_of_binary_rows_are_marked() {
        let mut packet = Vec::new();
        let seven: Vec<_> = (0..7).map(|n| ColumnSpec::text(n.to_string())).collect();
        binary_row(&mut packet, &seven, [Some("a"), None, Some(""), None, None, None, None]);
        assert_eq!(packet, [0, 0b1110_1000, 0b0000_0001, 1, b'a', 0]);
        packet.clear();
        binary_row(&mut packet, &ColumnSpec::diagnostics(), [Some("Error"), Some("1049"), Some("x")]);
        assert_eq!(packet, b"\0\0\x05Error\x19\x04\0\0\x01x");
        packet.clear();
        prepared(&mut packet, 7, 2, MODERN);
        let read = ParseBuf(&packet).parse::<StmtPacket>(()).unwrap();
        assert_eq!((read.statement_id(), read.num_columns(), read.num_params(), read.warning_count()), (7, 2, 0, 0));
    }

    proptest! {
        #[test]
        fn rows_and_numbers_read_back(
            values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..300)), 1..9),
            number in any::<u64>(), shift in 0u32..64,
        ) {
            let mut packet = Vec::new();
            text_row(&mut packet, values.iter().map(Option::as_ref));
            let row = RawRow::parse(&packet, values.len()).unwrap();
            let read: Vec<_> = row.values().map(|value| value.map(<[u8]>::to_vec)).collect();
            prop_assert_eq!(read, values);
            packet.clear();
            lenenc(&mut packet, number >> shift);
            prop_assert_eq!(reply::lenenc(&packet), Some((number >> shift, &[][..])));
        }
    }
}
