//! A row in canonical text form: what MySQL's text protocol would send for it, in the column's own bytes.
//!
//! Both ways a row can come (copied by SELECT, decoded from the binlog) end in this one form, and one encoder turns it
//! into SQL; so a value cannot depend on the way it came (promise P3). The form per kind is documented at
//! [`super::table::ColumnKind`].
//!
//! One buffer holds all values; a row is cheap to move and costs two allocations.

use std::fmt;

const NULL: u32 = 1 << 31;

/// An owned row image. Values are in column order of the table definition.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Row {
    bytes: Vec<u8>,
    /// End offset of each value, with the top bit set where the value is NULL.
    ends: Vec<u32>,
}

impl Row {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the row has no values at all.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The value of column `index`: `None` for NULL. Panics when out of range, as slices do.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = self.ends[index];
        if end & NULL != 0 {
            return None;
        }
        let start = if index == 0 { 0 } else { self.ends[index - 1] & !NULL };
        Some(&self.bytes[start as usize..end as usize])
    }

    /// The values in order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = Option<&[u8]>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The row as bytes that [`Self::decode`] reads back: per value a little-endian u32 length (all ones for NULL), then
    /// the bytes. Used for keys kept in the sidecar.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len() + 4 * self.ends.len());
        for value in self.values() {
            out.extend_from_slice(&value.map_or(u32::MAX, |v| v.len() as u32).to_le_bytes());
            out.extend_from_slice(value.unwrap_or_default());
        }
        out
    }

    /// Reads what [`Self::encode`] wrote; `None` if the bytes are something else.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut builder = RowBuilder::default();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk::<4>()?;
            bytes = rest;
            match u32::from_le_bytes(*length) {
                u32::MAX => builder.push_null(),
                length => {
                    let (value, rest) = bytes.split_at_checked(length as usize)?;
                    builder.push(value);
                    bytes = rest;
                }
            }
        }
        builder.finish().ok()
    }

    /// Heap size in bytes, for bounding queues.
    pub fn size(&self) -> usize {
        self.bytes.len() + 4 * self.ends.len() + std::mem::size_of::<Self>()
    }
}

impl fmt::Debug for Row {
    /// Shows the shape only: values are the user's data and do not belong in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Row({} values, {} bytes)", self.ends.len(), self.bytes.len())
    }
}

/// A row too large for this form: 2 GiB, above what any MySQL packet can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row is larger than 2 GiB")]
pub struct RowTooLarge;

/// Builds a [`Row`] value by value.
#[derive(Debug, Default)]
pub struct RowBuilder {
    row: Row,
    too_large: bool,
}

impl RowBuilder {
    /// A builder with room for `columns` values of `bytes` bytes in all.
    pub fn with_capacity(columns: usize, bytes: usize) -> Self {
        let row = Row { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(columns) };
        Self { row, too_large: false }
    }

    /// Appends NULL.
    pub fn push_null(&mut self) {
        let end = self.end();
        self.row.ends.push(end | NULL);
    }

    /// Appends a value.
    pub fn push(&mut self, value: &[u8]) {
        self.row.bytes.extend_from_slice(value);
        let end = self.end();
        self.row.ends.push(end);
    }

    /// Appends a value that `write` renders straight into the row's buffer.
    pub fn push_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        write(&mut self.row.bytes)?;
        let end = self.end();
        self.row.ends.push(end);
        Ok(())
    }

    fn end(&mut self) -> u32 {
        let end = self.row.bytes.len();
        self.too_large |= end >= NULL as usize;
        (end as u32) & !NULL
    }

    /// The finished row.
    pub fn finish(self) -> Result<Row, RowTooLarge> {
        if self.too_large { Err(RowTooLarge) } else { Ok(self.row) }
    }
}

impl<'a> FromIterator<Option<&'a [u8]>> for Row {
    fn from_iter<I: IntoIterator<Item = Option<&'a [u8]>>>(values: I) -> Self {
        let mut builder = RowBuilder::default();
        for value in values {
            match value {
                Some(value) => builder.push(value),
                None => builder.push_null(),
            }
        }
        builder.row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_empty_differ_and_boundaries_hold() {
        let row: Row = [Some(&b"ab"[..]), None, Some(b""), Some(b"c")].into_iter().collect();
        let values: Vec<_> = row.values().collect();
        assert_eq!(values, [Some(&b"ab"[..]), None, Some(b""), Some(b"c")]);
        let shifted: Row = [Some(&b"a"[..]), None, Some(b"b"), Some(b"c")].into_iter().collect();
        assert_ne!(row, shifted);
        assert_eq!(Row::decode(&row.encode()), Some(row));
        assert_eq!(Row::decode(&[9, 0, 0, 0, 1]), None);
    }
}
