//! A keyspace of four shards through the gateway, beside the same rows on one server: what is asked of both must be answered
//! alike, or be refused with the reason.

mod leavings;
mod numbered;
mod queries;
mod switched;
mod transactions;
mod world;
mod writes;

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::StdRng;

use self::queries::{Question, question};
use self::world::{Outcome, World};

/// Kept, so that a failure comes again.
const SEED: u64 = 20_261_128;
const QUESTIONS: usize = 1_200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_shards_answer_as_one_server_would() {
    let world = World::start().await;
    answers_are_the_same(&world).await;
    writes::rows_are_where_they_belong(&world).await;
    numbered::rows_get_numbers_and_go_where_they_lead(&world).await;
    transactions::over_several_shards(&world).await;
    assert!(world.gateway.stop().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_several_shards_is_whole() {
    let world = World::start().await;
    transactions::end_on_all_shards_alike(&world).await;
    transactions::go_with_their_session(&world).await;
    writes::meet_in_one_order(&world).await;
    leavings::are_the_sessions_own(&world).await;
    leavings::go_with_it(&world).await;
    leavings::a_begin_outlives_a_full_pool(&world).await;
    switched::a_write_is_undone_before_it_is_held(&world).await;
    switched::what_is_held_is_placed_anew(&world).await;
    assert!(world.gateway.stop().await.success());
}

async fn answers_are_the_same(world: &World) {
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut direct, mut through) = (world.direct().await, world.through("wide").await);
    let (mut same, mut refused): (usize, BTreeMap<String, Vec<String>>) = (0, BTreeMap::new());
    let mut wrong = Vec::new();
    for number in 0..QUESTIONS {
        let Question { sql, values, ordered } = question(&mut random, number);
        // Every other as a prepared statement.
        let prepared = number % 2 == 1 || !values.is_empty();
        let expected = world::ask(&mut direct, &sql, &values, prepared, ordered).await;
        let found = world::ask(&mut through, &sql, &values, prepared, ordered).await;
        match (expected, found) {
            (_, Outcome::Error(1235, why)) => {
                let reason = why.split_once("): ").map_or(why.as_str(), |(_, reason)| reason).to_owned();
                refused.entry(reason).or_default().push(sql);
            }
            (expected, found) if expected == found => same += 1,
            (expected, found) => {
                wrong.push(format!("{number}: {sql} {values:?}\n  one server: {expected}\n  four shards: {found}"))
            }
        }
    }
    let count: usize = refused.values().map(Vec::len).sum();
    println!("{same} of {QUESTIONS} answers are the same, {count} questions were refused:");
    for (reason, statements) in &refused {
        println!("  {:3} {reason}\n      e.g. {}", statements.len(), statements[0]);
    }
    assert!(wrong.is_empty(), "{} answers differ:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    assert!(same >= 1_000, "only {same} answers were compared");
}
