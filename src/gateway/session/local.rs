//! What the gateway answers by itself: USE, transactions no server knows of yet, SHOW of the cluster, KILL.

use std::sync::Arc;

use mysql_common::constants::StatusFlags;

use crate::gateway::client::{ClientError, ColumnSpec, SqlError, StateChange, packets};
use crate::gateway::route::parse_target;
use crate::gateway::sessions::Target as Found;
use crate::gateway::show::{self, Answer};
use crate::gateway::sql::{Assignment, Kind, Name, Scope, Statement, TransactionScope, analyze, quote_identifier};
use crate::gateway::view::Tablet;
use crate::model::workflow::TabletType;
use crate::mysql::wire::relay::ReplyKind;

use super::lend::READ_ONLY;
use super::send::Follows;
use super::txn::Txn;
use super::{Flow, Session};

const FIELD_LIST: u8 = 0x04;
/// SET TRANSACTIONs kept for the next transaction; the last of each sort is what counts.
const MOST_CHARACTERISTICS: usize = 16;
/// Character sets in which a backslash or a quote may be part of a character: texts in them cannot be read safely.
pub(super) const UNSAFE: [&str; 6] = ["big5", "cp932", "gb18030", "gbk", "sjis", "ucs2"];
/// What the gateway needs for itself on every connection.
const OWN: [&str; 3] = ["session_track_system_variables", "session_track_schema", "session_track_state_change"];
/// Whether transactions may be on several shards; the gateway's own, as in Vitess.
const MODE: &str = "transaction_mode";
/// What makes a server tell more of a transaction than its beginning and end.
const TRANSACTION_INFO: &str = "session_track_transaction_info";
/// The variable that lets streams pass the fences (design §5.1).
const STREAM: &str = "shardlift_stream";

impl Session {
    /// Answers a statement that needs no server; `None` for all others. `binary`: as a prepared statement's result.
    pub(super) async fn answer(
        &mut self,
        statement: &Statement,
        sql: &[u8],
        binary: bool,
        more: bool,
    ) -> Result<Option<Flow>, ClientError> {
        let flow = match &statement.kind {
            Kind::Empty if matches!(sql.trim_ascii(), b"" | b";") => {
                self.fail(SqlError::new(1065, b"42000", "Query was empty")).await?
            }
            // Comments alone are well; some drivers ping with one.
            Kind::Empty => self.done_with(Vec::new(), more).await?,
            kind if self.target.tablet_type != TabletType::Primary && wants_to_write(kind, sql) => {
                let text = format!(
                    "the session's target is {}, which takes reads only; `use` the keyspace first",
                    self.target
                );
                self.fail(SqlError::new(1290, b"HY000", text)).await?
            }
            Kind::SetTransaction { scope: TransactionScope::Next }
                if statement.certain && self.txn.tablet().is_none() =>
            {
                if self.characteristics.len() == MOST_CHARACTERISTICS {
                    self.characteristics.remove(0);
                }
                self.characteristics.push(sql.to_vec());
                self.done_with(Vec::new(), more).await?
            }
            Kind::Use(name) => match use_fault(name, sql) {
                None => self.aim(&name.text, more).await?,
                Some(error) => self.fail(error).await?,
            },
            Kind::Begin { consistent_snapshot: false, read_only }
                if statement.certain && self.txn.tablet().is_none() =>
            {
                let next = Txn::Begun { text: sql.to_vec(), read_only: self.begins_read_only(*read_only) };
                let changes = self.txn.becomes(next);
                self.done_with(changes, more).await?
            }
            Kind::Commit { chain, release } | Kind::Rollback { chain, release }
                if statement.certain
                    && self.txn.tablet().is_none()
                    && self.held.is_empty()
                    && self.settings.get("completion_type").is_none() =>
            {
                let next = match *chain {
                    true => self.txn.chained(self.begins_read_only(None)),
                    false => {
                        self.characteristics.clear();
                        Txn::None
                    }
                };
                let changes = self.txn.becomes(next);
                self.done_with(changes, more).await?;
                if *release { Flow::Quit } else { Flow::On }
            }
            Kind::Query if statement.uses.next_values => return self.next_values(statement, sql, binary, more).await,
            Kind::Kill { query_only, id } => self.kill(*id, *query_only, more).await?,
            Kind::Diagnostics if self.last.refusal.is_some() => match self.refusal_shown(sql, binary, more).await? {
                Some(flow) => flow,
                None => return Ok(None),
            },
            Kind::Set(assignments) if assignments.iter().any(|one| one.name == MODE) => {
                match mode_of(assignments, sql) {
                    Ok(multi) => {
                        self.multi = multi;
                        self.done_with(Vec::new(), more).await?
                    }
                    Err(error) => self.fail(error).await?,
                }
            }
            Kind::Set(assignments) => match refused_setting(assignments, sql) {
                Some(error) => self.fail(error).await?,
                None => return Ok(None),
            },
            Kind::Show(_) => match self.listing(statement) {
                Some(Ok(answer)) => self.show(answer, binary, more).await?,
                Some(Err(error)) => self.fail(error).await?,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        Ok(Some(flow))
    }

    /// Whether a transaction that says this of writing is read only.
    pub(super) fn begins_read_only(&self, said: Option<bool>) -> bool {
        let has = |text: &[u8], word: &[u8]| text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
        let next = self.characteristics.iter().rev().find_map(|text| match (has(text, b"only"), has(text, b"write")) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        });
        said.or(next).unwrap_or_else(|| {
            self.settings.get(READ_ONLY) == Some("ON") || self.target.tablet_type != TabletType::Primary
        })
    }

    /// The answer to a SHOW of the cluster.
    pub(super) fn listing(&self, statement: &Statement) -> Option<Result<Answer, SqlError>> {
        let healths = self.gateway.healths.borrow();
        let seen = |tablet: &Tablet| healths.get(&tablet.alias).cloned();
        let answer = show::answer(statement, &self.view(), &self.target, &seen)?;
        Some(answer.map_err(SqlError::from))
    }

    async fn show(&mut self, answer: Answer, binary: bool, more: bool) -> Result<Flow, ClientError> {
        let columns: Vec<ColumnSpec> = answer.columns.iter().copied().map(ColumnSpec::text).collect();
        self.table(&columns, answer.rows, binary, more).await
    }

    pub(super) async fn table(
        &mut self,
        columns: &[ColumnSpec],
        rows: Vec<Vec<String>>,
        binary: bool,
        more: bool,
    ) -> Result<Flow, ClientError> {
        let mut status = self.status();
        status.set(StatusFlags::SERVER_MORE_RESULTS_EXISTS, more);
        let rows = rows.into_iter().map(|row| row.into_iter().map(Some));
        match binary {
            true => self.client.binary_result(columns, rows, 0, status).await?,
            false => self.client.text_result(columns, rows, 0, status).await?,
        }
        self.last.refusal = None;
        Ok(Flow::On)
    }

    /// COM_INIT_DB.
    pub(super) async fn use_target(&mut self, text: &str) -> Result<Flow, ClientError> {
        match text.is_empty() {
            true => self.fail(SqlError::new(1046, b"3D000", "No database selected")).await,
            false => self.aim(text, false).await,
        }
    }

    async fn aim(&mut self, text: &str, more: bool) -> Result<Flow, ClientError> {
        match parse_target(&self.view(), text) {
            Ok(target) => self.target = target,
            Err(refusal) => return self.fail(refusal.into()).await,
        }
        self.last.refusal = None;
        self.done_with(vec![StateChange::Schema(text.as_bytes().to_vec())], more).await
    }

    /// SHOW WARNINGS and SHOW ERRORS after an error of the gateway's own.
    async fn refusal_shown(&mut self, sql: &[u8], binary: bool, more: bool) -> Result<Option<Flow>, ClientError> {
        let Some(refusal) = self.last.refusal.clone() else { return Ok(None) };
        let mut words = sql.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let (show, what) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let listed = [&b"WARNINGS"[..], b"ERRORS"].iter().any(|known| what.eq_ignore_ascii_case(known));
        if !show.eq_ignore_ascii_case(b"SHOW") || !listed {
            return Ok(None);
        }
        let columns = ColumnSpec::diagnostics();
        let row = vec!["Error".to_owned(), refusal.code.to_string(), refusal.message.clone()];
        let flow = self.table(&columns, vec![row], binary, more).await?;
        self.last.refusal = Some(refusal);
        Ok(Some(flow))
    }

    /// KILL and COM_PROCESS_KILL.
    pub(super) async fn kill(&mut self, id: Option<u64>, query_only: bool, more: bool) -> Result<Flow, ClientError> {
        let Some(id) = id else {
            let text = "KILL takes a number here, the connection's id as this gateway gave it";
            return self.fail(SqlError::new(1235, b"42000", text)).await;
        };
        let user = self.client.identity().user.clone();
        match self.gateway.sessions.kill(id, &user, query_only) {
            Found::Unknown => self.fail(SqlError::new(1094, b"HY000", format!("Unknown thread id: {id}"))).await,
            Found::Denied => {
                self.fail(SqlError::new(1095, b"HY000", format!("You are not owner of thread {id}"))).await
            }
            Found::Found(place) if Arc::ptr_eq(&place, self.seat.place()) => {
                // Its own statement is this one.
                self.fail(SqlError::new(1317, b"70100", "Query execution was interrupted")).await
            }
            Found::Found(place) => {
                let ended = match place.lock().await.as_ref() {
                    Some(running) => self.gateway.pools.kill_query(running).await,
                    None => Ok(()),
                };
                match ended {
                    Ok(()) => self.done_with(Vec::new(), more).await,
                    Err(error) => {
                        let text = format!("the statement of thread {id} could not be ended: {error}");
                        self.fail(SqlError::new(1105, b"HY000", text)).await
                    }
                }
            }
        }
    }

    /// COM_SET_OPTION.
    pub(super) async fn set_option(&mut self, option: u16) -> Result<Flow, ClientError> {
        match option {
            0 => self.several = true,
            1 => self.several = false,
            _ => return self.fail(SqlError::new(1047, b"08S01", "Unknown command")).await,
        }
        let mut packet = Vec::new();
        packets::end_of_rows(&mut packet, 0, self.status(), self.client.identity().capabilities);
        self.client.packet(&packet).await?;
        Ok(Flow::On)
    }

    /// COM_FIELD_LIST.
    pub(super) async fn field_list(&mut self, table: &[u8], wildcard: &[u8]) -> Result<Flow, ClientError> {
        let describe = [b"DESCRIBE ", quote_identifier(&String::from_utf8_lossy(table)).as_slice()].concat();
        let statement = analyze(&describe, self.mode);
        let mut checkout = match self.place(&statement, &describe).await {
            Ok((checkout, _)) => checkout,
            Err(error) => return self.fail(error).await,
        };
        let body = [table, b"\0", wildcard].concat();
        if let Err(error) = checkout.backend.request(FIELD_LIST, &body).await {
            return self.gone(&error, checkout, false).await;
        }
        match self.exchange(&mut checkout, ReplyKind::Rows, Follows::default()).await {
            Ok(_) => {
                self.settle(checkout);
                Ok(Flow::On)
            }
            Err(error) => self.broken(error, checkout).await,
        }
    }
}

/// What is wrong with a USE.
pub(super) fn use_fault(name: &Name, sql: &[u8]) -> Option<SqlError> {
    let rest = sql.get(name.span.end..).map(<[u8]>::trim_ascii).unwrap_or_default();
    let ends = matches!(rest, b"" | b"`" | b";" | b"`;");
    (!ends || name.text.is_empty()).then(|| SqlError::syntax(if ends { b"" } else { rest }))
}

/// Whether a session on a replica asks to be allowed to write.
fn wants_to_write(kind: &Kind, sql: &[u8]) -> bool {
    match kind {
        Kind::Begin { read_only: Some(false), .. } => true,
        Kind::SetTransaction { .. } => sql.to_ascii_lowercase().windows(5).any(|word| word == b"write"),
        Kind::Set(assignments) => assignments.iter().any(|one| one.name == READ_ONLY),
        _ => false,
    }
}

/// What `SET transaction_mode = …` asks for: whether transactions may be on several shards.
fn mode_of(assignments: &[Assignment], sql: &[u8]) -> Result<bool, SqlError> {
    let [only] = assignments else {
        let text = "set transaction_mode by itself: it is the gateway's, not a server's";
        return Err(SqlError::new(1235, b"42000", text));
    };
    let value = String::from_utf8_lossy(sql.get(only.value.clone()).unwrap_or_default()).to_lowercase();
    match value.trim().trim_matches(['\'', '"', '`']) {
        "multi" | "default" => Ok(true),
        "single" => Ok(false),
        other => {
            let text = format!(
                "Variable 'transaction_mode' can't be set to the value of '{other}': it is single or multi; transactions over several \
                 shards are committed on one after another"
            );
            Err(SqlError::new(1231, b"42000", text))
        }
    }
}

/// Why a SET is not sent to a server.
fn refused_setting(assignments: &[Assignment], sql: &[u8]) -> Option<SqlError> {
    let refuse = |text: String| Some(SqlError::new(1235, b"42000", text));
    for assignment in assignments {
        let name = assignment.name.as_str();
        let value = String::from_utf8_lossy(sql.get(assignment.value.clone()).unwrap_or_default()).to_lowercase();
        if OWN.contains(&name) {
            return refuse(format!("{name} cannot be set through the gateway, which uses it itself"));
        }
        if name == TRANSACTION_INFO && !matches!(value.trim().trim_matches(['\'', '"']), "off" | "0" | "default") {
            return refuse(format!(
                "{name} cannot be set through the gateway, which answers BEGIN before a server knows of the transaction"
            ));
        }
        if assignment.scope == Scope::User && name == STREAM {
            return refuse(format!("@{STREAM} is what shardlift's own streams are known by; it cannot be set here"));
        }
        let charset = matches!(assignment.scope, Scope::Names | Scope::CharacterSet) || name == "character_set_client";
        let word: String =
            value.chars().skip_while(|c| "'\"`".contains(*c)).take_while(char::is_ascii_alphanumeric).collect();
        if charset && UNSAFE.contains(&word.as_str()) {
            return refuse(format!(
                "statements in character set {word} cannot be read safely by a gateway (bytes of its characters look like \
                 quotes); use utf8mb4"
            ));
        }
    }
    None
}
