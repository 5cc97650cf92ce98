//! The program itself, run as an operator runs it.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::until;

const DEADLINE: Duration = Duration::from_secs(180);
const END_DEADLINE: Duration = Duration::from_secs(30);

/// `shardlift` with a cluster's topology and credentials in its environment.
#[derive(Debug, Clone)]
pub struct Shardlift {
    topology: String,
    credentials: PathBuf,
    logs: PathBuf,
    env: Vec<(String, String)>,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// Its messages.
    pub stderr: String,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code {:?}\nstdout: {}\nstderr: {}", self.code, self.stdout, self.stderr)
    }
}

impl Shardlift {
    pub(super) fn new(topology: &str, credentials: &Path, logs: &Path) -> Self {
        fs::create_dir_all(logs).unwrap();
        Self { topology: topology.into(), credentials: credentials.into(), logs: logs.into(), env: Vec::new() }
    }

    /// The same with another variable in its environment.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut changed = self.clone();
        changed.env.push((name.into(), value.into()));
        changed
    }

    /// Runs a command line, split at blanks, to its end.
    pub async fn run(&self, line: &str) -> Ran {
        let mut command = self.command(line);
        let output = timeout(DEADLINE, command.stdout(Stdio::piped()).stderr(Stdio::piped()).output()).await;
        let output = output.unwrap_or_else(|_| panic!("`{line}` ran for more than {} s", DEADLINE.as_secs())).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// What a command prints that must succeed.
    pub async fn must(&self, line: &str) -> String {
        let ran = self.run(line).await;
        assert_eq!(ran.code, Some(0), "`{line}`: {ran}");
        ran.stdout
    }

    /// What a command prints that must succeed, given `input` to read.
    pub async fn must_with(&self, line: &str, input: &str) -> String {
        let mut command = self.command(line);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        let output = timeout(DEADLINE, child.wait_with_output()).await.unwrap().unwrap();
        assert!(output.status.success(), "`{line}`: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The complaint of a command that must be refused.
    pub async fn refused(&self, line: &str) -> String {
        let ran = self.run(line).await;
        assert_eq!(ran.code, Some(1), "`{line}`: {ran}");
        ran.stderr
    }

    /// The JSON of a command that must succeed.
    pub async fn json(&self, line: &str) -> Value {
        let text = self.must(&format!("{line} --format json")).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("`{line}`: {error}: {text}"))
    }

    /// Starts a command that goes on until it is ended; what it says goes to `logs/<name>.log`.
    pub fn start(&self, name: &str, line: &str) -> Running {
        let log = self.logs.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = self.command(line);
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Running { child, log }
    }

    /// An engine of this name that can be seen in `engine list`.
    pub async fn engine(&self, name: &str) -> Running {
        let mut engine = self.start(name, &format!("engine run --id {name}"));
        until(&format!("engine {name} registers"), END_DEADLINE, async || {
            assert!(engine.child.try_wait().unwrap().is_none(), "engine {name} ended: {}", engine.log());
            let seen = self.json("engine list").await;
            let here = seen.as_array().is_some_and(|all| all.iter().any(|one| one["engine"] == name));
            if here { Ok(()) } else { Err(seen) }
        })
        .await;
        engine
    }

    /// Waits until a workflow is in a state, named as `movetables status` names it.
    pub async fn wait_state(&self, keyspace: &str, workflow: &str, state: &str, deadline: Duration) -> Value {
        let line = format!("movetables status --target-keyspace {keyspace} --workflow {workflow} --format json");
        until(&format!("{keyspace}/{workflow} becomes {state}"), deadline, async || {
            let ran = self.run(&line).await;
            match serde_json::from_str::<Value>(&ran.stdout) {
                Ok(seen) if seen["state"] == state => Ok(seen),
                _ => Err(ran),
            }
        })
        .await
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shardlift"));
        command.args(line.split_whitespace()).stdin(Stdio::null()).kill_on_drop(true);
        command.env("SHARDLIFT_TOPO", &self.topology).env("SHARDLIFT_CREDENTIALS", &self.credentials);
        command.env_remove("SHARDLIFT_CLUSTER").envs(self.env.iter().cloned());
        command.env("SHARDLIFT_LOG", std::env::var("SHARDLIFT_LOG").unwrap_or_else(|_| "info".into()));
        // SAFETY: between fork and exec only prctl runs, which is async-signal-safe.
        unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
        command
    }
}

/// A command that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Kills it as a power cut would, and returns when it is gone.
    pub async fn kill9(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn stop(self) -> ExitStatus {
        self.end(Signal::SIGTERM).await
    }

    /// Presses Ctrl-C (SIGINT) and waits until it has ended.
    pub async fn interrupt(self) -> ExitStatus {
        self.end(Signal::SIGINT).await
    }

    /// Waits until it has ended by itself.
    pub async fn ended(self) -> ExitStatus {
        self.wait("what it was asked before").await
    }

    async fn end(self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.wait(signal.as_str()).await
    }

    async fn wait(mut self, why: &str) -> ExitStatus {
        match timeout(END_DEADLINE, self.child.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("it did not end within {} s of {why}: {}", END_DEADLINE.as_secs(), self.log()),
        }
    }

    /// Freezes it: to others it is cut off.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("it has ended: {}", self.log()))
    }

    /// All it said.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// The end of what it said, and where the rest is.
    pub fn log(&self) -> String {
        let text = self.said();
        let end: Vec<&str> = text.lines().rev().take(30).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        format!("the end of {}:\n{}", self.log.display(), end.join("\n"))
    }

    fn signal(&self, signal: Signal) {
        // The id is ours until the child is waited for.
        kill(Pid::from_raw(self.pid().cast_signed()), signal).unwrap();
    }
}
