//! Which tables are joined on their own shard, and what is known of their keys' values.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Block, Blocks, Fact, Link, Node};
use crate::gateway::plan::catalog::{Key, Rows};
use crate::gateway::plan::keys::{Finder, Found, Group, List};
use crate::gateway::plan::value::Slot;

/// More rows than this that several conditions together allow are not looked at one by one.
const MOST_ROWS: usize = 1000;

/// Which columns are equal: each one's representative.
#[derive(Default)]
struct Equal(HashMap<Node, Node>);

impl Equal {
    fn find(&self, node: &Node) -> Node {
        let mut at = node;
        while let Some(next) = self.0.get(at) {
            at = next;
        }
        at.clone()
    }

    fn join(&mut self, one: &Node, other: &Node) {
        let (one, other) = (self.find(one), self.find(other));
        if one != other {
            self.0.insert(one, other);
        }
    }
}

impl Blocks<'_> {
    /// The groups of all tables that may have rows on several shards, `roots` being the statement's own blocks. An error
    /// names what is not tied to the rest.
    pub fn groups(&self, roots: &[usize]) -> Vec<Group> {
        // The group that each table belongs to.
        let mut belongs: HashMap<usize, usize> = HashMap::new();
        let mut groups: Vec<(Vec<usize>, Found, bool)> = Vec::new();
        for (number, block) in self.blocks.iter().enumerate() {
            let is_own = |node: &Node| self.occurrences.get(node.0).is_some_and(|one| one.block == number);
            let mut equal = Equal::default();
            let own = || block.equal.iter().filter(|link| is_own(&link.one) && is_own(&link.other));
            for link in own().filter(|link| link.join.is_none()) {
                equal.join(&link.one, &link.other);
            }
            let hung: Vec<&Link> = own().filter(|link| link.join.is_some()).collect();
            let mut parts: Vec<Vec<usize>> = Vec::new();
            for table in self.spread_in(number) {
                match parts.iter_mut().find(|part| part.iter().any(|other| self.together(table, *other, &equal))) {
                    Some(part) => part.push(table),
                    None => parts.push(vec![table]),
                }
            }
            for (tables, whole) in self.gather(parts, &equal, &hung) {
                let outside = self.tied(&tables, whole, &equal, number);
                let place = outside.and_then(|outside| belongs.get(&outside).copied()).unwrap_or(groups.len());
                belongs.extend(tables.iter().map(|table| (*table, place)));
                match groups.get_mut(place) {
                    Some((all, ..)) => all.extend(tables),
                    None => {
                        let found = self.found(&tables, &equal, block, &hung);
                        groups.push((tables, found, roots.contains(&number)));
                    }
                }
            }
        }
        groups.into_iter().map(|(tables, found, root)| Group { tables: self.names(&tables), found, root }).collect()
    }

    fn key(&self, table: usize) -> Option<&Arc<Key>> {
        match &self.occurrences.get(table)?.table.rows {
            Rows::Spread(key) => Some(key),
            Rows::Pinned(_) | Rows::Everywhere(_) => None,
        }
    }

    fn node(table: usize, key: &Key, place: usize) -> Node {
        (table, key.vindex.columns.get(place).map(|name| name.to_lowercase()).unwrap_or_default())
    }

    /// Whether rows of two tables of a block that are joined are always on the same shard.
    fn together(&self, one: usize, other: usize, equal: &Equal) -> bool {
        let (Some(first), Some(second)) = (self.key(one), self.key(other)) else {
            let pinned = |table: usize| match &self.occurrences.get(table)?.table.rows {
                Rows::Pinned(id) => Some(id),
                _ => None,
            };
            return pinned(one).is_some() && pinned(one) == pinned(other);
        };
        let same = |place| equal.find(&Self::node(one, first, place)) == equal.find(&Self::node(other, second, place));
        first.agrees(second) && (0..first.types.len()).all(same)
    }

    /// Groups of tables: parts whose rows are there only where they are on the shard of another part's rows belong to that.
    /// Each with whether it is one part only.
    fn gather(&self, parts: Vec<Vec<usize>>, equal: &Equal, hung: &[&Link]) -> Vec<(Vec<usize>, bool)> {
        let mut under: Vec<usize> = (0..parts.len()).collect();
        let root = |under: &[usize], mut at: usize| {
            while let Some(next) = under.get(at).copied().filter(|next| *next != at) {
                at = next;
            }
            at
        };
        for (number, part) in parts.iter().enumerate() {
            let hangs = |other: &[usize]| {
                part.iter().any(|table| other.iter().any(|kept| self.hangs(*table, *kept, equal, hung)))
            };
            let mut others = parts.iter().enumerate().filter(|(other, _)| root(&under, *other) != number);
            let other = others.find(|(_, other)| hangs(other)).map(|(other, _)| other);
            if let (Some(other), Some(under)) = (other, under.get_mut(number)) {
                *under = other;
            }
        }
        let mut groups: Vec<(usize, Vec<usize>, usize)> = Vec::new();
        for (number, part) in parts.into_iter().enumerate() {
            let root = root(&under, number);
            match groups.iter_mut().find(|(of, ..)| *of == root) {
                Some((_, tables, count)) => {
                    tables.extend(part);
                    *count += 1;
                }
                None => groups.push((root, part, 1)),
            }
        }
        groups.into_iter().map(|(_, tables, count)| (tables, count == 1)).collect()
    }

    /// Whether rows of a table that an outer join may leave out are joined with such of another (`kept`) only as are on the
    /// same shard, by one join's condition.
    fn hangs(&self, table: usize, kept: usize, equal: &Equal, hung: &[&Link]) -> bool {
        let (Some(key), Some(other)) = (self.key(table), self.key(kept)) else { return false };
        let linked = |join, place| {
            let (node, wanted) =
                (equal.find(&Self::node(table, key, place)), equal.find(&Self::node(kept, other, place)));
            let fits = |link: &&&Link| link.join == join && equal.find(&link.other) == node;
            hung.iter().filter(fits).any(|link| equal.find(&link.one) == wanted)
        };
        key.agrees(other) && hung.iter().any(|link| (0..key.types.len()).all(|place| linked(link.join, place)))
    }

    /// The table outside the block whose rows' shard is that of the rows of these. `whole`: these are all there or all
    /// missing, so that a condition will do that says so of rows that are not missing.
    fn tied(&self, tables: &[usize], whole: bool, equal: &Equal, block: usize) -> Option<usize> {
        let is_own = |node: &Node| self.occurrences.get(node.0).is_some_and(|one| one.block == block);
        let links: Vec<(&Node, &Node, Option<usize>)> = (self.blocks.get(block)?.equal.iter())
            .filter_map(|Link { one, other, join }| match (is_own(one), is_own(other)) {
                (true, false) => Some((one, other, *join)),
                (false, true) => Some((other, one, *join)),
                _ => None,
            })
            .filter(|(.., join)| whole || join.is_none())
            .collect();
        for &table in tables {
            let Some(key) = self.key(table) else { continue };
            for (_, (outside, _), of) in &links {
                let Some(other) = self.key(*outside) else { continue };
                let linked = |place| {
                    let (node, wanted) =
                        (equal.find(&Self::node(table, key, place)), Self::node(*outside, other, place));
                    links.iter().any(|(own, outside, join)| {
                        (join.is_none() || join == of) && equal.find(own) == node && **outside == wanted
                    })
                };
                if key.agrees(other) && (0..key.types.len()).all(linked) {
                    return Some(*outside);
                }
            }
        }
        None
    }

    /// By what the rows of these tables are found. What is said of a row that is there says where all of its group are; what
    /// is said of a row unless it is missing does so only where it is alone.
    fn found(&self, tables: &[usize], equal: &Equal, block: &Block, hung: &[&Link]) -> Found {
        let hung = if tables.len() == 1 { hung } else { &[] };
        let mut best = Found::Anywhere;
        for &table in tables {
            match &self.occurrences.get(table).map(|one| &one.table.rows) {
                Some(Rows::Pinned(id)) => return Found::Pinned(id.clone()),
                Some(Rows::Spread(key)) => {
                    if let Some(finder) = finder(table, key, equal, &block.facts, hung) {
                        let better = match &best {
                            Found::By(other) => other.rows.len() > finder.rows.len(),
                            _ => true,
                        };
                        if better {
                            best = Found::By(finder);
                        }
                    }
                }
                _ => {}
            }
        }
        best
    }
}

/// What conditions say of a table's key: of all its columns, or the first ones.
fn finder(table: usize, key: &Arc<Key>, equal: &Equal, facts: &[Fact], hung: &[&Link]) -> Option<Finder> {
    // Columns whose values the key's column has, if it has any.
    let nodes = |place: usize| {
        let mut nodes = vec![equal.find(&Blocks::node(table, key, place))];
        let mut at = 0;
        while let Some(node) = nodes.get(at).cloned() {
            for link in hung.iter().filter(|link| equal.find(&link.other) == node) {
                let kept = equal.find(&link.one);
                if !nodes.contains(&kept) {
                    nodes.push(kept);
                }
            }
            at += 1;
        }
        nodes
    };
    let mut rows: Vec<Vec<Slot>> = vec![Vec::new()];
    let mut list: Option<List> = None;
    let mut several = 0;
    let mut used: Option<(usize, Vec<usize>)> = None;
    for place in (0..key.types.len()).take_while(|place| key.is_exact(*place)) {
        let wanted = nodes(place);
        // What was used for the columns before says of this one, too, if it is a tuple with both.
        if let Some((fact, picked)) = &used
            && let Some(within) =
                facts.get(*fact).and_then(|fact| fact.nodes.iter().position(|one| wanted.contains(&equal.find(one))))
        {
            for (row, from) in rows.iter_mut().zip(picked) {
                row.extend(facts.get(*fact).and_then(|fact| fact.rows.get(*from)?.get(within)).copied());
            }
            continue;
        }
        let said = facts.iter().enumerate().filter_map(|(number, fact)| {
            let within = fact.nodes.iter().position(|one| wanted.contains(&equal.find(one)))?;
            Some((number, fact, within))
        });
        let Some((number, fact, within)) = said.min_by_key(|(_, fact, _)| fact.rows.len()) else { break };
        if rows.len() * fact.rows.len() > MOST_ROWS {
            break;
        }
        if fact.rows.len() > 1 {
            several += 1;
            list = fact.list.clone();
        }
        let mut picked = Vec::new();
        let product = rows.iter().flat_map(|before| {
            fact.rows
                .iter()
                .enumerate()
                .filter_map(move |(from, row)| Some((from, [before.as_slice(), &[*row.get(within)?]].concat())))
        });
        let product: Vec<(usize, Vec<Slot>)> = product.collect();
        picked.extend(product.iter().map(|(from, _)| *from));
        rows = product.into_iter().map(|(_, row)| row).collect();
        used = (several <= 1).then_some((number, picked));
    }
    let some = rows.first().is_some_and(|row| !row.is_empty());
    some.then(|| Finder {
        key: key.clone(),
        list: list.filter(|list| several == 1 && list.items.len() == rows.len()),
        rows,
    })
}
