//! Processor time of processes.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// Ticks per second in /proc, whatever the kernel's own (USER_HZ, part of Linux's ABI).
const TICKS: u32 = 100;
/// Where user and system time stand behind the process's name; see proc_pid_stat(5), fields 14 and 15.
const TIMES: [usize; 2] = [11, 12];

/// What all threads of a process have used so far, to a hundredth of a second.
pub fn used(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold anything, blanks and parentheses too.
    let (_, fields) = stat.rsplit_once(')').context("a stat without a name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let mut ticks = 0;
    for at in TIMES {
        ticks += fields.get(at).context("a stat without times")?.parse::<u32>()?;
    }
    Ok(Duration::from_secs(1) * ticks / TICKS)
}
