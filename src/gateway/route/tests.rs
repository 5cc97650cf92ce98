use super::*;
use crate::gateway::sql::{analyze, splice};
use crate::gateway::view::testing::{Cluster, view};
use crate::model::workflow::TabletType;

/// The tablet's number and the text it gets, or the refusal's number and text.
type Outcome = Result<(u32, String), (u16, String)>;

struct Case {
    view: View,
    target: Target,
    sick: Vec<(u32, &'static str)>,
}

impl Case {
    fn new(target: &str, cluster: Cluster) -> Self {
        let target = if target.is_empty() { Target::default() } else { target.parse().unwrap() };
        Self { view: view(cluster), target, sick: Vec::new() }
    }

    fn route(&self, sql: &str, seed: usize) -> Result<Route, Refusal> {
        let health = |tablet: &Tablet| match self.sick.iter().find(|(uid, _)| *uid == tablet.alias.uid) {
            Some((_, why)) => Err(String::from(*why)),
            None => Ok(()),
        };
        let (view, target, mode) = (&self.view, &self.target, SqlMode::default());
        let router = Router { view, health: &health, target, mode, seed, spreading: None };
        router.route(&analyze(sql.as_bytes(), mode), sql.as_bytes())
    }

    fn ask(&self, sql: &str) -> Outcome {
        match self.route(sql, 0) {
            Ok(mut route) => {
                let text = splice(sql.as_bytes(), &mut route.edits);
                Ok((route.tablet.alias.uid, String::from_utf8(text).unwrap()))
            }
            Err(refusal) => Err((refusal.code, refusal.message)),
        }
    }

    /// Goes to this tablet as it is.
    fn goes(&self, uid: u32, statements: &[&str]) {
        for sql in statements {
            assert_eq!(self.ask(sql), Ok((uid, sql.to_string())), "{sql}");
        }
    }

    fn becomes(&self, uid: u32, sql: &str, text: &str) {
        assert_eq!(self.ask(sql), Ok((uid, text.into())), "{sql}");
    }

    fn refuses(&self, code: u16, words: &str, statements: &[&str]) {
        for sql in statements {
            match self.ask(sql) {
                Err((found, message)) if found == code && message.contains(words) => {}
                other => panic!("{sql}: {other:?}, expected {code} with `{words}`"),
            }
        }
    }
}

#[test]
fn without_rules_names_say_where() {
    let commerce = Case::new("commerce", Cluster::default());
    commerce.goes(
        100,
        &[
            "SELECT * FROM corder WHERE id = 1",
            "SELECT corder.id, commerce.corder.id FROM commerce.corder",
            "INSERT INTO product SELECT * FROM other",
            "SELECT 1",
            "SET @x = 1",
            "SELECT * FROM information_schema.tables",
            "SELECT t.* FROM information_schema.tables t JOIN corder c ON c.id = 1",
            "CREATE TABLE t (id INT PRIMARY KEY)",
            "SELECT DATABASE()",
            "CALL p()",
            "CALL commerce.p(1)",
            "SHOW TABLES",
            "SHOW CREATE TABLE commerce.corder",
            "BEGIN",
        ],
    );
    commerce.goes(200, &["SELECT * FROM legacy.t", "DELETE FROM legacy.t WHERE id = 1", "CALL legacy.p()"]);
    commerce.refuses(1049, "Unknown database 'nowhere'", &["SELECT * FROM nowhere.t", "CALL nowhere.p()"]);
    commerce.refuses(
        1235,
        "corder is in commerce, legacy.t is in legacy; ask each",
        &["SELECT * FROM corder JOIN legacy.t", "INSERT INTO corder SELECT * FROM legacy.t"],
    );
    commerce.refuses(1235, "acts on one server", &["SHUTDOWN", "STOP REPLICA"]);
    commerce.refuses(1235, "databases are keyspaces", &["CREATE DATABASE x", "DROP DATABASE commerce"]);
}

#[test]
fn without_a_keyspace_names_must_say() {
    let none = Case::new("", Cluster::default());
    none.goes(100, &["SELECT 1", "SELECT @@version", "SHOW VARIABLES", "SELECT * FROM information_schema.tables"]);
    none.goes(200, &["SELECT * FROM legacy.t", "SHOW TABLES FROM legacy"]);
    none.becomes(100, "SELECT DATABASE()", "SELECT CAST(NULL AS CHAR(64)) AS `DATABASE()`");
    none.refuses(
        1046,
        "No database selected",
        &[
            "SELECT * FROM corder",
            "SHOW TABLES",
            "SHOW TABLE STATUS",
            "CREATE TABLE t (id INT)",
            "CALL p()",
            "UPDATE mysql.user SET x = 1",
        ],
    );
    let away = Case::new("gone", Cluster::default());
    away.refuses(1049, "Unknown database 'gone'", &["SELECT 1", "SELECT * FROM t"]);
}

#[test]
fn rules_lead_by_name_and_type() {
    let switched = || Cluster::default().moved(&["corder", "customer"], &[TabletType::Replica]);
    let commerce = Case::new("commerce", switched());
    commerce.goes(100, &["SELECT * FROM corder", "SELECT * FROM commerce.corder"]);
    commerce.becomes(
        100,
        "SELECT legacy.corder.id FROM legacy.corder",
        "SELECT `commerce`.corder.id FROM `commerce`.corder",
    );
    let replica = Case::new("commerce@replica", switched());
    replica.goes(201, &["SELECT * FROM corder"]);
    replica.becomes(
        201,
        "SELECT commerce.corder.* FROM commerce.corder c",
        "SELECT `legacy`.corder.* FROM `legacy`.corder c",
    );
    replica.goes(101, &["SELECT * FROM product"]);
    replica.becomes(201, "SELECT DATABASE() FROM corder", "SELECT 'commerce' FROM corder");
    replica.refuses(
        1235,
        "product is in commerce, corder is in legacy (by routing rules)",
        &["SELECT * FROM product JOIN corder"],
    );
    let none = Case::new("", switched());
    none.goes(100, &["SELECT * FROM customer"]);
}

#[test]
fn after_the_switch_nothing_goes_to_the_old_side() {
    let all = [TabletType::Primary, TabletType::Replica, TabletType::Rdonly];
    let commerce = Case::new("commerce", Cluster::default().moved(&["corder"], &all));
    commerce.goes(
        200,
        &["SELECT * FROM corder", "INSERT INTO corder VALUES (1)", "TRUNCATE corder", "SELECT * FROM CORDER"],
    );
    commerce.becomes(200, "UPDATE commerce.corder SET x = 1", "UPDATE `legacy`.corder SET x = 1");
    commerce.goes(100, &["PREPARE s FROM 'SELECT 1 FROM product'"]);
    commerce.refuses(1235, "its tables are in legacy", &["PREPARE s FROM 'SELECT * FROM corder'"]);
    commerce.refuses(1235, "might name table corder", &["PREPARE s FROM @text"]);
    commerce.refuses(1235, "rules lead table corder to legacy", &["FROBNICATE corder", "FROBNICATE commerce.corder"]);
    commerce.refuses(
        1235,
        "names tables in legacy",
        &["CREATE PROCEDURE p() BEGIN DECLARE x INT; IF x THEN SELECT * FROM corder; END IF; END"],
    );
    commerce.goes(100, &["CREATE PROCEDURE p() BEGIN DECLARE x INT; IF x THEN SELECT * FROM product; END IF; END"]);
    let legacy = Case::new("legacy", Cluster::default().moved(&["corder"], &all));
    legacy.goes(
        200,
        &[
            "CREATE PROCEDURE p() BEGIN DECLARE x INT; IF x THEN SELECT * FROM corder; END IF; END",
            "PREPARE s FROM @text",
            "PREPARE s FROM 'SELECT * FROM corder'",
        ],
    );
    let body = "FOR EACH ROW BEGIN IF NEW.id THEN SET NEW.id = 1; END IF; END";
    legacy.becomes(
        200,
        &format!("CREATE TRIGGER commerce.t BEFORE INSERT ON commerce.corder {body}"),
        &format!("CREATE TRIGGER `legacy`.t BEFORE INSERT ON `legacy`.corder {body}"),
    );
}

#[test]
fn schemas_of_other_names_are_translated() {
    let shop = || Cluster::default().in_schema("shop");
    let case = Case::new("commerce", shop());
    case.goes(100, &["SELECT * FROM corder", "SHOW CREATE TABLE corder"]);
    for (sql, text) in [
        ("SELECT commerce.corder.id FROM commerce . corder", "SELECT `shop`.corder.id FROM `shop` . corder"),
        ("SELECT * FROM `commerce`.`corder`", "SELECT * FROM `shop`.`corder`"),
        ("SELECT commerce.f(1)", "SELECT `shop`.f(1)"),
        ("SHOW COLUMNS FROM corder FROM commerce", "SHOW COLUMNS FROM corder FROM `shop`"),
        ("SHOW TABLE STATUS FROM commerce", "SHOW TABLE STATUS FROM `shop`"),
        ("SELECT DATABASE(), SCHEMA( )", "SELECT CAST('commerce' AS CHAR(64)) AS `DATABASE()`, 'commerce'"),
        ("SELECT 'commerce.corder' -- commerce.corder", "SELECT 'commerce.corder' -- commerce.corder"),
        ("SELECT * FROM information_schema.tables", "SELECT * FROM information_schema.tables"),
        ("PREPARE s FROM 'SELECT * FROM corder'", "PREPARE s FROM 'SELECT * FROM corder'"),
    ] {
        case.becomes(100, sql, text);
    }
    case.refuses(1235, "would have to be changed", &["PREPARE s FROM 'SELECT * FROM commerce.corder'"]);
    case.refuses(
        1235,
        "is schema shop on its server",
        &["CREATE PROCEDURE p() BEGIN DECLARE x INT; IF x THEN SELECT * FROM commerce.corder; END IF; END"],
    );
    let (_, tables) = case.ask("SHOW FULL TABLES LIKE 'c%'").unwrap();
    assert!(tables.contains("AS `Tables_in_commerce (c%)`, TABLE_TYPE AS `Table_type`"), "{tables}");
    let (_, tables) = case.ask("SHOW TABLES WHERE Tables_in_commerce <> 'x'").unwrap();
    assert!(tables.contains("WHERE (Tables_in_commerce <> 'x') ORDER BY `Tables_in_commerce`"), "{tables}");
}

#[test]
fn a_named_shard_is_meant_and_rules_are_not() {
    let all = [TabletType::Primary];
    let case = Case::new("commerce:0", Cluster::default().moved(&["corder"], &all));
    case.goes(100, &["SELECT * FROM corder", "SELECT * FROM commerce.corder"]);
    let sharded = Case::new("customer:80-", Cluster::default());
    sharded.goes(400, &["SELECT * FROM t", "INSERT INTO customer.t VALUES (1)"]);
    Case::new("customer:c0-", Cluster::default()).refuses(1105, "does not serve PRIMARY", &["SELECT * FROM t"]);
    Case::new("customer:40-", Cluster::default()).refuses(1049, "the shards of customer are", &["SELECT 1"]);
    let whole = Case::new("customer", Cluster::default());
    whole.goes(300, &["SELECT 1", "SET NAMES utf8mb4", "SHOW VARIABLES", "SELECT * FROM information_schema.tables"]);
    whole.goes(300, &["SELECT 1, 'f(5)'", "/* a (b) */ SELECT NOW(6), @x", "SET @x = (1 + ABS(-1))", "DO SLEEP(0)"]);
    whole.refuses(
        1235,
        "what a stored function does cannot be seen",
        &["SELECT f(5)", "DO f(5)", "SET @x = f (5)", "SELECT `abs`(1)", "PREPARE p FROM 'SELECT f(5)'"],
    );
    whole.refuses(1235, "sharded (-80, 80-)", &["SELECT * FROM t", "CALL p()", "CREATE TABLE t (id INT)"]);
}

#[test]
fn replicas_are_taken_by_health_and_get_reads_only() {
    let mut case = Case::new("commerce@replica", Cluster::default().replica(102));
    let picked = |case: &Case, seed| case.route("SELECT * FROM t", seed).unwrap().tablet.alias.uid;
    assert_eq!([0, 1, 2].map(|seed| picked(&case, seed)), [101, 102, 101]);
    assert_eq!(case.route("SELECT 1", 0).unwrap().others.len(), 1);
    case.sick.push((101, "lags 40 s, more than 30 s"));
    assert_eq!([0, 1].map(|seed| picked(&case, seed)), [102, 102]);
    case.sick.push((102, "unreachable"));
    case.refuses(1105, "zone1-0000000101: lags 40 s, more than 30 s; zone1-0000000102: unreachable", &["SELECT 1"]);
    Case::new("commerce@rdonly", Cluster::default()).refuses(1105, "has no RDONLY tablet", &["SELECT * FROM t"]);
    let case = Case::new("commerce@replica", Cluster::default());
    case.goes(101, &["SELECT * FROM t", "CALL p()", "EXPLAIN UPDATE t SET x = 1", "SHOW TABLES", "START TRANSACTION"]);
    case.refuses(
        1290,
        "commerce@replica, which takes reads only",
        &[
            "INSERT INTO t VALUES (1)",
            "SELECT * FROM t FOR UPDATE",
            "SELECT * FROM t LOCK IN SHARE MODE",
            "DROP TABLE t",
            "OPTIMIZE TABLE t",
            "FLUSH TABLES",
            "LOCK TABLES t READ",
            "CREATE USER x",
            "XA START 'a'",
            "LOAD DATA LOCAL INFILE 'f' INTO TABLE t",
            "PREPARE s FROM 'DELETE FROM t'",
        ],
    );
}

#[test]
fn a_system_schema_may_be_the_default() {
    let case = Case::new("information_schema", Cluster::default());
    case.becomes(100, "SELECT * FROM tables t", "SELECT * FROM `information_schema`.tables t");
    case.becomes(100, "SELECT DATABASE()", "SELECT CAST('information_schema' AS CHAR(64)) AS `DATABASE()`");
    case.goes(100, &["SELECT * FROM commerce.corder", "SELECT * FROM mysql.user"]);
    let (_, text) = case.ask("SHOW TABLES").unwrap();
    assert!(text.contains("AS `Tables_in_information_schema`"), "{text}");
    Case::new("mysql", Cluster::default()).refuses(1046, "mysql is on every server", &["UPDATE user SET x = 1"]);
}

#[test]
fn targets_are_checked_when_they_are_chosen() {
    let view = view(Cluster::default());
    for text in ["commerce", "commerce@replica", "customer:-80", "customer/80-@rdonly", "@replica", "mysql"] {
        assert!(parse_target(&view, text).is_ok(), "{text}");
    }
    for text in ["gone", "customer:40-80", "mysql:0", "", "com merce", "commerce@x", "gone@replica"] {
        assert_eq!(parse_target(&view, text).unwrap_err().code, 1049, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_routed_or_refused(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "select", "*", "from", "corder", "commerce", ".", "legacy", ",", "join", "insert into", "(", ")", "'x'", "prepare",
            "show tables", "call", "update", "set", "=", "database()", "`corder`", "in", "values", "create procedure", "begin",
        ]), 0..14),
        target in proptest::sample::select(vec!["", "commerce", "commerce@replica", "customer", "legacy", "mysql"]),
    ) {
        let all = [TabletType::Primary, TabletType::Replica];
        let case = Case::new(target, Cluster::default().moved(&["corder"], &all));
        let sql = words.join(" ");
        let read = analyze(sql.as_bytes(), SqlMode::default());
        if let Ok(route) = case.route(&sql, 0) {
            // Whatever it is: if it is known to be about the moved table, it is not where that was.
            let moved = |table: &crate::gateway::sql::TableRef| {
                table.table.text == "corder" && table.database.as_ref().is_none_or(|name| name.text != "mysql")
            };
            let about = read.tables.iter().any(moved) && !target.starts_with("mysql");
            proptest::prop_assert!(!about || route.tablet.alias.uid / 100 != 1, "{} {:?}", sql, route);
        }
    }
}
