//! The demo, as a newcomer runs it: its load goes through a gateway, it proves equality, and leaves nothing behind, also
//! when it is interrupted.

use std::process::{Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::harness::servers;

const PATIENCE: Duration = Duration::from_secs(180);

/// Starts it in `folder`, which it must remove, to follow for so many seconds.
async fn demo(folder: &std::path::Path, seconds: &str) -> Child {
    demo_in(folder, seconds).await.spawn().unwrap()
}

async fn demo_in(folder: &std::path::Path, seconds: &str) -> Command {
    servers().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardlift"));
    command.args(["demo", "--rows", "3000", "--seconds", seconds, "--dir"]).arg(folder);
    command.env_remove("SHARDLIFT_TOPO").env_remove("SHARDLIFT_CREDENTIALS");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn ended(child: Child) -> Output {
    timeout(PATIENCE, child.wait_with_output()).await.expect("the demo ends").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_proves_that_both_sides_are_equal() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("demo");
    let output = ended(demo(&folder, "1").await).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("EQUAL at") && !text.contains("NOT EQUAL"), "{text}");
    let through = text.lines().find_map(|line| line.trim().strip_prefix("gateway ")?.split_once(" statements"));
    let (statements, errors) = through.unwrap_or_else(|| panic!("nothing of the gateway in {text}"));
    assert!(statements.trim().replace(',', "").parse::<u64>().unwrap() > 100, "{text}");
    assert!(errors.contains(" 0 errors;"), "{text}");
    assert!(text.contains("3 switches; writes held for"), "{text}");
    assert!(!folder.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn its_second_act_spreads_rows_over_shards() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("demo");
    let mut command = demo_in(&folder, "1").await;
    let output = ended(command.arg("--sharded").spawn().unwrap()).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for said in
        ["-80,80- -> -40,40-80,80-c0,c0-", "the rows are the sum", "0 misplaced", "the ledger holds", "0 errors"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(!text.contains("NO  "), "{text}");
    assert!(!folder.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_it_leaves_nothing_behind() {
    let place = tempfile::tempdir().unwrap();
    for (round, after) in [1_500, 3_500, 6_000].into_iter().enumerate() {
        let folder = place.path().join(format!("demo{round}"));
        let child = demo(&folder, "60").await;
        sleep(Duration::from_millis(after)).await;
        let pid = Pid::from_raw(child.id().unwrap().cast_signed());
        kill(pid, Signal::SIGINT).unwrap();
        let output = ended(child).await;
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!folder.exists());
        let servers = std::fs::read_dir("/proc").unwrap().flatten().filter(|process| {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(folder.to_str().unwrap())
        });
        assert_eq!(servers.count(), 0, "a server lives on");
    }
}
