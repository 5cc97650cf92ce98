//! How deep a statement's tree is, and room for it.
//!
//! The parser bounds what is nested, not what is lined up: `a OR b OR c` is a tree as deep as it has operators, and whoever
//! walks, clones or drops it needs as much stack. Programs make such statements, thousands of conditions long.
//!
//! Invariant: no statement's tree is deeper than the stack it is walked on.

use std::thread::{Builder, scope};

use super::text::Text;

/// A tree as deep as this may be walked anywhere.
const SHALLOW: usize = 100;
/// Deeper trees are refused.
const DEEPEST: usize = 10_000;
/// Stack that a level takes, with room to spare: in debug builds it is ten times what it is in others.
const LEVEL: usize = if cfg!(debug_assertions) { 64 << 10 } else { 8 << 10 };
/// Stack besides.
const BASE: usize = 2 << 20;

/// Does `work`, which walks the statement's tree, where there is room for it.
pub fn with_room<T: Send>(text: &Text<'_>, work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    let depth = deepest(text);
    if depth <= SHALLOW {
        return work();
    }
    if depth > DEEPEST {
        return Err(format!(
            "it has {depth} operators in a row, and the gateway plans up to {DEEPEST}; use IN with a list, or name the shard \
             with `use`"
        ));
    }
    scope(|threads| {
        let planner = Builder::new().name("planner".into()).stack_size(BASE + depth * LEVEL);
        let planning = planner.spawn_scoped(threads, work);
        let planning = planning.map_err(|error| format!("there is no room to plan it: {error}"))?;
        planning.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// No tree of the statement is deeper: whatever joins two things is a token, and so is the thing behind it. Commas part what
/// stands side by side, but for the parts of a union.
fn deepest(text: &Text<'_>) -> usize {
    let (mut open, mut here, mut around, mut most, mut unions) = (Vec::new(), 0, 0, 0, 0);
    for at in 0..text.tokens.len() {
        if text.is_symbol(at, b'(') {
            open.push(here);
            around += here;
            here = 0;
        } else if text.is_symbol(at, b')') {
            // The parentheses are one thing.
            here = open.pop().unwrap_or(0);
            around -= here;
            here += 1;
        } else if text.is_symbol(at, b',') {
            here = 0;
        } else {
            unions += usize::from(text.is_any(at, &["UNION", "EXCEPT", "INTERSECT"]));
            here += 1;
            most = most.max(around + here);
        }
    }
    most / 2 + unions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::sql::SqlMode;

    fn depth(sql: &str) -> usize {
        deepest(&Text::new(sql.as_bytes(), SqlMode::default()))
    }

    #[test]
    fn what_is_lined_up_is_deep_and_what_is_listed_is_not() {
        let long = |one: &str| one.repeat(1_000);
        for deep in [
            format!("SELECT 1 {}", long("+ 1")),
            format!("SELECT a FROM t WHERE a = 0 {}", long("OR (a = 1 AND b IN (2, 3))")),
            format!("SELECT (((1 {})))", long("AND f(1, 2)")),
            format!("SELECT 1, 2{}", long(" UNION SELECT 1, 2")),
            format!("SELECT a, (SELECT b{}), c", long(" IS NULL")),
        ] {
            assert!((1_000..6_000).contains(&depth(&deep)), "{} of {deep:.80}", depth(&deep));
        }
        for flat in [
            format!("INSERT INTO t VALUES (1, 'x'){}", long(", (1, -2)")),
            format!("SELECT a FROM t WHERE a IN (1{})", long(", 2 + 3")),
            format!("SELECT f({}1)", long("g(1), ")),
        ] {
            assert!(depth(&flat) <= SHALLOW, "{} of {flat:.80}", depth(&flat));
        }
    }
}
