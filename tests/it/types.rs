//! Every type and its edge values, by copy and by binlog: the target's bytes are the source's (promise P3).

use crate::binlog_values::cases::{NUMBERS, OTHERS, STRINGS, TEMPORALS};
use crate::harness::TestCluster;
use crate::scenario::Move;

#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_as_it_was_both_ways() {
    let cluster = TestCluster::start().await;
    let source = cluster.source_db();
    let setup = "SET sql_mode = 'ALLOW_INVALID_DATES'; ";
    let cases = [NUMBERS, TEMPORALS, STRINGS, OTHERS].concat();
    let mut tables = Vec::new();
    for (index, (kind, values)) in cases.iter().enumerate() {
        let table = format!("t{index}");
        let rows: Vec<_> = values.iter().chain(&["NULL"]).enumerate().map(|(id, v)| format!("({id}, {v})")).collect();
        let inserts: String = rows.iter().map(|row| format!("INSERT INTO {table} VALUES {row}; ")).collect();
        source.exec(&format!("{setup} CREATE TABLE {table} (id INT PRIMARY KEY, v {kind}); {inserts} DO 0")).await;
        tables.push(table);
    }
    let engine = cluster.shardlift().engine("one").await;
    let moved = Move::start(&cluster, &tables.join(","), "").await;
    moved.state("Running").await;
    let names: Vec<_> = tables.iter().map(String::as_str).collect();
    let copied: usize = moved.equal(&names).await.iter().sum();
    for table in &tables {
        // The same values once more, as inserts, then as updates of what was copied.
        let again = format!("INSERT INTO {table} SELECT id + 1000, v FROM {table}; ");
        let keys = format!("UPDATE {table} SET id = id + 5000 WHERE id < 1000 AND id % 2 = 0; ");
        source.exec(&format!("{setup} {again} {keys} DO 0")).await;
    }
    let all: usize = moved.equal(&names).await.iter().sum();
    assert_eq!(all, 2 * copied);
    println!("{} types, {all} rows: equal", tables.len());
    engine.stop().await;
}

/// An ENUM's error value is there because some session was not strict; it must arrive all the same.
#[tokio::test(flavor = "multi_thread")]
async fn enum_error_values_arrive() {
    let cluster = TestCluster::start().await;
    let source = cluster.source_db();
    source
        .exec(
            "SET sql_mode = ''; CREATE TABLE e (id INT PRIMARY KEY, v ENUM('a', '', '1'), w ENUM('x') NOT NULL);
             INSERT INTO e VALUES (1, 'a', 'x'), (2, 'nonsense', 'nonsense'), (3, '', 'x'), (4, '1', 'x'), (5, NULL, 'x')",
        )
        .await;
    let engine = cluster.shardlift().engine("one").await;
    let moved = Move::start(&cluster, "e", "--wait running").await;
    moved.equal(&["e"]).await;
    source
        .exec("SET sql_mode = ''; INSERT INTO e SELECT id + 10, v, w FROM e; UPDATE e SET w = 'zz' WHERE id = 1")
        .await;
    assert_eq!(moved.equal(&["e"]).await, [10]);
    engine.stop().await;
}

/// Keys of every kind that can be one: chunks are cut and rows found by them.
#[tokio::test(flavor = "multi_thread")]
async fn keys_of_every_kind_are_cut_and_found() {
    let cluster = TestCluster::start().await;
    let source = cluster.source_db();
    let kinds = [
        ("bigint unsigned", "CAST(n AS DECIMAL(30)) * 18446744073709551"),
        ("int", "n - 500"),
        ("decimal(20,5)", "n / 3 - 100"),
        ("double", "n / 7 - 50"),
        ("float", "n / 7 - 50"),
        ("date", "DATE'1000-01-01' + INTERVAL n * 300 DAY"),
        ("datetime(6)", "TIMESTAMP'2000-01-01 00:00:00' + INTERVAL n * 1000003 MICROSECOND"),
        ("timestamp(3)", "TIMESTAMP'2000-01-01 00:00:00' + INTERVAL n SECOND"),
        ("time(2)", "SEC_TO_TIME(n * 60 - 20000)"),
        ("bit(40)", "n * 1000003"),
        ("varbinary(20)", "UNHEX(CONCAT(LPAD(HEX(n), 6, '0'), '00'))"),
        ("binary(6)", "UNHEX(CONCAT(LPAD(HEX(n), 4, '0'), '00'))"),
        ("varchar(40) COLLATE utf8mb4_0900_ai_ci", "CONCAT(IF(n % 2, 'ä', 'Z'), n)"),
        ("varchar(40) COLLATE utf8mb4_bin", "CONCAT(IF(n % 2, 'a', 'Z'), n)"),
        ("char(12) CHARACTER SET latin1", "CONCAT(IF(n % 2, 'é', 'Z'), n)"),
        ("varchar(20) CHARACTER SET utf16", "CONCAT('ü', n)"),
        ("varchar(20) CHARACTER SET sjis", "CONCAT('表', n)"),
    ];
    let mut tables = Vec::new();
    for (index, (kind, expression)) in kinds.iter().enumerate() {
        let table = format!("k{index}");
        source
            .exec(&format!(
                "SET cte_max_recursion_depth = 2000; CREATE TABLE {table} (id {kind} NOT NULL, v INT, PRIMARY KEY (id));
                 INSERT INTO {table} WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1000)
                 SELECT {expression}, n FROM c"
            ))
            .await;
        tables.push(table);
    }
    // Composite, of mixed kinds and orders; and a table whose only key is a NOT NULL unique one.
    source
        .exec(
            "SET cte_max_recursion_depth = 2000;
             CREATE TABLE c3 (a VARCHAR(10), b INT, c DATE, v INT, PRIMARY KEY (a, b, c));
             INSERT INTO c3 WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1000)
             SELECT CONCAT('g', n DIV 100), n % 10, DATE'2020-01-01' + INTERVAL n DAY, n FROM c;
             CREATE TABLE u (a VARCHAR(10) NOT NULL, b INT NOT NULL, v INT, UNIQUE KEY ab (a, b));
             INSERT INTO u SELECT a, v, v FROM c3",
        )
        .await;
    tables.extend(["c3".to_string(), "u".to_string()]);
    let engine = cluster.shardlift().engine("one").await;
    let moved = Move::start(&cluster, &tables.join(","), "--chunk-bytes 2000 --round-ms 500").await;
    moved.state("Running").await;
    let names: Vec<_> = tables.iter().map(String::as_str).collect();
    assert!(moved.equal(&names).await.iter().all(|rows| *rows == 1000));
    for table in &tables {
        source
            .exec(&format!("DELETE FROM {table} WHERE v % 5 = 0; UPDATE {table} SET v = v + 5000 WHERE v % 5 = 1"))
            .await;
    }
    assert!(moved.equal(&names).await.iter().all(|rows| *rows == 800));
    engine.stop().await;
}
