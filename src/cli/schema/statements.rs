//! Which statements `schema apply` takes. Pure.

use anyhow::{Result, bail};

use crate::gateway::sql::{Ddl, Kind, SqlMode, analyze, split};
use crate::mysql::binlog::tokens::{Token, Tokens};

/// A statement and the tables it defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// Its text.
    pub sql: String,
    /// The tables and views it names.
    pub tables: Vec<String>,
    /// Whether servers log it as it was sent. They put DROP TABLE, views, and some tables' creation in words of their own.
    pub verbatim: bool,
}

/// Takes a text apart. Only definitions of tables, indexes and views, each in the shard's own database.
pub(super) fn read(text: &str) -> Result<Vec<Statement>> {
    let mode = SqlMode::default();
    let mut statements = Vec::new();
    for range in split(text.as_bytes(), mode) {
        let sql = text.get(range).unwrap_or_default();
        let found = analyze(sql.as_bytes(), mode);
        let shown: String = sql.chars().take(60).collect();
        match found.kind {
            Kind::Empty => continue,
            Kind::Ddl(Ddl::Table | Ddl::Truncate | Ddl::Index | Ddl::View) => {}
            _ => bail!("`{shown}` is no definition of a table, an index or a view; nothing was run"),
        }
        let databases = found.tables.iter().filter_map(|table| table.database.as_ref());
        let databases = databases.chain(found.qualifiers.iter().map(|qualifier| &qualifier.database));
        if let Some(database) = databases.into_iter().next() {
            bail!(
                "`{shown}` names database `{}`; name tables without one: each shard has its own. Nothing was run",
                database.text
            );
        }
        let mut tables: Vec<String> = found.tables.into_iter().map(|table| table.table.text).collect();
        if tables.is_empty() {
            bail!("it cannot be told which table `{shown}` is about; nothing was run");
        }
        tables.sort();
        tables.dedup();
        let verbatim = match found.kind {
            Kind::Ddl(Ddl::Truncate | Ddl::Index) => true,
            Kind::Ddl(Ddl::Table) => begins_with(sql, &["ALTER", "RENAME"]),
            _ => false,
        };
        statements.push(Statement { sql: sql.into(), tables, verbatim });
    }
    if statements.is_empty() {
        bail!("there is no statement");
    }
    Ok(statements)
}

fn begins_with(sql: &str, words: &[&str]) -> bool {
    let first = Tokens::new(sql, false, false).next();
    matches!(first, Some(Token::Word(first)) if words.iter().any(|word| word.eq_ignore_ascii_case(first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_told_from_the_rest() {
        let found = read("create table a (id int); -- x\nalter table b add index (c); drop view v, `w`;\n").unwrap();
        let verbatim: Vec<bool> = found.iter().map(|statement| statement.verbatim).collect();
        let tables: Vec<Vec<String>> = found.into_iter().map(|statement| statement.tables).collect();
        assert_eq!(
            (tables, verbatim),
            (vec![vec!["a".into()], vec!["b".into()], vec!["v".into(), "w".into()]], vec![false, true, false])
        );
        let verbatim = |sql| read(sql).unwrap()[0].verbatim;
        assert!(
            verbatim("/* x */ rename table a to b") && verbatim("create index i on a (b)") && verbatim("truncate a")
        );
        assert!(!verbatim("drop table a") && !verbatim("alter view v as select 1"));
        for (text, why) in [
            ("", "no statement"),
            ("create table a (id int); insert into a values (1)", "`insert into a values (1)` is no definition"),
            ("create temporary table a (id int)", "no definition"),
            ("drop database x", "no definition"),
            ("create trigger x before insert on t for each row set @a = 1", "no definition"),
            ("alter table shop.a add c int", "names database `shop`"),
            ("create table a like shop.b", "names database `shop`"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
