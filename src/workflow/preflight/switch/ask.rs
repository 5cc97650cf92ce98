//! What is asked of one server before a switch: queries without judgement, but for what a server itself judges.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::workflow::WorkflowKind;
use crate::mysql::MysqlError;
use crate::mysql::admin::{self, OpenTransaction, PreparedXa, Session};
use crate::mysql::quote;
use crate::mysql::schema::read_tables;
use crate::workflow::leftover::is_leftover;

use super::super::facts::{self, Facts};
use super::counters::{self, Counter};
use super::{Finding, Look, Place, Question};

/// One answer may take this long.
const LIMIT: Duration = Duration::from_secs(20);
/// A table may be in use for so long, seconds; all of them together, [`TRYING`].
const IN_USE: u64 = 1;
const TRYING: Duration = Duration::from_secs(10);
/// Error numbers: a wait that was too long; what the account may not ask for.
const WAITED: [u16; 2] = [1205, 3024];
const DENIED: [u16; 3] = [1044, 1142, 1227];

/// What a server said.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// As when the workflow was started; of a passing look only the channels.
    pub facts: Facts,
    /// Open transactions; `None` where the account may not see them.
    pub open: Option<Vec<OpenTransaction>>,
    /// Prepared XA transactions.
    pub prepared: Vec<PreparedXa>,
    /// AUTO_INCREMENT columns of the moved tables.
    pub counters: BTreeMap<String, Counter>,
    /// What it refuses already.
    pub findings: Vec<Finding>,
}

pub(super) async fn ask(place: &Place, question: &Question<'_>, look: Look) -> Result<Answer, MysqlError> {
    let mut session = Session::open(&place.server.login, LIMIT).await?;
    let mut answer = Answer::default();
    if look == Look::All {
        answer.facts = facts::server_facts(&mut session).await?;
        // They are judged with their age.
        answer.prepared = std::mem::take(&mut answer.facts.prepared);
        if place.is_primary() {
            answer.facts.programs = facts::programs(&mut session).await?;
        }
    } else if !place.is_primary() {
        answer.facts.channels = permitted(admin::channels(&mut session).await)?.unwrap_or_default();
    }
    if place.is_primary() && question.request.writes() {
        answer.open = permitted(admin::open_transactions(&mut session, Duration::ZERO).await)?;
        if look == Look::Passing {
            answer.prepared = permitted(admin::xa_recover(&mut session).await)?.unwrap_or_default();
        }
        if look == Look::All {
            answer.counters = counters::read(&mut session, place, question).await?;
        }
        if look == Look::All && place.closing && question.workflow.spec.kind == WorkflowKind::Reshard {
            left_behind(&mut session, place, question, &mut answer.findings).await?;
        }
        if place.closing && question.request.way_back {
            try_writes(&mut session, place, question, &mut answer.findings).await?;
        }
    }
    session.close().await;
    Ok(answer)
}

/// Names tables that have come since the workflow was started: a shard's tables move all together.
async fn left_behind(
    session: &mut Session,
    place: &Place,
    question: &Question<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(), MysqlError> {
    let moved = &question.workflow.spec.tables;
    let there = read_tables(session, place.server.database.as_str(), None).await?;
    let others = there.iter().filter(|one| one.base_table && !moved.iter().any(|table| table.as_str() == one.name));
    for table in others.filter(|one| !is_leftover(&one.name, moved)) {
        findings.push(Finding::refuse(
            "new-table",
            format!("{} on {}", table.name, place.server.name),
            "it was created after the workflow was started, and would be left behind",
            "drop it, or cancel the workflow and start it anew",
        ));
    }
    Ok(())
}

/// Tries to write each table as the way back will have to, and takes it back. No row is touched: a row's lock could make a
/// client the victim of a deadlock. What the account may not do, or the server not take, is refused all the same.
async fn try_writes(
    session: &mut Session,
    place: &Place,
    question: &Question<'_>,
    findings: &mut Vec<Finding>,
) -> Result<(), MysqlError> {
    let end = Instant::now() + TRYING;
    session.execute(&format!("SET SESSION lock_wait_timeout = {IN_USE}")).await?;
    session.execute("START TRANSACTION").await?;
    for (done, table) in question.workflow.spec.tables.iter().enumerate() {
        let name = quote::table_name(&place.server.database, table);
        let subject = format!("{table} on {}", place.server.name);
        match session.execute(&format!("DELETE FROM {name} LIMIT 0")).await {
            Ok(_) => {}
            Err(MysqlError::Server { code, .. }) if WAITED.contains(&code) => findings.push(Finding::refuse(
                "table-in-use",
                subject,
                "a write waits for the table's metadata: it is locked, or somebody alters it",
                "end LOCK TABLES, FLUSH TABLES or DDL on it (SHOW PROCESSLIST)",
            )),
            Err(error @ MysqlError::Server { .. }) => findings.push(Finding::refuse(
                "way-back",
                subject,
                format!("the way back could not be written: {error}"),
                "cure that, or switch with --enable-reverse-replication=false",
            )),
            Err(error) => return Err(error),
        }
        if Instant::now() > end {
            let left = question.workflow.spec.tables.len() - done - 1;
            findings.push(Finding::refuse(
                "table-in-use",
                &place.server.name,
                format!("{left} table(s) were not tried: the others have taken too long"),
                "end what holds them (SHOW PROCESSLIST)",
            ));
            break;
        }
    }
    session.execute("ROLLBACK").await.map(drop)
}

/// The answer, or nothing where the account may not ask.
fn permitted<T>(answer: Result<T, MysqlError>) -> Result<Option<T>, MysqlError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(MysqlError::Server { code, .. }) if DENIED.contains(&code) => Ok(None),
        Err(error) => Err(error),
    }
}
