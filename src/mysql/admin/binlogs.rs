//! How long a server keeps its binlogs, and how far back they reach.

use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use mysql_async::BinlogStreamRequest;

use crate::mysql::{
    MysqlError,
    conn::{connect, driver_error, within},
    endpoint::Login,
    flavor::Flavor,
};

use super::session::Session;

/// The end of the binlog and what is kept out of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BinlogStatus {
    /// The file being written.
    pub file: String,
    /// Its length in bytes.
    pub position: u64,
    /// `binlog-do-db`: if any, only these schemas are logged.
    pub do_db: Vec<String>,
    /// `binlog-ignore-db`: these are not.
    pub ignore_db: Vec<String>,
}

/// Reads it; `None` where there is no binlog. Needs REPLICATION CLIENT.
pub async fn binlog_status(session: &mut Session, flavor: &Flavor) -> Result<Option<BinlogStatus>, MysqlError> {
    let list = |text: Option<String>| -> Vec<String> {
        text.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let row = session.row(flavor.binlog_status_statement()).await?;
    Ok(row.map(|row| BinlogStatus {
        file: row.text(0).unwrap_or_default(),
        position: row.number(1).unwrap_or_default(),
        do_db: list(row.text(2)),
        ignore_db: list(row.text(3)),
    }))
}

/// How long binlogs are kept before the server purges them; `None` for ever.
pub async fn retention(session: &mut Session) -> Result<Option<Duration>, MysqlError> {
    let seconds = session.value("SELECT @@global.binlog_expire_logs_seconds").await?;
    let seconds: u64 = seconds.and_then(|text| text.parse().ok()).unwrap_or_default();
    // The switch that turns automatic purging off came in 8.0.29; before that there was only 0 seconds.
    let auto = session.row("SHOW GLOBAL VARIABLES LIKE 'binlog_expire_logs_auto_purge'").await?;
    let off = auto.and_then(|row| row.text(1)).is_some_and(|value| value == "OFF");
    Ok((seconds > 0 && !off).then(|| Duration::from_secs(seconds)))
}

/// When the oldest binlog still there was begun: what was committed before is gone. `None` where there is no binlog.
/// Reads that file's first event on a connection of its own; needs REPLICATION SLAVE and REPLICATION CLIENT.
pub async fn oldest_binlog_time(login: &Login, limit: Duration) -> Result<Option<SystemTime>, MysqlError> {
    let mut session = Session::open(login, limit).await?;
    let first = session.row("SHOW BINARY LOGS").await?.and_then(|row| row.text(0));
    session.close().await;
    let Some(file) = first else { return Ok(None) };
    let address = login.endpoint.address.to_string();
    let conn = connect(login, &[], limit).await?;
    // Two dumps under one server id would end each other.
    let request = BinlogStreamRequest::new(rand::random_range(0x4000_0000..0x7fff_ffff))
        .with_non_blocking()
        .with_filename(file.as_bytes())
        .with_pos(4);
    let read = async {
        let mut stream = conn.get_binlog_stream(request).await.map_err(|error| driver_error(&address, error))?;
        // Artificial events (the rotation that names the file) carry no time.
        while let Some(event) = stream.next().await {
            let seconds = event.map_err(|error| driver_error(&address, error))?.header().timestamp();
            if seconds != 0 {
                return Ok(Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into())));
            }
        }
        Ok(None)
    };
    within(&address, "reading the oldest binlog's first event", limit, read).await
}
