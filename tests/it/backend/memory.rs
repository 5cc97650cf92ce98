//! A 64 MiB row to a slow client, in a process of its own whose memory is looked at.

use std::time::Duration;

use shardlift::gateway::backend::Backend;
use shardlift::mysql::wire::channel::{PacketReader, PacketWriter};
use shardlift::mysql::wire::relay::{ClientSide, Outcome, ReplyKind};
use shardlift::mysql::wire::{Announce, ConnectOptions};
use shardlift::mysql::{Endpoint, Login, Secret};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::{Fixture, LIMIT, MODERN, PASSWORD, QUERY, USER, options};

const SOCKET: &str = "SHARDLIFT_TEST_SOCKET";
const ROW: u64 = 64 << 20;
/// Far less than the row, far more than the relay's buffers.
const MOST_KIB: u64 = 8 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_row_takes_no_memory() {
    let fixture = Fixture::new().await;
    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "backend::memory::relays_a_long_row", "--ignored", "--nocapture"])
        .env(SOCKET, fixture.server.socket())
        .output();
    let output = tokio::time::timeout(LIMIT, child).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "run by a_long_row_takes_no_memory, in a process of its own"]
async fn relays_a_long_row() {
    let endpoint = Endpoint::unix(std::env::var_os(SOCKET).unwrap().as_ref());
    let login = Login { endpoint, user: USER.into(), password: Secret::new(PASSWORD), database: None };
    let connect = ConnectOptions { announce: Announce::relaying(MODERN, 255), ..ConnectOptions::default() };
    let mut backend = Backend::connect(login, connect).await.unwrap();
    let (mut near, mut far) = UnixStream::pair().unwrap();
    let slow = tokio::spawn(async move {
        let (mut bytes, mut total) = (vec![0; 1 << 20], 0);
        loop {
            match far.read(&mut bytes).await.unwrap() {
                0 => return total,
                read => total += read as u64,
            }
            if total < 4 << 20 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let (mut reader, mut writer) = (PacketReader::new(1 << 20, LIMIT), PacketWriter::new(LIMIT));
    writer.seq = 1;
    let before = peak();
    backend.request(QUERY, format!("SELECT REPEAT('x', {ROW}) UNION ALL SELECT 'y'").as_bytes()).await.unwrap();
    let mut client = ClientSide { reader: &mut reader, writer: &mut writer, stream: &mut near };
    let (relayed, _) = backend.relay(&mut client, &options(ReplyKind::Query { cursor: false }, MODERN)).await.unwrap();
    writer.flush(&mut near).await.unwrap();
    drop(near);
    assert_eq!(relayed.outcome, Outcome::Rows { rows: 2 });
    assert_eq!(slow.await.unwrap(), relayed.bytes);
    let grown = peak() - before;
    assert!(relayed.bytes > ROW && grown < MOST_KIB, "{grown} KiB more for {} bytes", relayed.bytes);
}

/// The most memory this process ever had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
