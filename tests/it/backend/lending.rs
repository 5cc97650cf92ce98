//! Pools on a real server: who gets which connection, what is found dead, what is cleaned, what is freed.

use std::sync::Arc;
use std::time::Duration;

use mysql_common::constants::CapabilityFlags;
use shardlift::gateway::backend::{Checkout, CheckoutError, PoolKey, PoolOptions, Pools, Settings};
use shardlift::gateway::view::{Tablet, View};
use shardlift::model::workflow::TabletType;
use shardlift::mysql::Credentials;
use shardlift::mysql::wire::relay::{Outcome, ReplyKind};
use shardlift::topology::records;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Fixture, LIMIT, MODERN, QUERY, options, relayed, rows};

struct Lender {
    pools: Pools,
    key: Arc<PoolKey>,
}

impl Lender {
    fn new(fixture: &Fixture, most: usize) -> Self {
        let options = PoolOptions {
            most_per_tablet: most,
            ping_after: Duration::from_millis(100),
            wait: Duration::from_secs(1),
            ..PoolOptions::default()
        };
        let pools = Pools::new(options, Credentials::new(Some(fixture.credentials_file())));
        Self { pools, key: key(fixture, MODERN) }
    }

    async fn checkout(&self, session: u64, wanted: &Settings) -> Checkout {
        timeout(LIMIT, self.pools.checkout(&self.key, session, wanted)).await.unwrap().unwrap()
    }

    /// (open, idle, created, reset, stolen)
    fn numbers(&self) -> (usize, usize, u64, u64, u64) {
        let census = self.pools.usage().remove(0).census;
        (census.open, census.idle, census.tally.created, census.tally.reset, census.tally.stolen)
    }
}

fn key(fixture: &Fixture, capabilities: CapabilityFlags) -> Arc<PoolKey> {
    let record = records::Tablet {
        keyspace: "shop".parse().unwrap(),
        shard: "0".parse().unwrap(),
        tablet_type: TabletType::Primary,
        endpoint: fixture.endpoint(),
        database: "shop".parse().unwrap(),
        credential: "app".parse().unwrap(),
    };
    let tablet = Tablet { alias: "zone1-0000000100".parse().unwrap(), record };
    Arc::new(PoolKey::new(&tablet, "app".parse().unwrap(), capabilities, 255))
}

async fn run(checkout: &mut Checkout, sql: &str) -> Outcome {
    let options = options(ReplyKind::Query { cursor: false }, MODERN);
    let (outcome, _) = relayed(&mut checkout.backend, QUERY, sql.as_bytes(), &options).await;
    outcome.unwrap().0.outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_lent() {
    let fixture = Fixture::new().await;
    preference(&fixture).await;
    waiting(&fixture).await;
    the_dead_and_the_dirty(&fixture).await;
    ends(&fixture).await;
}

async fn preference(fixture: &Fixture) {
    let lender = Lender::new(fixture, 2);
    let none = Settings::default();
    let mut one = lender.checkout(1, &none).await;
    assert!(!one.continued);
    assert_eq!(rows(&mut one.backend, "SELECT DATABASE(), @@session_track_system_variables").await, [["shop", "*"]]);
    run(&mut one, "SET time_zone = '+01:00'").await;
    let zoned = one.backend.settings().clone();
    let first = one.backend.connection_id();
    one.checkin();
    // Its own again; another session with the same settings takes it; one with none gets a new one.
    let one = lender.checkout(1, &zoned).await;
    assert!(one.continued && one.backend.connection_id() == first);
    one.checkin();
    let two = lender.checkout(2, &zoned).await;
    assert!(!two.continued && two.backend.connection_id() == first);
    two.checkin();
    let three = lender.checkout(3, &none).await;
    let second = three.backend.connection_id();
    assert_ne!(second, first);
    three.checkin();
    assert_eq!(lender.numbers(), (2, 2, 2, 0, 1));
    // Full: the one that rests longest is reset for a session with other settings.
    let mut four = lender.checkout(4, &none).await;
    assert_eq!(four.backend.connection_id(), second, "equal settings");
    let mut five = lender.checkout(5, &none).await;
    assert_eq!(five.backend.connection_id(), first);
    assert_eq!(rows(&mut five.backend, "SELECT @@time_zone").await, [["SYSTEM"]]);
    assert_eq!(lender.numbers(), (2, 0, 2, 1, 3));
    run(&mut four, "SET @mine = 1").await;
    four.backend.soil();
    four.checkin();
    // A soiled one is closed, and its place is free.
    assert_eq!(lender.numbers().0, 1);
    let mut six = lender.checkout(6, &none).await;
    assert_eq!(rows(&mut six.backend, "SELECT @mine").await, [["NULL"]]);
    six.checkin();
    five.checkin();
    // Another kind of client: an idle one makes room.
    let other = key(fixture, MODERN - CapabilityFlags::CLIENT_DEPRECATE_EOF);
    let seven = lender.pools.checkout(&other, 7, &none).await.unwrap();
    assert_eq!((lender.numbers().0, lender.numbers().2), (2, 4));
    drop(seven);
    assert_eq!(lender.numbers().0, 1);
}

async fn waiting(fixture: &Fixture) {
    let lender = Arc::new(Lender::new(fixture, 1));
    let none = Settings::default();
    let one = lender.checkout(1, &none).await;
    let id = one.backend.connection_id();
    let waiter = |session| {
        let lender = lender.clone();
        tokio::spawn(async move { lender.checkout(session, &Settings::default()).await })
    };
    let two = waiter(2);
    sleep(Duration::from_millis(100)).await;
    let three = waiter(3);
    sleep(Duration::from_millis(100)).await;
    one.checkin();
    let two = two.await.unwrap();
    assert!(two.backend.connection_id() == id && !three.is_finished());
    // A dropped one frees its place for the next.
    drop(two);
    let three = three.await.unwrap();
    assert_ne!(three.backend.connection_id(), id);
    let refused = lender.pools.checkout(&lender.key, 4, &none).await;
    assert!(matches!(refused, Err(CheckoutError::Full { most: 1, .. })), "{refused:?}");
    // A cancelled wait loses nothing.
    let five = waiter(5);
    sleep(Duration::from_millis(100)).await;
    five.abort();
    assert!(five.await.unwrap_err().is_cancelled());
    three.checkin();
    assert!(lender.checkout(3, &none).await.continued);
}

async fn the_dead_and_the_dirty(fixture: &Fixture) {
    let lender = Lender::new(fixture, 3);
    let none = Settings::default();
    let mut killer = fixture.backend(MODERN).await;
    for rest in [Duration::ZERO, Duration::from_millis(200)] {
        let one = lender.checkout(1, &none).await;
        let id = one.backend.connection_id();
        one.checkin();
        killer.execute(format!("KILL {id}").as_bytes()).await.unwrap();
        sleep(rest + Duration::from_millis(50)).await;
        let mut again = lender.checkout(1, &none).await;
        assert!(!again.continued && again.backend.connection_id() != id);
        assert_eq!(rows(&mut again.backend, "SELECT 1").await, [["1"]]);
    }
    // A transaction left open ends with the loan.
    let mut one = lender.checkout(1, &none).await;
    run(&mut one, "BEGIN").await;
    run(&mut one, "INSERT INTO t (b) VALUES ('left open')").await;
    let id = one.backend.connection_id();
    one.checkin();
    let mut one = lender.checkout(1, &none).await;
    assert_ne!(one.backend.connection_id(), id);
    assert_eq!(rows(&mut one.backend, "SELECT COUNT(*) FROM t").await, [["0"]]);
    // A setting the server refuses is the session's error, and costs nobody a place.
    let mut bad = Settings::default();
    assert!(bad.absorb(&[("no_such_variable".into(), "1".into())]));
    let refused = lender.pools.checkout(&lender.key, 2, &bad).await;
    assert!(matches!(&refused, Err(CheckoutError::Server { error, .. }) if error.code() == Some(1193)), "{refused:?}");
    drop(one);
    assert_eq!(lender.numbers().0, lender.numbers().1);
    // KILL QUERY from beside.
    let mut one = lender.checkout(1, &none).await;
    let running = one.running();
    let pools = lender.pools.clone();
    let kill = async {
        sleep(Duration::from_millis(200)).await;
        pools.kill_query(&running).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(run(&mut one, "SELECT SLEEP(30) FROM information_schema.TABLES"), kill);
    assert!(matches!(outcome, Outcome::Failed { code: 1317, .. }), "{outcome:?}");
    one.checkin();
    assert!(lender.checkout(1, &none).await.continued);
}

async fn ends(fixture: &Fixture) {
    let lender = Lender::new(fixture, 3);
    let none = Settings::default();
    let (one, two) = (lender.checkout(1, &none).await, lender.checkout(2, &none).await);
    one.checkin();
    // The View no longer has the tablet: what rests is closed, what is lent serves to its end.
    lender.pools.keep_to(&View::default());
    assert_eq!(lender.numbers().0, 1);
    two.checkin();
    assert!(lender.pools.usage().is_empty());
    let mut judge = fixture.backend(MODERN).await;
    let left = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE COMMAND = 'Sleep' AND DB = 'shop'";
    crate::harness::until("connections close", LIMIT, async || match rows(&mut judge, left).await[0][0].as_str() {
        "0" => Ok(()),
        left => Err(format!("{left} left")),
    })
    .await;
    // A rest that is too long.
    let mut short = Lender::new(fixture, 3);
    let options = PoolOptions { idle: Duration::from_millis(300), ..PoolOptions::default() };
    short.pools = Pools::new(options, Credentials::new(Some(fixture.credentials_file())));
    let cancel = CancellationToken::new();
    let pools = short.pools.clone();
    let stop = cancel.clone();
    let maintained = tokio::spawn(async move { pools.maintain(stop).await });
    short.checkout(1, &none).await.checkin();
    assert_eq!(short.numbers().0, 1);
    crate::harness::until("it is closed", LIMIT, async || match short.numbers() {
        (0, 0, 1, 0, 0) => Ok(()),
        numbers => Err(format!("{numbers:?}")),
    })
    .await;
    cancel.cancel();
    maintained.await.unwrap();
}
