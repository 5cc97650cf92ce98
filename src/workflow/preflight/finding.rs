//! What preflight has to say.

use std::fmt;

use serde::Serialize;

/// Whether a finding stops the start of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Severity {
    /// It does.
    Refuse,
    /// It does not, but should be known.
    Warn,
}

/// One reason for refusal or concern. Refusals sort first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Whether it stops the start.
    pub severity: Severity,
    /// The check that found it, e.g. `binlog-format`. Stable.
    pub check: &'static str,
    /// The server or table concerned.
    pub subject: String,
    /// What is wrong.
    pub problem: String,
    /// The command or setting that cures it.
    pub cure: String,
}

impl Finding {
    pub(in crate::workflow) fn refuse(
        check: &'static str,
        subject: impl Into<String>,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        let (subject, problem, cure) = (subject.into(), problem.into(), cure.into());
        Self { severity: Severity::Refuse, check, subject, problem, cure }
    }

    pub(in crate::workflow) fn warn(
        check: &'static str,
        subject: impl Into<String>,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warn, ..Self::refuse(check, subject, problem, cure) }
    }

    /// Whether it stops the start.
    pub fn refuses(&self) -> bool {
        self.severity == Severity::Refuse
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.refuses() { "refused" } else { "warning" };
        writeln!(f, "{word} [{}] {}: {}", self.check, self.subject, self.problem)?;
        write!(f, "    cure: {}", self.cure)
    }
}
