//! Plans of INSERT and REPLACE: each row goes to the shard of its key.
//!
//! They are read by their tokens, not with the parser: rows may be many, and all that matters of them is where the values of
//! a few columns stand.

mod duplicates;

use std::ops::Range;
use std::sync::Arc;

use super::catalog::{Catalog, Key, Known, Rows};
use super::same;
use super::text::Text;
use super::value::Slot;
use super::{Plan, Work};
use crate::gateway::sql::{Access, Statement, TokenKind, quote_identifier, stored_function};
use crate::sharding::vschema::TableRef;

/// An INSERT or REPLACE.
#[derive(Debug, Clone)]
pub struct Insert {
    /// The table, for messages.
    pub table: String,
    /// Where the rows go.
    pub to: To,
    /// They.
    pub rows: Vec<Row>,
    /// A column that a sequence numbers, where rows may lack its value.
    pub numbered: Option<Numbered>,
    /// A column that servers number, and must not where there are several: each would give numbers that another gives, too.
    pub counts: Option<String>,
    /// The columns that the values are taken for, if it does not name them.
    pub meant: Option<Meant>,
    /// A function that is not MySQL's own, which would see the rows of one shard only.
    pub function: Option<String>,
}

/// The columns that values without a list are for, as far as is known: said to the server, so that a row is stored as it was
/// placed, whatever DDL has made of the columns' order meanwhile.
#[derive(Debug, Clone)]
pub struct Meant {
    /// The list goes before this token.
    pub before: usize,
    /// The list, in parentheses.
    pub list: Vec<u8>,
}

/// Where rows go.
#[derive(Debug, Clone)]
pub enum To {
    /// Each by its key.
    Key(Arc<Key>),
    /// To the shard of this keyspace id.
    Pinned(Vec<u8>),
    /// To every shard.
    Everywhere,
}

/// A row.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its tokens, parentheses included.
    pub tokens: Range<usize>,
    /// The values of the key's columns. `None`: the sequence gives it, always.
    pub key: Vec<Option<Slot>>,
    /// The value of the numbered column, if the row has one, and it is plain.
    pub number: Option<Slot>,
    /// The value of the column that servers number.
    pub counted: Option<Slot>,
}

/// A column that a sequence numbers.
#[derive(Debug, Clone)]
pub struct Numbered {
    /// The sequence.
    pub sequence: TableRef,
    /// The column.
    pub column: String,
    /// Its place in the key, if it is part of that.
    pub place: Option<usize>,
    /// Where the column is added if rows lack it: behind this token of the list of columns, or of SET's assignments.
    pub added: Option<Added>,
}

/// How a column is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// To the list of columns whose closing parenthesis is this token, and to each row. `first`: the list is empty.
    List {
        /// The parenthesis.
        close: usize,
        /// There is no other column.
        first: bool,
    },
    /// To SET's assignments, before this token or the end.
    Set(usize),
}

/// Plans an INSERT or REPLACE.
pub(super) fn plan(statement: &Statement, text: &Text<'_>, catalog: &Catalog<'_>) -> Result<Plan, String> {
    let mut at = 1;
    while text.is_any(at, &["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE"]) {
        at += 1;
    }
    at += usize::from(text.is(at, "INTO"));
    let written = statement.tables.iter().find(|table| table.access == Access::Write).ok_or("it names no table")?;
    while text.tokens.get(at).is_some_and(|token| token.is_name() || token.is_symbol(b'.')) {
        if text.is_any(at, &["VALUES", "VALUE", "SET", "SELECT", "PARTITION"])
            && !text.is_symbol(at.saturating_sub(1), b'.')
        {
            break;
        }
        at += 1;
    }
    if text.is(at, "PARTITION") {
        at = text.closing(at + 1).ok_or("its PARTITION does not end")? + 1;
    }
    if statement.tables.iter().any(|table| table.access == Access::Read) {
        return Err(
            "rows that come from a query may belong to other shards; read them, and INSERT them by their values".into(),
        );
    }
    let table = catalog.table(&written.table.text)?;
    let to = match &table.rows {
        Rows::Spread(key) => To::Key(key.clone()),
        Rows::Pinned(id) => To::Pinned(id.clone()),
        Rows::Everywhere(Some(source)) => return Err(format!("{} is filled from {source}; write to that", table.name)),
        Rows::Everywhere(None) => To::Everywhere,
    };
    let columns = if text.is_symbol(at, b'(') {
        let open = at;
        let close = text.closing(open).ok_or("its list of columns does not end")?;
        at = close + 1;
        Some((open, close))
    } else {
        None
    };
    if matches!(to, To::Everywhere) {
        same::check(text, at)?;
    }
    let mut reader = Reader { text, table: &table, to: &to, numbered: numbered(catalog, &table, &to), counts: None };
    reader.counts = reader.counting();
    let values = at;
    let (rows, end) = if text.is_any(at, &["VALUES", "VALUE"]) {
        reader.values(at + 1, columns)?
    } else if text.is(at, "SET") && columns.is_none() {
        reader.set(at + 1)?
    } else {
        return Err("an INSERT of this form is not spread over shards; give its rows with VALUES".into());
    };
    reader.duplicates(end)?;
    // `()` is all columns' defaults only where none is named.
    let plain = columns.is_none() && !text.is(values, "SET") && rows.iter().all(|row| row.tokens.len() > 2);
    let list = plain.then(|| reader.visible());
    // The text may be in another character set than a name beyond ASCII would be in.
    let meant = list.filter(|list| list.is_ascii()).map(|list| Meant { before: values, list });
    let (numbered, counts) = (reader.numbered, reader.counts);
    let function = stored_function(text.sql, text.tokens.get(at + 1..).unwrap_or_default());
    let function = function.map(|name| String::from_utf8_lossy(name).into_owned());
    let insert = Insert { table: table.name.clone(), to, rows, numbered, counts, meant, function };
    Ok(Plan { work: Work::Insert(Box::new(insert)), cacheable: true })
}

fn numbered(catalog: &Catalog<'_>, table: &Known, to: &To) -> Option<Numbered> {
    let given = catalog.schema.tables.get(&table.name)?.auto_increment.as_ref()?;
    let place = match to {
        To::Key(key) => key.vindex.columns.iter().position(|column| column.eq_ignore_ascii_case(&given.column)),
        _ => None,
    };
    Some(Numbered { sequence: given.sequence.clone(), column: given.column.clone(), place, added: None })
}

/// Why an AUTO_INCREMENT column must be given.
pub(super) fn each_counts(column: &str, table: &str) -> String {
    format!(
        "{column} of {table} is AUTO_INCREMENT, and each shard would store a number of its own: give its value, plain and other than 0 \
         and NULL, or have a sequence number it (auto_increment in the VSchema)"
    )
}

/// Why a value must be plain that a sequence gives where there is none: whether there is one is not known of an expression.
pub(super) fn sequence_counts(column: &str, table: &str) -> String {
    format!(
        "a sequence numbers {column} of {table} where it has no value, and of an expression that cannot be told: give the value itself, or \
         leave {column} out of the list of columns to have it numbered"
    )
}

struct Reader<'a> {
    text: &'a Text<'a>,
    table: &'a Known,
    to: &'a To,
    numbered: Option<Numbered>,
    counts: Option<String>,
}

impl Reader<'_> {
    /// The AUTO_INCREMENT column of a table that is on several shards. A reference table's may have a sequence instead; what
    /// that leaves to the servers of other tables is seen when values are there.
    fn counting(&self) -> Option<String> {
        let column = self.table.columns.columns.iter().find(|column| column.counts)?;
        let sequence =
            self.numbered.as_ref().is_some_and(|numbered| numbered.column.eq_ignore_ascii_case(&column.name));
        let matters = match self.to {
            To::Key(_) => true,
            To::Everywhere => !sequence,
            To::Pinned(_) => false,
        };
        matters.then(|| column.name.clone())
    }

    /// The list of all columns that values without a list are for.
    fn visible(&self) -> Vec<u8> {
        let visible = self.table.columns.columns.iter().filter(|column| !column.invisible);
        let names: Vec<_> = visible.map(|column| quote_identifier(&column.name)).collect();
        [b"(".as_slice(), &names.join(b", ".as_slice()), b") "].concat()
    }

    /// `(…), (…)` and what follows.
    fn values(&mut self, from: usize, columns: Option<(usize, usize)>) -> Result<(Vec<Row>, usize), String> {
        let text = self.text;
        let names: Vec<String> = match columns {
            Some((open, close)) if open + 1 == close => Vec::new(),
            Some((open, close)) => {
                let names = text.list(open + 1..close).into_iter().map(|part| text.name(part.end.saturating_sub(1)));
                names.collect::<Option<_>>().ok_or("its list of columns cannot be read")?
            }
            None => {
                let visible = self.table.columns.columns.iter().filter(|column| !column.invisible);
                visible.map(|column| column.name.clone()).collect()
            }
        };
        let place = |name: &str| names.iter().position(|own| own.eq_ignore_ascii_case(name));
        let number = self.numbered.as_ref().map(|numbered| place(&numbered.column));
        let counts = self.counts.as_ref().map(|column| place(column));
        let key: Vec<Option<usize>> = match self.to {
            To::Key(key) => key.vindex.columns.iter().map(|column| place(column)).collect(),
            _ => Vec::new(),
        };
        self.check_given(&key, counts)?;
        if let (Some(numbered), Some(None)) = (&mut self.numbered, number) {
            let (_, close) = columns.ok_or("its values do not fit the table's columns")?;
            numbered.added = Some(Added::List { close, first: names.is_empty() });
        }
        let (mut rows, mut at) = (Vec::new(), from);
        loop {
            let open = at + usize::from(text.is(at, "ROW"));
            let close = text.closing(open).filter(|_| text.is_symbol(open, b'(')).ok_or("its rows cannot be read")?;
            let values = if open + 1 == close { Vec::new() } else { text.list(open + 1..close) };
            // `()` without a list of columns leaves out all of them.
            if values.len() != names.len() && !(values.is_empty() && columns.is_none()) {
                return Err(format!("row {} has {} values for {} columns", rows.len() + 1, values.len(), names.len()));
            }
            let slot = |place: &Option<usize>| place.and_then(|place| self.slot(values.get(place)?));
            let keys: Vec<Option<Slot>> = key.iter().map(slot).collect();
            let (number, counted) = (number.and_then(|place| slot(&place)), counts.and_then(|place| slot(&place)));
            self.check_row(&keys, counted, rows.len())?;
            rows.push(Row { tokens: open..close + 1, key: keys, number, counted });
            at = close + 1;
            if !text.is_symbol(at, b',') {
                return Ok((rows, at));
            }
            at += 1;
        }
    }

    /// `a = 1, b = 2` and what follows.
    fn set(&mut self, from: usize) -> Result<(Vec<Row>, usize), String> {
        let text = self.text;
        let end = text.find(from, |at| self.begins_tail(at)).unwrap_or(text.tokens.len());
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for part in text.list(from..end) {
            let equals = text.find(part.start, |at| text.is_symbol(at, b'=')).filter(|at| part.contains(at));
            let equals = equals.ok_or("its assignments cannot be read")?;
            names.push(text.name(equals.saturating_sub(1)).ok_or("its assignments cannot be read")?);
            values.push(equals + 1..part.end);
        }
        let place = |name: &str| names.iter().position(|own: &String| own.eq_ignore_ascii_case(name));
        let key: Vec<Option<usize>> = match self.to {
            To::Key(key) => key.vindex.columns.iter().map(|column| place(column)).collect(),
            _ => Vec::new(),
        };
        let counts = self.counts.as_ref().map(|column| place(column));
        self.check_given(&key, counts)?;
        let number = self.numbered.as_ref().map(|numbered| place(&numbered.column));
        if let (Some(numbered), Some(None)) = (&mut self.numbered, number) {
            numbered.added = Some(Added::Set(end));
        }
        let slot = |place: &Option<usize>| place.and_then(|place| self.slot(values.get(place)?));
        let keys: Vec<Option<Slot>> = key.iter().map(slot).collect();
        let (number, counted) = (number.and_then(|place| slot(&place)), counts.and_then(|place| slot(&place)));
        self.check_row(&keys, counted, 0)?;
        Ok((vec![Row { tokens: from..end, key: keys, number, counted }], end))
    }

    fn begins_tail(&self, at: usize) -> bool {
        self.text.is(at, "AS") || self.text.is(at, "ON") && self.text.is(at + 1, "DUPLICATE")
    }

    /// Every column of the key must be given, or be numbered.
    fn check_given(&self, key: &[Option<usize>], counts: Option<Option<usize>>) -> Result<(), String> {
        if let (To::Everywhere, Some(column), Some(None)) = (self.to, &self.counts, counts) {
            return Err(each_counts(column, &self.table.name));
        }
        let To::Key(own) = self.to else { return Ok(()) };
        for (place, given) in key.iter().enumerate() {
            let free = own.types.get(place).is_some_and(Option::is_none);
            if given.is_none() && !free && self.numbered.as_ref().and_then(|numbered| numbered.place) != Some(place) {
                let column = own.vindex.columns.get(place).map(String::as_str).unwrap_or_default();
                return Err(format!(
                    "{} is sharded by {column}: name that column, and give its value",
                    self.table.name
                ));
            }
        }
        Ok(())
    }

    fn check_row(&self, key: &[Option<Slot>], counted: Option<Slot>, row: usize) -> Result<(), String> {
        if let (To::Everywhere, Some(column), None) = (self.to, &self.counts, counted) {
            return Err(format!("row {}: {}", row + 1, each_counts(column, &self.table.name)));
        }
        let To::Key(own) = self.to else { return Ok(()) };
        for (place, slot) in key.iter().enumerate() {
            let free = own.types.get(place).is_some_and(Option::is_none);
            if slot.is_none() && !free && self.numbered.as_ref().and_then(|numbered| numbered.place) != Some(place) {
                let column = own.vindex.columns.get(place).map(String::as_str).unwrap_or_default();
                return Err(format!(
                    "row {}: the value of {column}, by which {} is sharded, must be a plain value, not an expression",
                    row + 1,
                    self.table.name
                ));
            }
        }
        Ok(())
    }

    /// The value that a few tokens are.
    fn slot(&self, part: &Range<usize>) -> Option<Slot> {
        let text = self.text;
        let negative = text.is_symbol(part.start, b'-');
        let token = part.start + usize::from(negative);
        let plain = match text.tokens.get(token)?.kind {
            TokenKind::Number | TokenKind::Symbol(b'?') => true,
            TokenKind::Text => !negative,
            TokenKind::Word => !negative && text.is_any(token, &["NULL", "TRUE", "FALSE", "DEFAULT"]),
            _ => false,
        };
        (plain && token + 1 == part.end).then_some(Slot { token, negative })
    }
}
