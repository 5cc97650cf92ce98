//! The gateway as its clients meet it: statements, drivers, limits, and those who do not keep to the protocol.

mod attributes;
mod cases;
mod clients;
mod corpus;
mod ends;
mod hostile;
mod limits;
mod pair;
mod pause;
mod raw;
mod rejected;
mod replicas;
mod reply;
mod routes;
mod sequences;
mod sharded;
mod side;

use crate::harness::{Gateway, TestCluster};
use raw::{Login, Raw};
use reply::Answer;

/// The login of the cluster's `app` at a gateway.
fn login(cluster: &TestCluster, gateway: &Gateway, database: &str, capabilities: u32) -> Login {
    let app = cluster.app();
    Login {
        port: gateway.port(),
        user: app.user.clone(),
        password: app.password.clone(),
        database: Some(database.to_owned()),
        capabilities,
    }
}

/// A connection of `app` with this database or target.
async fn open(cluster: &TestCluster, gateway: &Gateway, database: &str, capabilities: u32) -> Raw {
    let opened = Raw::open(&login(cluster, gateway, database, capabilities)).await;
    opened.unwrap_or_else(|error| panic!("{error}: {}", gateway.log())).unwrap_or_else(|refusal| panic!("{refusal:?}"))
}

/// A statement that must succeed; its answers.
async fn say(client: &mut Raw, sql: &str) -> Vec<Answer> {
    let answers = client.query(sql, None).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    if let Some(error) = answers.iter().find_map(Answer::error) {
        panic!("{sql}: {error:?}");
    }
    answers
}

/// The one value of a query.
async fn text(client: &mut Raw, sql: &str) -> String {
    let answers = say(client, sql).await;
    answers[0].value().unwrap_or_else(|| panic!("{sql}: no value in {answers:?}"))
}

/// The one value of a query, a number.
async fn number(client: &mut Raw, sql: &str) -> i64 {
    let text = text(client, sql).await;
    text.parse().unwrap_or_else(|_| panic!("{sql}: {text:?}"))
}
