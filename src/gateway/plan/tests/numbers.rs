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

/// What order a table's columns are in by now is the server's to know; where the row goes was decided by the known one.
#[test]
fn values_are_stored_in_the_columns_they_were_taken_for() {
    let world = World::new();
    let sent = |sql: &str| world.texts(sql).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    assert_eq!(sent("INSERT INTO own VALUES (3, 'a')"), ["INSERT INTO own (`serial`, `name`) VALUES (3, 'a')"]);
    let several = sent("REPLACE own VALUES (3, 'a'), (1, 'b')");
    assert_eq!(
        several,
        ["REPLACE own (`serial`, `name`) VALUES (1, 'b')", "REPLACE own (`serial`, `name`) VALUES (3, 'a')"]
    );
    assert_eq!(
        sent("INSERT INTO own (name, serial) VALUES ('a', 3)"),
        ["INSERT INTO own (name, serial) VALUES ('a', 3)"]
    );
    assert_eq!(sent("INSERT INTO own SET serial = 3"), ["INSERT INTO own SET serial = 3"]);
}

/// Vindexes such as xxhash have a keyspace id for NULL.
#[test]
fn no_row_is_placed_by_the_null_that_its_number_stands_in_for() {
    let world = World::new();
    for table in ["customer (id, name)", "word (word, name)"] {
        for value in ["7 + 1", "((8))", "(8)", "+8", "@id", "? + 1", "LAST_INSERT_ID()", "(NULL)", "x'41'"] {
            let sql = format!("INSERT INTO {table} VALUES (3, 'a'), ({value}, 'x')");
            let bound = [Value::Int(7)];
            match world.bind(&sql, Some(&bound[..usize::from(value.contains('?'))]), &[]) {
                Err(why) => {
                    assert!(why.starts_with("row 2: a sequence numbers") && why.contains("leave"), "{sql}: {why}")
                }
                other => panic!("{sql}: {other:?}"),
            }
        }
    }
    world.refuses(
        "give the value itself",
        &["INSERT INTO word SET word = 7 + 1", "REPLACE word SET word = @x, name = 'a'"],
    );
    world.refuses("row 2: a sequence numbers word of word", &["INSERT INTO word VALUES (3, 'a'), ()"]);
    world.refuses("its rows cannot be read", &["INSERT INTO word VALUES"]);
    world.refuses("0 values for 1 columns", &["INSERT INTO word (name) VALUES ()"]);
    // Nobody has numbered them.
    world.refuses(
        "a sequence numbers",
        &["INSERT INTO word VALUES (NULL, 'a')", "INSERT INTO word (name) VALUES ('a')"],
    );
    let given = |sql: &str, number| match world.bind(sql, None, &[Some(number)]) {
        Ok(Some(Parts::One(Some(_), changes))) => changes.len(),
        other => panic!("{sql}: {other:?}"),
    };
    for (sql, changes) in [
        ("INSERT INTO word () VALUES ()", 2),
        ("INSERT INTO word (name) VALUES ('a')", 2),
        ("INSERT INTO word VALUES (NULL, 'a')", 2),
        ("INSERT INTO word VALUES (DEFAULT, 'a')", 2),
        ("INSERT INTO word VALUES (0, 'a')", 2),
        ("INSERT INTO word SET name = 'a'", 1),
    ] {
        assert_eq!(lacking(sql, SqlMode::default(), None), [true], "{sql}");
        assert_eq!(given(sql, 3), changes, "{sql}");
    }
}

fn on_one(sql: &str) -> Result<Option<Parts>, String> {
    let world = World { map: ShardMap::complete(vec!["-".parse().unwrap()]).unwrap(), ..World::new() };
    world.bind(sql, None, &[])
}

/// Else two shards would give the same number.
#[test]
fn servers_of_several_shards_number_no_rows() {
    let world = World::new();
    for sql in [
        "INSERT INTO entry (of) VALUES (3)",
        "INSERT INTO entry (of, serial) VALUES (3, NULL)",
        "INSERT INTO entry (of, serial) VALUES (3, 0)",
        "INSERT INTO entry (of, serial) VALUES (3, DEFAULT)",
        "INSERT INTO entry (of, serial) VALUES (3, '')",
        "INSERT INTO entry (of, serial) VALUES (3, 0x0)",
        "INSERT INTO entry (of, serial) VALUES (3, 1 - 1)",
        "INSERT INTO entry VALUES (3, FALSE)",
        "REPLACE entry SET of = 3",
    ] {
        world.refuses("serial of entry is AUTO_INCREMENT, and each shard would store a number of its own", &[sql]);
        let one = on_one(sql);
        assert!(matches!(one, Ok(Some(Parts::One(Some(0), _)))), "{sql}: {one:?}");
    }
    world.refuses("row 2: serial of entry", &["INSERT INTO entry VALUES (3, 7), (3, NULL)"]);
    world.refuses("row 2: serial of own", &["INSERT INTO own VALUES (3, 'a'), (NULL, 'b')"]);
    assert_eq!(world.shards("INSERT INTO entry VALUES (3, 7), (1, '8')"), [0, 1]);
    assert_eq!(world.shards("INSERT INTO fixed VALUES (NULL)"), [3]);
    let unbound = world.bind("INSERT INTO entry VALUES (3, ?)", None, &[]);
    assert!(matches!(unbound, Ok(None)), "{unbound:?}");
    assert!(world.bind("INSERT INTO entry VALUES (3, ?)", Some(&[Value::Null]), &[]).is_err());
    // A sequence numbers the column, but for what is an expression.
    let numbered = world.bind("INSERT INTO drawn (of) VALUES (3)", None, &[Some(7)]);
    assert!(matches!(numbered, Ok(Some(Parts::One(Some(1), _)))), "{numbered:?}");
    assert_eq!(world.shards("INSERT INTO drawn VALUES (3, 7)"), [1]);
    world.refuses("a sequence numbers serial of drawn", &["INSERT INTO drawn VALUES (3, @x)"]);
    let zeros = SqlMode { zero_is_zero: true, ..SqlMode::default() };
    let sql = "INSERT INTO entry VALUES (3, 0)";
    let text = Text::new(sql.as_bytes(), zeros);
    let bound = world.plan(sql).unwrap().bind(&Values { text: &text, bound: None, utf8: true }, &world.map, &[]);
    assert!(matches!(bound, Ok(Some(Parts::One(Some(1), _)))), "{bound:?}");
}

#[test]
fn a_duplicate_gets_a_whole_key_or_keeps_its_own() {
    let world = World::new();
    let insert = |rest: &str| format!("INSERT INTO place (region, id, x) VALUES (1, 7, 2) {rest}");
    for rest in [
        "ON DUPLICATE KEY UPDATE region = VALUES(region)",
        "ON DUPLICATE KEY UPDATE id = VALUES(id), x = 3",
        "ON DUPLICATE KEY UPDATE region = region, id = VALUES(id)",
        "AS new ON DUPLICATE KEY UPDATE id = new.id",
    ] {
        world.refuses("must assign all of them", &[&insert(rest)]);
    }
    for rest in [
        "ON DUPLICATE KEY UPDATE region = 3, id = 4",
        "AS new (id, region, y) ON DUPLICATE KEY UPDATE id = new.id, region = new.region",
        "AS new (id, region, y) ON DUPLICATE KEY UPDATE id = id",
    ] {
        world.refuses("must not change it", &[&insert(rest)]);
    }
    for rest in [
        "ON DUPLICATE KEY UPDATE region = VALUES(region), id = VALUES(id)",
        "AS new ON DUPLICATE KEY UPDATE region = new.region, x = new.x, id = new.id",
        "ON DUPLICATE KEY UPDATE id = id, x = x + 1",
        "ON DUPLICATE KEY UPDATE id = place.id, region = region",
        "AS new (a, b, c) ON DUPLICATE KEY UPDATE x = c",
    ] {
        assert_eq!(world.shards(&insert(rest)), [0], "{rest}");
    }
}
