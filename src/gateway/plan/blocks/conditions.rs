//! What the conditions of a block say of columns.

use sqlparser::ast::{BinaryOperator, Expr, GroupByExpr, Ident, Query, SelectItem, SetExpr, UnaryOperator, Value};

use super::joins::Outer;
use super::{Blocks, Fact, Link, Node, plain};
use crate::gateway::plan::keys::List;
use crate::gateway::plan::value::Slot;
use crate::gateway::sql::TokenKind;
use crate::model::ColumnKind;

/// One side of a comparison.
enum Side {
    Columns(Vec<Node>),
    Values(Vec<Slot>),
}

impl Blocks<'_> {
    /// Takes in a condition that every row fulfils; `outer`: those only that have rows of the side that may be missing, which
    /// says nothing of values.
    pub(super) fn condition(&mut self, condition: &Expr, block: usize, outer: Option<&Outer>) -> Result<(), String> {
        if !self.plain {
            return self.inner(condition, block);
        }
        match condition {
            Expr::Nested(inner) => return self.condition(inner, block, outer),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.condition(left, block, outer)?;
                return self.condition(right, block, outer);
            }
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => self.equality(left, right, block, outer),
            Expr::InList { expr, list, negated: false } if outer.is_none() => self.in_list(expr, list, block),
            Expr::InSubquery { expr, subquery, negated: false } => {
                self.inner(&**expr, block)?;
                return self.in_query(expr, subquery, block);
            }
            _ => {}
        }
        self.inner(condition, block)
    }

    fn equality(&mut self, left: &Expr, right: &Expr, block: usize, outer: Option<&Outer>) {
        match (self.side(left, block), self.side(right, block)) {
            (Some(Side::Columns(left)), Some(Side::Columns(right))) if left.len() == right.len() => {
                for (one, other) in left.into_iter().zip(right) {
                    self.link(one, other, block, outer);
                }
            }
            (Some(Side::Columns(nodes)), Some(Side::Values(row)))
            | (Some(Side::Values(row)), Some(Side::Columns(nodes)))
                if outer.is_none() && nodes.len() == row.len() =>
            {
                self.fact(nodes, vec![row], None, block);
            }
            _ => {}
        }
    }

    /// Takes in that two columns are equal; columns from outside of the block are there before all of its tables.
    pub(super) fn link(&mut self, one: Node, other: Node, block: usize, outer: Option<&Outer>) {
        let kind = |(table, column): &Node| {
            let found = self.occurrences.get(*table).and_then(|one| one.table.columns.find(column));
            found.and_then(|column| column.kind.as_ref())
        };
        if !kind(&one).zip(kind(&other)).is_some_and(|(one, other)| alike(one, other)) {
            return;
        }
        let link = match outer {
            None => Link { one, other, join: None },
            Some(outer) => match (outer.missing.contains(&one.0), outer.missing.contains(&other.0)) {
                // They are there together, or missing together.
                (true, true) => Link { one, other, join: None },
                (false, true) => Link { one, other, join: Some(outer.join) },
                (true, false) => Link { one: other, other: one, join: Some(outer.join) },
                // The rows are kept, be they equal or not.
                (false, false) => return,
            },
        };
        if let Some(block) = self.blocks.get_mut(block) {
            block.equal.push(link);
        }
    }

    fn in_list(&mut self, expr: &Expr, list: &[Expr], block: usize) {
        let Some(Side::Columns(nodes)) = self.side(expr, block) else { return };
        let tuple = matches!(expr, Expr::Tuple(_));
        let mut rows = Vec::with_capacity(list.len());
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            let Some(Side::Values(row)) = self.side(item, block) else { return };
            if row.len() != nodes.len() {
                return;
            }
            let (first, last) = match (row.first(), row.last()) {
                (Some(first), Some(last)) => (first.token - usize::from(first.negative), last.token),
                _ => return,
            };
            // A tuple's parentheses are right before and behind, or its text is not as simple as it must be to be cut.
            items.push(if tuple { first.saturating_sub(1)..last + 2 } else { first..last + 1 });
            rows.push(row);
        }
        let plain = items
            .iter()
            .all(|item| !tuple || self.text.is_symbol(item.start, b'(') && self.text.is_symbol(item.end - 1, b')'));
        let adjoining =
            items.windows(2).all(|pair| pair[0].end + 1 == pair[1].start && self.text.is_symbol(pair[0].end, b','));
        let list = (plain && adjoining).then_some(List { items });
        self.fact(nodes, rows, list, block);
    }

    fn fact(&mut self, nodes: Vec<Node>, rows: Vec<Vec<Slot>>, list: Option<List>, block: usize) {
        // What is said of a column outside is no news there.
        let own = nodes.iter().all(|(table, _)| self.occurrences.get(*table).is_some_and(|table| table.block == block));
        if let Some(block) = self.blocks.get_mut(block).filter(|_| own) {
            block.facts.push(Fact { nodes, rows, list });
        }
    }

    /// A column that is among the rows of a query: they are equal where the query gives one column as it is.
    fn in_query(&mut self, expr: &Expr, query: &Query, block: usize) -> Result<(), String> {
        let inner = self.query(query, Some(block))?;
        let (&[inner], SetExpr::Select(select), None, None) =
            (inner.as_slice(), &*query.body, &query.limit_clause, &query.with)
        else {
            return Ok(());
        };
        let grouped =
            !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty()) || select.having.is_some();
        let (false, [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }]) =
            (grouped, select.projection.as_slice())
        else {
            return Ok(());
        };
        if let (Some(outside), Some(inside)) = (self.column(expr, block), self.column(item, inner)) {
            self.link(inside, outside, inner, None);
        }
        Ok(())
    }

    fn side(&self, expr: &Expr, block: usize) -> Option<Side> {
        if let Some(slot) = self.slot(expr) {
            return Some(Side::Values(vec![slot]));
        }
        match expr {
            Expr::Nested(inner) => self.side(inner, block),
            Expr::Tuple(parts) => {
                let slots: Option<Vec<Slot>> = parts.iter().map(|part| self.slot(part)).collect();
                if let Some(slots) = slots {
                    return Some(Side::Values(slots));
                }
                parts.iter().map(|part| self.column(part, block)).collect::<Option<Vec<_>>>().map(Side::Columns)
            }
            _ => self.column(expr, block).map(|node| Side::Columns(vec![node])),
        }
    }

    /// The value an expression is.
    pub fn slot(&self, expr: &Expr) -> Option<Slot> {
        match expr {
            Expr::Value(value) => {
                let line = value.span.start.line;
                let known = matches!(
                    value.value,
                    Value::Number(..)
                        | Value::SingleQuotedString(_)
                        | Value::Boolean(_)
                        | Value::Null
                        | Value::Placeholder(_)
                );
                let token = self.token(line).filter(|_| known)?;
                // Texts side by side are one text.
                let several = self.text.tokens.get(token + 1).is_some_and(|next| next.kind == TokenKind::Text);
                (!several || value.value == Value::Null).then_some(())?;
                Some(Slot { token, negative: false })
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match &**expr {
                Expr::Value(value) if matches!(value.value, Value::Number(..)) => {
                    let token = self.token(value.span.start.line)?;
                    // The sign stands right before it.
                    self.text.is_symbol(token.checked_sub(1)?, b'-').then_some(Slot { token, negative: true })
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The column an expression is, if that is certain.
    pub fn column(&self, expr: &Expr, block: usize) -> Option<Node> {
        match expr {
            Expr::Nested(inner) => self.column(inner, block),
            Expr::Identifier(name) => self.unqualified(name, block),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, name] | [_, table, name] => self.qualified(&plain(table), name, block),
                _ => None,
            },
            _ => None,
        }
    }

    fn unqualified(&self, name: &Ident, block: usize) -> Option<Node> {
        let name = plain(name).to_lowercase();
        let mut at = Some(block);
        while let Some(block) = at {
            let found = self.blocks.get(block)?;
            let own = self.occurrences.iter().enumerate().filter(|(_, one)| one.block == block);
            let mut having = own.filter(|(_, one)| one.table.columns.find(&name).is_some()).map(|(at, _)| at);
            match (having.next(), having.next()) {
                (Some(only), None) if found.derived.is_empty() => return Some((only, name)),
                (None, None) if found.derived.is_empty() => at = found.parent,
                _ => return None,
            }
        }
        None
    }

    fn qualified(&self, table: &str, name: &Ident, block: usize) -> Option<Node> {
        let name = plain(name).to_lowercase();
        let mut at = Some(block);
        while let Some(block) = at {
            let found = self.blocks.get(block)?;
            let mut own =
                self.occurrences.iter().enumerate().filter(|(_, one)| one.block == block && one.alias == table);
            match (own.next(), own.next()) {
                (Some((only, one)), None) => return one.table.columns.find(&name).map(|_| (only, name)),
                (None, None) if !found.derived.iter().any(|derived| derived == table) => at = found.parent,
                _ => return None,
            }
        }
        None
    }
}

/// Whether `=` is the same relation between columns of these types, and between each and a value: else what equals one, or a
/// value that it equals, need not equal the other. (`'a' = 'A'` in one collation and not in another; 70 is the YEAR 1970 and
/// no such number.)
fn alike(one: &ColumnKind, other: &ColumnKind) -> bool {
    use ColumnKind as K;
    match (one, other) {
        (K::Text { .. }, K::Text { .. }) => one == other,
        (K::Int { .. }, K::Int { .. })
        | (K::Year, K::Year)
        | (K::Date, K::Date)
        | (K::Binary { .. }, K::Binary { .. }) => true,
        _ => false,
    }
}
