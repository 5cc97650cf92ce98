//! The columns a SELECT asks for.

use std::ops::Range;

use sqlparser::ast::{Expr, Select, SelectItem};

use crate::gateway::plan::blocks::{Blocks, plain};
use crate::gateway::plan::spread::Piece;
use crate::gateway::plan::text::Text;
use crate::gateway::sql::quote_identifier;

/// Words between SELECT and its columns.
const MODIFIERS: [&str; 10] = [
    "DISTINCT",
    "DISTINCTROW",
    "ALL",
    "HIGH_PRIORITY",
    "STRAIGHT_JOIN",
    "SQL_SMALL_RESULT",
    "SQL_BIG_RESULT",
    "SQL_BUFFER_RESULT",
    "SQL_NO_CACHE",
    "SQL_CALC_FOUND_ROWS",
];
/// Words that end them.
const ENDS: [&str; 9] = ["FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "FOR", "LOCK", "INTO"];

/// One column.
pub(super) struct Item<'b> {
    /// What it is; `None` for one that `*` stands for.
    pub expr: Option<&'b Expr>,
    /// Its alias.
    pub alias: Option<String>,
    /// Its text, without the alias.
    pub pieces: Vec<Piece>,
    /// The table's column, if it is one.
    pub node: Option<(usize, String)>,
}

/// All of them.
pub(super) struct Items<'b> {
    /// Each, as far as they are known: up to the first `*` of which that cannot be told.
    pub list: Vec<Item<'b>>,
    /// How many there are, if that is known.
    pub count: Option<usize>,
    /// The token behind the last one; 0 where nothing can be added.
    pub end: usize,
}

impl<'b> Items<'b> {
    /// The columns of a SELECT that is the whole statement.
    pub fn new(text: &Text<'_>, select: &'b Select, blocks: &Blocks<'_>, root: usize) -> Result<Self, String> {
        let unreadable = || "its columns cannot be told apart; write it more simply".to_owned();
        if !text.is(0, "SELECT") {
            return Err(unreadable());
        }
        let mut start = 1;
        while text.is_any(start, &MODIFIERS) {
            start += 1;
        }
        let end = text.find(start, |at| text.is_any(at, &ENDS)).unwrap_or(text.tokens.len());
        let parts = text.list(start..end);
        if parts.len() != select.projection.len() {
            return Err(unreadable());
        }
        let (mut list, mut known) = (Vec::new(), true);
        for (item, part) in select.projection.iter().zip(parts) {
            match item {
                SelectItem::UnnamedExpr(expr) if known => list.push(Item {
                    expr: Some(expr),
                    alias: None,
                    pieces: vec![Piece::Tokens(part)],
                    node: blocks.column(expr, root),
                }),
                SelectItem::ExprWithAlias { expr, alias } if known => list.push(Item {
                    expr: Some(expr),
                    alias: Some(alias_of(text, &part).unwrap_or_else(|| plain(alias))),
                    pieces: vec![Piece::Tokens(without_alias(text, part))],
                    node: blocks.column(expr, root),
                }),
                SelectItem::Wildcard(_) if known => match expanded(blocks, root) {
                    Some(columns) => list.extend(columns),
                    None => known = false,
                },
                _ => known = false,
            }
        }
        let count = known.then_some(list.len());
        Ok(Self { list, count, end })
    }

    /// The columns of a union's first SELECT.
    pub fn of_union(select: &'b Select) -> Self {
        let mut list = Vec::new();
        for item in &select.projection {
            let (expr, alias) = match item {
                SelectItem::UnnamedExpr(expr) => (expr, None),
                SelectItem::ExprWithAlias { expr, alias } => (expr, Some(plain(alias))),
                _ => return Self { list, count: None, end: 0 },
            };
            let name = match (&alias, expr) {
                (None, Expr::Identifier(name)) => Some(plain(name)),
                (None, Expr::CompoundIdentifier(parts)) => parts.last().map(plain),
                _ => None,
            };
            list.push(Item { expr: Some(expr), alias: alias.or(name), pieces: Vec::new(), node: None });
        }
        let count = Some(list.len());
        Self { list, count, end: 0 }
    }

    /// What they are.
    pub fn exprs(&self) -> Vec<&'b Expr> {
        self.list.iter().filter_map(|item| item.expr).collect()
    }

    /// The one of this alias; several of them are none.
    pub fn aliased(&self, name: &str) -> Option<usize> {
        let mut found = self
            .list
            .iter()
            .enumerate()
            .filter(|(_, item)| item.alias.as_ref().is_some_and(|alias| alias.eq_ignore_ascii_case(name)));
        let first = found.next().map(|(at, _)| at);
        if found.next().is_some() { None } else { first }
    }

    /// The one that is this column of a table.
    pub fn column(&self, node: &(usize, String)) -> Option<usize> {
        self.list.iter().position(|item| item.node.as_ref() == Some(node))
    }
}

/// The columns `*` stands for, where the statement has one table.
fn expanded<'b>(blocks: &Blocks<'_>, root: usize) -> Option<Vec<Item<'b>>> {
    let mut own = blocks.occurrences.iter().enumerate().filter(|(_, one)| one.block == root);
    let ((at, only), None) = (own.next()?, own.next()) else { return None };
    if blocks.has_derived(root) {
        return None;
    }
    let column = |column: &crate::gateway::plan::catalog::Column| {
        let mut text = quote_identifier(&only.alias);
        text.push(b'.');
        text.extend_from_slice(&quote_identifier(&column.name));
        Item { expr: None, alias: None, pieces: vec![Piece::Bytes(text)], node: Some((at, column.name.clone())) }
    };
    Some(only.table.columns.columns.iter().filter(|column| !column.invisible).map(column).collect())
}

/// The alias that an item's text ends in, as it is written.
fn alias_of(text: &Text<'_>, part: &Range<usize>) -> Option<String> {
    text.name(part.end.checked_sub(1)?)
}

fn without_alias(text: &Text<'_>, part: Range<usize>) -> Range<usize> {
    let end = part.end.saturating_sub(1);
    let end = if text.is(end.saturating_sub(1), "AS") { end - 1 } else { end };
    part.start..end
}
