//! Preflight on real servers: each refusal is provoked, named with its cure, and gone once undone; all come at once; and
//! nothing is left behind.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use shardlift::model::{DatabaseName, TableName};
use shardlift::mysql::admin::Session;
use shardlift::mysql::{Login, Secret};
use shardlift::workflow::preflight::{DEADLINE, Finding, Options, Request, Role, Server, run};

const LIMIT: Duration = Duration::from_secs(30);
const SOURCE: &str = "preflight_source";
const TARGET: &str = "preflight_target";
const OTHER: &str = "preflight_other";

/// Arguments for a server that is wrong in every way that must be chosen when it starts.
pub const ODD_ARGS: [&str; 5] = [
    "--binlog-ignore-db=preflight_source",
    "--log-replica-updates=OFF",
    "--innodb-native-foreign-keys=ON",
    "--skip-replica-start",
    "--max-allowed-packet=8M",
];

#[derive(Clone, Copy, PartialEq)]
enum On {
    Source,
    Target,
}
use On::{Source, Target};

/// What provokes a refusal, and what takes it back. `{s}`, `{t}` and `{o}` stand for the schemas.
struct Case {
    check: &'static str,
    on: On,
    make: &'static [&'static str],
    undo: &'static [&'static str],
    tables: &'static [&'static str],
}

const fn case(check: &'static str, on: On, make: &'static [&'static str], undo: &'static [&'static str]) -> Case {
    Case { check, on, make, undo, tables: &["t"] }
}

const SETTINGS: [Case; 10] = [
    case("binlog-format", Source, &["SET GLOBAL binlog_format = MIXED"], &["SET GLOBAL binlog_format = ROW"]),
    case("binlog-row-image", Source, &["SET GLOBAL binlog_row_image = NOBLOB"], &["SET GLOBAL binlog_row_image = FULL"]),
    case(
        "binlog-partial-json",
        Source,
        &["SET GLOBAL binlog_row_value_options = PARTIAL_JSON"],
        &["SET GLOBAL binlog_row_value_options = ''"],
    ),
    case("durability", Source, &["SET GLOBAL sync_binlog = 0"], &["SET GLOBAL sync_binlog = 1"]),
    case(
        "retention",
        Source,
        &["SET GLOBAL binlog_expire_logs_seconds = 60"],
        &["SET GLOBAL binlog_expire_logs_seconds = 2592000"],
    ),
    case("gtid-mode", Target, &["SET GLOBAL gtid_mode = ON_PERMISSIVE"], &["SET GLOBAL gtid_mode = ON"]),
    case(
        "max-allowed-packet",
        Target,
        &["SET GLOBAL max_allowed_packet = 1048576"],
        &["SET GLOBAL max_allowed_packet = 134217728"],
    ),
    case(
        "channel-into-primary",
        Source,
        &[
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1, SOURCE_USER = 'x' FOR CHANNEL 'c'",
            "START REPLICA IO_THREAD FOR CHANNEL 'c'",
        ],
        &["STOP REPLICA FOR CHANNEL 'c'", "RESET REPLICA ALL FOR CHANNEL 'c'"],
    ),
    case(
        "group-replication",
        Target,
        &[
            "INSTALL PLUGIN group_replication SONAME 'group_replication.so'",
            "SET GLOBAL group_replication_single_primary_mode = OFF",
        ],
        &["UNINSTALL PLUGIN group_replication"],
    ),
    // Last: nothing else can be done there then.
    case(
        "read-only",
        Target,
        &["SET GLOBAL super_read_only = ON"],
        &["SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF"],
    ),
];

const OBJECTS: [Case; 25] = [
    case(
        "replication-filter",
        Target,
        &[
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1 FOR CHANNEL 'f'",
            "CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE = ('\\_shardlift.%') FOR CHANNEL 'f'",
        ],
        &[
            "CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE = () FOR CHANNEL 'f'",
            "RESET REPLICA ALL FOR CHANNEL 'f'",
        ],
    ),
    case(
        "prepared-xa",
        Source,
        &["XA START 'pf', 'b', 7", "INSERT INTO {s}.t VALUES (99, 'x')", "XA END 'pf', 'b', 7", "XA PREPARE 'pf', 'b', 7"],
        &["XA ROLLBACK 'pf', 'b', 7"],
    ),
    Case { tables: &["absent"], ..case("missing-table", Source, &[], &[]) },
    Case {
        tables: &["m"],
        ..case("engine", Source, &["CREATE TABLE {s}.m (id INT PRIMARY KEY) ENGINE = MyISAM"], &["DROP TABLE {s}.m"])
    },
    Case { tables: &["v"], ..case("not-a-table", Source, &["CREATE VIEW {s}.v AS SELECT 1"], &["DROP VIEW {s}.v"]) },
    Case {
        tables: &["k"],
        ..case(
            "missing-key",
            Source,
            &["CREATE TABLE {s}.k (a INT UNIQUE, b TEXT NOT NULL, UNIQUE KEY (b(9)), c INT AS (a) STORED UNIQUE)"],
            &["DROP TABLE {s}.k"],
        )
    },
    case(
        "foreign-key-out",
        Source,
        &["CREATE TABLE {s}.p (id INT PRIMARY KEY)", "INSERT INTO {s}.p VALUES (1)", "ALTER TABLE {s}.t ADD CONSTRAINT fo FOREIGN KEY (id) REFERENCES {s}.p (id)"],
        &["ALTER TABLE {s}.t DROP FOREIGN KEY fo", "DROP TABLE {s}.p"],
    ),
    case(
        "foreign-key-in",
        Source,
        &["CREATE TABLE {o}.c (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES {s}.t (id))"],
        &["DROP TABLE {o}.c"],
    ),
    case(
        "trigger-on-table",
        Source,
        &["CREATE TRIGGER {s}.tr BEFORE INSERT ON {s}.t FOR EACH ROW SET NEW.v = 'x'"],
        &["DROP TRIGGER {s}.tr"],
    ),
    case(
        "program-names-table",
        Source,
        &["CREATE TABLE {o}.a (id INT)", "CREATE TRIGGER {o}.tr AFTER INSERT ON {o}.a FOR EACH ROW INSERT INTO {s}.t VALUES (NEW.id, '')"],
        &["DROP TABLE {o}.a"],
    ),
    case("program-names-table", Source, &["CREATE PROCEDURE {s}.pr() DELETE FROM t"], &["DROP PROCEDURE {s}.pr"]),
    case(
        "program-names-table",
        Source,
        &["CREATE FUNCTION {o}.fu() RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM `{s}`.`t`)"],
        &["DROP FUNCTION {o}.fu"],
    ),
    case(
        "program-names-table",
        Source,
        &["CREATE EVENT {o}.ev ON SCHEDULE EVERY 1 YEAR DISABLE DO INSERT INTO {s}.t VALUES (1, '')"],
        &["DROP EVENT {o}.ev"],
    ),
    case("program-names-table", Source, &["CREATE VIEW {o}.vi AS SELECT * FROM {s}.t"], &["DROP VIEW {o}.vi"]),
    case(
        "target-not-empty",
        Target,
        &["CREATE TABLE {t}.t (id INT PRIMARY KEY, v VARCHAR(20))", "INSERT INTO {t}.t VALUES (1, '')"],
        &["DROP TABLE {t}.t"],
    ),
    case(
        "target-differs",
        Target,
        &["CREATE TABLE {t}.t (id INT PRIMARY KEY, v VARCHAR(20) COLLATE utf8mb4_bin)"],
        &["DROP TABLE {t}.t"],
    ),
    case(
        "target-differs",
        Target,
        &["CREATE TABLE {t}.t (id INT PRIMARY KEY, v VARCHAR(20) UNIQUE)"],
        &["DROP TABLE {t}.t"],
    ),
    case(
        "trigger-on-table",
        Target,
        &[
            "CREATE TABLE {t}.t (id INT PRIMARY KEY, v VARCHAR(20))",
            "CREATE TRIGGER {t}.tr BEFORE INSERT ON {t}.t FOR EACH ROW SET NEW.v = 'x'",
        ],
        &["DROP TABLE {t}.t"],
    ),
    case("target-name", Target, &["CREATE VIEW {t}.t AS SELECT 1"], &["DROP VIEW {t}.t"]),
    Case {
        tables: &["ck"],
        ..case("constraint-name", Target, &["CREATE TABLE {t}.z (id INT, CONSTRAINT ck_1 CHECK (id > 0))"], &["DROP TABLE {t}.z"])
    },
    Case {
        tables: &["uk"],
        ..case(
            "target-requires-primary-key",
            Target,
            &["SET GLOBAL sql_require_primary_key = ON"],
            &["SET GLOBAL sql_require_primary_key = OFF"],
        )
    },
    // What must not be refused: the same findings' innocent neighbours.
    case("", Source, &["CREATE PROCEDURE {o}.pr() DELETE FROM t"], &["DROP PROCEDURE {o}.pr"]),
    case("", Target, &["CREATE TABLE {t}.t (id INT PRIMARY KEY, v VARCHAR(20), KEY (v))"], &["DROP TABLE {t}.t"]),
    Case {
        tables: &["t", "ch"],
        ..case(
            "",
            Source,
            &["CREATE TABLE {s}.ch (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES {s}.t (id) ON DELETE CASCADE)"],
            &["DROP TABLE {s}.ch"],
        )
    },
    Case {
        tables: &["ai"],
        ..case("", Source, &["CREATE TABLE {s}.ai (id INT AUTO_INCREMENT PRIMARY KEY)", "INSERT INTO {s}.ai VALUES ()"], &["DROP TABLE {s}.ai"])
    },
];

fn server(name: &str, login: &Login, database: &str) -> Server {
    Server { name: name.into(), login: login.clone(), database: DatabaseName::new(database).unwrap(), role: Role::Primary }
}

fn request(source: &Login, target: &Login, tables: &[&str]) -> Request {
    Request {
        sources: vec![server("the source", source, SOURCE)],
        targets: vec![server("the target", target, TARGET)],
        tables: tables.iter().map(|name| TableName::new(*name).unwrap()).collect(),
        options: Options::default(),
    }
}

async fn execute(login: &Login, statements: &[&str]) {
    let mut session = Session::open(login, LIMIT).await.unwrap();
    session.execute(&format!("CREATE DATABASE IF NOT EXISTS {SOURCE}")).await.ok();
    for statement in statements {
        let sql = statement.replace("{s}", SOURCE).replace("{t}", TARGET).replace("{o}", OTHER);
        session.execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    session.close().await;
}

async fn listing(login: &Login) -> BTreeSet<String> {
    let mut session = Session::open(login, LIMIT).await.unwrap();
    let sql = "SELECT CONCAT_WS('.', s.SCHEMA_NAME, t.TABLE_NAME) FROM information_schema.SCHEMATA s \
               LEFT JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = s.SCHEMA_NAME";
    session.rows(sql).await.unwrap().iter().filter_map(|row| row.text(0)).collect()
}

fn refusals(findings: &[Finding]) -> BTreeSet<&'static str> {
    findings.iter().filter(|finding| finding.refuses()).map(|finding| finding.check).collect()
}

async fn set_up(source: &Login, target: &Login) {
    for login in [source, target] {
        execute(
            login,
            &[
                "DROP DATABASE IF EXISTS {s}",
                "DROP DATABASE IF EXISTS {t}",
                "DROP DATABASE IF EXISTS {o}",
                "CREATE DATABASE {s}",
                "CREATE DATABASE {t}",
                "CREATE DATABASE {o}",
                "SET GLOBAL max_allowed_packet = 134217728",
            ],
        )
        .await;
    }
    execute(
        source,
        &[
            "CREATE TABLE {s}.t (id INT PRIMARY KEY, v VARCHAR(20))",
            "INSERT INTO {s}.t VALUES (1, 'a')",
            "CREATE TABLE {s}.ck (id INT PRIMARY KEY, CONSTRAINT ck_1 CHECK (id > 0))",
            "CREATE TABLE {s}.uk (id INT NOT NULL UNIQUE)",
        ],
    )
    .await;
}

/// Every refusal that can be provoked on running servers. Both must be free of other tests meanwhile.
pub async fn each_refusal(source: &Login, target: &Login) {
    set_up(source, target).await;
    let before = (listing(source).await, listing(target).await);
    let base = run(&request(source, target, &["t", "uk", "ck"])).await;
    assert_eq!(refusals(&base), BTreeSet::new(), "{base:#?}");
    for Case { check, on, make, undo, tables } in SETTINGS.iter().chain(&OBJECTS) {
        let login = if *on == Source { source } else { target };
        execute(login, make).await;
        let asked = request(source, target, tables);
        let findings = run(&asked).await;
        execute(login, undo).await;
        let expected: BTreeSet<_> = Some(*check).into_iter().filter(|check| !check.is_empty()).collect();
        assert_eq!(refusals(&findings), expected, "{check} {make:?}: {findings:#?}");
        for finding in findings.iter().filter(|finding| finding.refuses()) {
            assert!(!finding.cure.is_empty() && !finding.problem.is_empty(), "{finding}");
        }
    }
    let after = run(&request(source, target, &["t", "uk", "ck"])).await;
    assert_eq!(after, base);
    assert_eq!((listing(source).await, listing(target).await), before, "preflight left something behind");
}

/// All problems come in one answer, in time.
pub async fn all_at_once(source: &Login, target: &Login) {
    set_up(source, target).await;
    let login = |on: On| if on == Source { source } else { target };
    for Case { on, make, .. } in &SETTINGS {
        execute(login(*on), make).await;
    }
    let started = Instant::now();
    let found = run(&request(source, target, &["t", "absent"])).await;
    let took = started.elapsed();
    for Case { on, undo, .. } in SETTINGS.iter().rev() {
        execute(login(*on), undo).await;
    }
    let expected = SETTINGS.iter().map(|case| case.check).chain(["missing-table"]).collect();
    assert_eq!(refusals(&found), expected, "{found:#?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// What the operator may allow turns refusals into warnings, no further than that.
pub async fn what_may_be_allowed(source: &Login, target: &Login) {
    set_up(source, target).await;
    execute(
        source,
        &[
            "SET GLOBAL innodb_flush_log_at_trx_commit = 2",
            "CREATE PROCEDURE {s}.pr() DELETE FROM t",
            "CREATE TRIGGER {s}.tr BEFORE INSERT ON {s}.t FOR EACH ROW SET NEW.v = IF(@shardlift_stream IS NULL, 'x', NEW.v)",
        ],
    )
    .await;
    let mut asked = request(source, target, &["t"]);
    asked.options.busy = vec![("commerce/other".into(), TableName::new("t").unwrap())];
    let refused = run(&asked).await;
    asked.options = Options { allow_unsafe_source: true, allow_triggers: true, allow_cross_keyspace: true, ..Options::default() };
    let allowed = run(&asked).await;
    execute(
        source,
        &["DROP TRIGGER {s}.tr", "CREATE TRIGGER {s}.tr BEFORE INSERT ON {s}.t FOR EACH ROW SET NEW.v = 'x'"],
    )
    .await;
    let blind = run(&asked).await;
    execute(source, &["SET GLOBAL innodb_flush_log_at_trx_commit = 1", "DROP TRIGGER {s}.tr"]).await;
    let expected = BTreeSet::from(["durability", "other-workflow", "program-names-table", "trigger-on-table"]);
    assert_eq!(refusals(&refused), expected, "{refused:#?}");
    assert_eq!(refusals(&allowed), BTreeSet::new(), "{allowed:#?}");
    assert_eq!(refusals(&blind), BTreeSet::from(["trigger-on-table"]), "{blind:#?}");
}

/// An account with too few privileges: all that is missing is named, and granting exactly that is enough.
pub async fn grants_are_named_and_suffice(source: &Login, target: &Login) {
    set_up(source, target).await;
    let poor = |login: &Login| Login { user: "preflight".into(), password: Secret::new("preflight-1"), ..login.clone() };
    for login in [source, target] {
        execute(
            login,
            &[
                "DROP USER IF EXISTS preflight",
                "CREATE USER preflight IDENTIFIED BY 'preflight-1'",
                "SET GLOBAL log_bin_trust_function_creators = OFF",
            ],
        )
        .await;
    }
    execute(source, &["GRANT SELECT ON {s}.t TO preflight"]).await;
    let asked = request(&poor(source), &poor(target), &["t"]);
    let first = run(&asked).await;
    assert_eq!(refusals(&first), BTreeSet::from(["grants"]), "{first:#?}");
    let of = |name: &str| first.iter().filter(|f| f.check == "grants" && f.subject == name).count();
    assert_eq!((of("the source"), of("the target")), (3, 3), "{first:#?}");
    for finding in first.iter().filter(|finding| finding.check == "grants") {
        let login = if finding.subject == "the source" { source } else { target };
        execute(login, &[&finding.cure]).await;
    }
    // With the privileges there, the fence can be tried, and the server wants more for triggers.
    let second = run(&asked).await;
    assert_eq!(refusals(&second), BTreeSet::from(["fence"]), "{second:#?}");
    for login in [source, target] {
        execute(login, &["SET GLOBAL log_bin_trust_function_creators = ON"]).await;
    }
    let third = run(&asked).await;
    assert_eq!(refusals(&third), BTreeSet::new(), "{third:#?}");
    assert!(third.iter().any(|finding| finding.check == "grants-to-see"), "{third:#?}");
    for login in [source, target] {
        execute(login, &["SET GLOBAL log_bin_trust_function_creators = OFF", "DROP USER preflight"]).await;
    }
}

/// The settings of [`ODD_ARGS`], on a server started with them, and a source without a binlog cannot be overlooked.
pub async fn odd_servers(odd: &Login, good: &Login) {
    set_up(odd, good).await;
    execute(
        odd,
        &["CREATE TABLE {s}.ch (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES {s}.t (id) ON UPDATE CASCADE)"],
    )
    .await;
    let mut asked = request(odd, good, &["t", "ch"]);
    let primary = run(&asked).await;
    assert_eq!(refusals(&primary), BTreeSet::from(["binlog-filter", "cascade"]), "{primary:#?}");
    asked.sources[0].role = Role::Replica;
    let replica = run(&asked).await;
    assert_eq!(refusals(&replica), BTreeSet::from(["binlog-filter", "cascade", "replica-binlog"]), "{replica:#?}");
    let mut same = request(good, good, &["t"]);
    same.targets[0].database = DatabaseName::new(SOURCE).unwrap();
    assert!(refusals(&run(&same).await).contains("same-database"));
}

/// A server that does not answer is a finding, in time, and hides nothing of the other one.
pub async fn a_silent_server(source: &Login, silent: &Login) {
    set_up(source, source).await;
    let started = Instant::now();
    let found = run(&request(source, silent, &["absent"])).await;
    assert_eq!(refusals(&found), BTreeSet::from(["missing-table", "server"]), "{found:#?}");
    assert!(started.elapsed() < DEADLINE + Duration::from_secs(2));
}
