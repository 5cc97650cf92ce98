//! Every kind of reply, relayed and direct: the same packets.

use std::time::Duration;

use mysql_common::constants::{CapabilityFlags, StatusFlags};
use shardlift::gateway::backend::Backend;
use shardlift::mysql::MysqlError;
use shardlift::mysql::wire::relay::{Outcome, Reached, RelayError, RelayOptions, ReplyKind, Tracking};

use super::raw::Raw;
use super::{Fixture, LIMIT, MODERN, QUERY, options, relayed};

const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;
const FETCH: u8 = 0x1C;

/// Statements whose replies have every form a query's can have.
const STATEMENTS: &[&str] = &[
    "DO 1",
    "SELECT 1, NULL, ''",
    "SELECT NULL, NULL",
    "SELECT 1 FROM DUAL WHERE FALSE",
    "SELECT * FROM t ORDER BY a",
    "SELECT * FROM missing",
    "INSERT INTO t VALUES (7, 'seven'), (8, 'eight')",
    "INSERT INTO t VALUES (7, 'seven')",
    "UPDATE t SET b = 'x'",
    "DELETE FROM t",
    "SELECT 1/0",
    "SHOW WARNINGS",
    "CALL several()",
    "CALL several_and_error()",
    "CALL nothing()",
    "SELECT REPEAT('x', 60000), 1",
    "SELECT REPEAT('x', 70000) UNION ALL SELECT 'y'",
    // The first byte of the row is 0xFE from 16 MiB on; frames are full at 16,777,215 bytes with the length's.
    "SELECT REPEAT('x', 16777206)",
    "SELECT REPEAT('x', 16777207)",
    "SELECT REPEAT('x', 16777211)",
    "SELECT REPEAT('x', 16777216)",
    "SELECT REPEAT('x', 40000000), 'y'",
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, REPEAT('z', i) FROM n",
    "SHOW VARIABLES LIKE 'c%'",
    "EXPLAIN FORMAT=TREE SELECT * FROM t",
    "BEGIN",
    "COMMIT",
    "SET time_zone = '+01:00', sql_mode = ''",
    "SET NAMES latin1",
    "SET NAMES utf8mb4",
    "USE shop",
    "nonsense",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_pass_unchanged() {
    let fixture = Fixture::new().await;
    let mut setup = fixture.backend(MODERN).await;
    for sql in [
        "CREATE PROCEDURE shop.several() BEGIN SELECT 1, 2; SELECT 'a' FROM DUAL WHERE FALSE; INSERT INTO shop.t VALUES (99, ''); \
         DELETE FROM shop.t WHERE a = 99; END",
        "CREATE PROCEDURE shop.several_and_error() BEGIN SELECT 1; SIGNAL SQLSTATE '45000'; END",
        "CREATE PROCEDURE shop.nothing() BEGIN END",
        "SET GLOBAL cte_max_recursion_depth = 1000",
    ] {
        setup.execute(sql.as_bytes()).await.unwrap();
    }
    let metadata = CapabilityFlags::CLIENT_OPTIONAL_RESULTSET_METADATA;
    let old = MODERN - CapabilityFlags::CLIENT_DEPRECATE_EOF;
    let tracking = CapabilityFlags::CLIENT_SESSION_TRACK;
    for capabilities in [MODERN, old, MODERN | metadata, MODERN | tracking, old | CapabilityFlags::CLIENT_FOUND_ROWS] {
        let mut pair = Pair::new(&fixture, capabilities).await;
        for sql in STATEMENTS {
            pair.query(sql).await;
        }
        pair.prepared().await;
        pair.cursor().await;
        if capabilities.contains(metadata) {
            pair.query("SET resultset_metadata = NONE").await;
            pair.query("SELECT * FROM t").await;
            pair.query("SELECT 1, 2").await;
            pair.prepared().await;
            // Queries of our own are not confused by it.
            pair.query("SET NAMES utf8mb4 COLLATE utf8mb4_bin").await;
            pair.relay.read_back().await.unwrap();
            assert_eq!(pair.relay.settings().get("collation_connection"), Some("utf8mb4_bin"));
        }
        // COM_FIELD_LIST, COM_PING, COM_SET_OPTION (no multi-statements), COM_INIT_DB
        pair.same(4, b"t\0", b"t\0", ReplyKind::Rows).await;
        for (code, body) in [(14, &b""[..]), (27, &[1, 0]), (2, b"shop"), (2, b"missing")] {
            pair.same(code, body, body, ReplyKind::Simple).await;
        }
    }
    overrides(&fixture).await;
    failures(&fixture).await;
}

/// A direct connection and one that is relayed, for the same client.
struct Pair {
    direct: Raw,
    relay: Backend,
    capabilities: CapabilityFlags,
}

impl Pair {
    async fn new(fixture: &Fixture, capabilities: CapabilityFlags) -> Self {
        let mut relay = fixture.backend(capabilities).await;
        let mut direct = Raw::connect(fixture, capabilities).await;
        relay.execute(b"USE shop").await.unwrap();
        // One of its own for each, so that neither sees what the other does.
        let table = b"CREATE TEMPORARY TABLE t (a INT AUTO_INCREMENT PRIMARY KEY, b VARCHAR(50))";
        relay.execute(table).await.unwrap();
        direct.command(QUERY, table, 1).await;
        Self { direct, relay, capabilities }
    }

    async fn query(&mut self, sql: &str) {
        self.same(QUERY, sql.as_bytes(), sql.as_bytes(), ReplyKind::Query { cursor: false }).await;
    }

    /// The same command on both; the relayed packets.
    async fn same(&mut self, code: u8, body: &[u8], direct_body: &[u8], kind: ReplyKind) -> Vec<Vec<u8>> {
        // What a client hears that sets nothing of it.
        let heard =
            ["autocommit", "character_set_client", "character_set_connection", "character_set_results", "time_zone"];
        let variables = move |name: &str| heard.contains(&name);
        let schema = |name: &str| Some(name.to_owned());
        let tracking = Tracking { variables: &variables, schema: &schema, state_change: false, ..Tracking::SILENT };
        let options = RelayOptions { tracking: &tracking, ..options(kind, self.capabilities) };
        let (outcome, ours) = relayed(&mut self.relay, code, body, &options).await;
        let shown = String::from_utf8_lossy(body).into_owned();
        if let Err(error) = outcome {
            panic!("{shown}: {error}");
        }
        let theirs = self.direct.command(code, direct_body, ours.len()).await;
        for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            let show = |packet: &[u8]| packet[..packet.len().min(200)].escape_ascii().to_string();
            assert!(ours == theirs, "{shown}: packet {number}\n ours {}\n direct {}", show(ours), show(theirs));
        }
        self.direct.ends_here().await;
        ours
    }

    /// Prepares on both, the relayed one under the direct one's id; that, unless it was refused.
    async fn prepare(&mut self, sql: &str) -> Option<u32> {
        // The direct connection's id shows only in its reply, so it is asked twice; ids count up by one.
        let last = self.direct.command(PREPARE, b"DO 1", 1).await;
        let direct = u32::from_le_bytes(last[0][1..5].try_into().unwrap()) + 1;
        let kind = ReplyKind::Prepare { client_id: direct };
        let reply = self.same(PREPARE, sql.as_bytes(), sql.as_bytes(), kind).await;
        (reply[0][0] == 0).then_some(direct)
    }

    async fn prepared(&mut self) {
        for sql in ["SELECT ?, a, b FROM t WHERE a > ?", "INSERT INTO t (b) VALUES (?)", "DO 1", "SELECT 1", "nonsense"]
        {
            self.prepare(sql).await;
        }
        for sql in [
            "SELECT a, b, NULL FROM t",
            "SELECT REPEAT('x', 17000000)",
            "CALL several()",
            "INSERT INTO t (b) VALUES ('p')",
        ] {
            let direct = self.prepare(sql).await.unwrap();
            let relay = self.relay.prepare(sql.as_bytes()).await.unwrap();
            let execute = |id: u32| [&id.to_le_bytes()[..], &[0, 1, 0, 0, 0]].concat();
            self.same(EXECUTE, &execute(relay.id), &execute(direct), ReplyKind::Query { cursor: false }).await;
            self.relay.close_statement(relay.id).await.unwrap();
        }
    }

    async fn cursor(&mut self) {
        let sql = "SELECT a, b FROM t UNION ALL SELECT 1, 'y' UNION ALL SELECT 2, 'z'";
        let direct = self.prepare(sql).await.unwrap();
        let relay = self.relay.prepare(sql.as_bytes()).await.unwrap();
        let open = |id: u32| [&id.to_le_bytes()[..], &[1, 1, 0, 0, 0]].concat();
        self.same(EXECUTE, &open(relay.id), &open(direct), ReplyKind::Query { cursor: true }).await;
        assert!(self.relay.status().contains(StatusFlags::SERVER_STATUS_CURSOR_EXISTS));
        let fetch = |id: u32, rows: u32| [id.to_le_bytes(), rows.to_le_bytes()].concat();
        for rows in [1, 1, 100] {
            self.same(FETCH, &fetch(relay.id, rows), &fetch(direct, rows), ReplyKind::Rows).await;
        }
        // COM_STMT_RESET
        let (ours, theirs) = (relay.id.to_le_bytes(), direct.to_le_bytes());
        self.same(0x1A, &ours, &theirs, ReplyKind::Simple).await;
        self.relay.close_statement(relay.id).await.unwrap();
    }
}

/// What the relay is asked to say in the server's place.
async fn overrides(fixture: &Fixture) {
    let mut backend = fixture.backend(MODERN).await;
    let usual = options(ReplyKind::Query { cursor: false }, MODERN);
    let more = RelayOptions { more_follow: true, in_transaction: StatusFlags::SERVER_STATUS_IN_TRANS, ..usual };
    let wanted = StatusFlags::SERVER_MORE_RESULTS_EXISTS | StatusFlags::SERVER_STATUS_IN_TRANS;
    for (sql, at) in [("DO 1", 3), ("SELECT 1", 3)] {
        let (outcome, packets) = relayed(&mut backend, QUERY, sql.as_bytes(), &more).await;
        let last = packets.last().unwrap();
        assert!(StatusFlags::from_bits_retain(u16::from_le_bytes([last[at], last[at + 1]])).contains(wanted), "{sql}");
        assert!(!outcome.unwrap().0.status.unwrap().intersects(wanted), "{sql}");
    }
    let withhold = RelayOptions { withhold: &[1146], ..usual };
    let (outcome, packets) = relayed(&mut backend, QUERY, b"SELECT * FROM shop.missing", &withhold).await;
    assert!(matches!(outcome.unwrap().0.outcome, Outcome::Failed { code: 1146, withheld: true, .. }));
    assert!(packets.is_empty());
    let (outcome, packets) = relayed(&mut backend, QUERY, b"nonsense", &withhold).await;
    assert!(matches!(outcome.unwrap().0.outcome, Outcome::Failed { code: 1064, withheld: false, .. }));
    assert_eq!(packets.len(), 1);
    let (outcome, _) = relayed(&mut backend, QUERY, b"CREATE DATABASE other", &usual).await;
    assert!(!outcome.unwrap().0.state_changed);
    let (outcome, _) = relayed(&mut backend, QUERY, b"USE other", &usual).await;
    assert_eq!(outcome.unwrap().0.schema.as_deref(), Some("other"));
}

/// What is left when the server goes.
async fn failures(fixture: &Fixture) {
    let usual = options(ReplyKind::Query { cursor: false }, MODERN);
    for (sql, reached) in [
        ("SELECT SLEEP(30)", Reached::Nothing),
        ("SELECT REPEAT('x', 30000) FROM information_schema.COLUMNS a, information_schema.COLUMNS b", Reached::Midway),
    ] {
        let mut backend = fixture.backend(MODERN).await;
        let id = backend.connection_id();
        let mut killer = fixture.backend(MODERN).await;
        let kill = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            killer.execute(format!("KILL {id}").as_bytes()).await.unwrap();
        };
        let (relay, ()) = tokio::join!(relay_only(&mut backend, sql, &usual), kill);
        let Err(RelayError::Server { error, reached: got }) = relay else { panic!("{sql}: {relay:?}") };
        assert!(matches!(error, MysqlError::Closed { .. } | MysqlError::Io { .. }), "{sql}: {error}");
        assert!(got == reached || (reached == Reached::Midway && got == Reached::Packets), "{sql}: {got:?}");
        assert!(!backend.is_usable());
    }
    // A client that has gone.
    let mut backend = fixture.backend(MODERN).await;
    let (near, far) = tokio::net::UnixStream::pair().unwrap();
    drop(far);
    let outcome = relay_to(&mut backend, "SELECT REPEAT('x', 1000000)", &usual, near).await;
    assert!(matches!(outcome, Err(RelayError::Client(_))), "{outcome:?}");
    assert!(!backend.is_usable());
}

async fn relay_only(backend: &mut Backend, sql: &str, options: &RelayOptions<'_>) -> super::Outcome {
    let (near, mut far) = tokio::net::UnixStream::pair().unwrap();
    let sink = tokio::spawn(async move { tokio::io::copy(&mut far, &mut tokio::io::sink()).await });
    let outcome = relay_to(backend, sql, options, near).await;
    sink.await.unwrap().unwrap();
    outcome
}

async fn relay_to(
    backend: &mut Backend,
    sql: &str,
    options: &RelayOptions<'_>,
    mut near: tokio::net::UnixStream,
) -> super::Outcome {
    use shardlift::mysql::wire::channel::{PacketReader, PacketWriter};
    let (mut reader, mut writer) = (PacketReader::new(1 << 20, LIMIT), PacketWriter::new(LIMIT));
    writer.seq = 1;
    backend.request(QUERY, sql.as_bytes()).await.unwrap();
    let mut client =
        shardlift::mysql::wire::relay::ClientSide { reader: &mut reader, writer: &mut writer, stream: &mut near };
    tokio::time::timeout(LIMIT, backend.relay(&mut client, options)).await.unwrap()
}
