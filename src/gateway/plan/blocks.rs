//! Query blocks: which tables a statement reads where, which of them are joined on their own shard, and by what values.
//!
//! Every SELECT is a block. Within a block tables belong together whose keys its conditions make equal; a block within
//! another belongs to it where its conditions make a key equal to one outside. What a condition within says of values is no
//! news of the tables outside.

mod conditions;
mod group;
mod joins;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, ObjectName, Query, Select, SetExpr, TableAlias, TableFactor, TableWithJoins, Visit, Visitor,
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

/// Two columns that are equal, and compare in the same way.
#[derive(Debug)]
pub(super) struct Link {
    pub one: Node,
    pub other: Node,
    /// None: in every row, unless both are missing. Else this outer join's condition says so, of rows where `other`'s table is
    /// not missing; `one` is on the side that is kept, whose rows are there be they equal or not.
    pub join: Option<usize>,
}

/// A block.
#[derive(Debug, Default)]
pub struct Block {
    pub(super) parent: Option<usize>,
    /// Derived tables and the like, by their names: what columns they have is not known.
    pub(super) derived: Vec<String>,
    /// Columns that are equal.
    pub(super) equal: Vec<Link>,
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
    /// How many joins there were so far.
    joins: usize,
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
        Self { text, lines, catalog, blocks, occurrences, outer: None, ctes, joins: 0, plain }
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
            self.condition(condition, block, None)?;
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
            self.condition(condition, block, None)?;
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
