//! Groups and aggregates whose rows are on several shards.

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, OrderByExpr,
};

use super::Draft;
use super::keyed::Meant;
use crate::gateway::plan::query::aggregates;
use crate::gateway::plan::spread::{Fold, Key, Merge, Piece, Place};
use crate::model::ColumnKind;

impl Draft<'_, '_> {
    /// What becomes of groups that several shards have rows of.
    pub(super) fn grouped(&mut self, by: &[Expr], order: &[OrderByExpr]) -> Result<Merge, String> {
        let count = self.items.count.ok_or("name the columns of a query with groups instead of *")?;
        let mut keys = Vec::new();
        let mut items = Vec::new();
        for expr in by {
            let (key, item) = match self.meant(expr, false)? {
                Meant::Item(at) => (self.item_key(at)?, Some(at)),
                Meant::Column(node) => (self.column_key(&node, expr)?, None),
                Meant::Other => {
                    let place = self.hide(vec![self.expr_piece(expr)?])?;
                    (Key { place, weight: false, blank: None }, None)
                }
            };
            keys.push(key);
            items.push(item);
        }
        let mut folds = Vec::new();
        // Columns asked for besides have folds of their own, behind those of the others.
        let mut behind: Vec<(Place, Fold)> = Vec::new();
        for at in 0..count {
            let Some(expr) = self.items.list.get(at).and_then(|item| item.expr) else {
                return Err("name the columns of a query with groups instead of *".into());
            };
            let fold = if items.contains(&Some(at)) { Fold::First } else { self.fold(at, expr, &mut behind)? };
            folds.push(match fold {
                // Each shard answers with a row, also those that have none of the rows it is made of.
                Fold::First if keys.is_empty() => {
                    let count = self.hide(vec![Piece::Bytes(b"COUNT(*)".into())])?;
                    behind.push((count, Fold::Sum));
                    Fold::Some(count)
                }
                fold => fold,
            });
        }
        let mut sorted = Vec::new();
        for item in order {
            let key = match self.meant(&item.expr, true)? {
                Meant::Item(at) => match folds.get(at) {
                    Some(Fold::First | Fold::Some(_)) => self.item_key(at)?,
                    Some(Fold::Least(key) | Fold::Greatest(key)) => key.clone(),
                    _ => Key { place: Place::Shown(at), weight: false, blank: None },
                },
                Meant::Column(node) => {
                    let key = self.column_key(&node, &item.expr)?;
                    if !keys.contains(&key) {
                        return Err("groups are sorted by their keys and columns only".into());
                    }
                    key
                }
                Meant::Other => {
                    return Err("groups are sorted by their keys and columns only; give the aggregate an alias".into());
                }
            };
            sorted.push(Self::ordered(key, item)?);
        }
        for at in 0..self.hidden.len() {
            let own = behind.iter().find(|(place, _)| *place == Place::Hidden(at));
            folds.push(own.map_or(Fold::First, |(_, fold)| fold.clone()));
        }
        Ok(Merge::Groups { keys, folds, order: sorted })
    }

    fn fold(&mut self, at: usize, expr: &Expr, behind: &mut Vec<(Place, Fold)>) -> Result<Fold, String> {
        let Expr::Function(function) = expr else {
            return match aggregates(expr).found {
                false => Ok(Fold::First),
                true => Err("an expression over aggregates cannot be made of several shards' answers; ask for the aggregates, and \
                             compute it in the application"
                    .into()),
            };
        };
        let name = function.name.0.last().and_then(|part| part.as_ident()).map(|name| name.value.to_lowercase());
        let name = name.unwrap_or_default();
        if !aggregates(expr).found {
            return Ok(Fold::First);
        }
        let refuse = |why: &str| Err(format!("{}() {why}", name.to_uppercase()));
        let (argument, distinct) = argument(function);
        let shown = Place::Shown(at);
        match (name.as_str(), distinct) {
            ("any_value", _) => Ok(Fold::First),
            ("count" | "sum", false) => Ok(Fold::Sum),
            ("count" | "sum" | "avg", true)
                if argument.is_some_and(|only| self.has_key(std::iter::once(only), true)) =>
            {
                match name.as_str() {
                    // Each value is on one shard only.
                    "avg" => refuse("of different values cannot be made of several shards' answers"),
                    _ => Ok(Fold::Sum),
                }
            }
            ("count" | "sum" | "avg", true) => refuse(
                "of different values cannot be made of several shards' answers, which may share some; select them with DISTINCT and \
                 count in the application",
            ),
            ("avg", false) => {
                let inside = self.inside(at)?;
                let of = |name: &str| {
                    vec![Piece::Bytes(format!("{name}(").into()), inside.clone(), Piece::Bytes(b")".into())]
                };
                let (sum, count) = (self.hide(of("SUM"))?, self.hide(of("COUNT"))?);
                behind.extend([(sum, Fold::Sum), (count, Fold::Sum)]);
                Ok(Fold::Average { sum, count })
            }
            ("min" | "max", _) => {
                let node = argument.and_then(|argument| self.blocks.column(argument, self.root));
                let column = node
                    .and_then(|(table, name)| self.blocks.occurrences.get(table)?.table.columns.find(&name).cloned());
                let make = |key: Key| if name == "min" { Fold::Least(key) } else { Fold::Greatest(key) };
                match column.as_ref().and_then(|column| column.kind.as_ref()) {
                    Some(ColumnKind::Text { .. }) => {
                        let mut pieces = vec![Piece::Bytes(b"WEIGHT_STRING(".into())];
                        pieces.extend(self.items.list.get(at).map(|item| item.pieces.clone()).unwrap_or_default());
                        pieces.push(Piece::Bytes(b")".into()));
                        let place = self.hide(pieces)?;
                        let key = Key { place, weight: true, blank: column.and_then(|column| column.blank) };
                        behind.push((place, make(key.clone())));
                        Ok(make(key))
                    }
                    Some(
                        ColumnKind::Enum
                        | ColumnKind::Set
                        | ColumnKind::Json
                        | ColumnKind::Geometry
                        | ColumnKind::Vector,
                    ) => refuse("of a column of this type cannot be made of several shards' answers"),
                    Some(ColumnKind::Float) => refuse("of FLOAT is told less exactly than it is; cast it to DOUBLE"),
                    _ => Ok(make(Key { place: shown, weight: false, blank: None })),
                }
            }
            _ => refuse("cannot be made of several shards' answers"),
        }
    }

    /// What stands in the parentheses of an aggregate that is a column by itself.
    fn inside(&self, at: usize) -> Result<Piece, String> {
        let unreadable = "an aggregate's argument cannot be told";
        let Some(Piece::Tokens(range)) = self.items.list.get(at).and_then(|item| item.pieces.first()) else {
            return Err(unreadable.into());
        };
        let open = self.text.find(range.start, |at| self.text.is_symbol(at, b'(')).ok_or(unreadable)?;
        let close = self.text.closing(open).filter(|close| close + 1 == range.end).ok_or(unreadable)?;
        Ok(Piece::Tokens(open + 1..close))
    }
}

/// The only argument of a function, and whether it says DISTINCT.
fn argument(function: &Function) -> (Option<&Expr>, bool) {
    let FunctionArguments::List(list) = &function.args else { return (None, false) };
    let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(only))] => (Some(only), distinct),
        _ => (None, distinct),
    }
}
