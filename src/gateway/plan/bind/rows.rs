//! From an INSERT's rows to the shards that get them.

use std::collections::BTreeMap;

use super::{Answer, Change, Given, Part, Parts};
use crate::gateway::plan::insert::{Added, Insert, Row, To, each_counts, sequence_counts};
use crate::gateway::plan::spread::Piece;
use crate::gateway::plan::text::Text;
use crate::gateway::plan::value::{Slot, Value, Values};
use crate::gateway::sql::TokenKind;
use crate::sharding::ShardMap;
use crate::sharding::column::Purpose;

impl Insert {
    /// For each row whether the sequence has to number it. `None`: not bound.
    pub fn lacking(&self, values: &Values<'_>) -> Option<Vec<bool>> {
        let Some(numbered) = &self.numbered else { return Some(vec![false; self.rows.len()]) };
        let lacks = |row: &Row| match (&row.number, &numbered.added) {
            (_, Some(_)) => Some(true),
            (Some(slot), None) => lacks_number(*slot, values),
            // An expression gives it.
            (None, None) => Some(false),
        };
        self.rows.iter().map(lacks).collect()
    }

    pub(super) fn bind(&self, values: &Values<'_>, map: &ShardMap, given: Given<'_>) -> Result<Option<Parts>, String> {
        let text = values.text;
        // One shard has all rows, and its server may number them.
        if let (To::Key(_), 1) = (&self.to, map.shards().len()) {
            return Ok(Some(Parts::One(Some(0), self.numbering(text, given, &[]))));
        }
        if !self.check_numbers(values, given)? {
            return Ok(None);
        }
        let everything = |shard| Part { shard, changes: self.numbering(text, given, &[]) };
        match &self.to {
            To::Everywhere => {
                let parts = (0..map.shards().len()).map(everything).collect();
                Ok(Some(Parts::Several(parts, Answer::Counts { same: true })))
            }
            To::Pinned(id) => Ok(Some(Parts::One(map.find(id), self.numbering(text, given, &[])))),
            To::Key(key) => {
                let mut shards: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
                for (number, row) in self.rows.iter().enumerate() {
                    let generated = given.get(number).copied().flatten();
                    let mut read = Vec::with_capacity(row.key.len());
                    for (place, slot) in row.key.iter().enumerate() {
                        let numbered = self.numbered.as_ref().is_some_and(|numbered| numbered.place == Some(place));
                        read.push(match (generated.filter(|_| numbered), slot) {
                            (Some(number), _) => Value::Int(number),
                            (None, Some(slot)) => match values.read(*slot) {
                                Some(value) => value,
                                None => return Ok(None),
                            },
                            // The vindex does not look at it.
                            (None, None) => Value::Null,
                        });
                    }
                    let place = key.place(&read, Purpose::Store, map).map_err(|why| {
                        format!(
                            "row {}: the shard of {} cannot be told: {why}",
                            number + 1,
                            key.vindex.columns.join(", ")
                        )
                    })?;
                    shards.entry(place).or_default().push(number);
                }
                if let (1, Some((&only, _))) = (shards.len(), shards.first_key_value()) {
                    return Ok(Some(Parts::One(Some(only), self.naming(text, self.numbering(text, given, &[])))));
                }
                if let Some(function) = &self.function {
                    return Err(format!(
                        "its rows are of several shards, and what function {function} does cannot be seen; give the values themselves, or INSERT \
                         each shard's rows by themselves"
                    ));
                }
                let changes = |rows: &[usize]| self.naming(text, self.numbering(text, given, rows));
                let part = |(shard, rows): (usize, Vec<usize>)| Part { shard, changes: changes(&rows) };
                let parts = shards.into_iter().map(part).collect();
                Ok(Some(Parts::Several(parts, Answer::Counts { same: false })))
            }
        }
    }

    /// Refuses rows that servers would number, each by itself, and rows whose number is not known. False: not bound.
    fn check_numbers(&self, values: &Values<'_>, given: Given<'_>) -> Result<bool, String> {
        let (numbered, counts) = (self.numbered.as_ref(), self.counts.as_deref());
        let both = numbered.is_some_and(|one| counts.is_some_and(|own| own.eq_ignore_ascii_case(&one.column)));
        for (number, row) in self.rows.iter().enumerate() {
            let generated = given.get(number).copied().flatten().is_some();
            let refuse = |why: String| Err(format!("row {}: {why}", number + 1));
            // A row must not be placed by the NULL that its number stands in for.
            if let Some(numbered) = numbered.filter(|one| !generated && (both || one.place.is_some())) {
                let lacks = match (row.number.filter(|_| numbered.added.is_none()), both) {
                    (None, _) => Some(true),
                    (Some(slot), true) => gives_number(slot, values).map(|gives| !gives),
                    (Some(slot), false) => lacks_number(slot, values),
                };
                match lacks {
                    None => return Ok(false),
                    Some(true) => return refuse(sequence_counts(&numbered.column, &self.table)),
                    Some(false) => {}
                }
            }
            if let Some(column) = counts.filter(|_| !both) {
                match row.counted.map(|slot| gives_number(slot, values)) {
                    Some(None) => return Ok(false),
                    Some(Some(true)) => {}
                    Some(Some(false)) | None => return refuse(each_counts(column, &self.table)),
                }
            }
        }
        Ok(true)
    }

    /// These changes, and the one that names the columns the values were taken for.
    fn naming(&self, text: &Text<'_>, mut changes: Vec<Change>) -> Vec<Change> {
        if let Some(meant) = &self.meant {
            let at = text.span(&(meant.before..meant.before + 1)).start;
            changes.insert(0, Change { span: at..at, with: vec![Piece::Bytes(meant.list.clone())] });
        }
        changes
    }

    /// The changes that leave some rows (`rows`; none given: all) and put numbers in.
    fn numbering(&self, text: &Text<'_>, given: Given<'_>, rows: &[usize]) -> Vec<Change> {
        let mut changes = Vec::new();
        let added = self.numbered.as_ref().and_then(|numbered| Some((numbered, numbered.added?)));
        if let Some((numbered, added)) = added.filter(|_| given.iter().any(Option::is_some)) {
            let column = String::from_utf8_lossy(&crate::gateway::sql::quote_identifier(&numbered.column)).into_owned();
            match added {
                Added::List { close, first } => {
                    let at = text.span(&(close..close + 1)).start;
                    let with = if first { column } else { format!(", {column}") };
                    changes.push(Change { span: at..at, with: vec![Piece::Bytes(with.into())] });
                }
                Added::Set(end) => {
                    let at = text.span(&(0..end)).end;
                    let number = given.first().copied().flatten().unwrap_or_default();
                    changes.push(Change {
                        span: at..at,
                        with: vec![Piece::Bytes(format!(", {column} = {number}").into())],
                    });
                }
            }
        }
        let some = |number: &usize| rows.is_empty() || rows.contains(number);
        if rows.is_empty() {
            for (number, row) in self.rows.iter().enumerate() {
                if let Some(number) = given.get(number).copied().flatten() {
                    changes.extend(self.number(text, row, number, added.map(|(_, added)| added)));
                }
            }
            return changes;
        }
        let (Some(first), Some(last)) = (self.rows.first(), self.rows.last()) else { return changes };
        let mut with = Vec::new();
        for (at, row) in self.rows.iter().enumerate().filter(|(at, _)| some(at)) {
            if !with.is_empty() {
                with.push(Piece::Bytes(b", ".into()));
            }
            with.extend(numbered_row(row, given.get(at).copied().flatten(), added.map(|(_, added)| added)));
        }
        changes.push(Change { span: text.span(&(first.tokens.start..last.tokens.end)), with });
        changes
    }

    fn number(&self, text: &Text<'_>, row: &Row, number: i128, added: Option<Added>) -> Option<Change> {
        match (row.number, added) {
            (_, Some(Added::Set(_))) => None,
            (_, Some(Added::List { first, .. })) => {
                let at = text.span(&(row.tokens.end - 1..row.tokens.end)).start;
                let with = if first { number.to_string() } else { format!(", {number}") };
                Some(Change { span: at..at, with: vec![Piece::Bytes(with.into())] })
            }
            (Some(slot), None) => {
                let with = vec![Piece::Bytes(number.to_string().into())];
                // `-0` asks for a number, too, and its sign goes with it.
                Some(Change { span: text.span(&(slot.token - usize::from(slot.negative)..slot.token + 1)), with })
            }
            (None, None) => None,
        }
    }
}

/// Whether a server certainly does not number a row that has this in an AUTO_INCREMENT column. `None`: not bound.
fn gives_number(slot: Slot, values: &Values<'_>) -> Option<bool> {
    let text = values.text;
    if text.is(slot.token, "DEFAULT") {
        return Some(false);
    }
    let read = values.read(slot)?;
    if read == Value::Null || text.mode.zero_is_zero {
        return Some(read != Value::Null);
    }
    // Where the mode is not strict, what is no number at all is stored as 0.
    let other = |bytes: &[u8]| {
        let digits = bytes.iter().any(u8::is_ascii_digit);
        let read = str::from_utf8(bytes).ok().filter(|_| digits).and_then(|text| text.trim().parse::<f64>().ok());
        read.is_some_and(|number| number.round() != 0.0)
    };
    Some(match read {
        Value::Null => false,
        Value::Int(number) => number != 0,
        Value::Text(text) => other(text.as_bytes()),
        Value::Bytes(bytes) => other(&bytes),
        Value::Other => {
            let number = text.tokens.get(slot.token).is_some_and(|token| token.kind == TokenKind::Number);
            number && other(text.bytes(slot.token))
        }
    })
}

/// Whether a server numbers a row that has this in an AUTO_INCREMENT column. `None`: not bound.
fn lacks_number(slot: Slot, values: &Values<'_>) -> Option<bool> {
    let text = values.text;
    if text.is(slot.token, "DEFAULT") {
        return Some(true);
    }
    // Whatever becomes 0 where it is stored.
    let zero = |text: &[u8]| {
        let read = str::from_utf8(text).ok().and_then(|text| text.trim().parse::<f64>().ok());
        read.is_some_and(|number| number.round() == 0.0)
    };
    let is_zero = match values.read(slot)? {
        Value::Null => return Some(true),
        Value::Int(number) => number == 0,
        Value::Text(text) => zero(text.as_bytes()),
        Value::Bytes(bytes) => zero(&bytes),
        Value::Other => {
            text.tokens.get(slot.token).is_some_and(|token| token.kind == TokenKind::Number)
                && zero(text.bytes(slot.token))
        }
    };
    Some(is_zero && !text.mode.zero_is_zero)
}

/// A row with its number in it.
fn numbered_row(row: &Row, number: Option<i128>, added: Option<Added>) -> Vec<Piece> {
    let whole = || vec![Piece::Tokens(row.tokens.clone())];
    let Some(number) = number else { return whole() };
    let bytes = |text: String| Piece::Bytes(text.into());
    match (row.number, added) {
        (_, Some(Added::List { first, .. })) => {
            let comma = if first { "" } else { ", " };
            let inside = row.tokens.start..row.tokens.end - 1;
            vec![Piece::Tokens(inside), bytes(format!("{comma}{number})"))]
        }
        (Some(slot), None) => {
            let first = slot.token - usize::from(slot.negative);
            let (before, behind) = (row.tokens.start..first, slot.token + 1..row.tokens.end);
            vec![Piece::Tokens(before), bytes(format!(" {number} ")), Piece::Tokens(behind)]
        }
        _ => whole(),
    }
}
