//! Engines, targets and disks that fail while shards are copied and followed: nothing is lost, and who fails is named.

use std::process::Command;
use std::time::Duration;

use tokio::time::sleep;

use super::stage::Stage;
use super::writers::Writers;
use crate::harness::until;
use crate::scenario::PATIENCE;

/// The writers take half of what may be applied in a second: the copy is still under way when the engine was killed often.
const SLOW: &str = "--chunk-bytes 3000 --round-ms 200 --max-rows-per-second 250";
const WHICH: &str = "--target-keyspace customer --workflow split";
/// How long a target stands still; the engine is killed in the middle of it.
const STANDS: Duration = Duration::from_millis(400);
/// Which target was ahead when its engine died is chance: so many engines are enough for some to be.
const MOST_LIVES: usize = 14;

/// The engine is killed again and again, while it copies and while it follows, each time with one target standing still, so that
/// the other is ahead. Then a target is killed, and one refuses writes: the other waits for it, and it is named.
#[tokio::test(flavor = "multi_thread")]
async fn killed_engines_and_uneven_targets_lose_nothing() {
    let mut stage = Stage::start(&["-80", "80-"]).await;
    let (old, new): (&[&str], &[&str]) = (&["0"], &["-80", "80-"]);
    let writers = Writers::start(&stage, &[old, new], 3);
    stage.reshard("split", "0", "-80,80-", SLOW).await;
    let mut fates = Fates::default();
    for life in 0..4 {
        fates.live_and_die(&mut stage, life).await;
    }
    assert!(fates.copying >= 3, "{fates:?}");
    stage.shardlift.must(&format!("workflow update {WHICH} --max-rows-per-second none")).await;
    stage.state("split", "Running").await;
    for life in 4..MOST_LIVES {
        if fates.following >= 3 && fates.uneven >= 2 {
            break;
        }
        fates.live_and_die(&mut stage, life).await;
    }
    assert!(fates.following >= 3 && fates.uneven >= 2, "{fates:?}");

    stage.server(2).kill9().await.unwrap();
    named(&stage, "customer/80-").await;
    stage.server(2).restart().await.unwrap();
    stage.state("split", "Running").await;
    stage.db("-80").exec("SET GLOBAL super_read_only = ON").await;
    named(&stage, "customer/-80").await;
    stage.db("-80").exec("SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF").await;
    // It may have come to rest for good by now, after so many tries.
    stage.shardlift.run(&format!("reshard resume {WHICH}")).await;
    stage.state("split", "Running").await;
    writers.wait_for(50).await;
    println!("{}", stage.must("switch-traffic", "split").await);
    writers.wait_for(50).await;
    let done = writers.verify(&stage, new).await;
    let held = stage.equal(old, new).await;
    println!("{fates:?}, a dead target, a refusing one: {done} acknowledged writes, {} rows", held.rows.len());
    stage.stop().await;
}

/// How engines died.
#[derive(Debug, Default)]
struct Fates {
    copying: u32,
    following: u32,
    /// With one target ahead of the other.
    uneven: u32,
    last: Option<[Far; 2]>,
}

/// How far a target is, by its own word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Far {
    position: String,
    rows: String,
    copying: bool,
}

impl Far {
    /// `None`: nothing has begun there.
    async fn of(stage: &Stage, shard: &str) -> Option<Self> {
        let db = stage.db(shard);
        let there = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '_shardlift' AND TABLE_NAME <> 'fence'";
        if db.value(there).await != "5" || db.value("SELECT COUNT(*) FROM _shardlift.copy_table").await == "0" {
            return None;
        }
        let ask = "SELECT MAX(position), (SELECT SUM(rows_copied) FROM _shardlift.copy_table), \
                   (SELECT SUM(state = 'copying') FROM _shardlift.copy_table) FROM _shardlift.stream";
        let row = db.rows(ask).await.pop()?;
        let [position, rows, copying] = row.as_slice() else { panic!("{row:?}") };
        Some(Self { position: position.clone()?, rows: rows.clone()?, copying: copying.as_deref() != Some("0") })
    }

    async fn both(stage: &Stage) -> Option<[Self; 2]> {
        Some([Self::of(stage, "-80").await?, Self::of(stage, "80-").await?])
    }
}

impl Fates {
    /// Waits until the engine, whose predecessor's lease must end first, has moved something; then kills it while a target
    /// stands still, and starts the next one.
    async fn live_and_die(&mut self, stage: &mut Stage, life: usize) {
        until("the engine gets on", PATIENCE, async || match Far::both(stage).await {
            Some(far) if self.last.as_ref() != Some(&far) => Ok(()),
            seen => Err(format!("{seen:?}\n{}", stage.engine.as_ref().unwrap().log())),
        })
        .await;
        let engine = stage.engine.take().unwrap();
        let slow = stage.server(1 + life % 2);
        slow.pause().unwrap();
        sleep(STANDS).await;
        engine.kill9().await;
        slow.resume().unwrap();
        let far = Far::both(stage).await.unwrap();
        match far.iter().any(|one| one.copying) {
            true => self.copying += 1,
            false => self.following += 1,
        }
        self.uneven += u32::from(far[0].position != far[1].position || far[0].copying != far[1].copying);
        self.last = Some(far);
        stage.engine = Some(stage.shardlift.start(&format!("engine{life}"), "engine run"));
    }
}

/// Waits until `status` tells of this side.
async fn named(stage: &Stage, side: &str) {
    until(&format!("{side} is named"), PATIENCE, async || {
        let said = stage.shardlift.run(&format!("reshard status {WHICH}")).await;
        if said.stdout.contains(&format!("target {side}")) { Ok(()) } else { Err(said) }
    })
    .await;
}

/// A target that cannot grow its files is named; the other waits with it, and both go on when there is room again.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_full_is_named_and_waited_for() {
    let stage = Stage::start(&["-80", "80-"]).await;
    stage
        .db("0")
        .exec("ALTER TABLE corder ADD COLUMN load_ MEDIUMBLOB; UPDATE corder SET load_ = REPEAT('x', 250000); ANALYZE TABLE corder")
        .await;
    let pid = stage.server(2).pid().unwrap();
    stage.db("80-").exec("SET GLOBAL max_binlog_size = 4194304; FLUSH BINARY LOGS").await;
    let limit = |bytes: &str| {
        let set = Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--fsize={bytes}")]).status();
        assert!(set.unwrap().success());
    };
    // Above everything a server begins with.
    limit("50000000:");
    stage.reshard("split", "0", "-80,80-", "--chunk-bytes 2000000").await;
    named(&stage, "customer/80-").await;
    until("the other one waits with rows left to copy", PATIENCE, async || {
        let before = Far::of(&stage, "-80").await;
        sleep(Duration::from_secs(2)).await;
        let after = Far::of(&stage, "-80").await;
        if before == after && after.as_ref().is_some_and(|far| far.copying) {
            Ok(())
        } else {
            Err(format!("{before:?}, {after:?}"))
        }
    })
    .await;
    // A server that cannot write its redo log or binlog ends itself. Its next life has no limit.
    stage.server(2).kill9().await.unwrap();
    stage.server(2).restart().await.unwrap();
    // It may have come to rest for good by now, after so many tries.
    stage.shardlift.run(&format!("reshard resume {WHICH}")).await;
    stage.state("split", "Running").await;
    let held = stage.equal(&["0"], &["-80", "80-"]).await;
    println!("a full target: {} rows", held.rows.len());
    stage.stop().await;
}
