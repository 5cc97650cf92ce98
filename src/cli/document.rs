//! A document given on the command line, in a file or on standard input.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// Reads it.
pub(super) fn read(text: Option<String>, file: Option<PathBuf>) -> Result<String> {
    match (text, file) {
        (Some(text), _) => Ok(text),
        (None, Some(file)) if file.as_os_str() == "-" => {
            let mut text = String::new();
            std::io::stdin().lock().read_to_string(&mut text).context("reading standard input")?;
            Ok(text)
        }
        (None, Some(file)) => std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display())),
        (None, None) => bail!("name a document"),
    }
}
