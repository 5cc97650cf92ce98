//! Replies of a server, kept byte for byte, and written out so that two of them can be compared by eye.

use std::fmt::Write;
use std::io::Result;

use super::raw::{DEPRECATE_EOF, Raw, SESSION_TRACK, violation};

const MORE_RESULTS: u16 = 8;
/// No good index used, no index used.
const INDEX_USE: u16 = 16 | 32;
const CURSOR_EXISTS: u16 = 64;
const LAST_ROW_SENT: u16 = 128;
const STATE_CHANGED: u16 = 0x4000;
/// The shortest answer to COM_STMT_PREPARE that is one.
const PREPARED_LENGTH: usize = 12;

/// A packet being taken apart.
#[derive(Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| violation("a packet ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.take(2)?.try_into().unwrap()))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().unwrap()))
    }

    pub fn until_zero(&mut self) -> Result<&'a [u8]> {
        let end = self.0.iter().position(|&byte| byte == 0).ok_or_else(|| violation("a text without its end"))?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }

    /// A length-encoded integer; `None` is NULL.
    pub fn number(&mut self) -> Result<Option<u64>> {
        let width = match self.u8()? {
            0xFB => return Ok(None),
            0xFC => 2,
            0xFD => 3,
            0xFE => 8,
            0xFF => return Err(violation("a length that begins with FF")),
            small => return Ok(Some(small.into())),
        };
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(self.take(width)?);
        Ok(Some(u64::from_le_bytes(wide)))
    }

    fn needed(&mut self) -> Result<u64> {
        self.number()?.ok_or_else(|| violation("NULL where a number must be"))
    }

    /// A length-encoded string; `None` is NULL.
    pub fn text(&mut self) -> Result<Option<&'a [u8]>> {
        match self.number()? {
            Some(length) => Ok(Some(self.take(usize::try_from(length).unwrap())?)),
            None => Ok(None),
        }
    }
}

/// An error packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: u16,
    pub state: String,
    pub message: String,
}

impl Refusal {
    /// Of a whole packet, its FF included.
    pub fn parse(packet: &[u8]) -> Result<Refusal> {
        let mut bytes = Bytes(packet.get(1..).unwrap_or_default());
        let code = bytes.u16()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let state = if bytes.0.starts_with(b"#") { text(&bytes.take(6)?[1..]) } else { String::new() };
        Ok(Refusal { code, state, message: text(bytes.0) })
    }
}

/// The end of a result, or all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    pub affected: u64,
    pub insert_id: u64,
    pub status: u16,
    pub warnings: u16,
    pub info: Vec<u8>,
    /// What changed in the session, as it came.
    pub tracked: Vec<u8>,
}

impl Done {
    /// Of an OK packet, or of the FE packet that replaces EOF.
    fn parse(packet: &[u8], capabilities: u32) -> Result<Done> {
        let mut bytes = Bytes(packet.get(1..).unwrap_or_default());
        let (affected, insert_id) = (bytes.needed()?, bytes.needed()?);
        let (status, warnings) = (bytes.u16()?, bytes.u16()?);
        let mut done = Done { affected, insert_id, status, warnings, ..Done::default() };
        if capabilities & SESSION_TRACK == 0 {
            done.info = bytes.0.to_vec();
        } else if !bytes.0.is_empty() {
            done.info = bytes.text()?.unwrap_or_default().to_vec();
            if status & STATE_CHANGED != 0 {
                done.tracked = bytes.text()?.unwrap_or_default().to_vec();
            }
        }
        Ok(done)
    }

    /// Of what ends columns or rows in this dialect.
    fn end(packet: &[u8], capabilities: u32) -> Result<Done> {
        if capabilities & DEPRECATE_EOF != 0 {
            return Done::parse(packet, capabilities);
        }
        let mut bytes = Bytes(packet.get(1..).unwrap_or_default());
        Ok(Done { warnings: bytes.u16()?, status: bytes.u16()?, ..Done::default() })
    }
}

/// What is left out where two servers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    Nothing,
    /// Values that change from run to run.
    Values,
    /// What errors say.
    Messages,
    /// What tells of the plan: where columns say they come from, and which indexes were used.
    Plan,
}

/// One result of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Ok(Done),
    Error(Refusal),
    Rows {
        columns: Vec<Vec<u8>>,
        rows: Vec<Vec<u8>>,
        binary: bool,
        end: Done,
    },
    Prepared {
        id: u32,
        parameters: Vec<Vec<u8>>,
        columns: Vec<Vec<u8>>,
        warnings: u16,
    },
    /// A packet of another form: COM_STATISTICS.
    Other(Vec<u8>),
}

impl Answer {
    /// OK or ERR.
    pub fn simple(packet: &[u8], capabilities: u32) -> Result<Answer> {
        match packet.first() {
            Some(0x00) => Ok(Answer::Ok(Done::parse(packet, capabilities)?)),
            Some(0xFE) => Ok(Answer::Ok(Done::end(packet, capabilities)?)),
            Some(0xFF) => Ok(Answer::Error(Refusal::parse(packet)?)),
            _ => Ok(Answer::Other(packet.to_vec())),
        }
    }

    /// Everything a query or an execution answers.
    pub async fn all(raw: &mut Raw, binary: bool, file: Option<&[u8]>) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        loop {
            let packet = raw.packet().await?;
            let answer = match packet.first() {
                Some(0x00 | 0xFF) => Answer::simple(&packet, raw.capabilities)?,
                Some(0xFB) => {
                    if let Some(file) = file.filter(|file| !file.is_empty()) {
                        raw.send(file).await?;
                    }
                    raw.send(&[]).await?;
                    continue;
                }
                _ => Answer::rows(raw, &packet, binary).await?,
            };
            let more = matches!(answer.done(), Some(done) if done.status & MORE_RESULTS != 0);
            answers.push(answer);
            if !more {
                return Ok(answers);
            }
        }
    }

    async fn rows(raw: &mut Raw, head: &[u8], binary: bool) -> Result<Answer> {
        let count = Bytes(head).needed()?;
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(raw.packet().await?);
        }
        let mut end = None;
        if raw.capabilities & DEPRECATE_EOF == 0 {
            let packet = raw.packet().await?;
            if packet.first() == Some(&0xFF) {
                return Ok(Answer::Error(Refusal::parse(&packet)?));
            }
            end = Some(Done::end(&packet, raw.capabilities)?);
        }
        // With an open cursor there are no rows yet; where EOF is gone, the one that follows says so.
        if let Some(end) = end.filter(|end| binary && end.has_cursor()) {
            return Ok(Answer::Rows { columns, rows: Vec::new(), binary, end });
        }
        Answer::fetched(raw, columns, binary).await
    }

    /// Rows up to their end, as after COM_STMT_FETCH.
    pub async fn fetched(raw: &mut Raw, columns: Vec<Vec<u8>>, binary: bool) -> Result<Answer> {
        let mut rows = Vec::new();
        loop {
            let packet = raw.packet().await?;
            match packet.first() {
                Some(0xFF) => return Ok(Answer::Error(Refusal::parse(&packet)?)),
                Some(0xFE)
                    if packet.len() < 0xFF_FFFF
                        && (binary || raw.capabilities & DEPRECATE_EOF != 0 || packet.len() < 9) =>
                {
                    let end = Done::end(&packet, raw.capabilities)?;
                    return Ok(Answer::Rows { columns, rows, binary, end });
                }
                _ => rows.push(packet),
            }
        }
    }

    /// The reply to COM_STMT_PREPARE.
    pub async fn prepared(raw: &mut Raw) -> Result<Answer> {
        let packet = raw.packet().await?;
        if packet.first() == Some(&0xFF) {
            return Ok(Answer::Error(Refusal::parse(&packet)?));
        }
        if packet.len() < PREPARED_LENGTH {
            // MySQL 9.7.4 says so where a SET GLOBAL is not allowed.
            return Answer::simple(&packet, raw.capabilities);
        }
        let mut bytes = Bytes(packet.get(1..).unwrap_or_default());
        let (id, columns, parameters) = (bytes.u32()?, bytes.u16()?, bytes.u16()?);
        bytes.take(1)?;
        let warnings = bytes.u16()?;
        let mut blocks = [Vec::new(), Vec::new()];
        for (block, count) in blocks.iter_mut().zip([parameters, columns]) {
            for _ in 0..count {
                block.push(raw.packet().await?);
            }
            if count > 0 && raw.capabilities & DEPRECATE_EOF == 0 {
                raw.packet().await?;
            }
        }
        let [parameters, columns] = blocks;
        Ok(Answer::Prepared { id, parameters, columns, warnings })
    }

    pub fn done(&self) -> Option<&Done> {
        match self {
            Answer::Ok(done) | Answer::Rows { end: done, .. } => Some(done),
            _ => None,
        }
    }

    /// The error it is.
    pub fn error(&self) -> Option<&Refusal> {
        match self {
            Answer::Error(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The first value of the first row, of text rows.
    pub fn value(&self) -> Option<String> {
        match self {
            Answer::Rows { rows, .. } => {
                let value = Bytes(rows.first()?).text().ok()??;
                Some(String::from_utf8_lossy(value).into_owned())
            }
            _ => None,
        }
    }

    /// Whether an open cursor holds rows still to be fetched.
    pub fn cursor_is_open(&self) -> bool {
        matches!(self, Answer::Rows { end, .. } if end.has_cursor() && end.status & LAST_ROW_SENT == 0)
    }

    /// What is compared, a line each.
    pub fn lines(&self, hidden: Hidden) -> Vec<String> {
        let shown = hidden != Hidden::Values;
        match self {
            Answer::Ok(done) => vec![format!("OK {}", done.line(hidden))],
            Answer::Error(Refusal { code, state, message }) => {
                vec![format!(
                    "ERROR {code} ({state}): {}",
                    if shown && hidden != Hidden::Messages { message } else { "" }
                )]
            }
            Answer::Other(packet) if shown => vec![packet.escape_ascii().to_string()],
            Answer::Other(packet) => vec![format!("a packet like {:?}", packet.first())],
            Answer::Rows { columns, rows, binary, end } => {
                let mut lines: Vec<String> = columns.iter().map(|column| column_line(column, hidden)).collect();
                let row = |row: &Vec<u8>| if shown { row_line(row, columns.len(), *binary) } else { "row".into() };
                lines.extend(rows.iter().map(row));
                lines.push(format!("END {}", end.line(hidden)));
                lines
            }
            Answer::Prepared { parameters, columns, warnings, .. } => {
                let mut lines = vec![format!("PREPARED, warnings {warnings}")];
                lines.extend(parameters.iter().map(|one| format!("parameter {}", column_line(one, hidden))));
                lines.extend(columns.iter().map(|column| column_line(column, hidden)));
                lines
            }
        }
    }
}

impl Done {
    /// A cursor within a procedure sets the same flag, on results that are not the last.
    fn has_cursor(&self) -> bool {
        self.status & CURSOR_EXISTS != 0 && self.status & MORE_RESULTS == 0
    }

    fn line(&self, hidden: Hidden) -> String {
        let Done { affected, insert_id, status, warnings, info, tracked } = self;
        let status = if hidden == Hidden::Plan { status & !INDEX_USE } else { *status };
        let mut line = format!(
            "affected {affected}, status {status:#06x}, warnings {warnings}, info {:?}",
            info.escape_ascii().to_string()
        );
        if hidden != Hidden::Values {
            write!(line, ", insert id {insert_id}, tracked '{}'", tracked.escape_ascii()).unwrap();
        }
        line
    }
}

fn column_line(packet: &[u8], hidden: Hidden) -> String {
    let mut bytes = Bytes(packet);
    let mut line = String::from("column");
    for at in 0..6 {
        match bytes.text() {
            // The alias is the statement's; schema, tables and original name are the plan's.
            Ok(Some(_)) if hidden == Hidden::Plan && at != 4 => {}
            Ok(Some(text)) => write!(line, " `{}`", text.escape_ascii()).unwrap(),
            _ => return format!("a malformed column: {}", packet.escape_ascii()),
        }
    }
    match (bytes.0, hidden) {
        (rest, Hidden::Nothing | Hidden::Messages) => {
            line.extend(rest.iter().map(|byte| format!(" {byte:02x}")));
            line
        }
        ([12, charset @ .., _, _, _, _, kind, _, _, decimals, 0, 0], Hidden::Plan) => {
            format!("{line} charset {charset:02x?} type {kind} decimals {decimals}")
        }
        // A value's length may follow the value.
        ([12, charset @ .., _, _, _, _, kind, flags, more, decimals, 0, 0], _) => {
            format!("{line} charset {charset:02x?} type {kind} flags {flags:02x} {more:02x} decimals {decimals}")
        }
        (rest, _) => format!("{line} malformed: {}", rest.escape_ascii()),
    }
}

fn row_line(row: &[u8], columns: usize, binary: bool) -> String {
    if binary {
        return format!("row {}", row.escape_ascii());
    }
    let mut bytes = Bytes(row);
    let mut line = String::from("row");
    for _ in 0..columns {
        match bytes.text() {
            Ok(Some(text)) => write!(line, " '{}'", text.escape_ascii()).unwrap(),
            Ok(None) => line.push_str(" NULL"),
            Err(_) => return format!("a malformed row: {}", row.escape_ascii()),
        }
    }
    if bytes.0.is_empty() { line } else { format!("{line} and then {}", bytes.0.escape_ascii()) }
}
