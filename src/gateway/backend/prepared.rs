//! The statements prepared on one connection, by their text, so that sessions share them. Pure bookkeeping.
//!
//! Invariant: at most [`MOST`] statements and [`MOST_BYTES`] of text are known at a time (one longer text excepted), and an
//! entry is a statement that the server has: what leaves is handed out to be closed there.

/// Most statements per connection. The server's own limit, `max_prepared_stmt_count`, is 16,382 for all connections.
pub const MOST: usize = 64;
/// Most bytes of their texts.
pub const MOST_BYTES: usize = 1 << 20;

/// A statement the server has prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    /// The server's id.
    pub id: u32,
    /// Columns of its result, 0 for none.
    pub columns: u16,
    /// Its parameters.
    pub params: u16,
}

/// The statements of a connection.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Few enough to be searched one by one.
    entries: Vec<Entry>,
    bytes: usize,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    sql: Vec<u8>,
    /// What the text's meaning depends on; see [`super::Settings::reading`].
    reading: String,
    statement: Statement,
    used: u64,
}

impl Prepared {
    /// The statement of a text, which is then the one used last.
    pub fn get(&mut self, sql: &[u8], reading: &str) -> Option<Statement> {
        self.uses += 1;
        let entry = self.entries.iter_mut().find(|entry| entry.sql == sql && entry.reading == reading)?;
        entry.used = self.uses;
        Some(entry.statement)
    }

    /// Adds a statement; the ids of those to close for it: its namesake, and the least recently used ones.
    pub fn insert(&mut self, sql: &[u8], reading: String, statement: Statement) -> Vec<u32> {
        self.uses += 1;
        let mut close = Vec::new();
        if let Some(at) = self.entries.iter().position(|entry| entry.sql == sql && entry.reading == reading) {
            close.push(self.remove(at));
        }
        self.bytes += sql.len();
        self.entries.push(Entry { sql: sql.to_vec(), reading, statement, used: self.uses });
        while self.entries.len() > 1 && (self.entries.len() > MOST || self.bytes > MOST_BYTES) {
            let oldest = self.entries.iter().enumerate().min_by_key(|(_, entry)| entry.used).map_or(0, |(at, _)| at);
            close.push(self.remove(oldest));
        }
        close
    }

    /// Forgets a statement, by the server's id.
    pub fn forget(&mut self, id: u32) {
        if let Some(at) = self.entries.iter().position(|entry| entry.statement.id == id) {
            self.remove(at);
        }
    }

    /// Forgets all: the server has dropped them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn remove(&mut self, at: usize) -> u32 {
        let entry = self.entries.swap_remove(at);
        self.bytes -= entry.sql.len();
        entry.statement.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(id: u32) -> Statement {
        Statement { id, columns: 0, params: 0 }
    }

    #[test]
    fn the_least_recently_used_is_closed() {
        let mut prepared = Prepared::default();
        for id in 0..MOST as u32 {
            assert!(prepared.insert(format!("SELECT {id}").as_bytes(), String::new(), statement(id)).is_empty());
        }
        assert_eq!(prepared.get(b"SELECT 0", ""), Some(statement(0)));
        assert_eq!(prepared.get(b"SELECT 0", "ANSI_QUOTES"), None);
        assert_eq!(prepared.insert(b"SELECT 0", "ANSI_QUOTES".into(), statement(100)), [1]);
        assert_eq!(prepared.insert(b"SELECT 0", String::new(), statement(101)), [0]);
        prepared.forget(101);
        assert_eq!(prepared.get(b"SELECT 0", ""), None);
        let closed = prepared.insert(&vec![b'x'; MOST_BYTES + 1], String::new(), statement(102));
        assert_eq!((closed.len(), prepared.entries.len(), prepared.bytes), (MOST - 1, 1, MOST_BYTES + 1));
        prepared.clear();
        assert_eq!(prepared.bytes, 0);
    }
}
