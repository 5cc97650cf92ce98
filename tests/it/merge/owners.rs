//! Whose a row is, and which tables one source feeds alone. No server is asked.

use std::sync::Arc;

use shardlift::engine::conflict::{Owners, Ownership};
use shardlift::mapping::Mapping;
use shardlift::model::{Column, ColumnKind, Key, Row, TableDef};
use shardlift::mysql::schema::SourceTable;
use shardlift::sharding::ShardMap;
use shardlift::sharding::vschema::{KeyspaceSchema, parse};

fn table(name: &str) -> TableDef {
    let column = |name: &str, ordinal| Column {
        name: name.into(),
        kind: ColumnKind::Int { width: 8, unsigned: true },
        nullable: ordinal > 0,
        zerofill: false,
        ordinal,
    };
    TableDef {
        name: name.parse().unwrap(),
        columns: vec![column("id", 0), column("sk", 1)],
        column_count: 2,
        key: Key { name: "PRIMARY".into(), columns: vec![0] },
        other_unique: true,
        cascades: false,
        sharding: vec![],
    }
}

fn owners(own: usize) -> Owners {
    let text = r#"{"sharded": true, "vindexes": {"n": {"type": "numeric"}}, "tables": {
        "corder": {"column_vindexes": [{"column": "sk", "name": "n"}]}, "country": {"type": "reference"}}}"#;
    let schema = KeyspaceSchema::new(&parse(text).unwrap()).unwrap();
    let shards = ShardMap::span(["-80", "80-"].map(|name| name.parse().unwrap())).unwrap();
    Owners { sources: Vec::new(), own, mapping: Mapping::sharded(Arc::new(schema), shards) }
}

fn source_table(name: &str, odd: &[&str]) -> SourceTable {
    let unique = Key { name: "u".into(), columns: vec![1] };
    SourceTable {
        def: table(name),
        create: String::new(),
        approx_rows: 0,
        avg_row_bytes: 0,
        data_bytes: 0,
        deferrable: Vec::new(),
        uniques: vec![unique],
        odd_uniques: odd.iter().map(|name| name.to_string()).collect(),
    }
}

#[test]
fn a_reference_table_is_fed_by_the_first_source_alone() {
    for (own, left_out) in [(0, false), (1, true)] {
        assert_eq!(owners(own).leave_out(&table("country")).unwrap(), left_out);
        assert!(!owners(own).leave_out(&table("corder")).unwrap());
    }
}

#[test]
fn a_row_is_its_shards_and_its_null_values_collide_with_nothing() {
    let bound = |odd: &[&str]| {
        let table = source_table("corder", odd);
        let def = Arc::new(table.def.clone());
        Ownership::bind(owners(0), [(&table, def)])
    };
    let ownership = bound(&[]).unwrap();
    let corder = ownership.table(&"corder".parse().unwrap()).unwrap();
    for (sk, owner) in [("7", 0), ("9223372036854775808", 1)] {
        assert_eq!(ownership.owner(corder, |_| Some(sk.as_bytes())).unwrap(), owner);
    }
    let row: Row = [Some(&b"1"[..]), None].into_iter().collect();
    let keys: Vec<_> = corder.keys_of(&row).map(|(by, _)| by.key.name.clone()).collect();
    assert_eq!(keys, ["PRIMARY"]);
    assert!(bound(&["part"]).unwrap_err().to_string().contains("`part`"));
}
