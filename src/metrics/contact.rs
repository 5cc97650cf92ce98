//! When something was last known to be right, and what has been wrong since.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The contact with something that should answer all the time, such as the topology. Clones are the same contact. Its age
/// is counted from the last answer, so it also tells of a caller that hangs.
#[derive(Debug, Clone)]
pub struct Contact(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    at: Instant,
    error: Option<String>,
}

impl Default for Contact {
    /// As if it had answered just now: a process that starts has time to ask.
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { at: Instant::now(), error: None })))
    }
}

impl Contact {
    /// It has answered.
    pub fn made(&self) {
        *self.state() = State { at: Instant::now(), error: None };
    }

    /// It has not, with this error.
    pub fn failed(&self, error: &dyn std::fmt::Display) {
        self.state().error = Some(error.to_string());
    }

    /// Time since the last answer.
    pub fn age(&self) -> Duration {
        self.state().at.elapsed()
    }

    /// What is wrong if `what` has not answered for longer than `limit`.
    pub fn problem(&self, what: &str, limit: Duration) -> Option<String> {
        let state = self.state();
        let age = state.at.elapsed();
        let why = state.error.as_deref().unwrap_or("no answer");
        (age > limit).then(|| format!("{what} has not answered for {:.1} s: {why}", age.as_secs_f64()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_contact_is_a_problem_with_its_last_error() {
        let contact = Contact::default();
        contact.failed(&"connection refused");
        assert_eq!(contact.problem("etcd", Duration::from_secs(60)), None, "not yet");
        let told = contact.problem("etcd", Duration::ZERO).unwrap();
        assert!(told.starts_with("etcd has not answered for 0.0 s: connection refused"), "{told}");
        contact.made();
        assert!(contact.problem("etcd", Duration::ZERO).unwrap().ends_with("no answer"));
    }
}
