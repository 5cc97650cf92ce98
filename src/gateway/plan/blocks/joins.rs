//! The tables of FROM, and what their joins say of them.

use std::ops::Range;

use sqlparser::ast::{JoinConstraint, JoinOperator as Op, ObjectName, TableFactor, TableWithJoins};

use super::{Blocks, Node, plain};
use crate::gateway::plan::catalog::Rows;

/// An outer join.
pub(super) struct Outer {
    /// It, as no other is called.
    pub join: usize,
    /// The tables whose rows may be missing.
    pub missing: Range<usize>,
}

impl Blocks<'_> {
    pub(super) fn tables<'t>(&mut self, tables: &'t TableWithJoins, block: usize) -> Result<(), String> {
        let (first, begin) = (self.occurrences.len(), self.said(block));
        self.factor(&tables.relation, block)?;
        let parts =
            |tables: &'t TableWithJoins| tables.joins.iter().rev().map(|join| (&join.relation, &join.join_operator));
        let mut rest: Vec<(&TableFactor, &Op)> = parts(tables).collect();
        while let Some((mut relation, operator)) = rest.pop() {
            // To MySQL `a JOIN b LEFT JOIN c ON …` is `(a JOIN b) LEFT JOIN c ON …`; the parser has `a JOIN (b LEFT JOIN c ON …)`.
            while let (
                Op::Join(JoinConstraint::None)
                | Op::Inner(JoinConstraint::None)
                | Op::StraightJoin(JoinConstraint::None),
                TableFactor::NestedJoin { table_with_joins, alias: None },
            ) = (operator, relation)
            {
                if table_with_joins
                    .joins
                    .iter()
                    .any(|join| matches!(join.join_operator, Op::Right(_) | Op::RightOuter(_)))
                {
                    return Err("a RIGHT JOIN behind a JOIN without ON can be read in two ways: say CROSS JOIN".into());
                }
                rest.extend(parts(table_with_joins));
                relation = &table_with_joins.relation;
            }
            let (second, before) = (self.occurrences.len(), self.said(block));
            self.factor(relation, block)?;
            self.joins += 1;
            let number = self.joins;
            let outer = |missing| Some(Outer { join: number, missing });
            let (constraint, outer) = match operator {
                Op::Join(on) | Op::Inner(on) | Op::CrossJoin(on) | Op::StraightJoin(on) => (on, None),
                Op::Left(on) | Op::LeftOuter(on) => {
                    self.check_outer(first..second, second..self.occurrences.len());
                    self.forget(block, before, self.said(block), number);
                    self.miss(second..self.occurrences.len());
                    (on, outer(second..self.occurrences.len()))
                }
                Op::Right(on) | Op::RightOuter(on) => {
                    self.check_outer(second..self.occurrences.len(), first..second);
                    self.forget(block, begin, before, number);
                    self.miss(first..second);
                    (on, outer(first..second))
                }
                _ => return Err("a join of this form is not spread over shards".into()),
            };
            match constraint {
                JoinConstraint::On(condition) => self.condition(condition, block, outer.as_ref())?,
                JoinConstraint::Using(columns) => {
                    for column in columns {
                        self.using(column, (first..second, second..self.occurrences.len()), block, outer.as_ref());
                    }
                }
                JoinConstraint::Natural | JoinConstraint::None => {}
            }
        }
        Ok(())
    }

    /// How many facts and links there are so far.
    fn said(&self, block: usize) -> (usize, usize) {
        self.blocks.get(block).map_or((0, 0), |block| (block.facts.len(), block.equal.len()))
    }

    /// What is known of the side of an outer join that may be missing is not known of the other. Both ends of a link are
    /// missing together, but for those that are outside of the block.
    fn forget(&mut self, block: usize, from: (usize, usize), to: (usize, usize), join: usize) {
        let Self { blocks, occurrences, .. } = self;
        let Some(found) = blocks.get_mut(block) else { return };
        found.facts.drain(from.0..to.0);
        let outside = |node: &Node| occurrences.get(node.0).is_none_or(|one| one.block != block);
        for link in found.equal.get_mut(from.1..to.1).unwrap_or_default() {
            if outside(&link.other) {
                std::mem::swap(&mut link.one, &mut link.other);
            }
            if outside(&link.one) {
                link.join = Some(join);
            }
        }
    }

    /// These tables' rows may be missing.
    fn miss(&mut self, tables: Range<usize>) {
        self.occurrences.get_mut(tables).unwrap_or_default().iter_mut().for_each(|table| table.missing = true);
    }

    /// Where the side that is kept is on every shard and the other is not, every shard keeps it.
    fn check_outer(&mut self, kept: Range<usize>, other: Range<usize>) {
        let spread = |range: Range<usize>| {
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
        (left, right): (Range<usize>, Range<usize>),
        block: usize,
        outer: Option<&Outer>,
    ) {
        let Some(name) = column.0.last().and_then(|part| part.as_ident()).map(plain) else { return };
        let having = |range: Range<usize>| -> Vec<usize> {
            let has = |at: &usize| self.occurrences.get(*at).is_some_and(|one| one.table.columns.find(&name).is_some());
            range.filter(has).collect()
        };
        if let ([left], [right]) = (having(left).as_slice(), having(right).as_slice()) {
            let lower = name.to_lowercase();
            self.link((*left, lower.clone()), (*right, lower), block, outer);
        }
    }
}
