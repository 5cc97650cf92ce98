//! Several gateways over one topology, and what a gateway does besides answering: users read anew, peers that vanish.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use shardlift::mysql::wire::{ConnectOptions, Wire};
use shardlift::mysql::{Endpoint, Login, Secret, TlsMode};

use super::raw::Raw;
use super::reply::{Answer, Hidden};
use super::{attributes, login, number, open, say, text};
use crate::harness::{Gateway, TestCluster, until};

const SOON: Duration = Duration::from_secs(10);
/// What must not depend on the gateway asked.
const ASKED: [&str; 8] = [
    "SHOW DATABASES",
    "SHOW TABLES",
    "SHOW vitess_tablets",
    "SHOW vitess_shards",
    "SHOW keyspaces",
    "SELECT * FROM customer ORDER BY id",
    "SELECT * FROM customer.numbers",
    "SELECT * FROM nosuch.t",
];

#[tokio::test(flavor = "multi_thread")]
async fn gateways_side_by_side() {
    let cluster = TestCluster::start().await;
    cluster.source_db().exec(include_str!("base.sql")).await;
    let shown = Shown::new(cluster.folder(), "shown");
    let tls = shown.flags();
    let (one, two) = tokio::join!(cluster.gateway(""), cluster.gateway(&tls));
    the_same_answers(&cluster, &one, &two).await;
    kill_means_the_gateway_asked(&cluster, &one, &two).await;
    table_locks_on_two_tablets(&cluster, &one).await;
    clients_that_vanish_midway(&cluster, &one).await;
    dead_peers_are_looked_for(&cluster, &one).await;
    attributes::go_through(&cluster, &one).await;
    users_are_read_again(&cluster, &two).await;
    certificates_are_read_again(&cluster, &two, &shown).await;
    assert!(one.stop().await.success());
    assert_eq!(number(&mut open(&cluster, &two, "commerce", 0).await, "SELECT 8").await, 8);
    assert!(two.stop().await.success());
}

async fn the_same_answers(cluster: &TestCluster, one: &Gateway, two: &Gateway) {
    let mut clients = [open(cluster, one, "commerce", 0).await, open(cluster, two, "commerce", 0).await];
    for sql in ASKED {
        let mut seen = Vec::new();
        for client in &mut clients {
            let answers = client.query(sql, None).await.unwrap();
            seen.push(answers.iter().flat_map(|answer| answer.lines(Hidden::Nothing)).collect::<Vec<_>>());
        }
        assert_eq!(seen[0], seen[1], "{sql}");
    }
    // Rules reach both.
    let rules = json!({ "rules": [{ "from_table": "commerce.elsewhere", "to_tables": ["customer.elsewhere"] }] });
    let file = cluster.folder().join("pair-rules.json");
    fs::write(&file, rules.to_string()).unwrap();
    cluster.target_db().exec("CREATE TABLE elsewhere (id INT PRIMARY KEY); INSERT INTO elsewhere VALUES (7)").await;
    let shardlift = cluster.shardlift();
    shardlift.must(&format!("rules apply --rules-file {}", file.display())).await;
    for client in &mut clients {
        until("the rule is obeyed", SOON, async || {
            let answers = client.query("SELECT id FROM elsewhere", None).await.unwrap();
            answers[0].value().filter(|value| value == "7").map(drop).ok_or_else(|| format!("{answers:?}"))
        })
        .await;
    }
    let listed = shardlift.json("gateway list").await;
    let listens = |gateway: &Gateway| format!("127.0.0.1:{}", gateway.port());
    for gateway in [one, two] {
        let known = listed.as_array().into_iter().flatten().any(|line| line["listen"] == listens(gateway));
        assert!(known, "{} is not in {listed}", listens(gateway));
    }
}

/// An id is known to the gateway that gave it; another one says that it knows none, and ends nobody's statement.
async fn kill_means_the_gateway_asked(cluster: &TestCluster, one: &Gateway, two: &Gateway) {
    let mut client = open(cluster, one, "commerce", 0).await;
    let mut stranger = open(cluster, two, "commerce", 0).await;
    let id = client.connection_id;
    for sql in [format!("KILL {id}"), format!("KILL QUERY {id}")] {
        let answers = stranger.query(&sql, None).await.unwrap();
        let error = answers[0].error().unwrap_or_else(|| panic!("{sql}: {answers:?}"));
        assert_eq!((error.code, error.message.as_str()), (1094, format!("Unknown thread id: {id}").as_str()));
    }
    assert_eq!(number(&mut client, "SELECT 9").await, 9);
}

/// UNLOCK TABLES lets go of what the session has locked on every tablet, and so does another LOCK TABLES.
async fn table_locks_on_two_tablets(cluster: &TestCluster, gateway: &Gateway) {
    let (source, target) = (cluster.source_db(), cluster.target_db());
    let lock = "INSERT INTO locked VALUES (1)";
    for db in [&source, &target] {
        db.exec("CREATE TABLE locked (id INT)").await;
    }
    let mut client = open(cluster, gateway, "commerce", 0).await;
    say(&mut client, "LOCK TABLES locked WRITE").await;
    say(&mut client, "LOCK TABLES customer.locked WRITE").await;
    // As MySQL does it, the second has let go of the first.
    source.exec(lock).await;
    say(&mut client, "UNLOCK TABLES").await;
    target.exec(lock).await;
    assert_eq!(number(&mut client, "SELECT IS_FREE_LOCK('nobody')").await, 1);
}

/// A client that goes away in the middle of an answer takes its statement along.
async fn clients_that_vanish_midway(cluster: &TestCluster, gateway: &Gateway) {
    let source = cluster.source_db();
    let mut client = open(cluster, gateway, "commerce", 0).await;
    let long = "SELECT REPEAT('x', 1000) AS vanish FROM numbers a, numbers b, numbers c, numbers d, numbers e";
    client.say(long.as_bytes()).await.unwrap();
    for _ in 0..100 {
        client.packet().await.unwrap();
    }
    drop(client);
    until("the statement of a client that is gone ends", SOON, async || {
        let sql = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'app' AND INFO LIKE '%AS vanish%'";
        let left = source.value(sql).await;
        if left == "0" { Ok(()) } else { Err(left) }
    })
    .await;
}

/// Both kinds of connections are probed by the system while they are silent.
async fn dead_peers_are_looked_for(cluster: &TestCluster, gateway: &Gateway) {
    let mut client = open(cluster, gateway, "commerce", 0).await;
    assert_eq!(text(&mut client, "SELECT 'here'").await, "here");
    let ours = format!(":{:04X}", gateway.port());
    let servers = [cluster.source().port(), cluster.target().port()].map(|port| format!(":{port:04X}"));
    // What was just said is acknowledged first, by another timer.
    until("silent connections are probed", SOON, async || {
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        // sl, local and remote address, state (01: established), queues, timer (02: keepalive).
        let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let open: Vec<_> = fields.filter(|line| line.get(3) == Some(&"01")).collect();
        let probed = |line: &Vec<&str>| line.get(5).is_some_and(|timer| timer.starts_with("02:"));
        let clients: Vec<_> = open.iter().filter(|line| line[1].ends_with(&ours)).collect();
        let backends: Vec<_> = open.iter().filter(|line| servers.iter().any(|port| line[2].ends_with(port))).collect();
        let well = !clients.is_empty() && clients.iter().all(|line| probed(line));
        if well && backends.iter().any(|line| probed(line)) { Ok(()) } else { Err(format!("{clients:?} {backends:?}")) }
    })
    .await;
}

/// SIGHUP: new users get in, those taken out do not, and a file that is wrong changes nothing.
async fn users_are_read_again(cluster: &TestCluster, gateway: &Gateway) {
    let shardlift = cluster.shardlift();
    let hash = shardlift.must_with("gateway hash-password", "another").await;
    let users = cluster.folder().join("users.json");
    let before = fs::read_to_string(&users).unwrap();
    let mut known: Value = serde_json::from_str(&before).unwrap();
    known["newcomer"] = json!({ "hash": hash.trim(), "credential": "app" });
    let mut newcomer = login(cluster, gateway, "commerce", 0);
    (newcomer.user, newcomer.password) = ("newcomer".into(), "another".into());
    assert!(Raw::open(&newcomer).await.unwrap().is_err(), "an unknown user is let in");

    for (text, admitted) in [(known.to_string(), true), ("{ not JSON".into(), true), (before, false)] {
        fs::write(&users, text).unwrap();
        hang_up(gateway);
        until("the users file is read again", SOON, async || {
            let entered = Raw::open(&newcomer).await.unwrap().is_ok();
            if entered == admitted { Ok(()) } else { Err(format!("let in: {entered}")) }
        })
        .await;
    }
    assert!(gateway.log().contains("the users file is not taken"), "{}", gateway.log());
    let answers = open(cluster, gateway, "commerce", 0).await.query("SELECT 1", None).await.unwrap();
    assert!(answers.iter().all(|answer| Answer::error(answer).is_none()));
}

fn hang_up(gateway: &Gateway) {
    let pid = gateway.pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
}

/// The certificate and key that a gateway is given, which change; each is signed by itself.
struct Shown {
    certificate: PathBuf,
    key: PathBuf,
}

impl Shown {
    fn new(folder: &Path, name: &str) -> Self {
        let shown =
            Self { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}-key.pem")) };
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(&shown.certificate, made.cert.pem()).unwrap();
        fs::write(&shown.key, made.signing_key.serialize_pem()).unwrap();
        shown
    }

    fn flags(&self) -> String {
        format!("--tls-cert {} --tls-key {}", self.certificate.display(), self.key.display())
    }
}

/// SIGHUP: who comes now is shown the new certificate, who is there stays, and files that do not fit change nothing.
async fn certificates_are_read_again(cluster: &TestCluster, gateway: &Gateway, shown: &Shown) {
    // The chain is checked, names are not.
    let trusts = async |certificate: &Path| {
        let endpoint = Endpoint {
            tls: TlsMode::VerifyCa { ca: Some(certificate.to_owned()) },
            ..Endpoint::new(format!("127.0.0.1:{}", gateway.port()).parse().unwrap())
        };
        let (user, password) = (cluster.app().user.clone(), Secret::new(cluster.app().password.clone()));
        let login = Login { endpoint, user, password, database: Some("commerce".into()) };
        Wire::connect(&login, &ConnectOptions::default()).await.map_err(|error| error.to_string())
    };
    let old = cluster.folder().join("old.pem");
    fs::copy(&shown.certificate, &old).unwrap();
    let new = Shown::new(cluster.folder(), "new");
    let mut before = trusts(&old).await.unwrap();
    assert!(trusts(&new.certificate).await.is_err(), "a certificate that was not given yet");

    fs::copy(&new.certificate, &shown.certificate).unwrap();
    hang_up(gateway);
    until("files that do not fit are refused", SOON, async || {
        if gateway.log().contains("the certificate is not taken") { Ok(()) } else { Err(gateway.log()) }
    })
    .await;
    trusts(&old).await.unwrap().close().await;

    fs::copy(&new.key, &shown.key).unwrap();
    hang_up(gateway);
    until("the new certificate is shown", SOON, async || trusts(&new.certificate).await.map(drop)).await;
    assert!(trusts(&old).await.is_err(), "the old certificate is still shown");
    before.execute(b"DO 1").await.unwrap();
    before.close().await;
}
