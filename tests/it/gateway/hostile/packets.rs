//! Commands of clients that are logged in and send nonsense.

use std::io::Result;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::{SOON, frame};
use crate::gateway::number;
use crate::gateway::raw::{CHANGE_USER, CLOSE, EXECUTE, Login, PREPARE, QUERY_ATTRIBUTES, Raw};
use crate::gateway::reply::Answer;

const PING: u8 = 14;

/// Every command byte, with nothing and with rubbish behind it.
pub async fn commands(login: &Login) {
    let mut random = StdRng::seed_from_u64(9);
    let mut client = Raw::open(login).await.unwrap().unwrap();
    for code in 0..=255u8 {
        for length in [0, 1, 4, 9, 40] {
            let mut body = vec![0; length];
            random.fill_bytes(&mut body);
            if !still_there(&mut client, code, &body).await.unwrap_or(false) {
                client = Raw::open(login).await.unwrap().unwrap();
            }
        }
    }
    let user = [login.user.as_bytes(), b"\0\x20"].concat();
    for cut in 0..60 {
        let mut body = user.clone();
        body.resize(cut, b'a');
        if !still_there(&mut client, CHANGE_USER, &body).await.unwrap_or(false) {
            client = Raw::open(login).await.unwrap().unwrap();
        }
    }
}

/// Sends a command and, unless the gateway closes, waits for an answer to it or to a ping after it.
async fn still_there(client: &mut Raw, code: u8, body: &[u8]) -> Result<bool> {
    client.command(code, body).await?;
    // Some commands have no answer; what has one is read before the ping's is looked for.
    let mut said = [0; 4096];
    let answered = timeout(Duration::from_millis(10), client.stream().read(&mut said)).await;
    if matches!(answered, Ok(Ok(0) | Err(_))) {
        return Ok(false);
    }
    let stream = client.stream();
    stream.write_all(&frame(0, &[PING])).await?;
    match timeout(SOON, stream.read(&mut said)).await {
        Ok(Ok(length)) => Ok(length > 0),
        Ok(Err(_)) => Ok(false),
        Err(_) => panic!("no answer to a ping after command {code} {}", body.escape_ascii()),
    }
}

/// Prepared statements that do not exist, and packets that lie about their parameters.
pub async fn statements(login: &Login) {
    let mut client = Raw::open(login).await.unwrap().unwrap();
    for (code, body) in [
        (EXECUTE, [9, 9, 0, 0, 0, 1, 0, 0, 0].as_slice()),
        (26, &[9, 9, 0, 0]),
        (28, &[9, 9, 0, 0, 1, 0, 0, 0]),
        (EXECUTE, &[255, 255, 255, 255, 0, 1, 0, 0, 0]),
    ] {
        client.command(code, body).await.unwrap();
        let answer = Answer::simple(&client.packet().await.unwrap(), client.capabilities).unwrap();
        assert_eq!(answer.error().map(|error| error.code), Some(1243), "{answer:?}");
    }
    for code in [24, CLOSE] {
        client.command(code, &[9, 9, 0, 0, 0, 0, b'x']).await.unwrap();
    }
    assert_eq!(number(&mut client, "SELECT 1").await, 1);
    let prepared = async || {
        let mut client = Raw::open(login).await.unwrap().unwrap();
        client.command(PREPARE, b"SELECT ?, ?").await.unwrap();
        match Answer::prepared(&mut client).await.unwrap() {
            Answer::Prepared { id, .. } => (client, id),
            other => panic!("{other:?}"),
        }
    };
    let (mut client, mut id) = prepared().await;
    // No NULLs, bound: a text and a number.
    let good = [0, 1, 0, 0, 0, 0, 1, 253, 0, 8, 0, 3, b'a', b'b', b'c', 1, 2, 3, 4, 5, 6, 7, 8];
    let mut bodies: Vec<Vec<u8>> = (0..good.len()).map(|cut| good[..cut].to_vec()).collect();
    for length in [0xFB, 0xFC, 0xFD, 0xFE, 0xFF, 0x50] {
        let mut lying = good.to_vec();
        lying[11] = length;
        bodies.push(lying);
    }
    for kind in 0..=255 {
        let mut odd = good.to_vec();
        odd[7] = kind;
        bodies.push(odd);
    }
    for body in bodies {
        let body = [id.to_le_bytes().as_slice(), &body].concat();
        if !still_there(&mut client, EXECUTE, &body).await.unwrap_or(false) {
            (client, id) = prepared().await;
        }
    }
    // Attributes of a query that lie.
    let with_attributes = Login { capabilities: QUERY_ATTRIBUTES, ..login.clone() };
    for prefix in [
        [0xFE, 255, 255, 255, 255, 255, 255, 255, 255, 1].as_slice(),
        &[1, 0],
        &[1, 1],
        &[1, 1, 0, 1],
        &[1, 1, 0, 1, 253, 0, 0xFE, 255, 255, 255, 255, 255, 255, 255, 255],
        &[1, 1, 0, 1, 253, 0, 1, b'n', 0xFD, 255, 255, 255],
        &[0xFB, 1],
        &[5],
        &[],
    ] {
        let mut client = Raw::open(&with_attributes).await.unwrap().unwrap();
        let body = [prefix, b"SELECT 1"].concat();
        let _ = still_there(&mut client, 3, &body).await;
    }
}

/// Texts that make careless parsers slow or deep.
pub async fn odd_texts(login: &Login) {
    const MANY: usize = 200_000;
    let repeated = |before: &str, text: &str, after: &str| [before, &text.repeat(MANY), after].concat().into_bytes();
    for text in [
        repeated("SELECT ", "(", ""),
        repeated("SELECT ", "(SELECT ", ""),
        repeated("", ";", ""),
        repeated("SELECT 1 ", "/*", "*/"),
        repeated("", "/*! ", ""),
        repeated("SELECT ", "'", ""),
        repeated("SELECT ", "`", ""),
        repeated("SELECT 1 FROM a", ", a", ""),
        repeated("SELECT 1 FROM ", "a JOIN ", "a"),
        repeated("BEGIN ", "BEGIN ", ""),
        repeated("CREATE PROCEDURE p() ", "BEGIN IF CASE ", ""),
        repeated("WITH a AS (", "WITH a AS (", ""),
        repeated("SET ", "@a=1,", "@b=2"),
        repeated("USE ", "@", ""),
        vec![0; MANY],
        vec![0xFF; MANY],
    ] {
        let mut client = Raw::open(login).await.unwrap().unwrap();
        let began = Instant::now();
        let shown = text[..20.min(text.len())].escape_ascii().to_string();
        // An answer or an end: either will do, soon.
        let _ = timeout(SOON, client.query(&text, None)).await.unwrap_or_else(|_| panic!("{shown}… takes for ever"));
        assert!(began.elapsed() < Duration::from_secs(10), "{shown}… took {:?}", began.elapsed());
    }
}
