//! The tree is formatted and clippy is silent: part of the test command, so that it cannot be forgotten.

use std::process::Command;

fn cargo(arguments: &[&str]) {
    // A target folder of its own: this test runs while cargo holds the lock on the usual one.
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/target/hygiene");
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("CARGO_TARGET_DIR", target)
        .output()
        .expect("cargo starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "cargo {} failed:\n{text}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn the_tree_is_formatted() {
    cargo(&["fmt", "--check"]);
}

#[test]
fn clippy_is_silent() {
    cargo(&["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"]);
}
