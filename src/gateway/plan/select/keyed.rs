//! By what rows are compared: for ORDER BY, DISTINCT and GROUP BY.

use sqlparser::ast::{Expr, OrderByExpr, Value};

use super::Draft;
use crate::gateway::plan::blocks::{Node, plain};
use crate::gateway::plan::spread::{Key, Order, Piece, Place};
use crate::model::ColumnKind;

/// What a sort or group expression means.
pub(super) enum Meant {
    /// One of the columns asked for.
    Item(usize),
    /// A column of a table that is not asked for.
    Column(Node),
    /// Another expression, by the text of it.
    Other,
}

impl Draft<'_, '_> {
    /// A key for each of the columns asked for.
    pub(super) fn distinct(&mut self) -> Result<Vec<Key>, String> {
        let count =
            self.items.count.ok_or("DISTINCT of * is compared over shards column by column: name the columns")?;
        (0..count).map(|at| self.item_key(at)).collect()
    }

    /// What rows are sorted by; `only_items`: it must be one of the columns asked for.
    pub(super) fn order(&mut self, item: &OrderByExpr, only_items: bool) -> Result<Order, String> {
        let key = match self.meant(&item.expr, true)? {
            Meant::Item(at) => self.item_key(at)?,
            Meant::Column(node) if !only_items => self.column_key(&node, &item.expr)?,
            Meant::Other if !only_items => {
                let place = self.hide(vec![self.expr_piece(&item.expr)?])?;
                Key { place, weight: false, blank: None }
            }
            _ => return Err(
                "what rows are sorted by must be among the columns, where DISTINCT or GROUP BY is spread over shards"
                    .into(),
            ),
        };
        Self::ordered(key, item)
    }

    /// The same in a union, which can only be sorted by its columns.
    pub(super) fn order_in_union(&mut self, item: &OrderByExpr) -> Result<Order, String> {
        let at = match self.position(&item.expr) {
            Some(at) => Some(at?),
            None => match &item.expr {
                Expr::Identifier(name) => self.items.aliased(&plain(name)),
                _ => None,
            },
        };
        let at = at.ok_or("a union over several shards is sorted by its columns' names or numbers only")?;
        Self::ordered(Key { place: Place::Shown(at), weight: false, blank: None }, item)
    }

    /// What an expression of ORDER BY (`aliases_first`) or GROUP BY means.
    pub(super) fn meant(&mut self, expr: &Expr, aliases_first: bool) -> Result<Meant, String> {
        if let Some(at) = self.position(expr) {
            return at.map(Meant::Item);
        }
        let node = self.blocks.column(expr, self.root);
        let alias = match expr {
            Expr::Identifier(name) => self.items.aliased(&plain(name)),
            _ => None,
        };
        match (alias, node) {
            (Some(at), _) if aliases_first => Ok(Meant::Item(at)),
            (_, Some(node)) => Ok(self.items.column(&node).map_or(Meant::Column(node), Meant::Item)),
            (Some(at), None) => Ok(Meant::Item(at)),
            (None, None) => {
                let same = self.items.list.iter().position(|item| item.expr == Some(expr) && !has_value(expr));
                Ok(same.map_or(Meant::Other, Meant::Item))
            }
        }
    }

    /// The column a number stands for.
    fn position(&mut self, expr: &Expr) -> Option<Result<usize, String>> {
        let Expr::Value(value) = expr else { return None };
        let Value::Number(..) = &value.value else { return None };
        // What the plan is then rests on the number.
        self.cacheable = false;
        let token = self.blocks.token(value.span.start.line)?;
        let number = str::from_utf8(self.text.bytes(token)).ok().and_then(|text| text.parse::<usize>().ok());
        let found = number.and_then(|number| number.checked_sub(1)).filter(|at| *at < self.items.list.len());
        Some(
            found.ok_or_else(|| "a column's number in ORDER BY or GROUP BY is not among those that can be told".into()),
        )
    }

    /// The key of a column asked for.
    pub(super) fn item_key(&mut self, at: usize) -> Result<Key, String> {
        let item = self.items.list.get(at).ok_or("there is no such column")?;
        let (node, pieces) = (item.node.clone(), item.pieces.clone());
        self.key(node.as_ref(), pieces, Some(at))
    }

    /// The key of a table's column that is not asked for.
    pub(super) fn column_key(&mut self, node: &Node, expr: &Expr) -> Result<Key, String> {
        let piece = self.expr_piece(expr)?;
        self.key(Some(node), vec![piece], None)
    }

    fn key(&mut self, node: Option<&Node>, pieces: Vec<Piece>, at: Option<usize>) -> Result<Key, String> {
        let around = |before: &str, behind: &str| {
            let (before, behind) = (Piece::Bytes(before.into()), Piece::Bytes(behind.into()));
            [vec![before], pieces.clone(), vec![behind]].concat()
        };
        let found = node.and_then(|(table, name)| self.blocks.occurrences.get(*table)?.table.columns.find(name));
        let column = match (node, found) {
            (None, _) => None,
            (Some(_), Some(column)) => {
                Some((column.kind.clone().ok_or("a column's type is not known")?, column.blank.clone()))
            }
            (Some(_), None) => return Err("a column is not known".into()),
        };
        let place = match column.as_ref().map(|(kind, _)| kind) {
            Some(ColumnKind::Text { .. }) => {
                let place = self.hide(around("WEIGHT_STRING(", ")"))?;
                let blank = column.and_then(|(_, blank)| blank);
                return Ok(Key { place, weight: true, blank });
            }
            Some(ColumnKind::Enum | ColumnKind::Set) => self.hide(around("(", ") + 0"))?,
            Some(ColumnKind::Float) => self.hide(around("(", ") + 0e0"))?,
            Some(ColumnKind::Json | ColumnKind::Geometry | ColumnKind::Vector) => {
                return Err("JSON, spatial values and vectors cannot be compared over shards".into());
            }
            _ => match at {
                Some(at) => Place::Shown(at),
                None => self.hide(pieces)?,
            },
        };
        Ok(Key { place, weight: false, blank: None })
    }

    /// The text of an expression of ORDER BY or GROUP BY.
    pub(super) fn expr_piece(&self, expr: &Expr) -> Result<Piece, String> {
        use sqlparser::ast::Spanned;
        let line = expr.span().start.line;
        let start =
            self.blocks.token(line).ok_or("an expression's place in the text cannot be told; give it an alias")?;
        // It is one of a list: find which.
        let text = self.text;
        for words in [["ORDER", "BY"], ["GROUP", "BY"]] {
            let Some(clause) = text.find(0, |at| text.is(at, words[0]) && text.is(at + 1, words[1])) else { continue };
            let ends = ["HAVING", "ORDER", "LIMIT", "FOR", "LOCK", "INTO"];
            let end = text.find(clause + 2, |at| text.is_any(at, &ends)).unwrap_or(text.tokens.len());
            for part in text.list(clause + 2..end) {
                if part.contains(&start) {
                    let last = part.end.saturating_sub(1);
                    let end = if text.is_any(last, &["ASC", "DESC"]) { last } else { part.end };
                    return Ok(Piece::Tokens(part.start..end));
                }
            }
        }
        Err("an expression's place in the text cannot be told; give it an alias".into())
    }
}

/// Whether an expression has values in it: the parser was not given them, so that two may differ that look the same.
fn has_value(expr: &Expr) -> bool {
    use sqlparser::ast::{Visit, Visitor};
    use std::ops::ControlFlow;
    struct Values;
    impl Visitor for Values {
        type Break = ();
        fn pre_visit_value(&mut self, _: &sqlparser::ast::ValueWithSpan) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    expr.visit(&mut Values).is_break()
}
