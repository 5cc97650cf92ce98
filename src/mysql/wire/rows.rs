//! Rows of the text protocol as the bytes they came in.
//!
//! Invariant: a row that is handed out is well-formed: exactly as many values as columns, ending where the packet ends.
//! [`Rows`] dropped before its end leaves the connection broken; [`Rows::finish`] reads to the end.

use mysql_common::{io::ParseBuf, packets::Column};

use crate::mysql::error::MysqlError;

use super::{
    connection::{MAX_COLUMNS, Outcome, Wire, outcome},
    reply::{self, Answer, Done, RowPacket, lenenc},
};

const DOING: &str = "a query";

/// A value as the server rendered it: `None` is NULL.
pub type Value = Option<Vec<u8>>;

/// A result set being read.
#[derive(Debug)]
pub struct Rows<'a> {
    wire: &'a mut Wire,
    columns: Vec<Column>,
    state: State,
}

#[derive(Debug)]
enum State {
    Reading,
    Ended(Done),
    Failed,
}

impl Wire {
    /// Runs one statement that returns rows (a CALL whose procedure returns one result set too) and streams them.
    pub async fn query(&mut self, sql: &[u8]) -> Result<Rows<'_>, MysqlError> {
        self.statement(DOING, sql).await?;
        self.receive(DOING).await?;
        let count = match reply::answer(self.reader.payload(), self.capabilities) {
            Err(what) => return Err(self.violation(what)),
            Ok(Answer::LocalInfile) => return Err(self.violation("it asked for a file in a query".to_owned())),
            Ok(Answer::Columns(count)) if count > MAX_COLUMNS => return Err(self.violation(format!("{count} columns"))),
            Ok(Answer::Columns(count)) => count,
            Ok(Answer::Refused(error)) => {
                self.settle();
                return Err(error);
            }
            Ok(Answer::Done(done)) => {
                self.rest(done.more_results()).await?;
                return Err(MysqlError::Unexpected { what: "no rows from a statement that had to return some" });
            }
        };
        let mut columns = Vec::with_capacity(count as usize);
        for _ in 0..count {
            self.receive(DOING).await?;
            match ParseBuf(self.reader.payload()).parse(()) {
                Ok(column) => columns.push(column),
                Err(error) => return Err(self.violation(format!("malformed column definition: {error}"))),
            }
        }
        Ok(Rows { wire: self, columns, state: State::Reading })
    }

    /// The rows of a small result, all at once. With more than `cap` of them it is an error, and the rest is read and thrown
    /// away.
    pub async fn query_small(&mut self, sql: &[u8], cap: usize) -> Result<Vec<Vec<Value>>, MysqlError> {
        let mut rows = self.query(sql).await?;
        let mut kept = Vec::new();
        while let Some(row) = rows.next().await? {
            if kept.len() == cap {
                rows.finish().await?;
                return Err(MysqlError::TooManyRows { cap });
            }
            kept.push(row.values().map(|value| value.map(<[u8]>::to_vec)).collect());
        }
        Ok(kept)
    }

    /// The only row of a result, `None` if it has none; several are an error.
    pub async fn query_one(&mut self, sql: &[u8]) -> Result<Option<Vec<Value>>, MysqlError> {
        Ok(self.query_small(sql, 1).await?.pop())
    }

    /// Reads what follows the first result of a query: statuses are fine, errors and further rows are errors.
    async fn rest(&mut self, mut more: bool) -> Result<(), MysqlError> {
        let mut first = Ok(());
        while more {
            match outcome(&mut self.reader, &mut self.stream, self.capabilities).await {
                Ok(Outcome { result, more: further }) => {
                    more = further;
                    if first.is_ok() {
                        first = result.map(drop);
                    }
                }
                Err(fault) => return Err(self.fault(DOING, fault).await),
            }
        }
        self.settle();
        first
    }
}

impl Rows<'_> {
    /// The columns' definitions.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The next row, `None` after the last. After an error nothing more is read.
    pub async fn next(&mut self) -> Result<Option<RawRow<'_>>, MysqlError> {
        match self.state {
            State::Reading => {}
            State::Ended(_) => return Ok(None),
            State::Failed => return Err(MysqlError::Broken { address: self.wire.address.clone() }),
        }
        if let Err(error) = self.wire.receive(DOING).await {
            self.state = State::Failed;
            return Err(error);
        }
        match reply::row_packet(self.wire.reader.payload(), self.wire.capabilities) {
            Ok(RowPacket::Row) => {
                if let Some(row) = RawRow::parse(self.wire.reader.payload(), self.columns.len()) {
                    return Ok(Some(row));
                }
                self.state = State::Failed;
                Err(self.wire.violation("malformed row".to_owned()))
            }
            Ok(RowPacket::End(done)) => {
                self.state = State::Failed;
                self.wire.rest(done.more_results()).await?;
                self.state = State::Ended(done);
                Ok(None)
            }
            Ok(RowPacket::Refused(error)) => {
                self.state = State::Failed;
                self.wire.settle();
                Err(error)
            }
            Err(what) => {
                self.state = State::Failed;
                Err(self.wire.violation(what))
            }
        }
    }

    /// Reads and throws away the rest. The status is that of the result's end.
    pub async fn finish(mut self) -> Result<Done, MysqlError> {
        while self.next().await?.is_some() {}
        match self.state {
            State::Ended(done) => Ok(done),
            State::Reading | State::Failed => Err(MysqlError::Broken { address: self.wire.address.clone() }),
        }
    }
}

/// One row: its packet, borrowed from the connection's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawRow<'a> {
    packet: &'a [u8],
    columns: usize,
}

impl<'a> RawRow<'a> {
    /// Wraps a text-protocol row packet; `None` unless it holds exactly `columns` values.
    pub fn parse(packet: &'a [u8], columns: usize) -> Option<Self> {
        let mut rest = packet;
        for _ in 0..columns {
            split(&mut rest)?;
        }
        rest.is_empty().then_some(RawRow { packet, columns })
    }

    /// The values in column order; `None` is NULL.
    pub fn values(&self) -> Values<'a> {
        Values { rest: self.packet, left: self.columns }
    }

    /// The packet: length-encoded strings, 0xFB for NULL.
    pub fn packet(&self) -> &'a [u8] {
        self.packet
    }
}

/// Iterator over a row's values.
#[derive(Debug, Clone)]
pub struct Values<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iterator for Values<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        split(&mut self.rest)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Values<'_> {}

/// Takes one value off the front. The outer `None` means malformed.
#[inline]
fn split<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    if let Some((0xFB, after)) = rest.split_first() {
        *rest = after;
        return Some(None);
    }
    let (len, after) = lenenc(rest)?;
    let (value, after) = after.split_at_checked(usize::try_from(len).ok()?)?;
    *rest = after;
    Some(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_row_is_whole_or_nothing() {
        let packet = b"\x01a\xfb\x00\xfc\x02\x00xy";
        let row = RawRow::parse(packet, 4).unwrap();
        let values: Vec<_> = row.values().collect();
        assert_eq!(values, [Some(&b"a"[..]), None, Some(&b""[..]), Some(&b"xy"[..])]);
        assert_eq!(row.values().len(), 4);
        for columns in [0, 3, 5] {
            assert_eq!(RawRow::parse(packet, columns), None);
        }
        assert_eq!(RawRow::parse(&packet[..packet.len() - 1], 4), None);
        assert_eq!(RawRow::parse(b"\xfe\xff\xff\xff\xff\xff\xff\xff\xffx", 1), None);
    }

    proptest! {
        #[test]
        fn what_parses_has_that_many_values(packet in prop::collection::vec(any::<u8>(), 0..40), columns in 0usize..8) {
            if let Some(row) = RawRow::parse(&packet, columns) {
                prop_assert_eq!(row.values().count(), columns);
            }
        }
    }
}
