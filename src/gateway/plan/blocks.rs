//! Query blocks: which tables a statement reads where, which of them are joined on their own shard, and by what values.
//!
//! Every SELECT is a block. Within a block tables belong together whose keys its conditions make equal; a block within
//! another belongs to it where its conditions make a key equal to one outside. What a condition within says of values is no
//! news of the tables outside.

mod conditions;
mod group;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, ObjectName, Query, Select, SetExpr, TableAlias, TableFactor,
    TableWithJoins, Visit, Visitor,
};

use super::catalog::{Catalog, Known, Rows};
use super::keys::List;
use super::text::Text;
use super::value::Slot;
use crate::gateway::sql::TokenKind;

/// A column of a table of the statement.
pub type Node = (usize, String);

/// A table where a block names it.
#[derive(Debug)]
pub struct Occurrence {
    /// The block.
    pub block: usize,
    /// What columns are qualified with.
    pub alias: String,
    /// The table.
    pub table: Known,
    /// An outer join may have NULLs instead of its rows, and that for rows on any shard.
    pub missing: bool,
}

/// What a condition says: these columns have the values of one of these rows.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub nodes: Vec<Node>,
    pub rows: Vec<Vec<Slot>>,
    pub list: Option<List>,
}

/// A block.
#[derive(Debug, Default)]
pub struct Block {
    pub(super) parent: Option<usize>,
    /// Derived tables and the like, by their names: what columns they have is not known.
    pub(super) derived: Vec<String>,
    /// Columns that are equal in every row.
    pub(super) equal: Vec<(Node, Node)>,
    pub(super) facts: Vec<Fact>,
}

/// The blocks of a statement.
#[derive(Debug)]
pub struct Blocks<'a> {
    text: &'a Text<'a>,
    lines: &'a [usize],
    catalog: &'a Catalog<'a>,
    blocks: Vec<Block>,
    /// All tables.
    pub occurrences: Vec<Occurrence>,
    /// Why rows of an outer join would be answered more than once if several shards were asked.
    pub outer: Option<String>,
    ctes: Vec<String>,
    /// Whether conditions are read: the parser gives `||`, `&&`, XOR and `:=` another precedence than MySQL does.
    plain: bool,
}

/// The queries that stand in an expression, not those within them.
#[derive(Default)]
struct Within {
    depth: usize,
    found: Vec<Query>,
}

impl Visitor for Within {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if self.depth == 0 {
            self.found.push(query.clone());
        }
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}

/// The queries that stand in something.
pub(super) fn within(part: &impl Visit) -> Vec<Query> {
    let mut within = Within::default();
    let _ = part.visit(&mut within);
    within.found
}

/// A name as it is meant.
pub fn plain(ident: &Ident) -> String {
    match ident.quote_style {
        Some('`') => ident.value.replace("``", "`"),
        _ => ident.value.clone(),
    }
}

impl<'a> Blocks<'a> {
    /// None yet.
    pub fn new(text: &'a Text<'a>, lines: &'a [usize], catalog: &'a Catalog<'a>) -> Self {
        let (blocks, occurrences, ctes) = (Vec::new(), Vec::new(), Vec::new());
        let doubled = |at: usize, symbol| text.is_symbol(at, symbol) && text.is_symbol(at + 1, symbol);
        let plain = !text.tokens.iter().enumerate().any(|(at, token)| {
            token.kind == TokenKind::Assign || text.is(at, "XOR") || doubled(at, b'|') || doubled(at, b'&')
        });
        Self { text, lines, catalog, blocks, occurrences, outer: None, ctes, plain }
    }

    /// The token at the beginning of a line of the parser's.
    pub fn token(&self, line: u64) -> Option<usize> {
        self.lines.get(usize::try_from(line).ok()?.checked_sub(1)?).copied()
    }

    /// Takes in a query; its own blocks.
    pub fn query(&mut self, query: &Query, parent: Option<usize>) -> Result<Vec<usize>, String> {
        let known = self.ctes.len();
        if let Some(with) = &query.with {
            for cte in &with.cte_tables {
                if with.recursive {
                    self.ctes.push(plain(&cte.alias.name));
                }
                self.query(&cte.query, None)?;
                self.ctes.push(plain(&cte.alias.name));
            }
        }
        let blocks = self.body(&query.body, parent)?;
        if let (Some(order), Some(block)) = (&query.order_by, blocks.first()) {
            self.inner(order, *block)?;
        }
        self.ctes.truncate(known);
        Ok(blocks)
    }

    fn body(&mut self, body: &SetExpr, parent: Option<usize>) -> Result<Vec<usize>, String> {
        match body {
            SetExpr::Select(select) => Ok(vec![self.select(select, parent)?]),
            SetExpr::Query(query) => self.query(query, parent),
            SetExpr::SetOperation { left, right, .. } => {
                let mut blocks = self.body(left, parent)?;
                blocks.extend(self.body(right, parent)?);
                Ok(blocks)
            }
            SetExpr::Values(values) => {
                let block = self.block(parent);
                for row in &values.rows {
                    for value in &row.content {
                        self.inner(value, block)?;
                    }
                }
                Ok(vec![block])
            }
            _ => Err("a query of this form is not spread over shards".into()),
        }
    }

    fn block(&mut self, parent: Option<usize>) -> usize {
        self.blocks.push(Block { parent, ..Block::default() });
        self.blocks.len() - 1
    }

    fn select(&mut self, select: &Select, parent: Option<usize>) -> Result<usize, String> {
        let block = self.block(parent);
        for tables in &select.from {
            self.tables(tables, block)?;
        }
        if let Some(condition) = &select.selection {
            self.condition(condition, block, true)?;
        }
        self.inner(&select.projection, block)?;
        self.inner(&select.group_by, block)?;
        if let Some(having) = &select.having {
            self.inner(having, block)?;
        }
        Ok(block)
    }

    /// A block for a statement that is no query.
    pub fn statement(&mut self, tables: &[&TableWithJoins], condition: Option<&Expr>) -> Result<usize, String> {
        let block = self.block(None);
        for tables in tables {
            self.tables(tables, block)?;
        }
        if let Some(condition) = condition {
            self.condition(condition, block, true)?;
        }
        Ok(block)
    }

    /// Takes in the queries that stand in a part of a block.
    pub fn inner(&mut self, part: &impl Visit, block: usize) -> Result<(), String> {
        for query in within(part) {
            self.query(&query, Some(block))?;
        }
        Ok(())
    }

    fn tables(&mut self, tables: &TableWithJoins, block: usize) -> Result<(), String> {
        let (first, begin) = (self.occurrences.len(), self.facts(block));
        self.factor(&tables.relation, block)?;
        for join in &tables.joins {
            let (second, before) = (self.occurrences.len(), self.facts(block));
            self.factor(&join.relation, block)?;
            use JoinOperator as Op;
            let (constraint, inner) = match &join.join_operator {
                Op::Join(on) | Op::Inner(on) | Op::CrossJoin(on) | Op::StraightJoin(on) => (on, true),
                Op::Left(on) | Op::LeftOuter(on) => {
                    self.check_outer(first..second, second..self.occurrences.len());
                    self.forget(block, before..self.facts(block));
                    self.miss(second..self.occurrences.len());
                    (on, false)
                }
                Op::Right(on) | Op::RightOuter(on) => {
                    self.check_outer(second..self.occurrences.len(), first..second);
                    self.forget(block, begin..before);
                    self.miss(first..second);
                    (on, false)
                }
                _ => return Err("a join of this form is not spread over shards".into()),
            };
            match constraint {
                JoinConstraint::On(condition) => self.condition(condition, block, inner)?,
                JoinConstraint::Using(columns) => {
                    for column in columns {
                        self.using(column, first..second, second..self.occurrences.len(), block);
                    }
                }
                JoinConstraint::Natural | JoinConstraint::None => {}
            }
        }
        Ok(())
    }

    fn facts(&self, block: usize) -> usize {
        self.blocks.get(block).map_or(0, |block| block.facts.len())
    }

    /// What is known of the side of an outer join that may be missing is not known of the other.
    fn forget(&mut self, block: usize, facts: std::ops::Range<usize>) {
        if let Some(block) = self.blocks.get_mut(block) {
            block.facts.drain(facts);
        }
    }

    /// These tables' rows may be missing.
    fn miss(&mut self, tables: std::ops::Range<usize>) {
        self.occurrences.get_mut(tables).unwrap_or_default().iter_mut().for_each(|table| table.missing = true);
    }

    /// Where the side that is kept is on every shard and the other is not, every shard keeps it.
    fn check_outer(&mut self, kept: std::ops::Range<usize>, other: std::ops::Range<usize>) {
        let spread = |range: std::ops::Range<usize>| {
            range
                .filter_map(|at| self.occurrences.get(at))
                .any(|table| !matches!(table.table.rows, Rows::Everywhere(_)))
        };
        if !spread(kept) && spread(other) {
            self.outer = Some("an outer join keeps rows of a reference table, which every shard would answer".into());
        }
    }

    fn using(
        &mut self,
        column: &ObjectName,
        left: std::ops::Range<usize>,
        right: std::ops::Range<usize>,
        block: usize,
    ) {
        let Some(name) = column.0.last().and_then(|part| part.as_ident()).map(plain) else { return };
        let having = |range: std::ops::Range<usize>| -> Vec<usize> {
            let has = |at: &usize| self.occurrences.get(*at).is_some_and(|one| one.table.columns.find(&name).is_some());
            range.filter(has).collect()
        };
        if let ([left], [right]) = (having(left).as_slice(), having(right).as_slice()) {
            let lower = name.to_lowercase();
            if let Some(block) = self.blocks.get_mut(block) {
                block.equal.push(((*left, lower.clone()), (*right, lower)));
            }
        }
    }

    fn factor(&mut self, factor: &TableFactor, block: usize) -> Result<(), String> {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => self.table(name, alias.as_ref(), block),
            TableFactor::Derived { subquery, alias, lateral, .. } => {
                self.query(subquery, lateral.then_some(block))?;
                self.derive(alias.as_ref(), block);
                Ok(())
            }
            TableFactor::NestedJoin { table_with_joins, .. } => self.tables(table_with_joins, block),
            TableFactor::JsonTable { alias, .. } => {
                self.derive(alias.as_ref(), block);
                Ok(())
            }
            _ => Err("a table of this form is not spread over shards".into()),
        }
    }

    fn derive(&mut self, alias: Option<&TableAlias>, block: usize) {
        if let Some(block) = self.blocks.get_mut(block) {
            block.derived.push(alias.map(|alias| plain(&alias.name)).unwrap_or_default());
        }
    }

    fn table(&mut self, name: &ObjectName, alias: Option<&TableAlias>, block: usize) -> Result<(), String> {
        let parts: Vec<String> = name.0.iter().filter_map(|part| part.as_ident()).map(plain).collect();
        let Some(table) = parts.last() else { return Err("a table has no name".into()) };
        if parts.len() == 1 && self.ctes.contains(table) {
            let named = alias.map_or_else(|| table.clone(), |alias| plain(&alias.name));
            if let Some(block) = self.blocks.get_mut(block) {
                block.derived.push(named);
            }
            return Ok(());
        }
        if parts.first().is_some_and(|database| parts.len() > 1 && crate::gateway::view::is_system_schema(database)) {
            return Err("tables of a server's own schemas are not joined with those of shards".into());
        }
        if parts.len() == 1 && table.eq_ignore_ascii_case("dual") {
            return Ok(());
        }
        let known = self.catalog.table(table)?;
        let alias = alias.map_or_else(|| table.clone(), |alias| plain(&alias.name));
        self.occurrences.push(Occurrence { block, alias, table: known, missing: false });
        Ok(())
    }

    /// The tables of a block that may have rows on several shards.
    pub fn spread_in(&self, block: usize) -> impl Iterator<Item = usize> {
        let own = self.occurrences.iter().enumerate();
        own.filter(move |(_, one)| one.block == block && !matches!(one.table.rows, Rows::Everywhere(_)))
            .map(|(at, _)| at)
    }

    /// Whether it reads from queries within its FROM.
    pub fn has_derived(&self, block: usize) -> bool {
        self.blocks.get(block).is_none_or(|block| !block.derived.is_empty())
    }

    /// The names of tables, each once.
    pub(super) fn names(&self, tables: &[usize]) -> String {
        let names: BTreeSet<&str> =
            tables.iter().filter_map(|at| self.occurrences.get(*at)).map(|one| one.table.name.as_str()).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    }
}
