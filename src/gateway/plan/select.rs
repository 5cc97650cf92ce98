//! What becomes of a SELECT that several shards answer.

mod grouped;
mod items;
mod keyed;

use sqlparser::ast::{Distinct, Expr, GroupByExpr, LimitClause, OrderByExpr, OrderByKind, Query, Select};

use super::blocks::Blocks;
use super::query::aggregates;
use super::spread::{Key, Limit, Merge, Order, Piece, Place, Spread};
use super::text::Text;
use crate::gateway::plan::catalog::Rows;

use self::items::Items;

/// A SELECT on its way to a [`Spread`].
struct Draft<'a, 'b> {
    text: &'a Text<'a>,
    blocks: &'b Blocks<'a>,
    root: usize,
    items: Items<'b>,
    hidden: Vec<Vec<Piece>>,
    cacheable: bool,
}

/// Whether each row of it comes from one row of its tables' join.
pub(super) fn is_rowwise(select: &Select) -> bool {
    let plain = select.distinct.as_ref().is_none_or(|distinct| matches!(distinct, Distinct::All));
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, with) if by.is_empty() && with.is_empty());
    let found = aggregates(&select.projection);
    let having = select.having.as_ref().map(|having| aggregates(having).found);
    plain && !grouped && !found.found && !found.windows && having != Some(true)
}

/// How several shards' answers become one.
pub(super) fn spread(
    text: &Text<'_>,
    query: &Query,
    select: &Select,
    blocks: &Blocks<'_>,
    root: usize,
    cacheable: &mut bool,
) -> Result<Spread, String> {
    if query.with.is_some() {
        return Err("WITH is not spread over shards".into());
    }
    let items = Items::new(text, select, blocks, root)?;
    let mut draft = Draft { text, blocks, root, items, hidden: Vec::new(), cacheable: true };
    let GroupByExpr::Expressions(by, with) = &select.group_by else { return Err("GROUP BY ALL is not MySQL's".into()) };
    if !with.is_empty() {
        return Err("WITH ROLLUP is not spread over shards".into());
    }
    let order = order_by(query)?;
    let mut found = aggregates(&select.projection);
    for item in order {
        let more = aggregates(&item.expr);
        (found.found, found.windows) = (found.found || more.found, found.windows || more.windows);
    }
    if let Some(having) = &select.having {
        let more = aggregates(having);
        (found.found, found.windows) = (found.found || more.found, found.windows || more.windows);
    }
    if found.windows {
        return Err("window functions look at rows of other shards".into());
    }
    let distinct = match &select.distinct {
        None | Some(Distinct::All) => false,
        Some(Distinct::Distinct) => true,
        Some(Distinct::On(_)) => return Err("DISTINCT ON is not MySQL's".into()),
    };
    // Groups whose rows are all on one shard are that shard's to make.
    let whole = !by.is_empty() && draft.has_key(by.iter(), false);
    let merge = if (found.found || !by.is_empty()) && !whole {
        if distinct {
            return Err("DISTINCT of groups is not spread over shards".into());
        }
        if select.having.is_some() {
            return Err("HAVING is asked of groups whose rows are on several shards; group by the sharding column, or sift the \
                        groups in the application"
                .into());
        }
        draft.grouped(by, order)?
    } else {
        let shown = draft.items.exprs();
        let once = distinct;
        let distinct = match distinct && !draft.has_key(shown.into_iter(), false) {
            true => Some(draft.distinct()?),
            false => None,
        };
        let order = order.iter().map(|item| draft.order(item, once || whole)).collect::<Result<_, _>>()?;
        Merge::Rows { order, distinct }
    };
    let pushed = matches!(merge, Merge::Rows { .. });
    let limit = draft.limit(query, pushed)?;
    let (behind, tail) = (draft.items.end, tail(text, 0));
    *cacheable &= draft.cacheable;
    Ok(Spread { hidden: draft.hidden, behind, merge, limit, tail })
}

/// The same for a union of SELECTs that give their rows one by one.
pub(super) fn union_spread(
    text: &Text<'_>,
    query: &Query,
    blocks: &Blocks<'_>,
    all: bool,
    cacheable: &mut bool,
) -> Result<Spread, String> {
    if query.with.is_some() {
        return Err("WITH is not spread over shards".into());
    }
    let mut body = &*query.body;
    let first = loop {
        match body {
            sqlparser::ast::SetExpr::SetOperation { left, .. } => body = left,
            sqlparser::ast::SetExpr::Query(query) => body = &query.body,
            sqlparser::ast::SetExpr::Select(select) => break select,
            _ => return Err("a union of this form is not spread over shards".into()),
        }
    };
    let items = Items::of_union(first);
    let mut draft = Draft { text, blocks, root: 0, items, hidden: Vec::new(), cacheable: true };
    let distinct = if all {
        None
    } else {
        let count = draft.items.count.ok_or("name the columns of a UNION, or say UNION ALL")?;
        Some((0..count).map(|at| Key { place: Place::Shown(at), weight: false, blank: None }).collect())
    };
    let order = order_by(query)?.iter().map(|item| draft.order_in_union(item)).collect::<Result<_, _>>()?;
    let limit = draft.limit(query, true)?;
    *cacheable &= draft.cacheable;
    Ok(Spread { merge: Merge::Rows { order, distinct }, limit, ..Spread::default() })
}

/// What a query is sorted by.
fn order_by(query: &Query) -> Result<&[OrderByExpr], String> {
    match query.order_by.as_ref().map(|order| &order.kind) {
        None => Ok(&[]),
        Some(OrderByKind::Expressions(list)) => Ok(list),
        Some(OrderByKind::All(_)) => Err("ORDER BY ALL is not MySQL's".into()),
    }
}

/// What comes behind LIMIT: the first token of it, or the end.
fn tail(text: &Text<'_>, from: usize) -> usize {
    let begins = |at: usize| {
        text.is(at, "INTO")
            || text.is(at, "FOR") && text.is_any(at + 1, &["UPDATE", "SHARE"])
            || text.is(at, "LOCK") && text.is(at + 1, "IN")
    };
    text.find(from, begins).unwrap_or(text.tokens.len())
}

impl Draft<'_, '_> {
    /// Whether these name all columns of a key: rows that agree in them are on one shard. `or_null`: but for rows that have NULLs
    /// instead, which are on any.
    fn has_key<'e>(&self, exprs: impl Iterator<Item = &'e Expr>, or_null: bool) -> bool {
        let nodes: Vec<_> = exprs.filter_map(|expr| self.blocks.column(expr, self.root)).collect();
        self.blocks.spread_in(self.root).any(|table| {
            let found = self.blocks.occurrences.get(table).filter(|one| or_null || !one.missing);
            let Some(Rows::Spread(key)) = found.map(|one| &one.table.rows) else {
                return false;
            };
            key.vindex.columns.iter().enumerate().all(|(place, column)| {
                key.is_exact(place) && nodes.iter().any(|(at, name)| *at == table && name.eq_ignore_ascii_case(column))
            })
        })
    }

    /// A column asked for besides.
    fn hide(&mut self, pieces: Vec<Piece>) -> Result<Place, String> {
        let bound = pieces.iter().any(|piece| match piece {
            Piece::Tokens(range) => self.text.parameters.iter().any(|at| range.contains(at)),
            Piece::Bytes(_) => false,
        });
        if bound {
            return Err(
                "rows are sorted or grouped by an expression with a parameter that is not among the columns".into()
            );
        }
        if self.items.end == 0 {
            return Err("its columns cannot be added to".into());
        }
        let at = self.hidden.iter().position(|known| *known == pieces).unwrap_or_else(|| {
            self.hidden.push(pieces);
            self.hidden.len() - 1
        });
        Ok(Place::Hidden(at))
    }

    fn limit(&self, query: &Query, pushed: bool) -> Result<Option<Limit>, String> {
        let Some(clause) = &query.limit_clause else { return Ok(None) };
        let (count, offset) = match clause {
            LimitClause::LimitOffset { limit: Some(limit), offset, .. } => {
                (limit, offset.as_ref().map(|offset| &offset.value))
            }
            LimitClause::OffsetCommaLimit { offset, limit } => (limit, Some(offset)),
            LimitClause::LimitOffset { limit: None, .. } => return Err("OFFSET without LIMIT is not MySQL's".into()),
        };
        let not_plain = "LIMIT takes whole numbers here";
        let count = self.blocks.slot(count).ok_or(not_plain)?;
        let offset = offset.map(|offset| self.blocks.slot(offset).ok_or(not_plain)).transpose()?;
        let text = self.text;
        let mut from = 0;
        let mut start = None;
        while let Some(at) = text.find(from, |at| text.is(at, "LIMIT")) {
            (start, from) = (Some(at), at + 1);
        }
        let start = start.ok_or(not_plain)?;
        Ok(Some(Limit { clause: start..tail(text, start), count, offset, pushed }))
    }

    fn ordered(key: Key, item: &OrderByExpr) -> Result<Order, String> {
        if item.options.nulls_first.is_some() || item.with_fill.is_some() {
            return Err("NULLS FIRST and LAST are not MySQL's".into());
        }
        let descending = matches!(item.options.sort, Some(sqlparser::ast::OrderBySort::Desc));
        Ok(Order { key, descending })
    }
}
