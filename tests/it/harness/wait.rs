//! Waiting for something to become true.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, sleep};

const POLL: Duration = Duration::from_millis(100);

/// Asks until the answer is `Ok`, and gives that. At the deadline it panics with `what` and the last `Err`.
pub async fn until<T, E: Display>(what: &str, deadline: Duration, mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let started = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(seen) if started.elapsed() > deadline => {
                panic!("{what}: not within {} s. Last seen: {seen}", deadline.as_secs())
            }
            Err(_) => sleep(POLL).await,
        }
    }
}
