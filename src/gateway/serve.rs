//! Accepts clients, and ends in order.
//!
//! Invariants: every session is a task that is waited for; when the gateway is to end no client is cut off in a transaction
//! before the time to drain is over; a client that finds no room is told so.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::TurnedAway;

use super::Gateway;
use super::client::{Client, ClientError, ClientStream, SqlError};
use super::session::Session;
use super::sessions::Seat;

/// How long to wait after an accept that failed, e.g. for lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// How long sessions may take to end once they were told to.
const LAST: Duration = Duration::from_secs(5);

/// Where clients come from.
#[derive(Debug)]
pub struct Doors {
    /// TCP.
    pub tcp: TcpListener,
    /// A Unix socket.
    pub unix: Option<UnixListener>,
}

impl Doors {
    async fn next(&self) -> io::Result<ClientStream> {
        let Some(unix) = &self.unix else { return self.tcp().await };
        tokio::select! {
            stream = self.tcp() => stream,
            accepted = unix.accept() => Ok(ClientStream::Unix(accepted?.0)),
        }
    }

    async fn tcp(&self) -> io::Result<ClientStream> {
        ClientStream::tcp(self.tcp.accept().await?.0)
    }
}

/// Serves until `drain` is cancelled, and then those who are in the middle of something.
pub async fn serve(gateway: Arc<Gateway>, doors: Doors, drain: CancellationToken) {
    let (tasks, end) = (TaskTracker::new(), CancellationToken::new());
    loop {
        let stream = tokio::select! {
            () = drain.cancelled() => break,
            stream = doors.next() => stream,
        };
        match stream {
            Ok(stream) => {
                // Tokens of their own: what each session waits for at every step must not be a lock of all.
                tasks.spawn(welcome(gateway.clone(), stream, drain.child_token(), end.child_token()));
            }
            Err(error) => {
                tracing::warn!(%error, "no client could be accepted");
                sleep(PAUSE).await;
            }
        }
    }
    drop(doors);
    tasks.close();
    if timeout(gateway.limits.drain, tasks.wait()).await.is_err() {
        tracing::warn!(clients = gateway.sessions.count(), "clients are cut off: the time to drain is over");
        end.cancel();
        // What does not end now hangs on a peer; it ends with the process.
        let _ = timeout(LAST, tasks.wait()).await;
    }
}

async fn welcome(gateway: Arc<Gateway>, stream: ClientStream, drain: CancellationToken, end: CancellationToken) {
    let Some(seat) = gateway.sessions.enter(gateway.limits.clients) else {
        gateway.metrics.turned_away(TurnedAway::TooMany);
        Client::turn_away(stream, &SqlError::new(1040, b"08004", "Too many connections")).await;
        return;
    };
    let served = attend(gateway, stream, seat, drain);
    if let Some(Err(error)) = end.run_until_cancelled(served).await {
        tracing::debug!(%error, "a client's connection ended");
    }
}

async fn attend(
    gateway: Arc<Gateway>,
    stream: ClientStream,
    seat: Seat,
    drain: CancellationToken,
) -> Result<(), ClientError> {
    let client = match Client::accept(stream, &gateway.offer, seat.id()).await {
        Ok(client) => client,
        Err(error) => {
            gateway.metrics.turned_away(match &error {
                ClientError::Refused(refusal) if refusal.code == 1045 => TurnedAway::AccessDenied,
                ClientError::LoginTimeout(_) => TurnedAway::Timeout,
                _ => TurnedAway::Handshake,
            });
            return Err(error);
        }
    };
    let _counted = gateway.metrics.client();
    Session::begin(gateway, client, seat).await?.run(drain).await
}
