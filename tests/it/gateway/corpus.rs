//! The statement corpus: everything is said twice, to a server directly and to an identical one through the gateway, and
//! every byte of the two replies must be the same.
//!
//! Each file is a conversation of its own on fresh tables; see [`super::cases`] for its annotations. It is held in four
//! dialects of the protocol.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use super::cases::{self, Argument, Case, Expect, Said};
use super::raw::{
    CLOSE, DEPRECATE_EOF, EXECUTE, FOUND_ROWS, LOCAL_FILES, Login, MULTI_RESULTS, MULTI_STATEMENTS, PREPARE,
    PS_MULTI_RESULTS, QUERY_ATTRIBUTES, Raw, SESSION_TRACK,
};
use super::reply::{Answer, Hidden};
use crate::harness::{Db, TestCluster};

/// The keyspace, and the schema of that name on both servers.
const KEYSPACE: &str = "commerce";
const FETCH: u8 = 28;
/// What a client does that cannot prepare a statement: it sends it as text.
const NOT_PREPARABLE: [u16; 2] = [1295, 1064];
/// How many statements the corpus has at least.
const LEAST: usize = 500;
/// An environment variable with a part of the names of the files to hold, for those who look into a difference.
const ONLY: &str = "SHARDLIFT_CORPUS";
const SHOWN_DIFFERENCES: usize = 40;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Text,
    Prepared,
    Cursor,
}

#[derive(Debug, Clone, Copy)]
struct Dialect {
    name: &'static str,
    capabilities: u32,
    how: How,
}

const DIALECTS: [Dialect; 4] = [
    Dialect {
        name: "text",
        capabilities: LOCAL_FILES
            | MULTI_STATEMENTS
            | MULTI_RESULTS
            | PS_MULTI_RESULTS
            | SESSION_TRACK
            | DEPRECATE_EOF
            | QUERY_ATTRIBUTES,
        how: How::Text,
    },
    Dialect {
        name: "text with EOF packets",
        capabilities: LOCAL_FILES | MULTI_STATEMENTS | MULTI_RESULTS | FOUND_ROWS,
        how: How::Text,
    },
    Dialect {
        name: "prepared",
        capabilities: LOCAL_FILES | MULTI_RESULTS | PS_MULTI_RESULTS | SESSION_TRACK | DEPRECATE_EOF,
        how: How::Prepared,
    },
    Dialect {
        name: "cursors with EOF packets",
        capabilities: LOCAL_FILES | MULTI_RESULTS | PS_MULTI_RESULTS,
        how: How::Cursor,
    },
];

/// What became of the statements.
#[derive(Debug, Default)]
struct Tally {
    equal: usize,
    refused: usize,
    own: usize,
    differences: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_answer_the_same_through_the_gateway() {
    let cluster = TestCluster::with(|spec| {
        // What is compared is answers, not durability.
        let fast = ["--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0"];
        // And plans depend on statistics, whose age must not.
        let steady = ["--innodb-stats-auto-recalc=OFF", "--information-schema-stats-expiry=0"];
        spec.extra_args = fast.into_iter().chain(steady).map(str::to_owned).collect();
    })
    .await;
    let gateway = cluster.gateway("").await;
    let servers = [cluster.source(), cluster.target()];
    let admins = servers.map(|server| cluster.db(server, "mysql"));
    let login = |port, capabilities| Login {
        port,
        user: cluster.app().user.clone(),
        password: cluster.app().password.clone(),
        database: Some(KEYSPACE.into()),
        capabilities,
    };
    let mut tally = Tally::default();
    let mut said = 0;
    for file in files() {
        let cases = cases::read(&file);
        said += cases.len();
        for dialect in DIALECTS {
            tokio::join!(make_tables(&admins[0]), make_tables(&admins[1]));
            let ports = [cluster.target().port(), gateway.port()];
            let sides = ports.map(|port| Side { login: login(port, dialect.capabilities), sessions: BTreeMap::new() });
            let mut talk = Talk { dialect, sides, tally: &mut tally };
            for case in &cases {
                if let Err(difference) = talk.hold(case).await {
                    let shown = case.shown();
                    talk.tally.differences.push(format!("{} ({})\n{shown}\n{difference}", case.place, dialect.name));
                }
            }
        }
    }
    let Tally { equal, refused, own, differences } = &tally;
    println!(
        "{said} statements in {} dialects: {equal} equal, {refused} refused by design, {own} the gateway's own, {} different",
        DIALECTS.len(),
        differences.len()
    );
    let first: Vec<_> = differences.iter().take(SHOWN_DIFFERENCES).map(String::as_str).collect();
    assert!(differences.is_empty(), "{} differences; the first:\n\n{}", differences.len(), first.join("\n\n"));
    assert!(said >= LEAST || std::env::var_os(ONLY).is_some(), "the corpus has {said} statements");
    assert!(gateway.stop().await.success());
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/gateway/corpus");
    let only = std::env::var(ONLY).unwrap_or_default();
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "sql"))
        .filter(|path| path.to_string_lossy().contains(&only))
        .collect();
    files.sort();
    files
}

async fn make_tables(admin: &Db) {
    let tables = include_str!("base.sql");
    admin
        .exec(&format!("DROP DATABASE IF EXISTS {KEYSPACE}; CREATE DATABASE {KEYSPACE}; USE {KEYSPACE}; {tables}"))
        .await;
}

/// One way to a server, and the connections of a conversation there.
struct Side {
    login: Login,
    sessions: BTreeMap<String, Raw>,
}

/// A file's statements in one dialect.
struct Talk<'a> {
    dialect: Dialect,
    /// Directly, and through the gateway.
    sides: [Side; 2],
    tally: &'a mut Tally,
}

impl Talk<'_> {
    async fn hold(&mut self, case: &Case) -> std::result::Result<(), String> {
        let how = self.dialect.how;
        if case.arguments.is_some() && how == How::Text {
            return Ok(());
        }
        let [direct, through] = &mut self.sides;
        match &case.expect {
            Expect::Same => {
                let (one, two) = tokio::join!(direct.say(how, case), through.say(how, case));
                same(one, two, case.hidden)?;
                self.tally.equal += 1;
                Ok(())
            }
            Expect::Own => {
                let answers = through.say(how, case).await.map_err(|error| error.to_string())?;
                match answers.iter().find_map(|one| one.answer.error()) {
                    Some(error) => Err(format!("the gateway fails: {error:?}")),
                    None => {
                        self.tally.own += 1;
                        Ok(())
                    }
                }
            }
            Expect::Refused { code, words } => {
                let answers = through.say(how, case).await.map_err(|error| error.to_string())?;
                match answers.iter().find_map(|one| one.answer.error()) {
                    Some(error) if error.code == *code && error.message.contains(words.as_str()) => {
                        self.tally.refused += 1;
                        Ok(())
                    }
                    _ => {
                        Err(format!("not refused with {code} and {words:?} but {:?}", lines(&answers, Hidden::Nothing)))
                    }
                }
            }
        }
    }
}

/// An answer, and to what.
struct Heard {
    to: &'static str,
    answer: Answer,
}

fn lines(heard: &[Heard], hidden: Hidden) -> Vec<String> {
    let of = |one: &Heard| {
        one.answer.lines(hidden).into_iter().map(|line| format!("{}: {line}", one.to)).collect::<Vec<_>>()
    };
    heard.iter().flat_map(of).collect()
}

/// Whether the server closed the connection; how depends on what was under way.
fn is_end(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

fn same(direct: Result<Vec<Heard>>, through: Result<Vec<Heard>>, hidden: Hidden) -> std::result::Result<(), String> {
    let misread = |side: &Result<Vec<Heard>>| match side {
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::InvalidData) => Some(error.to_string()),
        _ => None,
    };
    if let (Some(one), Some(two)) = (misread(&direct), misread(&through)) {
        return Err(format!("  this test misreads both: {one}; {two}"));
    }
    let [direct, through] = [direct, through].map(|side| match side {
        Ok(heard) => lines(&heard, hidden),
        Err(error) if is_end(&error) => vec!["the connection is closed".into()],
        Err(error) => vec![format!("the connection is lost: {error}")],
    });
    if direct == through {
        return Ok(());
    }
    let only = |these: &[String], those: &[String]| {
        let unlike = these.iter().enumerate().filter(|(at, line)| those.get(*at) != Some(line));
        unlike
            .take(6)
            .map(|(_, line)| format!("    {}", line.chars().take(600).collect::<String>()))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let (alone, with) = (only(&direct, &through), only(&through, &direct));
    Err(format!(
        "  directly ({} lines):\n{alone}\n  through the gateway ({} lines):\n{with}",
        direct.len(),
        through.len()
    ))
}

impl Side {
    async fn say(&mut self, how: How, case: &Case) -> Result<Vec<Heard>> {
        let raw = match self.sessions.remove(&case.session) {
            Some(raw) => raw,
            None => match Raw::open(&self.login).await? {
                Ok(raw) => raw,
                Err(refusal) => return Ok(vec![Heard { to: "login", answer: Answer::Error(refusal) }]),
            },
        };
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
        if !case.quiet {
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
                self.raw.command(super::raw::QUIT, b"").await?;
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
