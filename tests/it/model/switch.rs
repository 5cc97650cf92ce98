//! The switch of writes and the way back (design §5.2): one row, a counter, that every client adds one to.
//!
//! One client goes through the gateway with a locking read, a write and a COMMIT; another through the gateway with single
//! statements; a third writes past the gateway to the side that is not meant for it yet. An owner carries the switch out and
//! may be replaced at any instant; what it has sent may arrive later. The fence is as [`super::fence`] shows it to be.
//! Backward is the same with the sides exchanged.
//!
//! | guard | kept by |
//! |---|---|
//! | `fence_event` (F's definition) | `drain::passed`, `Closer::look` (src/workflow): F is read after the fence's own commit, and passed in the log's order |
//! | `frozen` | `drain::Freezer` (src/workflow/switch/drain.rs): the forward stream ends before the reverse one begins |
//! | `closed_target` | `Course::arm` (src/workflow/switch/run.rs): the new side is closed until the commit has happened |
//! | `pass_through` | src/gateway/buffer: what has more than read goes on where it is; a locking read takes the fence |
//! | `record_revision` | `Course::send_upon` (src/workflow/switch/commit.rs), and `undo::turn` as the first act of undoing |
//! | `owner` | `Checkpoint::guard_sql` (src/engine/checkpoint.rs): a stream's batch counts only under the present owner's token |

mod state;

use stateright::{Model, Property};

use state::{Action, Client, Entry, Side, State, Step, Stream};

use super::{breaks, holds};

const CLOSED: &str = "the side that does not serve any more is closed";
const ONCE: &str = "the side that serves has every acknowledged write once";

const OLD: usize = 0;
const NEW: usize = 1;
/// Transactions of the second client.
const SINGLES: u8 = 3;

#[derive(Debug, Clone)]
struct Switch {
    fence_event: bool,
    frozen: bool,
    closed_target: bool,
    pass_through: bool,
    record_revision: bool,
    owner: bool,
}

impl Switch {
    fn guarded() -> Self {
        Self {
            fence_event: true,
            frozen: true,
            closed_target: true,
            pass_through: true,
            record_revision: true,
            owner: true,
        }
    }

    /// Does the owner's next step, if it can be done.
    fn step(&self, state: &mut State) -> Option<()> {
        state.step = match state.step {
            Step::Asked => {
                state.holds = true;
                Step::Paused
            }
            Step::Paused => {
                let old = &mut state.sides[OLD];
                // The UPDATE waits for whoever holds the row.
                if old.fence_held {
                    return None;
                }
                let executed = old.log.iter().rposition(|entry| entry.executed);
                old.closed = true;
                old.log.push(Entry { value: None, executed: true });
                state.fence = if self.fence_event { old.log.len() } else { executed.map_or(0, |last| last + 1) };
                Step::Closed
            }
            Step::Closed if state.forward.position >= state.fence => {
                if self.frozen {
                    state.forward.token += 1;
                }
                state.reverse = Some(Stream { position: state.sides[NEW].log.len(), token: 0 });
                Step::Drained
            }
            Step::Drained => {
                state.sent = Some(state.revision);
                Step::Sent
            }
            Step::Sent if state.committed => Step::Finishing,
            Step::Finishing => {
                state.sides[NEW].closed = false;
                Step::Opened
            }
            // The record says that it is undone; what was closed is opened again, the stream goes on.
            Step::Undoing => {
                state.sides[OLD].closed = false;
                state.claim();
                (state.holds, state.reverse) = (false, None);
                Step::Undone
            }
            _ => return None,
        };
        Some(())
    }

    /// The stream's transaction on the new side: the row, and the position.
    fn apply(&self, state: &mut State, (value, at, token): (u8, usize, u8)) {
        if token == state.forward.token || !self.owner {
            state.sides[NEW].value = value;
            state.sides[NEW].log.push(Entry { value: Some(value), executed: true });
            state.forward.position = at + 1;
        }
    }

    /// The first act of undoing: the record, which also tells whether it is too late for it.
    fn turn(&self, state: &mut State) {
        if state.committed {
            state.step = Step::Finishing;
        } else {
            state.revision += 1;
            state.step = Step::Undoing;
        }
    }
}

impl Model for Switch {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let new = Side { closed: self.closed_target, ..Side::default() };
        vec![State {
            sides: [Side::default(), new],
            client: Client::Idle,
            singles: 0,
            passed_by: false,
            acknowledged: 0,
            holds: false,
            step: Step::Asked,
            fence: 0,
            committed: false,
            revision: 0,
            sent: None,
            taken_over: false,
            forward: Stream::default(),
            reverse: None,
            batch: None,
            late: None,
        }]
    }

    fn actions(&self, state: &State, out: &mut Vec<Action>) {
        let serving = &state.sides[state.serving()];
        match state.client {
            Client::Idle if !state.holds && !serving.closed && !serving.row_held => out.push(Action::Read),
            Client::Read(..) if self.pass_through || !state.holds => out.push(Action::Write),
            Client::Written(..) => out.push(Action::Commit),
            _ => {}
        }
        if state.singles < SINGLES && !state.holds && !serving.closed && !serving.row_held {
            out.push(Action::Single);
        }
        if !state.passed_by && !state.sides[NEW].closed && !state.sides[NEW].row_held {
            out.push(Action::PassBy);
        }
        for (place, side) in state.sides.iter().enumerate() {
            let waiting = side.log.iter().enumerate().filter(|(_, entry)| !entry.executed);
            out.extend(waiting.map(|(at, _)| Action::Execute(place, at)));
        }
        let next = state.sides[OLD].log.get(state.forward.position);
        if state.batch.is_none() && state.forward_runs(self.frozen) && next.is_some_and(|entry| entry.executed) {
            out.push(Action::Fetch);
        }
        out.extend(state.batch.map(|_| Action::Apply));
        out.extend(state.late.map(|_| Action::ApplyLate));
        let next = state.reverse.and_then(|reverse| state.sides[NEW].log.get(reverse.position));
        if state.step == Step::Opened && next.is_some_and(|entry| entry.executed) {
            out.push(Action::Reverse);
        }
        if state.step != Step::Opened && state.step != Step::Undone {
            out.push(Action::Next);
        }
        if state.sent.is_some() {
            out.push(Action::Deliver);
        }
        let unsure = matches!(state.step, Step::Paused | Step::Closed | Step::Drained | Step::Sent);
        if unsure {
            out.push(Action::Undo);
        }
        if (unsure || state.step == Step::Asked) && !state.taken_over {
            out.push(Action::TakeOver);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Read => {
                let side = state.serving();
                state.sides[side].row_held = true;
                // Before its first locking read a transaction takes the fence.
                state.sides[side].fence_held = self.pass_through;
                state.client = Client::Read(state.sides[side].value, side);
            }
            Action::Write => {
                let Client::Read(value, mut side) = state.client else { return None };
                if !self.pass_through && side != state.serving() {
                    // Planned again on the other side, where it begins anew.
                    state.sides[side].row_held = false;
                    side = state.serving();
                }
                if state.sides[side].closed && !state.sides[side].fence_held {
                    // 1213: the client begins again.
                    let held = &mut state.sides[side];
                    (held.row_held, held.fence_held) = (false, false);
                    state.client = Client::Idle;
                } else {
                    state.sides[side].fence_held = true;
                    state.sides[side].row_held = true;
                    state.client = Client::Written(value + 1, side);
                }
            }
            Action::Commit => {
                let Client::Written(value, side) = state.client else { return None };
                (state.sides[side].row_held, state.sides[side].fence_held) = (false, false);
                state.commit(side, value);
                state.client = Client::Done;
            }
            Action::Single => {
                let side = state.serving();
                let value = state.sides[side].value + 1;
                state.commit(side, value);
                state.singles += 1;
            }
            Action::PassBy => {
                let value = state.sides[NEW].value + 1;
                state.commit(NEW, value);
                state.passed_by = true;
            }
            Action::Execute(side, at) => state.sides[side].log[at].executed = true,
            Action::Fetch => {
                let at = state.forward.position;
                match state.sides[OLD].log[at].value {
                    Some(value) => state.batch = Some((value, at, state.forward.token)),
                    None => state.forward.position += 1,
                }
            }
            Action::Apply => {
                let batch = state.batch.take()?;
                self.apply(&mut state, batch);
            }
            Action::ApplyLate => {
                let batch = state.late.take()?;
                self.apply(&mut state, batch);
            }
            Action::Reverse => {
                let reverse = state.reverse.as_mut()?;
                let entry = state.sides[NEW].log[reverse.position];
                reverse.position += 1;
                if entry.value.is_some() {
                    state.sides[OLD].value = entry.value?;
                    state.sides[OLD].log.push(Entry { value: entry.value, executed: true });
                }
            }
            Action::Next => self.step(&mut state)?,
            Action::Deliver => {
                let upon = state.sent.take()?;
                if upon == state.revision || !self.record_revision {
                    (state.committed, state.holds) = (true, false);
                    state.revision += 1;
                }
            }
            Action::Undo => self.turn(&mut state),
            Action::TakeOver => {
                state.taken_over = true;
                state.claim();
                if state.step != Step::Asked {
                    self.turn(&mut state);
                }
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(CLOSED, |_, state: &State| state.sides[OLD].closed || !state.committed),
            Property::always(ONCE, |_, state: &State| state.sides[state.serving()].value == state.acknowledged),
            Property::always("the way back is level when it has passed everything", |_, state: &State| {
                let level = |reverse: Stream| reverse.position == state.sides[NEW].log.len();
                let passed = state.step == Step::Opened && state.reverse.is_some_and(level);
                !passed || state.sides[OLD].value == state.sides[NEW].value
            }),
            Property::always("what is undone streams on until it is level", |_, state: &State| {
                let level = state.forward.position == state.sides[OLD].log.len() && state.batch.is_none();
                state.step != Step::Undone || !level || state.sides[OLD].value == state.sides[NEW].value
            }),
            Property::sometimes("possible: switched, all written, all streamed back", |_, state: &State| {
                let level = |reverse: Stream| reverse.position == state.sides[NEW].log.len();
                let done = state.client == Client::Done && state.singles == SINGLES && state.passed_by;
                state.step == Step::Opened && done && state.reverse.is_some_and(level)
            }),
            Property::sometimes("possible: undone with a commit still on its way", |_, state: &State| {
                state.step == Step::Undone && state.sent.is_some()
            }),
        ]
    }
}

#[test]
fn a_switch_loses_and_doubles_nothing() {
    holds("switch", Switch::guarded(), 10_000);
}

#[test]
fn every_guard_of_the_switch_is_needed() {
    breaks("F's definition", ONCE, Switch { fence_event: false, ..Switch::guarded() });
    breaks("the frozen forward stream", ONCE, Switch { frozen: false, ..Switch::guarded() });
    breaks("the closed target", ONCE, Switch { closed_target: false, ..Switch::guarded() });
    breaks("the pass-through rule", ONCE, Switch { pass_through: false, ..Switch::guarded() });
    breaks("the record's revision in the commit", CLOSED, Switch { record_revision: false, ..Switch::guarded() });
    breaks("the owner guard", ONCE, Switch { owner: false, ..Switch::guarded() });
}
