//! Statements that a closed fence refuses.

use super::*;

/// Nothing but the fence tells of this pause: what the refusal has undone is sent again until it opens.
pub(super) async fn sent_again(switch: &Switch, gateway: &Gateway) {
    let mut reader = switch.client(gateway).await;
    say(&mut reader, "START TRANSACTION").await;
    assert_eq!(number(&mut reader, "SELECT COUNT(*) FROM moving").await, 0);
    let mut characteristics = switch.client(gateway).await;
    say(&mut characteristics, "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED").await;
    say(&mut characteristics, "BEGIN").await;
    let mut implicit = switch.client(gateway).await;
    say(&mut implicit, "SET autocommit = 0").await;
    let mut named = switch.client(gateway).await;
    say(&mut named, "DO GET_LOCK('mine', 0)").await;
    let refusals = count(gateway, "fence_refusals_total").await;
    switch.set_fence(&switch.source(), true).await;
    let mut said = vec![
        begin(reader, "INSERT INTO moving VALUES (1, 'read before')", None),
        begin(characteristics, "INSERT INTO moving VALUES (2, 'begun')", None),
        begin(implicit, "INSERT INTO moving VALUES (3, 'implicit')", None),
        begin(named, "INSERT INTO moving VALUES (4, 'with a lock')", None),
    ];
    for sql in [
        "INSERT INTO moving VALUES (5, 'plain'), (6, 'plain')",
        // Only what was refused is sent again: the row before it is there once.
        "INSERT INTO here VALUES (1, 'once'); INSERT INTO moving VALUES (7, 'second'); INSERT INTO here VALUES (2, 'once')",
        "BEGIN; INSERT INTO moving SELECT 8, 'whole'; COMMIT",
        "INSERT INTO moving VALUES (9, 'x') ON DUPLICATE KEY UPDATE v = 'y'",
    ] {
        said.push(begin(switch.client(gateway).await, sql, None));
    }
    none_is_answered(&said).await;
    holds(gateway, said.len() as u64).await;
    assert_eq!(switch.source().value("SELECT COUNT(*) FROM here").await, "1");
    // Between two attempts nothing is left open on the server.
    until("no transaction is open", SOON, async || {
        let open = switch.source().value("SELECT COUNT(*) FROM information_schema.INNODB_TRX").await;
        if open == "0" { Ok(()) } else { Err(open) }
    })
    .await;
    let began = Instant::now();
    switch.set_fence(&switch.source(), false).await;
    let mut clients = all_well(said).await;
    let took = began.elapsed();
    println!("{} refused statements are done {took:?} after the fence opens", clients.len());
    let [reader, characteristics, implicit, ..] = clients.as_mut_slice() else { panic!() };
    assert_eq!(switch.ids(&switch.source()).await, (4..=9).collect::<Vec<_>>(), "transactions stay open");
    // The level it asked for: it sees what others have not committed.
    assert_eq!(number(characteristics, "SELECT COUNT(*) FROM moving WHERE id < 4").await, 3);
    for client in [reader, characteristics, implicit] {
        say(client, "COMMIT").await;
    }
    assert_eq!(switch.ids(&switch.source()).await, (1..=9).collect::<Vec<_>>());
    assert_eq!(switch.source().value("SELECT COUNT(*) FROM here").await, "2");
    assert!(count(gateway, "fence_refusals_total").await > refusals + 8);
    assert_eq!(count(gateway, "aborted_transactions_total{reason=\"fence\"}").await, 0);
    switch.reset().await;
}

/// What cannot be sent again: its transaction is gone, and its client knows.
pub(super) async fn told_to_begin_again(switch: &Switch, gateway: &Gateway) {
    let aborted = "aborted_transactions_total{reason=\"fence\"}";
    switch.source().exec("INSERT INTO moving VALUES (100, 'old')").await;
    let mut writer = switch.client(gateway).await;
    say(&mut writer, "BEGIN; INSERT INTO here VALUES (1, 'undone')").await;
    let mut locker = switch.client(gateway).await;
    say(&mut locker, "BEGIN; SELECT v FROM moving WHERE id = 100 FOR UPDATE").await;
    let mut implicit = switch.client(gateway).await;
    say(&mut implicit, "SET autocommit = 0; INSERT INTO here VALUES (2, 'undone')").await;
    let mut counting = switch.client(gateway).await;
    say(&mut counting, "SET @n = 0").await;
    switch.set_fence(&switch.source(), true).await;
    let file = &b"7\tloaded\n"[..];
    for (client, sql, file) in [
        (writer, "INSERT INTO moving VALUES (1, 'refused')", None),
        (locker, "UPDATE moving SET v = 'refused'", None),
        (implicit, "DELETE FROM moving", None),
        (counting, "UPDATE moving SET v = (@n := @n + 1)", None),
        (switch.client(gateway).await, "LOAD DATA LOCAL INFILE 'x' INTO TABLE moving", Some(file)),
    ] {
        let (mut client, error) = refusal(begin(client, sql, file)).await;
        assert_eq!((error.code, error.state.as_str()), (1213, "40001"), "{sql}: {error:?}");
        assert_eq!(number(&mut client, "SELECT COUNT(*) FROM here").await, 0, "{sql}");
        // Whoever has autocommit off is in a transaction again by this read.
        let answers = say(&mut client, "SELECT 1").await;
        assert!(answers[0].done().is_none_or(|done| done.status & 1 == 0) || sql.starts_with("DELETE"), "{sql}");
    }
    assert_eq!(count(gateway, aborted).await, 5);
    // A procedure may have done something before: its client gets the server's own words.
    let (_, error) = refusal(begin(switch.client(gateway).await, "CALL add_one(8)", None)).await;
    assert_eq!((error.code, error.message.as_str()), (20501, "moving has a new home"));
    assert_eq!(switch.source().value("SELECT COUNT(*) FROM information_schema.INNODB_TRX").await, "0");
    assert_eq!(switch.ids(&switch.source()).await, [100]);
    switch.reset().await;
}

/// The rules lead to the target, which is not open yet; a session that names the old shard is told so at once.
pub(super) async fn between_commit_and_opening(switch: &Switch, gateway: &Gateway) {
    switch.set_fence(&switch.source(), true).await;
    switch.set_fence(&switch.target(), true).await;
    switch.announce().await;
    let mut said = vec![begin(switch.client(gateway).await, "INSERT INTO moving VALUES (1, 'held')", None)];
    holds(gateway, 1).await;
    let revision = switch.end(true).await;
    switch.acknowledged(revision).await;
    said.push(begin(switch.client(gateway).await, "INSERT INTO moving VALUES (2, 'after')", None));
    let stale = open(&switch.cluster, gateway, "commerce:0", ALL).await;
    let (_, error) = refusal(begin(stale, "INSERT INTO moving VALUES (3, 'astray')", None)).await;
    assert_eq!(error.code, 20501, "{error:?}");
    none_is_answered(&said).await;
    switch.set_fence(&switch.target(), false).await;
    let began = Instant::now();
    all_well(said).await;
    println!("statements are done {:?} after the target opens", began.elapsed());
    assert_eq!((switch.ids(&switch.source()).await, switch.ids(&switch.target()).await), (vec![], vec![1, 2]));
    switch.reset().await;
}
