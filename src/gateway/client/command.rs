//! What clients ask for. Pure: bytes in, meaning out; nothing here trusts a length.
//!
//! Invariant: every byte of a packet is part of its [`Command`], so that it can be passed on as it came, and a command
//! that is not known is [`Command::Unknown`], to be refused. Source: MySQL Internals, "Command Phase".

use bytes::{Buf, Bytes};
use mysql_common::constants::{CapabilityFlags, ColumnType};

use crate::mysql::binlog::cursor::{Cursor, Malformed};

/// A client's request. Three have no reply: [`Command::StmtSendLongData`], [`Command::StmtClose`], [`Command::Quit`].
///
/// Large [`Bytes`] share the buffer the packet came in: who keeps one for long copies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// COM_QUERY: run a text.
    Query {
        /// What CLIENT_QUERY_ATTRIBUTES puts before the text; empty without it.
        attributes: Bytes,
        /// The text, of any number of statements.
        sql: Bytes,
    },
    /// COM_INIT_DB: change the default database.
    InitDb(Bytes),
    /// COM_STMT_PREPARE: prepare a statement.
    StmtPrepare(Bytes),
    /// COM_STMT_EXECUTE: run a prepared statement.
    StmtExecute {
        /// The statement.
        id: u32,
        /// Cursor type and PARAMETER_COUNT_AVAILABLE.
        flags: u8,
        /// What follows the flags: iteration count, parameters.
        rest: Bytes,
    },
    /// COM_STMT_SEND_LONG_DATA: a piece of a parameter. Has no reply.
    StmtSendLongData {
        /// The statement.
        id: u32,
        /// The parameter, from 0.
        parameter: u16,
        /// The piece.
        data: Bytes,
    },
    /// COM_STMT_CLOSE: forget a prepared statement. Has no reply.
    StmtClose(u32),
    /// COM_STMT_RESET: forget a statement's long data and cursor.
    StmtReset(u32),
    /// COM_STMT_FETCH: rows of a cursor.
    StmtFetch {
        /// The statement.
        id: u32,
        /// How many rows.
        rows: u32,
    },
    /// COM_PING: are you there?
    Ping,
    /// COM_QUIT: the end. Has no reply.
    Quit,
    /// COM_CHANGE_USER: log in anew; the body goes to [`super::Client::change_user`].
    ChangeUser(Bytes),
    /// COM_RESET_CONNECTION: the session as after login.
    ResetConnection,
    /// COM_SET_OPTION: 0 several statements in a text, 1 not.
    SetOption(u16),
    /// COM_FIELD_LIST: a table's columns.
    FieldList {
        /// The table.
        table: Bytes,
        /// Which columns, as LIKE.
        wildcard: Bytes,
    },
    /// COM_STATISTICS: a line of text, not an OK packet, answers it.
    Statistics,
    /// COM_PROCESS_KILL: end a connection.
    ProcessKill(u32),
    /// Whatever else there is: its code and name.
    Unknown(u8, &'static str),
    /// A packet that its command's code does not fit, to be answered with [`super::SqlError::malformed_packet`].
    Malformed(u8),
}

impl Command {
    /// Reads a command packet.
    pub fn parse(mut packet: Bytes, capabilities: CapabilityFlags) -> Command {
        if packet.is_empty() {
            return Command::Unknown(0, "COM_SLEEP");
        }
        let code = packet.get_u8();
        read(code, packet, capabilities).unwrap_or(Command::Malformed(code))
    }
}

fn read(code: u8, mut body: Bytes, capabilities: CapabilityFlags) -> Result<Command, Malformed> {
    let mut cursor = Cursor::new(&body);
    Ok(match code {
        0x01 => Command::Quit,
        0x02 => Command::InitDb(body),
        0x03 => {
            let attributes = match capabilities.contains(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES) {
                true => {
                    let start = text_start(&body)?;
                    body.split_to(start)
                }
                false => Bytes::new(),
            };
            Command::Query { attributes, sql: body }
        }
        0x04 => {
            let end = body.iter().position(|&byte| byte == 0).unwrap_or(body.len());
            let table = body.split_to(end);
            body.advance(body.len().min(1));
            Command::FieldList { table, wildcard: body }
        }
        0x09 => Command::Statistics,
        0x0C => Command::ProcessKill(cursor.u32()?),
        0x0E => Command::Ping,
        0x11 => Command::ChangeUser(body),
        0x16 => Command::StmtPrepare(body),
        0x17 => {
            let (id, flags) = (cursor.u32()?, cursor.u8()?);
            Command::StmtExecute { id, flags, rest: body.split_off(5) }
        }
        0x18 => {
            let (id, parameter) = (cursor.u32()?, cursor.u16()?);
            Command::StmtSendLongData { id, parameter, data: body.split_off(6) }
        }
        0x19 => Command::StmtClose(cursor.u32()?),
        0x1A => Command::StmtReset(cursor.u32()?),
        0x1B => Command::SetOption(cursor.u16()?),
        0x1C => Command::StmtFetch { id: cursor.u32()?, rows: cursor.u32()? },
        0x1F => Command::ResetConnection,
        other => Command::Unknown(other, unknown(other)),
    })
}

/// Where the text begins behind the query attributes, which are parameters in the binary protocol; there may be none.
///
/// Source: MySQL Internals, "COM_QUERY".
pub fn text_start(body: &[u8]) -> Result<usize, Malformed> {
    let mut cursor = Cursor::new(body);
    let count = cursor.lenenc_usize()?;
    let _sets = cursor.lenenc()?;
    if count > 0 {
        let nulls = cursor.take(count.div_ceil(8))?;
        if cursor.u8()? != 1 {
            return Err(Malformed("query attributes come without their types"));
        }
        // Types stand before all values: a second cursor walks the values along with the types.
        let mut values = cursor;
        for _ in 0..count {
            values.take(2)?;
            values.lenenc_bytes()?;
        }
        for index in 0..count {
            let kind = cursor.u8()?;
            cursor.take(1)?;
            cursor.lenenc_bytes()?;
            let null = nulls.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1);
            if !null {
                skip_value(&mut values, kind)?;
            }
        }
        cursor = values;
    }
    Ok(body.len() - cursor.rest().len())
}

/// Goes past a value of the binary protocol.
fn skip_value(cursor: &mut Cursor<'_>, kind: u8) -> Result<(), Malformed> {
    use ColumnType::*;
    let kind = ColumnType::try_from(kind).map_err(|_| Malformed("a query attribute is of an unknown type"))?;
    let width = match kind {
        MYSQL_TYPE_NULL => 0,
        MYSQL_TYPE_TINY => 1,
        MYSQL_TYPE_SHORT | MYSQL_TYPE_YEAR => 2,
        MYSQL_TYPE_LONG | MYSQL_TYPE_INT24 | MYSQL_TYPE_FLOAT => 4,
        MYSQL_TYPE_LONGLONG | MYSQL_TYPE_DOUBLE => 8,
        MYSQL_TYPE_DATE | MYSQL_TYPE_DATETIME | MYSQL_TYPE_TIMESTAMP | MYSQL_TYPE_TIME => usize::from(cursor.u8()?),
        MYSQL_TYPE_DECIMAL
        | MYSQL_TYPE_NEWDECIMAL
        | MYSQL_TYPE_VARCHAR
        | MYSQL_TYPE_VAR_STRING
        | MYSQL_TYPE_STRING
        | MYSQL_TYPE_ENUM
        | MYSQL_TYPE_SET
        | MYSQL_TYPE_BIT
        | MYSQL_TYPE_JSON
        | MYSQL_TYPE_GEOMETRY
        | MYSQL_TYPE_VECTOR
        | MYSQL_TYPE_TINY_BLOB
        | MYSQL_TYPE_MEDIUM_BLOB
        | MYSQL_TYPE_LONG_BLOB
        | MYSQL_TYPE_BLOB => cursor.lenenc_usize()?,
        _ => return Err(Malformed("a query attribute is of a type that clients do not send")),
    };
    cursor.take(width).map(drop)
}

fn unknown(code: u8) -> &'static str {
    match code {
        0x00 => "COM_SLEEP",
        0x05 => "COM_CREATE_DB",
        0x06 => "COM_DROP_DB",
        0x07 => "COM_REFRESH",
        0x08 => "COM_SHUTDOWN",
        0x0A => "COM_PROCESS_INFO",
        0x0B => "COM_CONNECT",
        0x0D => "COM_DEBUG",
        0x0F => "COM_TIME",
        0x10 => "COM_DELAYED_INSERT",
        0x12 => "COM_BINLOG_DUMP",
        0x13 => "COM_TABLE_DUMP",
        0x14 => "COM_CONNECT_OUT",
        0x15 => "COM_REGISTER_SLAVE",
        0x1D => "COM_DAEMON",
        0x1E => "COM_BINLOG_DUMP_GTID",
        0x20 => "COM_CLONE",
        0x21 => "COM_SUBSCRIBE_GROUP_REPLICATION_STREAM",
        _ => "unknown command",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ATTRIBUTES: CapabilityFlags = CapabilityFlags::CLIENT_QUERY_ATTRIBUTES;

    fn parse(packet: &[u8], capabilities: CapabilityFlags) -> Command {
        Command::parse(Bytes::copy_from_slice(packet), capabilities)
    }

    #[test]
    fn commands_are_read() {
        let bytes = Bytes::from_static;
        let query = |attributes, sql| Command::Query { attributes: bytes(attributes), sql: bytes(sql) };
        let none = CapabilityFlags::empty();
        assert_eq!(parse(b"\x03SELECT 1", none), query(b"", b"SELECT 1"));
        assert_eq!(parse(b"\x03\x00\x01SELECT 1", ATTRIBUTES), query(b"\x00\x01", b"SELECT 1"));
        assert_eq!(parse(b"\x03\x05\x01SELECT 1", ATTRIBUTES), Command::Malformed(3));
        assert_eq!(
            parse(b"\x17\x01\0\0\0\x02rest", none),
            Command::StmtExecute { id: 1, flags: 2, rest: bytes(b"rest") }
        );
        let data = Command::StmtSendLongData { id: 256, parameter: 1, data: bytes(b"") };
        assert_eq!(parse(b"\x18\0\x01\0\0\x01\0", none), data);
        assert_eq!(parse(b"\x17\x01\0\0\0", none), Command::Malformed(0x17));
        assert_eq!(parse(b"\x1c\x01\0\0\0\x02\0\0\0", none), Command::StmtFetch { id: 1, rows: 2 });
        let list = Command::FieldList { table: bytes(b"t"), wildcard: bytes(b"a%") };
        assert_eq!(parse(b"\x04t\0a%", none), list);
        assert_eq!(parse(b"\x04", none), Command::FieldList { table: bytes(b""), wildcard: bytes(b"") });
        assert_eq!(parse(b"\x12", none), Command::Unknown(0x12, "COM_BINLOG_DUMP"));
        assert_eq!(parse(b"", none), Command::Unknown(0, "COM_SLEEP"));
    }

    #[test]
    fn the_text_behind_attributes_of_every_kind_is_found() {
        let values: [(u8, &[u8]); 9] = [
            (1, b"\x07"),
            (2, b"\x07\0"),
            (3, b"\x07\0\0\0"),
            (5, b"\0\0\0\0\0\0\0\0"),
            (8, b"\x07\0\0\0\0\0\0\0"),
            (12, b"\x04\xe9\x07\x01\x02"),
            (11, b"\0"),
            (6, b""),
            (253, b"\xfc\x02\0xy"),
        ];
        let mut packet = b"\x03\x0a\x01\x00\x02\x01".to_vec();
        for (index, (kind, _)) in values.iter().enumerate() {
            packet.extend_from_slice(&[*kind, 0, 1, b'a' + index as u8]);
        }
        packet.extend_from_slice(&[15, 0, 0]);
        values.iter().for_each(|(_, value)| packet.extend_from_slice(value));
        let end = packet.len();
        packet.extend_from_slice(b"SELECT 1");
        let Command::Query { attributes, sql } = parse(&packet, ATTRIBUTES) else { panic!("not a query") };
        assert_eq!((&attributes[..], &sql[..]), (&packet[1..end], &b"SELECT 1"[..]));
        for cut in 1..end {
            assert_eq!(parse(&packet[..cut], ATTRIBUTES), Command::Malformed(3));
        }
    }

    proptest! {
        #[test]
        fn no_packet_makes_us_panic(packet in prop::collection::vec(any::<u8>(), 0..80), code in 0u8..0x22) {
            for capabilities in [CapabilityFlags::empty(), ATTRIBUTES] {
                let mut packet = packet.clone();
                let _ = parse(&packet, capabilities);
                packet.insert(0, code);
                if let Command::Query { attributes, sql } = parse(&packet, capabilities) {
                    prop_assert_eq!([&attributes[..], &sql[..]].concat(), &packet[1..]);
                }
            }
        }
    }
}
