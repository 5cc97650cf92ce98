//! Query attributes with values: what a server makes of them directly, it makes of them through the gateway.

use std::io::Result;

use super::raw::{
    DEPRECATE_EOF, EXECUTE, Login, MULTI_RESULTS, MULTI_STATEMENTS, PREPARE, QUERY, QUERY_ATTRIBUTES, Raw,
};
use super::reply::{Answer, Hidden};
use super::{login, say, text};
use crate::harness::{Gateway, TestCluster};

const VAR_STRING: u16 = 253;
const LONGLONG: u16 = 8;
/// Flag of an execution that says how many parameters it has.
const COUNT_AVAILABLE: u8 = 8;
const READ: &str = "SELECT mysql_query_attribute_string('trace'), mysql_query_attribute_string('n'), \
                    mysql_query_attribute_string('empty'), mysql_query_attribute_string('none')";

/// A value, or NULL.
enum Value {
    Text(&'static str),
    Number(i64),
    Null,
}

/// Attributes of every kind.
fn some() -> Vec<(&'static str, Value)> {
    vec![
        ("trace", Value::Text("00-4bf92f\u{44f}'\\\0-01")),
        ("n", Value::Number(-7)),
        ("empty", Value::Text("")),
        ("none", Value::Null),
    ]
}

/// Bitmap of NULLs, types with names, values; nothing where there are none.
fn bound(values: &[(&str, Value)]) -> Vec<u8> {
    if values.is_empty() {
        return Vec::new();
    }
    let mut nulls = vec![0u8; values.len().div_ceil(8)];
    let (mut types, mut data) = (vec![1], Vec::new());
    for (at, (name, value)) in values.iter().enumerate() {
        let kind = match value {
            Value::Text(text) => {
                data.push(u8::try_from(text.len()).unwrap());
                data.extend_from_slice(text.as_bytes());
                VAR_STRING
            }
            Value::Number(number) => {
                data.extend_from_slice(&number.to_le_bytes());
                LONGLONG
            }
            Value::Null => {
                nulls[at / 8] |= 1 << (at % 8);
                VAR_STRING
            }
        };
        types.extend_from_slice(&kind.to_le_bytes());
        types.push(u8::try_from(name.len()).unwrap());
        types.extend_from_slice(name.as_bytes());
    }
    [nulls, types, data].concat()
}

async fn query(client: &mut Raw, sql: &str, attributes: &[(&str, Value)]) -> Result<Vec<Answer>> {
    let head = [u8::try_from(attributes.len()).unwrap(), 1];
    client.command(QUERY, &[&head[..], &bound(attributes), sql.as_bytes()].concat()).await?;
    Answer::all(client, false, None).await
}

async fn execute(client: &mut Raw, id: u32, values: &[(&str, Value)]) -> Result<Vec<Answer>> {
    let mut body = id.to_le_bytes().to_vec();
    body.push(COUNT_AVAILABLE);
    body.extend_from_slice(&1u32.to_le_bytes());
    body.push(u8::try_from(values.len()).unwrap());
    body.extend_from_slice(&bound(values));
    client.command(EXECUTE, &body).await?;
    Answer::all(client, true, None).await
}

/// Everything that is said with attributes, and what comes back.
async fn conversation(login: &Login) -> Vec<String> {
    let mut client = Raw::open(login).await.unwrap().unwrap();
    let mut heard = Vec::new();
    let mut note = |answers: Vec<Answer>| heard.extend(answers.iter().flat_map(|answer| answer.lines(Hidden::Nothing)));
    note(query(&mut client, READ, &some()).await.unwrap());
    // They are the statement's own.
    note(query(&mut client, READ, &[]).await.unwrap());
    // In a text of several statements they are each one's.
    note(query(&mut client, &format!("{READ}; DO 1; {READ}"), &some()).await.unwrap());
    note(
        query(&mut client, "INSERT INTO empty_table SELECT 77, mysql_query_attribute_string('n')", &some())
            .await
            .unwrap(),
    );
    note(query(&mut client, "SELECT * FROM empty_table WHERE id = 77", &[]).await.unwrap());
    note(query(&mut client, "DELETE FROM empty_table WHERE id = 77", &some()).await.unwrap());
    // Beside a prepared statement's parameters, changing from one execution to the next.
    client.command(PREPARE, format!("{READ}, ?").as_bytes()).await.unwrap();
    let Answer::Prepared { id, .. } = Answer::prepared(&mut client).await.unwrap() else { panic!("not prepared") };
    for attributes in [some(), Vec::new(), vec![("n", Value::Text("seven"))]] {
        let values: Vec<_> = std::iter::once(("", Value::Text("parameter"))).chain(attributes).collect();
        note(execute(&mut client, id, &values).await.unwrap());
    }
    heard
}

pub async fn go_through(cluster: &TestCluster, gateway: &Gateway) {
    cluster.source_db().exec("INSTALL COMPONENT 'file://component_query_attributes'").await;
    let capabilities = QUERY_ATTRIBUTES | MULTI_STATEMENTS | MULTI_RESULTS | DEPRECATE_EOF;
    let through = login(cluster, gateway, "commerce", capabilities);
    let direct = conversation(&Login { port: cluster.source().port(), ..through.clone() }).await;
    assert!(direct.iter().any(|line| line.contains("00-4bf92f") && line.contains("-7")), "{direct:?}");
    assert!(direct.iter().any(|line| line.contains("seven") && line.contains("parameter")), "{direct:?}");
    assert_eq!(direct, conversation(&through).await);
    // Those of one client are nobody else's, though the connections to the server are shared.
    let mut other = Raw::open(&login(cluster, gateway, "commerce", 0)).await.unwrap().unwrap();
    assert_eq!(text(&mut other, "SELECT COALESCE(mysql_query_attribute_string('trace'), 'nothing')").await, "nothing");
    say(&mut other, "SELECT 1").await;
}
