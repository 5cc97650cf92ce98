//! Statements on a keyspace whose rows are spread over shards.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::{Destination, Keyspace, Refusal, Route, Router, Several, Statement, Stop, permit, tablets};
use crate::gateway::plan::bind::{Answer, Parts, edits};
use crate::gateway::plan::cache::Plans;
use crate::gateway::plan::{self, Bound, Catalog, Plan, TableColumns, Text, Values, Work};
use crate::gateway::sql::{Dml, Kind, TableRef};
use crate::gateway::view::Serving;
use crate::model::KeyspaceName;
use crate::sharding::ShardMap;
use crate::sharding::vschema::{KeyspaceSchema, TableRef as Sequence};

/// A table's columns, if they were read.
pub type Columns<'a> = &'a dyn Fn(&KeyspaceName, &str) -> Option<Arc<TableColumns>>;

/// What decisions on spread rows rest on besides.
#[derive(Clone, Copy)]
pub struct Spreading<'a> {
    /// Plans made before.
    pub plans: &'a Plans,
    /// The columns of tables.
    pub columns: Columns<'a>,
    /// The values of parameters, where the statement is executed.
    pub bound: Option<Bound<'a>>,
    /// Whether its texts are in UTF-8.
    pub utf8: bool,
    /// What sequences have given to its rows.
    pub given: &'a [Option<i128>],
    /// It is not run, only asked what its answer looks like: any shard can tell.
    pub asked: bool,
}

impl fmt::Debug for Spreading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plans: _, columns: _, bound, utf8, given, asked } = self;
        let mut shown = f.debug_struct("Spreading");
        // Values are the user's.
        shown.field("bound", &bound.map(<[_]>::len)).field("utf8", utf8).field("given", given).field("asked", asked);
        shown.finish_non_exhaustive()
    }
}

/// Rows that a sequence has to number before their shards can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The sequence.
    pub sequence: Sequence,
    /// For each row whether it lacks a number.
    pub rows: Vec<bool>,
}

impl<'a> Router<'a> {
    /// The keyspace whose shards have to be looked at one by one for a statement, if there is one.
    pub fn spread_keyspace(&self, statement: &Statement) -> Option<&'a Keyspace> {
        if !self.view.spreads || permit::without_rows(statement) {
            return None;
        }
        let there = match self.place(statement).ok()? {
            Some(there) => Some(there),
            None => self.session_keyspace().ok()?,
        };
        there.filter(|keyspace| self.is_spread(keyspace, statement))
    }

    fn is_spread(&self, keyspace: &Keyspace, statement: &Statement) -> bool {
        let named = self.target.shard.is_some() && self.target.keyspace.as_ref() == Some(&keyspace.name);
        match keyspace.spread.get(&self.target.tablet_type) {
            None => false,
            Some(Ok(map)) if map.shards().len() == 1 => !named && is_insert(statement),
            Some(_) => !named,
        }
    }

    /// Where a statement on a spread keyspace goes; `None`: the keyspace is not spread, or it is about no rows.
    pub(super) fn spread(
        &self,
        keyspace: &'a Keyspace,
        statement: &Statement,
        sql: &[u8],
    ) -> Option<Result<Destination, Refusal>> {
        let spreading = self.spreading.as_ref()?;
        if !self.is_spread(keyspace, statement) || permit::without_rows(statement) {
            return None;
        }
        let decided = self.decide(spreading, keyspace, statement, sql);
        // One shard takes whatever is not understood here.
        let whole = matches!(keyspace.spread.get(&self.target.tablet_type), Some(Ok(map)) if map.shards().len() == 1);
        Some(decided).filter(|decided| decided.is_ok() || !whole)
    }

    /// The rows of an INSERT that a sequence has to number.
    pub fn wanted(&self, statement: &Statement, sql: &[u8]) -> Result<Option<Wanted>, Refusal> {
        let (Some(spreading), Some(keyspace)) = (&self.spreading, self.spread_keyspace(statement)) else {
            return Ok(None);
        };
        // Why it cannot be planned is said when it is sent.
        let Ok((text, plan, _)) = self.planned(spreading, keyspace, statement, sql) else { return Ok(None) };
        let Work::Insert(insert) = &plan.work else { return Ok(None) };
        let Some(numbered) = &insert.numbered else { return Ok(None) };
        let values = Values { text: &text, bound: spreading.bound, utf8: spreading.utf8 };
        let Some(rows) = insert.lacking(&values).filter(|rows| rows.contains(&true)) else { return Ok(None) };
        Ok(Some(Wanted { sequence: numbered.sequence.clone(), rows }))
    }

    fn planned<'t>(
        &self,
        spreading: &Spreading<'_>,
        keyspace: &'a Keyspace,
        statement: &Statement,
        sql: &'t [u8],
    ) -> Result<(Text<'t>, Arc<Plan>, &'a ShardMap), Refusal> {
        let name = &keyspace.name;
        let refuse =
            |why: &str| Refusal::unsupported(format!("keyspace {name} is sharded ({}): {why}", keyspace.shard_names()));
        let map = match keyspace.spread.get(&self.target.tablet_type) {
            Some(Ok(map)) => map,
            Some(Err(why)) => return Err(Refusal::unknown(format!("keyspace {name} is not served: {why}"))),
            None => return Err(Refusal::unknown(format!("keyspace {name} has no shards"))),
        };
        let schema: &Arc<KeyspaceSchema> = match &keyspace.vschema {
            Some(schema) if schema.sharded => schema,
            _ => {
                return Err(refuse(&format!(
                    "it has no sharded VSchema, so that nobody can tell where rows are; `shardlift vschema apply {name}`, or name the \
                     shard with `use`"
                )));
            }
        };
        if !statement.certain {
            return Err(refuse(
                "the gateway does not understand this statement well enough; write it more simply, or name the shard \
                               with `use`",
            ));
        }
        let text = Text::new(sql, self.mode);
        let mut columns: HashMap<String, Arc<TableColumns>> = HashMap::new();
        let mut used = Vec::new();
        for TableRef { table, .. } in &statement.tables {
            if !columns.contains_key(&table.text)
                && let Some(found) = (spreading.columns)(name, &table.text)
            {
                used.push(found.clone());
                columns.insert(table.text.clone(), found);
            }
        }
        let mut key = name.as_str().as_bytes().to_vec();
        key.push(0);
        key.extend_from_slice(&text.key());
        let plan = match spreading.plans.get(&key, schema, &used) {
            Some(plan) => plan,
            None => {
                let catalog = Catalog { keyspace: name.as_str(), schema, columns: &columns };
                let plan = Arc::new(plan::plan(statement, &text, &catalog).map_err(|why| refuse(&why))?);
                spreading.plans.keep(key, &plan, schema, used);
                plan
            }
        };
        Ok((text, plan, map))
    }

    fn decide(
        &self,
        spreading: &Spreading<'_>,
        keyspace: &'a Keyspace,
        statement: &Statement,
        sql: &[u8],
    ) -> Result<Destination, Refusal> {
        let (text, plan, map) = self.planned(spreading, keyspace, statement, sql)?;
        let values = Values { text: &text, bound: spreading.bound, utf8: spreading.utf8 };
        if spreading.asked {
            let route = self.at_shard(keyspace, map, 0, statement, sql)?;
            return Ok(Destination::One(Stop { route, kept: None }));
        }
        let parts = plan.bind(&values, map, spreading.given).map_err(|why| {
            Refusal::unsupported(format!("keyspace {} is sharded ({}): {why}", keyspace.name, keyspace.shard_names()))
        })?;
        let stop = |shard: usize, changes: &[plan::bind::Change]| -> Result<Stop, Refusal> {
            let route = self.at_shard(keyspace, map, shard, statement, sql)?;
            let (edits, kept) = edits(&text, changes, route.edits);
            Ok(Stop { route: Route { edits, ..route }, kept })
        };
        match parts {
            // What the answer looks like any shard can tell.
            None => Ok(Destination::One(stop(0, &[])?)),
            // The number it was given is told besides what the shard says.
            Some(Parts::One(shard, changes)) if spreading.given.iter().any(Option::is_some) => {
                let (stops, answer) = (vec![stop(shard.unwrap_or(0), &changes)?], Answer::Counts { same: false });
                Ok(Destination::Several(Several { keyspace: keyspace.name.clone(), stops, answer }))
            }
            Some(Parts::One(shard, changes)) => Ok(Destination::One(stop(shard.unwrap_or(0), &changes)?)),
            Some(Parts::Several(parts, answer)) => {
                let stops = parts.iter().map(|part| stop(part.shard, &part.changes)).collect::<Result<Vec<_>, _>>()?;
                Ok(Destination::Several(Several { keyspace: keyspace.name.clone(), stops, answer }))
            }
        }
    }

    fn at_shard(
        &self,
        keyspace: &'a Keyspace,
        map: &ShardMap,
        place: usize,
        statement: &Statement,
        sql: &[u8],
    ) -> Result<Route, Refusal> {
        let shard = map.shards().get(place).and_then(|name| keyspace.shard(name));
        let shard = shard.ok_or_else(|| Refusal::unknown(format!("keyspace {} has no such shard", keyspace.name)))?;
        let (tablet, others) = tablets::choose(shard, self.target.tablet_type, self.health, self.seed)?;
        let edits = self.edits(statement, sql, &tablet);
        Ok(Route { tablet, others, edits })
    }

    /// A shard that any question on the keyspace's tables may be put to that is not about rows.
    pub fn first_primary(keyspace: &Keyspace) -> Option<Arc<super::Tablet>> {
        match keyspace.serving(crate::model::workflow::TabletType::Primary) {
            Serving::Whole(shard) => shard.primary().cloned(),
            Serving::Sharded(shards) => shards.iter().find_map(|shard| shard.primary().cloned()),
            Serving::Nothing => None,
        }
    }
}

fn is_insert(statement: &Statement) -> bool {
    matches!(statement.kind, Kind::Dml(Dml::Insert | Dml::Replace))
}
