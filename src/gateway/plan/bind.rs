//! From a plan, values and shards to what each shard is sent.

mod rows;

use std::collections::BTreeMap;
use std::ops::Range;

use super::keys::{Finder, Found, Group, List, Where};
use super::spread::{Limit, Merge, Piece, Spread};
use super::text::Text;
use super::value::{Value, Values};
use super::{Plan, Work};
use crate::gateway::sql::{Edit, splice};
use crate::sharding::ShardMap;

/// A change of the text for one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The bytes that are replaced.
    pub span: Range<usize>,
    /// By what.
    pub with: Vec<Piece>,
}

/// What one shard is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The shard's place in the map.
    pub shard: usize,
    /// How its text differs.
    pub changes: Vec<Change>,
}

/// What is made of several shards' answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Rows.
    Rows {
        /// What is done with them.
        merge: Merge,
        /// How many of the last columns clients do not get.
        hidden: usize,
        /// How many rows are left out first, and how many are wanted then.
        limit: Option<(u64, u64)>,
    },
    /// Counts of rows; `same`: each shard has done the same.
    Counts {
        /// One shard's count is that of all.
        same: bool,
    },
}

/// What shards are sent.
#[derive(Debug, Clone)]
pub enum Parts {
    /// One shard, or any where none is named.
    One(Option<usize>, Vec<Change>),
    /// Several.
    Several(Vec<Part>, Answer),
}

/// Which numbers a sequence has given to rows that lack one.
pub type Given<'a> = &'a [Option<i128>];

impl Plan {
    /// What each shard is sent. `None`: values are not bound yet, so that any shard can only be asked what the answer will look
    /// like.
    pub fn bind(&self, values: &Values<'_>, map: &ShardMap, given: Given<'_>) -> Result<Option<Parts>, String> {
        match &self.work {
            Work::Anywhere => Ok(Some(Parts::One(None, Vec::new()))),
            Work::Read { groups, spread } => {
                let Some(shards) = places(groups, values, map) else { return Ok(None) };
                let Some(shards) = shards else {
                    let spread = spread.as_ref().map_err(Clone::clone)?;
                    return read(spread, groups, values, map).map(Some);
                };
                Ok(Some(Parts::One(shards, Vec::new())))
            }
            Work::Write { groups, spread, assigned, everywhere } => {
                if *everywhere {
                    spread.clone()?;
                    let part = |shard| Part { shard, changes: Vec::new() };
                    let parts = (0..map.shards().len()).map(part).collect();
                    return Ok(Some(Parts::Several(parts, Answer::Counts { same: true })));
                }
                if values.bound.is_none() && !values.text.parameters.is_empty() {
                    return Ok(None);
                }
                if let Some(next) = assigned {
                    check_assigned(next, groups, values)?;
                }
                let Some(shards) = places(groups, values, map) else { return Ok(None) };
                if let Some(one) = shards {
                    return Ok(Some(Parts::One(one, Vec::new())));
                }
                spread.clone()?;
                let parts = spread_parts(groups, values, map);
                Ok(Some(Parts::Several(parts, Answer::Counts { same: false })))
            }
            Work::Insert(insert) => insert.bind(values, map, given),
        }
    }
}

/// The one shard that has all groups, or none that is named; `Some(None)` where there are several. `None`: not bound.
fn places(groups: &[Group], values: &Values<'_>, map: &ShardMap) -> Option<Option<Option<usize>>> {
    let mut only: Option<usize> = None;
    let mut several = false;
    for group in groups {
        match group.found.place(values, map)? {
            Where::All if map.shards().len() == 1 => {}
            Where::All => several = true,
            Where::These(shards) => {
                for (shard, _) in shards {
                    several |= only.is_some_and(|other| other != shard);
                    only = Some(shard);
                }
            }
        }
    }
    Some((!several).then_some(only))
}

/// The shards that have any of the groups, each with the changes of lists.
fn spread_parts(groups: &[Group], values: &Values<'_>, map: &ShardMap) -> Vec<Part> {
    let mut parts: BTreeMap<usize, Vec<Change>> = BTreeMap::new();
    for group in groups {
        match group.found.place(values, map) {
            Some(Where::These(shards)) => {
                for (shard, rows) in shards {
                    let changes = parts.entry(shard).or_default();
                    if let (Found::By(Finder { list: Some(list), .. }), 1) = (&group.found, groups.len()) {
                        changes.extend(list.keep(values.text, &rows));
                    }
                }
            }
            _ => {
                for shard in 0..map.shards().len() {
                    parts.entry(shard).or_default();
                }
            }
        }
    }
    parts.into_iter().map(|(shard, changes)| Part { shard, changes }).collect()
}

impl List {
    /// The change that leaves only some items.
    fn keep(&self, text: &Text<'_>, rows: &[usize]) -> Option<Change> {
        let (first, last) = (self.items.first()?, self.items.last()?);
        if rows.len() == self.items.len() || rows.is_empty() {
            return None;
        }
        let kept = rows.iter().filter_map(|row| self.items.get(*row)).cloned();
        Some(Change { span: text.span(&(first.start..last.end)), with: joined(kept) })
    }
}

/// Tokens with commas between them.
fn joined(parts: impl Iterator<Item = Range<usize>>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for part in parts {
        if !pieces.is_empty() {
            pieces.push(Piece::Bytes(b", ".into()));
        }
        pieces.push(Piece::Tokens(part));
    }
    pieces
}

fn read(spread: &Spread, groups: &[Group], values: &Values<'_>, map: &ShardMap) -> Result<Parts, String> {
    let text = values.text;
    let mut changes = Vec::new();
    if !spread.hidden.is_empty() {
        let behind = text.span(&(0..spread.behind)).end;
        let mut with = Vec::new();
        for pieces in &spread.hidden {
            with.push(Piece::Bytes(b", ".into()));
            with.extend(pieces.iter().cloned());
        }
        changes.push(Change { span: behind..behind, with });
    }
    let limit = spread.limit.as_ref().map(|limit| limit.read(values)).transpose()?;
    match (&spread.limit, limit) {
        (Some(Limit { clause, pushed, .. }), Some((offset, count))) => {
            let most = if *pushed { offset.saturating_add(count) } else { u64::MAX };
            changes.push(Change { span: text.span(clause), with: vec![Piece::Bytes(format!("LIMIT {most}").into())] });
        }
        _ if matches!(spread.merge, Merge::Groups { .. }) => {
            // Else sql_select_limit would leave out parts of groups.
            let end = text.span(&(0..spread.tail)).end;
            changes.push(Change { span: end..end, with: vec![Piece::Bytes(format!(" LIMIT {}", u64::MAX).into())] });
        }
        _ => {}
    }
    let mut parts = spread_parts(groups, values, map);
    for part in &mut parts {
        part.changes.extend(changes.iter().cloned());
    }
    Ok(Parts::Several(parts, Answer::Rows { merge: spread.merge.clone(), hidden: spread.hidden.len(), limit }))
}

impl Limit {
    fn read(&self, values: &Values<'_>) -> Result<(u64, u64), String> {
        let number = |slot| match values.read(slot) {
            Some(Value::Int(number)) => u64::try_from(number).ok(),
            _ => None,
        };
        let wrong = "LIMIT takes whole numbers that are not negative";
        let offset = self.offset.map_or(Some(0), number).ok_or(wrong)?;
        Ok((offset, number(self.count).ok_or(wrong)?))
    }
}

/// An assigned key must be on the row's own shard; that it is the same keyspace id is what can be told of it.
fn check_assigned(next: &Finder, groups: &[Group], values: &Values<'_>) -> Result<(), String> {
    let now = groups.first().and_then(|group| match &group.found {
        Found::By(finder) => finder.ids(values),
        _ => None,
    });
    if now.is_some() && now == next.ids(values) {
        return Ok(());
    }
    Err(format!(
        "it would change the sharding column ({}), which may move the row to another shard; DELETE the row and INSERT it anew, in one \
         transaction",
        next.key.vindex.columns.join(", ")
    ))
}

/// The edits for one shard, its own changes and those that the names of databases need; and which parameters are left, unless
/// all are.
pub fn edits(text: &Text<'_>, changes: &[Change], base: Vec<Edit>) -> (Vec<Edit>, Option<Vec<usize>>) {
    if changes.is_empty() {
        return (base, None);
    }
    let inside = |edit: &Edit| {
        changes.iter().any(|change| change.span.start < edit.span.end && edit.span.start < change.span.end)
    };
    let render = |piece: &Piece| match piece {
        Piece::Bytes(bytes) => bytes.clone(),
        Piece::Tokens(tokens) => {
            let span = text.span(tokens);
            let within = base.iter().filter(|edit| span.start <= edit.span.start && edit.span.end <= span.end);
            let moved = |edit: &Edit| Edit {
                span: edit.span.start - span.start..edit.span.end - span.start,
                with: edit.with.clone(),
            };
            splice(text.sql.get(span.clone()).unwrap_or_default(), &mut within.map(moved).collect())
        }
    };
    let mut edits: Vec<Edit> = base.iter().filter(|edit| !inside(edit)).cloned().collect();
    for change in changes {
        edits.push(Edit { span: change.span.clone(), with: change.with.iter().flat_map(render).collect() });
    }
    let mut kept = Vec::new();
    for (place, token) in text.parameters.iter().enumerate() {
        let at = text.span(&(*token..*token + 1));
        let replaced = changes.iter().find(|change| change.span.start <= at.start && at.end <= change.span.end);
        let stays = replaced.is_none_or(|change| {
            change.with.iter().any(|piece| matches!(piece, Piece::Tokens(tokens) if tokens.contains(token)))
        });
        if stays {
            kept.push(place);
        }
    }
    let all = kept.len() == text.parameters.len();
    (edits, (!all).then_some(kept))
}
