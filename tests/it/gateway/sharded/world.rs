//! Four shards on two servers, and the same rows in one database.

use std::fmt;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Params, Row, Value};
use shardlift::local::Mysqld;
use shardlift::model::VSchema;
use shardlift::topology::records::GatewayPresence;
use shardlift::topology::{Revision, paths};
use tokio::time::timeout;

use crate::harness::{Db, Gateway, TestCluster, until};

const DEADLINE: Duration = Duration::from_secs(60);
pub const SHARDS: [&str; 4] = ["-40", "40-80", "80-c0", "c0-"];
pub const VSCHEMA: &str = r#"{"sharded":true,"vindexes":{"hash":{"type":"hash"},"xx":{"type":"xxhash"}},"tables":{
  "customer":{"column_vindexes":[{"column":"id","name":"hash"}]},
  "orders":{"column_vindexes":[{"column":"customer_id","name":"hash"}]},
  "note":{"column_vindexes":[{"column":"title","name":"xx"}]},
  "ticket":{"column_vindexes":[{"column":"id","name":"hash"}],"auto_increment":{"column":"id","sequence":"ticket_seq"}},
  "counted":{"column_vindexes":[{"column":"id","name":"hash"}]},
  "entry":{"column_vindexes":[{"column":"customer_id","name":"hash"}]},
  "country":{"type":"reference"}}}"#;
const TABLES: &str = "
  CREATE TABLE customer (id BIGINT PRIMARY KEY, name VARCHAR(40) COLLATE utf8mb4_0900_ai_ci, code VARCHAR(20) CHARACTER SET latin1,
    age INT, balance DECIMAL(10,2), score DOUBLE, ratio FLOAT, born DATE, kind ENUM('new','loyal','away'), at TIME, country INT,
    raw VARBINARY(8));
  CREATE TABLE orders (customer_id BIGINT, id BIGINT, sku VARCHAR(20) COLLATE utf8mb4_general_ci, price DECIMAL(8,3), qty SMALLINT
    UNSIGNED, placed DATETIME(3), PRIMARY KEY (customer_id, id));
  CREATE TABLE note (title VARCHAR(40) COLLATE utf8mb4_0900_bin PRIMARY KEY, body TEXT, weight INT);
  CREATE TABLE ticket (id BIGINT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20));
  CREATE TABLE counted (id BIGINT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20));
  CREATE TABLE entry (id BIGINT AUTO_INCREMENT PRIMARY KEY, customer_id BIGINT);
  CREATE TABLE country (code INT PRIMARY KEY, label VARCHAR(20))";

pub struct World {
    pub cluster: TestCluster,
    pub gateway: Gateway,
    pub one: Db,
    pub shards: Vec<Db>,
}

/// What a question came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Columns as name, type and decimals; rows as they came, or sorted where no order was asked for.
    Rows(Vec<String>, Vec<Vec<String>>),
    /// Rows affected, and the remark.
    Done(u64, String),
    Error(u16, String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(columns, rows) => {
                write!(f, "{} rows of {columns:?}: {:?}", rows.len(), &rows[..rows.len().min(12)])
            }
            other => write!(f, "{other:?}"),
        }
    }
}

impl World {
    pub async fn start() -> Self {
        let cluster = TestCluster::start().await;
        let shardlift = cluster.shardlift();
        shardlift.must("keyspace add wide").await;
        let servers: [&Mysqld; 2] = [cluster.source(), cluster.target()];
        let mut shards = Vec::new();
        for (place, shard) in SHARDS.iter().enumerate() {
            let server = servers[place / 2];
            let database = format!("wide_{place}");
            let db = cluster.db(server, &database);
            cluster.db(server, "mysql").exec(&format!("CREATE DATABASE {database}")).await;
            shardlift.must(&format!("shard add wide/{shard}")).await;
            shardlift
                .must(&format!(
                    "tablet add zone1-{} --keyspace wide --shard {shard} --type PRIMARY --mysql 127.0.0.1:{} --database {database} \
                     --credential engine --ssl-mode DISABLED",
                    1000 + 100 * place,
                    server.port()
                ))
                .await;
            shards.push(db);
        }
        cluster.db(cluster.source(), "mysql").exec("CREATE DATABASE one").await;
        let one = cluster.db(cluster.source(), "one");
        one.exec(TABLES).await;
        for db in &shards {
            db.exec(TABLES).await;
        }
        let sequence =
            "CREATE TABLE ticket_seq (id INT PRIMARY KEY, next_id BIGINT, cache BIGINT) COMMENT 'vitess_sequence';
            INSERT INTO ticket_seq VALUES (0, 1, 200)";
        cluster.source_db().exec(sequence).await;
        shardlift.must(r#"vschema apply --vschema {"tables":{"ticket_seq":{"type":"sequence"}}} commerce"#).await;
        let gateway = cluster.gateway("").await;
        let world = Self { cluster, gateway, one, shards };
        world.apply(VSCHEMA).await;
        world.fill().await;
        world
    }

    /// Gives the keyspace this VSchema, and waits until the gateway goes by it.
    pub async fn apply(&self, vschema: &str) {
        let file = self.cluster.folder().join("wide.json");
        std::fs::write(&file, vschema).unwrap();
        self.cluster.shardlift().must(&format!("vschema apply --vschema-file {} wide", file.display())).await;
        let path = paths::vschema(&"wide".parse().unwrap());
        let written = self.cluster.topology().need::<VSchema>(&path).await.unwrap().revision;
        self.acknowledged(written).await;
    }

    /// Waits until the gateway says that this revision is in force.
    pub async fn acknowledged(&self, revision: Revision) {
        until("the gateway goes by the topology", Duration::from_secs(10), async || {
            let present = self.cluster.topology().list::<GatewayPresence>(&paths::gateways()).await.unwrap();
            let known = present.records.iter().map(|(_, gateway)| gateway.record.revision).min();
            if known.is_some_and(|known| known >= revision) { Ok(()) } else { Err(format!("{known:?}")) }
        })
        .await;
    }

    async fn fill(&self) {
        let mut conn = self.through("wide").await;
        let countries = (0..8).map(|code| format!("({code}, 'land {code}')")).collect::<Vec<_>>().join(", ");
        let mut both = vec![format!("INSERT INTO country VALUES {countries}")];
        let (mut customers, mut orders) = (Vec::new(), Vec::new());
        let mut notes = vec!["('land 1', 'body', 1)".to_owned()];
        let names = ["Anna", "anna", "Bernd", "Çelik", "celik", "Zoë", "zoe", "Öz", "", "Ann a"];
        for id in 1..=150i64 {
            let null = |every: i64, text: String| if id % every == 0 { "NULL".to_owned() } else { text };
            customers.push(format!(
                "({id}, {}, '{}', {}, {}, {}, {}, {}, {}, '{}{:02}:30:00', {}, x'{:04x}')",
                null(
                    11,
                    format!(
                        "'{}{}'",
                        names[(id % 10) as usize],
                        if id % 4 == 0 { format!(" {}", id / 20) } else { String::new() }
                    )
                ),
                ["ab", "AB", "ab ", "b\u{e4}", "c"][(id % 5) as usize],
                null(7, (id % 23 - 3).to_string()),
                null(13, format!("{}.{:02}", id * 37 % 1000 - 200, id % 100)),
                null(17, format!("{}", id as f64 * 0.5 - 20.0)),
                null(19, format!("{}", (id % 9) as f64 * 0.1)),
                null(5, format!("'19{:02}-{:02}-{:02}'", 40 + id % 60, 1 + id % 12, 1 + id % 28)),
                null(9, format!("'{}'", ["new", "loyal", "away"][(id % 3) as usize])),
                if id % 6 == 0 { "-" } else { "" },
                id % 120,
                id % 9,
                id * 257 % 65536
            ));
            for order in 0..id % 5 {
                orders.push(format!(
                    "({id}, {order}, '{}', {}.{:03}, {}, '2024-{:02}-{:02} 10:00:{:02}.{:03}')",
                    ["sku1", "SKU2", "sku 3", "x"][((id + order) % 4) as usize],
                    id * 13 % 200,
                    order * 111,
                    (id * 7 + order) % 40,
                    1 + id % 12,
                    1 + order,
                    id % 60,
                    id
                ));
            }
            if id % 3 == 0 {
                notes.push(format!("('note {id}', 'body {}', {})", id % 4, id % 10));
            }
        }
        both.push(format!("INSERT INTO customer VALUES {}", customers.join(", ")));
        both.push(format!("INSERT INTO orders VALUES {}", orders.join(", ")));
        both.push(format!("INSERT INTO note (title, body, weight) VALUES {}", notes.join(", ")));
        for sql in both {
            self.one.exec(&sql).await;
            if let Err(error) = timeout(DEADLINE, conn.query_drop(&sql)).await.unwrap() {
                panic!("{error}\n{}\n{}", &sql[..sql.len().min(300)], self.gateway.log());
            }
        }
    }

    /// A session on the one server.
    pub async fn direct(&self) -> Conn {
        self.one.conn().await
    }

    /// A session of the gateway's.
    pub async fn through(&self, target: &str) -> Conn {
        let connected = timeout(DEADLINE, self.gateway.try_conn(target)).await.unwrap();
        let mut conn = connected.unwrap_or_else(|error| panic!("{error}\n{}", self.gateway.log()));
        conn.query_drop("SET time_zone = '+00:00'").await.unwrap();
        conn
    }
}

/// Asks a question, as text or with a prepared statement.
pub async fn ask(conn: &mut Conn, sql: &str, values: &[Value], prepared: bool, ordered: bool) -> Outcome {
    let asked = async {
        if prepared {
            let params = if values.is_empty() { Params::Empty } else { Params::Positional(values.to_vec()) };
            let mut result = conn.exec_iter(sql, params).await?;
            taken(&mut result, ordered).await
        } else {
            let mut result = conn.query_iter(sql).await?;
            taken(&mut result, ordered).await
        }
    };
    match timeout(DEADLINE, asked).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(Error::Server(error))) => Outcome::Error(error.code, error.message),
        Ok(Err(error)) => panic!("{sql}: {error}"),
        Err(_) => panic!("{sql}: no answer within {DEADLINE:?}"),
    }
}

async fn taken<P: mysql_async::prelude::Protocol>(
    result: &mut mysql_async::QueryResult<'_, '_, P>,
    ordered: bool,
) -> Result<Outcome, Error> {
    let columns = result.columns().map(|columns| {
        let column = |column: &mysql_async::Column| {
            format!("{} {:?} {}", column.name_str(), column.column_type(), column.decimals())
        };
        columns.iter().map(column).collect::<Vec<_>>()
    });
    let Some(columns) = columns.filter(|columns| !columns.is_empty()) else {
        let info = result.info().into_owned();
        return Ok(Outcome::Done(result.affected_rows(), info));
    };
    let rows: Vec<Row> = result.collect().await?;
    let mut rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| row.unwrap().iter().map(|value| value.as_sql(true)).collect()).collect();
    if !ordered {
        rows.sort();
    }
    Ok(Outcome::Rows(columns, rows))
}
