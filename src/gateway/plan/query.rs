//! Plans of queries.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Query, SetExpr, SetOperator, SetQuantifier, Statement as Tree, Visit, Visitor};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::{Parser, ParserOptions};

use super::blocks::Blocks;
use super::catalog::Catalog;
use super::keys::Group;
use super::select;
use super::spread::Spread;
use super::text::{Text, shown};
use super::{Plan, Work};
use crate::gateway::sql::{Statement, stored_function};

/// Nesting beyond this is refused.
const DEPTH: usize = 40;

/// The parser's tree and, for each of its lines, the token it begins with.
pub(super) fn parse(text: &Text<'_>) -> Result<(Tree, Vec<usize>), String> {
    let (fed, lines) = text.for_parser().ok_or("a name in it is not UTF-8")?;
    let options = ParserOptions::new().with_unescape(false);
    let parser = Parser::new(&MySqlDialect {}).with_options(options).with_recursion_limit(DEPTH);
    let parsed = parser.try_with_sql(&fed).and_then(|mut parser| parser.parse_statements());
    let mut trees = parsed.map_err(|error| {
        format!("the gateway's parser does not take it ({error}); write it more simply, or name the shard with `use`")
    })?;
    match (trees.pop(), trees.is_empty()) {
        (Some(tree), true) => Ok((tree, lines)),
        _ => Err("it is not one statement".into()),
    }
}

/// Plans a query.
pub(super) fn plan(statement: &Statement, text: &Text<'_>, catalog: &Catalog<'_>) -> Result<Plan, String> {
    let (tree, lines) = parse(text)?;
    let Tree::Query(query) = tree else {
        return Err("it is no query that is spread over shards; name the shard with `use`".into());
    };
    let mut blocks = Blocks::new(text, &lines, catalog);
    let roots = blocks.query(&query, None)?;
    let groups = blocks.groups(&roots);
    if let (true, Some(function)) = (groups.is_empty(), stored_function(text.sql, &text.tokens)) {
        return Err(format!(
            "{} is no function of MySQL's own, and what a stored function does cannot be seen; name the shard with `use`",
            shown(function)
        ));
    }
    let mut cacheable = true;
    let spread = spread(statement, text, &query, &blocks, (&groups, &roots), &mut cacheable);
    Ok(Plan { work: Work::Read { groups, spread: spread.map(Box::new) }, cacheable })
}

fn spread(
    statement: &Statement,
    text: &Text<'_>,
    query: &Query,
    blocks: &Blocks<'_>,
    (groups, roots): (&[Group], &[usize]),
    cacheable: &mut bool,
) -> Result<Spread, String> {
    check_uses(statement, text)?;
    check_calls(text)?;
    if let Some(why) = &blocks.outer {
        return Err(why.clone());
    }
    let own = |root: usize| {
        let tables: Vec<usize> = blocks.spread_in(root).collect();
        !tables.is_empty()
    };
    if groups.iter().any(|group| !group.root) || groups.len() != roots.len() || !roots.iter().all(|root| own(*root)) {
        return Err(apart(groups));
    }
    match &*query.body {
        SetExpr::Select(tree) => select::spread(text, query, tree, blocks, roots[0], cacheable),
        SetExpr::SetOperation { .. } => {
            let mut all = true;
            is_rowwise_union(&query.body, &mut all)?;
            select::union_spread(text, query, blocks, all, cacheable)
        }
        _ => Err("a query of this form is not spread over shards".into()),
    }
}

/// Why groups are not joined.
pub(super) fn apart(groups: &[Group]) -> String {
    let names: Vec<&str> = groups.iter().map(|group| group.tables.as_str()).collect();
    match names.as_slice() {
        [only] => format!(
            "{only} is read in a query within, whose rows may be on another shard; make its sharding column equal to one \
             outside, or to a value"
        ),
        _ => format!(
            "rows of {} may be on different shards; make their sharding columns equal to each other, or to values of one \
             shard",
            names.join(" and ")
        ),
    }
}

/// What may not run on several shards at once.
pub(super) fn check_uses(statement: &Statement, text: &Text<'_>) -> Result<(), String> {
    let uses = &statement.uses;
    let why = if !uses.variables_assigned.is_empty() || !uses.variables_read.is_empty() {
        "it uses user variables, which each shard would have by itself"
    } else if uses.previous_statement {
        "it asks for what the last statement has left"
    } else if uses.calc_found_rows {
        "SQL_CALC_FOUND_ROWS counts the rows of one server"
    } else if uses.into_outfile {
        "INTO OUTFILE writes a file on one server"
    } else if uses.advisory_locks || uses.asks_for_locks {
        "named locks are one server's"
    } else if text.in_version() {
        "it has version comments, which cannot be changed"
    } else {
        return Ok(());
    };
    Err(format!("{why}; find its rows by their sharding column"))
}

/// Refuses functions that are not MySQL's own: on each of several shards they would see that one's rows only.
pub(super) fn check_calls(text: &Text<'_>) -> Result<(), String> {
    match stored_function(text.sql, &text.tokens) {
        None => Ok(()),
        Some(function) => Err(format!(
            "{} is no function of MySQL's own, and a stored function would see each shard's own rows only; find its rows by their sharding \
             column",
            shown(function)
        )),
    }
}

/// Whether every part of a union gives its rows one by one.
fn is_rowwise_union(body: &SetExpr, all: &mut bool) -> Result<(), String> {
    match body {
        SetExpr::SetOperation { left, right, op: SetOperator::Union, set_quantifier } => {
            *all &= *set_quantifier == SetQuantifier::All;
            is_rowwise_union(left, all)?;
            is_rowwise_union(right, all)
        }
        SetExpr::Select(tree) if select::is_rowwise(tree) => Ok(()),
        SetExpr::Query(query) if query.limit_clause.is_none() && query.with.is_none() && query.order_by.is_none() => {
            is_rowwise_union(&query.body, all)
        }
        _ => Err(
            "a union over several shards takes plain SELECTs only, without aggregates, DISTINCT, GROUP BY and LIMIT"
                .into(),
        ),
    }
}

/// Functions that make one value of many rows'.
const AGGREGATES: [&str; 21] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "group_concat",
    "bit_and",
    "bit_or",
    "bit_xor",
    "std",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "var_pop",
    "var_samp",
    "variance",
    "json_arrayagg",
    "json_objectagg",
    "any_value",
    "grouping",
    "st_collect",
];

/// Looks for aggregates and windows outside of inner queries.
#[derive(Default)]
pub(super) struct Aggregates {
    depth: usize,
    pub(super) found: bool,
    pub(super) windows: bool,
}

impl Visitor for Aggregates {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let (Expr::Function(function), 0) = (expr, self.depth) {
            let name = function.name.0.last().and_then(|part| part.as_ident()).map(|name| name.value.to_lowercase());
            self.windows |= function.over.is_some();
            self.found |= name.is_some_and(|name| AGGREGATES.contains(&name.as_str()));
        }
        ControlFlow::Continue(())
    }
}

/// The aggregates in something.
pub(super) fn aggregates(part: &impl Visit) -> Aggregates {
    let mut found = Aggregates::default();
    let _ = part.visit(&mut found);
    found
}
