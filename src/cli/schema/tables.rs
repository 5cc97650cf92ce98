//! `shardlift schema show`, and what tables look like on a shard.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::cli::{Context, Listed, Outcome, primaries};
use crate::model::{KeyspaceName, ShardName};
use crate::mysql::admin::Session;
use crate::mysql::{MysqlError, quote};

/// ER_NO_SUCH_TABLE.
const NO_SUCH_TABLE: u16 = 1146;

#[derive(Serialize)]
struct Line {
    table: String,
    shards: Vec<String>,
    create: String,
}

impl Listed for Line {
    const COLUMNS: &'static [&'static str] = &["TABLE", "SHARDS", "DEFINITION"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.table.clone(),
            self.shards.join(", "),
            self.create.lines().map(str::trim).collect::<Vec<_>>().join(" "),
        ]
    }
}

/// Lists each definition with the shards that have it.
pub(super) async fn run(context: &Context, keyspace: &KeyspaceName) -> Result<Outcome> {
    let topology = context.topology().await?;
    let mut found: BTreeMap<(String, String), Vec<ShardName>> = BTreeMap::new();
    for (shard, tablet) in primaries::tablets(&topology, keyspace).await? {
        let on_shard = || format!("shard {keyspace}/{shard}");
        let login = context.credentials().resolve(tablet.credential.as_str())?.login(tablet.endpoint.clone(), None);
        let mut session = Session::open(&login, primaries::LIMIT).await.with_context(on_shard)?;
        session.execute(&format!("USE {}", quote::ident(tablet.database.as_str()))).await.with_context(on_shard)?;
        for row in session.rows("SHOW TABLES").await.with_context(on_shard)? {
            let Some(table) = row.text(0) else { continue };
            if let Some(create) = definition(&mut session, &table).await.with_context(on_shard)? {
                found.entry((table, create)).or_default().push(shard.clone());
            }
        }
        session.close().await;
    }
    let line = |((table, create), shards): ((String, String), Vec<ShardName>)| Line {
        table,
        shards: shards.iter().map(ToString::to_string).collect(),
        create,
    };
    let lines: Vec<Line> = found.into_iter().map(line).collect();
    context.output.list(&lines)?;
    Ok(Outcome::Done)
}

/// A table's or view's definition in the session's database, without the counter that differs from shard to shard.
async fn definition(session: &mut Session, table: &str) -> Result<Option<String>, MysqlError> {
    match session.row(&format!("SHOW CREATE TABLE {}", quote::ident(table))).await {
        Ok(row) => Ok(row.and_then(|row| row.text(1)).map(|create| without_counter(&create))),
        Err(error) if error.code() == Some(NO_SUCH_TABLE) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `… AUTO_INCREMENT=7 …` stands in the line that closes the definition, before any comment.
fn without_counter(create: &str) -> String {
    const COUNTER: &str = " AUTO_INCREMENT=";
    let (body, options) = create.rsplit_once("\n)").unwrap_or(("", create));
    let before_comment = options.find(" COMMENT='").unwrap_or(options.len());
    match options.get(..before_comment).and_then(|own| own.find(COUNTER)) {
        Some(at) if !body.is_empty() => {
            let (before, counter) = options.split_at(at);
            let rest = counter.trim_start_matches(COUNTER).trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{body}\n){before}{rest}")
        }
        _ => create.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_counter_goes() {
        let create = "CREATE TABLE `t` (\n  `id` int\n) ENGINE=InnoDB COMMENT=' AUTO_INCREMENT=8'";
        assert_eq!(without_counter(create), create);
        let create = "CREATE TABLE `t` (\n  `id` int NOT NULL AUTO_INCREMENT\n) ENGINE=InnoDB AUTO_INCREMENT=7 DEFAULT CHARSET=latin1";
        let wanted = "CREATE TABLE `t` (\n  `id` int NOT NULL AUTO_INCREMENT\n) ENGINE=InnoDB DEFAULT CHARSET=latin1";
        assert_eq!(without_counter(create), wanted);
        let view = "CREATE ALGORITHM=UNDEFINED VIEW `v` AS select ' AUTO_INCREMENT=1' AS `a`";
        assert_eq!(without_counter(view), view);
    }
}
