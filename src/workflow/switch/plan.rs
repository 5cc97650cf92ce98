//! Which steps a switch takes. `--dry-run` prints just these.

use crate::model::switch::{Direction, Step, SwitchRequest};
use crate::model::workflow::TabletType;
use crate::topology::records::Workflow;

/// The steps of a switch, in order.
pub fn plan(request: &SwitchRequest) -> Vec<Step> {
    match request.writes() {
        true => Step::ALL.to_vec(),
        // Reads are a matter of routing alone.
        false => vec![Step::Check, Step::Commit],
    }
}

/// A step in words, for this workflow.
pub fn describe(step: Step, workflow: &Workflow, request: &SwitchRequest) -> String {
    let (old, new) = workflow.spec.names(request.direction);
    let count = workflow.spec.tables.len();
    let types: Vec<_> = request.types.iter().map(|tablet_type| tablet_type.as_str()).collect();
    let types = types.join(", ");
    match step {
        Step::Check => format!(
            "examine everything, then wait up to {} s until {new} is level with {old} (lag now at most {} s) and no long \
             transaction is open on {old}",
            request.timeout_ms / 1_000,
            request.max_lag_ms / 1_000
        ),
        Step::Arm => {
            format!("fence {count} table(s) with triggers: {new} closed, {old} open; raise what numbers rows on {new}")
        }
        Step::Pause => format!("announce a pause: gateways hold new writes to the {count} table(s)"),
        Step::Close => format!("close the fence on {old}: no write to these tables is accepted there from here on"),
        Step::Drain => format!("wait until {new} has everything written on {old}, then freeze the streams"),
        Step::Ready => match request.way_back {
            true => format!("compare counters and sequences; prepare the streams of the way back, {new} to {old}"),
            false => "compare counters and sequences; no way back is prepared, as asked".into(),
        },
        Step::Commit => format!("route {types} traffic to {new}, in one transaction (the point of no return)"),
        Step::Open => match request.way_back {
            true => format!("open {new} to writes; start the streams of the way back"),
            false => format!("open {new} to writes"),
        },
    }
}

/// The types of traffic a workflow serves at its target after this switch.
pub fn switched_after(workflow: &Workflow, request: &SwitchRequest) -> std::collections::BTreeSet<TabletType> {
    match request.direction {
        Direction::Forward => workflow.switched.union(&request.types).copied().collect(),
        Direction::Backward => workflow.switched.difference(&request.types).copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(types: &[TabletType]) -> SwitchRequest {
        SwitchRequest {
            uid: uuid::Uuid::nil(),
            direction: Direction::Forward,
            types: types.iter().copied().collect(),
            timeout_ms: 30_000,
            max_lag_ms: 30_000,
            way_back: true,
            allow_cross_keyspace: false,
        }
    }

    #[test]
    fn reads_need_no_fence_and_writes_need_every_step_in_order() {
        assert_eq!(plan(&request(&[TabletType::Replica, TabletType::Rdonly])), [Step::Check, Step::Commit]);
        let all = plan(&request(&[TabletType::Primary]));
        let place = |step| all.iter().position(|one| *one == step).unwrap();
        // The order is what is safe about it.
        for (before, after) in [
            (Step::Arm, Step::Close),
            (Step::Pause, Step::Close),
            (Step::Close, Step::Drain),
            (Step::Drain, Step::Ready),
            (Step::Ready, Step::Commit),
            (Step::Commit, Step::Open),
        ] {
            assert!(place(before) < place(after), "{before} before {after}");
        }
    }
}
