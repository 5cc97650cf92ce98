//! What ON DUPLICATE KEY UPDATE makes of a row's key.

use super::{Reader, To};

/// Whose value a column is assigned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Its own: it stays as it is.
    Kept,
    /// That of the row to be added.
    New,
}

impl Reader<'_> {
    /// ON DUPLICATE KEY UPDATE must leave the row where it is.
    ///
    /// The row that is there was found on the shard that got the new one, so that either's whole key belongs there; a mix of
    /// both may not. (That rows are found on one shard only means that a unique key without the sharding columns is unique
    /// on each shard by itself.)
    pub(super) fn duplicates(&self, from: usize) -> Result<(), String> {
        let (text, To::Key(key)) = (self.text, self.to) else { return Ok(()) };
        let Some(on) = text.find(from, |at| text.is(at, "ON") && text.is(at + 1, "DUPLICATE")) else { return Ok(()) };
        // Whose value each column of the key has in the end.
        let mut whose = vec![Whose::Kept; key.types.len()];
        for part in text.list(on + 4..text.tokens.len()) {
            let equals = text.find(part.start, |at| text.is_symbol(at, b'=')).filter(|at| part.contains(at));
            let Some(column) = equals.and_then(|at| text.name(at.checked_sub(1)?)) else {
                return Err("what it assigns ON DUPLICATE KEY cannot be read".into());
            };
            let Some(place) = key.vindex.columns.iter().position(|own| own.eq_ignore_ascii_case(&column)) else {
                continue;
            };
            let value: Vec<usize> = (equals.map_or(part.end, |at| at + 1)..part.end).collect();
            match (self.whose(&column, &value, from..on), whose.get_mut(place)) {
                (Some(Whose::New), Some(place)) => *place = Whose::New,
                (Some(_), _) => {}
                (None, _) => {
                    return Err(format!(
                        "{column} is the sharding column of {}: ON DUPLICATE KEY UPDATE must not change it; DELETE the row and INSERT it \
                         anew, in one transaction",
                        self.table.name
                    ));
                }
            }
        }
        let matters = || whose.iter().zip(&key.types).filter(|(_, kind)| kind.is_some()).map(|(whose, _)| *whose);
        if matters().any(|one| one == Whose::New) && matters().any(|one| one == Whose::Kept) {
            return Err(format!(
                "{} is sharded by {}: ON DUPLICATE KEY UPDATE must assign all of them the new row's values, or none; a part of them may \
                 move the row to another shard",
                self.table.name,
                key.vindex.columns.join(", ")
            ));
        }
        Ok(())
    }

    /// Whose value of the column itself these tokens are; `None`: they are something else. `alias`: where the new row is
    /// given a name.
    fn whose(&self, column: &str, value: &[usize], alias: std::ops::Range<usize>) -> Option<Whose> {
        let text = self.text;
        let named = |at: usize| text.name(at).is_some_and(|name| name.eq_ignore_ascii_case(column));
        // `AS new (a, b)` calls the new row's columns by other names, and they may be crossed.
        let renames = alias.clone().any(|at| text.is_symbol(at, b'('));
        match value {
            [only] if named(*only) && !renames => Some(Whose::Kept),
            [table, dot, name] if text.is_symbol(*dot, b'.') && named(*name) => {
                let new = text.is(alias.start, "AS").then(|| text.name(alias.start + 1)).flatten();
                match new.is_some_and(|new| text.name(*table).is_some_and(|table| table.eq_ignore_ascii_case(&new))) {
                    true => (!renames).then_some(Whose::New),
                    false => Some(Whose::Kept),
                }
            }
            [function, open, name, close] => {
                let values =
                    text.is(*function, "VALUES") && text.is_symbol(*open, b'(') && text.is_symbol(*close, b')');
                (values && named(*name)).then_some(Whose::New)
            }
            _ => None,
        }
    }
}
