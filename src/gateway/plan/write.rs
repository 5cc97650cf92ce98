//! Plans of UPDATE and DELETE.

use sqlparser::ast::{Assignment, AssignmentTarget, Expr, FromTable, Statement as Tree, TableWithJoins};

use super::blocks::{Blocks, plain};
use super::catalog::{Catalog, Rows};
use super::keys::{Finder, Found, Group};
use super::query::{apart, check_calls, check_uses, parse};
use super::same;
use super::text::Text;
use super::value::Slot;
use super::{Plan, Work};
use crate::gateway::sql::{Access, Dml, Kind, Statement};

/// What the parser has found.
struct Change<'t> {
    tables: Vec<&'t TableWithJoins>,
    condition: Option<&'t Expr>,
    assignments: &'t [Assignment],
    limited: bool,
}

/// Plans an UPDATE or DELETE.
pub(super) fn plan(statement: &Statement, text: &Text<'_>, catalog: &Catalog<'_>) -> Result<Plan, String> {
    let (tree, lines) = parse(text)?;
    let change = match &tree {
        Tree::Update(update) if update.from.is_none() => Change {
            tables: vec![&update.table],
            condition: update.selection.as_ref(),
            assignments: &update.assignments,
            limited: update.limit.is_some(),
        },
        Tree::Delete(delete) => {
            let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
            let tables = delete.using.as_ref().unwrap_or(from).iter().collect();
            Change { tables, condition: delete.selection.as_ref(), assignments: &[], limited: delete.limit.is_some() }
        }
        _ => return Err("it is no UPDATE or DELETE that is spread over shards; name the shard with `use`".into()),
    };
    let mut blocks = Blocks::new(text, &lines, catalog);
    let root = blocks.statement(&change.tables, change.condition)?;
    for assignment in change.assignments {
        blocks.inner(&assignment.value, root)?;
    }
    let groups = blocks.groups(&[root]);
    let everywhere = check_written(statement, &change, &blocks, (root, &groups))?;
    let assigned = assigned(&change, &blocks, root, &groups)?;
    let spread = check_uses(statement, text).and_then(|()| {
        if let Some(why) = &blocks.outer {
            return Err(why.clone());
        }
        if groups.len() > 1 || groups.iter().any(|group| !group.root) {
            return Err(apart(&groups));
        }
        if everywhere {
            return same::check(text, 0);
        }
        check_calls(text)?;
        if change.limited {
            return Err(
                "LIMIT says how many rows of one server; find the rows by their sharding column, or leave LIMIT out"
                    .into(),
            );
        }
        Ok(())
    });
    Ok(Plan { work: Work::Write { groups, spread, assigned, everywhere }, cacheable: true })
}

/// Whether what is written is on every shard. What is so in part only is refused.
fn check_written(
    statement: &Statement,
    change: &Change<'_>,
    blocks: &Blocks<'_>,
    (root, groups): (usize, &[Group]),
) -> Result<bool, String> {
    let everywhere = |at: usize| match blocks.occurrences.get(at).map(|one| (&one.table.name, &one.table.rows)) {
        Some((name, Rows::Everywhere(source))) => Some((name, source)),
        _ => None,
    };
    let written: Vec<usize> = match statement.kind {
        // Every table counts as written there; those that are have assignments.
        Kind::Dml(Dml::Update) => assigned_tables(change, blocks, root)?,
        _ => {
            let is_written = |name: &str| {
                statement.tables.iter().any(|table| table.access == Access::Write && table.table.text == name)
            };
            let own = blocks.occurrences.iter().enumerate().filter(|(_, one)| is_written(&one.table.name));
            own.map(|(at, _)| at).collect()
        }
    };
    let Some((name, source)) = written.iter().find_map(|at| everywhere(*at)) else { return Ok(false) };
    if let Some(source) = source {
        return Err(format!("{name} is filled from {source}; write to that"));
    }
    if !groups.is_empty() {
        return Err(format!(
            "rows of {name}, which every shard has, would be written on some only; write to it by itself"
        ));
    }
    Ok(true)
}

/// The tables whose columns an UPDATE assigns.
fn assigned_tables(change: &Change<'_>, blocks: &Blocks<'_>, root: usize) -> Result<Vec<usize>, String> {
    let own = || blocks.occurrences.iter().enumerate().filter(|(_, one)| one.block == root);
    let reference =
        own().find(|(_, one)| matches!(one.table.rows, Rows::Everywhere(_))).map(|(_, one)| &one.table.name);
    let mut tables = Vec::new();
    for assignment in change.assignments {
        let column = match &assignment.target {
            AssignmentTarget::ColumnName(name) => {
                let parts: Option<Vec<_>> = name.0.iter().map(|part| part.as_ident().cloned()).collect();
                parts.map(|mut parts| match (parts.pop(), parts.is_empty()) {
                    (Some(only), true) => Expr::Identifier(only),
                    (last, _) => Expr::CompoundIdentifier(parts.into_iter().chain(last).collect()),
                })
            }
            AssignmentTarget::Tuple(_) => None,
        };
        match (column.and_then(|column| blocks.column(&column, root)), reference) {
            (Some((table, _)), _) => tables.push(table),
            // A statement of one table can mean no other.
            (None, Some(_)) if own().count() == 1 && !blocks.has_derived(root) => {
                tables.extend(own().map(|(at, _)| at))
            }
            (None, Some(name)) => {
                return Err(format!(
                    "{} may be a column of {name}, which every shard has: say which table's it is",
                    assignment.target
                ));
            }
            (None, None) => {}
        }
    }
    Ok(tables)
}

/// The key that rows get, if columns of it are assigned.
fn assigned(change: &Change<'_>, blocks: &Blocks<'_>, root: usize, groups: &[Group]) -> Result<Option<Finder>, String> {
    let moves = |column: &str, table: &str| {
        format!(
            "{column} is the sharding column of {table}: changing it may move the row to another shard; DELETE the row and INSERT it \
             anew, in one transaction"
        )
    };
    let mut new: Option<Finder> = None;
    for assignment in change.assignments {
        let AssignmentTarget::ColumnName(name) = &assignment.target else {
            return Err("an assignment of this form is not spread over shards".into());
        };
        let Some(column) = name.0.last().and_then(|part| part.as_ident()).map(plain) else { continue };
        for table in blocks.spread_in(root) {
            let Some(one) = blocks.occurrences.get(table) else { continue };
            let Rows::Spread(key) = &one.table.rows else { continue };
            let Some(place) = key.vindex.columns.iter().position(|own| own.eq_ignore_ascii_case(&column)) else {
                continue;
            };
            let same = blocks
                .column(&assignment.value, root)
                .is_some_and(|(at, name)| at == table && name.eq_ignore_ascii_case(&column));
            if same || key.types.get(place).is_some_and(Option::is_none) {
                continue;
            }
            let refuse = || moves(&column, &one.table.name);
            let [Group { found: Found::By(finder), .. }] = groups else { return Err(refuse()) };
            let slot: Slot = blocks.slot(&assignment.value).ok_or_else(refuse)?;
            // Only where the key is given whole can it be told that it stays.
            let known = finder.rows.len() == 1 && finder.rows.iter().all(|row| row.len() == key.types.len());
            if !known || blocks.spread_in(root).count() != 1 {
                return Err(refuse());
            }
            let next = new.get_or_insert_with(|| Finder { list: None, ..finder.clone() });
            if let Some(value) = next.rows.first_mut().and_then(|row| row.get_mut(place)) {
                *value = slot;
            }
        }
    }
    Ok(new)
}
