//! A client that costs little: it sends statements, as text or prepared, and lets the replies pass without a look at rows.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use mysql_common::constants::StatusFlags;
use shardlift::mysql::Login;
use shardlift::mysql::wire::channel::{PacketReader, PacketWriter};
use shardlift::mysql::wire::relay::{ClientSide, Outcome, RelayOptions, ReplyKind, Tracking};
use shardlift::mysql::wire::{ConnectOptions, Wire};
use tokio::io::{Empty, Join, Sink, empty, join, sink};

use super::testbed::PATIENCE;

const QUERY: u8 = 0x03;
const STMT_PREPARE: u8 = 0x16;
const STMT_EXECUTE: u8 = 0x17;
/// Parameter types of the binary protocol.
const LONGLONG: u8 = 8;
const VAR_STRING: u8 = 253;

/// How statements are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// COM_QUERY.
    Text,
    /// COM_STMT_EXECUTE of what was prepared once per connection. What has no parameters goes as text.
    Prepared,
}

/// A parameter.
#[derive(Debug)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A text without anything to escape, shorter than 251 bytes.
    Text(String),
}

/// A connection.
#[derive(Debug)]
pub struct Caller {
    wire: Wire,
    protocol: Protocol,
    prepared: Vec<(&'static str, u32)>,
    /// The command being made.
    body: Vec<u8>,
    // Where replies go: nowhere.
    reader: PacketReader,
    writer: PacketWriter,
    nowhere: Join<Empty, Sink>,
}

impl Caller {
    /// Connects.
    pub async fn connect(login: &Login, protocol: Protocol) -> Result<Self> {
        let wire = Wire::connect(login, &ConnectOptions::default()).await?;
        Ok(Self {
            wire,
            protocol,
            prepared: Vec::new(),
            body: Vec::new(),
            reader: PacketReader::new(0, PATIENCE),
            writer: PacketWriter::new(PATIENCE),
            nowhere: join(empty(), sink()),
        })
    }

    /// Runs a statement, `?` standing for its parameters in order, and reads its whole reply.
    pub async fn run(&mut self, sql: &'static str, values: &[Value]) -> Result<Outcome> {
        self.body.clear();
        if self.protocol == Protocol::Text || values.is_empty() {
            self.write_text(sql, values)?;
            return self.ask(QUERY, ReplyKind::Query { cursor: false }).await;
        }
        let id = self.prepare(sql).await?;
        self.write_execution(id, values);
        self.ask(STMT_EXECUTE, ReplyKind::Query { cursor: false }).await
    }

    /// The statement's id, prepared if it was not yet.
    async fn prepare(&mut self, sql: &'static str) -> Result<u32> {
        if let Some((_, id)) = self.prepared.iter().find(|(known, _)| *known == sql) {
            return Ok(*id);
        }
        self.body.extend_from_slice(sql.as_bytes());
        match self.ask(STMT_PREPARE, ReplyKind::Prepare { client_id: 0 }).await? {
            Outcome::Prepared { id, .. } => {
                self.body.clear();
                self.prepared.push((sql, id));
                Ok(id)
            }
            other => bail!("preparing {sql}: {other:?}"),
        }
    }

    fn write_text(&mut self, sql: &str, values: &[Value]) -> Result<()> {
        let mut text = String::with_capacity(sql.len() + 64);
        let mut values = values.iter();
        for (place, part) in sql.split('?').enumerate() {
            match if place == 0 { None } else { values.next() } {
                Some(Value::Number(number)) => write!(text, "{number}")?,
                Some(Value::Text(value)) => write!(text, "'{value}'")?,
                None => {}
            }
            text.push_str(part);
        }
        self.body.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// COM_STMT_EXECUTE: id, no cursor, one iteration, no NULLs, types, values.
    fn write_execution(&mut self, id: u32, values: &[Value]) {
        let body = &mut self.body;
        body.extend_from_slice(&id.to_le_bytes());
        body.extend_from_slice(&[0, 1, 0, 0, 0]);
        body.resize(body.len() + values.len().div_ceil(8), 0);
        body.push(1);
        for value in values {
            body.extend_from_slice(match value {
                Value::Number(_) => &[LONGLONG, 0],
                Value::Text(_) => &[VAR_STRING, 0],
            });
        }
        for value in values {
            match value {
                Value::Number(number) => body.extend_from_slice(&number.to_le_bytes()),
                Value::Text(text) => {
                    body.push(text.len() as u8);
                    body.extend_from_slice(text.as_bytes());
                }
            }
        }
    }

    async fn ask(&mut self, code: u8, kind: ReplyKind) -> Result<Outcome> {
        self.wire.request(code, &self.body).await?;
        let options = RelayOptions {
            kind,
            client_capabilities: self.wire.capabilities(),
            more_follow: false,
            withhold: &[],
            tracking: &Tracking::SILENT,
            in_transaction: StatusFlags::empty(),
        };
        let mut client = ClientSide { reader: &mut self.reader, writer: &mut self.writer, stream: &mut self.nowhere };
        let relayed = self.wire.relay(&mut client, &options).await?;
        self.writer.flush(&mut self.nowhere).await?;
        Ok(relayed.outcome)
    }

    /// Says goodbye.
    pub async fn close(self) {
        self.wire.close().await;
    }
}
