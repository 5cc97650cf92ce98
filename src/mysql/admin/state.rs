//! Positions and prepared XA transactions.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    model::{Gtid, GtidSet},
    mysql::{MysqlError, quote},
};

use super::session::Session;

/// Which transactions a server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GtidState {
    /// `@@server_uuid`.
    pub server_uuid: Uuid,
    /// `@@gtid_executed`: committed and visible (prepared XA excepted).
    pub executed: GtidSet,
    /// `@@gtid_purged`: executed, but no longer in its binlogs.
    pub purged: GtidSet,
}

/// Reads the three together.
pub async fn gtid_state(session: &mut Session) -> Result<GtidState, MysqlError> {
    let row = session.row("SELECT @@global.server_uuid, @@global.gtid_executed, @@global.gtid_purged").await?;
    let bad = |what: &'static str| MysqlError::Unexpected { what };
    let row = row.ok_or(bad("no row for the GTID variables"))?;
    let set = |index| row.text(index).and_then(|text| text.parse::<GtidSet>().ok());
    Ok(GtidState {
        server_uuid: row.text(0).and_then(|text| text.parse().ok()).ok_or(bad("server_uuid is not a UUID"))?,
        executed: set(1).ok_or(bad("gtid_executed is not a GTID set"))?,
        purged: set(2).ok_or(bad("gtid_purged is not a GTID set"))?,
    })
}

/// Reads `@@gtid_owned`: transactions that have a GTID and are not executed yet. Those that the server itself numbers, `own`,
/// are in its binlog by then, and may be visible already; others may be long from either.
pub async fn gtid_owned(session: &mut Session) -> Result<Owned, MysqlError> {
    let row = session.row(OWNED).await?;
    let (text, uuid) = row.map(|row| (row.text(0).unwrap_or_default(), row.text(1))).unwrap_or_default();
    let bad = MysqlError::Unexpected { what: "gtid_owned is not a list of GTIDs" };
    Owned::read(&text, uuid.as_deref().unwrap_or_default()).ok_or(bad)
}

/// The query for what [`Owned::read`] reads.
pub const OWNED: &str = "SELECT @@global.gtid_owned, @@global.server_uuid";

/// What sessions have a GTID for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owned {
    /// All of it.
    pub all: GtidSet,
    /// What the server has numbered.
    pub own: GtidSet,
}

impl Owned {
    /// Reads `uuid:4#12:5#13,…`, where the numbers after # are sessions.
    pub fn read(text: &str, server_uuid: &str) -> Option<Self> {
        let server: Uuid = server_uuid.parse().ok()?;
        let mut plain = String::with_capacity(text.len());
        let mut session = false;
        for c in text.chars() {
            session = c == '#' || (session && c.is_ascii_digit());
            if !session {
                plain.push(c);
            }
        }
        let all: GtidSet = plain.parse().ok()?;
        let mut foreign = GtidSet::new();
        for (source, intervals) in all.iter().filter(|(source, _)| source.uuid != server) {
            for number in intervals.iter().flat_map(|interval| interval.first..=interval.last) {
                foreign.add(&Gtid { source: source.clone(), number });
            }
        }
        Some(Self { own: all.minus(&foreign), all })
    }
}

/// Waits until everything in `set` is executed, and so visible, on this server; `false` if `wait` passes before. A set
/// with transactions that the server will never get waits in vain.
pub async fn wait_for_executed_gtid_set(
    session: &mut Session,
    set: &GtidSet,
    wait: Duration,
) -> Result<bool, MysqlError> {
    // The statement's own deadline must be the first to pass; 0 would mean for ever.
    let seconds = wait.as_secs_f64().max(0.001);
    session.set_limit(wait + Duration::from_secs(5));
    let sql = format!("SELECT WAIT_FOR_EXECUTED_GTID_SET({}, {seconds})", quote::text(&set.to_string()));
    match session.value(&sql).await?.as_deref() {
        Some("0") => Ok(true),
        Some("1") => Ok(false),
        _ => Err(MysqlError::Unexpected { what: "WAIT_FOR_EXECUTED_GTID_SET answered neither 0 nor 1" }),
    }
}

/// An XA transaction that is prepared and undecided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedXa {
    /// The id as `XA COMMIT` takes it: `X'…',X'…',n`.
    pub xid: String,
}

/// All of them. Needs XA_RECOVER_ADMIN.
pub async fn xa_recover(session: &mut Session) -> Result<Vec<PreparedXa>, MysqlError> {
    let rows = session.rows("XA RECOVER CONVERT XID").await?;
    let unreadable = || MysqlError::Unexpected { what: "XA RECOVER shows an id of unknown form" };
    let read = |row: super::Record| {
        let lengths = (row.number(1), row.number(2));
        let (format, (Some(global), Some(branch))) = (row.text(0).unwrap_or_default(), lengths) else {
            return Err(unreadable());
        };
        let data = row.text(3).unwrap_or_default();
        let hex = data.strip_prefix("0x").unwrap_or(&data);
        let (global, branch) = (global as usize * 2, branch as usize * 2);
        match (hex.get(..global), hex.get(global..global + branch)) {
            (Some(global), Some(branch)) => Ok(PreparedXa { xid: format!("X'{global}',X'{branch}',{format}") }),
            _ => Err(unreadable()),
        }
    };
    rows.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_transactions_are_read_without_their_sessions() {
        let own = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        let text = format!("4e11fa47-71ca-11e1-9e33-c80aa9429562:9#3,\n{own}:3#17:4#18:tag:7#19#20");
        let owned = Owned::read(&text, own).unwrap();
        assert_eq!(owned.own.to_string(), format!("{own}:3-4:tag:7"));
        assert_eq!((owned.all.count(), Owned::read("", own)), (4, Some(Owned::default())));
        assert_eq!(Owned::read("x", own), None);
    }
}
