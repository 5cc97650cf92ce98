//! Which tables are joined on their own shard, and what is known of their keys' values.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Blocks, Fact, Node};
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
            for (one, other) in block.equal.iter().filter(|(one, other)| is_own(one) && is_own(other)) {
                equal.join(one, other);
            }
            let mut own: Vec<Vec<usize>> = Vec::new();
            for table in self.spread_in(number) {
                match own.iter_mut().find(|group| group.iter().any(|other| self.together(table, *other, &equal))) {
                    Some(group) => group.push(table),
                    None => own.push(vec![table]),
                }
            }
            for tables in own {
                let outside = self.tied(&tables, &equal, number).and_then(|outside| belongs.get(&outside).copied());
                let place = outside.unwrap_or(groups.len());
                belongs.extend(tables.iter().map(|table| (*table, place)));
                match groups.get_mut(place) {
                    Some((all, ..)) => all.extend(tables),
                    None => {
                        let found = self.found(&tables, &equal, &block.facts);
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

    /// The table outside the block whose rows' shard is that of the rows of these.
    fn tied(&self, tables: &[usize], equal: &Equal, block: usize) -> Option<usize> {
        let links = &self.blocks.get(block)?.equal;
        let is_own = |node: &Node| self.occurrences.get(node.0).is_some_and(|one| one.block == block);
        let links: Vec<(&Node, &Node)> = links
            .iter()
            .filter_map(|(one, other)| match (is_own(one), is_own(other)) {
                (true, false) => Some((one, other)),
                (false, true) => Some((other, one)),
                _ => None,
            })
            .collect();
        for &table in tables {
            let Some(key) = self.key(table) else { continue };
            for outside in links.iter().map(|(_, outside)| outside.0) {
                let Some(other) = self.key(outside) else { continue };
                let linked = |place| {
                    let (node, wanted) =
                        (equal.find(&Self::node(table, key, place)), Self::node(outside, other, place));
                    links.iter().any(|(own, outside)| equal.find(own) == node && **outside == wanted)
                };
                if key.agrees(other) && (0..key.types.len()).all(linked) {
                    return Some(outside);
                }
            }
        }
        None
    }

    /// By what the rows of these tables are found.
    fn found(&self, tables: &[usize], equal: &Equal, facts: &[Fact]) -> Found {
        let mut best = Found::Anywhere;
        for &table in tables {
            match &self.occurrences.get(table).map(|one| &one.table.rows) {
                Some(Rows::Pinned(id)) => return Found::Pinned(id.clone()),
                Some(Rows::Spread(key)) => {
                    if let Some(finder) = finder(table, key, equal, facts) {
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
fn finder(table: usize, key: &Arc<Key>, equal: &Equal, facts: &[Fact]) -> Option<Finder> {
    let node = |place: usize| equal.find(&Blocks::node(table, key, place));
    let mut rows: Vec<Vec<Slot>> = vec![Vec::new()];
    let mut list: Option<List> = None;
    let mut several = 0;
    let mut used: Option<(usize, Vec<usize>)> = None;
    for place in (0..key.types.len()).take_while(|place| key.is_exact(*place)) {
        let wanted = node(place);
        // What was used for the columns before says of this one, too, if it is a tuple with both.
        if let Some((fact, picked)) = &used
            && let Some(within) =
                facts.get(*fact).and_then(|fact| fact.nodes.iter().position(|one| equal.find(one) == wanted))
        {
            for (row, from) in rows.iter_mut().zip(picked) {
                row.extend(facts.get(*fact).and_then(|fact| fact.rows.get(*from)?.get(within)).copied());
            }
            continue;
        }
        let said = facts.iter().enumerate().filter_map(|(number, fact)| {
            let within = fact.nodes.iter().position(|one| equal.find(one) == wanted)?;
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
