//! Whether a switch may begin: everything is examined, and what passes by itself is waited for, for as long as was asked.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::model::switch::SwitchRequest;
use crate::topology::records::Workflow;
use crate::workflow::carry::{Standing, Streaming};
use crate::workflow::preflight::Finding;
use crate::workflow::preflight::switch::{Look, Question, Stream, examine};

use super::SwitchError;
use super::tools::Tools;

/// Between two looks at what has yet to pass.
const LOOK: Duration = Duration::from_millis(100);
/// What is kept of a text in the workflow's record, and of one in its log, bytes.
const KEPT: usize = 48 << 10;
const LOGGED: usize = 2 << 10;

/// Waits until nothing stands in the way; says everything that does, at once if it will not pass by itself, else if that
/// takes longer than the request allows.
pub async fn check(
    tools: &Tools<'_>,
    workflow: &Workflow,
    request: &SwitchRequest,
    streaming: &mut Streaming,
) -> Result<(), SwitchError> {
    let end = Instant::now() + Duration::from_millis(request.timeout_ms);
    let mut look = Look::All;
    loop {
        if streaming.is_over() {
            let ended = streaming.ended().await.err();
            let over = || SwitchError::Refused("the stream has come to its end".into());
            return Err(ended.map_or_else(over, |(_, error)| SwitchError::Engine(error)));
        }
        let (topology, credentials) = (&tools.desk.topology, tools.credentials);
        let stream = stream(tools.standing);
        let question = Question { topology, credentials, workflow, request, stream };
        let findings = examine(&question, look).await?;
        if findings.iter().any(|finding| finding.refuses() && !finding.passes()) {
            let refusals: Vec<_> = findings.iter().filter(|finding| finding.refuses()).collect();
            return Err(SwitchError::Refused(told(&refusals)));
        }
        if look == Look::All {
            for warning in findings.iter().filter(|finding| !finding.refuses() && !finding.passes()) {
                tracing::warn!(workflow = tools.desk.label(), "switch: {warning}");
                tools.desk.log(in_short(&format!("switch: {warning}"))).await?;
            }
        }
        let waiting: Vec<_> = findings.iter().filter(|finding| finding.passes()).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            let seconds = request.timeout_ms / 1_000;
            return Err(SwitchError::Refused(format!("not ready within {seconds} s (--timeout): {}", told(&waiting))));
        }
        look = Look::Passing;
        sleep(LOOK).await;
    }
}

fn stream(standing: &Standing) -> Stream {
    let snapshot = standing.snapshot();
    Stream { state: Some(snapshot.state), lag: snapshot.lag(), message: snapshot.message }
}

/// As many as the record can hold.
fn told(findings: &[&Finding]) -> String {
    let mut text = format!("{} reason(s) against it", findings.len());
    for (done, finding) in findings.iter().enumerate() {
        let line = format!("\n{finding}");
        if text.len() + line.len() > KEPT {
            text += &format!("\nand {} more; `--dry-run` shows all", findings.len() - done);
            break;
        }
        text += &line;
    }
    text
}

/// As much of a text as a line of the log should have.
pub fn in_short(text: &str) -> &str {
    let end = (0..=LOGGED.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
    text.get(..end).unwrap_or_default()
}
