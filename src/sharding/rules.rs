//! Routing rules: which keyspace a table's traffic goes to, whatever keyspace the statement says.
//!
//! Semantics are Vitess's (`VSchema.FindRoutedTable`, `buildRoutingRule`): a table is looked up as `keyspace.table`, or as
//! `table` where the session has no keyspace; the form with `@type` wins over the one without; what a rule leads to is not
//! looked up again. Stricter than Vitess: a rule neither disables nor renames a table, and is refused when applied instead
//! of when used.
//!
//! Invariant: a table of which two sets say different things, or of which a set cannot be read, has no answer but an
//! error: it is never sent to where it used to be.

mod expand;
mod operator;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use self::expand::expand;
pub use self::operator::{OperatorPlan, plan_operator_rules};
use crate::model::routing::{RoutingRule, RuleSet, TableMove};
use crate::model::workflow::TabletType;
use crate::model::{KeyspaceName, NameError, TableName};

/// Why rules are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The document is not of Vitess's form.
    #[error(
        "not a routing rules document: {0}; expected {{\"rules\":[{{\"from_table\":\"…\",\"to_tables\":[\"…\"]}}]}}"
    )]
    Document(String),
    /// One rule is wrong.
    #[error("routing rule from `{from_table}`: {why}")]
    Rule {
        /// Its `from_table`.
        from_table: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// Rules name keyspaces that do not exist.
    #[error("routing rules name unknown keyspaces: {0}; add them first, or correct the names")]
    UnknownKeyspaces(String),
}

/// The left side of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FromTable {
    /// The keyspace the statement means; `None` where neither it nor the session says.
    pub keyspace: Option<KeyspaceName>,
    /// The table.
    pub table: TableName,
    /// The type of traffic; `None` for all that have no rule of their own.
    pub tablet_type: Option<TabletType>,
}

impl FromStr for FromTable {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (place, tablet_type) = match text.rsplit_once('@') {
            None => (text, None),
            Some((place, "primary")) => (place, Some(TabletType::Primary)),
            Some((place, "replica")) => (place, Some(TabletType::Replica)),
            Some((place, "rdonly")) => (place, Some(TabletType::Rdonly)),
            Some(_) => return Err(bad_name(text, "what follows the `@` must be primary, replica or rdonly")),
        };
        let (keyspace, table) = split(place)?;
        Ok(Self { keyspace, table, tablet_type })
    }
}

impl fmt::Display for FromTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(keyspace) = &self.keyspace {
            write!(f, "{keyspace}.")?;
        }
        write!(f, "{}", self.table)?;
        match self.tablet_type {
            None => Ok(()),
            Some(TabletType::Primary) => f.write_str("@primary"),
            Some(TabletType::Replica) => f.write_str("@replica"),
            Some(TabletType::Rdonly) => f.write_str("@rdonly"),
        }
    }
}

fn bad_name(text: &str, why: &'static str) -> NameError {
    NameError { what: "table", text: text.into(), why }
}

/// `keyspace.table` or `table`. As in Vitess neither name may contain a dot.
fn split(text: &str) -> Result<(Option<KeyspaceName>, TableName), NameError> {
    match text.split_once('.') {
        None => Ok((None, text.parse()?)),
        Some((_, rest)) if rest.contains('.') => Err(bad_name(text, "a rule's names cannot contain dots")),
        Some((keyspace, table)) => Ok((Some(keyspace.parse()?), table.parse()?)),
    }
}

/// A checked rule. The table keeps its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it applies to.
    pub from: FromTable,
    /// The keyspace it leads to.
    pub to: KeyspaceName,
}

impl TryFrom<&RoutingRule> for Rule {
    type Error = RuleError;

    fn try_from(rule: &RoutingRule) -> Result<Self, RuleError> {
        let wrong = |why: String| RuleError::Rule { from_table: rule.from_table.clone(), why };
        let from: FromTable = rule.from_table.parse().map_err(|e: NameError| wrong(e.to_string()))?;
        let to = match rule.to_tables.as_slice() {
            [to] => to,
            [] => return Err(wrong("to_tables is empty: switching a table off is not supported".into())),
            more => return Err(wrong(format!("to_tables must name one table, found {}", more.len()))),
        };
        match split(to).map_err(|e| wrong(e.to_string()))? {
            (None, _) => Err(wrong(format!("`{to}` must be qualified: <keyspace>.<table>"))),
            (Some(_), table) if table != from.table => Err(wrong(format!(
                "it leads to another name, `{to}`; a table must keep its name, since statements are passed on as they are"
            ))),
            (Some(keyspace), _) => Ok(Self { from, to: keyspace }),
        }
    }
}

/// Reads a document of Vitess's. Fields it does not know are refused by name.
pub fn parse(text: &str) -> Result<RuleSet, RuleError> {
    serde_json::from_str(text).map_err(|error| RuleError::Document(error.to_string()))
}

/// Checks each rule of a set.
pub fn check(set: &RuleSet) -> Result<Vec<Rule>, RuleError> {
    set.rules.iter().map(Rule::try_from).collect()
}

/// All sets of rules, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct RoutingRules {
    /// By the table's name in lower case.
    tables: HashMap<String, Vec<Entry>>,
    /// Why nothing can be told of any table: a set that cannot be read at all.
    blind: Option<String>,
    /// Whether any workflow moves tables.
    moving: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    /// The set, as the operator knows it.
    set: Arc<str>,
    /// The table's name as written in the set.
    table: TableName,
    says: Says,
}

#[derive(Debug, Clone)]
enum Says {
    Rule(Rule),
    Move(Arc<TableMove>),
    Unreadable(Arc<str>),
}

impl Entry {
    /// Where the rule with `@type` leads.
    fn typed(&self, keyspace: Option<&str>, tablet_type: TabletType) -> Option<&KeyspaceName> {
        match &self.says {
            Says::Rule(rule) if rule.from.tablet_type == Some(tablet_type) => rule.leads(keyspace),
            Says::Move(moved) if tablet_type != TabletType::Primary => {
                expand::concerns(moved, keyspace).then(|| moved.side(tablet_type))
            }
            _ => None,
        }
    }

    /// Where the rule without a type leads.
    fn plain(&self, keyspace: Option<&str>, _: TabletType) -> Option<&KeyspaceName> {
        match &self.says {
            Says::Rule(rule) if rule.from.tablet_type.is_none() => rule.leads(keyspace),
            Says::Move(moved) => expand::concerns(moved, keyspace).then(|| moved.side(TabletType::Primary)),
            _ => None,
        }
    }
}

impl Rule {
    fn leads(&self, keyspace: Option<&str>) -> Option<&KeyspaceName> {
        (self.from.keyspace.as_ref().map(KeyspaceName::as_str) == keyspace).then_some(&self.to)
    }
}

/// Lower case as far as it matters for finding a table a server without case sensitivity would take for it.
fn folded(table: &str) -> Cow<'_, str> {
    let lower = |c: char| c.is_ascii() && !c.is_ascii_uppercase();
    if table.chars().all(lower) { Cow::Borrowed(table) } else { Cow::Owned(table.to_lowercase()) }
}

impl RoutingRules {
    /// Adds an operator's rules.
    pub fn add_rules(&mut self, set: &str, rules: Vec<Rule>) {
        let set: Arc<str> = set.into();
        for rule in rules {
            self.add(&set, rule.from.table.clone(), Says::Rule(rule));
        }
    }

    /// Adds a workflow's rules.
    pub fn add_move(&mut self, set: &str, moved: &Arc<TableMove>) {
        self.moving = true;
        let set: Arc<str> = set.into();
        for table in &moved.tables {
            self.add(&set, table.clone(), Says::Move(moved.clone()));
        }
    }

    /// Notes that a set cannot be read, of which only the tables are known.
    pub fn add_unreadable(&mut self, set: &str, why: &str, tables: impl IntoIterator<Item = TableName>) {
        let (set, why): (Arc<str>, Arc<str>) = (set.into(), why.into());
        for table in tables {
            self.add(&set, table, Says::Unreadable(why.clone()));
        }
    }

    /// Notes that a set cannot be read, of which not even the tables are known: no table has an answer any more.
    pub fn set_blind(&mut self, set: &str, why: &str) {
        self.blind.get_or_insert_with(|| format!("routing rules {set} cannot be read: {why}"));
    }

    fn add(&mut self, set: &Arc<str>, table: TableName, says: Says) {
        let entry = Entry { set: set.clone(), table, says };
        self.tables.entry(folded(entry.table.as_str()).into_owned()).or_default().push(entry);
    }

    /// The keyspace that `keyspace.table`, or `table` without a keyspace, is to be sought in for this type of traffic;
    /// `None` if no rule says.
    ///
    /// A name no rule has is taken for one that differs in case: on a server that folds names it is the same table, and
    /// on one that does not it is unknown where the rule leads, which is an error and never a wrong row.
    pub fn lookup(
        &self,
        table: &str,
        keyspace: Option<&str>,
        tablet_type: TabletType,
    ) -> Result<Option<&KeyspaceName>, String> {
        if let Some(why) = &self.blind {
            return Err(why.clone());
        }
        let Some(entries) = self.tables.get(folded(table).as_ref()) else { return Ok(None) };
        let exact = entries.iter().any(|entry| entry.table.as_str() == table);
        let meant = || entries.iter().filter(move |entry| !exact || entry.table.as_str() == table);
        for entry in meant() {
            if let Says::Unreadable(why) = &entry.says {
                return Err(format!("routing rules {} for table {table} cannot be read: {why}", entry.set));
            }
        }
        for form in [Entry::typed, Entry::plain] {
            let mut said = meant().filter_map(|entry| Some((entry, form(entry, keyspace, tablet_type)?)));
            let Some((first, to)) = said.next() else { continue };
            if let Some((other, elsewhere)) = said.find(|(_, elsewhere)| *elsewhere != to) {
                return Err(format!(
                    "routing rules contradict each other about table {table}: {} leads to {to}, {} to {elsewhere}; \
                     see `shardlift rules show`",
                    first.set, other.set
                ));
            }
            return Ok(Some(to));
        }
        Ok(None)
    }

    /// Whether any rule is about a table of this name, in any case.
    pub fn mentions(&self, table: &str) -> bool {
        self.blind.is_some() || self.tables.contains_key(folded(table).as_ref())
    }

    /// Whether any workflow moves tables.
    pub fn moving(&self) -> bool {
        self.moving
    }

    /// The sets of the workflows that move a table of this name, in any case, out of `keyspace` or into it.
    pub fn movers<'a>(&'a self, table: &str, keyspace: &'a KeyspaceName) -> impl Iterator<Item = &'a str> {
        let entries = self.tables.get(folded(table).as_ref()).into_iter().flatten();
        entries.filter_map(move |entry| match &entry.says {
            Says::Move(moved) if [&moved.source, &moved.target].contains(&keyspace) => Some(&*entry.set),
            _ => None,
        })
    }

    /// Whether a workflow's set is among them.
    pub fn has_move(&self, set: &str) -> bool {
        self.tables.values().flatten().any(|entry| &*entry.set == set && matches!(entry.says, Says::Move(_)))
    }

    /// Why no table has an answer, if so.
    pub fn blind(&self) -> Option<&str> {
        self.blind.as_deref()
    }

    /// The tables rules are about.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.tables.values().flatten().map(|entry| &entry.table)
    }
}

#[cfg(test)]
mod tests;
