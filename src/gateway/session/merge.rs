//! The rows of several shards, merged as they come.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;

use crate::gateway::client::{ClientError, SqlError};
use crate::gateway::plan::bind::Answer;
use crate::gateway::plan::spread::{Key, Merge, Order};
use crate::gateway::scatter::column::ColumnKind;
use crate::gateway::scatter::compare::{Comparer, Value};
use crate::gateway::scatter::fold::Groups;
use crate::gateway::scatter::row::{self, Form};
use crate::gateway::scatter::source::{Head, Source};
use crate::gateway::scatter::{Held, MergeError};

use super::Session;

/// Bytes of distinct rows or groups that a statement may hold.
const HELD: usize = 64 << 20;

/// A refusal as the client is told.
pub(super) fn refusal(error: &MergeError) -> SqlError {
    match error {
        MergeError::TooMuch { .. } => SqlError::new(1038, b"HY001", error.to_string()),
        _ => SqlError::new(1235, b"42000", error.to_string()),
    }
}

/// Why rows could not all be answered.
pub(super) enum Failed {
    Client(ClientError),
    /// They cannot be merged; whether the client has got some.
    Merge(MergeError, bool),
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// What the rows of all shards look like.
pub(super) struct Rows {
    definitions: Vec<Bytes>,
    columns: Vec<ColumnKind>,
    hidden: usize,
    form: Form,
}

/// A row with the values it is compared by.
struct Next {
    packet: Bytes,
    values: Vec<Value>,
}

impl Rows {
    /// `None`: some shard has not answered with rows.
    pub fn of(heads: Vec<Option<Head>>, answer: &Answer, form: Form) -> Option<Result<Self, MergeError>> {
        let Answer::Rows { hidden, .. } = answer else { return None };
        let mut all = heads.into_iter().map(|head| match head {
            Some(Head::Columns(definitions, columns)) => Some((definitions, columns)),
            _ => None,
        });
        let (definitions, columns) = all.next()??;
        for other in all {
            if other?.1.len() != columns.len() {
                return Some(Err(MergeError::Malformed("the shards' tables have not the same columns")));
            }
        }
        Some(Ok(Self { definitions, columns, hidden: *hidden, form }))
    }

    /// Answers the client with the rows; true where all that is missing is their end.
    pub async fn merge(
        self,
        session: &mut Session,
        sources: &mut [Source],
        merge: &Merge,
        limit: Option<(u64, u64)>,
    ) -> Result<bool, Failed> {
        let unbegun = |error| Failed::Merge(error, false);
        let shown = self.columns.len().saturating_sub(self.hidden);
        // Each shard heeds it for its own rows.
        let session_limit = || session.settings.get("sql_select_limit").and_then(|most| most.parse().ok());
        let (skip, most) = limit.unwrap_or_else(|| (0, session_limit().unwrap_or(u64::MAX)));
        let mut window = Window { skip, left: most };
        match merge {
            Merge::Rows { order, distinct } => {
                let by = self.comparer(order).map_err(unbegun)?;
                let mut once = distinct.as_ref().map(|keys| self.once(keys)).transpose().map_err(unbegun)?;
                session.begin_rows(self.definitions.get(..shown).unwrap_or_default()).await?;
                let begun = |error| Failed::Merge(error, true);
                let mut queue: VecDeque<usize> = (0..sources.len()).collect();
                let mut next: Vec<Option<Next>> = sources.iter().map(|_| None).collect();
                let sorted = !by.is_empty();
                while window.left > 0 {
                    // Without an order one source after the other; with one, each source's next row must be known.
                    if sorted {
                        for at in std::mem::take(&mut queue) {
                            next[at] = self.next(&mut sources[at], &by).await.map_err(begun)?;
                        }
                    } else if let Some(&at) = queue.front() {
                        next[at] = self.next(&mut sources[at], &by).await.map_err(begun)?;
                        if next[at].is_none() {
                            queue.pop_front();
                            continue;
                        }
                    }
                    let least = next.iter().enumerate().filter_map(|(at, next)| Some((at, next.as_ref()?)));
                    let least =
                        least.min_by(|(_, one), (_, other)| by.compare(&one.values, &other.values)).map(|(at, _)| at);
                    let Some((at, row)) = least.and_then(|at| Some((at, next.get_mut(at)?.take()?))) else { break };
                    if sorted {
                        queue.push_back(at);
                    }
                    if let Some((comparer, seen, held)) = &mut once {
                        let values = row::values(&row.packet, &self.columns, self.form);
                        let values = values.ok_or(begun(MergeError::Malformed("a row is not as its columns say")))?;
                        let key = comparer.group(&row.packet, &values).map_err(begun)?;
                        if seen.contains(&key) {
                            continue;
                        }
                        held.add(key.len() + 64).map_err(begun)?;
                        seen.insert(key);
                    }
                    if window.lets_through() {
                        self.send(session, &row.packet, shown).await?;
                    }
                }
            }
            Merge::Groups { keys, folds, order } => {
                let held = Held::new(HELD);
                let by = self.comparer(order).map_err(unbegun)?;
                let mut groups =
                    Groups::new(keys, folds, &self.columns, self.hidden, self.form, held).map_err(unbegun)?;
                for source in sources.iter_mut() {
                    while let Some(packet) = source.row().await {
                        let values = row::values(&packet, &self.columns, self.form);
                        let values = values.ok_or(unbegun(MergeError::Malformed("a row is not as its columns say")))?;
                        groups.add(&packet, &values).map_err(unbegun)?;
                    }
                }
                let mut rows = Vec::new();
                for packet in groups.finish().map_err(unbegun)? {
                    let values = row::values(&packet, &self.columns, self.form);
                    let values = values.ok_or(unbegun(MergeError::Malformed("a group is not as its columns say")))?;
                    rows.push(Next { values: by.values(&packet, &values).map_err(unbegun)?, packet: packet.into() });
                }
                rows.sort_by(|one, other| by.compare(&one.values, &other.values));
                session.begin_rows(self.definitions.get(..shown).unwrap_or_default()).await?;
                for row in rows {
                    if window.left == 0 {
                        break;
                    }
                    if window.lets_through() {
                        self.send(session, &row.packet, shown).await?;
                    }
                }
            }
        }
        Ok(true)
    }

    fn comparer(&self, order: &[Order]) -> Result<Comparer, MergeError> {
        Comparer::ordering(order, &self.columns, self.hidden, self.form)
    }

    fn once(&self, keys: &[Key]) -> Result<(Comparer, HashSet<Vec<u8>>, Held), MergeError> {
        let comparer = Comparer::new(keys.iter().map(|key| (key, false)), &self.columns, self.hidden, self.form)?;
        Ok((comparer, HashSet::new(), Held::new(HELD)))
    }

    async fn next(&self, source: &mut Source, by: &Comparer) -> Result<Option<Next>, MergeError> {
        let Some(packet) = source.row().await else { return Ok(None) };
        if by.is_empty() {
            return Ok(Some(Next { packet, values: Vec::new() }));
        }
        let values = row::values(&packet, &self.columns, self.form);
        let values = values.ok_or(MergeError::Malformed("a row is not as its columns say"))?;
        Ok(Some(Next { values: by.values(&packet, &values)?, packet }))
    }

    async fn send(&self, session: &mut Session, packet: &[u8], shown: usize) -> Result<(), Failed> {
        if self.hidden == 0 {
            session.client.packet(packet).await?;
            return Ok(());
        }
        let values = row::values(packet, &self.columns, self.form);
        let values = values.ok_or(Failed::Merge(MergeError::Malformed("a row is not as its columns say"), true))?;
        let mut out = Vec::with_capacity(packet.len());
        row::cut(packet, &values, shown, self.form, &mut out);
        session.client.packet(&out).await?;
        Ok(())
    }
}

/// OFFSET and LIMIT.
struct Window {
    skip: u64,
    left: u64,
}

impl Window {
    /// Whether the next row is wanted.
    fn lets_through(&mut self) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.left = self.left.saturating_sub(1);
        true
    }
}
