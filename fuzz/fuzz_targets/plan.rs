//! Statements of any bytes on a keyspace of four shards: what is planned names shards that there are, each once, and texts that
//! can be written.
//!
//! The first byte chooses the sql_mode, whether parameters have values, and whether texts are UTF-8.

#![no_main]

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use shardlift::gateway::plan::bind::edits;
use shardlift::gateway::plan::{Bound, Catalog, Column, Parts, TableColumns, Text, Value, Values, Work, plan};
use shardlift::gateway::sql::{Kind, SqlMode, analyze, splice};
use shardlift::model::ColumnKind;
use shardlift::sharding::vschema::{KeyspaceSchema, parse};
use shardlift::sharding::{KeyType, ShardMap};

const VSCHEMA: &str = r#"{"sharded": true,
  "vindexes": {"hash": {"type": "hash"}, "xx": {"type": "xxhash"},
    "multi": {"type": "multicol", "params": {"column_count": "2", "column_bytes": "1,7"}}},
  "tables": {
    "customer": {"column_vindexes": [{"column": "id", "name": "hash"}], "auto_increment": {"column": "id", "sequence": "seq"}},
    "orders": {"column_vindexes": [{"column": "customer_id", "name": "hash"}]},
    "note": {"column_vindexes": [{"column": "name", "name": "xx"}]},
    "place": {"column_vindexes": [{"columns": ["region", "id"], "name": "multi"}]},
    "country": {"type": "reference"},
    "fixed": {"pinned": "c0"}}}"#;

struct World {
    schema: KeyspaceSchema,
    columns: HashMap<String, Arc<TableColumns>>,
    map: ShardMap,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let int = || ColumnKind::Int { width: 8, unsigned: false };
    let text = || ColumnKind::Text { charset: "utf8mb4".into(), collation: "utf8mb4_0900_ai_ci".into() };
    let exact = || ColumnKind::Text { charset: "utf8mb4".into(), collation: "utf8mb4_0900_bin".into() };
    let tables = [
        ("customer", vec![("id", int()), ("name", text()), ("age", int()), ("kind", ColumnKind::Enum)]),
        ("orders", vec![("id", int()), ("customer_id", int()), ("price", ColumnKind::Decimal), ("sku", text())]),
        ("note", vec![("name", exact()), ("body", text())]),
        ("place", vec![("region", int()), ("id", int()), ("x", int())]),
        ("country", vec![("code", int()), ("label", text())]),
        ("fixed", vec![("a", int())]),
    ];
    let column = |(name, kind): (&str, ColumnKind)| Column {
        name: name.into(),
        key: KeyType::of(&kind).ok().map(|key| key.declared("varchar", 100)),
        kind: Some(kind),
        blank: None,
        generated: false,
        invisible: false,
        counts: false,
    };
    let columns = tables.map(|(name, columns)| {
        (name.to_owned(), Arc::new(TableColumns { columns: columns.into_iter().map(column).collect() }))
    });
    let shards = ["-40", "40-80", "80-c0", "c0-"].map(|name| name.parse().unwrap());
    World {
        schema: KeyspaceSchema::new(&parse(VSCHEMA).unwrap()).unwrap(),
        columns: columns.into_iter().collect(),
        map: ShardMap::complete(shards).unwrap(),
    }
});

fuzz_target!(|input: &[u8]| {
    let Some((bits, sql)) = input.split_first() else { return };
    let (ansi_quotes, no_backslash_escapes, zero_is_zero) = (bits & 1 != 0, bits & 2 != 0, bits & 16 != 0);
    let mode = SqlMode { ansi_quotes, no_backslash_escapes, zero_is_zero };
    let statement = analyze(sql, mode);
    // Others are refused before.
    if !statement.certain {
        return;
    }
    let World { schema, columns, map } = &*WORLD;
    let text = Text::new(sql, mode);
    let catalog = Catalog { keyspace: "ks", schema, columns };
    let Ok(plan) = plan(&statement, &text, &catalog) else { return };
    let given: Vec<Value<'_>> = (0..text.parameters.len()).map(|at| Value::Int(at as i128)).collect();
    let bound: Option<Bound<'_>> = (bits & 4 != 0).then_some(&given[..]);
    let values = Values { text: &text, bound, utf8: bits & 8 == 0 };
    // Sequences number what lacks a number.
    let mut numbers = Vec::new();
    if let Work::Insert(insert) = &plan.work
        && let Some(lacking) = insert.lacking(&values)
    {
        numbers = lacking.iter().enumerate().map(|(at, lacks)| lacks.then_some(at as i128 + 1)).collect();
    }
    let Ok(Some(parts)) = plan.bind(&values, map, &numbers) else { return };
    let parts: Vec<_> = match parts {
        Parts::One(shard, changes) => vec![(shard.unwrap_or(0), changes)],
        Parts::Several(parts, _) => parts.into_iter().map(|part| (part.shard, part.changes)).collect(),
    };
    assert!(!parts.is_empty() && parts.iter().all(|(shard, _)| *shard < map.shards().len()));
    let writes = matches!(statement.kind, Kind::Dml(_));
    for (place, (shard, changes)) in parts.iter().enumerate() {
        assert!(parts[..place].iter().all(|(other, _)| other < shard), "{parts:?}");
        let (mut all, kept) = edits(&text, changes, Vec::new());
        let sent = splice(sql, &mut all);
        // What a shard gets is a statement of the same kind.
        let again = analyze(&sent, mode);
        assert_eq!(writes, matches!(again.kind, Kind::Dml(_)), "{}", String::from_utf8_lossy(&sent));
        let parameters = kept.map_or(text.parameters.len(), |kept| kept.len());
        assert_eq!(Text::new(&sent, mode).parameters.len(), parameters, "{}", String::from_utf8_lossy(&sent));
    }
});
