//! The failure matrix: a switch meets a failure at each of its steps, with writers on, and heals by itself.
//!
//! [`cases`] are generated from the plan; each [ground](cases::GROUNDS), a [layout](ground::Layout) of shards and a topology,
//! has a [`stage`] on which they are played one after another, in both directions, and after each one everything is
//! [judged](judge).
//!
//! Every run of the tests has a part of them; `cargo test --test it matrix_full -- --ignored --nocapture` plays all, and goes
//! on where it was left. `SHARDLIFT_MATRIX` may name words that the cases to play must contain, `SHARDLIFT_SEED` the part.

mod book;
mod cases;
mod direct;
mod ground;
mod judge;
mod servers;
mod stage;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::{Instant, SystemTime};

use futures_util::FutureExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::through;
use book::Book;
use cases::{Backend, Case, GROUNDS};
use ground::Layout;
use stage::{Played, Stage};

const DAY: u64 = 24 * 60 * 60;
/// A full run ends when as many cases have failed: each keeps its servers' folders.
const MOST_FAILURES: usize = 12;

fn seed() -> u64 {
    let today = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() / DAY;
    std::env::var("SHARDLIFT_SEED").ok().map_or_else(today, |text| text.parse().unwrap())
}

async fn part(mut cases: Vec<Case>) {
    let began = Instant::now();
    println!("{} cases; SHARDLIFT_SEED={} has them again", cases.len(), seed());
    let mut stage = Stage::start(cases[0].layout, cases[0].backend).await;
    while let Some(case) = next(&stage, &mut cases).await {
        println!("{case} …");
        let played = stage.play(&case).await;
        stage.judge(&case, &played).await;
        println!("{case}: {played:?}; at {:?}", began.elapsed());
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn matrix_in_a_file() {
    part(cases::sample(seed()).into_iter().filter(|case| case.backend == Backend::Sqlite).collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn matrix_in_etcd() {
    part(cases::sample(seed()).into_iter().filter(|case| case.backend == Backend::Etcd).collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn matrix_of_shards() {
    part(cases::sample_of_shards(seed())).await;
}

/// The next case that begins where the last one has ended; where there is none, traffic is switched without a fault.
async fn next(stage: &Stage, cases: &mut Vec<Case>) -> Option<Case> {
    if cases.is_empty() {
        return None;
    }
    let direction = stage.next_direction().await;
    match cases.iter().position(|case| case.direction == direction) {
        Some(at) => Some(cases.remove(at)),
        None => {
            stage.switch().await;
            Some(cases.remove(0))
        }
    }
}

/// All cases that have no good result yet; one that fails ends its stage, and the others go on with a new one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "two hours"]
async fn matrix_full() {
    let words = std::env::var("SHARDLIFT_MATRIX").unwrap_or_default();
    let words: Vec<_> = words.split_whitespace().filter(|word| *word != "all").collect();
    let book = Book::open();
    let all = cases::all();
    let known = book.results();
    let mut open: Vec<_> = all.iter().copied().filter(|case| known.get(&case.to_string()) != Some(&true)).collect();
    open.retain(|case| words.iter().all(|word| case.to_string().split(' ').any(|part| part == *word)));
    open.shuffle(&mut StdRng::seed_from_u64(seed()));
    println!("{} of {} cases to play", open.len(), all.len());
    let of = |ground: (Layout, Backend)| open.iter().copied().filter(move |case| (case.layout, case.backend) == ground);
    let some = async |backend: Backend| {
        let mut failures = 0;
        for ground in GROUNDS.into_iter().filter(|(_, at)| *at == backend) {
            failures += play_all(ground, of(ground).collect(), &book).await;
        }
        failures
    };
    let (one, other) = tokio::join!(some(Backend::Sqlite), some(Backend::Etcd));
    let failures = one + other;
    println!("{}", book.summary(&all));
    assert_eq!(failures, 0);
}

async fn play_all((layout, backend): (Layout, Backend), mut cases: Vec<Case>, book: &Book) -> usize {
    let (mut failures, mut kept) = (0, None);
    while !cases.is_empty() && failures < MOST_FAILURES {
        let mut stage = match kept.take() {
            Some(stage) => stage,
            None => match AssertUnwindSafe(Stage::start(layout, backend)).catch_unwind().await {
                Ok(stage) => stage,
                Err(panic) => {
                    failures += 1;
                    println!("the stage could not be set: {}", said(&panic));
                    continue;
                }
            },
        };
        let chosen = AssertUnwindSafe(next(&stage, &mut cases)).catch_unwind().await;
        let case = match chosen {
            Ok(Some(case)) => case,
            Ok(None) => break,
            Err(panic) => {
                failures += 1;
                println!("a switch without a fault failed: {}", said(&panic));
                stage.keep();
                continue;
            }
        };
        let playing = async {
            let played = stage.play(&case).await;
            stage.judge(&case, &played).await;
            played
        };
        let result = AssertUnwindSafe(playing).catch_unwind().await.map_err(|panic| said(&panic));
        match &result {
            Ok(_) => kept = Some(stage),
            Err(_) => stage.keep(),
        }
        match &result {
            Ok(Played { done, healed, took, .. }) => {
                let outcome = if *done { "done" } else { "undone" };
                println!("{case}: {outcome}, healed after {healed:?}, took {took:?}; {} left", cases.len());
            }
            Err(why) => {
                failures += 1;
                println!("{case}: FAILED: {why}");
            }
        }
        book.enter(&case, &result);
    }
    if let Some(stage) = kept {
        stage.end().await;
    }
    failures
}

/// What a panic said.
fn said(panic: &Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_else(|| "a panic".into())
}
