//! One server process, and the slot that holds a server's current one across restarts.
//!
//! Each process has a thread of ours that starts it, waits for it and reaps it. The kernel's parent-death signal is tied
//! to the *thread* that forked; since that thread ends only after the process, the signal fires exactly when this whole
//! process dies, and an async runtime may come and go (every `#[tokio::test]` has its own) without killing servers.
//!
//! Invariant: a signal is sent only while the process is not yet reaped, so never to a stranger with a recycled id.

use std::io;
use std::os::unix::process::{CommandExt, parent_id};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, setsid};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::LocalError;

const SPAWN_DEADLINE: Duration = Duration::from_secs(20);
/// After SIGKILL only the kernel has work left.
const KILL_DEADLINE: Duration = Duration::from_secs(20);

/// How long a server lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// Until its handle is dropped or this process ends, even by SIGKILL.
    #[default]
    Owned,
    /// Until someone stops it: `local up` leaves servers running.
    Detached,
}

/// A started process. Dropping it kills the process, unless detached.
#[derive(Debug)]
struct Process {
    pid: Pid,
    lifetime: Lifetime,
    reaped: Arc<Reaped>,
    ended: watch::Receiver<Option<ExitStatus>>,
}

#[derive(Debug, Default)]
struct Reaped {
    done: Mutex<bool>,
    changed: Condvar,
}

impl Process {
    async fn spawn(program: String, mut command: Command, lifetime: Lifetime) -> Result<Self, LocalError> {
        prepare(&mut command, lifetime);
        let reaped = Arc::new(Reaped::default());
        let (tell_ended, ended) = watch::channel(None);
        let (tell_started, started) = oneshot::channel();
        let keeper = {
            let reaped = reaped.clone();
            move || keep(command, tell_started, &reaped, &tell_ended)
        };
        let failed = |source| LocalError::Spawn { program: program.clone(), source };
        thread::Builder::new().name("server-keeper".into()).spawn(keeper).map_err(failed)?;
        let pid = match timeout(SPAWN_DEADLINE, started).await {
            Ok(Ok(pid)) => pid.map_err(failed)?,
            Ok(Err(_)) => return Err(failed(io::Error::other("the thread that starts it ended"))),
            Err(_) => {
                return Err(LocalError::Timeout { doing: format!("starting {program}"), after: SPAWN_DEADLINE });
            }
        };
        Ok(Self { pid, lifetime, reaped, ended })
    }

    /// Sends a signal; `false` if the process has ended.
    fn signal(&self, signal: Signal) -> Result<bool, Errno> {
        let reaped = locked(&self.reaped.done);
        if *reaped { Ok(false) } else { kill(self.pid, signal).map(|()| true) }
    }

    fn is_running(&self) -> bool {
        self.ended.borrow().is_none()
    }

    /// How it ended, or `None` at the deadline.
    async fn wait(&self, deadline: Duration) -> Option<ExitStatus> {
        let mut ended = self.ended.clone();
        match timeout(deadline, ended.wait_for(Option::is_some)).await {
            Ok(Ok(status)) => *status,
            Ok(Err(_)) => *self.ended.borrow(),
            Err(_) => None,
        }
    }
}

impl Drop for Process {
    /// Waits a moment for the end, so that the server's folder can be deleted right after.
    fn drop(&mut self) {
        if self.lifetime == Lifetime::Detached || !matches!(self.signal(Signal::SIGKILL), Ok(true)) {
            return;
        }
        let done = locked(&self.reaped.done);
        let waited = self.reaped.changed.wait_timeout_while(done, Duration::from_secs(2), |done| !*done);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

fn prepare(command: &mut Command, lifetime: Lifetime) {
    let parent = std::process::id();
    command.stdin(Stdio::null());
    let before_exec = move || {
        // A session of its own: Ctrl-C in our terminal is for us, and we end our servers in order.
        setsid()?;
        if lifetime == Lifetime::Owned {
            set_pdeathsig(Signal::SIGKILL)?;
            // We may have died before the line above took effect.
            if parent_id() != parent {
                return Err(Errno::ESRCH.into());
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec only setsid, prctl and getppid run, all async-signal-safe; nothing is allocated.
    unsafe { command.pre_exec(before_exec) };
}

/// The thread of one process: starts it, waits, reaps.
fn keep(
    mut command: Command,
    tell_started: oneshot::Sender<io::Result<Pid>>,
    reaped: &Reaped,
    tell_ended: &watch::Sender<Option<ExitStatus>>,
) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            // Without a listener nobody is left to be told.
            let _ = tell_started.send(Err(error));
            return;
        }
    };
    let pid = Pid::from_raw(child.id().cast_signed());
    if tell_started.send(Ok(pid)).is_err() {
        // The caller gave up while we forked: there is no handle, so there must be no server.
        let _ = child.kill();
    }
    // Waits without reaping: the id stays taken until the lock is held.
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
    let mut done = locked(&reaped.done);
    let status = reap(&mut child);
    *done = true;
    tell_ended.send_replace(Some(status));
    reaped.changed.notify_all();
}

fn reap(child: &mut Child) -> ExitStatus {
    child.wait().unwrap_or_else(|error| {
        tracing::warn!(%error, "a server's exit status was lost");
        ExitStatus::default()
    })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server's current process, if it has one.
#[derive(Debug)]
pub(super) struct Slot {
    /// The server as errors name it.
    server: String,
    lifetime: Lifetime,
    current: Mutex<Option<Arc<Process>>>,
}

impl Slot {
    pub(super) fn new(server: String, lifetime: Lifetime) -> Self {
        Self { server, lifetime, current: Mutex::new(None) }
    }

    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// Starts the next process. The caller has seen the former one end.
    pub(super) async fn launch(&self, command: Command) -> Result<(), LocalError> {
        let process = Process::spawn(self.server.clone(), command, self.lifetime).await?;
        *locked(&self.current) = Some(Arc::new(process));
        Ok(())
    }

    /// Process id while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process().filter(|p| p.is_running()).map(|p| p.pid.as_raw().cast_unsigned())
    }

    /// How the last process ended, if it has.
    pub(super) fn ended(&self) -> Option<ExitStatus> {
        self.process().and_then(|p| *p.ended.borrow())
    }

    /// Asks it to end, and kills it if it has not by the deadline. Fine if it is not running.
    pub(super) async fn stop(&self, deadline: Duration) -> Result<(), LocalError> {
        let Some(process) = self.process().filter(|p| p.is_running()) else { return Ok(()) };
        self.send(&process, Signal::SIGTERM)?;
        // A paused process does not hear SIGTERM.
        self.send(&process, Signal::SIGCONT)?;
        if process.wait(deadline).await.is_none() {
            tracing::warn!(server = self.server, "did not stop within {} s; killing it", deadline.as_secs());
            return self.kill9().await;
        }
        Ok(())
    }

    /// SIGKILL, and waits until it is gone. Fine if it is not running.
    pub(super) async fn kill9(&self) -> Result<(), LocalError> {
        let Some(process) = self.process() else { return Ok(()) };
        self.send(&process, Signal::SIGKILL)?;
        let doing = || format!("killing {}", self.server);
        let ended = process.wait(KILL_DEADLINE).await;
        ended.map(drop).ok_or_else(|| LocalError::Timeout { doing: doing(), after: KILL_DEADLINE })
    }

    /// SIGSTOP or SIGCONT to a running server.
    pub(super) fn signal_running(&self, signal: Signal) -> Result<(), LocalError> {
        match self.process() {
            Some(process) if self.send(&process, signal)? => Ok(()),
            _ => Err(LocalError::NotRunning(self.server.clone())),
        }
    }

    fn send(&self, process: &Process, signal: Signal) -> Result<bool, LocalError> {
        let failed = |errno: Errno| LocalError::Signal { server: self.server.clone(), source: errno.into() };
        process.signal(signal).map_err(failed)
    }

    fn process(&self) -> Option<Arc<Process>> {
        locked(&self.current).clone()
    }
}
