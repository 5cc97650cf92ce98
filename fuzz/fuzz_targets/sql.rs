//! Statement text of any bytes is split and analysed without panic or loop, and every span lies on token borders.
//!
//! The first byte chooses the sql_mode.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shardlift::gateway::sql::{Edit, Kind, SqlMode, analyze, cut, identifiers, normalised, splice, split};

fuzz_target!(|input: &[u8]| {
    let Some((mode, text)) = input.split_first() else { return };
    let mode = SqlMode { ansi_quotes: mode & 1 != 0, no_backslash_escapes: mode & 2 != 0, ..SqlMode::default() };
    let statements = split(text, mode);
    assert!(!statements.is_empty());
    let mut end = 0;
    for range in statements {
        assert!(end <= range.start && range.start <= range.end && range.end <= text.len());
        end = range.end;
        check(&text[range], mode);
    }
});

fn check(sql: &[u8], mode: SqlMode) {
    let _ = cut(normalised(sql, mode));
    let statement = analyze(sql, mode);
    let tables = statement.tables.iter().flat_map(|table| table.database.iter().chain([&table.table]));
    let names: Vec<_> = tables.chain(statement.qualifiers.iter().map(|qualifier| &qualifier.database)).collect();
    // Texts within dollar signs hide what are names to whoever does not expect them.
    if !sql.contains(&b'$') {
        let all: Vec<_> = identifiers(sql, mode).collect();
        assert!(names.iter().all(|name| all.contains(name)));
    }
    // Replacing names by themselves changes nothing.
    let same = |span: std::ops::Range<usize>| Edit { with: sql[span.clone()].to_vec(), span };
    let mut edits: Vec<_> = names.iter().map(|name| same(name.span.clone())).collect();
    edits.extend(statement.uses.database_function.iter().cloned().map(same));
    assert_eq!(splice(sql, &mut edits), sql);
    match statement.kind {
        Kind::Set(assignments) => assert!(assignments.iter().all(|one| sql.get(one.value.clone()).is_some())),
        Kind::Use(name) => assert!(sql.get(name.span).is_some()),
        _ => {}
    }
}
