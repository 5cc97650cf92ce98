//! Statements that no parser takes, or that the gateway's own scan is not certain of, and that name a moved table: whether
//! before a switch or after it, what comes back is the owner's, or a refusal; never what the other side still has.
//!
//! The list is made by a generator with a seed: depth beyond what is scanned, damaged statements, and rare but valid syntax.

use shardlift::gateway::sql::{SqlMode, analyze};
use shardlift::model::routing::TableMove;
use shardlift::model::workflow::TabletType;
use shardlift::model::{KeyspaceName, WorkflowName};
use shardlift::topology::records::GatewayPresence;
use shardlift::topology::{Txn, TxnOutcome, paths};

use super::raw::{MULTI_RESULTS, MULTI_STATEMENTS, Raw};
use super::reply::Answer;
use super::{open, say};
use crate::harness::{Db, Gateway, TestCluster, until};
use crate::scenario::PATIENCE;

const ALL: u32 = MULTI_STATEMENTS | MULTI_RESULTS;
/// Statements of one session.
const TOGETHER: usize = 25;
/// As many as must be uncertain, and as many as must be answered by the owner, so that the test says something.
const UNCERTAIN: usize = 220;
const ANSWERED: usize = 100;

/// Deeper than the scan goes.
const DEEP: usize = 1_001;

/// Rare but valid, or nearly so.
const RARE: &[&str] = &[
    "SELECT v FROM {OJ moving LEFT OUTER JOIN moving b ON moving.id = b.id}",
    "SELECT { d '2020-01-01' }, v FROM moving",
    "SELECT STRAIGHT_JOIN SQL_NO_CACHE HIGH_PRIORITY v FROM moving",
    "SELECT SQL_CALC_FOUND_ROWS v FROM moving LIMIT 1",
    "TABLE moving",
    "TABLE moving ORDER BY id LIMIT 1 OFFSET 0",
    "(TABLE moving) UNION ALL (TABLE moving)",
    "VALUES ROW(1, (SELECT MAX(v) FROM moving))",
    "SELECT v FROM moving USE INDEX FOR ORDER BY (PRIMARY) ORDER BY id",
    "SELECT v FROM moving IGNORE KEY FOR GROUP BY () FORCE INDEX (PRIMARY)",
    "SELECT v FROM moving PARTITION (p0)",
    "SELECT v FROM moving LOCK IN SHARE MODE",
    "SELECT v FROM moving FOR SHARE OF moving SKIP LOCKED",
    "SELECT v FROM moving FOR UPDATE NOWAIT",
    "SELECT v INTO @v FROM moving LIMIT 1; SELECT @v",
    "SELECT @v := v FROM moving",
    "SELECT MAX(v) FROM moving GROUP BY id WITH ROLLUP",
    "WITH RECURSIVE r(v) AS (SELECT v FROM moving) SELECT v FROM r",
    "WITH moving AS (SELECT v FROM moving) SELECT v FROM moving",
    "SELECT /*! STRAIGHT_JOIN */ v FROM /*!80000 moving */",
    "SELECT v FROM moving /*!99999 JOIN nowhere */",
    "SELECT v FROM moving -- JOIN nowhere\n",
    "SELECT v FROM moving # JOIN nowhere",
    "SELECT v FROM `moving`AS`a`",
    "SELECT v FROM(moving)",
    "SELECT v FROM((moving))",
    "SELECT v FROM (SELECT v FROM moving) AS d(v)",
    "SELECT d.v FROM moving m, LATERAL (SELECT m.v) d",
    "SELECT m.v FROM moving m, JSON_TABLE('[1]', '$[*]' COLUMNS (n INT PATH '$')) j",
    "SELECT v FROM moving WHERE id MEMBER OF ('[1]')",
    "SELECT v FROM moving WHERE (id, v) IN (SELECT id, v FROM moving)",
    "SELECT v, RANK() OVER w FROM moving WINDOW w AS (ORDER BY id)",
    "SELECT v FROM moving INTERSECT SELECT v FROM moving",
    "SELECT v FROM moving EXCEPT SELECT 1",
    "SELECT 1 FROM DUAL UNION SELECT v FROM moving",
    "DO (SELECT v FROM moving LIMIT 1)",
    "SET @v = (SELECT v FROM moving LIMIT 1); SELECT @v",
    "HANDLER moving OPEN; HANDLER moving READ FIRST; HANDLER moving CLOSE",
    "HANDLER moving OPEN AS h; HANDLER h READ `PRIMARY` FIRST; HANDLER h CLOSE",
    "PREPARE s FROM 'SELECT v FROM moving'; EXECUTE s",
    "SET @t = 'SELECT v FROM moving'; PREPARE s FROM @t; EXECUTE s",
    "CALL look_in()",
    "CALL commerce.look_in()",
    "CALL customer.look_in()",
    "SELECT of_moving()",
    "SELECT v FROM view_of_moving",
    "EXPLAIN ANALYZE SELECT v FROM moving",
    "EXPLAIN FORMAT=JSON INTO @e SELECT v FROM moving",
    "EXPLAIN FOR DATABASE commerce SELECT v FROM moving",
    "EXPLAIN FOR SCHEMA customer SELECT v FROM moving",
    "CHECKSUM TABLE moving EXTENDED",
    "SHOW CREATE TABLE moving",
    "SHOW INDEX FROM moving",
    "DESC moving v",
    "SELECT v FROM commerce.moving",
    "SELECT v FROM customer.moving",
    "SELECT commerce.moving.v FROM commerce . moving",
    "SELECT v FROM .moving",
    "SELECT v FROM MOVING",
    "SELECT v FROM moving;",
    "SELECT 1; SELECT v FROM moving; SELECT 2",
    "BEGIN; SELECT v FROM moving; COMMIT",
    "FROBNICATE moving",
    "FROBNICATE TABLE commerce.moving",
    "WITH x SELECT v FROM moving",
    "GRANT ALL moving",
    "CREATE MATERIALIZED VIEW m AS SELECT v FROM moving",
    "INSERT moving SELECT 100 + id, v FROM moving FROBNICATE",
    "MERGE INTO moving USING moving b ON 1 WHEN MATCHED THEN DELETE",
    "UPSERT INTO moving VALUES (1, 'x')",
    "COPY moving TO STDOUT",
    "SELECT v FROM ONLY moving",
    "SELECT v FROM moving TABLESAMPLE (10)",
    "SELECT v FROM moving FOR SYSTEM_TIME AS OF NOW()",
    "SELECT TOP 1 v FROM moving",
    "SELECT v FROM moving LIMIT 1 ROWS",
    "SELECT v FROM moving FETCH FIRST 1 ROW ONLY",
    "SELECT v FROM moving QUALIFY 1",
    "SELECT v::text FROM moving",
    "SELECT \u{a0}v FROM moving",
    "SELECT v FROM moving\0",
];

/// Statements that are damaged or buried.
const BASES: &[&str] = &[
    "SELECT v FROM moving",
    "SELECT m . v FROM moving m WHERE m . id = 1",
    "SELECT a . v FROM moving a JOIN moving b ON a . id = b . id",
    "SELECT v FROM ( SELECT v FROM moving ) d",
    "SELECT ( SELECT MAX ( v ) FROM moving )",
    "WITH c AS ( SELECT v FROM moving ) SELECT v FROM c",
    "SELECT v FROM moving UNION SELECT v FROM moving",
    "SELECT v FROM commerce . moving",
    "SELECT v FROM customer . moving",
    "TABLE moving ORDER BY id",
];
const DAMAGE: &[&str] = &[
    ")", "(", "{", "}", ",", ";", "FROM", "JOIN", "x y z", "FOR", "SELECT", "@", "::", "[1]", "AS", ".", "TABLE", "ON",
    "`", "'", "/*", "WITH", "moving", "?", "f ( 1 )",
];

/// A generator that anybody can write down (Knuth's MMIX).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }
}

fn is_certain(sql: &str) -> bool {
    analyze(sql.as_bytes(), SqlMode::default()).certain
}

/// Every statement tried.
fn statements() -> Vec<String> {
    let mut all: Vec<String> = RARE.iter().map(|sql| (*sql).to_owned()).collect();
    // Buried: valid, but what is scanned ends before the table comes.
    let deep = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    for (index, base) in BASES.iter().enumerate() {
        for depth in [DEEP, DEEP + 1 + index] {
            let (open, close) = ("(".repeat(depth), ")".repeat(depth));
            all.push(format!("SELECT {} FROM DUAL WHERE 1 = 0 UNION ALL {base}", deep(depth)));
            all.push(format!("SELECT * FROM (SELECT {} AS n) n JOIN ({base}) m", deep(depth)));
            all.push(format!("SELECT {open}1{close}, m.* FROM ({base}) m"));
            all.push(format!("WITH n AS (SELECT {}) {}", deep(depth), base.replace("WITH c AS", ", c AS")));
            all.push(format!("EXPLAIN ANALYZE SELECT {} FROM ({base}) m", deep(depth)));
            all.push(format!("SELECT {} IN (SELECT 1), m.* FROM ({base}) m WHERE EXISTS (TABLE moving)", deep(depth)));
        }
    }
    let mut seeded = Seeded(20_240_607);
    let mut damaged = Vec::new();
    while damaged.len() < 200 {
        let base = BASES[seeded.below(BASES.len())];
        let mut words: Vec<&str> = base.split(' ').collect();
        for _ in 0..=seeded.below(2) {
            let at = seeded.below(words.len());
            match seeded.below(3) {
                0 => words.insert(at, DAMAGE[seeded.below(DAMAGE.len())]),
                1 => words[at] = DAMAGE[seeded.below(DAMAGE.len())],
                _ => words.swap(at, 0),
            }
        }
        let sql = words.join(" ");
        if sql.contains("moving") && !is_certain(&sql) && !damaged.contains(&sql) {
            damaged.push(sql);
        }
    }
    all.extend(damaged);
    all
}

/// Where writes and reads of the table go.
async fn lead(cluster: &TestCluster, switched: &[TabletType]) {
    let (source, target): (KeyspaceName, KeyspaceName) = ("commerce".parse().unwrap(), "customer".parse().unwrap());
    let workflow: WorkflowName = "move".parse().unwrap();
    let path = paths::workflow_rules(&target, &workflow);
    let tables = ["moving".parse().unwrap()].into();
    let rules = TableMove { source, target, tables, switched: switched.iter().copied().collect() };
    let topology = cluster.topology();
    let TxnOutcome::Committed { revision } =
        topology.txn(topology.put(Txn::new(), &path, &rules).unwrap()).await.unwrap()
    else {
        panic!("refused")
    };
    until("the gateway has heard", PATIENCE, async || {
        let present = topology.list::<GatewayPresence>(&paths::gateways()).await.unwrap().records;
        let heard = !present.is_empty() && present.iter().all(|(_, gateway)| gateway.record.revision >= revision);
        if heard { Ok(()) } else { Err(format!("{present:?}")) }
    })
    .await;
}

/// A statement's answers as one text; `None` where the session is over.
async fn answers(client: &mut Raw, sql: &str) -> Option<(String, usize)> {
    let answers = client.query(sql, None).await.ok()?;
    let mut shown = String::new();
    for answer in &answers {
        match answer {
            Answer::Rows { rows, .. } => rows.iter().for_each(|row| shown += &String::from_utf8_lossy(row)),
            Answer::Error(refusal) => shown += &format!("{} {}", refusal.code, refusal.message),
            other => shown += &format!("{other:?}"),
        }
    }
    let refused = answers.iter().filter(|answer| answer.error().is_some()).count();
    Some((shown, refused))
}

/// Runs everything in sessions of both keyspaces; how many answers had rows of `owner`.
async fn run(cluster: &TestCluster, gateway: &Gateway, all: &[String], owner: &str, other: &str) -> usize {
    let (mine, theirs) = (format!("row of {owner}"), format!("row of {other}"));
    let mut answered = 0;
    for keyspace in ["commerce", "customer"] {
        for some in all.chunks(TOGETHER) {
            let mut client = open(cluster, gateway, keyspace, ALL).await;
            for sql in some {
                let Some((said, _)) = answers(&mut client, sql).await else {
                    client = open(cluster, gateway, keyspace, ALL).await;
                    continue;
                };
                assert!(!said.contains(&theirs), "in {keyspace}, owned by {owner}: {sql}\n{said}");
                answered += usize::from(said.contains(&mine));
            }
        }
    }
    answered
}

/// What a side's table has.
async fn content(side: &Db) -> Vec<Vec<Option<String>>> {
    side.rows("SELECT * FROM moving ORDER BY id").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_never_gets_a_stale_answer() {
    let all = statements();
    let uncertain = all.iter().filter(|sql| !is_certain(sql)).count();
    assert!(uncertain >= UNCERTAIN, "{uncertain} of {}", all.len());
    let cluster = TestCluster::start().await;
    let sides = [(cluster.source_db(), "commerce"), (cluster.target_db(), "customer")];
    for (side, name) in &sides {
        side.exec(&format!(
            "CREATE TABLE moving (id INT PRIMARY KEY, v VARCHAR(40) NOT NULL); INSERT INTO moving VALUES (1, 'row of {name}'); \
             CREATE VIEW view_of_moving AS SELECT * FROM moving; CREATE PROCEDURE look_in() SELECT v FROM moving; \
             CREATE FUNCTION of_moving() RETURNS VARCHAR(40) READS SQL DATA RETURN (SELECT MAX(v) FROM moving)"
        ))
        .await;
    }
    let [(source, _), (target, _)] = &sides;
    source.exec("CREATE TABLE here (v VARCHAR(40)); INSERT INTO here VALUES ('it stays')").await;
    let gateway = cluster.gateway("").await;
    lead(&cluster, &[]).await;
    // Programs stay where they are, whoever owns the table: the operator was told of them, and named them all the same.
    let tables_only: Vec<_> =
        all.iter().filter(|sql| !sql.contains("look_in") && !sql.contains("of_moving")).cloned().collect();

    let before = content(target).await;
    let answered = run(&cluster, &gateway, &tables_only, "commerce", "customer").await;
    assert!(answered >= ANSWERED, "{answered}");
    assert_eq!(content(target).await, before);

    // Sessions that have something of the old side, and are asked again after the switch.
    let mut stay = Vec::new();
    for made in [
        &["PREPARE s FROM 'SELECT v FROM moving'"][..],
        &["SET @t = 'SELECT v FROM moving'", "PREPARE s FROM @t"],
        &["HANDLER moving OPEN AS h"],
        &["CREATE TEMPORARY TABLE mine (id INT)"],
    ] {
        let mut client = open(&cluster, &gateway, "commerce", ALL).await;
        for sql in made.iter().chain(&["PREPARE u FROM 'SELECT v FROM here'"]) {
            say(&mut client, sql).await;
        }
        stay.push(client);
    }
    lead(&cluster, TabletType::ALL).await;
    for client in &mut stay {
        // What is prepared anew tells nothing of what was prepared before.
        let anew = ["PREPARE t FROM 'SELECT ''here'' FROM here'", "HANDLER here OPEN AS i"];
        for sql in [
            "EXECUTE s",
            "HANDLER h READ FIRST",
            anew[0],
            anew[1],
            "EXECUTE s",
            "HANDLER h READ FIRST",
            "SELECT v FROM moving",
        ] {
            let (said, _) = answers(client, sql).await.unwrap();
            assert!(!said.contains("row of commerce"), "{sql}: {said}");
        }
        // What was prepared of a table that stays goes on.
        let (said, refused) = answers(client, "EXECUTE u").await.unwrap();
        assert!(refused == 0 && said.contains("it stays"), "{said}");
    }

    let before = content(source).await;
    let answered = run(&cluster, &gateway, &tables_only, "customer", "commerce").await;
    assert!(answered >= ANSWERED, "{answered}");
    assert_eq!(content(source).await, before);
    println!("{} statements, {uncertain} uncertain, {answered} answered with rows", all.len());
}
