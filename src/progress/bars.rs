//! Bars on a terminal; where there is none, a line now and then.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use indicatif::{
    HumanBytes, HumanCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle,
};
use tokio::time::Instant;

use super::words::expected;
use super::{Sight, summary};
use crate::model::TableName;

/// Bars drawn at once; the rest are only counted.
const BARS: usize = 12;
/// Without a terminal: how often a line is printed while the state stays the same.
const LINES: Duration = Duration::from_secs(5);

/// Where bars, or lines, go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

/// One bar a table and a line for the whole. What was drawn stays when it is dropped, unless cleared.
#[derive(Debug)]
pub struct Bars {
    stream: Stream,
    indent: &'static str,
    all: MultiProgress,
    tables: BTreeMap<TableName, ProgressBar>,
    line: ProgressBar,
    /// When a plain line was printed last, and of which state.
    printed: Option<(Instant, String)>,
}

impl Bars {
    /// On standard error, for a command whose output may be read by programs.
    pub fn on_stderr() -> Self {
        Self::new(Stream::Err, ProgressDrawTarget::stderr(), "")
    }

    /// On standard output, each line after `indent`.
    pub fn on_stdout(indent: &'static str) -> Self {
        Self::new(Stream::Out, ProgressDrawTarget::stdout(), indent)
    }

    fn new(stream: Stream, target: ProgressDrawTarget, indent: &'static str) -> Self {
        let all = MultiProgress::with_draw_target(target);
        let line = all.add(ProgressBar::new_spinner().with_finish(ProgressFinish::Abandon));
        line.set_style(style("{msg}"));
        Self { stream, indent, all, tables: BTreeMap::new(), line, printed: None }
    }

    /// Draws the workflow as it is now.
    pub fn show(&mut self, sight: &Sight) {
        let Sight { state, message, status } = sight;
        let text = match status {
            None => format!("{}{state}: {message}", self.indent),
            Some(status) => format!("{}{}", self.indent, summary(state, message, status)),
        };
        if self.all.is_hidden() {
            return self.print(state, &text);
        }
        for (name, table) in status.iter().flat_map(|status| &status.tables).take(BARS) {
            let bar = self.tables.entry(name.clone()).or_insert_with(|| {
                let bar = self.all.insert_before(&self.line, ProgressBar::new(1).with_finish(ProgressFinish::Abandon));
                bar.set_style(style("{prefix} {bar:30} {percent:>3} %  {msg}").progress_chars("█▉▊▋▌▍▎▏░"));
                bar.set_prefix(format!("{}{name:<20}", self.indent));
                bar
            });
            let expected = expected(table);
            bar.set_length(expected.max(1));
            bar.set_position(if expected == 0 { 1 } else { table.rows });
            bar.set_message(format!("{} rows, {}, {}", HumanCount(table.rows), HumanBytes(table.bytes), table.state));
        }
        self.line.set_message(text);
    }

    /// Prints a line that stays, above the bars.
    pub fn say(&self, text: &str) -> std::io::Result<()> {
        match (self.all.is_hidden(), self.stream) {
            (false, _) => self.all.println(text),
            (true, Stream::Out) => writeln!(std::io::stdout().lock(), "{text}"),
            (true, Stream::Err) => writeln!(std::io::stderr().lock(), "{text}"),
        }
    }

    /// Wipes what was drawn.
    pub fn clear(self) {
        for bar in self.tables.values() {
            bar.finish_and_clear();
        }
        self.line.finish_and_clear();
    }

    fn print(&mut self, state: &str, text: &str) {
        let due = |(at, last): &(Instant, String)| last != state || at.elapsed() >= LINES;
        if !self.printed.as_ref().is_none_or(due) {
            return;
        }
        self.printed = Some((Instant::now(), state.to_string()));
        // Progress is a courtesy: who closed the pipe does not want it.
        let _ = self.say(text);
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants of this file; a broken one falls back to the plain style.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
