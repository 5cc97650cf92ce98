//! Parse, run, exit.

use std::io::IsTerminal;
use std::process::ExitCode;

use shardlift::cli;

fn main() -> ExitCode {
    give_memory_back();
    let cli = cli::parse(std::env::args_os().collect()).unwrap_or_else(|error| error.exit());
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(cli.log()).with_ansi(colours).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli::run(cli)) {
        Ok(outcome) => outcome.into(),
        Err(error) if reader_is_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Has freed memory returned to the system early. By itself glibc learns from large buffers to keep what they took, and an
/// engine that once applied a long row would hold several times its size for good (design P11).
fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt may be called at any time; no other thread runs yet.
    unsafe {
        nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, 4 << 20);
        nix::libc::mallopt(nix::libc::M_TRIM_THRESHOLD, 8 << 20);
    }
}

/// `shardlift topo list | head` is no failure.
fn reader_is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
