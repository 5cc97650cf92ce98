//! Colliding keys (design §4.2): one or two sources feed one target table with a primary and a unique key.
//!
//! Streams run unequally, each in its own source's order; a row knows its source (by its keyspace id). Copying and settling
//! read a source as it is now, ahead of its stream, behind the barrier that the [`super::seam`] is about. A row of the same source
//! that is in the way gives way (`Collision::Displace`, src/engine/apply/sql.rs): its own event is to come.
//!
//! | guard | kept by |
//! |---|---|
//! | `conflict_records` | src/engine/conflict: a write that meets a row of another source decides nothing and notes its keys |
//! | `settles_when_closed` | `conflict::settle_final`: what is left is read again when no source is written any more |

use stateright::{Model, Property};

use super::{breaks, holds};

const NAMED: &str = "duplicates are named if and only if there are any";
const UNION: &str = "the target is what the sources hold";

/// The unique value of the row at each primary key; 0 for no row.
type Rows = [u8; 2];
/// Primary keys, or unique values, one bit each.
type Set = u8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Event {
    Upsert(usize, u8),
    Delete(usize),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Source {
    rows: Rows,
    log: Vec<Event>,
    /// How much of its log has been applied to the target.
    applied: usize,
    copied: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Row {
    source: usize,
    unique: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    sources: Vec<Source>,
    target: [Option<Row>; 2],
    /// Noted conflicts.
    primary: Set,
    unique: Set,
    /// At the end: whether duplicates were named.
    ended: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Action {
    Write(usize, Event),
    Copy(usize),
    Apply(usize),
    Settle,
    /// The sources are closed and drained.
    End,
}

#[derive(Debug, Clone)]
struct Collide {
    first: Vec<Rows>,
    writes: usize,
    /// Whether streams have copied before anything happens.
    copied: bool,
    conflict_records: bool,
    settles_when_closed: bool,
}

impl Collide {
    fn guarded(first: &[Rows], writes: usize) -> Self {
        Self { first: first.to_vec(), writes, copied: false, conflict_records: true, settles_when_closed: true }
    }

    /// Writes a row, if no row of another source is in the way.
    fn write(&self, state: &mut State, source: usize, key: usize, unique: u8) {
        let meets = |place: usize, row: &Row| place == key || row.unique == unique;
        let met: Vec<_> = (0..2).filter(|at| state.target[*at].is_some_and(|row| meets(*at, &row))).collect();
        let others = |at: &usize| state.target[*at].is_some_and(|row| row.source != source);
        if self.conflict_records && met.iter().any(others) {
            state.primary |= 1 << key;
            state.unique |= 1 << unique;
            return;
        }
        met.into_iter().for_each(|at| state.target[at] = None);
        state.target[key] = Some(Row { source, unique });
    }

    fn delete(&self, state: &mut State, source: usize, key: usize) {
        match state.target[key] {
            Some(row) if self.conflict_records && row.source != source => state.primary |= 1 << key,
            _ => state.target[key] = None,
        }
    }

    /// Reads noted keys again from all sources, and writes what is found.
    fn settle(&self, state: &mut State) {
        let (primary, unique) = (state.primary, state.unique);
        (state.primary, state.unique) = (0, 0);
        let noted = |key: usize, value: u8| primary & 1 << key != 0 || unique & 1 << value != 0;
        for key in 0..2 {
            if state.target[key].is_some_and(|row| noted(key, row.unique)) {
                state.target[key] = None;
            }
        }
        for source in 0..state.sources.len() {
            for key in 0..2 {
                let value = state.sources[source].rows[key];
                if value != 0 && noted(key, value) {
                    self.write(state, source, key, value);
                }
            }
        }
    }

    /// The same until what is noted stays the same. The sources are closed.
    fn settle_finally(&self, state: &mut State) {
        for _ in 0..20 {
            let before = (state.primary, state.unique);
            self.settle(state);
            if (state.primary, state.unique) == before {
                break;
            }
        }
    }
}

impl State {
    fn duplicates(&self) -> bool {
        let [first, second] = self.sources.as_slice() else { return false };
        let both = |key: usize| first.rows[key] != 0 && second.rows[key] != 0;
        let value = |value: u8| first.rows.contains(&value) && second.rows.contains(&value);
        both(0) || both(1) || value(1) || value(2)
    }

    fn is_union(&self) -> bool {
        (0..2).all(|key| {
            let mut held = (0..self.sources.len()).filter(|source| self.sources[*source].rows[key] != 0);
            let wanted = held.next().map(|source| Row { source, unique: self.sources[source].rows[key] });
            self.target[key] == wanted
        })
    }

    fn drained(&self) -> bool {
        self.sources.iter().all(|source| source.copied && source.applied == source.log.len())
    }
}

impl Model for Collide {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let source = |rows: &Rows| Source { rows: *rows, ..Source::default() };
        let sources = self.first.iter().map(source).collect();
        let mut state = State { sources, target: [None, None], primary: 0, unique: 0, ended: None };
        for source in 0..self.first.len() {
            if self.copied {
                state = self.next_state(&state, Action::Copy(source)).expect("a copy");
            }
        }
        vec![state]
    }

    fn actions(&self, state: &State, out: &mut Vec<Action>) {
        if state.ended.is_some() {
            return;
        }
        let written: usize = state.sources.iter().map(|source| source.log.len()).sum();
        for (place, source) in state.sources.iter().enumerate() {
            if written < self.writes {
                for key in 0..2 {
                    let free = |value: &u8| source.rows[1 - key] != *value && source.rows[key] != *value;
                    let puts = [1, 2].into_iter().filter(free).map(|value| Event::Upsert(key, value));
                    let delete = (source.rows[key] != 0).then_some(Event::Delete(key));
                    out.extend(puts.chain(delete).map(|event| Action::Write(place, event)));
                }
            }
            if !source.copied {
                out.push(Action::Copy(place));
            }
            if source.applied < source.log.len() {
                out.push(Action::Apply(place));
            }
        }
        // A row of a table whose events are still passed over would stay as it was read.
        if state.primary | state.unique != 0 && state.sources.iter().all(|source| source.copied) {
            out.push(Action::Settle);
        }
        if state.drained() {
            out.push(Action::End);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Write(place, event) => {
                let source = &mut state.sources[place];
                source.log.push(event);
                match event {
                    Event::Upsert(key, value) => source.rows[key] = value,
                    Event::Delete(key) => source.rows[key] = 0,
                }
            }
            Action::Copy(place) => {
                state.sources[place].copied = true;
                let rows = state.sources[place].rows;
                for key in (0..2).filter(|key| rows[*key] != 0) {
                    self.write(&mut state, place, key, rows[key]);
                }
            }
            Action::Apply(place) => {
                let source = &mut state.sources[place];
                let event = source.log[source.applied];
                source.applied += 1;
                match event {
                    _ if !source.copied => {}
                    Event::Upsert(key, value) => self.write(&mut state, place, key, value),
                    Event::Delete(key) => self.delete(&mut state, place, key),
                }
            }
            Action::Settle => self.settle(&mut state),
            Action::End => {
                if self.settles_when_closed {
                    self.settle_finally(&mut state);
                }
                state.ended = Some(state.primary | state.unique != 0);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NAMED, |_, state: &State| state.ended.is_none_or(|named| named == state.duplicates())),
            Property::always(UNION, |_, state: &State| state.ended != Some(false) || state.is_union()),
            Property::sometimes("possible: all writes, and an end", |model: &Collide, state: &State| {
                let written: usize = state.sources.iter().map(|source| source.log.len()).sum();
                state.ended == Some(false) && written == model.writes
            }),
        ]
    }
}

/// A on the first source, B on the second.
const APART: [Rows; 2] = [[1, 0], [0, 2]];

#[test]
fn colliding_keys_converge_or_are_named() {
    holds("one source's unique values", Collide::guarded(&[[1, 2]], 4), 1_000);
    holds("two sources, from the copy on", Collide::guarded(&APART, 4), 20_000);
    holds("two sources, five writes", Collide { copied: true, ..Collide::guarded(&APART, 5) }, 50_000);
}

#[test]
fn every_rule_for_colliding_keys_is_needed() {
    let model = || Collide { copied: true, ..Collide::guarded(&APART, 3) };
    breaks("conflict records", UNION, Collide { conflict_records: false, ..model() });
    breaks("settling from closed sources", NAMED, Collide { settles_when_closed: false, ..model() });
}
