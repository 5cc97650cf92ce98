//! How waiting ends without the switch: clients that go, KILL, full buffers, time, a gateway that is to stop.

use super::*;

/// Who goes, or is killed, has nothing executed afterwards.
pub(super) async fn clients_that_go(switch: &Switch, gateway: &Gateway) {
    let gone = "released_statements_total{reason=\"left\"}";
    let before = count(gateway, gone).await;
    switch.announce().await;
    let mut leaver = switch.client(gateway).await;
    leaver.say(b"INSERT INTO moving VALUES (1, 'gone')").await.unwrap();
    let mut killed = Vec::new();
    for (id, verb) in [(2, "KILL QUERY"), (3, "KILL")] {
        let client = switch.client(gateway).await;
        killed.push((
            verb,
            client.connection_id,
            begin(client, &format!("INSERT INTO moving VALUES ({id}, 'gone')"), None),
        ));
    }
    holds(gateway, 3).await;
    drop(leaver);
    holds(gateway, 2).await;
    let mut killer = switch.client(gateway).await;
    for (verb, id, said) in killed {
        say(&mut killer, &format!("{verb} {id}")).await;
        let (mut client, error) = refusal(said).await;
        assert_eq!(error.code, 1317, "{verb}: {error:?}");
        let goes_on = client.query("SELECT 1", None).await.is_ok_and(|answers| answers[0].error().is_none());
        assert_eq!(goes_on, verb == "KILL QUERY", "{verb}");
    }
    assert_eq!(count(gateway, gone).await, before + 3);
    let revision = switch.end(false).await;
    switch.acknowledged(revision).await;
    sleep(A_WHILE).await;
    assert_eq!(switch.ids(&switch.source()).await, [0; 0]);
    switch.reset().await;
}

/// Over a bound a statement is refused so that its client may try again, and nothing of it is executed.
pub(super) async fn bounds(switch: &Switch) {
    let gateway = switch.cluster.gateway("--buffer-size 2 --buffer-bytes 1000 --buffer-window 700ms").await;
    let mut begun = switch.client(&gateway).await;
    say(&mut begun, "BEGIN").await;
    switch.announce().await;
    let long = format!("INSERT INTO moving VALUES (1, 'x') /* {} */", "x".repeat(2_000));
    let began = Instant::now();
    let first = begin(begun, &long, None);
    holds(&gateway, 1).await;
    let again = |error: &Refusal, words: &str| {
        assert!(error.code == 1205 && error.message.contains(words), "{words}: {error:?}");
    };
    let (client, error) = refusal(begin(switch.client(&gateway).await, "DELETE FROM moving", None)).await;
    again(&error, "--buffer-bytes");
    let (mut begun, error) = refusal(first).await;
    again(&error, "workflow customer/move");
    let took = began.elapsed();
    assert!((Duration::from_millis(700)..Duration::from_secs(2)).contains(&took), "{took:?}");
    let said =
        [begin(client, "DELETE FROM moving", None), begin(switch.client(&gateway).await, "DELETE FROM moving", None)];
    holds(&gateway, 2).await;
    let (_, error) = refusal(begin(switch.client(&gateway).await, "DELETE FROM moving", None)).await;
    again(&error, "--buffer-size");
    switch.end(false).await;
    all_well(said.into()).await;
    // The transaction is the client's still, and another try succeeds.
    say(&mut begun, "INSERT INTO moving VALUES (2, 'again')").await;
    say(&mut begun, "COMMIT").await;
    assert_eq!(switch.ids(&switch.source()).await, [2]);
    for bound in ["statements", "bytes"] {
        assert_eq!(count(&gateway, &format!("unheld_statements_total{{bound=\"{bound}\"}}")).await, 1);
    }
    assert_eq!(count(&gateway, "released_statements_total{reason=\"expired\"}").await, 1);
    // A fence that does not open, too.
    switch.set_fence(&switch.source(), true).await;
    let (_, error) = refusal(begin(switch.client(&gateway).await, "DELETE FROM moving", None)).await;
    again(&error, "moving has a new home");
    assert!(gateway.stop().await.success());
    switch.reset().await;
}

/// A gateway that is to stop waits for what it holds, and for nothing else: a session that a fence has let through, or refused,
/// is not bound to its connection by that.
pub(super) async fn drain(switch: &Switch) {
    let mut gateway = switch.cluster.gateway("").await;
    let mut free = [switch.client(&gateway).await, switch.client(&gateway).await, switch.client(&gateway).await];
    say(&mut free[0], "INSERT INTO moving VALUES (70, 'before')").await;
    say(&mut free[1], "BEGIN; UPDATE moving SET v = 'again' WHERE id = 70; COMMIT").await;
    switch.set_fence(&switch.source(), true).await;
    say(&mut free[2], "BEGIN; INSERT INTO here VALUES (70, 'refused')").await;
    let [one, two, three] = free;
    let (three, error) = refusal(begin(three, "DELETE FROM moving", None)).await;
    assert_eq!(error.code, 1213, "{error:?}");
    switch.set_fence(&switch.source(), false).await;
    let _free = [one, two, three];
    switch.announce().await;
    let said = vec![begin(switch.client(&gateway).await, "INSERT INTO moving VALUES (1, 'last')", None)];
    holds(&gateway, 1).await;
    gateway.ask_to_stop();
    none_is_answered(&said).await;
    assert!(gateway.is_alive());
    let began = Instant::now();
    switch.end(true).await;
    all_well(said).await;
    assert!(gateway.ended().await.success() && began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(switch.ids(&switch.target()).await, [1]);
    switch.reset().await;
}
