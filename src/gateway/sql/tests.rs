//! What [`super::analyze`] says of statements: tables of cases, and properties over arbitrary bytes and token soup.

mod queries;
mod session;
mod statements;

use proptest::prelude::*;

use super::{Access, Kind, Qualified, SqlMode, Statement, analyze, identifiers, split};

/// A statement, its kind as `Debug` writes it, and its tables in short: `r:` read, `w:` write, `d:` define, `l:` and `L:`
/// locked for reading and writing; then the databases of columns (`c:`), tables (`t:`), routines (`f:`), and `s:` those
/// named for themselves; `?` if it is uncertain. Without a kind, it is a Query.
type Case = (&'static str, &'static str, &'static str);

fn read(sql: &str) -> Statement {
    analyze(sql.as_bytes(), SqlMode::default())
}

fn found(statement: &Statement) -> String {
    let mut words = Vec::new();
    for table in &statement.tables {
        let access = match table.access {
            Access::Read => "r",
            Access::Write => "w",
            Access::Lock { write: false } => "l",
            Access::Lock { write: true } => "L",
            Access::Define => "d",
        };
        let database = table.database.as_ref().map(|name| format!("{}.", name.text)).unwrap_or_default();
        words.push(format!("{access}:{database}{}", table.table.text));
    }
    for qualifier in &statement.qualifiers {
        let what = match qualifier.what {
            Qualified::Column => "c",
            Qualified::Table => "t",
            Qualified::Routine => "f",
            Qualified::Database => "s",
        };
        words.push(format!("{what}:{}", qualifier.database.text));
    }
    if !statement.certain {
        words.push("?".to_owned());
    }
    words.join(" ")
}

fn check(cases: &[Case]) {
    let mut wrong = Vec::new();
    for (sql, kind, expected) in cases {
        let kind = if kind.is_empty() { "Query" } else { kind };
        for text in [(*sql).to_owned(), format!(" /* c */ {sql} ; -- end")] {
            let statement = read(&text);
            let (is, tables) = (format!("{:?}", statement.kind), found(&statement));
            if is != kind || tables != *expected {
                wrong.push(format!("{text}\n  expected {kind} [{expected}]\n  found    {is} [{tables}]"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// All the spans of a statement lie in it, on token borders.
fn spans_are_right(sql: &[u8], mode: SqlMode) -> Result<(), TestCaseError> {
    let statement = analyze(sql, mode);
    let tables = statement.tables.iter().flat_map(|table| table.database.iter().chain([&table.table]));
    let names = tables.chain(statement.qualifiers.iter().map(|qualifier| &qualifier.database));
    let all: Vec<_> = identifiers(sql, mode).collect();
    for name in names {
        // A stored program's texts within dollar signs hide what is a name elsewhere.
        prop_assert!(all.contains(name) || sql.contains(&b'$'), "{:?} in {:?}", name, String::from_utf8_lossy(sql));
    }
    if let Kind::Set(assignments) = &statement.kind {
        for assignment in assignments {
            prop_assert!(assignment.value.start <= assignment.value.end && assignment.value.end <= sql.len());
        }
    }
    if let Kind::Use(name) = &statement.kind {
        prop_assert!(sql.get(name.span.clone()).is_some());
    }
    Ok(())
}

const SOUP: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "JOIN",
    "ON",
    "USING",
    "AS",
    "WITH",
    "RECURSIVE",
    "UNION",
    "TABLE",
    "VALUES",
    "ROW",
    "INSERT",
    "INTO",
    "UPDATE",
    "SET",
    "DELETE",
    "DUPLICATE",
    "KEY",
    "REPLACE",
    "LOAD",
    "DATA",
    "LOCAL",
    "CREATE",
    "TRIGGER",
    "BEGIN",
    "END",
    "IF",
    "CASE",
    "THEN",
    "ELSE",
    "LOOP",
    "DO",
    "PROCEDURE",
    "EVENT",
    "VIEW",
    "TEMPORARY",
    "LIKE",
    "ALTER",
    "RENAME",
    "TO",
    "DROP",
    "INDEX",
    "REFERENCES",
    "LOCK",
    "IN",
    "SHARE",
    "MODE",
    "FOR",
    "OF",
    "OUTFILE",
    "SHOW",
    "USE",
    "EXPLAIN",
    "DEFINER",
    "SQL",
    "NAMES",
    "GLOBAL",
    "LATERAL",
    "JSON_TABLE",
    "DUAL",
    "PARTITION",
    "FORCE",
    "OJ",
    "XA",
    "KILL",
    "FLUSH",
    "a",
    "b.c",
    "d.e.f",
    "`g`",
    ".h",
    "*",
    ",",
    ",",
    "(",
    "(",
    ")",
    ")",
    "{",
    "}",
    "=",
    ":=",
    "@x",
    "@@y",
    "@@global.z",
    "'s'",
    "1",
    "1.5",
    ";",
    ":",
    "/*",
    "*/",
    "/*!",
    "/*!80000",
    "--",
    "#",
    "\n",
    "$$",
    "\"",
    "'",
    "`",
    "\\",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_survived(sql in proptest::collection::vec(any::<u8>(), 0..120), ansi in any::<bool>()) {
        let mode = SqlMode { ansi_quotes: ansi, no_backslash_escapes: ansi, ..SqlMode::default() };
        spans_are_right(&sql, mode)?;
    }

    #[test]
    fn token_soup_is_survived(words in proptest::collection::vec(proptest::sample::select(SOUP), 0..40)) {
        let sql = words.join(" ");
        spans_are_right(sql.as_bytes(), SqlMode::default())?;
        for range in split(sql.as_bytes(), SqlMode::default()) {
            spans_are_right(sql.as_bytes().get(range).unwrap(), SqlMode::default())?;
        }
    }
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = format!("SELECT {}1", "(".repeat(2_000_000));
    assert!(!read(&deep).certain);
    let brackets = format!("SELECT 1 FROM {}", "(".repeat(2_000_000));
    assert!(!read(&brackets).certain);
    let long = format!("SELECT 1 FROM {}a", "a,".repeat(200_000));
    assert!(!read(&long).certain);
    let targets = format!("DELETE {}a FROM {}a", "a,".repeat(90_000), "b,".repeat(90_000));
    assert!(!read(&targets).certain);
    let unclosed: String = (0..100_000).map(|n| format!("$t{n}$ ")).collect();
    assert!(!read(&format!("CREATE PROCEDURE p() {unclosed}")).certain);
}
