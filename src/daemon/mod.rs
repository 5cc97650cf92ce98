//! What long-lived processes share: their name, their HTTP service, and an orderly end.

pub mod gateway;
pub mod http;
mod presence;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::model::InstanceId;

/// A name for this process: host and process id.
pub fn instance_id() -> Option<InstanceId> {
    let host: String = host_name().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    InstanceId::new(format!("{host}-{}", std::process::id())).ok()
}

/// This host's name.
pub fn host_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "host".into());
    host.trim().into()
}

/// Cancels `token` at the first SIGTERM or SIGINT; a second one ends the process at once.
pub fn cancel_on_signal(token: CancellationToken) -> std::io::Result<JoinHandle<()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if token.is_cancelled() {
                std::process::exit(130);
            }
            token.cancel();
        }
    }))
}
