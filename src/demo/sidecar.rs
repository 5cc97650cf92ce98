//! What the target itself says of the workflow: the engine's checkpoint, read with plain SELECTs.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error};
use tokio::time::{Instant, sleep};

use super::DemoError;
use super::database::Database;
use crate::model::switch::Direction;

const POLL: Duration = Duration::from_millis(50);
const ARRIVAL: Duration = Duration::from_secs(300);
const ER_BAD_DB_ERROR: u16 = 1049;
const ER_NO_SUCH_TABLE: u16 = 1146;

/// Rows and bytes that were copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copied {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// The sidecar schema on the target.
pub(super) struct Sidecar {
    target: Database,
    conn: Conn,
}

impl Sidecar {
    pub(super) async fn open(target: &Database) -> Result<Self, DemoError> {
        Ok(Self { target: target.clone(), conn: target.connect().await? })
    }

    /// What was copied, once every table is.
    pub(super) async fn copied(&mut self) -> Result<Option<Copied>, DemoError> {
        let sql =
            "SELECT COUNT(*), SUM(state = 'copying'), SUM(rows_copied), SUM(bytes_copied) FROM _shardlift.copy_table";
        type Counts = (u64, Option<u64>, Option<u64>, Option<u64>);
        let counts: Result<Option<Counts>, _> =
            self.target.within("asking how far the copy is", self.conn.query_first(sql)).await;
        match counts {
            Ok(Some((1.., Some(0), Some(rows), Some(bytes)))) => Ok(Some(Copied { rows, bytes })),
            Ok(_) => Ok(None),
            // The engine makes it when it begins.
            Err(DemoError::Sql { source: Error::Server(error), .. })
                if [ER_BAD_DB_ERROR, ER_NO_SUCH_TABLE].contains(&error.code) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Waits until everything `leader` has executed by now is applied on `follower` by the stream of `direction`; that position.
/// Nobody may be writing.
pub(super) async fn arrive(leader: &Database, follower: &Database, direction: Direction) -> Result<String, DemoError> {
    let (mut there, mut here) = (leader.connect().await?, follower.connect().await?);
    let executed = leader.value(&mut there, "asking for its position", "SELECT @@GLOBAL.gtid_executed").await?;
    let until = Instant::now() + ARRIVAL;
    loop {
        let doing = "asking for the stream's position";
        let position = format!("SELECT position FROM _shardlift.stream WHERE direction = '{direction}'");
        let position = follower.value(&mut here, doing, &position).await?;
        // The server decides, not this program's own arithmetic of positions.
        let contains = format!("SELECT CAST(GTID_SUBSET('{executed}', '{position}') AS CHAR)");
        if leader.value(&mut there, doing, &contains).await? == "1" {
            return Ok(executed.replace('\n', ""));
        }
        if Instant::now() > until {
            let doing = "applying the last changes";
            return Err(DemoError::Timeout { database: follower.name, doing, after: ARRIVAL });
        }
        sleep(POLL).await;
    }
}
