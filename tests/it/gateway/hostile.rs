//! Peers that do not keep to the protocol: whatever they send, the process neither dies nor grows, and a good client beside
//! them notices nothing.

mod packets;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::raw::{BASE, Greeting, Login, Raw, SSL, response};
use super::{login, number};
use crate::harness::{Gateway, TestCluster, until};

const CEILING_MIB: u64 = 256;
/// The longest a good client may wait for `SELECT 1` beside all this.
const PATIENCE: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_harms_nobody() {
    let cluster = TestCluster::start().await;
    let [_, cert, key] = cluster.certificates(cluster.source());
    let flags = format!("--tls-cert {} --tls-key {} --max-allowed-packet 16777216", cert.display(), key.display());
    let mut gateway = cluster.gateway(&flags).await;
    let app = login(&cluster, &gateway, "commerce", 0);
    let mut first = Raw::open(&app).await.unwrap().unwrap();
    assert_eq!(number(&mut first, "SELECT 1").await, 1);
    let (files, memory) = (gateway.open_files(), gateway.memory_mib());
    let (over, good) = good_client(&app);
    let silent = silent_client(app.port);
    early_ends(&app).await;
    broken_logins(&app).await;
    broken_tls(&app).await;
    in_pieces(&app).await;
    sequence_ids(&app).await;
    unfinished_frames(&app, &gateway).await;
    packets::commands(&app).await;
    packets::statements(&app).await;
    packets::odd_texts(&app).await;
    over.store(true, Ordering::Relaxed);
    let slowest = good.await.unwrap();
    silent.await.unwrap();
    assert!(gateway.is_alive(), "{}", gateway.log());
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    let (now, peak) = (gateway.memory_mib(), gateway.peak_mib());
    println!(
        "a good client waited {slowest:?} at most; memory {memory} MiB before, {now} MiB after, {peak} MiB at most"
    );
    assert!(slowest < PATIENCE, "a good client waited {slowest:?}");
    assert!(peak < CEILING_MIB && now < memory + 64, "{memory} MiB before, {now} MiB after, {peak} MiB at most");
    until("connections of those who went are closed", SOON, async || {
        let open = gateway.open_files();
        if open <= files + 8 { Ok(()) } else { Err(format!("{open} files are open, {files} were before")) }
    })
    .await;
    assert_eq!(number(&mut first, "SELECT 2").await, 2);
    assert!(gateway.stop().await.success());
}

/// Asks for a row again and again; the longest it had to wait.
fn good_client(login: &Login) -> (Arc<AtomicBool>, JoinHandle<Duration>) {
    let (over, login) = (Arc::new(AtomicBool::new(false)), login.clone());
    let done = Arc::clone(&over);
    let work = tokio::spawn(async move {
        let mut slowest = Duration::ZERO;
        while !done.load(Ordering::Relaxed) {
            let began = Instant::now();
            let mut client = Raw::open(&login).await.unwrap().unwrap();
            for n in 0..10 {
                let began = Instant::now();
                assert_eq!(number(&mut client, &format!("SELECT {n}")).await, n);
                slowest = slowest.max(began.elapsed());
                sleep(Duration::from_millis(10)).await;
            }
            slowest = slowest.max(began.elapsed() / 4);
        }
        slowest
    });
    (over, work)
}

/// A client that never answers the greeting is cut off.
fn silent_client(port: u16) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut said = Vec::new();
        let ended = timeout(Duration::from_secs(30), stream.read_to_end(&mut said)).await;
        assert!(ended.is_ok(), "a login may take for ever");
    })
}

fn frame(seq: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(payload.len()).unwrap().to_le_bytes()[..3].to_vec();
    out.push(seq);
    out.extend_from_slice(payload);
    out
}

/// A connection that has read its greeting.
async fn greeted(login: &Login) -> (TcpStream, Greeting) {
    let mut stream = TcpStream::connect(("127.0.0.1", login.port)).await.unwrap();
    let mut header = [0; 4];
    stream.read_exact(&mut header).await.unwrap();
    let mut packet = vec![0; usize::from(header[0]) | usize::from(header[1]) << 8];
    stream.read_exact(&mut packet).await.unwrap();
    (stream, Greeting::parse(&packet).unwrap())
}

/// What comes until the gateway closes or has nothing more to say.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    let _ = timeout(Duration::from_millis(300), stream.read_to_end(&mut said)).await;
    said
}

async fn early_ends(login: &Login) {
    for _ in 0..20 {
        drop(TcpStream::connect(("127.0.0.1", login.port)).await.unwrap());
    }
    let (_, greeting) = greeted(login).await;
    let whole = frame(1, &response(login, BASE | 8, &greeting.nonce));
    for cut in 0..whole.len() {
        let (mut stream, _) = greeted(login).await;
        stream.write_all(&whole[..cut]).await.unwrap();
    }
    // After each command, in the middle of a reply.
    for _ in 0..10 {
        let mut client = Raw::open(login).await.unwrap().unwrap();
        client.say(b"SELECT REPEAT('x', 1000000), SLEEP(1)").await.unwrap();
    }
}

async fn broken_logins(login: &Login) {
    let mut random = StdRng::seed_from_u64(7);
    let (_, greeting) = greeted(login).await;
    let good = response(login, BASE | 8, &greeting.nonce);
    let mut broken: Vec<Vec<u8>> = Vec::new();
    broken.push(Vec::new());
    // Cut, but as a whole packet; a byte changed; rubbish; lengths that lie.
    broken.extend((0..good.len()).step_by(7).map(|cut| good[..cut].to_vec()));
    broken.extend((0..good.len()).step_by(5).map(|at| {
        let mut changed = good.clone();
        changed[at] ^= 0xFF;
        changed
    }));
    broken.extend((0..60).map(|_| {
        let mut bytes = vec![0; random.random_range(1..300)];
        random.fill_bytes(&mut bytes);
        bytes
    }));
    for length in [[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], [0xFD, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0]] {
        // Capabilities with attributes and a length-encoded proof, whose lengths lie.
        let mut lying = (BASE | 1 << 20 | 1 << 21).to_le_bytes().to_vec();
        lying.extend_from_slice(&[0, 0, 0, 1, 255]);
        lying.extend_from_slice(&[0; 23]);
        lying.extend_from_slice(b"app\0");
        let mut attributes = lying.clone();
        lying.extend_from_slice(&length);
        attributes.extend_from_slice(&[0]);
        attributes.extend_from_slice(b"caching_sha2_password\0");
        attributes.extend_from_slice(&length);
        broken.extend([lying, attributes]);
    }
    for payload in broken {
        let (mut stream, _) = greeted(login).await;
        stream.write_all(&frame(1, &payload)).await.unwrap();
        // The connection is ours only for a moment: nobody gets in.
        let mut said = [0; 64];
        let read = timeout(Duration::from_millis(100), stream.read(&mut said)).await;
        if let Ok(Ok(length)) = read {
            assert!(length < 5 || said[4] != 0, "logged in by {}", payload.escape_ascii());
        }
    }
}

async fn broken_tls(login: &Login) {
    let mut request = (BASE | SSL).to_le_bytes().to_vec();
    request.extend_from_slice(&[0, 0, 0, 1, 255]);
    request.extend_from_slice(&[0; 23]);
    let mut random = StdRng::seed_from_u64(8);
    for _ in 0..20 {
        let (mut stream, _) = greeted(login).await;
        let mut garbage = vec![0; 500];
        random.fill_bytes(&mut garbage);
        stream.write_all(&frame(1, &request)).await.unwrap();
        sleep(Duration::from_millis(5)).await;
        let _ = stream.write_all(&garbage).await;
        rest(&mut stream).await;
    }
    // A login in clear in one piece with the request for TLS must not be taken for one that came through it.
    let (mut stream, greeting) = greeted(login).await;
    let smuggled = [frame(1, &request), frame(2, &response(login, BASE | SSL | 8, &greeting.nonce))].concat();
    stream.write_all(&smuggled).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.get(4) != Some(&0), "a smuggled login got in: {}", said.escape_ascii());
    for _ in 0..5 {
        let (mut stream, _) = greeted(login).await;
        stream.write_all(&frame(1, &request)).await.unwrap();
    }
}

/// A login and a query that come byte by byte are as good as others.
async fn in_pieces(login: &Login) {
    let (mut stream, greeting) = greeted(login).await;
    stream.set_nodelay(true).unwrap();
    for byte in frame(1, &response(login, BASE | 8, &greeting.nonce)) {
        stream.write_all(&[byte]).await.unwrap();
        sleep(Duration::from_micros(200)).await;
    }
    let said = rest(&mut stream).await;
    // "Fast authentication succeeded", then OK.
    assert_eq!(said.get(..7), Some([2, 0, 0, 2, 1, 3, 7].as_slice()), "{}", said.escape_ascii());
    for byte in frame(0, b"\x03SELECT 'in pieces'") {
        stream.write_all(&[byte]).await.unwrap();
        sleep(Duration::from_micros(200)).await;
    }
    let said = rest(&mut stream).await;
    assert!(said.windows(9).any(|window| window == b"in pieces"), "{}", said.escape_ascii());
    // Many commands in one piece.
    let many = frame(0, b"\x03SELECT 'pipelined'").repeat(20);
    stream.write_all(&many).await.unwrap();
    let mut said = Vec::new();
    while said.windows(9).filter(|window| window == b"pipelined").count() < 40 {
        let mut part = vec![0; 4096];
        let read = timeout(SOON, stream.read(&mut part)).await.expect("pipelined commands are answered").unwrap();
        assert!(read > 0, "closed after {}", said.escape_ascii());
        said.extend_from_slice(&part[..read]);
    }
}

async fn sequence_ids(login: &Login) {
    for seq in [0, 2, 3, 255] {
        let (mut stream, greeting) = greeted(login).await;
        stream.write_all(&frame(seq, &response(login, BASE | 8, &greeting.nonce))).await.unwrap();
        let said = rest(&mut stream).await;
        assert!(said.get(4) != Some(&0), "logged in with sequence id {seq}");
    }
    for seq in [1, 7, 255] {
        let mut client = Raw::open(login).await.unwrap().unwrap();
        client.stream().write_all(&frame(seq, b"\x03SELECT 1")).await.unwrap();
        rest(client.stream()).await;
    }
}

/// Large frames that are announced and never come, before and after the login.
async fn unfinished_frames(login: &Login, gateway: &Gateway) {
    let before = gateway.memory_mib();
    let mut held = Vec::new();
    for _ in 0..40 {
        let (mut stream, _) = greeted(login).await;
        let sent = async {
            stream.write_all(&[0xFF, 0xFF, 0xFF, 1]).await?;
            for _ in 0..15 {
                stream.write_all(&vec![b'x'; 1 << 20]).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        // Who is refused at once cannot send it all.
        let _ = timeout(Duration::from_secs(1), sent).await;
        held.push(stream);
    }
    let after = gateway.memory_mib();
    println!("40 frames of 15 MiB before a login: {before} MiB, then {after} MiB");
    assert!(after < before + 64, "strangers fill the memory: {before} MiB, then {after} MiB");
    held.clear();
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = Raw::open(login).await.unwrap().unwrap();
        client.stream().write_all(&[0xFF, 0xFF, 0xFF, 0, 3]).await.unwrap();
        client.stream().write_all(&vec![b'x'; 12 << 20]).await.unwrap();
        clients.push(client);
    }
    // A packet of many frames, beyond the limit: refused, or cut off while it comes, and never kept.
    let mut client = Raw::open(login).await.unwrap().unwrap();
    let before = gateway.memory_mib();
    let mut taken = true;
    for seq in 0..8 {
        let whole = [[0xFF, 0xFF, 0xFF, seq].as_slice(), &vec![3; 0xFF_FFFF]].concat();
        taken = taken && matches!(timeout(SOON, client.stream().write_all(&whole)).await, Ok(Ok(())));
    }
    assert!(gateway.memory_mib() < before + 32, "a packet of 128 MiB is kept, with a limit of 16");
    if taken {
        let _ = client.stream().write_all(&[0, 0, 0, 8]).await;
        let said = rest(client.stream()).await;
        assert!(said.is_empty() || said.get(4..7) == Some(&[0xFF, 0x81, 0x04]), "{}", said.escape_ascii());
    }
}
