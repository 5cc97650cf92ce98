//! Sequences that will number rows on the new side: there, and of a sequence's form.

use crate::engine::EngineError;
use crate::topology::records::Replaced;
use crate::workflow::preflight::DEADLINE;
use crate::workflow::sequences::{Numbering, Sequence, next, primary};

use super::{Finding, Question};

/// No such table; no such column.
const NO_TABLE: u16 = 1146;
const NO_COLUMN: u16 = 1054;

/// What is wrong with them. One without a row gets it in the switch, and so does its table where the workflow replaces
/// AUTO_INCREMENT by it.
pub(super) async fn judge(question: &Question<'_>) -> Result<Vec<Finding>, EngineError> {
    let workflow = question.workflow;
    let (_, new) = workflow.spec.sides(question.request.direction);
    let numbering = Numbering::read(question.topology).await?;
    let numbered = match numbering.of(new.keyspace, &workflow.spec.tables) {
        Ok(numbered) => numbered,
        Err(error) => {
            let subject = format!("keyspace {}", new.keyspace);
            let cure = "apply a VSchema that has the sequence (`shardlift vschema apply`)";
            return Ok(vec![Finding::refuse("sequence", subject, error.to_string(), cure)]);
        }
    };
    let mut sequences: Vec<Sequence> = numbered.into_iter().map(|numbered| numbered.sequence).collect();
    sequences.sort();
    sequences.dedup();
    let mut findings = Vec::new();
    for sequence in sequences {
        let looked = tokio::time::timeout(DEADLINE, look(question, &numbering, &sequence)).await;
        let (code, problem) = match looked {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => (code(&error), error.to_string()),
            Err(_) => (None, format!("its server did not answer within {} s", DEADLINE.as_secs())),
        };
        let problem = match code {
            Some(NO_TABLE) if is_made(&workflow.replaced, &sequence) => continue,
            Some(NO_TABLE) => "its table does not exist".into(),
            Some(NO_COLUMN) => "its table has not the columns id, next_id and cache".into(),
            _ => problem,
        };
        let cure = format!(
            "CREATE TABLE {} (id INT NOT NULL PRIMARY KEY, next_id BIGINT, cache BIGINT) COMMENT 'vitess_sequence' in \
             keyspace {}, on a server that can be reached",
            sequence.table, sequence.keyspace
        );
        findings.push(Finding::refuse("sequence", format!("sequence {sequence}"), problem, cure));
    }
    Ok(findings)
}

/// Whether the switch will make it.
fn is_made(replaced: &[Replaced], sequence: &Sequence) -> bool {
    replaced.iter().any(|one| one.created && one.sequence == sequence.table)
}

fn code(error: &EngineError) -> Option<u16> {
    match error {
        EngineError::Mysql { source, .. } | EngineError::Server(source) => source.code(),
        _ => None,
    }
}

async fn look(question: &Question<'_>, numbering: &Numbering, sequence: &Sequence) -> Result<(), EngineError> {
    let side = primary(question.topology, question.credentials, numbering.home(sequence)?).await?;
    let mut session = side.session().await?;
    let asked = next(&mut session, &side, &sequence.table).await;
    session.close().await;
    asked.map(drop).map_err(EngineError::at(&side.label))
}
