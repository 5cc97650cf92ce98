//! A program as it must be called, and running one to its end.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::LocalError;

/// A program to run: directly, or through the loader of the distribution it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// What the kernel executes.
    pub exe: PathBuf,
    /// Arguments before the caller's own.
    pub prefix_args: Vec<OsString>,
}

impl Program {
    /// A program the system can run by itself.
    pub fn direct(exe: impl Into<PathBuf>) -> Self {
        Self { exe: exe.into(), prefix_args: Vec::new() }
    }

    /// A program that needs another libc than the system's: `loader --library-path libraries exe`.
    pub fn through_loader(loader: &Path, libraries: &Path, exe: &Path) -> Self {
        let prefix_args = vec!["--library-path".into(), libraries.into(), exe.into()];
        Self { exe: loader.to_path_buf(), prefix_args }
    }

    /// The program proper, even when a loader runs it.
    pub fn path(&self) -> &Path {
        self.prefix_args.last().map_or(self.exe.as_path(), Path::new)
    }

    /// A command for the async runtime.
    pub fn command(&self) -> tokio::process::Command {
        self.std_command().into()
    }

    /// The same for the standard library.
    pub fn std_command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.exe);
        command.args(&self.prefix_args);
        command
    }

    /// Runs it to the end and returns what it printed.
    pub(super) async fn output<A: AsRef<OsStr>>(
        &self,
        doing: &'static str,
        args: &[A],
        deadline: Duration,
    ) -> Result<String, LocalError> {
        let mut command = self.command();
        command.args(args);
        output(&self.path().to_string_lossy(), doing, command, deadline).await
    }
}

/// Runs a command to its end, killing it at the deadline or when the caller gives up, and returns its standard output.
pub(super) async fn output(
    program: &str,
    doing: &'static str,
    mut command: tokio::process::Command,
    deadline: Duration,
) -> Result<String, LocalError> {
    command.stdin(Stdio::null()).env("LC_ALL", "C.UTF-8").kill_on_drop(true);
    let ended = tokio::time::timeout(deadline, command.output()).await;
    let output = ended
        .map_err(|_| LocalError::Timeout { doing: format!("{doing} ({program})"), after: deadline })?
        .map_err(|source| LocalError::Spawn { program: program.into(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let detail = format!("{}\n{}", output.status, last_lines(&String::from_utf8_lossy(said), 12));
    Err(LocalError::Failed { program: program.into(), doing, detail: without_credentials(&detail) })
}

/// The end of a text.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
}

/// Hides `user:password@` in addresses: a private package mirror may carry them.
fn without_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(after.len());
        rest = match after.get(..end).and_then(|host| host.rfind('@')) {
            Some(at) => {
                shown.push_str("***");
                after.get(at..).unwrap_or_default()
            }
            None => after,
        };
    }
    shown + rest
}

/// Looks a program up as a shell would, `extra` folders last.
pub(super) fn find_on_path(name: &str, extra: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(extra.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
}

/// Whether this is a file with an execute bit.
pub(super) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirror_credentials_are_hidden() {
        assert_eq!(without_credentials("Err http://me:s3cret@h/debian x"), "Err http://***@h/debian x");
        assert_eq!(without_credentials("a://b/c@d e://f@g"), "a://b/c@d e://***@g");
    }

    #[test]
    fn the_end_of_a_text() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}
