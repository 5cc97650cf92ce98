//! Writes while traffic is switched (design §5.2): held, released to the new side or the old one, refused by a fence, sent
//! again or told to begin again; each exactly once.
//!
//! The records of a switch and the fences are put by hand: what the engine does is tested elsewhere.

mod fenced;
mod held;
mod ways_out;

use std::time::{Duration, Instant};

use shardlift::model::routing::TableMove;
use shardlift::model::workflow::TabletType;
use shardlift::model::{KeyspaceName, WorkflowName};
use shardlift::topology::records::{GatewayPresence, Pause};
use shardlift::topology::{Revision, Topology, Txn, TxnOutcome, paths};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use uuid::Uuid;

use super::raw::{LOCAL_FILES, MULTI_RESULTS, MULTI_STATEMENTS, Raw};
use super::reply::{Answer, Refusal};
use super::{number, open, say};
use crate::harness::{Db, Gateway, TestCluster, until};
use crate::metrics;

const SOON: Duration = Duration::from_secs(15);
/// Long enough for a statement that nothing holds.
const A_WHILE: Duration = Duration::from_millis(250);
const ALL: u32 = LOCAL_FILES | MULTI_STATEMENTS | MULTI_RESULTS;

#[tokio::test(flavor = "multi_thread")]
async fn writes_wait_for_the_end_of_a_switch() {
    let switch = Switch::start().await;
    let gateways = [switch.cluster.gateway("").await, switch.cluster.gateway("").await];
    held::released_to_the_new_side(&switch, &gateways).await;
    held::released_to_the_old_side(&switch, &gateways[0]).await;
    held::transactions_that_had_begun(&switch, &gateways[1]).await;
    held::a_locking_read_is_waited_for(&switch, &gateways[0]).await;
    fenced::sent_again(&switch, &gateways[0]).await;
    fenced::told_to_begin_again(&switch, &gateways[1]).await;
    fenced::between_commit_and_opening(&switch, &gateways[0]).await;
    ways_out::clients_that_go(&switch, &gateways[1]).await;
    ways_out::bounds(&switch).await;
    ways_out::drain(&switch).await;
    for gateway in gateways {
        assert!(gateway.stop().await.success());
    }
}

/// A workflow that moves table `moving` from `commerce` to `customer`, as its records and fences say.
struct Switch {
    cluster: TestCluster,
    uid: Uuid,
    commerce: KeyspaceName,
    customer: KeyspaceName,
    workflow: WorkflowName,
}

impl Switch {
    /// Everything at the source, the fences armed and open.
    async fn start() -> Self {
        let cluster = TestCluster::start().await;
        let switch = Self {
            cluster,
            uid: Uuid::new_v4(),
            commerce: "commerce".parse().unwrap(),
            customer: "customer".parse().unwrap(),
            workflow: "move".parse().unwrap(),
        };
        let moving = "CREATE TABLE moving (id INT PRIMARY KEY, v VARCHAR(40) NOT NULL); CREATE PROCEDURE add_one(i INT) \
                      INSERT INTO moving VALUES (i, 'called')";
        for (db, keyspace) in [(switch.source(), "commerce"), (switch.target(), "customer")] {
            db.exec(moving).await;
            db.exec(&switch.fence(keyspace)).await;
        }
        switch.source().exec("CREATE TABLE here (id INT PRIMARY KEY, v VARCHAR(40) NOT NULL)").await;
        let rules = switch.rules(&[]);
        let path = paths::workflow_rules(&switch.customer, &switch.workflow);
        switch.topology().create(&path, &rules).await.unwrap();
        switch
    }

    fn topology(&self) -> &Topology {
        self.cluster.topology()
    }

    fn source(&self) -> Db {
        self.cluster.source_db()
    }

    fn target(&self) -> Db {
        self.cluster.target_db()
    }

    fn rules(&self, switched: &[TabletType]) -> TableMove {
        TableMove {
            source: self.commerce.clone(),
            target: self.customer.clone(),
            tables: ["moving".parse().unwrap()].into(),
            switched: switched.iter().copied().collect(),
        }
    }

    /// What makes the fence of a keyspace: its row, and triggers on the table. They ask for the stream's variable first, as those
    /// of an engine do.
    fn fence(&self, keyspace: &str) -> String {
        let mut sql = String::from(
            "CREATE DATABASE IF NOT EXISTS _shardlift; CREATE TABLE IF NOT EXISTS _shardlift.fence (workflow_uid CHAR(36), \
             keyspace VARCHAR(64), shard VARCHAR(64), closed TINYINT NOT NULL, PRIMARY KEY (workflow_uid, keyspace, shard));",
        );
        let uid = self.uid;
        sql += &format!("INSERT INTO _shardlift.fence VALUES ('{uid}', '{keyspace}', '0', 0);");
        for event in ["INSERT", "UPDATE", "DELETE"] {
            sql += &format!(
                "CREATE TRIGGER fence_{event} BEFORE {event} ON moving FOR EACH ROW BEGIN DECLARE shut TINYINT DEFAULT NULL; \
                 IF NOT (CAST(@shardlift_stream AS BINARY) <=> CAST('{uid}' AS BINARY)) THEN \
                 SELECT closed INTO shut FROM _shardlift.fence WHERE workflow_uid = '{uid}' AND keyspace = '{keyspace}' \
                 AND shard = '0' FOR SHARE; IF shut IS NULL OR shut <> 0 THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = \
                 20501, MESSAGE_TEXT = 'moving has a new home'; END IF; END IF; END;"
            );
        }
        sql
    }

    /// Closes or opens the fence of a side, as an engine does: it waits for those who write.
    async fn set_fence(&self, side: &Db, closed: bool) {
        side.exec(&format!("UPDATE _shardlift.fence SET closed = {}", u8::from(closed))).await;
    }

    /// Announces a pause, and waits until all gateways know; how long that took.
    async fn announce(&self) -> Duration {
        self.tell(true).await
    }

    /// Says that fences are armed, and whether new writes are to be held.
    async fn tell(&self, holds: bool) -> Duration {
        let pause = Pause {
            epoch: 1,
            source: self.commerce.clone(),
            target: self.customer.clone(),
            tables: ["moving".parse().unwrap()].into(),
            closing: self.commerce.clone(),
            uid: self.uid,
            holds,
        };
        let began = Instant::now();
        let txn = self.topology().put(Txn::new(), &paths::pause(&self.customer, &self.workflow), &pause).unwrap();
        let revision = self.commit(txn).await;
        self.acknowledged(revision).await;
        began.elapsed()
    }

    /// Waits until every gateway says that this revision is in force.
    async fn acknowledged(&self, revision: Revision) {
        let began = Instant::now();
        loop {
            let present = self.topology().list::<GatewayPresence>(&paths::gateways()).await.unwrap();
            if present.records.iter().all(|(_, gateway)| gateway.record.revision >= revision) {
                return;
            }
            assert!(began.elapsed() < SOON, "not acknowledged: {present:?}");
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Ends a pause: traffic of all types goes to the target, or stays at the source. The revision of that.
    async fn end(&self, to_target: bool) -> Revision {
        let switched: &[TabletType] = if to_target { TabletType::ALL } else { &[] };
        let path = paths::workflow_rules(&self.customer, &self.workflow);
        let txn = self.topology().put(Txn::new(), &path, &self.rules(switched)).unwrap();
        self.commit(self.topology().delete(txn, &paths::pause(&self.customer, &self.workflow))).await
    }

    async fn commit(&self, txn: Txn) -> Revision {
        match self.topology().txn(txn).await.unwrap() {
            TxnOutcome::Committed { revision } => revision,
            refused @ TxnOutcome::Refused { .. } => panic!("{refused:?}"),
        }
    }

    /// As before any switch, and the tables empty.
    async fn reset(&self) {
        let revision = self.end(false).await;
        self.acknowledged(revision).await;
        for side in [self.source(), self.target()] {
            self.set_fence(&side, false).await;
            side.exec("DELETE FROM moving").await;
        }
        self.source().exec("DELETE FROM here").await;
    }

    async fn client(&self, gateway: &Gateway) -> Raw {
        open(&self.cluster, gateway, "commerce", ALL).await
    }

    /// The ids in `moving` on a side, in order.
    async fn ids(&self, side: &Db) -> Vec<i64> {
        let rows = side.rows("SELECT id FROM moving ORDER BY id").await;
        rows.into_iter().map(|row| row[0].as_ref().unwrap().parse().unwrap()).collect()
    }
}

/// A statement under way on a connection of its own.
type Said = JoinHandle<(Raw, Vec<Answer>)>;

/// Says something and does not wait.
fn begin(mut client: Raw, sql: &str, file: Option<&'static [u8]>) -> Said {
    let sql = sql.to_owned();
    tokio::spawn(async move {
        let answers = client.query(&sql, file).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        (client, answers)
    })
}

/// That none of these is answered.
async fn none_is_answered(said: &[Said]) {
    sleep(A_WHILE).await;
    for (at, one) in said.iter().enumerate() {
        assert!(!one.is_finished(), "statement {at} was not held");
    }
}

/// All answers of what was said; there must be no error among them.
async fn all_well(said: Vec<Said>) -> Vec<Raw> {
    let mut clients = Vec::new();
    for (at, one) in said.into_iter().enumerate() {
        let (client, answers) = one.await.unwrap();
        let error = answers.iter().find_map(Answer::error);
        assert!(error.is_none(), "statement {at}: {error:?}");
        clients.push(client);
    }
    clients
}

/// The error that a statement must end in.
async fn refusal(said: Said) -> (Raw, Refusal) {
    let (client, answers) = said.await.unwrap();
    let error = answers.iter().find_map(Answer::error).cloned();
    (client, error.unwrap_or_else(|| panic!("it is not refused: {answers:?}")))
}

/// A number among the gateway's metrics, labels included in the name.
async fn count(gateway: &Gateway, name: &str) -> u64 {
    let (_, said) = metrics::get(&gateway.http_address(), "/metrics").await;
    let line = said.lines().find(|line| line.split(' ').next() == Some(&format!("shardlift_gateway_{name}")));
    let value = line.and_then(|line| line.split(' ').nth(1)).unwrap_or_else(|| panic!("no {name} in {said}"));
    value.parse::<f64>().unwrap() as u64
}

/// Waits until so many statements are held.
async fn holds(gateway: &Gateway, statements: u64) {
    until(&format!("{statements} statements are held"), SOON, async || {
        let now = count(gateway, "held_statements").await;
        if now == statements { Ok(()) } else { Err(now) }
    })
    .await;
}
