//! Holds copying back while a replica of the target lags more than the throttle allows.

use std::time::Duration;

use tokio::sync::watch::Sender;
use tokio_util::sync::CancellationToken;

use crate::mysql::admin::channels;

use crate::engine::connect::Side;
use crate::engine::throttle::Limits;

const LOOK: Duration = Duration::from_secs(1);

/// Looks at the replicas once a second, for as long as it is not cancelled and there is a limit to keep to. A replica
/// that cannot be asked holds copying back too: what cannot be seen may lag.
pub async fn watch(replicas: Vec<Side>, limits: Sender<Limits>, cancel: CancellationToken) {
    while !cancel.is_cancelled() {
        let most = limits.borrow().throttle.replica_lag_ms;
        let mut hold = None;
        if let Some(most) = most {
            for replica in &replicas {
                hold = hold.or(judge(replica, most).await);
            }
        }
        if limits.borrow().hold != hold {
            limits.send_modify(|limits| limits.hold = hold);
        }
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn judge(replica: &Side, most_ms: u64) -> Option<String> {
    let asked = async {
        let mut session = replica.session().await.map_err(|error| error.to_string())?;
        channels(&mut session).await.map_err(|error| error.to_string())
    };
    let label = &replica.label;
    match asked.await {
        Err(error) => Some(format!("{label} cannot be asked for its lag: {error}")),
        Ok(channels) => channels.iter().find_map(|channel| match channel.lag_seconds {
            None => Some(format!("{label} does not replicate")),
            Some(lag) if lag * 1_000 > most_ms => Some(format!("{label} lags {lag} s")),
            Some(_) => None,
        }),
    }
}
