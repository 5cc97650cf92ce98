//! The fence (design §5.1): two sources, two writers with a transaction over both, an owner of the switch and its zombie.
//!
//! A writer's trigger locks the fence's row in share mode until the transaction ends. Closing and opening are UPDATEs, which
//! need the row for themselves. The first owner goes on as a zombie when the second one has taken over; a row may get lost.
//!
//! | guard | kept by |
//! |---|---|
//! | `lock_is_kept` | the trigger's read by equality on the whole key (src/workflow/fence/trigger.rs) |
//! | `missing_is_closed` | the same text: no row is as good as a closed one |
//! | `two_phases` | `Closing::close` (src/workflow/fence/close.rs): all rows are locked before any is closed |
//! | `epochs` | `set_sql` (src/workflow/fence/row.rs): `… AND epoch < :e` |

use stateright::{Model, Property};

use super::{breaks, holds};

const BEHIND: &str = "no write behind F";
const OPEN: &str = "what was undone is open";
const ACROSS: &str = "nobody holds a fence while another becomes closed";

/// Epochs, in the order in which they are handed out.
const CLOSE: u8 = 1;
const REOPEN: u8 = 2;
const UNDO: u8 = 3;
const CLOSE_AGAIN: u8 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Row {
    missing: bool,
    closed: bool,
    epoch: u8,
    /// Writers that hold it, one bit each.
    shared: u8,
    /// The owner that has it for itself.
    locked: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Writer {
    /// Has written on so many of its servers.
    Writing(usize),
    Committed,
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Owner {
    Idle,
    /// Has locked so many rows, and closed so many.
    Closing(usize, usize),
    Closed,
    GaveUp,
    /// Has opened so many rows.
    Undoing(usize),
    Undone,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    rows: [Row; 2],
    writers: [Writer; 2],
    owners: [Owner; 2],
    taken_over: bool,
    lost: bool,
    /// A fence became visibly closed while a writer held another: it may wait for the closed one for ever.
    crossed: bool,
    /// A writer committed on a server that was closed for good.
    late: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Action {
    Write(usize),
    Commit(usize),
    Lock(usize),
    Close(usize),
    RollBack(usize),
    /// The zombie opens what it believes to have closed in vain.
    OpenLate(usize),
    TakeOver,
    Undo,
    Lose(usize),
}

#[derive(Debug, Clone)]
struct Fences {
    lock_is_kept: bool,
    missing_is_closed: bool,
    two_phases: bool,
    epochs: bool,
}

impl Fences {
    fn guarded() -> Self {
        Self { lock_is_kept: true, missing_is_closed: true, two_phases: true, epochs: true }
    }

    /// The server a writer writes on next: each begins with another one.
    fn server(writer: usize, written: usize) -> usize {
        (writer + written) % 2
    }

    /// What an UPDATE of the row comes to, once it has it.
    fn set(&self, row: &mut Row, closed: bool, epoch: u8) {
        if !row.missing && (!self.epochs || row.epoch < epoch) {
            (row.closed, row.epoch) = (closed, epoch);
        }
    }

    fn epoch(owner: usize) -> u8 {
        if owner == 0 { CLOSE } else { CLOSE_AGAIN }
    }

    fn close(&self, state: &mut State, owner: usize, server: usize) {
        let held = state.rows.iter().any(|row| row.shared != 0);
        // What a zombie has half closed is being opened.
        state.crossed |= held && (owner == 1 || !state.taken_over);
        self.set(&mut state.rows[server], true, Self::epoch(owner));
        state.rows[server].locked = None;
    }
}

impl Model for Fences {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let (writers, owners) = ([Writer::Writing(0); 2], [Owner::Idle; 2]);
        let rows = [Row::default(); 2];
        vec![State { rows, writers, owners, taken_over: false, lost: false, crossed: false, late: false }]
    }

    fn actions(&self, state: &State, out: &mut Vec<Action>) {
        for (place, writer) in state.writers.iter().enumerate() {
            match *writer {
                Writer::Writing(2) => out.push(Action::Commit(place)),
                Writer::Writing(written) => {
                    if written > 0 {
                        out.push(Action::Commit(place));
                    }
                    if state.rows[Self::server(place, written)].locked.is_none() {
                        out.push(Action::Write(place));
                    }
                }
                Writer::Committed | Writer::Refused => {}
            }
        }
        let free = |server: usize| state.rows[server].locked.is_none() && state.rows[server].shared == 0;
        for (place, owner) in state.owners.iter().enumerate() {
            match *owner {
                Owner::Idle if place == 0 && free(0) => out.push(Action::Lock(place)),
                Owner::Undone if place == 1 && free(0) => out.push(Action::Lock(place)),
                Owner::Closing(locked, closed) => {
                    // Locked one after another; closed when all are, or each at once.
                    if locked < 2 && free(locked) && (self.two_phases || closed == locked) {
                        out.push(Action::Lock(place));
                    }
                    if closed < locked && (locked == 2 || !self.two_phases) {
                        out.push(Action::Close(place));
                    }
                    if locked < 2 && closed == 0 {
                        out.push(Action::RollBack(place));
                    }
                }
                Owner::Closed | Owner::GaveUp if place == 0 => {
                    out.extend((0..2).filter(|server| free(*server)).map(Action::OpenLate));
                }
                Owner::Undoing(opened) if free(opened) => out.push(Action::Undo),
                _ => {}
            }
        }
        if !state.taken_over {
            out.push(Action::TakeOver);
        }
        if !state.lost {
            out.extend((0..2).filter(|server| free(*server)).map(Action::Lose));
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Write(place) => {
                let Writer::Writing(written) = state.writers[place] else { return None };
                let row = &mut state.rows[Self::server(place, written)];
                if row.closed && !row.missing || row.missing && self.missing_is_closed {
                    state.writers[place] = Writer::Refused;
                    state.rows.iter_mut().for_each(|row| row.shared &= !(1 << place));
                } else {
                    if self.lock_is_kept && !row.missing {
                        row.shared |= 1 << place;
                    }
                    state.writers[place] = Writer::Writing(written + 1);
                }
            }
            Action::Commit(place) => {
                // F was read when the second owner had closed everything.
                state.late |= state.owners[1] == Owner::Closed;
                state.writers[place] = Writer::Committed;
                state.rows.iter_mut().for_each(|row| row.shared &= !(1 << place));
            }
            Action::Lock(place) => {
                let (locked, closed) = match state.owners[place] {
                    Owner::Closing(locked, closed) => (locked, closed),
                    _ => (0, 0),
                };
                let row = &mut state.rows[locked];
                let superseded = self.epochs && row.epoch >= Self::epoch(place);
                if row.missing || superseded {
                    return self.next_state(before, Action::RollBack(place));
                }
                row.locked = Some(place);
                state.owners[place] = Owner::Closing(locked + 1, closed);
            }
            Action::Close(place) => {
                let Owner::Closing(locked, closed) = state.owners[place] else { return None };
                self.close(&mut state, place, closed);
                state.owners[place] = if closed == 1 { Owner::Closed } else { Owner::Closing(locked, closed + 1) };
            }
            Action::RollBack(place) => {
                let mine = |row: &&mut Row| row.locked == Some(place);
                state.rows.iter_mut().filter(mine).for_each(|row| row.locked = None);
                state.owners[place] = Owner::GaveUp;
            }
            Action::OpenLate(server) => self.set(&mut state.rows[server], false, REOPEN),
            Action::TakeOver => {
                // Sessions that the first owner has are ended; what it opens later is not.
                state.taken_over = true;
                if let Owner::Closing(..) = state.owners[0] {
                    let locks = state.rows.iter_mut().filter(|row| row.locked == Some(0));
                    locks.for_each(|row| row.locked = None);
                    state.owners[0] = Owner::GaveUp;
                }
                state.owners[1] = Owner::Undoing(0);
            }
            Action::Undo => {
                let Owner::Undoing(opened) = state.owners[1] else { return None };
                // A row that was lost is made again.
                state.rows[opened].missing = false;
                self.set(&mut state.rows[opened], false, UNDO);
                state.owners[1] = if opened == 1 { Owner::Undone } else { Owner::Undoing(opened + 1) };
            }
            Action::Lose(server) => {
                state.lost = true;
                state.rows[server] = Row { missing: true, ..Row::default() };
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(BEHIND, |_, state: &State| !state.late),
            Property::always("closed for good is closed", |_, state: &State| {
                state.owners[1] != Owner::Closed || state.rows.iter().all(|row| row.closed || row.missing)
            }),
            Property::always(OPEN, |_, state: &State| {
                state.owners[1] != Owner::Undone || state.rows.iter().all(|row| !row.closed)
            }),
            Property::always(ACROSS, |_, state: &State| !state.crossed),
            Property::sometimes("possible: closed by the second owner after the first", |_, state: &State| {
                state.owners == [Owner::Closed, Owner::Closed]
            }),
            Property::sometimes("possible: both writers commit, then all is closed", |_, state: &State| {
                state.owners[1] == Owner::Closed && state.writers == [Writer::Committed; 2]
            }),
        ]
    }
}

#[test]
fn a_closed_fence_lets_nobody_through() {
    holds("fence", Fences::guarded(), 1_000);
}

#[test]
fn every_guard_of_the_fence_is_needed() {
    breaks("the kept lock", BEHIND, Fences { lock_is_kept: false, ..Fences::guarded() });
    breaks("a missing row being closed", BEHIND, Fences { missing_is_closed: false, ..Fences::guarded() });
    breaks("two phases", ACROSS, Fences { two_phases: false, ..Fences::guarded() });
    breaks("epochs", OPEN, Fences { epochs: false, ..Fences::guarded() });
}
