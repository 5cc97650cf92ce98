//! What each transaction touched, and nothing of its rows: for watching tables that nobody should write.
//!
//! # Invariants
//! - Every GTID leaves exactly one [`Outline`], or an error. An event that is neither understood nor ignorable is an error.
//! - A table is named only if rows of it were logged: a server announces tables by their maps that a statement might have
//!   written and did not.
//! - No row is decoded. What is kept of a transaction is bounded by how many tables it names, its statements by
//!   [`MOST_STATEMENTS`].

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::model::Gtid;

use super::cursor::Malformed;
use super::ddl::Scope;
use super::error::{BinlogError, Place};
use super::event::{Event, kind};
use super::gtid::Begin;
use super::query::{Query, Statement};
use super::reader::Assemble;
use super::rows::RowsHead;
use super::table_map::TableMap;

/// Table maps kept for reuse across transactions.
const MAX_MAPS: usize = 4096;
/// Statements kept of one transaction; each is cut.
const MOST_STATEMENTS: usize = 4;
const SHOWN: usize = 300;

/// A database and a table in it, as the binlog writes them.
pub type Named = (String, String);

/// What a transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Which.
    pub gtid: Gtid,
    /// The tables of which rows were written.
    pub tables: BTreeSet<Named>,
    /// Its statements that are not DML, each with what it touches.
    pub ddl: Vec<(String, Scope)>,
    /// The beginning of a statement that may have changed rows of any table and was logged as text, or of an event that
    /// says that something is missing.
    pub obscure: Option<String>,
}

/// What comes of a binlog that is only looked over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Glance {
    /// A transaction has ended.
    Txn(Outline),
    /// The server lives.
    Heartbeat,
}

/// Turns events into [`Glance`]s.
#[derive(Debug, Default)]
pub struct Outliner {
    maps: HashMap<u64, Named>,
    open: Option<(Outline, bool)>,
    place: Place,
    ready: VecDeque<Glance>,
}

impl Assemble for Outliner {
    type Item = Glance;

    fn take(&mut self) -> Option<Glance> {
        self.ready.pop_front()
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn feed(&mut self, event: &Event<'_>) -> Result<(), BinlogError> {
        let body = event.body;
        match event.kind {
            kind::GTID => self.begin(Begin::parse(body)),
            kind::GTID_TAGGED => self.begin(Begin::parse_tagged(body)),
            kind::ANONYMOUS_GTID => Err(BinlogError::Anonymous { place: self.place.clone() }),
            kind::QUERY => self.query(body),
            kind::TABLE_MAP => self.table_map(body),
            kind::WRITE_ROWS | kind::UPDATE_ROWS | kind::DELETE_ROWS | kind::PARTIAL_UPDATE_ROWS => self.rows(body, 2),
            kind::WRITE_ROWS_V1 | kind::UPDATE_ROWS_V1 | kind::DELETE_ROWS_V1 => self.rows(body, 1),
            kind::XID | kind::XA_PREPARE => self.commit(),
            kind::HEARTBEAT | kind::HEARTBEAT_V2 => {
                self.ready.push_back(Glance::Heartbeat);
                Ok(())
            }
            kind::FORMAT_DESCRIPTION | kind::ROTATE | kind::STOP => {
                self.maps.clear();
                Ok(())
            }
            kind::INCIDENT => {
                let message = "the server reports lost events (INCIDENT)".to_owned();
                Err(BinlogError::Incident { place: self.place.clone(), message })
            }
            kind::LOAD
            | kind::CREATE_FILE
            | kind::APPEND_BLOCK
            | kind::EXEC_LOAD
            | kind::DELETE_FILE
            | kind::NEW_LOAD
            | kind::BEGIN_LOAD_QUERY
            | kind::EXECUTE_LOAD_QUERY => self.obscure("LOAD DATA"),
            kind::PREVIOUS_GTIDS
            | kind::INTVAR
            | kind::RAND
            | kind::USER_VAR
            | kind::ROWS_QUERY
            | kind::IGNORABLE
            | kind::TRANSACTION_CONTEXT
            | kind::VIEW_CHANGE => Ok(()),
            _ if event.ignorable => Ok(()),
            kind => Err(BinlogError::UnknownEvent { place: self.place.clone(), kind }),
        }
    }
}

impl Outliner {
    fn begin(&mut self, begin: Result<Begin, Malformed>) -> Result<(), BinlogError> {
        let gtid = self.read(begin)?.gtid;
        if self.open.is_some() {
            return Err(self.malformed("a transaction begins within another"));
        }
        if self.maps.len() > MAX_MAPS {
            self.maps.clear();
        }
        self.place = Place(Some(gtid.clone()));
        self.open = Some((Outline { gtid, tables: BTreeSet::new(), ddl: Vec::new(), obscure: None }, false));
        Ok(())
    }

    fn query(&mut self, body: &[u8]) -> Result<(), BinlogError> {
        let query = self.read(Query::parse(body))?;
        let statement = query.classify();
        let text = || String::from_utf8_lossy(query.statement).chars().take(SHOWN).collect::<String>();
        let Some((outline, begun)) = &mut self.open else {
            return Err(self.malformed("a statement stands outside any transaction"));
        };
        match statement {
            Statement::Begin | Statement::XaStart => *begun = true,
            // What is undone of a transaction that goes on cannot be told from what is not.
            Statement::XaEnd | Statement::Savepoint | Statement::RollbackTo => {}
            // The rows went before the transaction did.
            Statement::Rollback => {
                outline.tables.clear();
                return self.commit();
            }
            Statement::Commit | Statement::XaFinish | Statement::XaOther => return self.commit(),
            Statement::Dml => {
                outline.obscure.get_or_insert_with(text);
                if !*begun {
                    return self.commit();
                }
            }
            Statement::Ddl { scope, starts_transaction } => {
                if outline.ddl.len() < MOST_STATEMENTS {
                    outline.ddl.push((text(), scope));
                } else {
                    outline.obscure.get_or_insert_with(text);
                }
                let goes_on = *begun || starts_transaction;
                *begun = goes_on;
                if !goes_on {
                    return self.commit();
                }
            }
        }
        Ok(())
    }

    fn obscure(&mut self, what: &str) -> Result<(), BinlogError> {
        if let Some((outline, _)) = &mut self.open {
            outline.obscure.get_or_insert_with(|| what.to_owned());
        }
        Ok(())
    }

    fn table_map(&mut self, body: &[u8]) -> Result<(), BinlogError> {
        let map = self.read(TableMap::parse(body))?;
        match self.maps.get(&map.id) {
            Some((database, table)) if *database == map.database && *table == map.table => {}
            _ => drop(self.maps.insert(map.id, (map.database.to_owned(), map.table.to_owned()))),
        }
        Ok(())
    }

    fn rows(&mut self, body: &[u8], version: u8) -> Result<(), BinlogError> {
        let head = self.read(RowsHead::parse(body, version))?;
        let Some(named) = self.maps.get(&head.table_id) else {
            return Err(self.malformed("rows of a table that no table map announced"));
        };
        match &mut self.open {
            Some((outline, _)) => {
                if !outline.tables.contains(named) {
                    outline.tables.insert(named.clone());
                }
                Ok(())
            }
            None => Err(self.malformed("rows stand outside any transaction")),
        }
    }

    fn commit(&mut self) -> Result<(), BinlogError> {
        let Some((outline, _)) = self.open.take() else {
            return Err(self.malformed("a commit stands outside any transaction"));
        };
        self.ready.push_back(Glance::Txn(outline));
        Ok(())
    }

    fn read<T>(&self, result: Result<T, Malformed>) -> Result<T, BinlogError> {
        result.map_err(|error| BinlogError::malformed(&self.place, error))
    }

    fn malformed(&self, what: &'static str) -> BinlogError {
        BinlogError::malformed(&self.place, Malformed(what))
    }
}
