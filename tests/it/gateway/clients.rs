//! Real clients: each says in `clients/` what it must be able to do, and a script that gets to its end has done it.
//!
//! Python and Node packages are fetched once, at pinned versions, into the per-user cache; then no network is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{ClientIdentity, Conn, OptsBuilder, SslOpts};
use shardlift::local::InstallOptions;
use tokio::process::Command;
use tokio::time::timeout;

use crate::harness::{Gateway, TestCluster, servers};

/// The connector's C code of later versions needs a newer OpenSSL than Debian 12 has.
const PYTHON: [&str; 3] = ["PyMySQL==1.2.4", "mysql-connector-python==9.4.0", "cryptography==50.0.2"];
const NODE: [&str; 1] = ["mysql2@3.24.6"];
const FETCH_DEADLINE: Duration = Duration::from_secs(300);
const DEADLINE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn drivers_work_through_the_gateway() {
    let (python, node) = (python_packages().await, node_packages().await);
    let cluster = TestCluster::with(|spec| spec.replicas = 1).await;
    let [ca, cert, key] = cluster.certificates(cluster.source());
    let tls = format!("--tls-cert {} --tls-key {}", cert.display(), key.display());
    let gateway = cluster.gateway(&tls).await;
    let rows = cluster.folder().join("rows.csv");
    fs::write(&rows, "1001,a\n1002,b\n1003,ю\n").unwrap();

    let ways = [
        ("use_pymysql.py", "pure"),
        ("keep_sessions.py", "pure"),
        ("use_connector.py", "pure"),
        ("use_connector.py", "c"),
    ];
    for (name, kind) in ways {
        let mut script = script("python3", &cluster, &gateway, name, &ca, &rows);
        script.arg(kind).env("PYTHONPATH", &python).env("PYTHONDONTWRITEBYTECODE", "1");
        finish(name, script).await;
    }
    let mut script = script("node", &cluster, &gateway, "use_mysql2.js", &ca, &rows);
    script.env("NODE_PATH", node.join("node_modules"));
    finish("use_mysql2.js", script).await;
    mysql_async(&cluster, &gateway, &ca).await;
    command_line(&cluster, &gateway, &ca, &rows).await;

    let required = cluster.gateway(&format!("{tls} --require-tls")).await;
    let refused = required.try_conn("commerce").await.expect_err("a connection in clear");
    assert!(refused.to_string().contains("TLS"), "{refused}");
    let secure = OptsBuilder::ssl_opts(required.opts(), Some(trusting(&ca)));
    Conn::new(secure).await.unwrap().disconnect().await.unwrap();
    assert!(required.stop().await.success());
    assert!(gateway.stop().await.success());
}

fn script(program: &str, cluster: &TestCluster, gateway: &Gateway, name: &str, ca: &Path, rows: &Path) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/gateway/clients");
    let mut command = Command::new(program);
    command.arg(folder.join(name)).arg(gateway.port().to_string());
    command.args([&cluster.app().user, &cluster.app().password]).args([ca, rows]);
    command
}

/// Runs a command to its end, within the deadline; what it printed.
async fn finish(name: &str, mut command: Command) -> String {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let ended = timeout(DEADLINE, command.output()).await.unwrap_or_else(|_| panic!("{name} did not end in time"));
    let output = ended.unwrap_or_else(|error| panic!("{name} cannot be run ({error}); install its program"));
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{name}: {}\n{}\n{}", output.status, said[0], said[1]);
    println!("{name}: {}", said[0].lines().filter_map(|line| line.strip_prefix("ok ")).collect::<Vec<_>>().join(", "));
    said.into_iter().next().unwrap_or_default()
}

fn trusting(ca: &Path) -> SslOpts {
    let opts = SslOpts::default().with_root_certs(vec![ca.to_owned().into()]);
    opts.with_danger_skip_domain_validation(true)
        .with_danger_accept_invalid_certs(true)
        .with_client_identity(None::<ClientIdentity>)
}

/// A compiled driver: prepared statements kept over many executions, a pool, `change_user`.
async fn mysql_async(cluster: &TestCluster, gateway: &Gateway, ca: &Path) {
    let app = cluster.app();
    let wrong = gateway.opts().pass(Some("wrong"));
    let refused = Conn::new(wrong).await.expect_err("a wrong password");
    assert!(refused.to_string().contains("1045"), "{refused}");
    let opts = gateway.opts().db_name(Some("commerce"));
    for opts in [opts.clone(), opts.clone().ssl_opts(Some(trusting(ca)))] {
        let mut conn = Conn::new(opts).await.unwrap();
        let made = conn.query_drop("CREATE TABLE IF NOT EXISTS driver_t (id INT PRIMARY KEY, v VARCHAR(50))").await;
        made.unwrap();
        let insert =
            conn.prep("INSERT INTO driver_t VALUES (?, ?) ON DUPLICATE KEY UPDATE v = VALUES(v)").await.unwrap();
        for id in 0..50 {
            conn.exec_drop(&insert, (id, format!("номер {id}"))).await.unwrap();
        }
        let seen: Vec<(i32, String)> = conn.exec("SELECT id, v FROM driver_t WHERE id >= ?", (48,)).await.unwrap();
        assert_eq!(seen, [(48, "номер 48".to_owned()), (49, "номер 49".to_owned())]);
        conn.close(insert).await.unwrap();
        conn.query_drop("SET @x = 1").await.unwrap();
        conn.reset().await.unwrap();
        assert_eq!(conn.query_first::<Option<i64>, _>("SELECT @x").await.unwrap(), Some(None));
        let mut tx = conn.start_transaction(mysql_async::TxOpts::default()).await.unwrap();
        tx.query_drop("DELETE FROM driver_t").await.unwrap();
        tx.rollback().await.unwrap();
        assert_eq!(conn.query_first("SELECT COUNT(*) FROM driver_t").await.unwrap(), Some(50));
        let change = mysql_async::ChangeUserOpts::default().with_user(Some(app.user.clone()));
        conn.change_user(change.clone().with_pass(Some(app.password.clone()))).await.unwrap();
        let refused = conn.change_user(change.with_pass(Some("wrong".into()))).await.expect_err("a wrong password");
        assert!(refused.to_string().contains("1045"), "{refused}");
    }
}

/// The `mysql` command line, which asks in its own ways and prints what it got.
async fn command_line(cluster: &TestCluster, gateway: &Gateway, ca: &Path, rows: &Path) {
    let program = servers().await.mysql().unwrap();
    let options = cluster.folder().join("client.cnf");
    let app = cluster.app();
    fs::write(&options, format!("[client]\nuser={}\npassword={}\n", app.user, app.password)).unwrap();
    let run = async |more: &[&str], sql: &str| {
        let mut command = program.command();
        command.arg(format!("--defaults-extra-file={}", options.display()));
        command.args(["--host=127.0.0.1", "--batch", "--commands", &format!("--port={}", gateway.port())]).args(more);
        finish("mysql", {
            command.args(["-e", sql]);
            command
        })
        .await
    };
    let tables =
        run(&["--ssl-mode=DISABLED", "--get-server-public-key", "commerce"], "SHOW TABLES; SELECT 1 AS one; SELECT 2")
            .await;
    assert!(tables.starts_with("Tables_in_commerce\n") && tables.ends_with("one\n1\n2\n2\n"), "{tables}");
    let ca = format!("--ssl-ca={}", ca.display());
    let status = run(&["--ssl-mode=VERIFY_CA", &ca, "commerce"], "status").await;
    assert!(status.contains("Cipher in use is TLS_") || status.contains("Cipher in use is ECDHE"), "{status}");
    assert!(status.contains("Current database:\tcommerce"), "{status}");
    let script = "DELIMITER //\nCREATE PROCEDURE cli_p () BEGIN SELECT 'from a procedure'; SELECT 2; END//\nDELIMITER ;\n\
                  CALL cli_p(); USE customer; SELECT DATABASE()";
    let said = run(&["commerce"], script).await;
    assert!(said.contains("from a procedure\n2\n2\n") && said.ends_with("DATABASE()\ncustomer\n"), "{said}");
    let said = run(&["customer"], "USE commerce@replica; SELECT @@global.super_read_only AS read_only").await;
    assert_eq!(said, "read_only\n1\n");
    let load = format!(
        "CREATE TABLE cli_t (id INT PRIMARY KEY, v VARCHAR(9)); LOAD DATA LOCAL INFILE '{}' INTO TABLE cli_t FIELDS TERMINATED BY ','; SELECT COUNT(*) FROM cli_t; SHOW WARNINGS",
        rows.display()
    );
    assert_eq!(run(&["--local-infile=1", "commerce"], &load).await, "COUNT(*)\n3\n");
    let tablets = run(&[], "SHOW vitess_tablets").await;
    assert!(
        tablets.starts_with("Cell\tKeyspace\tShard\tTabletType\tState\tAlias\tHostname\tPrimaryTermStartTime\n"),
        "{tablets}"
    );
    assert_eq!(tablets.lines().count(), 5, "{tablets}");
}

async fn python_packages() -> PathBuf {
    let version = "import sys; print('%d.%d' % sys.version_info[:2])";
    let mut python = Command::new("python3");
    let version = finish("python3", {
        python.args(["-c", version]);
        python
    })
    .await;
    let name = format!("python{}-{}", version.trim(), PYTHON.join("-").replace("==", "-"));
    fetched(&name, |folder| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(folder).args(PYTHON);
        pip
    })
    .await
}

async fn node_packages() -> PathBuf {
    fetched(&format!("node-{}", NODE.join("-")), |folder| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(folder).args(NODE);
        npm
    })
    .await
}

/// A folder of the cache, made by `install` if it is not there: whole or not at all, once however many ask.
async fn fetched(name: &str, install: impl FnOnce(&Path) -> Command) -> PathBuf {
    let cache = InstallOptions::from_env()
        .cache
        .unwrap_or_else(|| directories::ProjectDirs::from("", "", "shardlift").unwrap().cache_dir().to_path_buf());
    let folder = cache.join("clients");
    fs::create_dir_all(&folder).unwrap();
    let place = folder.join(name);
    let lock = fs::File::create(folder.join("lock")).unwrap();
    let _lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await.unwrap().unwrap();
    if !place.exists() {
        let making = tempfile::Builder::new().prefix(".making-").tempdir_in(&folder).unwrap();
        let mut command = install(making.path());
        let output = timeout(FETCH_DEADLINE, command.stdin(Stdio::null()).kill_on_drop(true).output()).await;
        let output = output.expect("fetching the clients in time").unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        fs::rename(making.keep(), &place).unwrap();
    }
    place
}
