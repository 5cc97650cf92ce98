//! XA transactions in the binlog, and which of the prepared ones we know to be harmless.
//!
//! XA PREPARE and XA COMMIT are transactions of their own in the binlog; the second names the first only by its xid and
//! carries no rows. So a commit may pass only if its prepare was read and touched no moved table.

use std::collections::HashSet;

use super::cursor::{Cursor, Malformed};

/// More prepared transactions than this are not remembered; MySQL itself allows `max_prepared_transactions` far fewer.
const MAX_REMEMBERED: usize = 100_000;

/// An xid, as `XA RECOVER` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct XaId {
    /// formatID.
    pub format: u32,
    /// Global transaction id.
    pub gtrid: Vec<u8>,
    /// Branch qualifier.
    pub bqual: Vec<u8>,
}

impl XaId {
    /// From a statement as MySQL logs it: `XA COMMIT X'6162',X'',1`.
    pub fn of_statement(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once("X'")?;
        let (gtrid, rest) = rest.split_once("',X'")?;
        let (bqual, format) = rest.split_once("',")?;
        Some(XaId { format: format.trim().parse().ok()?, gtrid: unhex(gtrid)?, bqual: unhex(bqual)? })
    }

    /// From the body of XA_PREPARE_LOG_EVENT, with whether it is a commit in one phase.
    pub fn of_prepare(body: &[u8]) -> Result<(Self, bool), Malformed> {
        let mut cursor = Cursor::new(body);
        let one_phase = cursor.u8()? != 0;
        let format = cursor.u32()?;
        let (gtrid, bqual) = (cursor.u32()? as usize, cursor.u32()? as usize);
        let id = XaId { format, gtrid: cursor.take(gtrid)?.to_vec(), bqual: cursor.take(bqual)?.to_vec() };
        Ok((id, one_phase))
    }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Prepared transactions that were read and touched no moved table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HarmlessXa(HashSet<XaId>);

impl HarmlessXa {
    /// Whether the transaction was read and found harmless.
    pub fn contains(&self, id: &XaId) -> bool {
        self.0.contains(id)
    }

    /// Remembers all that `other` does.
    pub fn join(&mut self, other: &Self) {
        for id in &other.0 {
            if self.0.len() < MAX_REMEMBERED && !self.0.contains(id) {
                self.0.insert(id.clone());
            }
        }
    }

    /// Remembers a prepared transaction. One that is not remembered for lack of room will stop the stream at its commit.
    pub(super) fn add(&mut self, id: XaId) {
        if self.0.len() < MAX_REMEMBERED {
            self.0.insert(id);
        }
    }

    /// Forgets a finished one; false where it was not known.
    pub(super) fn remove(&mut self, id: &XaId) -> bool {
        self.0.remove(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statement_and_event_name_the_same_xid() {
        let named = XaId::of_statement("XA COMMIT X'6162',X'',1").unwrap();
        let body = [0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, b'a', b'b'];
        assert_eq!(XaId::of_prepare(&body).unwrap(), (named, false));
        for bad in ["XA COMMIT 'a'", "XA COMMIT X'6',X'',1", "XA COMMIT X'61',X'',x"] {
            assert_eq!(XaId::of_statement(bad), None, "{bad}");
        }
        assert!(XaId::of_prepare(&body[..10]).is_err());
    }
}
