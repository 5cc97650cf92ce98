//! Events to transactions: the state machine of the binlog, free of I/O.
//!
//! Invariants: every GTID leaves exactly one event whose `last` is set, or an error; rows of tables outside the set are never
//! decoded; no prepared XA transaction with rows of a moved table is passed, decoded yet or not; an event that is neither
//! understood nor ignorable is an error.
//! Source of the boundaries: mysql-server/sql/rpl_trx_boundary_parser.cc.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::model::{RowChange, TableDef, Txn};

use super::cursor::{Cursor, Malformed};
use super::error::{BinlogError, Place};
use super::event::{Event, kind};
use super::gtid::Begin;
use super::plan::Plan;
use super::query::{Query, Statement};
use super::reader::Assemble;
use super::rows::{Action, RowsError, RowsHead};
use super::table_map::TableMap;
use super::{Ddl, SourceEvent, Tables};

/// Table maps kept for reuse across transactions.
const MAX_MAPS: usize = 4096;
/// The table of the fences' rows, on every server.
const FENCE: (&str, &str) = ("_shardlift", "fence");
/// Of a statement in a message.
const SHOWN: usize = 300;

/// What a table id stands for.
#[derive(Debug)]
enum Bound {
    /// A table outside the set.
    Foreign,
    /// A moved table that is not decoded yet.
    Unread { database: String, table: String },
    /// A moved table, with the map event's body its plan was made of.
    Moved { database: String, raw: Vec<u8>, plan: Plan },
}

/// The transaction being read.
#[derive(Debug)]
struct Open {
    begin: Begin,
    /// Whether a BEGIN was seen: then a COMMIT or XID ends it, else the first statement does.
    begun: bool,
    xa: bool,
    changes: Vec<RowChange>,
    bytes: usize,
    /// Whether a moved table's rows were in it, delivered ones included.
    touched: bool,
    /// Whether a fence's row was written in it.
    fence: bool,
}

/// Turns events into [`SourceEvent`]s.
pub struct Assembler {
    tables: Arc<dyn Tables>,
    piece_bytes: usize,
    maps: HashMap<u64, Bound>,
    open: Option<Open>,
    place: Place,
    ready: VecDeque<SourceEvent>,
}

impl std::fmt::Debug for Assembler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Assembler({})", self.place)
    }
}

impl Assembler {
    /// Between two transactions. Pieces are cut once their changes take `piece_bytes`.
    pub fn new(tables: Arc<dyn Tables>, piece_bytes: usize) -> Self {
        let (maps, ready) = (HashMap::new(), VecDeque::new());
        Assembler { tables, piece_bytes, maps, open: None, place: Place::default(), ready }
    }
}

impl Assemble for Assembler {
    type Item = SourceEvent;

    fn take(&mut self) -> Option<SourceEvent> {
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
            kind::WRITE_ROWS => self.rows(body, Action::Insert, 2),
            kind::UPDATE_ROWS => self.rows(body, Action::Update, 2),
            kind::DELETE_ROWS => self.rows(body, Action::Delete, 2),
            kind::WRITE_ROWS_V1 => self.rows(body, Action::Insert, 1),
            kind::UPDATE_ROWS_V1 => self.rows(body, Action::Update, 1),
            kind::DELETE_ROWS_V1 => self.rows(body, Action::Delete, 1),
            kind::PARTIAL_UPDATE_ROWS => self.partial_rows(body),
            kind::XID => self.commit(),
            kind::XA_PREPARE => self.commit(),
            kind::HEARTBEAT | kind::HEARTBEAT_V2 => {
                self.ready.push_back(SourceEvent::Heartbeat);
                Ok(())
            }
            kind::FORMAT_DESCRIPTION | kind::ROTATE | kind::STOP | kind::PREVIOUS_GTIDS => {
                self.file_boundary(event.kind)
            }
            kind::INCIDENT => Err(self.incident(body)),
            kind::LOAD
            | kind::CREATE_FILE
            | kind::APPEND_BLOCK
            | kind::EXEC_LOAD
            | kind::DELETE_FILE
            | kind::NEW_LOAD
            | kind::BEGIN_LOAD_QUERY
            | kind::EXECUTE_LOAD_QUERY => Err(self.statement_dml(b"LOAD DATA")),
            // Parts of statements, which follow and are judged by themselves; comments; group replication's bookkeeping.
            kind::INTVAR
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

impl Assembler {
    fn begin(&mut self, begin: Result<Begin, Malformed>) -> Result<(), BinlogError> {
        let begin = self.read(begin)?;
        if self.open.is_some() {
            return Err(self.malformed("a transaction begins within another"));
        }
        if self.maps.len() > MAX_MAPS {
            self.maps.clear();
        }
        self.place = Place(Some(begin.gtid.clone()));
        let (changes, bytes) = (Vec::new(), 0);
        self.open = Some(Open { begin, begun: false, xa: false, changes, bytes, touched: false, fence: false });
        Ok(())
    }

    fn query(&mut self, body: &[u8]) -> Result<(), BinlogError> {
        let query = self.read(Query::parse(body))?;
        let statement = query.classify();
        let Some(open) = &mut self.open else {
            return Err(self.malformed("a statement stands outside any transaction"));
        };
        match statement {
            Statement::Begin => open.begun = true,
            Statement::XaStart => (open.begun, open.xa) = (true, true),
            Statement::XaEnd | Statement::Savepoint => {}
            Statement::Commit => return self.commit(),
            Statement::Rollback | Statement::RollbackTo if open.touched => {
                let statement = shown(query.statement);
                return Err(BinlogError::RolledBack { place: self.place.clone(), statement });
            }
            Statement::Rollback => return self.commit(),
            Statement::RollbackTo => {}
            // What it ends was met at its XA PREPARE, where rows of a moved table, decoded yet or not, stopped the stream; or
            // it was prepared before the stream's first position, and then the copy has waited for its end.
            Statement::XaFinish => return self.commit(),
            Statement::XaOther => return Err(self.xa(format!("statement {}", shown(query.statement)))),
            Statement::Dml => return Err(self.statement_dml(query.statement)),
            Statement::Ddl { scope, starts_transaction } => {
                let begun = open.begun;
                open.begun |= starts_transaction;
                let ddl = Ddl {
                    gtid: open.begin.gtid.clone(),
                    committed_us: open.begin.committed_us,
                    length: open.begin.length,
                    database: String::from_utf8_lossy(query.database).into_owned(),
                    statement: String::from_utf8_lossy(query.statement).into_owned(),
                    sql_mode: query.sql_mode,
                    scope,
                    last: !begun && !starts_transaction,
                };
                if ddl.last {
                    self.open = None;
                } else {
                    self.deliver(false);
                }
                self.ready.push_back(SourceEvent::Ddl(ddl));
            }
        }
        Ok(())
    }

    fn table_map(&mut self, body: &[u8]) -> Result<(), BinlogError> {
        let map = self.read(TableMap::parse(body))?;
        if (map.database, map.table) == FENCE
            && let Some(open) = &mut self.open
        {
            open.fence = true;
        }
        let Some(table) = self.tables.table(map.database, map.table) else {
            let (database, table) = (map.database, map.table);
            let bound = match self.tables.is_moved(database, table) {
                true => Bound::Unread { database: database.to_owned(), table: table.to_owned() },
                false => Bound::Foreign,
            };
            self.maps.insert(map.id, bound);
            return Ok(());
        };
        // Table ids are reused as long as the server keeps the table open: most maps repeat an earlier one.
        if let Some(Bound::Moved { raw, plan, .. }) = self.maps.get(&map.id)
            && Arc::ptr_eq(&plan.table, &table)
            && raw == body
        {
            return Ok(());
        }
        let plan = self.plan(&map, table)?;
        let database = map.database.to_owned();
        self.maps.insert(map.id, Bound::Moved { database, raw: body.to_vec(), plan });
        Ok(())
    }

    fn plan(&self, map: &TableMap<'_>, table: Arc<TableDef>) -> Result<Plan, BinlogError> {
        let columns = self.read(map.columns())?;
        Plan::new(table, &columns).map_err(|why| BinlogError::SchemaDrift {
            place: self.place.clone(),
            database: map.database.to_owned(),
            table: map.table.to_owned(),
            why,
        })
    }

    fn rows(&mut self, body: &[u8], action: Action, version: u8) -> Result<(), BinlogError> {
        let Assembler { open, maps, place, piece_bytes, .. } = self;
        let read = |error| BinlogError::malformed(place, error);
        let head = RowsHead::parse(body, version).map_err(read)?;
        let Some(open) = open else { return Err(self.malformed("rows stand outside any transaction")) };
        let (database, plan) = match maps.get(&head.table_id) {
            Some(Bound::Unread { database, table }) if open.xa => {
                let what = format!("with rows of {database}.{table}");
                return Err(self.xa(what));
            }
            Some(Bound::Foreign | Bound::Unread { .. }) => return Ok(()),
            Some(Bound::Moved { database, plan, .. }) => (database, plan),
            None => return Err(self.malformed("rows of a table that no table map announced")),
        };
        if open.xa {
            let what = format!("with rows of {database}.{}", plan.table.name);
            return Err(self.xa(what));
        }
        if plan.table.cascades && action != Action::Insert && !head.cascades_logged {
            return Err(BinlogError::UnloggedCascade {
                place: place.clone(),
                database: database.clone(),
                table: plan.table.name.to_string(),
            });
        }
        open.touched = true;
        let Open { changes, bytes, .. } = open;
        let decoded = head.decode(action, plan, |change| {
            *bytes += change.size() + size_of::<RowChange>();
            changes.push(change);
        });
        decoded.map_err(|error| match error {
            RowsError::Malformed(error) => read(error),
            RowsError::Partial => BinlogError::PartialImage {
                place: place.clone(),
                database: database.clone(),
                table: plan.table.name.to_string(),
            },
        })?;
        if open.bytes >= *piece_bytes {
            self.deliver(false);
        }
        Ok(())
    }

    fn partial_rows(&mut self, body: &[u8]) -> Result<(), BinlogError> {
        let head = self.read(RowsHead::parse(body, 2))?;
        match self.maps.get(&head.table_id) {
            Some(Bound::Unread { database, table }) if self.open.as_ref().is_some_and(|open| open.xa) => {
                Err(self.xa(format!("with rows of {database}.{table}")))
            }
            Some(Bound::Foreign | Bound::Unread { .. }) => Ok(()),
            Some(Bound::Moved { database, plan, .. }) => Err(BinlogError::PartialImage {
                place: self.place.clone(),
                database: database.clone(),
                table: plan.table.name.to_string(),
            }),
            None => Err(self.malformed("rows of a table that no table map announced")),
        }
    }

    /// Ends the transaction.
    fn commit(&mut self) -> Result<(), BinlogError> {
        if self.open.is_none() {
            return Err(self.malformed("a commit stands outside any transaction"));
        }
        self.deliver(true);
        Ok(())
    }

    /// Hands out what was gathered of the open transaction; nothing but its end where nothing was.
    fn deliver(&mut self, last: bool) {
        let Some(open) = &mut self.open else { return };
        let changes = std::mem::take(&mut open.changes);
        open.bytes = 0;
        if last || !changes.is_empty() {
            let Begin { gtid, committed_us, length } = open.begin.clone();
            let fence = open.fence;
            self.ready.push_back(SourceEvent::Txn(Txn { gtid, committed_us, length, changes, last, fence }));
        }
        if last {
            self.open = None;
        }
    }

    /// A new file: table ids start over where the server restarted.
    fn file_boundary(&mut self, event: u8) -> Result<(), BinlogError> {
        if self.open.is_some() {
            return Err(self.malformed("a binlog file ends within a transaction"));
        }
        if event != kind::PREVIOUS_GTIDS {
            self.maps.clear();
        }
        Ok(())
    }

    fn incident(&self, body: &[u8]) -> BinlogError {
        let mut cursor = Cursor::new(body);
        let message = cursor.take(3).ok().and_then(|head| cursor.take(usize::from(head[2])).ok()).unwrap_or_default();
        BinlogError::Incident { place: self.place.clone(), message: shown(message) }
    }

    fn read<T>(&self, result: Result<T, Malformed>) -> Result<T, BinlogError> {
        result.map_err(|error| BinlogError::malformed(&self.place, error))
    }

    fn malformed(&self, what: &'static str) -> BinlogError {
        BinlogError::malformed(&self.place, Malformed(what))
    }

    fn xa(&self, what: String) -> BinlogError {
        BinlogError::Xa { place: self.place.clone(), what }
    }

    fn statement_dml(&self, statement: &[u8]) -> BinlogError {
        BinlogError::StatementDml { place: self.place.clone(), statement: shown(statement) }
    }
}

/// The beginning of a statement, for a message.
fn shown(statement: &[u8]) -> String {
    let text = String::from_utf8_lossy(statement);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}
