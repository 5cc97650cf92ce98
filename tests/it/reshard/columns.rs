//! A row's shard is the same whichever way the row comes: by the copy, by the binlog, through the gateway; for every kind of
//! column that rows can be sharded by. What the shards' rows are found by is held to what one server with all of them finds.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use super::place;
use super::stage::Stage;
use crate::harness::{Db, until};
use crate::scenario::PATIENCE;

/// How the first byte of a keyspace id is found out without the product.
enum Known {
    /// The server says it in SQL, as a number.
    Sql(&'static str),
    /// It is the xxHash of the text that this gives.
    Hash(&'static str),
    /// It is the MD5 sum of the bytes whose hexadecimal digits this gives. MySQL has no function for it any more.
    Md5(&'static str),
    /// It is not.
    No,
}

/// A table that is sharded by a column `k`.
struct Kind {
    name: &'static str,
    column: &'static str,
    vindex: &'static str,
    known: Known,
    values: &'static [&'static str],
}

const TEXTS: &[&str] = &["'ab'", "'ab  '", "'AB'", "'Straße'", "'strasse'", "'Ünï'", "''", "'x y'", "'zé'"];
const BYTES: &[&str] = &["'ab'", "'ab  '", "'€'", "'zz'", "''", "'~'", "'abcd'", "'é'"];
const NUMBERS: &[&str] = &["0", "1", "2", "77", "128", "65535", "4611686018427387904", "9223372036854775807"];

const KINDS: &[Kind] = &[
    Kind {
        name: "latin",
        column: "CHAR(12) CHARACTER SET latin1 COLLATE latin1_bin",
        vindex: r#"{"type": "binary_md5"}"#,
        known: Known::Md5("HEX(CONVERT(k USING utf8mb4))"),
        values: TEXTS,
    },
    Kind {
        name: "nopad",
        column: "VARCHAR(12) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin",
        vindex: r#"{"type": "xxhash"}"#,
        known: Known::Hash("k"),
        values: TEXTS,
    },
    Kind {
        name: "padded",
        column: "VARCHAR(12) CHARACTER SET utf8mb3 COLLATE utf8mb3_bin",
        vindex: r#"{"type": "unicode_loose_xxhash"}"#,
        known: Known::No,
        values: TEXTS,
    },
    Kind {
        name: "loose",
        column: "VARCHAR(12) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci",
        vindex: r#"{"type": "unicode_loose_md5"}"#,
        known: Known::No,
        values: TEXTS,
    },
    Kind {
        name: "fixed",
        column: "BINARY(4)",
        vindex: r#"{"type": "binary"}"#,
        known: Known::Sql("ORD(k)"),
        values: BYTES,
    },
    Kind {
        name: "octets",
        column: "VARBINARY(8)",
        vindex: r#"{"type": "binary_md5"}"#,
        known: Known::Md5("HEX(k)"),
        values: BYTES,
    },
    Kind {
        name: "number",
        column: "BIGINT UNSIGNED",
        vindex: r#"{"type": "numeric"}"#,
        known: Known::Sql("k >> 56"),
        values: &[
            "0",
            "1",
            "4611686018427387904",
            "9223372036854775808",
            "13835058055282163712",
            "18446744073709551615",
        ],
    },
    Kind {
        name: "reversed",
        column: "BIGINT",
        vindex: r#"{"type": "reverse_bits"}"#,
        known: Known::Sql("CONV(REVERSE(LPAD(BIN(k & 255), 8, '0')), 2, 10)"),
        values: NUMBERS,
    },
    Kind {
        name: "day",
        column: "DATE",
        vindex: r#"{"type": "xxhash"}"#,
        known: Known::Hash("k"),
        values: &["'2026-01-01'", "'1970-02-03'", "'2024-02-29'", "'9999-12-31'", "'2000-10-10'"],
    },
    Kind {
        name: "several",
        column: "BIGINT",
        vindex: r#"{"type": "multicol", "params": {"column_count": "2", "column_bytes": "1,7", "column_vindex": "xxhash,xxhash"}}"#,
        known: Known::Hash("region"),
        values: NUMBERS,
    },
];

impl Kind {
    fn table(&self) -> String {
        format!("CREATE TABLE {} (n INT PRIMARY KEY, region SMALLINT NOT NULL, k {}, note INT)", self.name, self.column)
    }

    fn vschema(&self) -> String {
        let columns =
            if self.vindex.contains("multicol") { r#""columns": ["region", "k"]"# } else { r#""column": "k""# };
        format!(r#""{0}": {{"column_vindexes": [{{{columns}, "name": "{0}"}}]}}"#, self.name)
    }

    /// A row for each value, numbered from `first` on.
    fn insert(&self, first: usize) -> String {
        let rows =
            self.values.iter().enumerate().map(|(at, value)| format!("({}, {}, {value}, 0)", first + at, at % 5 * 2));
        format!("INSERT INTO {} (n, region, k, note) VALUES {}", self.name, rows.collect::<Vec<_>>().join(", "))
    }

    /// Whether a row belongs to a shard, by what the server has said of it.
    fn belongs(&self, shard: &str, said: &str) -> bool {
        match self.known {
            Known::Sql(_) => place::covers(shard, said.parse().unwrap()),
            Known::Hash(_) => place::covers(shard, place::first_byte_of(said.as_bytes())),
            Known::Md5(_) => place::covers(shard, first_byte_of_md5(said)),
            Known::No => true,
        }
    }

    /// The rows of a shard, by number; each where it belongs, as far as that is known.
    async fn rows(&self, db: &Db, shard: &str) -> BTreeMap<u32, String> {
        let known = match self.known {
            Known::Sql(text) | Known::Hash(text) | Known::Md5(text) => text,
            Known::No => "0",
        };
        let rows =
            db.rows(&format!("SELECT n, CONCAT_WS(',', region, HEX(k), note), {known} FROM {}", self.name)).await;
        let rows = rows.into_iter().map(|row| {
            let [Some(n), Some(content), Some(said)] = row.as_slice() else { panic!("{row:?}") };
            assert!(self.belongs(shard, said), "{} {content} is on {shard}, where it does not belong", self.name);
            (n.parse().unwrap(), content.clone())
        });
        rows.collect()
    }
}

/// As `md5sum` has it.
fn first_byte_of_md5(hex: &str) -> u8 {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    let mut sum = Command::new("md5sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    sum.stdin.take().unwrap().write_all(&bytes).unwrap();
    let said = sum.wait_with_output().unwrap().stdout;
    u8::from_str_radix(str::from_utf8(&said[..2]).unwrap(), 16).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_has_one_place_whichever_way_it_comes() {
    let stage = Stage::start(&["-80", "80-"]).await;
    let (zero, new) = (stage.db("0"), ["-80", "80-"]);
    let all = async |sql: &dyn Fn(&Kind) -> String, db: &Db| {
        for kind in KINDS {
            db.exec(&sql(kind)).await;
        }
    };
    all(&Kind::table, zero).await;
    let vindexes: Vec<_> = KINDS.iter().map(|kind| format!(r#""{}": {}"#, kind.name, kind.vindex)).collect();
    let tables: Vec<_> = KINDS.iter().map(Kind::vschema).collect();
    let text = format!(
        r#"{{"sharded": true, "vindexes": {{"xxhash": {{"type": "xxhash"}}, {}}}, "tables": {{
            "customer": {{"column_vindexes": [{{"column": "customer_id", "name": "xxhash"}}]}},
            "corder": {{"column_vindexes": [{{"column": "customer_id", "name": "xxhash"}}]}},
            "country": {{"type": "reference"}}, {}}}}}"#,
        vindexes.join(", "),
        tables.join(", ")
    );
    stage.apply_vschema(&text).await;

    all(&|kind| kind.insert(0), zero).await;
    stage.reshard("split", "0", "-80,80-", "").await;
    stage.state("split", "Running").await;
    all(&|kind| kind.insert(100), zero).await;
    // Some go elsewhere, some stay.
    all(&|kind| format!("UPDATE {} SET note = 1, k = {} WHERE n % 3 = 0", kind.name, kind.values[1]), zero).await;
    stage.must("switch-traffic", "split").await;
    let gateway = stage.cluster.gateway("").await;
    let through = Db::over(gateway.opts(), "customer", "the gateway".into());
    all(&|kind| kind.insert(200), &through).await;

    for kind in KINDS {
        let mut there = BTreeMap::new();
        let mut shards = 0;
        for shard in new {
            let rows = kind.rows(stage.db(shard), shard).await;
            shards += usize::from(!rows.is_empty());
            for (n, content) in rows {
                assert_eq!(there.insert(n, content), None, "{} {n} is on both shards", kind.name);
            }
        }
        assert_eq!((there.len(), shards), (kind.values.len() * 3, 2), "{}: {there:?}", kind.name);
        until(&format!("{} has come back to shard 0", kind.name), PATIENCE, async || {
            let back = kind.rows(zero, "0").await;
            if back == there { Ok(()) } else { Err(format!("{back:?} and {there:?}")) }
        })
        .await;
        for value in kind.values {
            // With all columns of the vindex, and with those alone that a client would know.
            for more in ["", " AND region IN (0, 2, 4, 6, 8)"] {
                let ask = format!("SELECT n FROM {} WHERE k = {value}{more} ORDER BY n", kind.name);
                assert_eq!(through.rows(&ask).await, zero.rows(&ask).await, "{ask}");
            }
        }
    }
    gateway.stop().await;
    stage.must("reverse-traffic", "split").await;
    stage.must("cancel", "split").await;
    stage.stop().await;
}
