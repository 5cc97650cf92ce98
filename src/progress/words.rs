//! A workflow's state in words and numbers.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, HumanDuration};

use crate::model::switch::{Direction, Phase};
use crate::model::workflow::{Desired, StreamState};
use crate::topology::records::{Status, TableStatus, Workflow};

/// A workflow's state in one word and one sentence: what its owner says, else what its record says; and where its traffic
/// goes, once any of it is switched.
pub fn state_of(record: &Workflow, status: Option<&Status>) -> (String, String) {
    let (state, message) = stream_of(record, status);
    let said = [traffic(record), Some(message).filter(|message| !message.is_empty())];
    (state, said.into_iter().flatten().collect::<Vec<_>>().join("; "))
}

fn stream_of(record: &Workflow, status: Option<&Status>) -> (String, String) {
    let said = || status.map(|status| status.message.clone()).unwrap_or_default();
    match record.desired {
        Desired::Cancelled => return ("Cancelling".into(), said()),
        Desired::Completed => return ("Completing".into(), said()),
        Desired::Running | Desired::Paused => {}
    }
    match (&record.stopped, status) {
        (Some(stopped), _) if record.desired == Desired::Running => {
            (stopped.state.to_string(), stopped.message.clone())
        }
        (_, Some(status)) => (status.state.to_string(), status.message.clone()),
        (_, None) => ("Unowned".into(), "no engine carries it; run `shardlift engine run`".into()),
    }
}

/// Where traffic goes, and whether that is being changed.
fn traffic(record: &Workflow) -> Option<String> {
    let spec = &record.spec;
    let types: Vec<_> = record.switched.iter().map(|one| one.as_str()).collect();
    let mut said = Vec::new();
    if !types.is_empty() {
        said.push(format!("{} traffic at {}", types.join(", "), spec.target_keyspace));
    }
    if record.flow() == Direction::Backward {
        said.push(format!("changes flow back to {}", spec.source_keyspace));
    }
    if let Some(switch) = record.open_switch() {
        said.push(match &switch.phase {
            Phase::Doing { step } => format!("a switch is at step {step}"),
            Phase::Undoing { why } => format!("a switch is being undone: {why}"),
            _ => "a switch is under way".into(),
        });
    }
    if let Some((closed, broken)) = record.closed.as_ref().and_then(|closed| Some((closed, closed.broken.as_ref()?))) {
        // What was left by the switch that closed it.
        let (side, _) = spec.names(closed.direction);
        said.push(format!("THE WAY TO {side} IS BROKEN: {} (see `workflow repair`)", broken.why));
    }
    (!said.is_empty()).then(|| said.join(", "))
}

/// Whether every row is copied.
pub fn copied(status: Option<&Status>) -> bool {
    status
        .is_some_and(|status| !status.tables.is_empty() && status.tables.values().all(|table| table.state != "copying"))
}

/// Rows a table will have: what is known once it is copied, an estimate before.
pub(super) fn expected(table: &TableStatus) -> u64 {
    if table.state == "copying" { table.rows_expected.max(table.rows) } else { table.rows }
}

/// How long the copy will take at the present rate.
pub fn eta(status: &Status) -> Option<Duration> {
    let left: u64 = status.tables.values().map(|table| expected(table) - table.rows).sum();
    (left > 0 && status.copy_rows_per_second > 0).then(|| Duration::from_secs(left / status.copy_rows_per_second))
}

/// The whole workflow in one line.
pub fn summary(state: &str, message: &str, status: &Status) -> String {
    let mut parts = vec![state.to_string()];
    if state == StreamState::Copying.as_str() {
        let rows = HumanCount(status.copy_rows_per_second);
        parts.push(format!("{rows} rows/s, {}/s", HumanBytes(status.copy_bytes_per_second)));
        parts.extend(eta(status).map(|eta| format!("about {} left", HumanDuration(eta))));
    }
    parts.push(format!("{} changes/s", HumanCount(status.changes_per_second)));
    parts.push(status.lag_ms.map_or("lag unknown".into(), |ms| format!("lag {:.1} s", ms as f64 / 1_000.0)));
    parts.extend(status.throttled.as_ref().map(|reason| format!("throttled: {reason}")));
    parts.extend((!message.is_empty()).then(|| message.to_string()));
    parts.extend(status.warning.as_ref().map(|warning| format!("WARNING: {warning}")));
    parts.join("  |  ")
}
