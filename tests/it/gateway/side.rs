//! One side of the corpus: its connections, and how statements are said there and everything heard is kept.

use std::collections::BTreeMap;
use std::io::{Error, Result};

use super::cases::{Argument, Case, Said};
use super::raw::{CLOSE, EXECUTE, Login, PREPARE, QUIT, Raw};
use super::reply::{Answer, Hidden};

const FETCH: u8 = 28;
/// What a client does that cannot prepare a statement: it sends it as text.
const NOT_PREPARABLE: [u16; 2] = [1295, 1064];
/// By which commands statements are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Text,
    Prepared,
    Cursor,
}

/// An answer, and to what.
#[derive(Debug)]
pub struct Heard {
    pub to: &'static str,
    pub answer: Answer,
}

/// One way to a server, and the connections of a conversation there.
#[derive(Debug)]
pub struct Side {
    pub login: Login,
    pub sessions: BTreeMap<String, Raw>,
}

impl Side {
    /// Logs in where a session is not; the answer to that.
    pub async fn enter(&mut self, session: &str) -> Result<Option<Heard>> {
        if self.sessions.contains_key(session) {
            return Ok(None);
        }
        let mut raw = Raw::open(&self.login).await?.map_err(|refusal| Error::other(format!("{refusal:?}")))?;
        let answer = raw.welcome.take().map(|answer| Heard { to: "login", answer });
        self.sessions.insert(session.to_owned(), raw);
        Ok(answer)
    }

    /// Says it in a session that was [entered](Side::enter).
    pub async fn say(&mut self, how: How, case: &Case) -> Result<Vec<Heard>> {
        let raw = self.sessions.remove(&case.session).ok_or_else(|| Error::other("no session"))?;
        // A connection that fails is not kept: the next statement gets a new one.
        let mut session = Session { raw, heard: Vec::new() };
        match &case.said {
            Said::Command { name, argument } => {
                if !session.command(name, argument, &self.login).await? {
                    return Ok(session.heard);
                }
            }
            Said::Statement(sql) if how == How::Text || case.text => session.text(sql, case.file.as_deref()).await?,
            Said::Statement(sql) => session.prepared(sql, how, case).await?,
        }
        if !case.quiet && case.hidden != Hidden::Messages {
            session.warnings().await?;
        }
        self.sessions.insert(case.session.clone(), session.raw);
        Ok(session.heard)
    }
}

struct Session {
    raw: Raw,
    heard: Vec<Heard>,
}

impl Session {
    async fn text(&mut self, sql: &[u8], file: Option<&[u8]>) -> Result<()> {
        let answers = self.raw.query(sql, file).await?;
        self.heard.extend(answers.into_iter().map(|answer| Heard { to: "query", answer }));
        Ok(())
    }

    async fn prepared(&mut self, sql: &[u8], how: How, case: &Case) -> Result<()> {
        self.raw.command(PREPARE, sql).await?;
        let answer = Answer::prepared(&mut self.raw).await?;
        let (id, retry, rows) = match &answer {
            Answer::Prepared { id, columns, .. } => (Some(*id), false, !columns.is_empty()),
            other => (None, other.error().is_some_and(|error| NOT_PREPARABLE.contains(&error.code)), false),
        };
        self.heard.push(Heard { to: "prepare", answer });
        let Some(id) = id else {
            return if retry { self.text(sql, case.file.as_deref()).await } else { Ok(()) };
        };
        let cursor = how == How::Cursor && rows && !explains(sql);
        let execution = execution(id, cursor, case.arguments.as_deref().unwrap_or_default());
        self.raw.command(EXECUTE, &execution).await?;
        let answers = Answer::all(&mut self.raw, true, case.file.as_deref()).await?;
        self.heard.extend(answers.into_iter().map(|answer| Heard { to: "execute", answer }));
        while let Some(Heard { answer: last, .. }) = self.heard.last().filter(|last| last.answer.cursor_is_open()) {
            let columns = match last {
                Answer::Rows { columns, .. } => columns.clone(),
                _ => Vec::new(),
            };
            self.raw.command(FETCH, &[id.to_le_bytes(), 2u32.to_le_bytes()].concat()).await?;
            let answer = Answer::fetched(&mut self.raw, columns, true).await?;
            self.heard.push(Heard { to: "fetch", answer });
        }
        self.raw.command(CLOSE, &id.to_le_bytes()).await
    }

    /// What the server has to add to the last answer.
    async fn warnings(&mut self) -> Result<()> {
        let last = self.heard.last().map(|last| &last.answer);
        let some = last.is_some_and(|last| last.error().is_some() || last.done().is_some_and(|done| done.warnings > 0));
        if some {
            let answers = self.raw.query("SHOW WARNINGS", None).await?;
            self.heard.extend(answers.into_iter().map(|answer| Heard { to: "SHOW WARNINGS", answer }));
        }
        Ok(())
    }

    /// A command that is no statement; false when the connection is over.
    async fn command(&mut self, name: &str, argument: &str, login: &Login) -> Result<bool> {
        let answer = match name {
            "ping" => self.simple(14, b"").await?,
            "reset" => self.simple(31, b"").await?,
            "init-db" => self.simple(2, argument.as_bytes()).await?,
            "set-option" => self.simple(27, &argument.parse::<u16>().unwrap().to_le_bytes()).await?,
            "statistics" => self.simple(9, b"").await?,
            "unknown" => self.simple(argument.parse().unwrap(), b"").await?,
            "execute-unknown" => self.simple(EXECUTE, &execution(argument.parse().unwrap(), false, &[])).await?,
            "reset-unknown" => self.simple(26, &argument.parse::<u32>().unwrap().to_le_bytes()).await?,
            "change-user" => {
                let password = if argument == "wrong" { "wrong".to_owned() } else { login.password.clone() };
                match self.raw.change_user(&Login { password, ..login.clone() }).await? {
                    Ok(answer) => answer,
                    Err(refusal) => {
                        self.heard.push(Heard { to: "change-user", answer: Answer::Error(refusal) });
                        let over = self.raw.packet().await.is_err();
                        assert!(over, "the connection goes on after a wrong password");
                        return Ok(false);
                    }
                }
            }
            "quit" => {
                self.raw.command(QUIT, b"").await?;
                return Ok(false);
            }
            _ => panic!("unknown command {name}"),
        };
        self.heard.push(Heard { to: "command", answer });
        Ok(true)
    }

    async fn simple(&mut self, code: u8, body: &[u8]) -> Result<Answer> {
        self.raw.command(code, body).await?;
        let packet = self.raw.packet().await?;
        Answer::simple(&packet, self.raw.capabilities)
    }
}

/// MySQL 9.7.4 dies of a cursor for an EXPLAIN.
fn explains(sql: &[u8]) -> bool {
    let word: String = sql.iter().take_while(|byte| byte.is_ascii_alphabetic()).map(|&byte| char::from(byte)).collect();
    ["EXPLAIN", "DESC", "DESCRIBE"].contains(&word.to_uppercase().as_str())
}

/// The body of COM_STMT_EXECUTE.
fn execution(id: u32, cursor: bool, arguments: &[Argument]) -> Vec<u8> {
    let mut out = id.to_le_bytes().to_vec();
    out.push(u8::from(cursor));
    out.extend_from_slice(&1u32.to_le_bytes());
    if arguments.is_empty() {
        return out;
    }
    let mut nulls = vec![0u8; arguments.len().div_ceil(8)];
    let (mut types, mut values) = (Vec::new(), Vec::new());
    for (at, argument) in arguments.iter().enumerate() {
        let kind = match argument {
            Argument::Null => {
                nulls[at / 8] |= 1 << (at % 8);
                6
            }
            Argument::Integer(value) => {
                values.extend_from_slice(&value.to_le_bytes());
                8
            }
            Argument::Double(value) => {
                values.extend_from_slice(&value.to_le_bytes());
                5
            }
            Argument::Text(bytes) | Argument::Blob(bytes) => {
                values.push(u8::try_from(bytes.len()).unwrap());
                values.extend_from_slice(bytes);
                if matches!(argument, Argument::Text(_)) { 253 } else { 252 }
            }
        };
        types.extend_from_slice(&[kind, 0]);
    }
    out.extend_from_slice(&nulls);
    out.push(1);
    out.extend_from_slice(&types);
    out.extend_from_slice(&values);
    out
}
