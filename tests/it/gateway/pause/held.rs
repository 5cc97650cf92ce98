//! Statements that wait for the end of a pause.

use super::*;
use crate::gateway::raw::{EXECUTE, PREPARE};

/// Everything that would open a transaction on a paused table waits, and is done once, at the new side.
pub(super) async fn released_to_the_new_side(switch: &Switch, gateways: &[Gateway; 2]) {
    switch.source().exec("INSERT INTO moving VALUES (100, 'old'), (101, 'old')").await;
    switch.target().exec("INSERT INTO moving VALUES (100, 'new'), (101, 'new')").await;
    let [one, two] = gateways;
    // Prepared before, in a transaction that no server knows of yet, in SERIALIZABLE.
    let mut prepared = switch.client(one).await;
    prepared.command(PREPARE, b"INSERT INTO moving VALUES (?, 'prepared')").await.unwrap();
    let Answer::Prepared { id, .. } = Answer::prepared(&mut prepared).await.unwrap() else { panic!("not prepared") };
    let mut begun = switch.client(one).await;
    say(&mut begun, "START TRANSACTION").await;
    let mut serializable = switch.client(one).await;
    say(&mut serializable, "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE").await;
    say(&mut serializable, "BEGIN").await;
    let mut implicit = switch.client(two).await;
    say(&mut implicit, "SET autocommit = 0").await;

    let acknowledged = switch.announce().await;
    println!("a pause is acknowledged by both gateways after {acknowledged:?}");
    assert!(acknowledged < Duration::from_millis(100), "{acknowledged:?}");

    let mut said = vec![
        begin(begun, "INSERT INTO moving VALUES (1, 'begun')", None),
        begin(serializable, "SELECT v FROM moving WHERE id = 100", None),
        begin(implicit, "INSERT INTO moving VALUES (2, 'implicit')", None),
        tokio::spawn(async move {
            let execution = [&id.to_le_bytes()[..], &[0, 1, 0, 0, 0, 0, 1, 8, 0], &3u64.to_le_bytes()].concat();
            prepared.command(EXECUTE, &execution).await.unwrap();
            let answers = Answer::all(&mut prepared, true, None).await.unwrap();
            (prepared, answers)
        }),
    ];
    for (gateway, sql, file) in [
        (one, "INSERT INTO moving VALUES (4, 'plain')", None),
        (two, "INSERT INTO moving VALUES (5, 'plain')", None),
        (two, "REPLACE INTO commerce.moving VALUES (6, 'replaced')", None),
        (two, "SELECT v FROM moving WHERE id = 101 FOR UPDATE", None),
        (one, "UPDATE moving SET v = CONCAT(v, '+') WHERE id = 101", None),
        (one, "CALL add_one(7)", None),
        (two, "DO 1; INSERT INTO moving VALUES (8, 'second'); INSERT INTO moving VALUES (9, 'third')", None),
        (one, "LOAD DATA LOCAL INFILE 'x' INTO TABLE moving", Some(&b"10\tloaded\n11\tloaded\n"[..])),
    ] {
        said.push(begin(switch.client(gateway).await, sql, file));
    }
    // A session's own order: what comes behind is not answered before.
    let mut pipelined = switch.client(one).await;
    pipelined.say(b"INSERT INTO moving VALUES (12, 'first')").await.unwrap();
    pipelined.say(b"SELECT v FROM moving WHERE id = 12").await.unwrap();

    // Others are not disturbed.
    let mut other = switch.client(one).await;
    say(&mut other, "INSERT INTO here VALUES (1, 'elsewhere')").await;
    assert_eq!(number(&mut other, "SELECT COUNT(*) FROM moving").await, 2);
    none_is_answered(&said).await;
    assert_eq!(count(one, "held_statements").await + count(two, "held_statements").await, said.len() as u64 + 1);
    assert_eq!(switch.ids(&switch.source()).await, [100, 101]);

    let began = Instant::now();
    switch.end(true).await;
    let mut clients = all_well(said).await;
    println!("{} held statements are done {:?} after the switch", clients.len(), began.elapsed());
    // What was begun is to be ended.
    for client in &mut clients[..3] {
        say(client, "COMMIT").await;
    }
    let first = Answer::all(&mut pipelined, false, None).await.unwrap();
    assert!(first[0].done().is_some(), "{first:?}");
    pipelined.next_answer();
    let second = Answer::all(&mut pipelined, false, None).await.unwrap();
    assert_eq!(second[0].value().as_deref(), Some("first"));

    // The procedure is where it was; a fence that is closed refuses what it writes there.
    assert_eq!(switch.ids(&switch.source()).await, [7, 100, 101]);
    assert_eq!(switch.ids(&switch.target()).await, (1..=6).chain(8..=12).chain([100, 101]).collect::<Vec<_>>());
    assert_eq!(switch.target().value("SELECT v FROM moving WHERE id = 101").await, "new+");
    for gateway in gateways {
        assert_eq!(count(gateway, "held_statements").await, 0);
        assert_eq!(count(gateway, "pause_seconds_count").await, 1);
    }
    assert_eq!(count(one, "released_statements_total{reason=\"stayed\"}").await, 1);
    switch.reset().await;
}

/// A pause that is withdrawn.
pub(super) async fn released_to_the_old_side(switch: &Switch, gateway: &Gateway) {
    let [moved, stayed] = ["moved", "stayed"].map(|why| format!("released_statements_total{{reason=\"{why}\"}}"));
    let before = [count(gateway, &moved).await, count(gateway, &stayed).await];
    switch.announce().await;
    let said: Vec<Said> = vec![
        begin(switch.client(gateway).await, "INSERT INTO moving VALUES (1, 'stays')", None),
        begin(switch.client(gateway).await, "BEGIN; INSERT INTO moving VALUES (2, 'stays'); COMMIT", None),
    ];
    none_is_answered(&said).await;
    switch.end(false).await;
    all_well(said).await;
    assert_eq!((switch.ids(&switch.source()).await, switch.ids(&switch.target()).await), (vec![1, 2], vec![]));
    assert_eq!([count(gateway, &moved).await, count(gateway, &stayed).await], [before[0], before[1] + 2]);
    switch.reset().await;
}

/// Transactions open when their tables move: one that had only read goes on at the new side, one that had done more is
/// told to begin again, and one that holds its locks goes on undisturbed in the pause.
pub(super) async fn transactions_that_had_begun(switch: &Switch, gateway: &Gateway) {
    let aborted = "aborted_transactions_total{reason=\"moved\"}";
    switch.source().exec("INSERT INTO moving VALUES (100, 'old')").await;
    switch.target().exec("INSERT INTO moving VALUES (100, 'new')").await;
    let mut reader = switch.client(gateway).await;
    say(&mut reader, "BEGIN").await;
    assert_eq!(number(&mut reader, "SELECT COUNT(*) FROM moving").await, 1);
    let mut locker = switch.client(gateway).await;
    say(&mut locker, "BEGIN").await;
    say(&mut locker, "SELECT v FROM moving WHERE id = 100 FOR UPDATE").await;
    let mut writer = switch.client(gateway).await;
    say(&mut writer, "BEGIN").await;
    say(&mut writer, "INSERT INTO here VALUES (1, 'lost')").await;
    let mut holder = switch.client(gateway).await;
    say(&mut holder, "BEGIN").await;
    say(&mut holder, "INSERT INTO moving VALUES (1, 'kept')").await;
    switch.announce().await;
    say(&mut holder, "INSERT INTO moving VALUES (2, 'kept')").await;
    say(&mut holder, "COMMIT").await;
    let revision = switch.end(true).await;
    switch.acknowledged(revision).await;

    say(&mut reader, "INSERT INTO moving VALUES (3, 'read before')").await;
    assert_eq!(number(&mut reader, "SELECT COUNT(*) FROM moving").await, 2);
    assert_eq!(switch.ids(&switch.target()).await, [100], "it is committed too early");
    say(&mut reader, "COMMIT").await;
    for (id, client) in [(4, locker), (5, writer)] {
        let (mut client, error) = refusal(begin(client, "UPDATE moving SET v = 'x'", None)).await;
        assert_eq!((error.code, error.state.as_str()), (1213, "40001"), "{error:?}");
        say(&mut client, &format!("INSERT INTO moving VALUES ({id}, 'by itself')")).await;
    }
    assert_eq!(count(gateway, aborted).await, 2);
    assert_eq!(
        (switch.ids(&switch.source()).await, switch.ids(&switch.target()).await),
        (vec![1, 2, 100], vec![3, 4, 5, 100])
    );
    assert_eq!(switch.source().value("SELECT COUNT(*) FROM here").await, "0");
    switch.reset().await;
}

/// While fences are armed, a transaction's first locking read takes the fence's row: the close waits for its end.
pub(super) async fn a_locking_read_is_waited_for(switch: &Switch, gateway: &Gateway) {
    switch.source().exec("INSERT INTO moving VALUES (100, 'old')").await;
    switch.tell(false).await;
    let mut locker = switch.client(gateway).await;
    say(&mut locker, "BEGIN").await;
    say(&mut locker, "SELECT v FROM moving WHERE id = 100 FOR UPDATE").await;
    let mut free = switch.client(gateway).await;
    say(&mut free, "INSERT INTO moving VALUES (1, 'not held')").await;
    let side = switch.source();
    let closing = tokio::spawn(async move { side.exec("UPDATE _shardlift.fence SET closed = 1").await });
    sleep(A_WHILE).await;
    assert!(!closing.is_finished(), "the fence closes over a locking read");
    switch.announce().await;
    say(&mut locker, "UPDATE moving SET v = 'locked' WHERE id = 100").await;
    say(&mut locker, "COMMIT").await;
    closing.await.unwrap();
    assert_eq!(switch.source().value("SELECT v FROM moving WHERE id = 100").await, "locked");
    switch.reset().await;
}
