//! Which DDL may be run on the target as it stands. Pure.
//!
//! The text is the user's and names what it names: only a statement that changes exactly one moved table, by its bare name,
//! means on the target what it meant on the source. Everything else stops the stream, whatever `--on-ddl` says: a qualified
//! name could reach the source's own table where both live on one server, and a DROP could take tables along that are not
//! moved.

use crate::model::TableName;
use crate::mysql::binlog::{Ddl, Scope};

/// First words of statements that change one table and nothing else.
const KINDS: &[&[&str]] = &[
    &["ALTER", "TABLE"],
    &["CREATE", "INDEX"],
    &["CREATE", "UNIQUE", "INDEX"],
    &["CREATE", "FULLTEXT", "INDEX"],
    &["CREATE", "SPATIAL", "INDEX"],
    &["DROP", "INDEX"],
    &["TRUNCATE"],
];

/// Whether `ddl` may be run on the target with the target's database as the default one.
pub fn may_execute(ddl: &Ddl, database: &str, moved: &[TableName]) -> bool {
    let Scope::Tables(tables) = &ddl.scope else { return false };
    let [(of, table)] = tables.as_slice() else { return false };
    let one_of_ours =
        of.eq_ignore_ascii_case(database) && moved.iter().any(|name| name.as_str().eq_ignore_ascii_case(table));
    let words: Vec<String> = ddl.statement.split_whitespace().take(3).map(str::to_ascii_uppercase).collect();
    let known = KINDS.iter().any(|kind| kind.len() <= words.len() && kind.iter().zip(&words).all(|(a, b)| a == b));
    one_of_ours && known && ddl.database.eq_ignore_ascii_case(database) && !names_schema(&ddl.statement, database)
}

/// Whether the text may hold `database.`, quoted or not. A literal that happens to look so counts too: rather stop.
fn names_schema(statement: &str, database: &str) -> bool {
    let packed: String = statement.chars().filter(|c| !c.is_whitespace() && *c != '`').collect();
    packed.to_lowercase().contains(&format!("{}.", database.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(statement: &str, scope: Scope) -> bool {
        let gtid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1".parse().unwrap();
        let (database, statement) = ("shop".to_string(), statement.to_string());
        let ddl = Ddl { gtid, committed_us: 0, length: 0, database, statement, sql_mode: None, scope, last: true };
        may_execute(&ddl, "shop", &["t".parse().unwrap()])
    }

    #[test]
    fn only_what_means_the_same_there() {
        let t = || Scope::Tables(vec![("shop".into(), "t".into())]);
        assert!(may("ALTER TABLE t ADD COLUMN c INT DEFAULT 1", t()));
        assert!(may("truncate table `t`", t()));
        assert!(may("CREATE UNIQUE INDEX i ON t (a)", t()));
        assert!(!may("ALTER TABLE shop.t ADD COLUMN c INT", t()));
        assert!(!may("TRUNCATE ` shop`. `t`", t()) && !may("TRUNCATE `shop` . `t`", t()));
        assert!(!may("DROP TABLE t", t()));
        assert!(!may(
            "RENAME TABLE t TO u",
            Scope::Tables(vec![("shop".into(), "t".into()), ("shop".into(), "u".into())])
        ));
        assert!(!may("CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET @a = 1", t()));
        assert!(!may("DROP DATABASE shop", Scope::Database("shop".into())));
        assert!(!may("ALTER TABLE t ADD COLUMN c INT", Scope::Unknown));
    }
}
