//! LOAD DATA LOCAL through the relay, and what becomes of it when either side goes midway.

use shardlift::gateway::backend::Backend;
use shardlift::mysql::wire::channel::{PacketReader, PacketWriter};
use shardlift::mysql::wire::relay::{ClientSide, Outcome, Reached, RelayError, ReplyKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::raw::{framed, packets};
use super::{Fixture, LIMIT, MODERN, QUERY, options, rows};

const LOAD: &[u8] = b"LOAD DATA LOCAL INFILE 'x' INTO TABLE shop.t (b)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_pass_and_lost_ones_are_rolled_back() {
    let fixture = Fixture::new().await;
    let mut backend = fixture.backend(MODERN).await;
    // The longest piece fills a frame, and is therefore followed by an empty one that does not end the file.
    let long = b"0123456789abcde\n".repeat(0x10_0000)[..0xFF_FFFF].to_vec();
    let pieces = vec![b"a\nb\n".to_vec(), long, b"\nc\n".to_vec(), Vec::new()];
    let (outcome, rest) = load(&mut backend, pieces, |_| {}).await;
    let lines = 2 + 0x10_0000 + 1;
    let done = outcome.unwrap().0.outcome;
    assert!(matches!(&done, Outcome::Done { affected_rows, .. } if *affected_rows == lines), "{done:?}");
    // The client sent frames 2 to 6, so the answer is the seventh.
    assert_eq!(packets(&rest, 7, usize::MAX).0.len(), 1);
    assert_eq!(rows(&mut backend, "SELECT COUNT(*) FROM shop.t").await, [[lines.to_string()]]);

    let (outcome, _) = load(&mut backend, vec![b"d\n".repeat(100_000)], |_| {}).await;
    assert!(matches!(outcome, Err(RelayError::Client(_))), "{outcome:?}");
    assert!(!backend.is_usable());
    drop(backend);
    let mut other = fixture.backend(MODERN).await;
    assert_eq!(rows(&mut other, "SELECT COUNT(*) FROM shop.t").await, [[lines.to_string()]]);

    // The server goes: the client is heard to its end, then it can be told, in turn.
    let mut backend = fixture.backend(MODERN).await;
    let kill = format!("kill -9 {}", fixture.server.pid().unwrap());
    let kill = |number: usize| {
        if number == 1 {
            assert!(std::process::Command::new("sh").arg("-c").arg(&kill).status().unwrap().success());
        }
    };
    let pieces = vec![b"e\n".to_vec(), b"f\n".repeat(1_000_000), b"g\n".repeat(1_000_000), Vec::new()];
    let (outcome, _) = load(&mut backend, pieces, kill).await;
    assert!(matches!(outcome, Err(RelayError::Server { reached: Reached::Packets, .. })), "{outcome:?}");
}

/// Loads a file that comes in these packets; `before` is called before each. Without an empty one the client goes midway.
/// The outcome, and what the client got after the request for the file.
async fn load(backend: &mut Backend, pieces: Vec<Vec<u8>>, before: impl Fn(usize)) -> (super::Outcome, Vec<u8>) {
    let (mut near, mut far) = UnixStream::pair().unwrap();
    let (mut reader, mut writer) = (PacketReader::new(1 << 20, LIMIT), PacketWriter::new(LIMIT));
    writer.seq = 1;
    backend.request(QUERY, LOAD).await.unwrap();
    let options = options(ReplyKind::Query { cursor: false }, MODERN);
    let relay = async {
        let mut client = ClientSide { reader: &mut reader, writer: &mut writer, stream: &mut near };
        let outcome = timeout(LIMIT, backend.relay(&mut client, &options)).await.unwrap();
        if outcome.is_err() {
            writer.write(&mut near, &[], b"\xff\x07\xd0#HY000lost").await.ok();
        }
        writer.flush(&mut near).await.ok();
        drop(near);
        outcome
    };
    let client = async {
        let mut request = [0; 6];
        far.read_exact(&mut request).await.unwrap();
        assert_eq!(request, [2, 0, 0, 1, 0xFB, b'x']);
        let mut seq = 2;
        for (number, piece) in pieces.iter().enumerate() {
            before(number);
            far.write_all(&framed(piece, &mut seq)).await.unwrap();
        }
        let whole = pieces.last().is_some_and(Vec::is_empty);
        let mut rest = Vec::new();
        if whole {
            far.read_to_end(&mut rest).await.unwrap();
            assert_eq!(packets(&rest, seq, usize::MAX).0.len(), 1);
        }
        drop(far);
        rest
    };
    tokio::join!(relay, client)
}
