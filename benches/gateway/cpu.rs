//! Processor time: of processes, and of the machine.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// Where idle and waiting cores' time stands among a core's times; see proc_stat(5).
const IDLE: [usize; 2] = [3, 4];
/// The times that add up to all; those behind are parts of the first.
const ALL: usize = 8;

/// What all threads of a process have used so far.
pub fn used(pid: u32) -> Result<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(pid)?))?;
    Ok(clock_gettime(clock)?.into())
}

/// What the cores have done since the machine started, in ticks; what the host gave to others counts as busy.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    busy: u64,
    all: u64,
}

impl Machine {
    /// Up to now.
    pub fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("no cores")?;
        let times: Vec<u64> = line.split_whitespace().take(ALL).map(str::parse).collect::<Result<_, _>>()?;
        let all = times.iter().sum();
        let idle: u64 = IDLE.iter().filter_map(|&at| times.get(at)).sum();
        Ok(Self { busy: all - idle, all })
    }

    /// The share of the machine's time that was used since `then`.
    pub fn busy_since(&self, then: &Self) -> f64 {
        (self.busy - then.busy) as f64 / (self.all - then.all).max(1) as f64
    }
}
