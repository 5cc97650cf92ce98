//! The seam of copy and binlog (design §4.1): one source, a table of two chunks with one key each, one or two targets.
//!
//! A source transaction is *logged* (its event can be received, its locks are held), then *visible* (its locks are gone), then
//! *executed* (its GTID is in `gtid_executed`): with `binlog_order_commits=OFF`, in any order among transactions that are
//! independent of each other, and one that depends on another may be executed before it. The engine may die at any instant.
//!
//! | guard | kept by |
//! |---|---|
//! | `barrier` | `Source::wait_visible` (src/engine/source.rs): nothing is passed or built upon before it is in `gtid_executed` |
//! | `whole_first_position` | `claim::begin` and `Stream::run` (src/engine): nothing is read before the stream has passed all that the first P may build upon |
//! | `covering_ceiling` | `Source::covering` (same file), and the same after each chunk (src/engine/copy/chunk.rs) |
//! | `started_is_noted` | `marks::agree` (src/engine/copy/marks.rs): a chunk taken away leaves its table begun |

use stateright::{Model, Property};

use super::{breaks, holds};

const CONSISTENT: &str = "a consistent target is the source at its position";
const SAME: &str = "a target that has everything is the source";

const CHUNKS: u8 = 0b11;
/// What the only row holds at first. A transaction writes its own number, from 1.
const FIRST: u8 = 9;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Op {
    Put(usize),
    Delete(usize),
    /// The row of this key gets the other one.
    Move(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Stage {
    Logged,
    Visible,
    Executed,
}

/// What each key holds; 0 for no row.
type Rows = [u8; 2];
/// Transactions or chunks, one bit each.
type Set = u8;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    /// The source's transactions in the order of its binlog.
    log: Vec<(Op, Stage)>,
    source: Rows,
    engine: Engine,
    targets: Vec<Target>,
    deaths: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Engine {
    Down,
    Following,
    Copying(Option<Chunk>),
}

/// A chunk that was read, and how many targets have it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Chunk {
    at: usize,
    row: u8,
    seen: Set,
    written: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Target {
    rows: Rows,
    position: Set,
    ceiling: Set,
    marks: Set,
    /// Noted although no mark is left.
    started: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Action {
    Log(Op),
    Commit(usize),
    Execute(usize),
    Claim,
    Apply(usize),
    Round,
    Read(usize),
    Write,
    EndRound,
    Die,
}

#[derive(Debug, Clone)]
struct Seam {
    targets: usize,
    txns: usize,
    deaths: u8,
    barrier: bool,
    whole_first_position: bool,
    covering_ceiling: bool,
    started_is_noted: bool,
}

impl Seam {
    fn guarded(targets: usize, txns: usize, deaths: u8) -> Self {
        let (barrier, whole_first_position, covering_ceiling, started_is_noted) = (true, true, true, true);
        Self { targets, txns, deaths, barrier, whole_first_position, covering_ceiling, started_is_noted }
    }

    /// What is read as the ceiling: everything a SELECT may have seen.
    fn seen(&self, state: &State) -> Set {
        if self.covering_ceiling { all(state.log.len()) } else { state.executed() }
    }
}

fn all(count: usize) -> Set {
    (1 << count) - 1
}

fn within(part: Set, whole: Set) -> bool {
    part & !whole == 0
}

/// The row images of a transaction, by key.
fn images(op: Op, number: usize) -> Vec<(usize, u8)> {
    let value = number as u8 + 1;
    match op {
        Op::Put(key) => vec![(key, value)],
        Op::Delete(key) => vec![(key, 0)],
        Op::Move(key) => vec![(key, 0), (1 - key, value)],
    }
}

impl State {
    fn executed(&self) -> Set {
        let done = self.log.iter().enumerate().filter(|(_, (_, stage))| *stage == Stage::Executed);
        done.fold(0, |set, (number, _)| set | 1 << number)
    }

    /// Whether a transaction that has not committed locks the key.
    fn locked(&self, key: usize) -> bool {
        let mut open = self.log.iter().filter(|(_, stage)| *stage == Stage::Logged);
        open.any(|(op, _)| images(*op, 0).iter().any(|(locked, _)| *locked == key))
    }

    fn may_log(&self, op: Op) -> bool {
        let there = |key: usize| self.source[key] != 0;
        let sensible = match op {
            Op::Put(_) => true,
            Op::Delete(key) => there(key),
            Op::Move(key) => there(key) && !there(1 - key),
        };
        sensible && images(op, 0).iter().all(|(key, _)| !self.locked(*key))
    }

    /// The chunks that all targets have.
    fn copied(&self) -> Set {
        self.targets.iter().fold(CHUNKS, |common, target| common & target.marks)
    }

    fn started(&self) -> bool {
        self.targets.iter().any(Target::started)
    }

    /// What the source held when exactly `set` had happened.
    fn replay(&self, set: Set) -> Rows {
        let mut rows = [FIRST, 0];
        for (number, (op, _)) in self.log.iter().enumerate().filter(|(number, _)| set & 1 << number != 0) {
            images(*op, number).into_iter().for_each(|(key, value)| rows[key] = value);
        }
        rows
    }
}

impl Target {
    fn started(&self) -> bool {
        self.marks != 0 || self.started
    }

    /// The first transaction it has not passed.
    fn next(&self, log: &[(Op, Stage)]) -> Option<usize> {
        (0..log.len()).find(|number| self.position & 1 << number == 0)
    }
}

impl Model for Seam {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let targets = vec![Target::default(); self.targets];
        vec![State { log: Vec::new(), source: [FIRST, 0], engine: Engine::Down, targets, deaths: 0 }]
    }

    fn actions(&self, state: &State, out: &mut Vec<Action>) {
        if state.log.len() < self.txns {
            let ops = [0, 1].into_iter().flat_map(|key| [Op::Put(key), Op::Delete(key), Op::Move(key)]);
            out.extend(ops.filter(|op| state.may_log(*op)).map(Action::Log));
        }
        for (number, (_, stage)) in state.log.iter().enumerate() {
            match stage {
                Stage::Logged => out.push(Action::Commit(number)),
                Stage::Visible => out.push(Action::Execute(number)),
                Stage::Executed => {}
            }
        }
        let executed = state.executed();
        match &state.engine {
            Engine::Down => out.push(Action::Claim),
            Engine::Following => {
                for (place, target) in state.targets.iter().enumerate() {
                    let next = target.next(&state.log);
                    if next.is_some_and(|next| !self.barrier || state.log[next].1 == Stage::Executed) {
                        out.push(Action::Apply(place));
                    }
                }
                let newest = state.targets.iter().fold(0, |newest, target| newest | target.position);
                let mut targets = state.targets.iter();
                let whole = state.started() || targets.all(|target| within(target.ceiling, target.position));
                let may_read = !self.barrier || within(newest, executed);
                if state.copied() != CHUNKS && may_read && (whole || !self.whole_first_position) {
                    out.push(Action::Round);
                }
            }
            Engine::Copying(None) => {
                out.extend([0, 1].into_iter().filter(|at| state.copied() & 1 << at == 0).map(Action::Read));
                out.push(Action::EndRound);
            }
            Engine::Copying(Some(_)) => out.push(Action::Write),
        }
        if state.engine != Engine::Down && state.deaths < self.deaths {
            out.push(Action::Die);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Log(op) => state.log.push((op, Stage::Logged)),
            Action::Commit(number) => {
                state.log[number].1 = Stage::Visible;
                let images = images(state.log[number].0, number);
                images.into_iter().for_each(|(key, value)| state.source[key] = value);
            }
            Action::Execute(number) => state.log[number].1 = Stage::Executed,
            Action::Claim => {
                let (common, begun, executed) = (state.copied(), state.started(), state.executed());
                // What is logged and not executed is in `gtid_owned`.
                let logged = all(state.log.len());
                for target in &mut state.targets {
                    if !begun {
                        (target.position, target.ceiling) = (executed, logged);
                    } else if target.marks != common {
                        target.started = self.started_is_noted;
                        target.marks = common;
                    }
                }
                state.engine = Engine::Following;
            }
            Action::Apply(place) => {
                let decoded = state.started();
                let next = state.targets[place].next(&state.log)?;
                let target = &mut state.targets[place];
                target.position |= 1 << next;
                if decoded {
                    let images = images(state.log[next].0, next);
                    images.into_iter().for_each(|(key, value)| target.rows[key] = value);
                }
            }
            Action::Round => state.engine = Engine::Copying(None),
            Action::Read(at) => {
                let chunk = Chunk { at, row: state.source[at], seen: self.seen(&state), written: 0 };
                state.engine = Engine::Copying(Some(chunk));
            }
            Action::Write => {
                let Engine::Copying(Some(chunk)) = &mut state.engine else { return None };
                let target = &mut state.targets[chunk.written];
                if chunk.row != 0 {
                    // A chunk writes the rows it has; it takes none away.
                    target.rows[chunk.at] = chunk.row;
                }
                target.marks |= 1 << chunk.at;
                target.ceiling |= chunk.seen;
                chunk.written += 1;
                if chunk.written == state.targets.len() {
                    state.engine = Engine::Copying(None);
                }
            }
            Action::EndRound => {
                let seen = self.seen(&state);
                state.targets.iter_mut().for_each(|target| target.ceiling |= seen);
                state.engine = Engine::Following;
            }
            Action::Die => {
                state.engine = Engine::Down;
                state.deaths += 1;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(CONSISTENT, |_, state: &State| {
                let consistent = |target: &&Target| within(target.ceiling, target.position);
                let mut targets = state.targets.iter().filter(consistent);
                state.copied() != CHUNKS || targets.all(|target| target.rows == state.replay(target.position))
            }),
            Property::always(SAME, |_, state: &State| {
                let whole = all(state.log.len());
                let mut level = state.targets.iter().filter(|target| target.position == whole);
                let quiet = state.executed() == whole && state.copied() == CHUNKS;
                !quiet || level.all(|target| target.rows == state.source)
            }),
            Property::sometimes(
                "possible: level after every death and every transaction",
                |model: &Seam, state: &State| {
                    let whole = all(model.txns);
                    let ended =
                        state.log.len() == model.txns && state.deaths == model.deaths && state.copied() == CHUNKS;
                    ended && state.targets.iter().all(|target| target.position == whole)
                },
            ),
            Property::sometimes("possible: an event of the copied past is applied again", |_, state: &State| {
                let ahead = |target: &Target| !within(target.ceiling, target.position);
                state.copied() == CHUNKS && state.targets.iter().any(ahead)
            }),
        ]
    }
}

#[test]
fn the_seam_of_copy_and_binlog_loses_nothing() {
    holds("seam, three transactions", Seam::guarded(1, 3, 0), 50_000);
    holds("seam, two targets", Seam::guarded(2, 2, 1), 50_000);
}

#[test]
fn every_guard_of_the_seam_is_needed() {
    let model = || Seam::guarded(1, 2, 0);
    breaks("the barrier", SAME, Seam { barrier: false, ..model() });
    breaks("a whole first position", SAME, Seam { whole_first_position: false, ..model() });
    breaks("the covering ceiling", CONSISTENT, Seam { covering_ceiling: false, ..model() });
    breaks("the note that a table was begun", SAME, Seam { started_is_noted: false, ..Seam::guarded(2, 1, 1) });
}
