//! What the demo prints: numbered steps, each with its time. Colours and motion only on a terminal.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tokio::time::Instant;

use crate::local::{Progress, Stage};

const TICK: Duration = Duration::from_millis(100);

/// Standard output, as a terminal or as a file.
pub(super) struct Console {
    began: Instant,
    terminal: bool,
    colour: bool,
    step: u32,
    steps: u32,
}

impl Console {
    pub(super) fn new(steps: u32) -> Self {
        let terminal = io::stdout().is_terminal();
        let plain = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        // NO_COLOR: https://no-color.org
        let colour = terminal && !plain("NO_COLOR") && !dumb;
        Self { began: Instant::now(), terminal, colour, step: 0, steps }
    }

    /// Since the demo began.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{text}")
    }

    /// Says what is being cleaned up; that goes on whether or not anyone listens.
    pub(super) fn tidy(&self, text: &str) {
        let _ = self.say(&self.dim(text));
    }

    /// Begins the next step.
    pub(super) fn begin(&mut self, what: &'static str) -> Step {
        self.step += 1;
        let target = if self.terminal { ProgressDrawTarget::stdout() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        let step = Step { label: self.label(), what, began: Instant::now(), bar, colour: self.colour };
        step.style("{prefix} {spinner} {elapsed:>5}  {msg}");
        step.bar.set_prefix(step.label.clone());
        step.bar.set_message(what);
        step.bar.enable_steady_tick(TICK);
        step
    }

    /// Begins the next step without anything that moves: something else is drawn meanwhile.
    pub(super) fn begin_still(&mut self, what: &'static str) -> Step {
        self.step += 1;
        Step { label: self.label(), what, began: Instant::now(), bar: ProgressBar::hidden(), colour: self.colour }
    }

    fn label(&self) -> String {
        self.dim(&format!(" [{:>2}/{}]", self.step, self.steps))
    }

    pub(super) fn bold(&self, text: &str) -> String {
        paint(self.colour, "1", text)
    }

    pub(super) fn dim(&self, text: &str) -> String {
        paint(self.colour, "2", text)
    }

    pub(super) fn good(&self, text: &str) -> String {
        paint(self.colour, "1;32", text)
    }

    pub(super) fn bad(&self, text: &str) -> String {
        paint(self.colour, "1;31", text)
    }
}

/// A step under way. Dropped before it is done, it vanishes.
pub(super) struct Step {
    label: String,
    what: &'static str,
    began: Instant,
    bar: ProgressBar,
    colour: bool,
}

impl Step {
    /// Ends the step: its line stays.
    pub(super) fn done(self, text: &str) -> io::Result<()> {
        self.bar.finish_and_clear();
        writeln!(io::stdout().lock(), "{}", self.line(text))
    }

    /// Since it began.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The line of a step that ends now.
    pub(super) fn line(&self, text: &str) -> String {
        let (seconds, what) =
            (self.began.elapsed().as_secs_f64(), paint(self.colour, "1", &format!("{:<10}", self.what)));
        format!("{} {seconds:>6.1} s  {what}  {text}", self.label)
    }

    /// Shows how many rows of how many are done.
    pub(super) fn rows(&self, done: u64, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
            self.style("{prefix} {spinner} {elapsed:>5}  {msg:10}  {bar:30} {human_pos}/{human_len} rows  {rate:>14}  {eta} left");
        }
        self.bar.set_position(done);
    }

    fn style(&self, template: &str) {
        // The templates are constants of this file; a broken one leaves the plain style.
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
                // Writing to the bar's own text cannot fail.
                let _ = write!(text, "{} rows/s", HumanCount(state.per_sec() as u64));
            };
            self.bar.set_style(style.with_key("rate", rate).progress_chars("█▉▊▋▌▍▎▏░"));
        }
    }
}

impl Progress for Step {
    fn stage(&self, stage: Stage) {
        self.bar.set_message(format!("{}: {stage}", self.what));
        if self.bar.is_hidden() && matches!(stage, Stage::Waiting | Stage::Download) {
            // Who reads a log must know why nothing comes for a while.
            let _ = writeln!(io::stdout().lock(), "{}           {stage} …", self.label);
        }
    }

    fn bytes(&self, done: u64, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
            self.style(
                "{prefix} {spinner} {elapsed:>5}  {msg}  {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left",
            );
        }
        self.bar.set_position(done);
    }
}

fn paint(colour: bool, code: &str, text: &str) -> String {
    if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
}

/// A number with its thousands apart.
pub(super) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// Bytes of memory.
pub(super) fn memory(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// A time in the unit that suits it.
pub(super) fn milliseconds(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { format!("{:.1} s", ms as f64 / 1e3) }
}

/// Megabytes, as rates of data are told.
pub(super) fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}
