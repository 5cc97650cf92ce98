//! Local clusters by command, and the harness itself: judges that cannot fail would prove nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::{sleep, timeout};

use crate::harness::{Ledger, Load, TestCluster, Trace, compare_tables, servers, until};

const SOON: Duration = Duration::from_secs(60);

/// A folder whose cluster is stopped however the test ends.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::Builder::new().prefix("shardlift-test-").tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shardlift"));
        command.arg("local").args(verb.split(' ')).arg("--dir").arg(self.path());
        command
    }

    fn run(&self, verb: &str) -> Output {
        self.command(verb).output().unwrap()
    }

    fn must(&self, verb: &str) -> String {
        let output = self.run(verb);
        assert!(output.status.success(), "local {verb}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, verb: &str) -> String {
        let output = self.run(verb);
        assert_eq!(output.status.code(), Some(1), "local {verb}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    fn status(&self) -> Vec<Value> {
        serde_json::from_str(&self.must("status --format json")).unwrap()
    }

    fn states(&self) -> Vec<String> {
        self.status().iter().map(|server| server["state"].as_str().unwrap().to_owned()).collect()
    }

    /// Runs SQL by the script that `up` leaves, on the server in this place of the listing.
    fn sql(&self, server: usize, sql: &str) -> Result<String, String> {
        let socket = self.status()[server]["socket"].as_str().unwrap().to_owned();
        let mut client = Command::new(self.path().join("mysql"));
        let output = client.args(["-N", "-S", &socket, "shop", "-e", sql]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = self.command("down").stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

#[tokio::test]
async fn a_cluster_in_the_background() {
    servers().await;
    let folder = Folder::new();
    assert!(folder.refused("status").contains("there is no local cluster"));
    assert!(folder.refused("down").contains("there is no local cluster"));

    let guide = folder.must("up --background --replicas 1 --keyspaces shop");
    for told in ["export SHARDLIFT_TOPO=", "local down --dir", "gateway run\n", "--port=15306 shop\n"] {
        assert!(guide.contains(told), "{told}: {guide}");
    }
    assert_eq!(folder.states(), ["running", "running"]);
    assert!(folder.refused("up").contains("its cluster is up"));

    folder.sql(0, "CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (7)").unwrap();
    until("the row reaches the replica", SOON, async || match folder.sql(1, "SELECT id FROM t") {
        Ok(seen) if seen == "7" => Ok(()),
        seen => Err(format!("{seen:?}")),
    })
    .await;
    assert!(folder.sql(1, "INSERT INTO t VALUES (8)").unwrap_err().contains("read-only"));

    let mut check = Command::new(env!("CARGO_BIN_EXE_shardlift"));
    check.args(["tablet", "check", "--topo"]).arg(folder.path().join("topology.sqlite"));
    check.arg("--credentials").arg(folder.path().join("credentials.json"));
    let check = check.output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));

    gateway_serves(&folder, &guide).await;

    let pid = folder.status()[0]["pid"].to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    until("the killed server is seen", SOON, async || match folder.states() {
        states if states == ["died", "running"] => Ok(()),
        states => Err(format!("{states:?}")),
    })
    .await;
    assert!(folder.must("down").contains("stopped 1 servers"));
    assert_eq!(folder.states(), ["stopped", "stopped"]);

    assert!(folder.refused("up --background --replicas 2").contains("another shape"));
    folder.must("up --background");
    assert_eq!(folder.sql(1, "SELECT id FROM t").unwrap(), "7");
}

/// What `up` says is enough for a gateway, and for a client of it, which gets TLS unasked.
async fn gateway_serves(folder: &Folder, guide: &str) {
    let exports = guide.lines().filter_map(|line| line.trim().strip_prefix("export ")?.split_once('='));
    let users = exports.clone().find(|(name, _)| *name == "SHARDLIFT_GATEWAY_USERS").unwrap().1;
    assert_eq!(std::fs::metadata(users).unwrap().permissions().mode() & 0o777, 0o600);
    let mut gateway = tokio::process::Command::new(env!("CARGO_BIN_EXE_shardlift"));
    gateway.args(["gateway", "run", "--listen", "127.0.0.1:0", "--http-listen", "none"]).envs(exports);
    let mut gateway = gateway.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut said = BufReader::new(gateway.stdout.take().unwrap()).lines();
    let said = timeout(SOON, said.next_line()).await.expect("the gateway listens").unwrap().unwrap();
    let port = said.rsplit_once(':').unwrap().1;
    let client = |options: &[&str]| {
        let mut client = Command::new(folder.path().join("mysql"));
        let output = client.args(["-N", "--host=127.0.0.1", "--port", port, "shop"]).args(options).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    // The first login sends the password, which without TLS the client would not.
    for options in [&[][..], &["--ssl-mode=REQUIRED"], &["--ssl-mode=DISABLED"]] {
        assert_eq!(client(&[options, &["-e", "SELECT id FROM t"]].concat()).trim(), "7", "{options:?}");
    }
    assert!(client(&["--password=wrong", "-e", "SELECT 1"]).contains("ERROR 1045 (28000)"));
}

#[tokio::test]
async fn a_cluster_in_the_foreground_ends_in_order() {
    servers().await;
    let folder = Folder::new();
    std::fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    assert!(folder.refused("up").contains("letter.txt"));
    std::fs::remove_file(folder.path().join("letter.txt")).unwrap();

    for (count, ending) in [(1, "a signal"), (2, "local down")] {
        let said = tempfile::NamedTempFile::new().unwrap();
        let mut up = folder.command("up --keyspaces shop --etcd");
        let mut child = up.stdout(said.reopen().unwrap()).spawn().unwrap();
        until("the cluster is up", SOON, async || match std::fs::read_to_string(said.path()).unwrap() {
            guide if guide.contains("Ctrl-C ends it") => Ok(()),
            guide => Err(guide),
        })
        .await;
        assert_eq!(folder.states(), ["running", "running"]);
        match ending {
            "a signal" => {
                assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success())
            }
            _ => drop(folder.must("down")),
        }
        let ended =
            until(&format!("{ending} ends it"), SOON, async || child.try_wait().unwrap().ok_or("it runs")).await;
        assert!(ended.success(), "{ended}");
        assert_eq!(folder.states(), ["stopped", "stopped"]);
        let log = std::fs::read_to_string(folder.path().join("zone1-0000000100/error.log")).unwrap();
        assert_eq!(log.matches("Shutdown complete").count(), count, "{log}");
    }
}

/// mysqld 9.7.4 sometimes dies (SIGSEGV in its receiver thread) when its source comes back; then it is started again.
async fn reconnected(cluster: &TestCluster) {
    sleep(Duration::from_secs(2)).await;
    if cluster.db(cluster.source_replica(), "commerce").try_conn().await.is_err() {
        eprintln!("the replica's mysqld has died on reconnecting and is started again");
        cluster.source_replica().restart().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_judges_find_what_is_wrong() {
    let cluster = TestCluster::with(|spec| {
        spec.replicas = 1;
        spec.semi_sync = Some(Duration::from_secs(60));
    })
    .await;
    let (source, replica) = (cluster.source_db(), cluster.db(cluster.source_replica(), "commerce"));
    let ledger = Ledger::start(&source, Load { rate: None, ..Load::default() }).await;
    ledger.wait_for(200, SOON).await;
    cluster.source().kill9().await.unwrap();
    cluster.source().restart().await.unwrap();
    reconnected(&cluster).await;
    ledger.wait_for(200, SOON).await;
    cluster.source().restart().await.unwrap();
    reconnected(&cluster).await;
    ledger.wait_for(200, SOON).await;

    // Semi-sync: what was acknowledged is on the replica, which now takes over.
    cluster.source().kill9().await.unwrap();
    cluster.source_replica().promote().await.unwrap();
    // It has nobody to wait for.
    replica.exec("SET GLOBAL rpl_semi_sync_source_enabled = OFF").await;
    ledger.move_to(&replica);
    ledger.wait_for(100, SOON).await;
    let record = ledger.stop().await;
    assert!(record.reconnects >= 3 && record.committed >= 700, "{record:?}");
    record.must_hold(&replica).await;

    cluster.source().restart().await.unwrap();
    assert!(!record.verify(&source).await.is_empty(), "the old primary cannot know the last transactions");

    replica.exec("CREATE DATABASE copy; CREATE TABLE copy.ledger AS SELECT * FROM ledger; ALTER TABLE copy.ledger ADD PRIMARY KEY (id)").await;
    let copy = cluster.db(cluster.source_replica(), "copy");
    record.must_hold(&copy).await;
    let rows = compare_tables(&replica, &copy, "ledger").await.equal().unwrap();
    assert!(rows > 1000, "{rows}");
    let ids = replica.rows("SELECT id FROM ledger ORDER BY id LIMIT 5").await;
    let mut differing = 0;
    for (id, (breaks, more)) in ids.iter().zip([
        ("UPDATE ledger SET val = INSERT(val, 2, 1, CHAR(ORD(SUBSTR(val, 2, 1)) ^ 1)) WHERE id = ?", 1),
        ("UPDATE ledger SET num = num + 1 WHERE id = ?", 1),
        ("UPDATE ledger SET uniq = IF(uniq IS NULL, 5, NULL) WHERE id = ?", 1),
        ("DELETE FROM ledger WHERE id = ?", 1),
        ("UPDATE ledger SET id = id + 400000000 WHERE id = ?", 2),
    ]) {
        copy.exec(&breaks.replace('?', id[0].as_deref().unwrap())).await;
        differing += more;
        assert_eq!(compare_tables(&replica, &copy, "ledger").await.differing, differing, "after {breaks}");
        let shown = record.verify(&copy).await.iter().filter(|line| line.contains("row ")).count();
        assert_eq!(shown, differing, "after {breaks}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comparisons_and_traces_see_the_small_things() {
    let cluster = TestCluster::start().await;
    let (source, target) = (cluster.source_db(), cluster.target_db());
    let table = "CREATE TABLE odd (id INT PRIMARY KEY, f FLOAT, e ENUM('a', ''), a VARCHAR(9), b VARBINARY(9), j JSON)";
    let row = "INSERT INTO odd VALUES (1, 0.1, '', 'x', '', '1'), (2, 1, 'a', '', NULL, '[]')";
    for db in [&source, &target] {
        db.exec(&format!("{table}; {row}")).await;
    }
    assert_eq!(compare_tables(&source, &target, "odd").await.equal(), Ok(2));
    for changes in [
        "f = 0.10000001 WHERE id = 1",
        "f = -f WHERE id = 1",
        "a = '', b = 'x' WHERE id = 1",
        "a = 'X' WHERE id = 1",
        "b = '' WHERE id = 2",
        "j = '\"1\"' WHERE id = 1",
    ] {
        target.exec(&format!("UPDATE odd SET {changes}")).await;
        let found = compare_tables(&source, &target, "odd").await;
        assert_eq!((found.differing, found.samples.len()), (1, 1), "{changes}: {found}");
        target.exec(&format!("DELETE FROM odd; {row}")).await;
    }
    target.exec("SET sql_mode = ''; UPDATE odd SET e = 0 WHERE id = 1").await;
    assert!(compare_tables(&source, &target, "odd").await.equal().is_err(), "the two empty values of an ENUM");

    let before = Trace::take(&cluster).await;
    let shardlift = cluster.shardlift();
    let engine = shardlift.engine("one").await;
    engine.freeze();
    engine.thaw();
    assert!(engine.stop().await.success());
    assert_eq!(Trace::take(&cluster).await.since(&before), Vec::<String>::new(), "an idle engine leaves nothing");
    source
        .exec("ALTER TABLE odd ADD KEY (a); CREATE TRIGGER tr BEFORE INSERT ON odd FOR EACH ROW SET NEW.a = ''")
        .await;
    target.exec("SET GLOBAL local_infile = OFF; DROP TABLE odd").await;
    shardlift.must("cell add zone2").await;
    let mut seen = Trace::take(&cluster).await.since(&before);
    seen.sort();
    let expected = [
        "changed: zone1-0000000100 table `commerce`.`odd`",
        "changed: zone1-0000000200 setting local_infile",
        "gone: zone1-0000000200 table `customer`.`odd`",
        "new: topology cells/zone2",
        "new: zone1-0000000100 trigger commerce.tr",
    ];
    assert!(seen.len() == 5 && seen.iter().zip(expected).all(|(seen, start)| seen.starts_with(start)), "{seen:#?}");
}
