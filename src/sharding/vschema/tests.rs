use super::*;
use crate::model::{KeyspaceName, VSchema};
use crate::sharding::{KeyValue, ShardMap};

const FULL: &str = include_str!("tests/vitess.json");
const COMPACT: &str = include_str!("tests/vitess-compact.json");

fn keyspace(name: &str) -> KeyspaceName {
    name.parse().unwrap()
}

fn wrong(text: &str) -> String {
    match parse(text) {
        Err(error) => error.to_string(),
        Ok(read) => KeyspaceSchema::new(&read).unwrap_err().join("\n"),
    }
}

#[test]
fn documents_of_vitess_come_out_as_they_went_in() {
    let read = parse(FULL).unwrap();
    assert_eq!(format!("{}\n", print(&read, false).unwrap()), FULL);
    assert_eq!(format!("{}\n", print(&read, true).unwrap()), COMPACT);
    assert_eq!(parse(COMPACT).unwrap(), read);
    let camel = FULL.replace("column_vindexes", "columnVindexes").replace("foreign_key_mode", "foreignKeyMode");
    assert_eq!(parse(&camel).unwrap(), read);
    assert_eq!(serde_json::from_str::<VSchema>(FULL).unwrap(), read, "the record in the topology");
    assert_eq!(parse("{}").unwrap(), VSchema::default());
    assert_eq!(print(&VSchema::default(), true).unwrap(), "{}");
}

#[test]
fn what_is_not_understood_is_named_with_its_path() {
    for (text, why) in [
        ("[]", "the whole: expected an object, found a list"),
        ("{", "not valid JSON"),
        ("{} {}", "not valid JSON"),
        (r#"{"shraded": true}"#, "VSchema, shraded: unknown field; there may be sharded, vindexes, tables"),
        (r#"{"sharded": "yes"}"#, "sharded: expected true or false, found a string"),
        (r#"{"sharded": true, "sharded": false}"#, "sharded: it is there twice"),
        (r#"{"tables": {"t": {}, "t": {}}}"#, "tables.t: it is there twice"),
        (r#"{"vindexes": {"h": {"type": "hash", "params": {"a": 1}}}}"#, "vindexes.h.params.a: expected a string"),
        (
            r#"{"tables": {"t": {"column_vindexes": [{"colunm": "id"}]}}}"#,
            "tables.t.column_vindexes[0].colunm: unknown field; there may be column, name, columns",
        ),
        (r#"{"tables": {"t": {"columns": [{"type": "INT"}]}}}"#, "tables.t.columns[0].type: expected the name"),
        (r#"{"tables": {"t": {"auto_increment": {"seq": "x"}}}}"#, "tables.t.auto_increment.seq: unknown field"),
        (r#"{"foreign_key_mode": "managed"}"#, "foreign_key_mode: mode managed is not supported"),
        (r#"{"foreignKeyMode": 3}"#, "mode managed is not supported"),
        (r#"{"multi_tenant_spec": {}}"#, "multi_tenant_spec: multi-tenant keyspaces are not supported"),
    ] {
        let found = parse(text).unwrap_err().to_string();
        assert!(found.contains(why), "{text}: {found}");
    }
}

#[test]
fn everything_that_is_wrong_is_named_at_once() {
    let sharded = |tables: &str| {
        let multicol = r#""m": {"type": "multicol", "params": {"column_count": "2"}}"#;
        format!(r#"{{"sharded": true, "vindexes": {{"h": {{"type": "hash"}}, {multicol}}}, "tables": {tables}}}"#)
    };
    let table = |body: &str| sharded(&format!(r#"{{"t": {body}}}"#));
    for (body, why) in [
        ("{}", "table t: it has no vindex, so that nobody can tell where its rows are"),
        (r#"{"type": "sequence"}"#, "a sequence must be in an unsharded keyspace"),
        (r#"{"type": "other"}"#, "`other` is no type"),
        (r#"{"pinned": "8"}"#, "pinned: `8` is no keyspace id"),
        (r#"{"type": "reference", "pinned": "80"}"#, "cannot be pinned"),
        (r#"{"type": "reference", "source": "a.b.c"}"#, "source: table `a.b.c` is not valid"),
        (r#"{"source": "a.b", "pinned": "80"}"#, "only a reference table has a source"),
        (r#"{"type": "reference", "column_vindexes": [{"column": "a", "name": "h"}]}"#, "in one place without them"),
        (r#"{"column_vindexes": [{"column": "a", "name": "x"}]}"#, "vindex `x` is not among"),
        (r#"{"column_vindexes": [{"name": "h"}]}"#, "name either column or columns"),
        (r#"{"column_vindexes": [{"column": "a", "columns": ["a"], "name": "h"}]}"#, "name either column or columns"),
        (r#"{"column_vindexes": [{"column": "a", "name": "m"}]}"#, "vindex m is over 2 columns, and 1 are named"),
        (r#"{"column_vindexes": [{"columns": ["a", "A"], "name": "m"}]}"#, "must be different ones"),
        (
            r#"{"column_vindexes": [{"column": "a", "name": "h"}, {"columns": ["a", "b"], "name": "m"}]}"#,
            "it must be the first one",
        ),
        (
            r#"{"column_vindexes": [{"column": "a", "name": "h"}], "columns": [{"name": "b"}],
                "column_list_authoritative": true}"#,
            "column a is not in the list of columns",
        ),
        (r#"{"pinned": "80", "columns": [{"name": "b"}, {"name": "B"}]}"#, "column B is listed twice"),
        (r#"{"pinned": "80", "auto_increment": {"sequence": "s"}}"#, "auto_increment names no column"),
        (r#"{"pinned": "80", "auto_increment": {"column": "a"}}"#, "auto_increment, sequence: table ``"),
    ] {
        let found = wrong(&table(body));
        assert!(found.contains(why), "{body}: {found}");
    }
    let several = wrong(
        r#"{"sharded": true, "vindexes": {"a": {"type": "hsah"}, "b": {"type": "lookup", "owner": "t"}},
        "tables": {"t": {}, "u": {"column_vindexes": [{"column": "c", "name": "a"}]}}}"#,
    );
    assert_eq!(several.lines().count(), 4, "{several}");
    assert!(several.contains("vindex b: only lookup vindexes have an owner"), "{several}");
}

#[test]
fn references_are_looked_up_in_the_other_keyspaces() {
    let schema = |text: &str| KeyspaceSchema::new(&parse(text).unwrap()).unwrap();
    let mut all = References::from([
        (keyspace("commerce"), schema(r#"{"tables": {"customer_seq": {"type": "sequence"}, "country": {}}}"#)),
        (keyspace("customer"), schema(FULL)),
    ]);
    assert_eq!(references(&all), []);
    all.insert(keyspace("commerce"), schema("{}"));
    let found = references(&all);
    assert!(found.len() == 1 && found[0].1.contains("keyspace commerce has no table customer_seq"), "{found:?}");
    all.remove(&keyspace("commerce"));
    let found: Vec<String> = references(&all).into_iter().map(|(at, why)| format!("{at}: {why}")).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("customer: table country: source commerce.country: no such keyspace"), "{found:?}");
}

#[test]
fn rows_are_found() {
    let schema = KeyspaceSchema::new(&parse(FULL).unwrap()).unwrap();
    let shards = ShardMap::complete(["-80", "80-"].map(|name| name.parse().unwrap())).unwrap();
    let customer = schema.tables["customer"].primary_vindex().unwrap();
    let place = |id| customer.shards(&[KeyValue::int(id)], &shards).unwrap();
    assert_eq!((place(1), place(8), place(10)), (1..2, 0..1, 0..1), "xxhash");
    let visit = schema.tables["visit"].primary_vindex().unwrap();
    assert_eq!(visit.shards(&[KeyValue::int(0x80)], &shards).unwrap(), 1..2, "the region alone");
    assert_eq!(visit.shards(&[KeyValue::int(0x7f), KeyValue::int(1)], &shards).unwrap(), 0..1);
    assert!(matches!(&schema.tables["log"].placement, Placement::Pinned(id) if id == &[0x80]));
    assert!(schema.tables["country"].primary_vindex().is_none());
}

#[test]
fn changes_that_would_hide_rows_are_told_from_others() {
    let old = parse(FULL).unwrap();
    let told = |change: &dyn Fn(&mut VSchema)| {
        let mut new = old.clone();
        change(&mut new);
        plan(&old, &new).into_iter().map(|c| format!("{c}{}", if c.moves_rows { " !" } else { "" })).collect::<Vec<_>>()
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(told(&|_| {}), none);
    assert_eq!(told(&|new| drop(new.tables.remove("log"))), ["- table log"]);
    assert_eq!(
        told(&|new| new.vindexes.get_mut("xx").unwrap().vindex_type = "hash".into()),
        ["~ vindex xx", "~ table customer: its vindex !"]
    );
    let column = |new: &mut VSchema| new.tables.get_mut("customer").unwrap().column_vindexes[0].column = "email".into();
    assert_eq!(told(&column), ["~ table customer !"]);
    let case =
        |new: &mut VSchema| new.tables.get_mut("customer").unwrap().column_vindexes[0].column = "CUSTOMER_ID".into();
    assert_eq!(told(&case), ["~ table customer"]);
    let unsharded = told(&|new| new.sharded = false);
    assert_eq!(unsharded, ["~ the keyspace becomes unsharded !"]);
    let added = |new: &mut VSchema| drop(new.tables.insert("new".into(), Default::default()));
    assert_eq!(told(&added), ["+ table new"]);
}
