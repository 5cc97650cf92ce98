//! Rows that lack a number, which a sequence or, if nobody heeds it, a server gives them.

use super::*;

fn lacking(sql: &str, mode: SqlMode, bound: Option<Bound<'_>>) -> Vec<bool> {
    let world = World::new();
    let text = Text::new(sql.as_bytes(), mode);
    let Work::Insert(insert) = world.plan(sql).unwrap().work else { panic!("no insert") };
    insert.lacking(&Values { text: &text, bound, utf8: true }).unwrap()
}

#[test]
fn what_reads_as_zero_asks_for_a_number() {
    let sql = "INSERT INTO customer (id, name) VALUES (0, 'a'), ('0', 'b'), (-0, 'c'), (' 0.0', 'd'), (0.0, 'e'), (?, 'f'), (?, 'g')";
    let bound = [Value::Text("0".into()), Value::Bytes(b"00".as_slice().into())];
    assert_eq!(lacking(sql, SqlMode::default(), Some(&bound)), [true; 7]);
    let zeros = SqlMode { zero_is_zero: true, ..SqlMode::default() };
    assert_eq!(lacking(sql, zeros, Some(&bound)), [false; 7]);
    let sql = "INSERT INTO customer (id, name) VALUES (NULL, 'a'), (DEFAULT, 'b'), ('7', 'c')";
    assert_eq!(lacking(sql, zeros, None), [true, true, false]);
}

#[test]
fn a_sign_goes_with_the_zero_it_stands_before() {
    let world = World::new();
    for (sql, expected) in [
        ("INSERT INTO customer (id) VALUES (-0)", "INSERT INTO customer (id) VALUES (3)"),
        ("INSERT INTO customer (id) VALUES (-0), (1)", "INSERT INTO customer (id) VALUES ( 3 )"),
    ] {
        let text = Text::new(sql.as_bytes(), SqlMode::default());
        let changes = match world.bind(sql, None, &[Some(3), None]).unwrap().unwrap() {
            Parts::One(_, changes) => changes,
            Parts::Several(parts, _) => parts.into_iter().find(|part| part.shard == 1).unwrap().changes,
        };
        let found = splice(sql.as_bytes(), &mut edits(&text, &changes, Vec::new()).0);
        assert_eq!(String::from_utf8(found).unwrap(), expected);
    }
}

#[test]
fn a_server_does_not_number_what_says_where_the_row_belongs() {
    let world = World::new();
    world.refuses(
        "each shard would store a number of its own",
        &[
            "INSERT INTO own VALUES (0, 'a')",
            "INSERT INTO own (name, serial) VALUES ('a', 1), ('b', '0')",
            "INSERT INTO own SET serial = NULL",
            "INSERT INTO own (serial) VALUES (DEFAULT)",
            "INSERT INTO copied VALUES (0, 'a')",
            "INSERT INTO copied (name) VALUES ('a')",
            "INSERT INTO copied (name, serial) VALUES ('a', 1 + 1)",
            "REPLACE copied SET name = 'a'",
        ],
    );
    // A sequence may number another column.
    assert_eq!(lacking("INSERT INTO both VALUES (3, NULL), (0, 7)", SqlMode::default(), None), [true, false]);
    world.refuses("row 2: serial of both", &["INSERT INTO both VALUES (3, NULL), (0, 7)"]);
    assert_eq!(world.shards("INSERT INTO own VALUES (3, 'a')"), [1]);
    assert_eq!(world.shards("INSERT INTO copied VALUES (3, 'a')"), [0, 1, 2, 3]);
    let sql = "INSERT INTO own VALUES (0, 'a')";
    let text = Text::new(sql.as_bytes(), SqlMode { zero_is_zero: true, ..SqlMode::default() });
    let bound = world.plan(sql).unwrap().bind(&Values { text: &text, bound: None, utf8: true }, &world.map, &[]);
    assert!(matches!(bound, Ok(Some(Parts::One(Some(_), _)))), "{bound:?}");
    let sql = "INSERT INTO own (serial) VALUES (?)";
    assert!(world.bind(sql, None, &[]).unwrap().is_none());
    assert!(world.bind(sql, Some(&[Value::Text("0".into())]), &[]).is_err());
}
