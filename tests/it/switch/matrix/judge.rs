//! What must hold after every case, whatever happened in it.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use shardlift::topology::paths;
use shardlift::topology::records::Pause;

use super::cases::{Case, Side};
use super::ground::{LANES, TABLES, has};
use super::stage::{Played, Stage};
use crate::harness::{Db, compare_tables, until};
use crate::switch::FENCED;

/// Design P1: from when topology and servers were back.
pub const PROMISED: Duration = Duration::from_secs(15);
/// On a machine on which more runs than it has processors for, times over. The book counts those that took longer than
/// promised.
const CROWDED: Duration = Duration::from_secs(45);
/// Both sides are equal, whichever leads.
const LEVEL: Duration = Duration::from_secs(60);

impl Stage {
    /// Holds everything to what it must be after `case`.
    pub async fn judge(&self, case: &Case, played: &Played) {
        if let Some(must) = case.must_be_done() {
            assert_eq!(played.done, must, "whether the switch came about");
        }
        let (closed, open) = self.closed_and_open().await;
        for db in self.dbs(closed) {
            assert!(!accepts(&db).await, "the closed side accepts writes: {}", db.name());
            assert_eq!(row(&db).await, "1", "the closed fence's row in {}", db.name());
            armed(&db).await;
        }
        for db in self.dbs(open) {
            assert!(accepts(&db).await, "the open side refuses writes: {}", db.name());
            assert_eq!(row(&db).await, "0", "the open fence's row in {}", db.name());
        }
        let pause = paths::pause(&"customer".parse().unwrap(), &"move".parse().unwrap());
        assert!(self.topology().get::<Pause>(&pause).await.unwrap().is_none(), "a pause is left");
        self.books(case).await;
        let complaints = self.ledger.complaints();
        assert!(case.fault.is_felt() || complaints.is_empty(), "clients felt it: {complaints:?}");
        let limit = if is_crowded() { CROWDED } else { PROMISED };
        assert!(played.healed <= limit, "the switch came to its end after {:?}", played.healed);
        assert!(played.served <= limit, "clients were served after {:?}", played.served);
    }

    /// Every row on both sides, against each other and against what every writer was told.
    async fn books(&self, case: &Case) {
        let told = self.ledger.hold(LEVEL).await;
        self.direct.hold().await;
        let (source, target) = (self.dbs(Side::Source), self.dbs(Side::Target));
        until("both sides are equal", LEVEL, async || {
            for (table, _) in TABLES {
                let found = compare_tables(&source, &target, table).await;
                if found.differing != 0 {
                    return Err(format!("{table}: {found}"));
                }
            }
            Ok(())
        })
        .await;
        for (side, shards) in [(Side::Source, &source), (Side::Target, &target)] {
            told.must_hold(shards).await;
            self.direct.must_hold(shards).await;
            for (db, shard) in shards.iter().zip(self.layout.shards(side)) {
                placed(db, shard).await;
            }
        }
        // A session may notice only when it is needed again that a server of its was gone; that is this case's doing.
        self.ledger.go_on(case.fault.is_felt());
        self.direct.go_on();
    }
}

/// Whether more is to be run at the moment than three times what the processors can.
fn is_crowded() -> bool {
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    let load: f64 = load.split(' ').next().unwrap().parse().unwrap();
    load > 3.0 * std::thread::available_parallelism().unwrap().get() as f64
}

/// The row of a shard's fence: there is one workflow, and each shard has a server of its own.
async fn row(db: &Db) -> String {
    db.value("SELECT closed FROM _shardlift.fence").await
}

/// Every table has its triggers. An arming that was broken off may have left some of its own beside a whole set.
async fn armed(db: &Db) {
    let sql = "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE() \
               AND trigger_name LIKE 'shardlift_fence_%'";
    let mut sets: BTreeMap<String, usize> = BTreeMap::new();
    for name in db.rows(sql).await.into_iter().flatten().flatten() {
        *sets.entry(name.split('_').nth(2).unwrap().to_owned()).or_default() += 1;
    }
    assert!(sets.values().any(|count| *count == 3 * TABLES.len()), "{} is not armed: {sets:?}", db.name());
}

/// Every row is on the shard that its lane says.
async fn placed(db: &Db, shard: &str) {
    for (table, column) in TABLES {
        for row in db.rows(&format!("SELECT DISTINCT {column} FROM {table}")).await {
            let lane: i64 = row[0].as_ref().unwrap().parse().unwrap();
            assert!(LANES.contains(&lane) && has(shard, lane), "{table}: rows of {column} {lane} in {}", db.name());
        }
    }
}

/// Whether a server takes a write that comes to it directly; if not, it must be the fence that turns it away.
async fn accepts(db: &Db) -> bool {
    let mut conn = db.conn().await;
    conn.query_drop("BEGIN").await.unwrap();
    match conn.query_drop("INSERT INTO direct VALUES (-1, 0, 1)").await {
        Ok(()) => {
            conn.query_drop("ROLLBACK").await.unwrap();
            true
        }
        Err(mysql_async::Error::Server(error)) if error.code == FENCED => false,
        Err(error) => panic!("{}: {error}", db.name()),
    }
}
