//! The results of a run over the whole matrix, a line a case, so that it can go on where it was left.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::cases::Case;
use super::judge::PROMISED;
use super::stage::Played;

/// The file of this commit: `target/matrix/<commit>.jsonl`, or as `SHARDLIFT_MATRIX_FILE` says.
#[derive(Debug, Clone)]
pub struct Book {
    path: PathBuf,
}

impl Book {
    pub fn open() -> Self {
        let named = std::env::var_os("SHARDLIFT_MATRIX_FILE").map(PathBuf::from);
        let path = named.unwrap_or_else(|| {
            let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
            root.join("target/matrix").join(format!("{}.jsonl", commit()))
        });
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        println!("results in {}", path.display());
        Self { path }
    }

    fn lines(&self) -> BTreeMap<String, Value> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| Some((line["case"].as_str()?.to_owned(), line))).collect()
    }

    /// The last result of each case, and whether it was good.
    pub fn results(&self) -> BTreeMap<String, bool> {
        self.lines().into_iter().map(|(case, line)| (case, line["ok"] == true)).collect()
    }

    /// Of the good cases, how many took longer than was promised on this machine.
    fn late(&self) -> usize {
        let most = PROMISED.as_millis() as u64;
        self.lines().values().filter(|line| line["healed_ms"].as_u64().is_some_and(|took| took > most)).count()
    }

    pub fn enter(&self, case: &Case, result: &Result<Played, String>) {
        let line = match result {
            Ok(Played { done, healed, served, took }) => json!({
                "case": case.to_string(), "ok": true, "outcome": if *done { "done" } else { "undone" },
                "healed_ms": healed.as_millis() as u64, "served_ms": served.as_millis() as u64, "took_ms": took.as_millis() as u64,
            }),
            Err(why) => json!({ "case": case.to_string(), "ok": false, "why": why }),
        };
        let mut file = File::options().create(true).append(true).open(&self.path).unwrap();
        writeln!(file, "{line}").unwrap();
    }

    /// Counts by fault, as text.
    pub fn summary(&self, all: &[Case]) -> String {
        let results = self.results();
        let mut faults: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let (mut good, mut bad) = (0, Vec::new());
        for case in all {
            let counts = faults.entry(case.fault.to_string()).or_default();
            counts.1 += 1;
            match results.get(&case.to_string()) {
                Some(true) => (counts.0, good) = (counts.0 + 1, good + 1),
                Some(false) => bad.push(case.to_string()),
                None => {}
            }
        }
        let by_fault: Vec<_> = faults.iter().map(|(fault, (good, of))| format!("  {fault}: {good} of {of}")).collect();
        format!(
            "commit {}: {good} of {} cases good ({} of them healed after more than {} s), {} bad, {} not played\n{}\nbad: {bad:#?}",
            commit(),
            all.len(),
            self.late(),
            PROMISED.as_secs(),
            bad.len(),
            all.len() - good - bad.len(),
            by_fault.join("\n")
        )
    }
}

/// The commit, with a mark where there is more than that.
fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=10"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if text.is_empty() { "unknown".into() } else { text }
}
