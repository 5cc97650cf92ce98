//! A process as it is recognised later, by another process.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::local::LocalError;

const POLL: Duration = Duration::from_millis(30);

/// A process: an id alone may be another's by now, but not with the same start time since the same boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessMark {
    pub(super) pid: u32,
    /// Clock ticks from boot to its start.
    started: u64,
    boot: String,
}

impl ProcessMark {
    /// The process that has this id now.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let started = started(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        Some(Self { pid, started, boot })
    }

    pub(super) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Sends a signal to it and to no other; `false` if it has ended.
    pub(super) fn signal(&self, signal: Signal) -> Result<bool, LocalError> {
        let failed = |errno: rustix::io::Errno| LocalError::Signal {
            server: format!("process {}", self.pid),
            source: errno.into(),
        };
        let Some(pid) = Pid::from_raw(self.pid.cast_signed()) else { return Ok(false) };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(errno) => return Err(failed(errno)),
        };
        // The handle is fixed on a process now; whether on ours is decided before it is used.
        if !self.is_alive() {
            return Ok(false);
        }
        match pidfd_send_signal(handle, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Whether it has ended by the deadline.
    pub(super) async fn ends_within(&self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        while self.is_alive() {
            if Instant::now() > until {
                return false;
            }
            sleep(POLL).await;
        }
        true
    }
}

/// Field 22 of `/proc/<pid>/stat`; none for a process that has ended and waits to be reaped.
fn started(stat: &str) -> Option<u64> {
    // The second field is the program's name in parentheses, and may hold anything.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_id_is_a_stranger() {
        let me = ProcessMark::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        let former = ProcessMark { started: me.started - 1, ..me.clone() };
        assert!(!former.is_alive() && !former.signal(Signal::TERM).unwrap());
        assert!(!ProcessMark { boot: "another".into(), ..me }.is_alive());
    }

    #[test]
    fn stat_is_read_past_odd_names() {
        let rest = "1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        assert_eq!(started(&format!("7 (a) b (c) S {rest}")), Some(4242));
        assert_eq!(started(&format!("7 (mysqld) Z {rest}")), None);
    }
}
