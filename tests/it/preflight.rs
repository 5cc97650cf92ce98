//! Preflight on real servers: each refusal is provoked, named with its cure, and gone once undone; all come at once; and
//! nothing is left behind.

mod cases;
mod switch;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use shardlift::local::{Account, Mysqld, MysqldSpec, Ports};
use shardlift::model::{DatabaseName, TableName};
use shardlift::mysql::admin::Session;
use shardlift::mysql::{Endpoint, Login, Secret};
use shardlift::workflow::preflight::{DEADLINE, Finding, Options, Request, Role, Server, run};

use crate::harness::servers;
use cases::{Case, OBJECTS, On, SETTINGS};

const LIMIT: Duration = Duration::from_secs(30);
const SOURCE: &str = "preflight_source";
const TARGET: &str = "preflight_target";
const OTHER: &str = "preflight_other";

/// Arguments for a server that is wrong in every way that must be chosen when it starts.
const ODD_ARGS: [&str; 6] = [
    "--lower-case-table-names=1",
    "--binlog-ignore-db=preflight_source",
    "--log-replica-updates=OFF",
    "--innodb-native-foreign-keys=ON",
    "--skip-replica-start",
    "--max-allowed-packet=8M",
];

/// One test, since all of it changes settings of the servers it runs on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_is_provoked_named_and_cured() {
    let folder = tempfile::Builder::new().prefix("shardlift-test-").tempdir().unwrap();
    let ports = Ports::open(&servers().await.cache).unwrap();
    let start = async |name: &str, id, args: &[&str]| {
        let admin = Account::engine("engine", "engine-1");
        let mut spec = MysqldSpec::new(folder.path().join(name), ports.lease().unwrap(), id, admin);
        spec.extra_args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Mysqld::start(servers().await, spec).await.unwrap()
    };
    let (source, target) = (start("source", 1, &[]).await, start("target", 2, &[]).await);
    let odd = start("odd", 3, &ODD_ARGS).await;
    let login = |server: &Mysqld| Login {
        endpoint: Endpoint::unix(server.socket()),
        user: "engine".into(),
        password: Secret::new("engine-1"),
        database: None,
    };
    let (from, to) = (login(&source), login(&target));
    each_refusal(&from, &to).await;
    all_at_once(&from, &to).await;
    what_may_be_allowed(&from, &to).await;
    grants_are_named_and_suffice(&from, &to).await;
    odd_servers(&login(&odd), &to).await;
    let unlogged = start("unlogged", 4, &["--skip-log-bin"]).await;
    no_binlog(&login(&unlogged), &to).await;
    odd.pause().unwrap();
    a_silent_server(&from, &login(&odd)).await;
    odd.resume().unwrap();
}

fn server(name: &str, login: &Login, database: &str) -> Server {
    Server {
        name: name.into(),
        login: login.clone(),
        database: DatabaseName::new(database).unwrap(),
        role: Role::Primary,
        read: true,
    }
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
async fn each_refusal(source: &Login, target: &Login) {
    set_up(source, target).await;
    let before = (listing(source).await, listing(target).await);
    let base = run(&request(source, target, &["t", "uk", "ck"])).await;
    assert_eq!(refusals(&base), BTreeSet::new(), "{base:#?}");
    for Case { check, on, make, undo, tables } in SETTINGS.iter().chain(&OBJECTS) {
        let login = if *on == On::Source { source } else { target };
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
async fn all_at_once(source: &Login, target: &Login) {
    set_up(source, target).await;
    let login = |on: On| if on == On::Source { source } else { target };
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
async fn what_may_be_allowed(source: &Login, target: &Login) {
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
    asked.options =
        Options { allow_unsafe_source: true, allow_triggers: true, allow_cross_keyspace: true, ..Options::default() };
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
async fn grants_are_named_and_suffice(source: &Login, target: &Login) {
    set_up(source, target).await;
    let poor =
        |login: &Login| Login { user: "preflight".into(), password: Secret::new("preflight-1"), ..login.clone() };
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

/// The settings of [`ODD_ARGS`], on a server started with them; and one server in both roles.
async fn odd_servers(odd: &Login, good: &Login) {
    set_up(odd, good).await;
    execute(
        odd,
        &["CREATE TABLE {s}.ch (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES {s}.t (id) ON UPDATE CASCADE)"],
    )
    .await;
    let mut asked = request(odd, good, &["t", "ch"]);
    let primary = run(&asked).await;
    assert_eq!(
        refusals(&primary),
        BTreeSet::from(["binlog-filter", "cascade", "lower-case-table-names"]),
        "{primary:#?}"
    );
    asked.sources[0].role = Role::Replica;
    let replica = run(&asked).await;
    let expected = BTreeSet::from(["binlog-filter", "cascade", "lower-case-table-names", "replica-binlog"]);
    assert_eq!(refusals(&replica), expected, "{replica:#?}");
    a_replica_that_is_read(good, odd).await;
    let mut same = request(good, good, &["t"]);
    same.targets[0].database = DatabaseName::new(SOURCE).unwrap();
    assert!(refusals(&run(&same).await).contains("same-database"));
}

/// One that shows transactions in another order than its binlog has them is refused, if it is read.
async fn a_replica_that_is_read(replica: &Login, target: &Login) {
    let mut asked = request(replica, target, &["t"]);
    asked.sources[0].role = Role::Replica;
    for (make, undo, refused) in [
        ("SET GLOBAL binlog_order_commits = OFF", "SET GLOBAL binlog_order_commits = ON", true),
        ("SET GLOBAL replica_preserve_commit_order = OFF", "SET GLOBAL replica_parallel_workers = 1", true),
        ("DO 0", "SET GLOBAL replica_preserve_commit_order = ON", false),
        ("SET GLOBAL replica_parallel_workers = 4", "DO 0", false),
    ] {
        execute(replica, &[make]).await;
        for read in [true, false] {
            asked.sources[0].read = read;
            let found = run(&asked).await;
            assert_eq!(refusals(&found).contains("commit-order"), refused && read, "{make}, read: {read}: {found:#?}");
        }
        execute(replica, &[undo]).await;
    }
}

/// Without a binlog there is nothing to follow.
async fn no_binlog(unlogged: &Login, good: &Login) {
    set_up(unlogged, good).await;
    let found = run(&request(unlogged, good, &["t"])).await;
    assert_eq!(refusals(&found), BTreeSet::from(["binlog"]), "{found:#?}");
}

/// A server that does not answer is a finding, in time, and hides nothing of the other one.
async fn a_silent_server(source: &Login, silent: &Login) {
    set_up(source, source).await;
    let started = Instant::now();
    let found = run(&request(source, silent, &["absent"])).await;
    assert_eq!(refusals(&found), BTreeSet::from(["missing-table", "server"]), "{found:#?}");
    assert!(started.elapsed() < DEADLINE + Duration::from_secs(2));
}
