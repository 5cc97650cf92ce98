//! What there is to know of a switch at one moment, and what may happen next.

use super::{NEW, OLD};

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Side {
    pub value: u8,
    pub closed: bool,
    /// The first client holds its fence, or its row.
    pub fence_held: bool,
    pub row_held: bool,
    pub log: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    /// `None` for the fence's own transaction.
    pub value: Option<u8>,
    /// In `gtid_executed`; visible it is in any case.
    pub executed: bool,
}

/// The first client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Client {
    Idle,
    /// Has read this, for update, there.
    Read(u8, usize),
    Written(u8, usize),
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    Asked,
    Paused,
    Closed,
    Drained,
    Sent,
    /// Known to be committed; the reverse stream runs.
    Finishing,
    Opened,
    Undoing,
    Undone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stream {
    pub position: usize,
    pub token: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub sides: [Side; 2],
    pub client: Client,
    pub singles: u8,
    pub passed_by: bool,
    pub acknowledged: u8,
    /// Whether the gateway holds what would open a transaction.
    pub holds: bool,
    pub step: Step,
    /// Where everything was when the fence closed: a place in the old side's log that has to be passed.
    pub fence: usize,
    /// The topology: whether it is committed, and the record's revision.
    pub committed: bool,
    pub revision: u8,
    /// A commit on its way, made upon this revision.
    pub sent: Option<u8>,
    pub taken_over: bool,
    pub forward: Stream,
    pub reverse: Option<Stream>,
    /// A batch that an owner has read and not written yet: of the forward stream, under this token.
    pub batch: Option<(u8, usize, u8)>,
    /// One that a former owner has in hand still.
    pub late: Option<(u8, usize, u8)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Read,
    Write,
    Commit,
    Single,
    PassBy,
    Execute(usize, usize),
    Fetch,
    Apply,
    ApplyLate,
    Reverse,
    Next,
    Deliver,
    Undo,
    TakeOver,
}

impl State {
    /// Where the gateway sends a transaction.
    pub fn serving(&self) -> usize {
        if self.committed { NEW } else { OLD }
    }

    /// The stream is begun anew; what was in hand may still come.
    pub fn claim(&mut self) {
        self.forward.token += 1;
        self.late = self.late.or(self.batch.take());
        self.batch = None;
    }

    pub fn commit(&mut self, side: usize, value: u8) {
        self.sides[side].value = value;
        self.sides[side].log.push(Entry { value: Some(value), executed: false });
        self.acknowledged += 1;
    }

    /// Whether the forward stream still belongs to somebody who reads.
    pub fn forward_runs(&self, frozen: bool) -> bool {
        !frozen || matches!(self.step, Step::Asked | Step::Paused | Step::Closed | Step::Undone)
    }
}
