//! The gateway's connections to tablets on a real server: replies relayed packet by packet, settings carried from one
//! connection to another, pools. The judge of relayed replies is a connection of the test's own, with its own framing.

mod health;
mod lending;
mod memory;
mod raw;
mod replies;
mod settings;
mod upload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mysql_common::constants::{CapabilityFlags, StatusFlags};
use shardlift::gateway::backend::Backend;
use shardlift::local::{Account, Mysqld, MysqldSpec, Ports};
use shardlift::mysql::wire::channel::{PacketReader, PacketWriter};
use shardlift::mysql::wire::relay::{ClientSide, RelayError, RelayOptions, Relayed, ReplyKind, Tracking};
use shardlift::mysql::wire::{Announce, ConnectOptions};
use shardlift::mysql::{Endpoint, Login, Secret};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::harness::servers;

const LIMIT: Duration = Duration::from_secs(60);
const QUERY: u8 = 3;
const USER: &str = "engine";
const PASSWORD: &str = "engine-1";

/// What libmysql asks for, less what the gateway keeps to itself.
const MODERN: CapabilityFlags = CapabilityFlags::CLIENT_DEPRECATE_EOF
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PS_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_LOCAL_FILES);

struct Fixture {
    server: Arc<Mysqld>,
    folder: TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("shardlift-test-").tempdir().unwrap();
        let port = Ports::open(&servers().await.cache).unwrap().lease().unwrap();
        let mut spec = MysqldSpec::new(folder.path().join("server"), port, 1, Account::engine(USER, PASSWORD));
        spec.extra_args.push("--max-allowed-packet=256M".into());
        let server = Arc::new(Mysqld::start(servers().await, spec).await.unwrap());
        let fixture = Self { server, folder };
        let mut backend = fixture.backend(MODERN).await;
        for sql in ["CREATE DATABASE shop", "CREATE TABLE shop.t (a INT AUTO_INCREMENT PRIMARY KEY, b VARCHAR(50))"] {
            backend.execute(sql.as_bytes()).await.unwrap();
        }
        fixture
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::unix(self.server.socket())
    }

    fn login(&self) -> Login {
        let password = Secret::new(PASSWORD);
        Login { endpoint: self.endpoint(), user: USER.into(), password, database: None }
    }

    fn credentials_file(&self) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.path().join("credentials.json");
        std::fs::write(&path, format!(r#"{{"app": {{"user": "{USER}", "password": "{PASSWORD}"}}}}"#)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A connection for a client with these capabilities, in database `shop` where that exists.
    async fn backend(&self, capabilities: CapabilityFlags) -> Backend {
        let options = ConnectOptions { announce: Announce::relaying(capabilities, 255), ..ConnectOptions::default() };
        Backend::connect(self.login(), options).await.unwrap()
    }
}

fn options(kind: ReplyKind, client_capabilities: CapabilityFlags) -> RelayOptions<'static> {
    RelayOptions {
        kind,
        client_capabilities,
        more_follow: false,
        withhold: &[],
        tracking: &Tracking::SILENT,
        in_transaction: StatusFlags::empty(),
    }
}

type Outcome = Result<(Relayed, bool), RelayError>;

/// Sends a command and relays the reply to a client behind a socket: the verdict and the packets that came out there.
async fn relayed(backend: &mut Backend, code: u8, body: &[u8], options: &RelayOptions<'_>) -> (Outcome, Vec<Vec<u8>>) {
    let (mut near, mut far) = UnixStream::pair().unwrap();
    let read = tokio::spawn(async move {
        let mut bytes = Vec::new();
        far.read_to_end(&mut bytes).await.unwrap();
        bytes
    });
    let (mut reader, mut writer) = (PacketReader::new(1 << 20, LIMIT), PacketWriter::new(LIMIT));
    writer.seq = 1;
    backend.request(code, body).await.unwrap();
    let mut client = ClientSide { reader: &mut reader, writer: &mut writer, stream: &mut near };
    let outcome = timeout(LIMIT, backend.relay(&mut client, options)).await.unwrap();
    writer.flush(&mut near).await.unwrap();
    drop(near);
    let bytes = read.await.unwrap();
    if let Ok((relayed, _)) = &outcome {
        assert_eq!(relayed.bytes, bytes.len() as u64);
    }
    let (packets, rest) = raw::packets(&bytes, 1, usize::MAX);
    assert!(rest.is_empty());
    (outcome, packets)
}

/// A query's rows as text.
async fn rows(backend: &mut Backend, sql: &str) -> Vec<Vec<String>> {
    let (outcome, packets) =
        relayed(backend, QUERY, sql.as_bytes(), &options(ReplyKind::Query { cursor: false }, MODERN)).await;
    let (relayed, _) = outcome.unwrap_or_else(|error| panic!("{sql}: {error}"));
    let columns = usize::from(packets[0][0]);
    assert!(packets.len() >= columns + 2, "{sql}: {:?}", relayed.outcome);
    let value = |value: Option<&[u8]>| value.map_or("NULL".into(), |value| String::from_utf8_lossy(value).into_owned());
    let rows = packets[columns + 1..packets.len() - 1].iter();
    rows.map(|row| shardlift::mysql::wire::RawRow::parse(row, columns).unwrap().values().map(value).collect()).collect()
}
