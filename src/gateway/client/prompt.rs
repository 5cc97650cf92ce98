//! Asks for a password on standard input.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::mysql::Secret;

/// Reads a line from standard input; at a terminal it asks with `prompt` first, on standard error, and shows nothing of
/// what is typed. The line's end is not part of the password. Blocks.
pub fn read_password(prompt: &str) -> io::Result<Secret> {
    let stdin = io::stdin();
    let quiet = if stdin.is_terminal() {
        let quiet = Quiet::new()?;
        let mut stderr = io::stderr();
        write!(stderr, "{prompt}")?;
        stderr.flush()?;
        Some(quiet)
    } else {
        None
    };
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    if quiet.is_some() {
        drop(quiet);
        eprintln!();
    }
    read?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no password was given; every user needs one"));
    }
    Ok(Secret::new(password))
}

/// The terminal does not echo while this lives.
struct Quiet(Termios);

impl Quiet {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Quiet(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // Nothing better is left to do than to go on with a silent terminal.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
