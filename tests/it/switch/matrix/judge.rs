//! What must hold after every case, whatever happened in it.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use shardlift::topology::paths;
use shardlift::topology::records::Pause;

use super::cases::{Case, Side};
use super::servers::keyspace;
use super::stage::{Played, Stage, TABLES};
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
        assert!(!accepts(&self.db(closed)).await, "the closed side accepts writes");
        assert!(accepts(&self.db(open)).await, "the open side refuses writes");
        let pause = paths::pause(&"customer".parse().unwrap(), &"move".parse().unwrap());
        assert!(self.topology().get::<Pause>(&pause).await.unwrap().is_none(), "a pause is left");
        assert_eq!(self.row(open).await, "0", "the open fence's row");
        assert_eq!(self.row(closed).await, "1", "the closed fence's row");
        // An arming that was broken off may leave some of its own beside a whole set.
        let mut sets: BTreeMap<String, usize> = BTreeMap::new();
        for name in self.triggers(closed).await {
            *sets.entry(name.split('_').nth(2).unwrap().to_owned()).or_default() += 1;
        }
        assert!(sets.values().any(|count| *count == 3 * TABLES.len()), "the closed side is not armed: {sets:?}");
        self.books(case).await;
        let complaints = self.ledger.complaints();
        assert!(case.fault.is_felt() || complaints.is_empty(), "clients felt it: {complaints:?}");
        let limit = if is_crowded() { CROWDED } else { PROMISED };
        assert!(played.healed <= limit, "the switch came to its end after {:?}", played.healed);
        assert!(played.served <= limit, "clients were served after {:?}", played.served);
    }

    async fn row(&self, side: Side) -> String {
        let sql = format!("SELECT closed FROM _shardlift.fence WHERE keyspace = '{}'", keyspace(side));
        self.db(side).value(&sql).await
    }

    async fn triggers(&self, side: Side) -> Vec<String> {
        let sql = format!(
            "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = '{}' \
             AND trigger_name LIKE 'shardlift_fence_%'",
            keyspace(side)
        );
        self.db(side).rows(&sql).await.into_iter().flatten().flatten().collect()
    }

    /// Every row on both sides, against each other and against what every writer was told.
    async fn books(&self, case: &Case) {
        let told = self.ledger.hold(LEVEL).await;
        self.direct.hold().await;
        let (source, target) = (self.db(Side::Source), self.db(Side::Target));
        until("both sides are equal", LEVEL, async || {
            for table in TABLES {
                let found = compare_tables(&source, &target, table).await;
                if found.differing != 0 {
                    return Err(format!("{table}: {found}"));
                }
            }
            Ok(())
        })
        .await;
        for db in [&source, &target] {
            told.must_hold(db).await;
            self.direct.must_hold(db).await;
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

/// Whether a server takes a write that comes to it directly; if not, it must be the fence that turns it away.
async fn accepts(db: &Db) -> bool {
    let mut conn = db.conn().await;
    conn.query_drop("BEGIN").await.unwrap();
    match conn.query_drop("INSERT INTO direct VALUES (-1, 0)").await {
        Ok(()) => {
            conn.query_drop("ROLLBACK").await.unwrap();
            true
        }
        Err(mysql_async::Error::Server(error)) if error.code == FENCED => false,
        Err(error) => panic!("{}: {error}", db.name()),
    }
}
