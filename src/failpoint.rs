//! Failures on demand, for tests of what follows them: at a named point the process dies, hangs, or an error is returned.
//!
//! Only debug builds heed them: a release is the same program with no way to ask for a failure.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The environment variable that arms them: `point=action;…`, e.g. `after-close=kill;before-commit=error`.
pub const VARIABLE: &str = "SHARDLIFT_FAILPOINTS";

/// What happens at a point, once.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    /// The process ends at once, as by kill -9.
    Kill,
    /// The point fails.
    Error,
    /// It takes this long.
    Hang(Duration),
}

/// A point that failed as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit(pub String);

/// The armed points. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Failpoints(Arc<Mutex<Vec<(String, Action)>>>);

impl Failpoints {
    /// Those the environment asks for.
    pub fn from_env() -> Result<Self, String> {
        match std::env::var(VARIABLE) {
            Ok(text) if cfg!(debug_assertions) => text.parse(),
            Ok(_) => Err(format!("{VARIABLE} is set, and a release build has no failpoints")),
            Err(_) => Ok(Self::default()),
        }
    }

    /// Does what is asked for at `point`, and forgets it.
    pub async fn reach(&self, point: &str) -> Result<(), Hit> {
        let action = {
            let mut armed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let at = armed.iter().position(|(name, _)| name == point);
            at.map(|at| armed.remove(at).1)
        };
        match action {
            None => Ok(()),
            Some(Action::Kill) => {
                tracing::warn!(point, "failpoint: dying");
                std::process::abort()
            }
            Some(Action::Error) => Err(Hit(point.to_owned())),
            Some(Action::Hang(time)) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        }
    }
}

impl FromStr for Failpoints {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut armed = Vec::new();
        for one in text.split(';').filter(|one| !one.is_empty()) {
            let wrong = || format!("{VARIABLE}: `{one}` is not point=kill, point=error or point=hang:<milliseconds>");
            let (point, action) = one.split_once('=').ok_or_else(wrong)?;
            let action = match action.split_once(':') {
                None if action == "kill" => Action::Kill,
                None if action == "error" => Action::Error,
                Some(("hang", ms)) => Action::Hang(Duration::from_millis(ms.parse().map_err(|_| wrong())?)),
                _ => return Err(wrong()),
            };
            armed.push((point.to_owned(), action));
        }
        Ok(Self(Arc::new(Mutex::new(armed))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_point_fails_once() {
        let points: Failpoints = "after-close=error;before-open=hang:1".parse().unwrap();
        assert_eq!(points.reach("before-close").await, Ok(()));
        assert_eq!(points.reach("after-close").await, Err(Hit("after-close".into())));
        assert_eq!(points.reach("after-close").await, Ok(()));
        assert!("x".parse::<Failpoints>().is_err() && "x=hang:y".parse::<Failpoints>().is_err());
    }
}
