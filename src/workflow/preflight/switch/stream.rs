//! Whether the stream is where a switch can begin. Pure.

use std::time::Duration;

use crate::model::switch::SwitchRequest;
use crate::model::workflow::StreamState;

use super::{Finding, LEVEL};

/// What is known of the workflow's stream.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Where it is; `None` where no engine says.
    pub state: Option<StreamState>,
    /// In words, when there is something to say.
    pub message: String,
    /// Its lag, where known.
    pub lag: Option<Duration>,
}

impl Stream {
    pub(super) fn judge(&self, request: &SwitchRequest, findings: &mut Vec<Finding>) {
        let Self { state, message, lag } = self;
        let most = Duration::from_millis(request.max_lag_ms);
        if let Some(lag) = lag.filter(|lag| *lag > most) {
            findings.push(Finding::refuse(
                "lag",
                "stream",
                format!("the stream lags {:.1} s, more than the {} s allowed", lag.as_secs_f64(), most.as_secs()),
                "wait until it has caught up (`workflow show`), or allow more with --max-replication-lag-allowed",
            ));
        }
        match state {
            None => findings.push(Finding::refuse(
                "stream",
                "stream",
                "no engine carries the workflow",
                "run `shardlift engine run` with the same --topo and --credentials",
            )),
            Some(StreamState::Running) => match lag {
                Some(lag) if *lag <= LEVEL => {}
                lag => {
                    let problem = lag.map_or("the stream's lag is not known yet".to_owned(), |lag| {
                        format!("the stream lags {:.1} s", lag.as_secs_f64())
                    });
                    findings.push(Finding::warn("level", "stream", problem, "the switch waits for it (--timeout)"));
                }
            },
            Some(state) => {
                let colon = if message.is_empty() { "" } else { ": " };
                findings.push(Finding::refuse(
                    "stream",
                    "stream",
                    format!("the stream is {state} and not Running{colon}{message}"),
                    "wait until it is (`workflow show`), or see to what stops it",
                ));
            }
        }
    }
}
