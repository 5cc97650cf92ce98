//! The statement corpus: everything is said twice, to a server directly and to an identical one through the gateway, and
//! every byte of the two replies must be the same.
//!
//! Each file is a conversation of its own on fresh tables; see [`super::cases`] for its annotations. It is held in four
//! dialects of the protocol.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use super::cases::{self, Case, Expect};
use super::raw::{
    DEPRECATE_EOF, FOUND_ROWS, LOCAL_FILES, Login, MULTI_RESULTS, MULTI_STATEMENTS, PS_MULTI_RESULTS, QUERY_ATTRIBUTES,
    SESSION_TRACK,
};
use super::reply::Hidden;
use super::side::{Heard, How, Side};
use crate::harness::{Db, TestCluster};

/// The keyspace, and the schema of that name on both servers.
const KEYSPACE: &str = "commerce";
/// How many statements the corpus has at least.
const LEAST: usize = 500;
/// An environment variable with a part of the names of the files to hold, for those who look into a difference.
const ONLY: &str = "SHARDLIFT_CORPUS";
const SHOWN_DIFFERENCES: usize = 100;

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
        let fast = ["--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync"];
        // And plans depend on statistics, whose age must not.
        let steady = ["--innodb-stats-auto-recalc=OFF", "--information-schema-stats-expiry=0"];
        spec.extra_args = fast.into_iter().chain(steady).map(str::to_owned).collect();
    })
    .await;
    let gateway = cluster.gateway("--drain-timeout 2s").await;
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
        let (needs_preparing, is_first) = (case.arguments.is_some(), self.dialect.name == DIALECTS[0].name);
        if needs_preparing && how == How::Text || case.once && !is_first {
            return Ok(());
        }
        let [direct, through] = &mut self.sides;
        let (one, two) = tokio::join!(direct.enter(&case.session), through.enter(&case.session));
        if let (Some(one), Some(two)) = (one.map_err(shown)?, two.map_err(shown)?) {
            same(Ok(vec![one]), Ok(vec![two]), Hidden::Nothing)?;
        }
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

fn shown(error: Error) -> String {
    format!("  no login: {error}")
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
