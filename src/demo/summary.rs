//! What the demo found, on one screen.

use std::io;
use std::time::Duration;

use super::console::{Console, count, megabytes, memory, milliseconds};
use super::journey::{SOURCE, TARGET};
use super::proof::Compared;
use super::sidecar::Copied;
use super::writers::Written;

/// Everything worth telling.
pub(super) struct Summary {
    pub(super) compared: Vec<(&'static str, Compared)>,
    pub(super) position: String,
    /// Rows of the moved tables before anyone wrote.
    pub(super) loaded: u64,
    pub(super) copied: Copied,
    /// From the start of the workflow to the last copied row.
    pub(super) copy_time: Duration,
    /// From the start of the workflow to a stream level with the source.
    pub(super) level_time: Duration,
    /// The usual lag and the greatest, milliseconds.
    pub(super) lag: Option<(u64, u64)>,
    /// How long writes were held at each switch, milliseconds.
    pub(super) pauses: Vec<u64>,
    pub(super) writers: u32,
    pub(super) written: Written,
}

impl Summary {
    /// Whether both sides hold the same rows, and as many as the servers acknowledged.
    pub(super) fn equal(&self) -> bool {
        self.compared.iter().all(|(_, compared)| compared.equal()) && self.is_complete()
    }

    /// Whether there is nothing to complain of.
    pub(super) fn good(&self) -> bool {
        self.equal() && self.written.errors == 0
    }

    /// Equal sides could both have lost a write; then there would be too few rows, or too many.
    fn is_complete(&self) -> bool {
        let found: u64 = self.compared.iter().map(|(_, compared)| compared.left_rows).sum();
        found + self.written.deleted == self.loaded + self.written.inserted
    }

    pub(super) fn print(&self, console: &Console) -> io::Result<()> {
        console.say("")?;
        console.say(&console.dim(&format!("  {:<12}{SOURCE:>14}{TARGET:>14}{:>12}", "rows", "differing")))?;
        for (table, compared) in &self.compared {
            let Compared { left_rows, right_rows, differing, samples } = compared;
            let (left, right, differing) = (count(*left_rows), count(*right_rows), count(*differing));
            console.say(&format!("  {table:<12}{left:>14}{right:>14}{differing:>12}"))?;
            for sample in samples {
                console.say(&format!("      {sample}"))?;
            }
        }
        console.say("")?;
        let verdict = match self.equal() {
            true => console.good("EQUAL"),
            false => console.bad("NOT EQUAL"),
        };
        console.say(&format!("  {verdict} at {}", self.position))?;
        let (inserted, deleted) = (count(self.written.inserted), count(self.written.deleted));
        let sum = format!("{} rows loaded + {inserted} inserted - {deleted} deleted", count(self.loaded));
        match self.is_complete() {
            true => console.say(&format!("  {} are there: {sum}", console.good("ALL")))?,
            false => console.say(&format!("  {} {sum}", console.bad("NOT THE SUM OF")))?,
        }
        if self.written.errors > 0 {
            let (errors, first) = (count(self.written.errors), self.written.first_error.as_deref().unwrap_or_default());
            console.say(&format!(
                "  {} statements of the writers, the first: {first}",
                console.bad(&format!("{errors} FAILED"))
            ))?;
        }
        console.say("")?;
        for (what, text) in self.figures(console) {
            console.say(&format!("  {}{text}", console.dim(&format!("{what:<12}"))))?;
        }
        console.say("")
    }

    fn paused(&self) -> String {
        let mut sorted = self.pauses.clone();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            milliseconds(sorted.get(place).copied().unwrap_or_default())
        };
        format!("{} switches; writes held for {} (p50), {} (p95), {} (p99)", sorted.len(), at(50), at(95), at(99))
    }

    fn gateway(&self) -> String {
        let Written { statements, errors, .. } = &self.written;
        let (Some(half), Some(most)) = (statements.percentile(50), statements.percentile(99)) else {
            return "nobody used it".into();
        };
        let (half, most) = (fine(half), fine(most));
        let (statements, errors) = (count(statements.total()), count(*errors));
        format!("{statements} statements of the writers, {errors} errors; answered in {half} (p50), {most} (p99)")
    }

    fn figures(&self, console: &Console) -> Vec<(&'static str, String)> {
        let (seconds, Copied { rows, bytes }) = (self.copy_time.as_secs_f64(), self.copied);
        let rate = count((rows as f64 / seconds) as u64);
        let (size, speed) = (megabytes(bytes as f64), megabytes(bytes as f64 / seconds));
        let Written { transactions, inserted, updated, deleted, rekeyed, .. } = self.written;
        let transactions = format!("{} transactions of {} writers", count(transactions), self.writers);
        let (inserted, updated, deleted) = (count(inserted), count(updated), count(deleted));
        let rekeyed = count(rekeyed);
        let lag = self.lag.map_or("unknown".into(), |(usual, most)| {
            format!("{} usually, {} at most", milliseconds(usual), milliseconds(most))
        });
        let mut figures = vec![
            ("copied", format!("{} rows, {size} in {seconds:.1} s: {rate} rows/s, {speed}/s", count(rows))),
            ("level", format!("{:.1} s after the start, secondary keys included", self.level_time.as_secs_f64())),
            (
                "meanwhile",
                format!(
                    "{transactions}: {inserted} rows inserted, {updated} updated, {deleted} deleted, {rekeyed} keys changed"
                ),
            ),
            ("switched", self.paused()),
            ("gateway", self.gateway()),
            ("lag", lag),
        ];
        figures
            .extend(peak_memory().map(|bytes| {
                ("memory", format!("{} at most, in this process: engine, shop and proof", memory(bytes)))
            }));
        figures.push(("in all", format!("{:.1} s", console.elapsed().as_secs_f64())));
        figures
    }
}

/// In the unit that suits statements.
fn fine(time: Duration) -> String {
    match time.as_micros() {
        micros @ ..1_000 => format!("{micros} µs"),
        micros => format!("{:.1} ms", micros as f64 / 1e3),
    }
}

/// The most memory this process ever had, bytes.
fn peak_memory() -> Option<u64> {
    high_water(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// `VmHWM` of a `/proc/<pid>/status`, in bytes.
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read() {
        assert_eq!(high_water("VmPeak:\t  9 kB\nVmHWM:\t    1234 kB\n"), Some(1234 * 1024));
        assert!(peak_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
