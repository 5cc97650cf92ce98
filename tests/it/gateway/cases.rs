//! The corpus files: SQL as people write it, and what to expect where that is not "the same as without a gateway".
//!
//! A statement ends with `;` at the end of a line, or is everything between `-- @block` and `-- @end`. A `--` line before a
//! statement is for the reader. Annotations stand before the statement they are about:
//!
//! - `-- @volatile`: values change from run to run; columns, number of rows, flags and codes do not.
//! - `-- @plan`: the plan, of which columns and flags tell, differs from run to run.
//! - `-- @messages`: what an error says differs, its code does not.
//! - `-- @refused 1235 words`: the gateway refuses it with this code and these words in its message. Not sent directly.
//! - `-- @own reason`: the gateway answers in its own way, and must not fail.
//! - `-- @session b`: said by the file's other connection of this name.
//! - `-- @quiet`: no SHOW WARNINGS after it, for the next statement asks what this one left.
//! - `-- @text`: never prepared.
//! - `-- @once`: in the first dialect only, for it takes its time.
//! - `-- @args 1, 'x', 0x00, 1.5, NULL`: prepared, with these parameters.
//! - `-- @file a,1|b,2`: what LOAD DATA LOCAL reads, `|` between lines.
//! - `-- @bytes`: `\xNN` in the statement stands for that byte.
//! - `-- @command name argument`: no statement but a command of the protocol.

use std::path::Path;

use super::reply::Hidden;

/// A parameter of a prepared statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    Null,
    Integer(i64),
    Double(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

/// What the gateway must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    Same,
    Refused { code: u16, words: String },
    Own,
}

/// What is said.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    Statement(Vec<u8>),
    Command { name: String, argument: String },
}

/// One statement of the corpus.
#[derive(Debug, Clone)]
pub struct Case {
    /// `file.sql:12`.
    pub place: String,
    pub said: Said,
    pub expect: Expect,
    pub hidden: Hidden,
    pub quiet: bool,
    pub text: bool,
    pub once: bool,
    pub session: String,
    pub arguments: Option<Vec<Argument>>,
    pub file: Option<Vec<u8>>,
    bytes: bool,
}

impl Case {
    fn new() -> Case {
        Case {
            place: String::new(),
            said: Said::Statement(Vec::new()),
            expect: Expect::Same,
            hidden: Hidden::Nothing,
            quiet: false,
            text: false,
            once: false,
            session: "a".into(),
            arguments: None,
            file: None,
            bytes: false,
        }
    }

    fn annotate(&mut self, place: &str, annotation: &str) {
        let (word, rest) = annotation.split_once(' ').unwrap_or((annotation, ""));
        let rest = rest.trim();
        match word {
            "volatile" => self.hidden = Hidden::Values,
            "messages" => self.hidden = Hidden::Messages,
            "plan" => self.hidden = Hidden::Plan,
            "quiet" => self.quiet = true,
            "text" => self.text = true,
            "once" => self.once = true,
            "bytes" => self.bytes = true,
            "session" => self.session = rest.into(),
            "own" if !rest.is_empty() => self.expect = Expect::Own,
            "refused" => {
                let (code, words) = rest.split_once(' ').unwrap_or((rest, ""));
                let code = code.parse().unwrap_or_else(|_| panic!("{place}: no error code in {rest:?}"));
                self.expect = Expect::Refused { code, words: words.into() };
            }
            "args" => self.arguments = Some(rest.split(", ").map(|text| argument(place, text)).collect()),
            "file" => self.file = Some(rest.split('|').flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()),
            _ => panic!("{place}: unknown annotation {annotation:?}"),
        }
    }

    fn finish(mut self, place: String, mut text: Vec<u8>) -> Case {
        self.place = place;
        if self.bytes {
            text = with_bytes(&text);
        }
        self.said = Said::Statement(text);
        self
    }

    /// As messages show it.
    pub fn shown(&self) -> String {
        match &self.said {
            Said::Statement(sql) => sql
                .iter()
                .take(400)
                .copied()
                .collect::<Vec<_>>()
                .escape_ascii()
                .to_string()
                .replace("\\n", "\n")
                .replace("\\'", "'"),
            Said::Command { name, argument } => format!("command {name} {argument}"),
        }
    }
}

/// All cases of a file, in order.
pub fn read(path: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let (mut cases, mut next, mut sql) = (Vec::new(), Case::new(), String::new());
    let (mut block, mut started) = (false, 0);
    for (number, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", number + 1);
        let annotation = line.strip_prefix("-- @").map(str::trim_end);
        match annotation {
            Some("end") => {
                block = false;
                sql.truncate(sql.trim_end_matches('\n').len());
                let case = std::mem::replace(&mut next, Case::new());
                cases.push(case.finish(format!("{name}:{started}"), std::mem::take(&mut sql).into_bytes()));
                continue;
            }
            Some("block") => {
                (block, started) = (true, number + 1);
                continue;
            }
            Some(command) if !block && command.starts_with("command ") => {
                let (name, argument) =
                    command["command ".len()..].split_once(' ').unwrap_or((&command["command ".len()..], ""));
                let mut case = std::mem::replace(&mut next, Case::new());
                case.said = Said::Command { name: name.into(), argument: argument.into() };
                case.place = place;
                cases.push(case);
                continue;
            }
            Some(annotation) if !block && sql.is_empty() => {
                next.annotate(&place, annotation);
                continue;
            }
            _ => {}
        }
        if sql.is_empty() && !block {
            if line.trim().is_empty() || line.starts_with("-- ") {
                continue;
            }
            started = number + 1;
        }
        sql.push_str(line);
        sql.push('\n');
        if !block && line.trim_end().ends_with(';') {
            sql.truncate(sql.trim_end().len() - 1);
            let case = std::mem::replace(&mut next, Case::new());
            cases.push(case.finish(format!("{name}:{started}"), std::mem::take(&mut sql).into_bytes()));
        }
    }
    assert!(sql.is_empty(), "{name}:{started}: a statement without its end");
    cases
}

fn argument(place: &str, text: &str) -> Argument {
    let text = text.trim();
    if text == "NULL" {
        Argument::Null
    } else if let Some(inner) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        Argument::Text(inner.into())
    } else if let Some(hex) = text.strip_prefix("0x") {
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        Argument::Blob((0..hex.len()).step_by(2).map(byte).collect())
    } else if text.contains('.') {
        Argument::Double(text.parse().unwrap_or_else(|_| panic!("{place}: {text:?} is no number")))
    } else {
        Argument::Integer(text.parse().unwrap_or_else(|_| panic!("{place}: {text:?} is no parameter")))
    }
}

/// `\xNN` as the byte it names.
fn with_bytes(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let hex =
            rest.strip_prefix(b"\\x").and_then(|rest| rest.get(..2)).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &rest[4..];
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

#[test]
fn annotations_belong_to_the_statement_after_them() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "-- for the reader\nSELECT 1;\n-- @refused 1235 not here\n-- @session b\nSELECT\n  2;\n-- @block\nSELECT 3; -- x\nSELECT 4;\n-- @end\n-- @command init-db x\n-- @bytes\nSELECT '\\xff';\n-- @args 1, 'a', NULL, 0x0aff, 1.5\nSELECT ?;\n";
    std::fs::write(file.path(), text).unwrap();
    let cases = read(file.path());
    let sql: Vec<_> = cases.iter().map(|case| case.said.clone()).collect();
    let statement = |text: &[u8]| Said::Statement(text.to_vec());
    let command = Said::Command { name: "init-db".into(), argument: "x".into() };
    let expected = [
        statement(b"SELECT 1"),
        statement(b"SELECT\n  2"),
        statement(b"SELECT 3; -- x\nSELECT 4;"),
        command,
        statement(b"SELECT '\xff'"),
        statement(b"SELECT ?"),
    ];
    assert_eq!(sql, expected);
    assert_eq!(cases[1].expect, Expect::Refused { code: 1235, words: "not here".into() });
    assert_eq!((cases[0].session.as_str(), cases[1].session.as_str(), cases[2].session.as_str()), ("a", "b", "a"));
    let arguments = [
        Argument::Integer(1),
        Argument::Text(b"a".to_vec()),
        Argument::Null,
        Argument::Blob(vec![10, 255]),
        Argument::Double(1.5),
    ];
    assert_eq!(cases[5].arguments.as_deref(), Some(arguments.as_slice()));
}
