//! A VSchema that was found sound, with its vindexes made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::model::vschema::{ColumnVindexSpec, TableSpec, VSchema, VindexSpec};
use crate::model::{KeyRange, KeyspaceName, NameError, TableName};
use crate::sharding::ShardMap;
use crate::sharding::vindex::{KeyValue, MapError, Vindex};

/// A keyspace's tables and how their rows are spread.
#[derive(Debug, Clone, Default)]
pub struct KeyspaceSchema {
    /// Whether rows are spread by vindexes.
    pub sharded: bool,
    /// The vindexes by name.
    pub vindexes: BTreeMap<String, Arc<Vindex>>,
    /// The same as they are written.
    pub specs: BTreeMap<String, VindexSpec>,
    /// The tables by name. An unsharded keyspace has others besides.
    pub tables: BTreeMap<String, Table>,
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Where its rows are.
    pub placement: Placement,
    /// The column that a sequence numbers.
    pub auto_increment: Option<AutoIncrement>,
}

/// Where a table's rows are.
#[derive(Debug, Clone)]
pub enum Placement {
    /// On the keyspace's only shard.
    Unsharded,
    /// Each on the shard that has its keyspace id. The first vindex gives it; the others can tell it too.
    Sharded(Vec<ColumnVindex>),
    /// All on the shard that has this keyspace id.
    Pinned(Vec<u8>),
    /// All on every shard.
    Reference {
        /// The table it is filled from, if it is.
        source: Option<TableRef>,
    },
    /// A sequence: one row on the keyspace's only shard.
    Sequence,
}

/// A vindex over a table's columns.
#[derive(Debug, Clone)]
pub struct ColumnVindex {
    /// Its name.
    pub name: String,
    /// What it computes.
    pub vindex: Arc<Vindex>,
    /// The columns, in its order.
    pub columns: Vec<String>,
}

/// A column that a sequence numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoIncrement {
    /// The column.
    pub column: String,
    /// The sequence.
    pub sequence: TableRef,
}

/// `keyspace.table`, or `table` of whichever keyspace has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRef {
    /// The keyspace, if said.
    pub keyspace: Option<KeyspaceName>,
    /// The table.
    pub table: TableName,
}

impl FromStr for TableRef {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('.') {
            None => Ok(Self { keyspace: None, table: text.parse()? }),
            Some((_, rest)) if rest.contains('.') => {
                Err(NameError { what: "table", text: text.into(), why: "expected <keyspace>.<table> or <table>" })
            }
            Some((keyspace, table)) => Ok(Self { keyspace: Some(keyspace.parse()?), table: table.parse()? }),
        }
    }
}

impl fmt::Display for TableRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.keyspace {
            Some(keyspace) => write!(f, "{keyspace}.{}", self.table),
            None => write!(f, "{}", self.table),
        }
    }
}

impl ColumnVindex {
    /// The keyspace id of rows with these values.
    pub fn keyspace_id(&self, values: &[KeyValue<'_>]) -> Result<Vec<u8>, MapError> {
        let mut id = Vec::with_capacity(8);
        self.vindex.keyspace_id(values, &mut id)?;
        Ok(id)
    }

    /// The places in `shards` of rows whose first columns have these values: all columns, and it is one shard; fewer, and
    /// it is those that the ids' common beginning leaves.
    pub fn shards(&self, values: &[KeyValue<'_>], shards: &ShardMap) -> Result<std::ops::Range<usize>, MapError> {
        if values.len() == self.vindex.columns() {
            let id = self.keyspace_id(values)?;
            return Ok(shards.find(&id).map_or(0..0, |place| place..place + 1));
        }
        let mut prefix = Vec::with_capacity(8);
        self.vindex.prefix(values, &mut prefix)?;
        Ok(shards.within(&KeyRange::with_prefix(&prefix)))
    }
}

impl Table {
    /// The vindex that says where a row is.
    pub fn primary_vindex(&self) -> Option<&ColumnVindex> {
        match &self.placement {
            Placement::Sharded(vindexes) => vindexes.first(),
            _ => None,
        }
    }
}

impl KeyspaceSchema {
    /// Checks a VSchema by itself, as Vitess's `buildTables` does, and names all that is wrong with it.
    pub fn new(vschema: &VSchema) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let mut vindexes = BTreeMap::new();
        for (name, spec) in &vschema.vindexes {
            if !spec.owner.is_empty() {
                wrong.push(format!("vindex {name}: only lookup vindexes have an owner"));
            }
            match Vindex::new(&spec.vindex_type, &spec.params) {
                Ok(vindex) => drop(vindexes.insert(name.clone(), Arc::new(vindex))),
                Err(error) => wrong.push(format!("vindex {name}: {error}")),
            }
        }
        let mut tables = BTreeMap::new();
        for (name, spec) in &vschema.tables {
            if let Err(error) = name.parse::<TableName>() {
                wrong.push(error.to_string());
            }
            let mut say = |why: String| wrong.push(format!("table {name}: {why}"));
            check_columns(spec, &mut say);
            let auto_increment = auto_increment(spec, &mut say);
            if let Some(placement) = placement(vschema, spec, &vindexes, &mut say) {
                tables.insert(name.clone(), Table { placement, auto_increment });
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self { sharded: vschema.sharded, vindexes, specs: vschema.vindexes.clone(), tables })
    }
}

fn check_columns(spec: &TableSpec, say: &mut impl FnMut(String)) {
    let mut seen = BTreeSet::new();
    for column in &spec.columns {
        if column.name.is_empty() {
            say("one of its columns has no name".into());
        } else if !seen.insert(column.name.to_ascii_lowercase()) {
            say(format!("column {} is listed twice", column.name));
        }
    }
}

fn auto_increment(spec: &TableSpec, say: &mut impl FnMut(String)) -> Option<AutoIncrement> {
    let given = spec.auto_increment.as_ref()?;
    if given.column.is_empty() {
        say("auto_increment names no column".into());
    }
    let sequence = given.sequence.parse().map_err(|error| say(format!("auto_increment, sequence: {error}"))).ok()?;
    Some(AutoIncrement { column: given.column.clone(), sequence })
}

fn placement(
    vschema: &VSchema,
    spec: &TableSpec,
    vindexes: &BTreeMap<String, Arc<Vindex>>,
    say: &mut impl FnMut(String),
) -> Option<Placement> {
    let reference = spec.table_type == "reference";
    if !spec.source.is_empty() && !reference {
        say("only a reference table has a source".into());
    }
    let with_vindexes = !spec.column_vindexes.is_empty();
    if with_vindexes && (reference || spec.table_type == "sequence" || !spec.pinned.is_empty()) {
        say("it has vindexes, and all its rows are in one place without them".into());
    }
    let pinned = (!spec.pinned.is_empty()).then(|| match unhex(&spec.pinned) {
        Some(id) => Some(id),
        None => {
            say(format!("pinned: `{}` is no keyspace id in hexadecimal", spec.pinned));
            None
        }
    });
    match spec.table_type.as_str() {
        "reference" if pinned.is_some() => {
            say("a reference table is on every shard and cannot be pinned to one".into());
            None
        }
        "reference" => {
            let source = (!spec.source.is_empty()).then(|| spec.source.parse::<TableRef>());
            match source.transpose() {
                Ok(source) => Some(Placement::Reference { source }),
                Err(error) => {
                    say(format!("source: {error}"));
                    None
                }
            }
        }
        "sequence" if vschema.sharded => {
            say("a sequence must be in an unsharded keyspace".into());
            None
        }
        "sequence" => Some(Placement::Sequence),
        "" if !vschema.sharded => Some(Placement::Unsharded),
        "" => match pinned {
            Some(id) => id.map(Placement::Pinned),
            None => column_vindexes(spec, vindexes, vschema, say).map(Placement::Sharded),
        },
        other => {
            say(format!("`{other}` is no type; expected sequence, reference, or none"));
            None
        }
    }
}

fn column_vindexes(
    spec: &TableSpec,
    vindexes: &BTreeMap<String, Arc<Vindex>>,
    vschema: &VSchema,
    say: &mut impl FnMut(String),
) -> Option<Vec<ColumnVindex>> {
    if spec.column_vindexes.is_empty() {
        say("it has no vindex, so that nobody can tell where its rows are; add column_vindexes, or type reference"
            .into());
        return None;
    }
    let resolve = |(place, given): (usize, &ColumnVindexSpec)| {
        let name = &given.name;
        if !vschema.vindexes.contains_key(name) {
            say(format!("vindex `{name}` is not among the VSchema's vindexes"));
            return None;
        }
        let named = (given.column.is_empty(), given.columns.is_empty());
        if named == (false, false) || named == (true, true) {
            say(format!("vindex {name}: name either column or columns"));
            return None;
        }
        // One that cannot be made was named already.
        let vindex = vindexes.get(name)?.clone();
        let columns = given.column_names().to_vec();
        if columns.len() != vindex.columns() {
            say(format!("vindex {name} is over {} columns, and {} are named", vindex.columns(), columns.len()));
            return None;
        }
        let distinct: BTreeSet<String> = columns.iter().map(|column| column.to_ascii_lowercase()).collect();
        if distinct.len() != columns.len() || distinct.contains("") {
            say(format!("vindex {name}: its columns must be different ones"));
            return None;
        }
        if place > 0 && columns.len() > 1 {
            say(format!("vindex {name} is over several columns, so it must be the first one"));
            return None;
        }
        if spec.column_list_authoritative
            && let Some(unknown) =
                columns.iter().find(|wanted| !spec.columns.iter().any(|c| c.name.eq_ignore_ascii_case(wanted)))
        {
            say(format!("vindex {name}: column {unknown} is not in the list of columns, which is said to be complete"));
            return None;
        }
        Some(ColumnVindex { name: name.clone(), vindex, columns })
    };
    spec.column_vindexes.iter().enumerate().map(resolve).collect()
}

/// Bytes from hexadecimal digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}
