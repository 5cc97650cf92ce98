//! What each packet of a reply is, by where it stands, and what becomes of those that are not passed as they are. Pure.
//!
//! Invariants: 0xFE and 0xFF mean an end only where an end may stand; a client is told nothing of the session's state
//! that it did not ask for, nor of a schema's name on the server; every status it sees carries the overrides asked for.
//! Sources: sql/protocol_classic.cc, sql/sql_prepare.cc and libmysql's client.cc, since the manual errs on the place of the
//! metadata flag (after the column count) and on cursors (one end after the columns, none after rows).

use mysql_common::constants::{CapabilityFlags, StatusFlags};

use crate::mysql::{
    error::MysqlError,
    wire::{connection::MAX_COLUMNS, frame::MAX_FRAME, ok::OkPacket, reply},
};

use super::{Outcome, RelayOptions, Relayed, ReplyKind, passage::Judge, report};

/// Bytes of the first packet of the reply to COM_STMT_PREPARE, the metadata flag not counted.
const PREPARED: usize = 12;

/// Where the next packet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The first packet of a result.
    Head,
    /// The first packet of the reply to COM_STMT_PREPARE.
    Prepared,
    /// So many definitions of columns, then an EOF where there is no DEPRECATE_EOF, then what `then` says.
    Definitions { left: u64, then: Then },
    /// Rows or columns, until an end or an error.
    Rows,
    /// A single OK, EOF or ERR.
    Single,
    /// Nothing more belongs to this reply.
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Rows,
    /// The definitions of a prepared statement's columns.
    Columns(u64),
    Nothing,
}

/// What to do with a packet that was held.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it on as it is.
    Verbatim,
    /// Send [`Course::rewritten`] in its place.
    Rewritten,
    /// Send nothing.
    Withhold,
    /// Send it on; the client then sends a file.
    Upload,
}

/// A reply under way.
#[derive(Debug)]
pub struct Course<'a> {
    options: &'a RelayOptions<'a>,
    tracks: bool,
    deprecate_eof: bool,
    optional_metadata: bool,
    stage: Stage,
    first: bool,
    rows: u64,
    rewritten: Vec<u8>,
    relayed: Relayed,
}

impl Judge for Course<'_> {
    fn holds(&self, first: Option<u8>, len: usize) -> bool {
        match (self.stage, first) {
            (Stage::Definitions { left: 0, .. }, _) | (Stage::Head | Stage::Prepared | Stage::Single, _) => true,
            (Stage::Over, _) | (_, None) => true,
            (_, Some(0xFF)) => true,
            // A row may begin with 0xFE too, when its first value is 16 MiB and longer; its length tells them apart.
            (Stage::Rows, Some(0xFE)) => len < if self.deprecate_eof { MAX_FRAME } else { 9 },
            (Stage::Rows | Stage::Definitions { .. }, Some(_)) => false,
        }
    }

    fn passed(&mut self) {
        match self.stage {
            Stage::Rows => self.rows += 1,
            Stage::Definitions { left, then } => self.stage = self.definitions(left.saturating_sub(1), then),
            _ => {}
        }
    }
}

impl<'a> Course<'a> {
    /// A reply of which nothing has come. `capabilities` are those agreed with the server.
    pub fn new(options: &'a RelayOptions<'a>, capabilities: CapabilityFlags) -> Self {
        let stage = match options.kind {
            ReplyKind::Query { .. } => Stage::Head,
            ReplyKind::Prepare { .. } => Stage::Prepared,
            ReplyKind::Rows => Stage::Rows,
            ReplyKind::Simple => Stage::Single,
        };
        Course {
            options,
            tracks: capabilities.contains(CapabilityFlags::CLIENT_SESSION_TRACK),
            deprecate_eof: capabilities.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF),
            optional_metadata: capabilities.contains(CapabilityFlags::CLIENT_OPTIONAL_RESULTSET_METADATA),
            stage,
            first: true,
            rows: 0,
            rewritten: Vec::new(),
            relayed: Relayed::default(),
        }
    }

    /// True once the reply's last packet was held.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// The packet to send in place of the one held last.
    pub fn rewritten(&self) -> &[u8] {
        &self.rewritten
    }

    /// What the reply said.
    pub fn finish(self) -> Relayed {
        self.relayed
    }

    /// Takes a packet that [`Judge::holds`] asked for. `Err` says what is malformed.
    pub fn held(&mut self, packet: &[u8]) -> Result<Verdict, String> {
        let first = std::mem::replace(&mut self.first, false);
        let kind = packet.first().copied();
        if self.stage == Stage::Over || kind.is_none() {
            return Err("an empty packet, or one too many, in a reply".to_owned());
        }
        match (self.stage, kind) {
            (_, Some(0xFF)) => self.refused(packet, first),
            (Stage::Head | Stage::Single, Some(0x00)) => self.ok(packet),
            (Stage::Head, Some(0xFB)) => {
                // The client still waits for its first answer.
                self.first = true;
                Ok(Verdict::Upload)
            }
            (Stage::Head, _) => self.columns(packet),
            (Stage::Prepared, Some(0x00)) => self.prepared(packet),
            (Stage::Definitions { left: 0, then }, Some(0xFE)) => self.end_of_definitions(packet, then),
            (Stage::Rows, Some(0xFE)) | (Stage::Single, Some(0xFE)) => self.end(packet),
            _ => Err("a packet that has no place in a reply".to_owned()),
        }
    }

    fn refused(&mut self, packet: &[u8], first: bool) -> Result<Verdict, String> {
        self.stage = Stage::Over;
        let MysqlError::Server { code, state, message } = reply::refusal(packet, self.options.client_capabilities)?
        else {
            return Err("malformed error packet".to_owned());
        };
        let withhold = first && self.options.withhold.contains(&code);
        // What the statement changed before it failed is told with the next OK, status included.
        (self.relayed.status, self.relayed.reported) = (None, false);
        self.relayed.outcome = Outcome::Failed { code, state, message, withheld: withhold };
        Ok(if withhold { Verdict::Withhold } else { Verdict::Verbatim })
    }

    fn ok(&mut self, packet: &[u8]) -> Result<Verdict, String> {
        let ok = OkPacket::parse(packet, self.tracks)?;
        self.relayed.outcome = Outcome::Done {
            affected_rows: ok.affected_rows,
            last_insert_id: ok.last_insert_id,
            info: String::from_utf8_lossy(ok.info).into_owned(),
        };
        self.rewrite(ok)
    }

    fn columns(&mut self, packet: &[u8]) -> Result<Verdict, String> {
        let left = match (reply::lenenc(packet), self.optional_metadata) {
            (Some((columns @ 1..=MAX_COLUMNS, [])), false) => columns,
            (Some((columns @ 1..=MAX_COLUMNS, [1])), true) => columns,
            (Some((1..=MAX_COLUMNS, [0])), true) => 0,
            _ => return Err("malformed column count".to_owned()),
        };
        self.rows = 0;
        self.stage = self.definitions(left, Then::Rows);
        Ok(Verdict::Verbatim)
    }

    fn prepared(&mut self, packet: &[u8]) -> Result<Verdict, String> {
        let ReplyKind::Prepare { client_id } = self.options.kind else {
            return Err("the reply to another command".to_owned());
        };
        let &[_, a, b, c, d, e, f, g, h, _, low, high]: &[u8; PREPARED] = match packet.first_chunk() {
            Some(head) if packet.len() == PREPARED + usize::from(self.optional_metadata) && head[9] == 0 => head,
            // MySQL 9.7 answers some SETs it will not prepare with a plain OK, which may have any length.
            _ => {
                self.stage = Stage::Single;
                return self.ok(packet);
            }
        };
        let id = u32::from_le_bytes([a, b, c, d]);
        let (columns, params) = (u16::from_le_bytes([e, f]), u16::from_le_bytes([g, h]));
        self.relayed.outcome = Outcome::Prepared { id, columns, params };
        self.relayed.warnings = u16::from_le_bytes([low, high]);
        self.rewritten.clear();
        self.rewritten.extend_from_slice(packet);
        if let Some(place) = self.rewritten.get_mut(1..5) {
            place.copy_from_slice(&client_id.to_le_bytes());
        }
        let described = !self.optional_metadata || packet.get(12) != Some(&0);
        self.stage = match (described, params) {
            (false, _) => Stage::Over,
            (true, 0) => self.after(Then::Columns(columns.into())),
            (true, params) => self.definitions(params.into(), Then::Columns(columns.into())),
        };
        Ok(Verdict::Rewritten)
    }

    /// The stage of `left` definitions; with none left and no EOF to come it is the next one.
    fn definitions(&self, left: u64, then: Then) -> Stage {
        if left == 0 && self.deprecate_eof { self.after(then) } else { Stage::Definitions { left, then } }
    }

    fn after(&self, then: Then) -> Stage {
        match then {
            Then::Rows => Stage::Rows,
            Then::Columns(0) | Then::Nothing => Stage::Over,
            Then::Columns(left) => Stage::Definitions { left, then: Then::Nothing },
        }
    }

    fn end_of_definitions(&mut self, packet: &[u8], then: Then) -> Result<Verdict, String> {
        let status = eof_status(packet).ok_or("malformed end of columns")?;
        let asked = self.options.kind == ReplyKind::Query { cursor: true };
        let more = status.contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS);
        if asked && !more && then == Then::Rows && status.contains(StatusFlags::SERVER_STATUS_CURSOR_EXISTS) {
            return self.end(packet);
        }
        self.stage = self.after(then);
        self.rewrite_eof(packet, self.overridden(status, true));
        Ok(Verdict::Rewritten)
    }

    /// The end of rows, of columns or of a simple command.
    fn end(&mut self, packet: &[u8]) -> Result<Verdict, String> {
        let rows = self.rows;
        self.relayed.outcome = Outcome::Rows { rows };
        if self.deprecate_eof {
            let ok = OkPacket::parse(packet, self.tracks)?;
            return self.rewrite(ok);
        }
        let status = eof_status(packet).ok_or("malformed end of rows")?;
        let more = self.concluded(status);
        self.relayed.reported = false;
        self.relayed.warnings = packet.get(1..3).map_or(0, |at| u16::from(at[0]) | u16::from(at[1]) << 8);
        self.rewrite_eof(packet, self.overridden(status, more));
        Ok(Verdict::Rewritten)
    }

    /// Notes the status of a result's end; true when another result follows.
    fn concluded(&mut self, status: StatusFlags) -> bool {
        let more = matches!(self.options.kind, ReplyKind::Query { .. })
            && status.contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS);
        self.stage = if more { Stage::Head } else { Stage::Over };
        self.relayed.status = Some(status);
        more
    }

    fn overridden(&self, mut status: StatusFlags, more: bool) -> StatusFlags {
        status.insert(self.options.in_transaction);
        if !more && self.options.more_follow {
            status.insert(StatusFlags::SERVER_MORE_RESULTS_EXISTS);
        }
        status
    }

    fn rewrite(&mut self, ok: OkPacket<'_>) -> Result<Verdict, String> {
        let more = self.concluded(ok.status);
        self.relayed.warnings = ok.warnings;
        self.relayed.reported = self.tracks;
        let tracking = self.options.tracking;
        let mut told =
            report::take(ok.changes, tracking, &mut self.relayed).ok_or("malformed session state in an OK packet")?;
        if !std::mem::replace(&mut self.relayed.told_before, true) {
            told.splice(..0, tracking.before.iter().copied());
        }
        let mut status = self.overridden(ok.status, more);
        let touched = !told.is_empty() || tracking.touched && !more;
        status.set(StatusFlags::SERVER_SESSION_STATE_CHANGED, touched);
        let hears = self.options.client_capabilities.contains(CapabilityFlags::CLIENT_SESSION_TRACK);
        self.rewritten.clear();
        OkPacket { status, changes: &told, ..ok }.encode(&mut self.rewritten, hears);
        Ok(Verdict::Rewritten)
    }

    fn rewrite_eof(&mut self, packet: &[u8], status: StatusFlags) {
        let status = status - StatusFlags::SERVER_SESSION_STATE_CHANGED;
        self.rewritten.clear();
        self.rewritten.extend_from_slice(packet);
        if let Some(place) = self.rewritten.get_mut(3..5) {
            place.copy_from_slice(&status.bits().to_le_bytes());
        }
    }
}

/// The status in an EOF packet.
fn eof_status(packet: &[u8]) -> Option<StatusFlags> {
    match packet {
        &[0xFE, _, _, low, high] => Some(StatusFlags::from_bits_retain(u16::from_le_bytes([low, high]))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::wire::relay::Tracking;
    use proptest::prelude::*;

    #[test]
    fn a_plain_ok_in_place_of_a_prepared_statement_is_one() {
        // mysqld 9.7.4 to COM_STMT_PREPARE of SET GLOBAL without the privilege, tracking the number of the statement.
        let packet = b"\0\0\0\x02\x40\0\0\0\x11\0\x0f\x0cstatement_id\x019";
        let options = RelayOptions {
            kind: ReplyKind::Prepare { client_id: 7 },
            client_capabilities: CapabilityFlags::CLIENT_PROTOCOL_41,
            more_follow: false,
            withhold: &[],
            tracking: &Tracking::SILENT,
            in_transaction: StatusFlags::empty(),
        };
        let mut course = Course::new(&options, CapabilityFlags::CLIENT_SESSION_TRACK);
        assert_eq!(course.held(packet), Ok(Verdict::Rewritten));
        assert_eq!(course.rewritten(), b"\0\0\0\x02\0\0\0");
        assert!(course.is_over() && matches!(course.finish().outcome, Outcome::Done { .. }));
    }

    #[test]
    fn what_was_not_told_before_stands_in_the_first_ok() {
        let packet = b"\0\0\0\x03\0\0\0";
        let tracks = CapabilityFlags::CLIENT_PROTOCOL_41 | CapabilityFlags::CLIENT_SESSION_TRACK;
        for (before, touched, told) in [
            (&b"\x05\t\x08________"[..], false, &b"\0\0\0\x03\x40\0\0\0\x0b\x05\t\x08________"[..]),
            (b"", true, b"\0\0\0\x03\x40\0\0\0\0"),
            (b"", false, packet),
        ] {
            let tracking = Tracking { before, touched, ..Tracking::SILENT };
            let options = RelayOptions {
                kind: ReplyKind::Query { cursor: false },
                client_capabilities: tracks,
                more_follow: false,
                withhold: &[],
                tracking: &tracking,
                in_transaction: StatusFlags::empty(),
            };
            let mut course = Course::new(&options, tracks);
            assert_eq!(course.held(packet), Ok(Verdict::Rewritten));
            assert_eq!(course.rewritten(), told);
            assert!(course.finish().told_before);
        }
    }

    proptest! {
        #[test]
        fn no_reply_makes_us_panic(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..12),
            heads in prop::collection::vec(prop::sample::select(vec![0x00, 0x01, 0x02, 0xFB, 0xFE, 0xFF]), 12),
            kind in prop::sample::select(vec![
                ReplyKind::Query { cursor: false },
                ReplyKind::Query { cursor: true },
                ReplyKind::Prepare { client_id: 7 },
                ReplyKind::Rows,
                ReplyKind::Simple,
            ]),
            bits: u32,
        ) {
            let capabilities = CapabilityFlags::from_bits_retain(bits) | CapabilityFlags::CLIENT_PROTOCOL_41;
            let tracking = Tracking::SILENT;
            let options = RelayOptions {
                kind,
                client_capabilities: capabilities,
                more_follow: true,
                withhold: &[1],
                tracking: &tracking,
                in_transaction: StatusFlags::SERVER_STATUS_IN_TRANS,
            };
            let mut course = Course::new(&options, capabilities);
            for (mut packet, head) in packets.into_iter().zip(heads) {
                if let Some(first) = packet.first_mut() {
                    *first = head;
                }
                if !course.holds(packet.first().copied(), packet.len()) {
                    course.passed();
                } else if course.held(&packet).is_err() {
                    break;
                }
            }
        }
    }
}
