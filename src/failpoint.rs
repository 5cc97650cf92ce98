//! Failures on demand, for tests of what follows them: at a named point the process dies, hangs, or an error is returned.
//!
//! Only debug builds heed them: a release is the same program with no way to ask for a failure.

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The environment variable that arms them: `point=action;…`, e.g. `after-close=kill;before-commit=error`; or `@file`, where
/// such a text is looked for whenever a point is reached, so that a process that runs can be made to fail.
pub const VARIABLE: &str = "SHARDLIFT_FAILPOINTS";
/// How long a point is held at most, and how often it is asked whether it still is.
const HELD: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(5);

/// What happens at a point, once.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    /// The process ends at once, as by kill -9.
    Kill,
    /// The point fails.
    Error,
    /// It takes this long.
    Hang(Duration),
    /// This file is made, and the point passed once somebody has removed it: a test can strike meanwhile.
    Hold(PathBuf),
}

/// Points and what is to happen there.
type Armed = Vec<(String, Action)>;

#[derive(Debug)]
enum Source {
    Given(Mutex<Armed>),
    File(PathBuf),
}

impl Default for Source {
    fn default() -> Self {
        Self::Given(Mutex::default())
    }
}

/// A point that failed as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit(pub String);

/// The armed points. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Failpoints(Arc<Source>);

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
        let action = self.take(point);
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
            Some(Action::Hold(file)) => hold(point, &file).await,
        }
    }

    fn take(&self, point: &str) -> Option<Action> {
        match &*self.0 {
            Source::Given(armed) => pick(&mut armed.lock().unwrap_or_else(PoisonError::into_inner), point),
            Source::File(file) => {
                let text = fs::read_to_string(file).ok()?;
                let mut armed = parse(&text).inspect_err(|error| tracing::error!(error, "failpoints")).ok()?;
                let action = pick(&mut armed, point)?;
                let rest: Vec<_> = text.split(';').filter(|one| one.split('=').next() != Some(point)).collect();
                fs::write(file, rest.join(";")).inspect_err(|error| tracing::error!(%error, "failpoints")).ok()?;
                Some(action)
            }
        }
    }
}

fn pick(armed: &mut Armed, point: &str) -> Option<Action> {
    let at = armed.iter().position(|(name, _)| name == point)?;
    Some(armed.remove(at).1)
}

async fn hold(point: &str, file: &PathBuf) -> Result<(), Hit> {
    fs::write(file, point).map_err(|error| Hit(format!("{point}: {}: {error}", file.display())))?;
    let began = tokio::time::Instant::now();
    while file.exists() && began.elapsed() < HELD {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

fn parse(text: &str) -> Result<Armed, String> {
    let mut armed = Vec::new();
    for one in text.trim().split(';').filter(|one| !one.is_empty()) {
        let wrong = || {
            format!(
                "{VARIABLE}: `{one}` is not point=kill, point=error, point=hang:<milliseconds> or point=hold:<file>"
            )
        };
        let (point, action) = one.split_once('=').ok_or_else(wrong)?;
        let action = match action.split_once(':') {
            None if action == "kill" => Action::Kill,
            None if action == "error" => Action::Error,
            Some(("hang", ms)) => Action::Hang(Duration::from_millis(ms.parse().map_err(|_| wrong())?)),
            Some(("hold", file)) if !file.is_empty() => Action::Hold(file.into()),
            _ => return Err(wrong()),
        };
        armed.push((point.to_owned(), action));
    }
    Ok(armed)
}

impl FromStr for Failpoints {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(Arc::new(match text.strip_prefix('@') {
            Some(file) => Source::File(file.into()),
            None => Source::Given(Mutex::new(parse(text)?)),
        })))
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

    #[tokio::test]
    async fn points_in_a_file_are_armed_at_any_time_and_fail_once() {
        let folder = tempfile::tempdir().unwrap();
        let (file, held) = (folder.path().join("points"), folder.path().join("held"));
        let points: Failpoints = format!("@{}", file.display()).parse().unwrap();
        assert_eq!(points.reach("a").await, Ok(()));
        fs::write(&file, format!("a=error;b=hold:{}", held.display())).unwrap();
        assert_eq!(points.reach("a").await, Err(Hit("a".into())));
        assert_eq!(points.reach("a").await, Ok(()));
        let waiting = tokio::spawn(async move { points.reach("b").await });
        while !held.exists() {
            tokio::time::sleep(LOOK).await;
        }
        assert!(!waiting.is_finished());
        fs::remove_file(&held).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert_eq!(fs::read_to_string(&file).unwrap(), "");
    }
}
